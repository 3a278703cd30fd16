//! The digest of a data set: the same for equal ones, whatever the order of keys, and the same as Redis'. Main thread.
//!
//! A digest starts as zeros. *Xor* of bytes into it takes their SHA-1; *mix* also takes the SHA-1 of the result. Keys are
//! mixed from their name, type and value and then xored into the digest of everything, so that their order is all one.

#![forbid(unsafe_code)]

use crate::base::float::TextBuffer;
use crate::base::sha1::{self, DIGEST_LEN};
use crate::keyspace::Keyspace;
use crate::types::{Collection, KeyEntry};

/// A digest in the making.
#[derive(Clone, Copy, Default)]
pub(super) struct Digest([u8; DIGEST_LEN]);

/// The numbers of the types.
const TYPE_STRING: u32 = 0;
const TYPE_LIST: u32 = 1;
const TYPE_SET: u32 = 2;
const TYPE_SORTED_SET: u32 = 3;
const TYPE_HASH: u32 = 4;

/// Stands for any expiry time, which is no part of the digest.
const EXPIRES: &[u8] = b"!!expire!!";
/// Stands for the time of a field.
const FIELD_EXPIRES: &[u8] = b"!!hexpire!!";

impl Digest {
    fn xor(&mut self, bytes: &[u8]) {
        self.0.iter_mut().zip(sha1::digest(bytes)).for_each(|(byte, other)| *byte ^= other);
    }

    fn mix(&mut self, bytes: &[u8]) {
        self.xor(bytes);
        self.0 = sha1::digest(&self.0);
    }

    /// Takes in a value and whether it expires.
    fn add_value(&mut self, entry: &KeyEntry) {
        match entry.collection() {
            Some(Collection::List(list)) => {
                self.mix(&TYPE_LIST.to_be_bytes());
                list.each(|element| self.mix(&element.to_cow()));
            }
            Some(Collection::Set(set)) => {
                self.mix(&TYPE_SET.to_be_bytes());
                set.each(|member| self.xor(&member.to_cow()));
            }
            Some(Collection::SortedSet(set)) => {
                self.mix(&TYPE_SORTED_SET.to_be_bytes());
                set.each(|member, score| {
                    let mut of_member = Digest::default();
                    of_member.mix(&member.to_cow());
                    of_member.mix(TextBuffer::new().format_digits(score));
                    self.xor(&of_member.0);
                });
            }
            Some(Collection::Hash(hash)) => {
                self.mix(&TYPE_HASH.to_be_bytes());
                hash.each_timed(|name, value, at_ms| {
                    let mut of_field = Digest::default();
                    of_field.mix(&name.to_cow());
                    of_field.mix(&value.to_cow());
                    if at_ms.is_some() {
                        of_field.xor(FIELD_EXPIRES);
                    }
                    self.xor(&of_field.0);
                });
            }
            None => {
                self.mix(&TYPE_STRING.to_be_bytes());
                if let Ok(string) = entry.as_string() {
                    self.mix(&string.to_cow());
                }
            }
        }
        if entry.expire_ms().is_some() {
            self.xor(EXPIRES);
        }
    }

    /// The digest of a value alone; without a value it is all zeros.
    pub(super) fn of_value(entry: Option<&KeyEntry>) -> Digest {
        let mut digest = Digest::default();
        if let Some(entry) = entry {
            digest.add_value(entry);
        }
        digest
    }

    /// The digest of everything. Empty databases leave no trace.
    pub(super) fn of_keyspace(keyspace: &Keyspace) -> Digest {
        let mut digest = Digest::default();
        for (number, db) in keyspace.iter().enumerate().filter(|(_, db)| !db.is_empty()) {
            digest.mix(&(number as u32).to_be_bytes());
            for entry in db.iter() {
                let mut of_key = Digest::default();
                of_key.mix(entry.key());
                of_key.add_value(entry);
                digest.xor(&of_key.0);
            }
        }
        digest
    }

    /// Its 40 digits.
    pub(super) fn hex(&self) -> String {
        sha1::hex(&self.0)
    }
}
