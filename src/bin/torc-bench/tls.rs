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
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedCipherSuite,
    SupportedProtocolVersion,
};

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
    /// Names of ciphers of TLS 1.2.
    pub(crate) ciphers: Option<String>,
    /// Names of ciphers of TLS 1.3.
    pub(crate) suites: Option<String>,
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
        let cipher_suites = offered(options)?;
        let newer = |suite: &SupportedCipherSuite| suite.tls13().is_some();
        let mut versions: Vec<&SupportedProtocolVersion> = Vec::new();
        versions.extend(cipher_suites.iter().any(newer).then_some(&TLS13));
        versions.extend((!cipher_suites.iter().all(newer)).then_some(&TLS12));
        let provider = Arc::new(CryptoProvider { cipher_suites, ..ring::default_provider() });
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions)
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

/// The ciphers that the options name, or all.
fn offered(options: &TlsOptions) -> anyhow::Result<Vec<SupportedCipherSuite>> {
    let all = ring::default_provider().cipher_suites;
    let lists = [&options.ciphers, &options.suites];
    if lists.iter().all(|list| list.is_none()) {
        return Ok(all);
    }
    let names = lists.into_iter().flatten().flat_map(|list| list.split(':'));
    let named = names.map(|name| {
        let known = || all.iter().map(openssl_name).collect::<Vec<_>>().join(" ");
        let found = all.iter().find(|suite| openssl_name(suite) == name);
        found.copied().with_context(|| format!("{name:?} is none of {}", known()))
    });
    named.collect()
}

/// OpenSSL's name of a cipher: of TLS 1.2 it says the parts in words of its own.
fn openssl_name(suite: &SupportedCipherSuite) -> String {
    let name = format!("{:?}", suite.suite());
    match name.strip_prefix("TLS13_") {
        Some(newer) => format!("TLS_{newer}"),
        None => {
            let parts = name.trim_start_matches("TLS_").replace("_WITH_", "_").replace("AES_", "AES");
            parts.trim_end_matches("POLY1305_SHA256").replace('_', "-")
                + if name.contains("POLY1305") { "POLY1305" } else { "" }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ciphers_have_openssl_s_names() {
        let names = ring::default_provider().cipher_suites.iter().map(openssl_name).collect::<Vec<_>>();
        for name in [
            "TLS_AES_256_GCM_SHA384",
            "TLS_CHACHA20_POLY1305_SHA256",
            "ECDHE-RSA-AES128-GCM-SHA256",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
        ] {
            assert!(names.iter().any(|known| known == name), "{name} is not in {names:?}");
        }
        let named = |ciphers: Option<&str>, suites: Option<&str>| {
            let (ciphers, suites) = (ciphers.map(str::to_owned), suites.map(str::to_owned));
            offered(&TlsOptions { ciphers, suites, ..TlsOptions::default() }).map(|suites| suites.len())
        };
        assert_eq!(named(None, None).unwrap(), names.len());
        assert_eq!(named(Some("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305"), None).unwrap(), 2);
        assert_eq!(named(None, Some("TLS_AES_128_GCM_SHA256")).unwrap(), 1);
        assert!(named(Some("nosuch"), None).unwrap_err().to_string().contains("is none of TLS_AES_256_GCM_SHA384"));
    }
}
