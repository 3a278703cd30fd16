//! Which request runs, for the report of a crash: the session is out of its table while it does. Main thread.

#![forbid(unsafe_code)]

use std::ptr;

use crate::command::session::Session;
use crate::resp::args::Args;
use crate::sys::crash::{Fault, Place};

static SESSION: Place<Session> = Place::empty();
static ARGS: Place<Args<'static>> = Place::empty();

/// A request of `session` runs from now on, until [`done`] is called.
#[inline]
pub(super) fn begin(session: &Session, args: &Args<'_>) {
    SESSION.show(ptr::from_ref(session));
    ARGS.show(ptr::from_ref(args).cast::<Args<'static>>());
}

/// No request runs any more.
#[inline]
pub(super) fn done() {
    SESSION.clear();
    ARGS.clear();
}

/// The session whose request was running.
pub(crate) fn session(fault: &Fault) -> Option<&Session> {
    SESSION.look(fault)
}

/// Its arguments.
pub(crate) fn args(fault: &Fault) -> Option<&Args<'_>> {
    ARGS.look(fault)
}
