//! HOT PATH. TLS of one connection as a state machine without I/O: ciphertext in, plaintext out; plaintext in, records out.
//! Belongs to the thread that serves the connection; knows nothing of sockets and clients.
//!
//! ```text
//!   received bytes ──> receive ──> plaintext             replies ──> seal ──> records
//!                         └──────> handshake, alerts ───────────────────────> to be sent before the next records
//! ```
//! It is built on rustls' unbuffered interface: records are decrypted where they were received, and encrypted into memory
//! of the caller's. rustls hands plaintext out as a vector of its own, one for each record, so that one copy of it cannot
//! be avoided; its buffered interface makes two, and one more of what is sent.
//!
//! The kernel could encrypt in our place from the moment on that [`Progress::established`] is told: rustls then gives the
//! keys away (`dangerous_into_kernel_connection`), and keeps to itself what changes of keys need.

#![forbid(unsafe_code)]

mod certificates;
mod ciphers;
mod context;
mod resumption;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus};
use rustls::{CertificateError, Error, InvalidMessage, PeerIncompatible, ServerConfig};

pub use context::{ClientAuth, TlsConfigError, TlsContext, TlsSettings};

/// Plaintext bytes that one record holds at most.
pub const RECORD_PLAIN_MAX: usize = 16 * 1024;

/// Bytes that a record is longer than its plaintext, at most: its header, an explicit nonce, its type and its tag.
const RECORD_OVERHEAD_MAX: usize = 5 + 8 + 1 + 16;

/// Room for a change of keys, which may come in front of the first record.
const KEY_UPDATE_ROOM: usize = 128;

/// A buffer for an unfinished record that grew beyond this many bytes is given back when it is empty.
const CARRY_KEPT_MAX: usize = 4 * 1024;

/// The peer ended the connection in the middle of a handshake: OpenSSL's words, which Redis puts into its log.
pub const EOF_IN_HANDSHAKE: &str = "unexpected eof while reading";

/// How many bytes the records of so much plaintext take at most.
#[inline]
pub fn sealed_len_max(plain: usize) -> usize {
    plain + (plain / RECORD_PLAIN_MAX + 1) * RECORD_OVERHEAD_MAX + KEY_UPDATE_ROOM
}

/// How rustls calls a certificate of X.509 version 1, which is what `openssl x509 -req` makes without extensions.
const OLD_CERTIFICATE: &str = "UnsupportedCertVersion";

/// Why a connection cannot go on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TlsError {
    /// What the peer sent, or is able to do, is not enough.
    #[error("{}", reason(.0))]
    Protocol(#[from] Error),
    /// So much was encrypted with one key that no more may be, and the version of TLS has no way to change it.
    #[error("the keys of the connection are used up")]
    KeysUsedUp,
}

impl TlsError {
    /// Whether the peer does not seem to speak TLS at all. An alert would be noise to it.
    fn is_no_record(&self) -> bool {
        let no_record = |invalid: &InvalidMessage| {
            matches!(invalid, InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion)
        };
        matches!(self, TlsError::Protocol(Error::InvalidMessage(invalid)) if no_record(invalid))
    }
}

/// Redis logs OpenSSL's reasons. Where one says just what happened, people find it under its words.
fn reason(error: &Error) -> String {
    let known = match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
            "wrong version number"
        }
        Error::NoCertificatesPresented => "peer did not return a certificate",
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "certificate verify failed: certificate has expired"
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "certificate verify failed: unable to get local issuer certificate"
        }
        Error::InvalidCertificate(CertificateError::Other(other)) if format!("{other:?}").contains(OLD_CERTIFICATE) => {
            "certificate verify failed: it is of X.509 version 1, and has to be of version 3"
        }
        Error::InvalidCertificate(_) => return format!("certificate verify failed: {error}"),
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => "unsupported protocol",
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => "no shared cipher",
        _ => return error.to_string(),
    };
    known.to_owned()
}

/// What came of received bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The handshake is over: plaintext may be sealed.
    pub established: bool,
    /// The peer said that it sends nothing more.
    pub closed: bool,
}

/// One connection's session.
pub struct TlsSession {
    connection: UnbufferedServerConnection,
    /// What was received and is no whole message yet.
    carry: Vec<u8>,
    /// It broke: rustls is not asked again.
    failed: bool,
}

impl TlsSession {
    /// A session that waits for the client's first message.
    fn new(config: &Arc<ServerConfig>) -> Result<TlsSession, Error> {
        let connection = UnbufferedServerConnection::new(Arc::clone(config))?;
        Ok(TlsSession { connection, carry: Vec::new(), failed: false })
    }

    /// Takes received bytes, which are no use afterwards. What they say is put behind `plain`, and what has to be answered
    /// behind `out`, also where the connection cannot go on: a peer that speaks TLS is told why.
    pub fn receive(
        &mut self,
        incoming: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Progress, TlsError> {
        if self.failed {
            return Err(general("the connection has failed"));
        }
        let answered = out.len();
        let outcome = self.take(incoming, plain, out);
        self.failed = outcome.is_err();
        if outcome.as_ref().is_err_and(TlsError::is_no_record) {
            out.truncate(answered);
        }
        outcome
    }

    fn take(&mut self, incoming: &mut [u8], plain: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<Progress, TlsError> {
        if self.carry.is_empty() {
            let (used, outcome) = advance(&mut self.connection, incoming, plain, out);
            self.carry.extend_from_slice(&incoming[used..]);
            return outcome;
        }
        self.carry.extend_from_slice(incoming);
        let (used, outcome) = advance(&mut self.connection, &mut self.carry, plain, out);
        self.carry.drain(..used);
        if self.carry.is_empty() && self.carry.capacity() > CARRY_KEPT_MAX {
            self.carry = Vec::new();
        }
        outcome
    }

    /// Encrypts `plain` into the front of `out`, which has room for [`sealed_len_max`] bytes. Returns how many it took.
    pub fn seal(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, TlsError> {
        if self.failed {
            return Err(general("the connection has failed"));
        }
        // The rest of what was received goes along: rustls may know of messages in it.
        match self.connection.process_tls_records(&mut self.carry).state? {
            ConnectionState::WriteTraffic(mut traffic) => traffic.encrypt(plain, out).map_err(|error| match error {
                EncryptError::EncryptExhausted => TlsError::KeysUsedUp,
                EncryptError::InsufficientSize(_) => general("there is room for the records"),
            }),
            _ => Err(general("records are only made after the handshake")),
        }
    }

    /// Encrypts `plain` behind the end of `out`.
    pub fn seal_onto(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), TlsError> {
        let start = out.len();
        out.resize(start + sealed_len_max(plain.len()), 0);
        let sealed = self.seal(plain, &mut out[start..]);
        out.truncate(start + sealed.as_ref().map_or(0, |len| *len));
        sealed.map(|_| ())
    }

    /// The record that says that nothing more follows; nothing where there was no handshake.
    pub fn close(&mut self) -> Vec<u8> {
        if self.failed {
            return Vec::new();
        }
        let mut out = vec![0; sealed_len_max(0)];
        let status = self.connection.process_tls_records(&mut self.carry);
        let len = match status.state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => traffic.queue_close_notify(&mut out).unwrap_or(0),
            _ => 0,
        };
        out.truncate(len);
        out
    }

    /// Bytes that it occupies, as far as they can be known: rustls does not count its own.
    pub fn memory(&self) -> usize {
        size_of::<TlsSession>() + self.carry.capacity()
    }
}

fn general(text: &str) -> TlsError {
    TlsError::Protocol(Error::General(text.to_owned()))
}

/// Goes on until there is nothing more to be done with `bytes`. Returns how many of them are dealt with.
fn advance(
    connection: &mut UnbufferedServerConnection,
    bytes: &mut [u8],
    plain: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> (usize, Result<Progress, TlsError>) {
    let mut used = 0;
    let mut progress = Progress::default();
    loop {
        let UnbufferedStatus { mut discard, state } = connection.process_tls_records(&mut bytes[used..]);
        let mut over = false;
        match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    match record {
                        Ok(record) => {
                            discard += record.discard;
                            plain.extend_from_slice(record.payload);
                        }
                        Err(error) => return (used + discard, Err(error.into())),
                    }
                }
            }
            Ok(ConnectionState::EncodeTlsData(mut message)) => {
                encode(&mut message, out);
            }
            Ok(ConnectionState::TransmitTlsData(message)) => message.done(),
            Ok(ConnectionState::WriteTraffic(_)) => {
                progress.established = true;
                over = true;
            }
            Ok(ConnectionState::PeerClosed) => progress.closed = true,
            Ok(ConnectionState::Closed) => {
                progress.closed = true;
                over = true;
            }
            Ok(_) => over = true,
            Err(error) => {
                used += discard;
                // The alert that tells the peer, where there is one, comes before rustls looks at anything else.
                if let Ok(ConnectionState::EncodeTlsData(mut alert)) =
                    connection.process_tls_records(&mut bytes[used..]).state
                {
                    encode(&mut alert, out);
                }
                return (used, Err(error.into()));
            }
        }
        used += discard;
        if over {
            return (used, Ok(progress));
        }
    }
}

/// Puts a message behind what is to be sent.
fn encode(message: &mut EncodeTlsData<'_, ServerConnectionData>, out: &mut Vec<u8>) {
    if let Err(EncodeError::InsufficientSize(needed)) = message.encode(&mut []) {
        let start = out.len();
        out.resize(start + needed.required_size, 0);
        let encoded = message.encode(&mut out[start..]).unwrap_or(0);
        out.truncate(start + encoded);
    }
}
