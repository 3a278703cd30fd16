//! Sets: sorted integers, one pack, or a table. Redis' conversions at Redis' limits; a set never goes back to a smaller
//! encoding. Any one thread.

#![forbid(unsafe_code)]

use std::ops::Deref;

use crate::base::rng::Rng;
use crate::base::siphash::SipKey;
use crate::encoding::intset::{Ints, Intset, ReadInts};
use crate::encoding::listpack::{self, Element, Listpack};
use crate::encoding::members::Members;
use crate::encoding::packed::{Packed, ReadPack};
use crate::sys::prefetch::AHEAD;

/// The most integers that a set may be told to keep sorted.
const INTS_MAX: usize = 1 << 30;

/// When a set changes its encoding.
#[derive(Clone, Copy, Debug)]
pub struct SetLimits {
    /// Members of a set of integers: `set-max-intset-entries`.
    pub ints: usize,
    /// Members of a pack: `set-max-listpack-entries`.
    pub pack: usize,
    /// Bytes of a member of a pack: `set-max-listpack-value`.
    pub value: usize,
    /// What tables hash with.
    pub key: SipKey,
}

/// The set. One that a key holds has members.
#[derive(Clone, Copy, Debug)]
pub enum Set<I = Intset, P = Listpack, T = Box<Members>> {
    /// Integers only.
    Ints(I),
    /// Few and short members.
    Pack(P),
    /// Any.
    Table(T),
}

/// A set to be read, wherever it lies.
pub type SetRef<'a> = Set<Ints<'a>, Packed<'a>, &'a Members>;

const _: () = assert!(size_of::<Set>() == 24);

impl Default for Set {
    fn default() -> Set {
        Set::Ints(Intset::new())
    }
}

/// The integer that a text stands for.
fn integer(text: &[u8]) -> Option<i64> {
    match Element::of(text) {
        Element::Int(number) => Some(number),
        Element::Bytes(_) => None,
    }
}

/// A bit for each member of a group, the lowest for the first.
pub fn all_of(group: &[Element<'_>]) -> u32 {
    ((1u64 << group.len()) - 1) as u32
}

/// The bytes that members are, up to [`AHEAD`], written to `room`. None where one of them is an integer.
fn texts<'r, 'e>(group: &[Element<'e>], room: &'r mut [&'e [u8]; AHEAD]) -> Option<&'r [&'e [u8]]> {
    let room = room.get_mut(..group.len())?;
    for (text, member) in room.iter_mut().zip(group) {
        let Element::Bytes(bytes) = member else { return None };
        *text = bytes;
    }
    Some(room)
}

/// Adds members to a table, up to [`AHEAD`]. `new`: it has none of them.
fn add_group(table: &mut Members, group: &[Element<'_>], new: bool) {
    match texts(group, &mut [&b""[..]; AHEAD]) {
        Some(texts) => table.add_all(texts, new),
        None => group.iter().for_each(|member| _ = table.add(&member.to_cow())),
    }
}

/// Reading, wherever it lies.
impl<I: ReadInts, P: ReadPack, T: Deref<Target = Members>> Set<I, P, T> {
    /// The encoding as OBJECT ENCODING answers it.
    pub fn encoding(&self) -> &'static str {
        match self {
            Set::Ints(_) => "intset",
            Set::Pack(_) => "listpack",
            Set::Table(_) => "hashtable",
        }
    }

    /// How many members there are.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Set::Ints(ints) => ints.read().len(),
            Set::Pack(pack) => pack.read().len(),
            Set::Table(table) => table.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is a member.
    #[inline]
    pub fn contains(&self, text: &[u8]) -> bool {
        match self {
            Set::Table(table) => table.contains(text),
            Set::Ints(ints) => integer(text).is_some_and(|number| ints.read().contains(number)),
            Set::Pack(pack) => pack.read().find(text, pack.read().first(), 0).is_some(),
        }
    }

    /// Shows members until `see` has enough.
    pub fn visit<'s>(&'s self, mut see: impl FnMut(Element<'s>) -> bool) {
        match self {
            Set::Ints(ints) => _ = ints.read().iter().all(|number| see(Element::Int(number))),
            Set::Pack(pack) => _ = pack.read().iter().all(see),
            Set::Table(table) => table.visit(|text| see(Element::Bytes(text))),
        }
    }

    /// Shows all members.
    pub fn each<'s>(&'s self, mut see: impl FnMut(Element<'s>)) {
        self.visit(|member| {
            see(member);
            true
        });
    }

    /// A member chosen at random.
    pub fn random(&self, rng: &mut Rng) -> Option<Element<'_>> {
        match self {
            Set::Table(table) => table.random(rng).map(Element::Bytes),
            Set::Ints(ints) if !ints.read().is_empty() => {
                ints.read().get(rng.below(ints.read().len() as u64) as usize).map(Element::Int)
            }
            Set::Pack(pack) if !pack.read().is_empty() => {
                pack.read().seek(rng.below(pack.read().len() as u64) as usize).map(|place| pack.read().get(place))
            }
            Set::Ints(_) | Set::Pack(_) => None,
        }
    }

    /// Whether more members than that would be a table in any case.
    pub fn is_big(&self, limits: &SetLimits) -> bool {
        matches!(self, Set::Table(_)) && self.len() > limits.ints.max(limits.pack)
    }

    /// Shows members, up to [`AHEAD`] at a time, until `see` has enough.
    pub fn visit_groups<'s>(&'s self, mut see: impl FnMut(&[Element<'s>]) -> bool) {
        let mut group = Vec::with_capacity(AHEAD);
        let mut wants_more = true;
        self.visit(|member| {
            group.push(member);
            if group.len() == AHEAD {
                wants_more = see(&group);
                group.clear();
            }
            wants_more
        });
        if !group.is_empty() {
            see(&group);
        }
    }

    /// Which of a group of members are in this set, too: a bit for each, the lowest for the first. Only those are looked
    /// for that have a bit in `wanted`.
    pub fn which(&self, group: &[Element<'_>], wanted: u32) -> u32 {
        if wanted == 0 {
            return 0;
        }
        if let Set::Table(table) = self
            && let Some(names) = texts(group, &mut [&b""[..]; AHEAD])
        {
            return table.which(names, wanted);
        }
        let is_there = |index: &usize| wanted >> index & 1 != 0 && self.contains(&group[*index].to_cow());
        (0..group.len()).filter(is_there).fold(0, |bits, index| bits | 1 << index)
    }

    /// Visits some members and returns the next cursor; 0 starts and ends. A small set is visited at once.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(Element<'_>)) -> u64 {
        match self {
            Set::Table(table) => table.scan(cursor, |text| visit(Element::Bytes(text))),
            _ => {
                self.each(visit);
                0
            }
        }
    }
}

impl Set {
    /// The set to be read.
    #[inline]
    pub fn view(&self) -> SetRef<'_> {
        match self {
            Set::Ints(ints) => Set::Ints(ints.read()),
            Set::Pack(pack) => Set::Pack(pack.read()),
            Set::Table(table) => Set::Table(table),
        }
    }

    /// An empty one for about `count` members of which this is the first.
    pub fn for_member(text: &[u8], count: usize, limits: &SetLimits) -> Set {
        if integer(text).is_some() && count <= limits.ints {
            Set::default()
        } else if count <= limits.pack {
            Set::Pack(Listpack::new())
        } else {
            Set::Table(Box::new(Members::new(limits.key)))
        }
    }

    /// Bytes behind the set.
    pub fn memory_usage(&self) -> usize {
        match self {
            Set::Ints(ints) => ints.memory_usage(),
            Set::Pack(pack) => pack.memory_usage(),
            Set::Table(table) => size_of::<Members>() + table.memory_usage(),
        }
    }

    /// How many allocations freeing it takes, about.
    pub fn effort(&self) -> usize {
        match self {
            Set::Ints(_) | Set::Pack(_) => 1,
            Set::Table(table) => table.len(),
        }
    }

    /// Called before so many members are added: changes the encoding where that is more than it may have.
    pub fn make_room(&mut self, count: usize, limits: &SetLimits) {
        let too_many = match self {
            Set::Ints(_) => count > limits.ints,
            Set::Pack(_) => count > limits.pack,
            Set::Table(_) => false,
        };
        if too_many {
            self.table(limits);
        }
    }

    /// Turns the set into a table.
    fn table(&mut self, limits: &SetLimits) -> &mut Members {
        if !matches!(self, Set::Table(_)) {
            let mut table = Members::new(limits.key);
            self.each(|member| _ = table.add(&member.to_cow()));
            *self = Set::Table(Box::new(table));
        }
        match self {
            Set::Table(table) => table,
            _ => unreachable!("it was just made one"),
        }
    }

    /// The same members as sorted integers, where all are integers and few enough.
    pub fn sorted_integers(self, limits: &SetLimits) -> Set {
        let mut fits = self.len() <= limits.ints.min(INTS_MAX);
        let mut ints = Intset::new();
        self.visit(|member| {
            let number = match member {
                Element::Int(number) => Some(number),
                Element::Bytes(text) => integer(text),
            };
            fits &= number.is_some();
            if fits {
                number.map(|number| ints.insert(number));
            }
            fits
        });
        if fits { Set::Ints(ints) } else { self }
    }

    /// Adds a member. Returns whether it is new.
    #[inline]
    pub fn add(&mut self, text: &[u8], limits: &SetLimits) -> bool {
        match self {
            Set::Table(table) => table.add(text),
            Set::Pack(pack) => {
                if pack.find(text, pack.first(), 0).is_some() {
                    return false;
                }
                let fits = pack.len() < limits.pack
                    && text.len() <= limits.value
                    && pack.bytes_bound() + text.len() < listpack::BYTES_MAX;
                if fits {
                    pack.push_back(text);
                } else {
                    self.table(limits).add(text);
                }
                true
            }
            Set::Ints(ints) => match integer(text) {
                Some(number) => {
                    let new = ints.insert(number);
                    if new && ints.len() > limits.ints.min(INTS_MAX) {
                        self.table(limits);
                    }
                    new
                }
                None => {
                    self.add_first_text(text, limits);
                    true
                }
            },
        }
    }

    /// A set of integers becomes a set of texts.
    #[cold]
    fn add_first_text(&mut self, text: &[u8], limits: &SetLimits) {
        let Set::Ints(ints) = self else { return };
        let ints = ints.read();
        let longest = |number: Option<i64>| number.map_or(0, |number| Element::Int(number).len());
        let longest = longest(ints.get(0)).max(longest(ints.len().checked_sub(1).and_then(|last| ints.get(last))));
        if ints.len() < limits.pack && text.len() <= limits.value && longest <= limits.value {
            let mut pack = Listpack::new();
            ints.iter().for_each(|number| pack.push_back(&Element::Int(number).to_cow()));
            pack.push_back(text);
            *self = Set::Pack(pack);
        } else {
            self.table(limits).add(text);
        }
    }

    /// Removes a member. Returns whether it was one.
    #[inline]
    pub fn remove(&mut self, text: &[u8]) -> bool {
        match self {
            Set::Table(table) => table.remove(text),
            Set::Ints(ints) => integer(text).is_some_and(|number| ints.remove(number)),
            Set::Pack(pack) => match pack.find(text, pack.first(), 0) {
                Some(place) => {
                    pack.remove(place);
                    true
                }
                None => false,
            },
        }
    }

    /// A set of these members, each of which comes once: what more of them than a smaller encoding may have makes.
    pub fn table_of(members: &[Element<'_>], limits: &SetLimits) -> Set {
        let mut table = Members::for_lens(members.iter().map(Element::len), limits.key);
        members.chunks(AHEAD).for_each(|group| add_group(&mut table, group, true));
        Set::Table(Box::new(table))
    }

    /// Everything that is in any of these sets, of which one is big.
    pub fn big_union(sets: &[SetRef<'_>], limits: &SetLimits) -> Set {
        let short = |set: &SetRef<'_>| if let Set::Table(table) = set { table.short_len() } else { set.len() };
        let mut table = Members::for_short(sets.iter().map(short).max().unwrap_or(0), limits.key);
        for set in sets {
            let new = table.is_empty();
            set.visit_groups(|group| {
                add_group(&mut table, group, new);
                true
            });
        }
        Set::Table(Box::new(table))
    }

    /// A set of a pack that came from elsewhere: each member once, and more than none.
    pub fn from_pack(pack: Listpack, limits: &SetLimits) -> Option<Set> {
        let mut seen = Members::new(limits.key);
        if pack.is_empty() || !pack.iter().all(|member| seen.add(&member.to_cow())) {
            return None;
        }
        Some(if pack.len() <= limits.pack { Set::Pack(pack) } else { Set::Table(Box::new(seen)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn limits() -> SetLimits {
        SetLimits { ints: 8, pack: 6, value: 5, key: SipKey::new(1, 2) }
    }

    fn set_of(texts: &[&str]) -> Set {
        let mut set = Set::default();
        texts.iter().for_each(|text| _ = set.add(text.as_bytes(), &limits()));
        set
    }

    #[test]
    fn the_encoding_follows_the_members() {
        for (texts, encoding) in [
            (&["1", "2", "3"][..], "intset"),
            (&["1", "2", "3", "4", "5", "6", "7", "8"], "intset"),
            (&["1", "2", "3", "4", "5", "6", "7", "8", "9"], "hashtable"),
            (&["1", "2", "a"], "listpack"),
            (&["1", "2", "3", "4", "5", "a"], "listpack"),
            (&["1", "2", "3", "4", "5", "6", "a"], "hashtable"),
            (&["1", "letter"], "hashtable"),
            (&["123456", "a"], "hashtable"),
            (&["-12345", "a"], "hashtable"),
            (&["a", "123456"], "hashtable"),
        ] {
            assert_eq!(set_of(texts).encoding(), encoding, "{texts:?}");
        }
        assert_eq!(Set::for_member(b"1", 9, &limits()).encoding(), "hashtable");
        assert_eq!(Set::for_member(b"1", 8, &limits()).encoding(), "intset");
        assert_eq!(Set::for_member(b"a", 6, &limits()).encoding(), "listpack");
        let mut set = set_of(&["1"]);
        set.make_room(8, &limits());
        assert_eq!(set.encoding(), "intset");
        set.make_room(9, &limits());
        assert_eq!(set.encoding(), "hashtable");
    }

    #[test]
    fn packs_from_elsewhere_have_each_member_once() {
        let pack = |texts: &[&str]| {
            let mut pack = Listpack::new();
            texts.iter().for_each(|text| pack.push_back(text.as_bytes()));
            Set::from_pack(pack, &limits()).map(|set| (set.len(), set.encoding()))
        };
        assert_eq!(pack(&["a", "1"]), Some((2, "listpack")));
        assert_eq!(pack(&["a", "b", "c", "d", "e", "f", "g"]), Some((7, "hashtable")));
        assert_eq!(pack(&["a", "1", "a"]), None);
        assert_eq!(pack(&[]), None);
    }

    /// Members as a set of texts shows them.
    fn members(set: &Set) -> BTreeSet<Vec<u8>> {
        let mut members = BTreeSet::new();
        set.each(|member| assert!(members.insert(member.to_vec()), "once each"));
        assert_eq!(members.len(), set.len());
        members
    }

    proptest! {
        #[test]
        fn groups_are_members_looked_for_together(
            ours in prop::collection::btree_set("[0-9]{1,2}|[a-d]{1,3}", 0..80),
            theirs in prop::collection::btree_set("[0-9]{1,2}|[a-d]{1,3}", 0..80),
            wanted in any::<u32>(),
        ) {
            let of = |texts: &BTreeSet<String>| set_of(&texts.iter().map(String::as_str).collect::<Vec<_>>());
            let (our_set, their_set) = (of(&ours), of(&theirs));
            let mut seen = Vec::new();
            our_set.visit_groups(|group| {
                assert!((1..=AHEAD).contains(&group.len()));
                let there = their_set.which(group, wanted);
                for (index, member) in group.iter().enumerate() {
                    let expected = wanted >> index & 1 != 0 && their_set.contains(&member.to_cow());
                    assert_eq!(there >> index & 1 != 0, expected, "{member:?}");
                }
                seen.extend_from_slice(group);
                true
            });
            prop_assert_eq!(seen.len(), our_set.len());
            let table = Set::table_of(&seen, &limits());
            prop_assert_eq!((table.encoding(), members(&table)), ("hashtable", members(&our_set)));
            let union = Set::big_union(&[our_set.view(), their_set.view(), table.view()], &limits());
            let expected = ours.union(&theirs).map(|text| text.clone().into_bytes()).collect::<BTreeSet<_>>();
            prop_assert_eq!((union.encoding(), members(&union)), ("hashtable", expected));
            let mut groups = 0;
            our_set.visit_groups(|_| {
                groups += 1;
                false
            });
            prop_assert_eq!(groups, usize::from(!ours.is_empty()));
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_tree(steps in prop::collection::vec((0u8..4, "[0-9]{1,2}|[a-d]{1,2}|[0-9]{7}|[a-c]{6}"), 1..60)) {
            let (mut set, mut model) = (Set::default(), BTreeSet::new());
            for (what, text) in steps {
                let bytes = text.as_bytes();
                if what > 0 {
                    prop_assert_eq!(set.add(bytes, &limits()), model.insert(text.clone()));
                } else {
                    prop_assert_eq!(set.remove(bytes), model.remove(&text));
                }
                prop_assert_eq!((set.contains(bytes), set.len()), (model.contains(&text), model.len()));
                let mut seen = BTreeSet::new();
                set.each(|member| _ = seen.insert(String::from_utf8_lossy(&member.to_cow()).into_owned()));
                prop_assert_eq!(&seen, &model);
                let mut rng = Rng::seeded(7);
                let random = set.random(&mut rng).map(|member| String::from_utf8_lossy(&member.to_cow()).into_owned());
                prop_assert_eq!(random.is_none(), model.is_empty());
                prop_assert!(random.is_none_or(|member| model.contains(&member)));
            }
        }
    }
}
