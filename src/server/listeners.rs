//! The listening sockets: which there are, opening them at start, and opening others when the configuration changes.

use std::sync::Arc;

use crate::config::Config;
use crate::io::{Io, ListenerId};
use crate::transport::plain::{self, ListenError};

/// What kind of connections a listener takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// TCP over IPv4 or IPv6.
    Tcp,
    /// Unix socket at this path.
    Unix(Arc<str>),
}

/// All listeners, by the Io side's number.
#[derive(Default)]
pub struct Listeners {
    kinds: Vec<Option<ListenerKind>>,
}

impl Listeners {
    /// Opens everything that the configuration names.
    pub fn open<I: Io>(&mut self, io: &mut I, config: &Config) -> Result<(), ListenError> {
        for listener in plain::open_listeners(config)? {
            let kind = match listener.unix_path() {
                Some(path) => ListenerKind::Unix(path.into()),
                None => ListenerKind::Tcp,
            };
            self.add(io.listen(listener.fd), kind);
        }
        Ok(())
    }

    /// Opens the TCP listeners of a changed configuration and closes the old ones.
    pub fn reopen_tcp<I: Io>(&mut self, io: &mut I, config: &Config) -> Result<(), ListenError> {
        let opened = plain::open_tcp(config)?;
        for index in 0..self.kinds.len() {
            if self.kinds[index] == Some(ListenerKind::Tcp) {
                self.kinds[index] = None;
                io.unlisten(ListenerId(index as u32));
            }
        }
        for listener in opened {
            self.add(io.listen(listener.fd), ListenerKind::Tcp);
        }
        Ok(())
    }

    /// Notes a listener that the Io side has taken over.
    pub fn add(&mut self, id: ListenerId, kind: ListenerKind) {
        let index = id.0 as usize;
        if self.kinds.len() <= index {
            self.kinds.resize(index + 1, None);
        }
        self.kinds[index] = Some(kind);
    }

    /// What a listener takes; none once it was closed.
    pub fn kind(&self, id: ListenerId) -> Option<ListenerKind> {
        self.kinds.get(id.0 as usize)?.clone()
    }

    /// Closes all.
    pub fn close_all<I: Io>(&mut self, io: &mut I) {
        for (index, kind) in self.kinds.iter_mut().enumerate() {
            if kind.take().is_some() {
                io.unlisten(ListenerId(index as u32));
            }
        }
    }
}
