//! HOT PATH. What is going to be looked for in big tables is asked for some time before, in two steps: its place, and what
//! is there. Changes nothing, so that a wrong guess costs but time. Any one thread.

#![forbid(unsafe_code)]

use crate::encoding::fields::Fields;
use crate::encoding::members::Members;
use crate::types::hash::{Form, Hash};
use crate::types::set::Set;
use crate::types::sorted_set::{SortedSet, Tree};
use crate::types::{Collection, KeyEntry};

/// Tables with fewer members are near anyway: they fit the second-level cache.
const MEMBERS_MIN: usize = 1024;

/// A member or field whose place was asked for.
#[derive(Clone, Copy)]
pub struct Probe<'v> {
    table: Kind<'v>,
    hash: u64,
}

#[derive(Clone, Copy)]
enum Kind<'v> {
    Members(&'v Members),
    Fields(&'v Fields),
    Tree(&'v Tree),
}

impl<'v> Probe<'v> {
    /// Asks for the place of a member in the value at a key. None where that is no big table.
    #[inline]
    pub fn of(entry: &'v KeyEntry, member: &[u8]) -> Option<Probe<'v>> {
        let fields = match entry.collection()? {
            Collection::Set(Set::Table(members)) if members.len() >= MEMBERS_MIN => {
                return Some(Probe { hash: members.prefetch_place(member)?, table: Kind::Members(members) });
            }
            Collection::SortedSet(SortedSet::Tree(tree)) if tree.len() >= MEMBERS_MIN => {
                return Some(Probe { hash: tree.prefetch_bucket(member), table: Kind::Tree(tree) });
            }
            Collection::Hash(Hash::Other(form)) => match form {
                Form::Table(table) => table,
                Form::TimedTable(table) => table.fields(),
                Form::TimedPack(_) => return None,
            },
            _ => return None,
        };
        let is_big = fields.len() >= MEMBERS_MIN;
        is_big.then(|| Probe { hash: fields.prefetch_bucket(member), table: Kind::Fields(fields) })
    }

    /// Asks for what is at the place, once that has arrived.
    #[inline]
    pub fn follow(self) {
        match self.table {
            Kind::Members(members) => members.prefetch_page(self.hash),
            Kind::Fields(fields) => fields.prefetch_field(self.hash),
            Kind::Tree(tree) => tree.prefetch_member(self.hash),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::siphash::SipKey;
    use crate::types::hash::HashLimits;
    use crate::types::list::List;
    use crate::types::set::SetLimits;
    use crate::types::sorted_set::SortedSetLimits;
    use crate::types::{NewValue, Value};

    #[test]
    fn big_tables_are_asked() {
        let key = SipKey::new(1, 2);
        let sets = SetLimits { ints: 8, pack: 6, value: 5, key };
        let hashes = HashLimits { entries: 6, value: 5, key };
        let sorted_sets = SortedSetLimits { entries: 6, value: 5, key };
        let finds = |value: Value| {
            let entry = KeyEntry::new(b"key", NewValue::of(value), None);
            let [there, missing] = [&b"7"[..], b"none"].map(|member| Probe::of(&entry, member).map(Probe::follow));
            assert_eq!(there, missing);
            there.is_some()
        };
        for (count, big) in [(6, false), (MEMBERS_MIN - 1, false), (MEMBERS_MIN, true)] {
            let (mut set, mut hash, mut sorted) = (Set::default(), Hash::default(), SortedSet::default());
            for number in 0..count {
                let text = number.to_string();
                set.add(text.as_bytes(), &sets);
                hash.make_room([text.as_bytes(), b"longer"].into_iter(), &hashes);
                hash.set(text.as_bytes(), b"longer", &hashes);
                sorted.set(text.as_bytes(), 1.0, &sorted_sets);
            }
            assert_eq!([finds(set.into()), finds(hash.into()), finds(sorted.into())], [big; 3], "{count}");
        }
        assert!(!finds(List::default().into()));
        assert!(Probe::of(&KeyEntry::new(b"key", NewValue::Inline(b"text"), None), b"7").is_none());
    }
}
