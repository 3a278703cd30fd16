//! Hashes: one pack of fields and values in turns while they are few and short, then a table. Redis' conversions at
//! Redis' limits; a hash never goes back. One of which a field ever expires is laid out in another way, see `timed_hash`;
//! the others pay nothing for it. Any one thread.

#![forbid(unsafe_code)]

use std::ops::Deref;

use crate::base::rng::Rng;
use crate::base::siphash::SipKey;
use crate::encoding::fields::Fields;
use crate::encoding::listpack::{self, Element, Listpack, Place};
use crate::encoding::packed::{Packed, ReadPack};
use crate::types::timed_hash::{TimedPack, TimedTable, is_over};

/// What the time of a field adds to a pack at most, in bytes.
const TIME_BYTES_MAX: usize = 11;

/// When a hash changes its encoding.
#[derive(Clone, Copy, Debug)]
pub struct HashLimits {
    /// Fields of a pack: `hash-max-listpack-entries`.
    pub entries: usize,
    /// Bytes of a field or value of a pack: `hash-max-listpack-value`.
    pub value: usize,
    /// What tables hash with.
    pub key: SipKey,
}

/// The hash. One that a key holds has fields.
#[derive(Clone, Copy, Debug)]
pub enum Hash<P = Listpack, F = Box<Form>> {
    /// Few and short fields and values that stay.
    Pack(P),
    /// Anything else.
    Other(F),
}

/// A hash to be read, wherever it lies.
pub type HashRef<'a> = Hash<Packed<'a>, &'a Form>;

/// What hashes are that are no pack.
#[derive(Clone, Debug)]
pub enum Form {
    /// Any fields that stay.
    Table(Fields),
    /// Few and short fields that may expire.
    TimedPack(TimedPack),
    /// Any fields that may expire.
    TimedTable(TimedTable),
}

// Beside a pack there is room for one pointer: that is why the rest is behind it.
const _: () = assert!(size_of::<Hash>() == 16);

impl Default for Hash {
    fn default() -> Hash {
        Hash::Pack(Listpack::new())
    }
}

/// Where a field of a pack and its value are.
fn find(pack: Packed<'_>, name: &[u8]) -> Option<(Place, Place)> {
    let field = pack.find(name, pack.first(), 1)?;
    Some((field, pack.next(field)?))
}

impl Form {
    fn len(&self) -> usize {
        match self {
            Form::Table(table) => table.len(),
            Form::TimedPack(pack) => pack.len(),
            Form::TimedTable(table) => table.fields().len(),
        }
    }

    fn get_timed(&self, name: &[u8]) -> Option<(Element<'_>, Option<i64>)> {
        match self {
            Form::Table(table) => table.get(name).map(|value| (value, None)),
            Form::TimedPack(pack) => pack.get(name),
            Form::TimedTable(table) => table.fields().get_timed(name),
        }
    }
}

/// What every hash has.
impl<P: ReadPack, F: Deref<Target = Form>> Hash<P, F> {
    /// The encoding as OBJECT ENCODING answers it.
    pub fn encoding(&self) -> &'static str {
        match self {
            Hash::Pack(_) => "listpack",
            Hash::Other(form) => match **form {
                Form::TimedPack(_) => "listpackex",
                Form::Table(_) | Form::TimedTable(_) => "hashtable",
            },
        }
    }

    /// The pack that it is.
    pub fn pack(&self) -> Option<Packed<'_>> {
        match self {
            Hash::Pack(pack) => Some(pack.read()),
            Hash::Other(form) => match &**form {
                Form::TimedPack(pack) => Some(pack.pack().read()),
                Form::Table(_) | Form::TimedTable(_) => None,
            },
        }
    }

    /// How many fields there are, those whose time is over included.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Hash::Pack(pack) => pack.read().len() / 2,
            Hash::Other(form) => form.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a field whose time is not over.
    #[inline]
    pub fn get(&self, name: &[u8], now_ms: i64) -> Option<Element<'_>> {
        match self {
            Hash::Pack(pack) => find(pack.read(), name).map(|(_, value)| pack.read().get(value)),
            Hash::Other(form) => match &**form {
                Form::Table(table) => table.get(name),
                form => form.get_timed(name).filter(|(_, at_ms)| !is_over(*at_ms, now_ms)).map(|(value, _)| value),
            },
        }
    }

    /// Shows all fields and values, and when each expires.
    pub fn each_timed(&self, mut see: impl FnMut(Element<'_>, Element<'_>, Option<i64>)) {
        match self {
            Hash::Pack(pack) => {
                let mut texts = pack.read().iter();
                while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
                    see(name, value, None);
                }
            }
            Hash::Other(form) => match &**form {
                Form::Table(table) => table.iter().for_each(|(name, value)| see(Element::Bytes(name), value, None)),
                Form::TimedPack(pack) => pack.iter().for_each(|(name, value, at_ms)| see(name, value, at_ms)),
                Form::TimedTable(table) => {
                    table
                        .fields()
                        .iter_timed()
                        .for_each(|(name, value, at_ms)| see(Element::Bytes(name), value, at_ms));
                }
            },
        }
    }

    /// Shows all fields and values whose time is not over.
    pub fn each(&self, now_ms: i64, mut see: impl FnMut(Element<'_>, Element<'_>)) {
        self.each_timed(|name, value, at_ms| {
            if !is_over(at_ms, now_ms) {
                see(name, value);
            }
        });
    }

    /// A field chosen at random, with its value; its time may be over.
    pub fn random(&self, rng: &mut Rng) -> Option<(Element<'_>, Element<'_>)> {
        if self.is_empty() {
            return None;
        }
        let index = |rng: &mut Rng| rng.below(self.len() as u64) as usize;
        let of_table = |(name, value)| (Element::Bytes(name), value);
        match self {
            Hash::Pack(pack) => {
                let (pack, index) = (pack.read(), index(rng));
                let field = pack.seek(2 * index)?;
                Some((pack.get(field), pack.get(pack.next(field)?)))
            }
            Hash::Other(form) => match &**form {
                Form::Table(table) => table.random(rng).map(of_table),
                Form::TimedPack(pack) => pack.at(index(rng)),
                Form::TimedTable(table) => table.fields().random(rng).map(of_table),
            },
        }
    }

    /// Visits some fields whose time is not over and returns the next cursor; 0 starts and ends. A small hash is visited
    /// at once.
    pub fn scan(&self, cursor: u64, now_ms: i64, mut visit: impl FnMut(Element<'_>, Element<'_>)) -> u64 {
        let mut see = |name: &[u8], value: Element<'_>, at_ms| {
            if !is_over(at_ms, now_ms) {
                visit(Element::Bytes(name), value);
            }
        };
        match self {
            Hash::Other(form) => match &**form {
                Form::Table(table) => return table.scan(cursor, |name, value| see(name, value, None)),
                Form::TimedTable(table) => return table.fields().scan_timed(cursor, see),
                Form::TimedPack(_) => {}
            },
            Hash::Pack(_) => {}
        }
        self.each(now_ms, visit);
        0
    }
}

/// What is changed of every hash.
impl Hash {
    /// The hash to be read.
    #[inline]
    pub fn view(&self) -> HashRef<'_> {
        match self {
            Hash::Pack(pack) => Hash::Pack(pack.read()),
            Hash::Other(form) => Hash::Other(form),
        }
    }

    /// Bytes behind the hash.
    pub fn memory_usage(&self) -> usize {
        match self {
            Hash::Pack(pack) => pack.memory_usage(),
            Hash::Other(form) => {
                size_of::<Form>()
                    + match &**form {
                        Form::Table(table) => table.memory_usage(),
                        Form::TimedPack(pack) => pack.pack().memory_usage(),
                        Form::TimedTable(table) => table.memory_usage(),
                    }
            }
        }
    }

    /// How many allocations freeing it takes, about.
    pub fn effort(&self) -> usize {
        match self {
            Hash::Pack(_) => 1,
            Hash::Other(form) => match &**form {
                Form::TimedPack(_) => 2,
                form => form.len(),
            },
        }
    }

    /// Turns the hash into a table.
    fn spread(&mut self, limits: &HashLimits) {
        let form = match self {
            Hash::Pack(pack) => {
                let mut table = Fields::new(limits.key);
                let mut texts = pack.iter();
                while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
                    table.set(&name.to_cow(), &value.to_cow());
                }
                Form::Table(table)
            }
            Hash::Other(form) => match &**form {
                Form::TimedPack(pack) => Form::TimedTable(pack.to_table(limits.key)),
                Form::Table(_) | Form::TimedTable(_) => return,
            },
        };
        *self = Hash::Other(Box::new(form));
    }

    /// Called before fields and values, which are `texts` in turns, are set: changes the encoding where they are too many
    /// or too long.
    #[inline]
    pub fn make_room<'t>(&mut self, texts: impl ExactSizeIterator<Item = &'t [u8]>, limits: &HashLimits) {
        let pack = match self {
            Hash::Pack(pack) => pack,
            Hash::Other(form) => match &**form {
                Form::TimedPack(pack) => pack.pack(),
                Form::Table(_) | Form::TimedTable(_) => return,
            },
        };
        let (too_many, mut bytes) = (texts.len() / 2 > limits.entries, pack.bytes_bound());
        let mut too_long = false;
        for text in texts {
            too_long |= text.len() > limits.value;
            bytes += text.len();
        }
        if too_many || too_long || bytes >= listpack::BYTES_MAX {
            self.spread(limits);
        }
    }

    /// Sets the value of a field, which stays from now on. Returns whether it is new.
    #[inline]
    pub fn set(&mut self, name: &[u8], value: &[u8], limits: &HashLimits) -> bool {
        self.put(name, value, limits, false)
    }

    /// Sets the value of a field and leaves it its time. Returns whether it is new.
    pub fn update(&mut self, name: &[u8], value: &[u8], limits: &HashLimits) -> bool {
        self.put(name, value, limits, true)
    }

    #[inline]
    fn put(&mut self, name: &[u8], value: &[u8], limits: &HashLimits, keeps_time: bool) -> bool {
        if name.len() > limits.value || value.len() > limits.value {
            self.spread(limits);
        }
        let is_new = match self {
            Hash::Pack(pack) => match find(pack.read(), name) {
                Some((_, place)) => {
                    pack.replace(place, value);
                    false
                }
                None => {
                    pack.push_back(name);
                    pack.push_back(value);
                    true
                }
            },
            Hash::Other(form) => match &mut **form {
                Form::Table(table) => return table.set(name, value),
                Form::TimedPack(pack) => pack.set(name, value, keeps_time),
                Form::TimedTable(table) => return table.set(name, value, keeps_time),
            },
        };
        if is_new && self.len() > limits.entries {
            self.spread(limits);
        }
        is_new
    }

    /// Removes a field. Returns whether it was there.
    #[inline]
    pub fn remove(&mut self, name: &[u8]) -> bool {
        match self {
            Hash::Pack(pack) => match find(pack.read(), name) {
                Some((field, _)) => {
                    pack.remove_many(field, 2);
                    true
                }
                None => false,
            },
            Hash::Other(form) => match &mut **form {
                Form::Table(table) => table.remove(name),
                Form::TimedPack(pack) => pack.remove(name),
                Form::TimedTable(table) => table.remove(name),
            },
        }
    }

    /// A hash of a pack that came from elsewhere: each field once.
    pub fn from_pack(pack: Listpack, limits: &HashLimits) -> Option<Hash> {
        if pack.is_empty() || !pack.len().is_multiple_of(2) {
            return None;
        }
        let mut hash = Hash::Pack(pack);
        let mut seen = Fields::new(limits.key);
        let mut once = true;
        hash.each_timed(|name, _, _| once &= seen.set(&name.to_cow(), b""));
        if hash.len() > limits.entries {
            hash.spread(limits);
        }
        once.then_some(hash)
    }
}

/// What concerns the times of fields.
impl<P: ReadPack, F: Deref<Target = Form>> Hash<P, F> {
    /// Whether fields may expire.
    #[inline]
    pub fn is_timed(&self) -> bool {
        match self {
            Hash::Pack(_) => false,
            Hash::Other(form) => !matches!(**form, Form::Table(_)),
        }
    }

    /// Whether any of these fields is there still although its time is over.
    #[inline]
    pub fn has_over<'t>(&self, names: impl IntoIterator<Item = &'t [u8]>, now_ms: i64) -> bool {
        self.is_timed() && names.into_iter().any(|name| self.is_over(name, now_ms))
    }

    /// Whether a field is there still although its time is over.
    pub fn is_over(&self, name: &[u8], now_ms: i64) -> bool {
        self.time_of(name).is_some_and(|at_ms| is_over(at_ms, now_ms))
    }

    /// When a field expires: `None` where there is none, `Some(None)` where it stays.
    pub fn time_of(&self, name: &[u8]) -> Option<Option<i64>> {
        match self {
            Hash::Pack(pack) => find(pack.read(), name).map(|_| None),
            Hash::Other(form) => form.get_timed(name).map(|(_, at_ms)| at_ms),
        }
    }

    /// When the next field expires.
    pub fn next_ms(&self) -> Option<i64> {
        match self {
            Hash::Pack(_) => None,
            Hash::Other(form) => match &**form {
                Form::Table(_) => None,
                Form::TimedPack(pack) => pack.next_ms(),
                Form::TimedTable(table) => table.next_ms(),
            },
        }
    }

    /// Under which time the hash stands in the order of its database.
    #[inline]
    pub fn listed_ms(&self) -> Option<i64> {
        match self {
            Hash::Pack(_) => None,
            Hash::Other(form) => match &**form {
                Form::Table(_) => None,
                Form::TimedPack(pack) => pack.listed_ms,
                Form::TimedTable(table) => table.listed_ms,
            },
        }
    }

    /// How many fields there are whose time is not over.
    pub fn live_len(&self, now_ms: i64) -> usize {
        let over = match self {
            Hash::Pack(_) => 0,
            Hash::Other(form) => match &**form {
                Form::Table(_) => 0,
                Form::TimedPack(pack) => pack.count_over(now_ms),
                Form::TimedTable(table) => table.count_over(now_ms),
            },
        };
        self.len() - over
    }
}

/// What changes them.
impl Hash {
    /// Lays the hash out so that fields may expire.
    pub fn make_timed(&mut self, limits: &HashLimits) {
        if let Hash::Pack(pack) = self {
            if pack.bytes_len() * 2 >= listpack::BYTES_MAX {
                self.spread(limits);
            } else {
                *self = Hash::Other(Box::new(Form::TimedPack(TimedPack::of_pairs(pack))));
            }
        }
        if let Hash::Other(form) = self
            && let Form::Table(table) = &mut **form
        {
            let table = std::mem::replace(table, Fields::new(limits.key));
            **form = Form::TimedTable(TimedTable::new(table));
        }
    }

    /// Sets when a field that is there expires, if fields of this hash may expire.
    pub fn set_time(&mut self, name: &[u8], at_ms: Option<i64>, limits: &HashLimits) {
        if let Hash::Other(form) = self
            && let Form::TimedPack(pack) = &**form
            && pack.pack().bytes_len() + TIME_BYTES_MAX >= listpack::BYTES_MAX
        {
            self.spread(limits);
        }
        if let Hash::Other(form) = self {
            match &mut **form {
                Form::Table(_) => {}
                Form::TimedPack(pack) => pack.set_expire(name, at_ms),
                Form::TimedTable(table) => table.set_expire(name, at_ms),
            }
        }
    }

    /// Notes under which time it stands there now. Only hashes whose fields may expire stand there at all.
    pub fn set_listed(&mut self, listed_ms: Option<i64>) {
        if let Hash::Other(form) = self {
            match &mut **form {
                Form::Table(_) => {}
                Form::TimedPack(pack) => pack.listed_ms = listed_ms,
                Form::TimedTable(table) => table.listed_ms = listed_ms,
            }
        }
    }

    /// Removes up to `max` fields whose time is over, those first whose was first. Returns how many.
    pub fn remove_over(&mut self, now_ms: i64, max: usize) -> usize {
        match self {
            Hash::Pack(_) => 0,
            Hash::Other(form) => match &mut **form {
                Form::Table(_) => 0,
                Form::TimedPack(pack) => pack.remove_over(now_ms, max),
                Form::TimedTable(table) => table.remove_over(now_ms, max),
            },
        }
    }

    /// A hash of a pack with times that came from elsewhere.
    pub fn from_timed_pack(pack: Listpack, limits: &HashLimits) -> Option<Hash> {
        let pack = TimedPack::from_pack(pack, limits.key)?;
        let mut hash = Hash::Other(Box::new(Form::TimedPack(pack)));
        if hash.len() > limits.entries {
            hash.spread(limits);
        }
        Some(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn limits() -> HashLimits {
        HashLimits { entries: 6, value: 5, key: SipKey::new(1, 2) }
    }

    #[test]
    fn the_encoding_follows_the_fields() {
        let with = |count: usize, value: &str| {
            let mut hash = Hash::default();
            (0..count).for_each(|number| _ = hash.set(number.to_string().as_bytes(), value.as_bytes(), &limits()));
            (hash.len(), hash.encoding())
        };
        assert_eq!(with(6, "12345"), (6, "listpack"));
        assert_eq!(with(7, "1"), (7, "hashtable"));
        assert_eq!(with(1, "123456"), (1, "hashtable"));
        for (texts, encoding) in [(12, "listpack"), (14, "hashtable")] {
            let mut hash = Hash::default();
            hash.make_room(vec![&b"12345"[..]; texts].into_iter(), &limits());
            assert_eq!(hash.encoding(), encoding);
        }
        let mut hash = Hash::default();
        hash.make_room([&b"a"[..], b"123456"].into_iter(), &limits());
        assert_eq!(hash.encoding(), "hashtable");
    }

    #[test]
    fn packs_from_elsewhere_have_each_field_once() {
        let pack = |texts: &[&str]| {
            let mut pack = Listpack::new();
            texts.iter().for_each(|text| pack.push_back(text.as_bytes()));
            Hash::from_pack(pack, &limits()).map(|hash| (hash.len(), hash.encoding()))
        };
        assert_eq!(pack(&["a", "1", "b", "1"]), Some((2, "listpack")));
        assert_eq!(pack(&["1"; 14]), None);
        let many: Vec<String> = (0..14).map(|number| number.to_string()).collect();
        assert_eq!(pack(&many.iter().map(String::as_str).collect::<Vec<_>>()), Some((7, "hashtable")));
        assert_eq!(pack(&["a", "1", "a", "2"]), None);
        assert_eq!(pack(&["a"]), None);
        assert_eq!(pack(&[]), None);
    }

    proptest! {
        #[test]
        fn agrees_with_a_tree(
            steps in prop::collection::vec((0u8..4, "[0-9]|[a-d]{1,2}|[a-c]{6}", "[0-9]{0,7}|[a-c]{0,7}"), 1..60),
        ) {
            let (mut hash, mut model) = (Hash::default(), BTreeMap::new());
            for (what, name, value) in steps {
                let bytes = name.as_bytes();
                if what > 0 {
                    prop_assert_eq!(hash.set(bytes, value.as_bytes(), &limits()), model.insert(name.clone(), value).is_none());
                } else {
                    prop_assert_eq!(hash.remove(bytes), model.remove(&name).is_some());
                }
                let text = |element: Element<'_>| String::from_utf8_lossy(&element.to_cow()).into_owned();
                prop_assert_eq!(hash.get(bytes, 0).map(text), model.get(&name).cloned());
                let mut seen = BTreeMap::new();
                hash.each(0, |name, value| _ = seen.insert(text(name), text(value)));
                prop_assert_eq!(&seen, &model);
                prop_assert_eq!((hash.len(), hash.is_empty()), (model.len(), model.is_empty()));
                let mut rng = Rng::seeded(7);
                let random = hash.random(&mut rng).map(|(name, value)| (text(name), text(value)));
                prop_assert_eq!(random.is_none(), model.is_empty());
                prop_assert!(random.is_none_or(|(name, value)| model.get(&name) == Some(&value)));
            }
        }
    }

    fn text_of(element: Element<'_>) -> String {
        String::from_utf8_lossy(&element.to_cow()).into_owned()
    }

    proptest! {
        /// Whatever happens to fields that expire, only those are seen that a tree of values and times shows, the rest
        /// goes when it is asked for, and nothing else does.
        #[test]
        fn timed_ones_agree_with_a_tree(
            steps in prop::collection::vec((0u8..8, "[0-9]|[a-d]", "[0-9]{0,6}|[a-c]{0,6}", 1i64..40), 1..80),
        ) {
            let (mut hash, mut model, mut now_ms) = (Hash::default(), BTreeMap::<String, (String, Option<i64>)>::new(), 0);
            hash.make_timed(&limits());
            for (what, name, value, number) in steps {
                let bytes = name.as_bytes();
                match what {
                    0 => prop_assert_eq!(hash.remove(bytes), model.remove(&name).is_some()),
                    1 => now_ms += number / 8,
                    2 => {
                        let over = model.values().filter(|(_, at_ms)| is_over(*at_ms, now_ms)).count();
                        prop_assert_eq!(hash.remove_over(now_ms, usize::MAX), over);
                        model.retain(|_, (_, at_ms)| !is_over(*at_ms, now_ms));
                    }
                    3 => {
                        let kept = model.get(&name).and_then(|field| field.1);
                        let is_new = model.insert(name.clone(), (value.clone(), kept)).is_none();
                        prop_assert_eq!(hash.update(bytes, value.as_bytes(), &limits()), is_new);
                    }
                    4 => {
                        let is_new = model.insert(name.clone(), (value.clone(), None)).is_none();
                        prop_assert_eq!(hash.set(bytes, value.as_bytes(), &limits()), is_new);
                    }
                    _ => {
                        let at_ms = (what > 5).then_some(now_ms + number);
                        hash.set_time(bytes, at_ms, &limits());
                        model.entry(name.clone()).and_modify(|field| field.1 = at_ms);
                    }
                }
                let live = |field: &&(String, Option<i64>)| !is_over(field.1, now_ms);
                prop_assert_eq!(hash.time_of(bytes), model.get(&name).map(|field| field.1));
                prop_assert_eq!(hash.get(bytes, now_ms).map(text_of), model.get(&name).filter(live).map(|field| field.0.clone()));
                prop_assert_eq!((hash.len(), hash.live_len(now_ms)), (model.len(), model.values().filter(live).count()));
                prop_assert_eq!(hash.next_ms(), model.values().filter_map(|field| field.1).min());
                let mut seen = BTreeMap::new();
                hash.each_timed(|name, value, at_ms| _ = seen.insert(text_of(name), (text_of(value), at_ms)));
                prop_assert_eq!(&seen, &model);
                let copy = hash.clone();
                prop_assert_eq!((copy.next_ms(), copy.len()), (hash.next_ms(), hash.len()));
            }
        }
    }

    #[test]
    fn a_timed_pack_is_in_order() {
        let mut hash = Hash::default();
        ["a", "b", "c", "d"].iter().for_each(|name| _ = hash.set(name.as_bytes(), b"1", &limits()));
        hash.make_timed(&limits());
        let order = |hash: &Hash| {
            let mut names = String::new();
            hash.each_timed(|name, _, _| names += &text_of(name));
            (names, hash.encoding())
        };
        assert_eq!(order(&hash), ("abcd".into(), "listpackex"));
        for (name, at_ms, wanted) in [
            ("c", Some(9), "cabd"),
            ("d", Some(9), "dcab"),
            ("a", Some(20), "dcab"),
            ("b", Some(5), "bdca"),
            ("c", Some(9), "bcda"),
            ("b", None, "cdab"),
        ] {
            hash.set_time(name.as_bytes(), at_ms, &limits());
            assert_eq!(order(&hash), (wanted.into(), "listpackex"), "{name}");
        }
        // A field that stays keeps its place; one that does no longer expire goes behind all others.
        hash.set(b"b", b"2", &limits());
        hash.update(b"c", b"2", &limits());
        hash.set(b"d", b"2", &limits());
        assert_eq!(order(&hash).0, "cabd");
        hash.set_listed(Some(9));
        hash.set(b"x", b"123456", &limits());
        assert_eq!((hash.encoding(), hash.listed_ms(), hash.next_ms()), ("hashtable", Some(9), Some(9)));
    }
}
