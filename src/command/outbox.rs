//! What clients are sent outside of their own replies: pushes, lines of MONITOR, the answer to whoever was blocked. A text
//! is written once however many get it; the server hands all of it over after the command, behind the caller's reply and
//! never inside another one. Empty, and without memory, while nobody uses it.

#![forbid(unsafe_code)]

use std::ops::Range;

use bytes::Bytes;

use crate::command::session::Slot;
use crate::resp::reply::ByReference;

/// Memory that an emptied outbox keeps, in bytes and in letters.
const KEPT_BYTES: usize = 64 * 1024;
const KEPT_LETTERS: usize = 1024;

/// A text in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written(Range<usize>);

/// A text for one client.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Whom it is for.
    pub to: Slot,
    /// Where it stands in [`Outbox::bytes`].
    pub text: Range<usize>,
}

/// Texts and whom they are for.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    large: Vec<ByReference>,
    letters: Vec<Letter>,
}

impl Outbox {
    /// Writes a text that may be posted any number of times.
    pub fn write(&mut self, writer: impl FnOnce(&mut Vec<u8>)) -> Written {
        let start = self.bytes.len();
        writer(&mut self.bytes);
        Written(start..self.bytes.len())
    }

    /// Writes a text that ends with a large value and a line end. The value is not copied, neither here nor for whom it is
    /// posted to.
    pub fn write_around(&mut self, value: Bytes, head: impl FnOnce(&mut Vec<u8>)) -> Written {
        let start = self.bytes.len();
        head(&mut self.bytes);
        self.large.push(ByReference { at: self.bytes.len(), bytes: value, is_block: false });
        self.bytes.extend_from_slice(b"\r\n");
        Written(start..self.bytes.len())
    }

    /// Posts a text: the client gets it behind everything posted to it before.
    pub fn post(&mut self, to: Slot, text: &Written) {
        self.letters.push(Letter { to, text: text.0.clone() });
    }

    /// Posts a text: the client gets it before everything posted to it since there were `letters` letters.
    pub fn post_before(&mut self, letters: usize, to: Slot, text: &Written) {
        let at = letters.min(self.letters.len());
        self.letters.insert(at, Letter { to, text: text.0.clone() });
    }

    /// Takes back a text that was just written and posted to nobody.
    pub fn unwrite(&mut self, text: &Written) {
        if self.letters.last().is_none_or(|letter| letter.text.end <= text.0.start) && text.0.end == self.bytes.len() {
            self.bytes.truncate(text.0.start);
            self.large.retain(|value| value.at < text.0.start);
        }
    }

    /// How many letters wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.letters.len()
    }

    /// Whether none do.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    /// All texts, one behind the other.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The large values between them, by position.
    pub fn large(&self) -> &[ByReference] {
        &self.large
    }

    /// All letters in the order they were posted.
    pub fn letters(&self) -> &[Letter] {
        &self.letters
    }

    /// Forgets everything; memory beyond the usual is given back.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.large.clear();
        self.letters.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.letters.shrink_to(KEPT_LETTERS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_written_once() {
        let mut outbox = Outbox::default();
        let hello = outbox.write(|out| out.extend_from_slice(b"hello"));
        let unused = outbox.write(|out| out.extend_from_slice(b"nobody"));
        outbox.unwrite(&unused);
        outbox.post(Slot(1), &hello);
        outbox.post(Slot(2), &hello);
        outbox.unwrite(&hello);
        assert_eq!((outbox.bytes(), outbox.len()), (&b"hello"[..], 2));
        assert_eq!(outbox.letters()[1].text, 0..5);
        let large = outbox.write_around(Bytes::from_static(b"value"), |out| out.extend_from_slice(b"$5\r\n"));
        assert_eq!((outbox.bytes(), outbox.large()[0].at, &large.0), (&b"hello$5\r\n\r\n"[..], 9, &(5..11)));
        outbox.unwrite(&large);
        assert_eq!((outbox.bytes(), outbox.large().len()), (&b"hello"[..], 0));
        let answer = outbox.write(|out| out.extend_from_slice(b"answer"));
        outbox.post_before(1, Slot(2), &answer);
        assert_eq!(outbox.letters().iter().map(|letter| letter.to.0).collect::<Vec<_>>(), [1, 2, 2]);
        assert_eq!((&outbox.letters()[1].text, &outbox.letters()[2].text), (&answer.0, &hello.0));
        outbox.clear();
        assert!(outbox.is_empty() && outbox.bytes().is_empty());
    }
}
