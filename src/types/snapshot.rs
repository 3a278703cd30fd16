//! Values as snapshots hold them: what DUMP writes and RESTORE reads, type byte first. No command knowledge; any one
//! thread.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use super::hash::{Form, Hash, HashLimits, HashRef};
use super::list::{List, ListRef};
use super::set::{Set, SetLimits, SetRef};
use super::sorted_set::{SortedSet, SortedSetLimits, SortedSetRef};
use super::timed_hash::TIME_MAX_MS;
use super::{Collection, KeyEntry, TypeLimits, Value};
use crate::encoding::intset::Intset;
use crate::encoding::listpack::Listpack;
use crate::encoding::old_packs;
use crate::encoding::quicklist::{Limits, Quicklist};
use crate::encoding::rdb::{self, Malformed, Reader};

/// A list: a count of elements, each a string. Read only.
const TYPE_LIST: u8 = 1;
/// A list: a count of nodes, each a kind and a string.
const TYPE_LIST_NODES: u8 = 18;
/// A set: a count of members, each a string.
const TYPE_SET: u8 = 2;
/// A set: sorted integers in a string.
const TYPE_SET_INTS: u8 = 11;
/// A set: a pack in a string.
const TYPE_SET_PACK: u8 = 20;
/// A sorted set: a count of members, each a string and the eight bytes of its score, the highest first.
const TYPE_SORTED_SET: u8 = 5;
/// A sorted set: a pack in a string.
const TYPE_SORTED_SET_PACK: u8 = 17;
/// A hash: a count of fields, each with its value two strings.
const TYPE_HASH: u8 = 4;
/// A hash: a pack in a string.
const TYPE_HASH_PACK: u8 = 16;
/// A hash of which fields expire: the first time, a count of fields, each a length, which is 0 where it stays or by how
/// much later than one before the first time it expires, and two strings.
const TYPE_HASH_TIMED: u8 = 24;
/// The same, as a pack with times in a string behind the first time.
const TYPE_HASH_TIMED_PACK: u8 = 25;
/// Both as versions before 7.4.0 wrote them: without the first time, and lengths that are times. Read only.
const TYPE_HASH_TIMED_OLD: u8 = 22;
const TYPE_HASH_TIMED_PACK_OLD: u8 = 23;

// What other versions wrote is read only.

/// A sorted set: a count of members, each a string and the text of its score.
const TYPE_SORTED_SET_TEXTS: u8 = 3;
/// A hash: a zipmap in a string.
const TYPE_HASH_ZIPMAP: u8 = 9;
/// A list: a ziplist in a string.
const TYPE_LIST_ZIPLIST: u8 = 10;
/// A sorted set: a ziplist in a string.
const TYPE_SORTED_SET_ZIPLIST: u8 = 12;
/// A hash: a ziplist in a string.
const TYPE_HASH_ZIPLIST: u8 = 13;
/// A list: a count of nodes, each a ziplist in a string.
const TYPE_LIST_ZIPLISTS: u8 = 14;

/// The kinds of nodes: one element, or a pack.
const NODE_PLAIN: u64 = 1;
const NODE_PACK: u64 = 2;

/// What was read.
#[derive(Debug)]
pub enum Restored<'a> {
    /// A string.
    String(Cow<'a, [u8]>),
    /// Anything else.
    Other(Value),
}

/// Bytes in front of a value of this type, behind the type, that DEBUG OBJECT does not count.
pub fn uncounted_bytes(kind: u8) -> usize {
    if matches!(kind, TYPE_HASH_TIMED | TYPE_HASH_TIMED_PACK) { size_of::<i64>() } else { 0 }
}

/// Appends the type and the value of an entry.
pub fn write(out: &mut Vec<u8>, entry: &KeyEntry, compress: bool) {
    match entry.collection() {
        Some(Collection::List(list)) => write_list(out, list, compress),
        Some(Collection::Set(set)) => write_set(out, set, compress),
        Some(Collection::Hash(hash)) => write_hash(out, hash, compress),
        Some(Collection::SortedSet(set)) => write_sorted_set(out, set, compress),
        None => {
            out.push(rdb::TYPE_STRING);
            if let Ok(text) = entry.as_string() {
                rdb::write_string(out, &text.to_cow(), compress);
            }
        }
    }
}

fn write_list(out: &mut Vec<u8>, list: ListRef<'_>, compress: bool) {
    out.push(TYPE_LIST_NODES);
    let node = |out: &mut Vec<u8>, bytes: &[u8], plain: bool| {
        rdb::write_len(out, if plain { NODE_PLAIN } else { NODE_PACK } as usize);
        rdb::write_string(out, bytes, compress);
    };
    match list {
        List::Pack(pack) => {
            rdb::write_len(out, 1);
            node(out, &pack.to_bytes(), false);
        }
        List::Quick(quick) => {
            rdb::write_len(out, quick.nodes_len());
            quick.each_node(|bytes, plain| node(out, bytes, plain));
        }
    }
}

fn write_set(out: &mut Vec<u8>, set: SetRef<'_>, compress: bool) {
    match set {
        Set::Ints(ints) => {
            out.push(TYPE_SET_INTS);
            rdb::write_string(out, &ints.to_snapshot(), compress);
        }
        Set::Pack(pack) => {
            out.push(TYPE_SET_PACK);
            rdb::write_string(out, &pack.to_bytes(), compress);
        }
        Set::Table(table) => {
            out.push(TYPE_SET);
            rdb::write_len(out, table.len());
            table.iter().for_each(|text| rdb::write_string(out, text, compress));
        }
    }
}

fn write_hash(out: &mut Vec<u8>, hash: HashRef<'_>, compress: bool) {
    let form = match hash {
        Hash::Pack(pack) => {
            out.push(TYPE_HASH_PACK);
            return rdb::write_string(out, &pack.to_bytes(), compress);
        }
        Hash::Other(form) => form,
    };
    let first_ms = match form {
        Form::TimedPack(pack) => {
            out.push(TYPE_HASH_TIMED_PACK);
            out.extend(pack.listed_ms.unwrap_or_default().to_le_bytes());
            return rdb::write_string(out, &pack.pack().to_bytes(), compress);
        }
        Form::Table(_) | Form::TimedTable(_) => hash.next_ms(),
    };
    match first_ms {
        None => out.push(TYPE_HASH),
        Some(first_ms) => {
            out.push(TYPE_HASH_TIMED);
            out.extend(first_ms.to_le_bytes());
        }
    }
    rdb::write_len(out, hash.len());
    hash.each_timed(|name, value, at_ms| {
        if let Some(first_ms) = first_ms {
            rdb::write_len(out, at_ms.map_or(0, |at_ms| (at_ms - first_ms + 1) as usize));
        }
        rdb::write_string(out, &name.to_cow(), compress);
        rdb::write_string(out, &value.to_cow(), compress);
    });
}

fn write_sorted_set(out: &mut Vec<u8>, set: SortedSetRef<'_>, compress: bool) {
    match set {
        SortedSet::Pack(pack) => {
            out.push(TYPE_SORTED_SET_PACK);
            rdb::write_string(out, &pack.to_bytes(), compress);
        }
        SortedSet::Tree(_) => {
            out.push(TYPE_SORTED_SET);
            rdb::write_len(out, set.len());
            set.range(0..set.len(), true, |member, score| {
                rdb::write_string(out, &member.to_cow(), compress);
                out.extend(score.to_le_bytes());
            });
        }
    }
}

/// Reads a type and a value. `limits` are the present ones: what was written under others is laid out anew.
pub fn read<'a>(reader: &mut Reader<'a>, limits: &TypeLimits) -> Result<Restored<'a>, Malformed> {
    let value = match reader.byte()? {
        rdb::TYPE_STRING => return reader.string().map(Restored::String),
        TYPE_LIST => Value::Other(Collection::List(read_list(reader, limits.list)?)),
        TYPE_LIST_NODES => Value::Other(Collection::List(read_nodes(reader, limits.list)?)),
        TYPE_SET => Value::Other(Collection::Set(read_set(reader, &limits.set)?)),
        TYPE_SET_INTS => Value::Other(Collection::Set(read_ints(reader, &limits.set)?)),
        TYPE_SET_PACK => {
            let pack = Listpack::from_bytes(reader.string()?.into_owned()).ok_or(Malformed)?;
            Value::Other(Collection::Set(Set::from_pack(pack, &limits.set).ok_or(Malformed)?))
        }
        TYPE_HASH => Value::Other(Collection::Hash(read_hash(reader, &limits.hash)?)),
        TYPE_HASH_PACK => {
            let pack = Listpack::from_bytes(reader.string()?.into_owned()).ok_or(Malformed)?;
            Value::Other(Collection::Hash(Hash::from_pack(pack, &limits.hash).ok_or(Malformed)?))
        }
        TYPE_SORTED_SET => Value::from(read_members(reader, &limits.sorted_set, Reader::double)?),
        TYPE_HASH_TIMED => {
            let first_ms = reader.time()?;
            Value::from(read_timed_hash(reader, first_ms.checked_sub(1).ok_or(Malformed)?, &limits.hash)?)
        }
        TYPE_HASH_TIMED_OLD => Value::from(read_timed_hash(reader, 0, &limits.hash)?),
        TYPE_HASH_TIMED_PACK => {
            reader.time()?;
            Value::from(read_timed_pack(reader, &limits.hash)?)
        }
        TYPE_HASH_TIMED_PACK_OLD => Value::from(read_timed_pack(reader, &limits.hash)?),
        TYPE_SORTED_SET_PACK => {
            let pack = Listpack::from_bytes(reader.string()?.into_owned()).ok_or(Malformed)?;
            Value::from(SortedSet::from_pack(pack, &limits.sorted_set).ok_or(Malformed)?)
        }
        old => read_old(old, reader, limits)?,
    };
    Ok(Restored::Other(value))
}

/// Reads a value of a type that is not written any more.
fn read_old(kind: u8, reader: &mut Reader<'_>, limits: &TypeLimits) -> Result<Value, Malformed> {
    Ok(match kind {
        TYPE_SORTED_SET_TEXTS => {
            let score = |reader: &mut Reader<'_>| reader.double_text();
            Value::from(read_members(reader, &limits.sorted_set, score)?)
        }
        TYPE_SORTED_SET_ZIPLIST => {
            let pack = read_ziplist(reader)?;
            Value::from(SortedSet::from_pack(pack, &limits.sorted_set).ok_or(Malformed)?)
        }
        TYPE_HASH_ZIPLIST => Value::from(Hash::from_pack(read_ziplist(reader)?, &limits.hash).ok_or(Malformed)?),
        TYPE_HASH_ZIPMAP => {
            let pack = old_packs::from_zipmap(&reader.string()?).ok_or(Malformed)?;
            let (mut texts, mut hash) = (pack.iter(), Hash::default());
            while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
                if !hash.set(&name.to_cow(), &value.to_cow(), &limits.hash) {
                    return Err(Malformed);
                }
            }
            if hash.is_empty() {
                return Err(Malformed);
            }
            Value::from(hash)
        }
        TYPE_LIST_ZIPLIST => {
            let mut quick = Quicklist::new(limits.list);
            push_ziplist(&mut quick, reader)?;
            // As in Redis: such a list is not looked at before it changes.
            if quick.is_empty() {
                return Err(Malformed);
            }
            Value::from(List::Quick(Box::new(quick)))
        }
        TYPE_LIST_ZIPLISTS => {
            let mut quick = Quicklist::new(limits.list);
            for _ in 0..reader.length()? {
                push_ziplist(&mut quick, reader)?;
            }
            Value::from(settled(quick, limits.list)?)
        }
        _ => return Err(Malformed),
    })
}

fn read_ziplist(reader: &mut Reader<'_>) -> Result<Listpack, Malformed> {
    old_packs::from_ziplist(&reader.string()?).ok_or(Malformed)
}

/// Adds the entries of a ziplist, which may have none, as a node.
fn push_ziplist(quick: &mut Quicklist, reader: &mut Reader<'_>) -> Result<(), Malformed> {
    let pack = read_ziplist(reader)?;
    if !pack.is_empty() {
        quick.push_pack(pack);
    }
    Ok(())
}

fn read_set(reader: &mut Reader<'_>, limits: &SetLimits) -> Result<Set, Malformed> {
    let count = usize::try_from(reader.length()?).map_err(|_| Malformed)?;
    let mut set = None;
    for _ in 0..count {
        let text = reader.string()?;
        let set = set.get_or_insert_with(|| Set::for_member(&text, count, limits));
        if !set.add(&text, limits) {
            return Err(Malformed);
        }
    }
    set.ok_or(Malformed)
}

fn read_ints(reader: &mut Reader<'_>, limits: &SetLimits) -> Result<Set, Malformed> {
    let ints = Intset::from_bytes(reader.string()?.into_owned()).filter(|ints| !ints.is_empty()).ok_or(Malformed)?;
    let count = ints.len();
    let mut set = Set::Ints(ints);
    set.make_room(count, limits);
    Ok(set)
}

/// Members, each with what `read_score` reads.
fn read_members<'a>(
    reader: &mut Reader<'a>,
    limits: &SortedSetLimits,
    read_score: impl Fn(&mut Reader<'a>) -> Result<f64, Malformed>,
) -> Result<SortedSet, Malformed> {
    let mut set = SortedSet::default();
    for _ in 0..reader.length()? {
        let (member, score) = (reader.string()?, read_score(reader)?);
        if score.is_nan() || !set.set(&member, score, limits) {
            return Err(Malformed);
        }
    }
    if set.is_empty() { Err(Malformed) } else { Ok(set) }
}

fn read_hash(reader: &mut Reader<'_>, limits: &HashLimits) -> Result<Hash, Malformed> {
    let mut hash = Hash::default();
    for _ in 0..reader.length()? {
        let (name, value) = (reader.string()?, reader.string()?);
        if !hash.set(&name, &value, limits) {
            return Err(Malformed);
        }
    }
    if hash.is_empty() { Err(Malformed) } else { Ok(hash) }
}

/// `base_ms` is what the times are counted from.
fn read_timed_hash(reader: &mut Reader<'_>, base_ms: i64, limits: &HashLimits) -> Result<Hash, Malformed> {
    let mut hash = Hash::default();
    hash.make_timed(limits);
    for _ in 0..reader.length()? {
        let after_ms = i64::try_from(reader.length()?).map_err(|_| Malformed)?;
        let (name, value) = (reader.string()?, reader.string()?);
        if !hash.set(&name, &value, limits) {
            return Err(Malformed);
        }
        if after_ms > 0 {
            let at_ms =
                base_ms.checked_add(after_ms).filter(|at_ms| (1..=TIME_MAX_MS).contains(at_ms)).ok_or(Malformed)?;
            hash.set_time(&name, Some(at_ms), limits);
        }
    }
    hash.set_listed(hash.next_ms());
    if hash.is_empty() { Err(Malformed) } else { Ok(hash) }
}

fn read_timed_pack(reader: &mut Reader<'_>, limits: &HashLimits) -> Result<Hash, Malformed> {
    let pack = Listpack::from_bytes(reader.string()?.into_owned()).ok_or(Malformed)?;
    Hash::from_timed_pack(pack, limits).ok_or(Malformed)
}

fn read_list(reader: &mut Reader<'_>, limits: Limits) -> Result<List, Malformed> {
    let mut quick = Quicklist::new(limits);
    for _ in 0..reader.length()? {
        quick.push_back(&reader.string()?);
    }
    settled(quick, limits)
}

fn read_nodes(reader: &mut Reader<'_>, limits: Limits) -> Result<List, Malformed> {
    let mut quick = Quicklist::new(limits);
    for _ in 0..reader.length()? {
        let kind = reader.length()?;
        let bytes = reader.string()?;
        match kind {
            NODE_PLAIN => quick.push_plain(&bytes),
            NODE_PACK => quick.push_pack(Listpack::from_bytes(bytes.into_owned()).ok_or(Malformed)?),
            _ => return Err(Malformed),
        }
    }
    settled(quick, limits)
}

/// There are no empty lists.
fn settled(quick: Quicklist, limits: Limits) -> Result<List, Malformed> {
    if quick.is_empty() {
        return Err(Malformed);
    }
    Ok(List::of_nodes(quick, limits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::siphash::SipKey;
    use crate::encoding::listpack::Element;
    use crate::types::NewValue;
    use crate::types::list::End;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { fill: 4, depth: 1, large_min: 0 };

    fn limits() -> TypeLimits {
        let key = SipKey::new(1, 2);
        TypeLimits {
            list: LIMITS,
            set: SetLimits { ints: 4, pack: 3, value: 5, key },
            hash: HashLimits { entries: 3, value: 5, key },
            sorted_set: SortedSetLimits { entries: 3, value: 5, key },
        }
    }

    /// What is read from what is written for a value.
    fn there_and_back(value: Value, compress: bool) -> Value {
        let entry = KeyEntry::new(b"k", NewValue::of(value), None);
        let mut out = Vec::new();
        write(&mut out, &entry, compress);
        match read(&mut Reader::new(&out), &limits()) {
            Ok(Restored::Other(value)) => value,
            other => panic!("a value: {other:?}"),
        }
    }

    fn list_of(texts: &[Vec<u8>]) -> List {
        let mut list = List::default();
        list.make_room(texts.iter().map(Vec::as_slice), LIMITS);
        texts.iter().for_each(|text| list.push(End::Back, text));
        list
    }

    fn texts_of(list: &List) -> Vec<Vec<u8>> {
        let mut texts = Vec::new();
        list.each(|element: Element<'_>| texts.push(element.to_vec()));
        texts
    }

    /// As redis-server 8.0.6 dumps it under the same limits.
    #[test]
    fn a_list_with_a_compressed_node() {
        let mut texts: Vec<Vec<u8>> = (1..=12).map(|number| number.to_string().into_bytes()).collect();
        texts[4] = vec![b'a'; 70];
        let entry = KeyEntry::new(b"k", NewValue::of(Value::Other(Collection::List(list_of(&texts)))), None);
        let mut out = Vec::new();
        write(&mut out, &entry, true);
        assert_eq!(out[..21], *b"\x12\x03\x02\x0f\x0f\0\0\0\x04\0\x01\x01\x02\x01\x03\x01\x04\x01\xff\x02\xc3");
        let Ok(Restored::Other(Value::Other(Collection::List(list)))) = read(&mut Reader::new(&out), &limits()) else {
            panic!("a list")
        };
        assert_eq!((texts_of(&list), list.encoding()), (texts, "quicklist"));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for bytes in [
            &b""[..],
            b"\x12\x00",
            b"\x12\x01\x02\x07\x07\0\0\0\0\0\xff",
            b"\x12\x01\x03\x01a",
            b"\x12\x01\x02\x01a",
            b"\x12\x02\x01\x01a",
            b"\x01\x02\x01a",
            b"\x63\x01",
            // Ziplists without entries.
            b"\x0a\x0b\x0b\0\0\0\x0a\0\0\0\0\0\xff",
            b"\x0e\x01\x0b\x0b\0\0\0\x0a\0\0\0\0\0\xff",
            b"\x0e\0",
            b"\x0e\x02\x0b\x0b\0\0\0\x0a\0\0\0\0\0\xff",
        ] {
            assert!(read(&mut Reader::new(bytes), &limits()).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn lists_as_old_versions_wrote_them() {
        let Ok(Restored::Other(Value::Other(Collection::List(list)))) =
            read(&mut Reader::new(b"\x01\x02\x01a\xc0\x07"), &limits())
        else {
            panic!("a list")
        };
        assert_eq!((texts_of(&list), list.encoding()), (vec![b"a".to_vec(), b"7".to_vec()], "listpack"));
    }

    /// What redis-server 8.0.6 makes of what versions before 7.0 wrote: type, encoding, contents.
    #[test]
    fn collections_as_older_versions_wrote_them() {
        for (bytes, encoding, contents) in [
            (&b"\x0a\x10\x10\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xf2\xff"[..], "quicklist", "a 1"),
            (b"\x0e\x01\x10\x10\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xf2\xff", "listpack", "a 1"),
            (
                b"\x0e\x02\x10\x10\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xf2\xff\x0b\x0b\0\0\0\x0a\0\0\0\0\0\xff",
                "listpack",
                "a 1",
            ),
            (b"\x0c\x10\x10\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xf2\xff", "listpack", "a 1"),
            (b"\x0d\x10\x10\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xf2\xff", "listpack", "a 1"),
            (b"\x09\x08\x01\x01a\x01\x011x\xff", "listpack", "a 1"),
            (b"\x09\x0c\x01\x01a\x06\x00123456\xff", "hashtable", "a 123456"),
            (b"\x03\x03\x01a\x031.5\x01b\xfe\x01c\xff", "listpack", "c -inf a 1.5 b inf"),
        ] {
            let Ok(Restored::Other(value)) = read(&mut Reader::new(bytes), &limits()) else { panic!("{bytes:?}") };
            let mut texts = Vec::new();
            let mut see = |text: &[u8]| texts.push(String::from_utf8_lossy(text).into_owned());
            match &value {
                Value::Other(Collection::List(list)) => list.each(|element| see(&element.to_cow())),
                Value::Other(Collection::Hash(hash)) => hash.each_timed(|name, value, _| {
                    see(&name.to_cow());
                    see(&value.to_cow());
                }),
                Value::Other(Collection::SortedSet(set)) => set.each(|member, score| {
                    see(&member.to_cow());
                    see(score.to_string().as_bytes());
                }),
                other => panic!("{other:?}"),
            }
            assert_eq!(texts.join(" "), contents, "{bytes:?}");
            assert_eq!(KeyEntry::new(b"k", NewValue::of(value), None).encoding(), encoding, "{bytes:?}");
        }
        for bytes in [
            // An odd number of entries, and a name twice.
            &b"\x0d\x0e\x0e\0\0\0\x0a\0\0\0\x01\0\0\x01a\xff"[..],
            b"\x09\x0c\x02\x01a\x01\x001\x01a\x01\x002\xff",
            b"\x09\x02\0\xff",
            b"\x03\x01\x01a\xfd",
            b"\x03\x01\x01a\x01x",
            b"\x03\x02\x01a\x011\x01a\x012",
        ] {
            assert!(read(&mut Reader::new(bytes), &limits()).is_err(), "{bytes:?}");
        }
    }

    /// As redis-server 8.0.6 dumps them.
    #[test]
    fn sorted_sets_in_both_forms() {
        let of = |members: &[(&str, f64)]| {
            let mut set = SortedSet::default();
            members.iter().for_each(|(member, score)| _ = set.set(member.as_bytes(), *score, &limits().sorted_set));
            let mut out = Vec::new();
            write(&mut out, &KeyEntry::new(b"k", NewValue::of(set.clone().into()), None), false);
            let read = there_and_back(set.into(), false);
            let mut back = Vec::new();
            let Value::Other(Collection::SortedSet(read)) = read else { panic!("of the same type") };
            read.each(|member, score| back.push((member.to_vec(), score)));
            assert!(back.iter().map(|(member, score)| (&member[..], *score)).eq({
                let mut wanted: Vec<(&[u8], f64)> = members.iter().map(|it| (it.0.as_bytes(), it.1)).collect();
                wanted.sort_by(|left, right| left.1.total_cmp(&right.1));
                wanted
            }));
            out
        };
        let pack = b"\x11\x19\x19\0\0\0\x06\0\x81a\x02\x830.1\x04\x81b\x02\x01\x01\x81c\x02\x02\x01\xff";
        assert_eq!(of(&[("a", 0.1), ("b", 1.0), ("c", 2.0)]), pack);
        let table = of(&[("a", 0.1), ("b", 1.0), ("c", 1.5), ("d", 1e20)]);
        let wanted = b"\x05\x04\x01d@\x8c\xb5x\x1d\xaf\x15D\x01c\0\0\0\0\0\0\xf8?\x01b\0\0\0\0\0\0\xf0?\x01a\x9a\x99\x99\x99\x99\x99\xb9?";
        assert_eq!(table, wanted);
        for bytes in [&b"\x05\0"[..], b"\x05\x01\x01a\0\0", b"\x05\x01\x01a\0\0\0\0\0\0\xf8\x7f"] {
            assert!(read(&mut Reader::new(bytes), &limits()).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn sets_and_hashes_from_elsewhere_have_everything_once() {
        for bytes in [
            &b"\x02\x02\x01a\x01a"[..],
            b"\x02\0",
            b"\x04\x02\x01a\x01b\x01a\x01c",
            b"\x04\0",
            b"\x0b\x08\x02\0\0\0\0\0\0\0",
        ] {
            assert!(read(&mut Reader::new(bytes), &limits()).is_err(), "{bytes:?}");
        }
    }

    /// As redis-server 8.0.6 dumps them.
    #[test]
    fn hashes_of_which_fields_expire() {
        let of = |texts: &[(&str, Option<i64>)]| {
            let mut hash = Hash::default();
            hash.make_timed(&limits().hash);
            for (name, at_ms) in texts {
                hash.set(name.as_bytes(), b"1", &limits().hash);
                hash.set_time(name.as_bytes(), *at_ms, &limits().hash);
            }
            hash.set_listed(hash.next_ms());
            let mut out = Vec::new();
            write(&mut out, &KeyEntry::new(b"k", NewValue::of(hash.clone().into()), None), false);
            let Value::Other(Collection::Hash(read)) = there_and_back(hash.clone().into(), false) else {
                panic!("of the same type")
            };
            assert_eq!((read.encoding(), read.len()), (hash.encoding(), hash.len()));
            assert_eq!((read.next_ms(), read.listed_ms()), (hash.next_ms(), hash.listed_ms()));
            assert!(texts.iter().all(|(name, at_ms)| read.time_of(name.as_bytes()) == Some(*at_ms)));
            out
        };
        let first_ms = 4_000_000_000_000;
        let pack = b"\x19\0@\x94R\xa3\x03\0\0\x1d\x1d\0\0\0\x06\0\x81a\x02\x01\x01\xf4\0@\x94R\xa3\x03\0\0\t\x81b\x02\x01\x01\0\x01\xff";
        assert_eq!(of(&[("b", None), ("a", Some(first_ms))]), pack);
        let stays = b"\x19\0\0\0\0\0\0\0\0\x0e\x0e\0\0\0\x03\0\x81a\x02\x01\x01\0\x01\xff";
        assert_eq!(of(&[("a", None)]), stays);
        let table = of(&[("a", Some(first_ms)), ("b", None), ("c", Some(first_ms + 4)), ("d", None)]);
        assert_eq!(table[..10], *b"\x18\0@\x94R\xa3\x03\0\0\x04");
        let mut fields: Vec<&[u8]> = table[10..].chunks(5).collect();
        fields.sort_unstable();
        assert_eq!(fields, [&b"\0\x01b\xc0\x01"[..], b"\0\x01d\xc0\x01", b"\x01\x01a\xc0\x01", b"\x05\x01c\xc0\x01"]);
        let none = of(&[("a", None), ("b", None), ("c", None), ("d", None)]);
        assert_eq!(none[..2], *b"\x04\x04");
    }

    #[test]
    fn times_as_old_versions_wrote_them() {
        let first_ms = 4_000_000_000_000u64;
        let times = |body: &[u8]| match read(&mut Reader::new(body), &limits()) {
            Ok(Restored::Other(Value::Other(Collection::Hash(hash)))) => {
                Some((hash.time_of(b"a")?, hash.time_of(b"b")?, hash.listed_ms(), hash.encoding()))
            }
            _ => None,
        };
        let wanted = Some((Some(first_ms as i64), None, Some(first_ms as i64), "listpackex"));
        let lengths = [&b"\x16\x02\x81"[..], &first_ms.to_be_bytes(), b"\x01a\xc0\x01\0\x01b\xc0\x02"].concat();
        assert_eq!(times(&lengths), wanted);
        let pack = |elements: &[u8], count: u8| {
            let len = elements.len() as u8 + 7;
            [&[0x17, len, len, 0, 0, 0, count, 0], elements, b"\xff"].concat()
        };
        let a = b"\x81a\x02\x01\x01\xf4\0@\x94R\xa3\x03\0\0\t";
        let b = b"\x81b\x02\x02\x01\0\x01";
        assert_eq!(times(&pack(&[&a[..], b].concat(), 6)), wanted);
        // Out of order, twice the same, no time, no number, before all times.
        for (elements, count) in [
            ([&b[..], a].concat(), 6),
            ([&a[..], a].concat(), 6),
            (a[..5].to_vec(), 2),
            (b"\x81a\x02\x01\x01\x81x\x02".to_vec(), 3),
            (b"\x81a\x02\x01\x01\xdf\xff\x02".to_vec(), 3),
        ] {
            assert_eq!(
                read(&mut Reader::new(&pack(&elements, count)), &limits()).err(),
                Some(Malformed),
                "{elements:?}"
            );
        }
        // The latest time, and the one after it.
        for (time, fits) in [((1i64 << 48) - 1, true), (1 << 48, false)] {
            let time = time.to_le_bytes();
            let table = [&b"\x18"[..], &time, b"\x01\x01\x01a\xc0\x01"].concat();
            let pack = pack(&[b"\x81a\x02\x01\x01\xf4", &time[..], b"\t"].concat(), 3);
            assert_eq!(read(&mut Reader::new(&table), &limits()).is_ok(), fits, "{table:?}");
            assert_eq!(read(&mut Reader::new(&pack), &limits()).is_ok(), fits, "{pack:?}");
        }
        for body in [
            &b"\x18\0\0\0\0\0\0\0\0\0"[..],
            b"\x18\0\0\0\0\0\0\0\x80\x01\x01\x01a\xc0\x01",
            b"\x18\0\0\0\0\0\0\0\0\x01\x01\x01a\xc0\x01",
            b"\x18\x01\0\0\0\0\0\0\0\x01\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a\xc0\x01",
        ] {
            assert_eq!(read(&mut Reader::new(body), &limits()).err(), Some(Malformed), "{body:?}");
        }
    }

    proptest! {
        /// Whatever bytes stand behind a type, what is read of them can be written, and read again.
        #[test]
        fn any_bytes_are_survived(
            kind in 0u8..26,
            start in prop_oneof![
                Just(&b"\x10\x10\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xf2\xff"[..]),
                Just(&b"\x01\x10\x10\0\0\0\x0d\0\0\0\x02\0\0\x01a\x03\xf2\xff"[..]),
                Just(&b"\x08\x01\x01a\x01\x011x\xff"[..]),
                Just(&b"\x01\x01a\x011"[..]),
                Just(&b""[..]),
            ],
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            more in prop::collection::vec(any::<u8>(), 0..12),
        ) {
            let mut bytes = [&[kind], start, &more].concat();
            for (at, byte) in changes {
                let at = 1 + at.index(bytes.len());
                if at < bytes.len() {
                    bytes[at] = byte;
                }
            }
            if let Ok(Restored::Other(value)) = read(&mut Reader::new(&bytes), &limits()) {
                let again = there_and_back(value, false);
                prop_assert!(again.effort() > 0);
            }
        }

        #[test]
        fn sets_and_hashes_come_back(
            texts in prop::collection::btree_set("[0-9]{1,3}|[a-c]{1,7}", 1..9),
            compress: bool,
        ) {
            let (mut set, mut hash) = (Set::default(), Hash::default());
            for text in &texts {
                set.add(text.as_bytes(), &limits().set);
                hash.set(text.as_bytes(), text.as_bytes(), &limits().hash);
            }
            let encodings = [set.encoding(), hash.encoding()];
            let (set, hash) = (there_and_back(Value::Other(Collection::Set(set)), compress), there_and_back(Value::Other(Collection::Hash(hash)), compress));
            let (Value::Other(Collection::Set(set)), Value::Other(Collection::Hash(hash))) = (set, hash) else { panic!("of the same types") };
            prop_assert_eq!((set.len(), hash.len()), (texts.len(), texts.len()));
            prop_assert!(texts.iter().all(|text| set.contains(text.as_bytes())));
            prop_assert!(texts.iter().all(|text| hash.get(text.as_bytes(), 0).is_some_and(|value| *value.to_cow() == *text.as_bytes())));
            prop_assert_eq!([set.encoding(), hash.encoding()], encodings);
        }

        #[test]
        fn lists_come_back(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..40),
            compress: bool,
        ) {
            let list = list_of(&texts);
            let entry = KeyEntry::new(b"k", NewValue::of(Value::Other(Collection::List(list.clone()))), None);
            let mut out = Vec::new();
            write(&mut out, &entry, compress);
            let Ok(Restored::Other(Value::Other(Collection::List(read)))) = read(&mut Reader::new(&out), &limits()) else { panic!("a list") };
            prop_assert_eq!(texts_of(&read), texts);
            prop_assert_eq!(read.encoding(), list.encoding());
        }
    }
}
