//! The listening sockets: which there are, opening them at start, and opening others when the configuration changes.

#![forbid(unsafe_code)]

use std::os::fd::{AsRawFd, OwnedFd};

use crate::config::Config;
use crate::io::{Io, ListenerId};
use crate::observe::log;
use crate::sys::socket;
use crate::transport::plain::{self, ListenError, Listener, ListenerKind};

/// All listeners, by the Io side's number; none where one was closed.
#[derive(Default)]
pub struct Listeners {
    kinds: Vec<Option<ListenerKind>>,
}

impl Listeners {
    /// Opens everything that the configuration names; sockets that CONFIG SET may replace are put into `copies` too. Returns kind and address of each.
    pub fn open<I: Io>(
        &mut self,
        io: &mut I,
        config: &Config,
        copies: &mut Vec<(ListenerKind, OwnedFd)>,
    ) -> Result<Vec<(ListenerKind, String)>, ListenError> {
        let opened = plain::open_listeners(&config.listen_settings())?;
        opened.warnings.iter().for_each(|line| log::warning(format_args!("{line}")));
        Ok(self.take_over(io, opened.listeners, config, copies))
    }

    /// Accepts on `opened` instead of the sockets of that kind there are. Returns kind and address of each.
    pub(super) fn replace<I: Io>(
        &mut self,
        io: &mut I,
        (replaced, opened): (ListenerKind, Vec<Listener>),
        config: &Config,
        copies: &mut Vec<(ListenerKind, OwnedFd)>,
    ) -> Vec<(ListenerKind, String)> {
        for (index, kind) in self.kinds.iter_mut().enumerate() {
            if *kind == Some(replaced) {
                *kind = None;
                io.unlisten(ListenerId(index as u32));
            }
        }
        self.take_over(io, opened, config, copies)
    }

    /// What comes in on a listener; none once it was closed.
    pub fn kind(&self, id: ListenerId) -> Option<ListenerKind> {
        *self.kinds.get(id.0 as usize)?
    }

    /// Notes a listener that the Io side has taken over.
    pub fn add(&mut self, id: ListenerId, kind: ListenerKind) {
        let index = id.0 as usize;
        if self.kinds.len() <= index {
            self.kinds.resize(index + 1, None);
        }
        self.kinds[index] = Some(kind);
    }

    /// Hands sockets to the Io side. Accepted sockets inherit keepalive from them. Returns one text for each.
    fn take_over<I: Io>(
        &mut self,
        io: &mut I,
        listeners: Vec<Listener>,
        config: &Config,
        copies: &mut Vec<(ListenerKind, OwnedFd)>,
    ) -> Vec<(ListenerKind, String)> {
        let mut texts = Vec::new();
        for listener in listeners {
            if listener.kind.is_tcp()
                && let Err(error) = socket::set_keepalive(listener.fd.as_raw_fd(), config.tcp_keepalive)
            {
                log::warning(format_args!("Keepalive could not be set: {error}"));
            }
            match listener.fd.try_clone() {
                Ok(copy) if listener.kind.is_tcp() => copies.push((listener.kind, copy)),
                Ok(_) => {}
                Err(error) => log::warning(format_args!("CONFIG SET port and bind will fail: {error}")),
            }
            texts.push((listener.kind, listener.address));
            self.add(io.listen(listener.fd), listener.kind);
        }
        texts
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
