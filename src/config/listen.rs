//! What the parameters say about listening, in the words of the transport, which is a floor below and knows no
//! parameters. Pure; main thread.

#![forbid(unsafe_code)]

use super::Config;
use super::choice::TlsAuthClients;
use super::value::Text;
use crate::transport::plain::{ListenSettings, UnixSettings};
use crate::transport::tls::{ClientAuth, TlsSettings};

impl Config {
    /// Where and how to listen.
    pub fn listen_settings(&self) -> ListenSettings {
        let unix = UnixSettings { path: self.unixsocket.as_path().to_owned(), mode: self.unixsocketperm };
        ListenSettings {
            bind: self.bind.0.iter().map(Text::to_string).collect(),
            port: self.port,
            tls_port: self.tls_port,
            backlog: i32::try_from(self.tcp_backlog).unwrap_or(i32::MAX),
            mark: self.socket_mark_id,
            unix: (!self.unixsocket.is_empty()).then_some(unix),
        }
    }

    /// Whether anything here is encrypted.
    pub fn uses_tls(&self) -> bool {
        self.tls_port != 0 || self.tls_replication || self.tls_cluster
    }

    /// How to encrypt.
    pub fn tls_settings(&self) -> TlsSettings {
        let asks_clients = self.tls_auth_clients != TlsAuthClients::No;
        TlsSettings {
            cert_file: self.tls_cert_file.as_path().to_owned(),
            key_file: self.tls_key_file.as_path().to_owned(),
            key_password: self.tls_key_file_pass.as_bytes().to_vec(),
            ca_file: self.tls_ca_cert_file.as_path().to_owned(),
            ca_folder: self.tls_ca_cert_dir.as_path().to_owned(),
            needs_authorities: asks_clients || self.tls_replication || self.tls_cluster,
            protocols: self.tls_protocols.to_string(),
            ciphers: self.tls_ciphers.to_string(),
            ciphersuites: self.tls_ciphersuites.to_string(),
            prefer_server_ciphers: self.tls_prefer_server_ciphers,
            session_caching: self.tls_session_caching,
            session_cache_size: self.tls_session_cache_size as usize,
            session_cache_timeout_s: self.tls_session_cache_timeout,
        }
    }

    /// Whether TLS clients have to show a certificate.
    pub fn tls_client_auth(&self) -> ClientAuth {
        match self.tls_auth_clients {
            TlsAuthClients::No => ClientAuth::No,
            TlsAuthClients::Optional => ClientAuth::Optional,
            TlsAuthClients::Yes => ClientAuth::Yes,
        }
    }

    /// The port that a server without a plain one is known by.
    pub fn known_port(&self) -> u16 {
        if self.port == 0 { self.tls_port } else { self.port }
    }

    /// The `{listen-addr}` of the process title.
    pub fn listen_address(&self) -> String {
        let port = self.known_port();
        match self.bind.0.first() {
            Some(address) if port != 0 => format!("{}:{port}", address.to_string().trim_start_matches('-')),
            _ => format!("unixsocket:{}", self.unixsocket),
        }
    }
}
