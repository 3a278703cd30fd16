//! What a client of the simulation puts its bytes into: nothing, or TLS by rustls' own client. Knows nothing of what is said.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tempfile::TempDir;
use torc::io::sim::{PeerId, SimIo};
use torc::transport::tls::{TlsContext, TlsSettings};

/// A certificate that is good for everybody, and who trusts it.
pub(crate) struct Trust {
    folder: TempDir,
    clients: [Arc<ClientConfig>; 2],
}

impl Trust {
    pub(crate) fn new() -> Trust {
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("pem"), certified.cert.pem()).unwrap();
        std::fs::write(folder.path().join("key"), certified.signing_key.serialize_pem()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(certified.cert.der().to_vec())).unwrap();
        let clients = [&TLS12, &TLS13].map(|version| {
            let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
            let builder = builder.with_protocol_versions(&[version]).unwrap();
            Arc::new(builder.with_root_certificates(roots.clone()).with_no_client_auth())
        });
        Trust { folder, clients }
    }

    /// What a server begins with.
    pub(crate) fn context(&self) -> TlsContext {
        let file = |name: &str| -> PathBuf { self.folder.path().join(name) };
        let settings = TlsSettings { cert_file: file("pem"), key_file: file("key"), ..TlsSettings::default() };
        TlsContext::load(&settings).unwrap()
    }

    /// A client's end; `newer` is TLS 1.3.
    pub(crate) fn wire(&self, newer: bool) -> Wire {
        let config = self.clients[usize::from(newer)].clone();
        let mut session = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
        session.set_buffer_limit(None);
        Wire::Tls { session: Box::new(session), ends: false }
    }
}

/// One client's end.
pub(crate) enum Wire {
    Plain,
    Tls {
        session: Box<ClientConnection>,
        /// Nothing follows; said once the handshake is over.
        ends: bool,
    },
}

impl Wire {
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Wire::Tls { .. })
    }

    /// Sends.
    pub(crate) fn write(&mut self, io: &mut SimIo, peer: PeerId, bytes: &[u8]) {
        match self {
            Wire::Plain => io.peer_write(peer, bytes),
            Wire::Tls { session, .. } => {
                std::io::Write::write_all(&mut session.writer(), bytes).unwrap();
                self.flush(io, peer);
            }
        }
    }

    /// Says that nothing follows.
    pub(crate) fn finish(&mut self, io: &mut SimIo, peer: PeerId) {
        match self {
            Wire::Plain => io.peer_shutdown(peer),
            Wire::Tls { ends, .. } => {
                *ends = true;
                self.flush(io, peer);
            }
        }
    }

    /// What was heard since the last call. `broken`: the network may have lost the end of it.
    pub(crate) fn read(&mut self, io: &mut SimIo, peer: PeerId) -> Vec<u8> {
        let received = io.peer_read(peer);
        let Wire::Tls { session, .. } = self else { return received };
        let mut rest = &received[..];
        let mut heard = Vec::new();
        while !rest.is_empty() {
            session.read_tls(&mut rest).unwrap();
            session.process_new_packets().unwrap_or_else(|error| panic!("{peer:?}: {error}"));
            // That there is nothing more for now is an error to rustls.
            let _ = session.reader().read_to_end(&mut heard);
        }
        if io.peer_closed(peer).is_none() {
            self.flush(io, peer);
        }
        heard
    }

    fn flush(&mut self, io: &mut SimIo, peer: PeerId) {
        let Wire::Tls { session, ends } = self else { return };
        let over = *ends && !session.is_handshaking();
        if over {
            session.send_close_notify();
        }
        let mut records = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut records).unwrap();
        }
        if !records.is_empty() {
            io.peer_write(peer, &records);
        }
        if over {
            io.peer_shutdown(peer);
            *ends = false;
        }
    }
}
