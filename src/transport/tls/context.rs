//! What all TLS connections of a listener share: certificate, ciphers, authorities. Made at start and by CONFIG SET; a
//! connection keeps the one that it began with.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::resumption::SessionCache;
use super::{TlsError, TlsSession, certificates, ciphers};
use crate::sys::time;

/// Tickets that a client of TLS 1.3 gets, as OpenSSL gives out: each serves once.
const TICKETS: usize = 2;

/// What the parameters say of TLS.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// The server's certificate and those that vouch for it.
    pub cert_file: PathBuf,
    /// The key of it.
    pub key_file: PathBuf,
    /// The password of the key.
    pub key_password: Vec<u8>,
    /// Authorities that may vouch for clients.
    pub ca_file: PathBuf,
    /// More of them, a file each.
    pub ca_folder: PathBuf,
    /// There have to be authorities.
    pub needs_authorities: bool,
    /// Versions, in OpenSSL's names; empty for all.
    pub protocols: String,
    /// Ciphers of TLS 1.2, in OpenSSL's language; empty for all.
    pub ciphers: String,
    /// Ciphers of TLS 1.3; empty for all.
    pub ciphersuites: String,
    /// Our order of ciphers counts, not the client's.
    pub prefer_server_ciphers: bool,
    /// Clients may take sessions up again.
    pub session_caching: bool,
    /// So many of them; 0 for no limit.
    pub session_cache_size: usize,
    /// So long, in seconds.
    pub session_cache_timeout_s: u32,
}

/// Whether clients have to show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    No,
    /// They may; a bad one is refused.
    Optional,
    /// They have to.
    Yes,
}

/// Why there is no context; a line for the log, in Redis' words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsConfigError(String);

/// A certificate and what goes with it, once for each way of asking clients for theirs. Sessions are not shared between
/// those: one that began without a certificate is not taken up again where one is needed.
pub struct TlsContext {
    no: Arc<ServerConfig>,
    optional: Option<Arc<ServerConfig>>,
    yes: Option<Arc<ServerConfig>>,
}

impl TlsContext {
    /// Reads all files that the settings name. Nothing of an older context is touched.
    pub fn load(settings: &TlsSettings) -> Result<TlsContext, TlsConfigError> {
        let failed = |text: String| Err(TlsConfigError(text));
        if settings.cert_file.as_os_str().is_empty() {
            return failed("No tls-cert-file configured!".to_owned());
        }
        if settings.key_file.as_os_str().is_empty() {
            return failed("No tls-key-file configured!".to_owned());
        }
        let with_authorities = !settings.ca_file.as_os_str().is_empty() || !settings.ca_folder.as_os_str().is_empty();
        if settings.needs_authorities && !with_authorities {
            return failed(
                "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or \
                 tls-auth-clients are enabled!"
                    .to_owned(),
            );
        }
        let (provider, versions) = provider(settings)?;
        let chain = certificates::chain(&settings.cert_file)
            .map_err(|reason| at_file("certificate", &settings.cert_file, &reason))?;
        let key = certificates::key(&settings.key_file, &settings.key_password)
            .map_err(|reason| at_file("private key", &settings.key_file, &reason))?;
        let key = provider.key_provider.load_private_key(key).map_err(|error| match error {
            Error::General(reason) => at_file("private key", &settings.key_file, &reason),
            error => at_file("private key", &settings.key_file, &error.to_string()),
        })?;
        if !certificates::fits(&chain[0], &*key) {
            return Err(at_file("private key", &settings.key_file, "key values mismatch"));
        }
        let certified = Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key)));
        let roots = certificates::authorities(&settings.ca_file, &settings.ca_folder).map_err(|reason| {
            TlsConfigError(format!("Failed to configure CA certificate(s) file/directory: {reason}"))
        })?;
        let build = |verifier: Option<Arc<dyn ClientCertVerifier>>| {
            let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&versions)
                .map_err(|error| TlsConfigError(format!("Failed to configure ciphers: {error}")))?;
            let builder = match verifier {
                Some(verifier) => builder.with_client_cert_verifier(verifier),
                None => builder.with_no_client_auth(),
            };
            // Not `with_single_cert`, which refuses certificates of version 1: as `openssl x509 -req` makes them by itself.
            let config = builder.with_cert_resolver(certified.clone());
            Ok(Arc::new(tuned(config, settings)))
        };
        let asking = |optional: bool| match verifier(&roots, &provider, optional) {
            Some(verifier) => build(Some(verifier)).map(Some),
            None => Ok(None),
        };
        Ok(TlsContext { no: build(None)?, optional: asking(true)?, yes: asking(false)? })
    }

    /// A session for a connection that was just accepted. None: clients are to be asked for certificates, and there is no
    /// authority that could vouch for any.
    pub fn accept(&self, auth: ClientAuth) -> Option<Result<TlsSession, TlsError>> {
        let config = match auth {
            ClientAuth::No => Some(&self.no),
            ClientAuth::Optional => self.optional.as_ref(),
            ClientAuth::Yes => self.yes.as_ref(),
        };
        config.map(|config| TlsSession::new(config).map_err(TlsError::from))
    }
}

fn at_file(what: &str, path: &std::path::Path, reason: &str) -> TlsConfigError {
    TlsConfigError(format!("Failed to load {what}: {}: {reason}", path.display()))
}

/// The ciphers and versions that are asked for.
fn provider(
    settings: &TlsSettings,
) -> Result<(Arc<CryptoProvider>, Vec<&'static SupportedProtocolVersion>), TlsConfigError> {
    let failed = |text: String| Err(TlsConfigError(text));
    let Some(versions) = ciphers::protocols(&settings.protocols) else {
        return failed(
            "Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'."
                .to_owned(),
        );
    };
    if versions.is_empty() {
        return failed(
            "None of the specified tls-protocols is secure: this server has 'TLSv1.2' and 'TLSv1.3'.".to_owned(),
        );
    }
    let suites = ciphers::suites(&settings.ciphersuites)
        .map_err(|error| TlsConfigError(format!("Failed to configure ciphersuites: {error}")))?;
    let older = ciphers::ciphers(&settings.ciphers)
        .map_err(|error| TlsConfigError(format!("Failed to configure ciphers: {error}")))?;
    if older.is_empty() {
        return failed(format!("Failed to configure ciphers: {}", settings.ciphers));
    }
    let cipher_suites = [suites, older].concat();
    Ok((Arc::new(CryptoProvider { cipher_suites, ..ring::default_provider() }), versions))
}

/// Judges the certificates of clients; none without authorities.
fn verifier(
    roots: &RootCertStore,
    provider: &Arc<CryptoProvider>,
    optional: bool,
) -> Option<Arc<dyn ClientCertVerifier>> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), Arc::clone(provider));
    let builder = if optional { builder.allow_unauthenticated() } else { builder };
    // There is one error: no authorities.
    builder.build().ok()
}

fn tuned(mut config: ServerConfig, settings: &TlsSettings) -> ServerConfig {
    config.ignore_client_order = settings.prefer_server_ciphers;
    if settings.session_caching {
        let (size, timeout_s) = (settings.session_cache_size, settings.session_cache_timeout_s);
        config.session_storage = Arc::new(SessionCache::new(size, timeout_s, time::unix_us));
        config.send_tls13_tickets = TICKETS;
    } else {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config
}
