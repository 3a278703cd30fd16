//! HOT PATH. Which request runs, for the report of a crash: the session is out of its table while it does. Main thread.

#![forbid(unsafe_code)]

use std::ptr;

use bytes::Bytes;

use crate::command::session::Session;
use crate::resp::args::{Args, Span};
use crate::sys::crash::{Fault, Place, SlicePlace};

// The parts of the arguments: to show where they are as a whole would keep the compiler from passing them on as they are.
static SESSION: Place<Session> = Place::empty();
static BASE: SlicePlace<u8> = SlicePlace::empty();
static SPANS: SlicePlace<Span> = SlicePlace::empty();
static BLOBS: SlicePlace<Bytes> = SlicePlace::empty();

/// A request of `session` runs from now on, until [`done`] is called.
#[inline]
pub(super) fn begin(session: &Session, args: Args<'_>) {
    let (base, spans, blobs) = args.parts();
    SESSION.show(ptr::from_ref(session));
    BASE.show(ptr::from_ref(base));
    SPANS.show(ptr::from_ref(spans));
    BLOBS.show(ptr::from_ref(blobs));
}

/// No request runs any more.
#[inline]
pub(super) fn done() {
    SESSION.clear();
    BASE.clear();
    SPANS.clear();
    BLOBS.clear();
}

/// The session whose request was running.
pub(crate) fn session(fault: &Fault) -> Option<&Session> {
    SESSION.look(fault)
}

/// Its arguments.
pub(crate) fn args(fault: &Fault) -> Option<Args<'_>> {
    Some(Args::new(BASE.look(fault)?, SPANS.look(fault)?, BLOBS.look(fault)?))
}
