//! HOT PATH. The arguments of one command as views into the bytes they arrived in.
//!
//! The parser leaves spans; the bytes stay in the receive buffer (or in the client's query buffer when a command came
//! in pieces). Big bulk arguments, and inline arguments that had to be unquoted, are blobs of their own.

#![forbid(unsafe_code)]

use bytes::Bytes;

/// Where one argument lies: a range of the buffer, or the index of a blob. Eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
}

const _: () = assert!(size_of::<Span>() == 8);

/// Set in `Span::start` when the rest of it is an index into the blobs.
const BLOB_BIT: u32 = 1 << 31;

/// The largest buffer that spans can address, in bytes.
pub const SPAN_BUFFER_MAX: usize = BLOB_BIT as usize - 1;

impl Span {
    /// An argument at `start..start + len` of the buffer.
    #[inline]
    pub fn in_buffer(start: usize, len: usize) -> Span {
        debug_assert!(start + len <= SPAN_BUFFER_MAX);
        Span { start: start as u32, len: len as u32 }
    }

    /// An argument that is blob number `index`.
    pub fn in_blob(index: usize) -> Span {
        assert!(index < BLOB_BIT as usize);
        Span { start: BLOB_BIT | index as u32, len: 0 }
    }

    /// The blob's index, where the argument is one.
    #[inline]
    pub fn blob(self) -> Option<usize> {
        (self.start & BLOB_BIT != 0).then_some((self.start & !BLOB_BIT) as usize)
    }

    /// The same argument after `distance` bytes were removed from the front of the buffer.
    pub fn shifted_down(self, distance: usize) -> Span {
        match self.blob() {
            Some(_) => self,
            None => Span { start: self.start - distance as u32, len: self.len },
        }
    }
}

/// The arguments of one command, the command's name being number 0. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    base: &'a [u8],
    spans: &'a [Span],
    blobs: &'a [Bytes],
}

impl<'a> Args<'a> {
    /// Views `spans` of `base` and `blobs`. Every span must have been made for them.
    #[inline]
    pub fn new(base: &'a [u8], spans: &'a [Span], blobs: &'a [Bytes]) -> Args<'a> {
        Args { base, spans, blobs }
    }

    /// What [`Args::new`] was given.
    #[inline]
    pub fn parts(self) -> (&'a [u8], &'a [Span], &'a [Bytes]) {
        (self.base, self.spans, self.blobs)
    }

    /// How many there are, the name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Never true for a command that came from the parser.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `index`. Panics past the end: arity is checked before a handler runs.
    #[inline]
    pub fn get(&self, index: usize) -> &'a [u8] {
        let span = self.spans[index];
        match span.blob() {
            None => &self.base[span.start as usize..span.start as usize + span.len as usize],
            Some(blob) => &self.blobs[blob],
        }
    }

    /// Argument `index` as its own reference-counted allocation, where it arrived as one: keeping it costs no copy.
    #[inline]
    pub fn blob(&self, index: usize) -> Option<&'a Bytes> {
        self.spans[index].blob().map(|blob| &self.blobs[blob])
    }

    /// The arguments from `first` on, as arguments of their own.
    #[inline]
    pub fn skip(&self, first: usize) -> Args<'a> {
        Args { base: self.base, spans: &self.spans[first.min(self.spans.len())..], blobs: self.blobs }
    }

    /// The first `count` arguments, or all where there are fewer.
    pub fn first(&self, count: usize) -> Args<'a> {
        Args { spans: &self.spans[..count.min(self.spans.len())], ..*self }
    }

    /// All of them in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let args = *self;
        (0..args.len()).map(move |index| args.get(index))
    }

    /// Bytes of all arguments together.
    pub fn bytes_total(&self) -> usize {
        self.iter().map(<[u8]>::len).sum()
    }

    /// Bytes of the whole request, with what the protocol puts around the arguments. They must lie where they arrived. Spaces
    /// and quotes of an inline request that nobody needs are not counted.
    pub fn request_bytes(&self) -> usize {
        // A kind, the number, a line end.
        let head = |number: usize| 3 + 1 + number.checked_ilog10().unwrap_or(0) as usize;
        match self.inline_end() {
            Some(end) => self.bytes_total() + self.len() - 1 + end,
            None => head(self.len()) + self.iter().map(|arg| head(arg.len()) + arg.len() + 2).sum::<usize>(),
        }
    }

    /// The length of the line end of an inline request; none where this is no such request.
    fn inline_end(&self) -> Option<usize> {
        let first = *self.spans.first().filter(|span| span.blob().is_none())?;
        let before = &self.base[..first.start as usize];
        let length = before.strip_suffix(b"\r\n").unwrap_or_default();
        let digits = length.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 0 && length[..length.len() - digits].ends_with(b"$") {
            return None;
        }
        let last = self.spans.last().filter(|span| span.blob().is_none());
        let behind = last.and_then(|span| self.base.get((span.start + span.len) as usize));
        Some(if behind == Some(&b'\n') { 1 } else { 2 })
    }
}

impl std::fmt::Debug for Args<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list().entries(self.iter().map(|arg| arg.escape_ascii().to_string())).finish()
    }
}

/// A command that outlives its buffer: queued by MULTI, or made by the server itself.
#[derive(Clone, Debug, Default)]
pub struct OwnedArgs {
    base: Vec<u8>,
    spans: Vec<Span>,
    blobs: Vec<Bytes>,
}

impl OwnedArgs {
    /// Copies small arguments; shares blobs.
    pub fn from_args(args: Args<'_>) -> OwnedArgs {
        let mut owned = OwnedArgs::default();
        for index in 0..args.len() {
            match args.blob(index) {
                Some(blob) => {
                    owned.spans.push(Span::in_blob(owned.blobs.len()));
                    owned.blobs.push(blob.clone());
                }
                None => owned.push(args.get(index)),
            }
        }
        owned
    }

    /// From literal arguments.
    pub fn from_slices<T: AsRef<[u8]>>(args: &[T]) -> OwnedArgs {
        let mut owned = OwnedArgs::default();
        args.iter().for_each(|arg| owned.push(arg.as_ref()));
        owned
    }

    fn push(&mut self, arg: &[u8]) {
        self.spans.push(Span::in_buffer(self.base.len(), arg.len()));
        self.base.extend_from_slice(arg);
    }

    /// Views them.
    pub fn as_args(&self) -> Args<'_> {
        Args::new(&self.base, &self.spans, &self.blobs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_from_buffer_and_blobs() {
        let base = b"SET key";
        let blobs = [Bytes::from_static(b"big")];
        let spans = [Span::in_buffer(0, 3), Span::in_buffer(4, 3), Span::in_blob(0)];
        let args = Args::new(base, &spans, &blobs);
        assert_eq!(args.iter().collect::<Vec<_>>(), [&b"SET"[..], b"key", b"big"]);
        assert!(args.blob(1).is_none());
        assert_eq!(args.skip(2).get(0), b"big");
        let owned = OwnedArgs::from_args(args);
        assert_eq!(owned.as_args().get(2), b"big");
        assert_eq!(owned.as_args().bytes_total(), 9);
    }

    #[test]
    fn a_request_is_longer_than_its_arguments() {
        let base = b"PING\r\n*2\r\n$4\r\nECHO\r\n$10\r\n0123456789\r\nSET a bc\nQUIT\r\n";
        let request = |spans: &[(usize, usize)]| {
            let spans: Vec<Span> = spans.iter().map(|(start, len)| Span::in_buffer(*start, *len)).collect();
            let args = Args::new(base, &spans, &[]);
            (args.get(0).to_vec(), args.request_bytes())
        };
        assert_eq!(request(&[(0, 4)]), (b"PING".to_vec(), b"PING\r\n".len()));
        assert_eq!(
            request(&[(14, 4), (25, 10)]),
            (b"ECHO".to_vec(), b"*2\r\n$4\r\nECHO\r\n$10\r\n0123456789\r\n".len())
        );
        assert_eq!(request(&[(37, 3), (41, 1), (43, 2)]), (b"SET".to_vec(), b"SET a bc\n".len()));
        assert_eq!(request(&[(46, 4)]), (b"QUIT".to_vec(), b"QUIT\r\n".len()));
    }
}
