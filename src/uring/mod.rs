//! The ring: set-up and probing, submission and completion, provided buffers. Unsafe room.
//!
//! Runs on the one thread that created it (`SINGLE_ISSUER`). Knows nothing of connections: callers pack what they need
//! into `user_data`.

pub mod buffer_ring;
pub mod operation;
pub mod setup;

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, RawFd};

use io_uring::types::{CancelBuilder, Timespec};
use io_uring::{CompletionQueue, IoUring, SubmissionQueue, Submitter, cqueue, squeue};

pub use setup::{Features, Refused, RingOptions};

/// `IORING_ENTER_GETEVENTS`.
const GETEVENTS: u32 = 1;

/// How long `cancel_all` waits.
const CANCEL_WAIT: Timespec = Timespec::new().sec(1);

/// A ring with its own descriptor registered, so that entering it looks up no file.
///
/// The registration lives in the `Submitter`, which borrows the `IoUring`; the parts are kept together here and dropped
/// before their owner.
pub struct Ring {
    submitter: ManuallyDrop<Submitter<'static>>,
    submissions: ManuallyDrop<SubmissionQueue<'static>>,
    completions: ManuallyDrop<CompletionQueue<'static>>,
    owner: *mut IoUring,
    fd: RawFd,
    features: Features,
    submitted: u64,
}

impl Ring {
    /// Sets a ring up with the best features this kernel has, or says why the kernel refuses.
    pub fn new(options: &RingOptions) -> Result<Ring, Refused> {
        let (ring, mut features) = setup::build(options)?;
        let fd = ring.as_raw_fd();
        let owner = Box::into_raw(Box::new(ring));
        // SAFETY: `owner` came from Box::into_raw just now; the parts made of this reference are dropped in `Drop`
        // before the box is taken back, and nobody else holds the pointer.
        let parts = unsafe { &mut *owner };
        let (mut submitter, submissions, completions) = parts.split();
        features.registered_ring = !options.without.registered_ring && submitter.register_ring_fd().is_ok();
        Ok(Ring {
            submitter: ManuallyDrop::new(submitter),
            submissions: ManuallyDrop::new(submissions),
            completions: ManuallyDrop::new(completions),
            owner,
            fd,
            features,
            submitted: 0,
        })
    }

    /// What the kernel offers and this ring uses.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// For what is found out after the ring was made.
    pub fn features_mut(&mut self) -> &mut Features {
        &mut self.features
    }

    /// Its descriptor, open for as long as the ring is there: other rings send messages to it.
    pub fn descriptor(&self) -> RawFd {
        self.fd
    }

    /// How many operations were submitted.
    pub fn submitted(&self) -> u64 {
        self.submitted
    }

    /// For registrations (buffers, buffer rings).
    pub fn submitter(&self) -> &Submitter<'static> {
        &self.submitter
    }

    /// Queues an operation. False when the submission queue is full: enter first.
    ///
    /// # Safety
    /// Memory that the operation refers to must stay valid until its completion was reaped (or, for soft sends and
    /// iovec arrays, until the queue was submitted).
    #[inline]
    #[must_use]
    pub unsafe fn push(&mut self, entry: &squeue::Entry) -> bool {
        // SAFETY: the caller keeps the operation's memory valid, as this function's own contract says.
        unsafe { self.submissions.push(entry) }.is_ok()
    }

    /// Operations queued and not yet submitted.
    #[inline]
    pub fn queued(&mut self) -> usize {
        self.submissions.len()
    }

    /// Submits everything queued, lets deferred work run, and waits for one completion where `wait` says so. `Ok(false)`
    /// means that the kernel took nothing because completions have to be reaped first.
    pub fn enter(&mut self, wait: bool) -> io::Result<bool> {
        self.submissions.sync();
        let before = self.submissions.len();
        // With GETEVENTS even where it does not wait: deferred completions are produced only by an enter that asks.
        // SAFETY: no argument block is passed, so there is no memory for the kernel to read.
        let outcome =
            unsafe { self.submitter.enter::<libc::sigset_t>(before as u32, u32::from(wait), GETEVENTS, None) };
        self.submissions.sync();
        self.submitted += (before - self.submissions.len()) as u64;
        match outcome {
            Ok(_) => Ok(true),
            Err(error) => match error.raw_os_error() {
                // A signal ended the wait: completions, if any, are in the queue.
                Some(libc::EINTR) => Ok(true),
                Some(libc::EBUSY | libc::EAGAIN) => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// Runs deferred work and flushes overflowed completions without submitting or waiting.
    pub fn flush_overflow(&mut self) -> io::Result<()> {
        // SAFETY: no argument block is passed, so there is no memory for the kernel to read.
        let outcome = unsafe { self.submitter.enter::<libc::sigset_t>(0, 0, GETEVENTS, None) };
        match outcome {
            Err(error) if !matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EAGAIN | libc::EINTR)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Cancels everything in flight and waits until it has ended, for the time before the ring is dropped. On an error
    /// something may still be in flight.
    pub fn cancel_all(&self) -> io::Result<()> {
        match self.submitter.register_sync_cancel(Some(CANCEL_WAIT), CancelBuilder::any()) {
            // Nothing was in flight.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            outcome => outcome,
        }
    }

    /// Whether completions wait in the kernel because the completion queue was full.
    #[inline]
    pub fn overflowed(&self) -> bool {
        self.submissions.cq_overflow()
    }

    /// The next completion.
    #[inline]
    pub fn reap(&mut self) -> Option<cqueue::Entry> {
        self.completions.next()
    }

    /// Makes completions that arrived since visible to `reap`, and gives reaped places back to the kernel.
    #[inline]
    pub fn sync_completions(&mut self) {
        self.completions.sync();
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: dropped once, here, before the owner it borrows.
        unsafe { ManuallyDrop::drop(&mut self.completions) };
        // SAFETY: dropped once, here, before the owner it borrows.
        unsafe { ManuallyDrop::drop(&mut self.submissions) };
        // SAFETY: dropped once, here, before the owner it borrows.
        unsafe { ManuallyDrop::drop(&mut self.submitter) };
        // SAFETY: `owner` came from Box::into_raw in `new`; its borrowers were dropped in the lines above.
        drop(unsafe { Box::from_raw(self.owner) });
    }
}
