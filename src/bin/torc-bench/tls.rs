//! TLS of a load's connections: rustls between the ring's bytes and the requests. Handshakes are blocking, before the load.

#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Plaintext is taken out of a session in pieces of this size: a TLS record holds no more.
const PLAIN_LEN: usize = 16 << 10;

/// What the command line says of TLS.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsOptions {
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) ca_folder: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    pub(crate) insecure: bool,
    /// The name to ask for and to verify, instead of the host's.
    pub(crate) server_name: Option<String>,
}

/// How sessions are made.
#[derive(Clone, Debug)]
pub(crate) struct TlsSetup {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsSetup {
    /// Reads the files that `options` name. `host` is the server as the user wrote it.
    pub(crate) fn new(options: &TlsOptions, host: &str) -> anyhow::Result<TlsSetup> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .context("preparing TLS")?;
        let builder = if options.insecure {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified { provider }))
        } else {
            builder.with_root_certificates(roots(options)?)
        };
        let config = match (&options.certificate, &options.key) {
            (Some(certificate), Some(key)) => {
                let key = PrivateKeyDer::from_pem_file(key).with_context(|| format!("reading {}", key.display()))?;
                builder.with_client_auth_cert(certificates(certificate)?, key).context("using the certificate")?
            }
            (None, None) => builder.with_no_client_auth(),
            _ => anyhow::bail!("--cert and --key go together"),
        };
        let name = options.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned()).with_context(|| format!("{name:?} is no server name"))?;
        Ok(TlsSetup { config: Arc::new(config), name })
    }

    /// Opens a session over a connected, blocking stream.
    pub(crate) fn shake_hands(&self, stream: &mut (impl Read + Write)) -> io::Result<TlsSession> {
        let mut connection = ClientConnection::new(self.config.clone(), self.name.clone()).map_err(io::Error::other)?;
        // A pipeline may be far longer than what rustls would buffer by default.
        connection.set_buffer_limit(None);
        while connection.is_handshaking() {
            connection.complete_io(stream)?;
        }
        Ok(TlsSession { connection, plain: vec![0; PLAIN_LEN] })
    }
}

fn roots(options: &TlsOptions) -> anyhow::Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    if let Some(file) = &options.ca_file {
        for certificate in certificates(file)? {
            store.add(certificate).with_context(|| format!("using {}", file.display()))?;
        }
    }
    if let Some(folder) = &options.ca_folder {
        let entries = std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_file() {
                store.add_parsable_certificates(certificates(&path)?);
            }
        }
    }
    if options.ca_file.is_none() && options.ca_folder.is_none() {
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    ensure!(!store.is_empty(), "there is no authority to verify the server by; name one with --cacert");
    Ok(store)
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
    read().with_context(|| format!("reading {}", path.display()))
}

/// One connection's session.
#[derive(Debug)]
pub(crate) struct TlsSession {
    connection: ClientConnection,
    plain: Vec<u8>,
}

impl TlsSession {
    /// The session as a blocking stream.
    pub(crate) fn over<'a, S: Read + Write>(
        &'a mut self,
        stream: &'a mut S,
    ) -> rustls::Stream<'a, ClientConnection, S> {
        rustls::Stream::new(&mut self.connection, stream)
    }

    /// Takes received bytes, and hands on what they say.
    pub(crate) fn receive<E: From<io::Error>>(
        &mut self,
        mut bytes: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            self.connection.read_tls(&mut bytes)?;
            self.connection.process_new_packets().map_err(io::Error::other)?;
            loop {
                match self.connection.reader().read(&mut self.plain) {
                    Ok(0) => return Ok(()),
                    Ok(len) => sink(&self.plain[..len])?,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Makes `output` what must be sent to say `plain`.
    pub(crate) fn encrypt(&mut self, plain: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        self.connection.writer().write_all(plain)?;
        output.clear();
        while self.connection.wants_write() {
            self.connection.write_tls(output)?;
        }
        Ok(())
    }
}

/// Takes any certificate, as `--insecure` asks for. Signatures are checked all the same.
#[derive(Debug)]
struct Unverified {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
