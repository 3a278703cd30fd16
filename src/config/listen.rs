//! What the parameters say about listening, in the words of the transport, which is a floor below and knows no
//! parameters. Pure; main thread.

#![forbid(unsafe_code)]

use super::Config;
use super::value::Text;
use crate::transport::plain::{ListenSettings, UnixSettings};

impl Config {
    /// Where and how to listen.
    pub fn listen_settings(&self) -> ListenSettings {
        let unix = UnixSettings { path: self.unixsocket.as_path().to_owned(), mode: self.unixsocketperm };
        ListenSettings {
            bind: self.bind.0.iter().map(Text::to_string).collect(),
            port: self.port,
            backlog: i32::try_from(self.tcp_backlog).unwrap_or(i32::MAX),
            mark: self.socket_mark_id,
            unix: (!self.unixsocket.is_empty()).then_some(unix),
        }
    }

    /// The `{listen-addr}` of the process title.
    pub fn listen_address(&self) -> String {
        let port = if self.port == 0 { self.tls_port } else { self.port };
        match self.bind.0.first() {
            Some(address) if port != 0 => format!("{}:{port}", address.to_string().trim_start_matches('-')),
            _ => format!("unixsocket:{}", self.unixsocket),
        }
    }
}
