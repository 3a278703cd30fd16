//! What SCAN has in common with the walks through one collection: options, and the answer of cursor and members. Main
//! thread.

#![forbid(unsafe_code)]

use crate::base::{glob, integer};
use crate::command::error::{CommandError, NOT_AN_INTEGER, SYNTAX};
use crate::encoding::listpack::Element;
use crate::resp::args::Args;
use crate::resp::reply::Reply;

/// The cursor is no number.
pub(crate) const INVALID_CURSOR: CommandError = CommandError::fixed("invalid cursor");
const NOVALUES: CommandError = CommandError::fixed("NOVALUES option can only be used in HSCAN");

/// How many keys or members one call looks at unless told otherwise.
const COUNT_DEFAULT: i64 = 10;

/// Buckets looked into at most for each member that was asked for, as SCAN's.
const BUCKETS_PER_MEMBER: usize = 10;

/// What is walked through: which options there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// A database.
    Keys,
    /// A hash.
    Fields,
    /// Another collection.
    Members,
}

/// Options.
pub(crate) struct Filter<'a> {
    /// How many are wanted, about.
    pub(crate) count: usize,
    /// What their names match.
    pub(crate) pattern: Option<&'a [u8]>,
    /// Of which type they are.
    pub(crate) type_name: Option<&'a [u8]>,
    /// Values are left out.
    pub(crate) without_values: bool,
}

impl<'a> Filter<'a> {
    /// The arguments from `first` on.
    pub(crate) fn read(args: Args<'a>, first: usize, scanned: Scanned) -> Result<Filter<'a>, CommandError> {
        let mut filter = Filter { count: 0, pattern: None, type_name: None, without_values: false };
        let (mut index, mut count) = (first, COUNT_DEFAULT);
        while index < args.len() {
            let word = args.get(index);
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            if is("NOVALUES") {
                if scanned != Scanned::Fields {
                    return Err(NOVALUES);
                }
                filter.without_values = true;
                index += 1;
                continue;
            }
            if index + 1 == args.len() {
                return Err(SYNTAX);
            }
            let value = args.get(index + 1);
            if is("COUNT") {
                count = integer::parse_i64(value).ok_or(NOT_AN_INTEGER)?;
                if count < 1 {
                    return Err(SYNTAX);
                }
            } else if is("MATCH") {
                filter.pattern = (value != b"*").then_some(value);
            } else if is("TYPE") && scanned == Scanned::Keys {
                filter.type_name = Some(value);
            } else {
                return Err(SYNTAX);
            }
            index += 2;
        }
        filter.count = usize::try_from(count).unwrap_or(usize::MAX);
        Ok(filter)
    }
}

/// Members that a walk came upon. The cursor is answered before them but known after them: their texts wait here, back to
/// back.
pub(crate) struct Found<'f> {
    filter: &'f Filter<'f>,
    texts: Vec<u8>,
    ends: Vec<usize>,
    seen: usize,
}

impl Found<'_> {
    /// Takes in a member, with its value where it has one, if it matches.
    pub(crate) fn add(&mut self, name: Element<'_>, value: Option<Element<'_>>) {
        self.seen += 1;
        let text = name.to_cow();
        if self.filter.pattern.is_some_and(|pattern| !glob::matches(pattern, &text)) {
            return;
        }
        self.texts.extend_from_slice(&text);
        self.ends.push(self.texts.len());
        if let Some(value) = value.filter(|_| !self.filter.without_values) {
            self.texts.extend_from_slice(&value.to_cow());
            self.ends.push(self.texts.len());
        }
    }
}

/// Walks on from `cursor` by calling `step`, which adds what it comes upon and returns the next cursor, until there are
/// about as many as are wanted; answers the cursor and the members.
pub(crate) fn walk<'f>(
    reply: &mut Reply,
    cursor: u64,
    filter: &'f Filter<'f>,
    mut step: impl FnMut(u64, &mut Found<'f>) -> u64,
) {
    let mut found = Found { filter, texts: Vec::new(), ends: Vec::new(), seen: 0 };
    let mut cursor = cursor;
    for _ in 0..filter.count.saturating_mul(BUCKETS_PER_MEMBER) {
        cursor = step(cursor, &mut found);
        if cursor == 0 || found.seen >= filter.count {
            break;
        }
    }
    reply.array(2);
    reply.bulk(itoa::Buffer::new().format(cursor).as_bytes());
    reply.array(found.ends.len());
    let mut start = 0;
    for end in found.ends {
        reply.bulk(&found.texts[start..end]);
        start = end;
    }
}

/// The end of a walk through nothing.
pub(crate) fn reply_nothing(reply: &mut Reply) {
    reply.array(2);
    reply.bulk(b"0");
    reply.array(0);
}
