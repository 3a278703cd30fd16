//! Hashes of which fields expire: a pack of fields, values and times in turns while they are few and short, the next to
//! expire in front; then a table whose fields carry their times, beside these in order. Any one thread.
//!
//! Both know under which time the hash stands in the order of its database, which is a promise to look at it then: at
//! that time a field may expire, but none does earlier. As in Redis it may be too early, and is not made later while
//! fields are merely removed or stay.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use crate::base::siphash::SipKey;
use crate::encoding::fields::Fields;
use crate::encoding::listpack::{Element, Listpack, Place};

/// What stands in the place of a time where a field stays.
const STAYS: i64 = 0;

/// The latest time of a field that comes from elsewhere, in Unix milliseconds.
pub const TIME_MAX_MS: i64 = (1 << 48) - 1;

/// Whether the time of a field is over: Redis keeps it through the very millisecond of its expiry.
#[inline]
pub fn is_over(at_ms: Option<i64>, now_ms: i64) -> bool {
    at_ms.is_some_and(|at_ms| at_ms < now_ms)
}

/// Few and short fields.
#[derive(Clone, Debug)]
pub struct TimedPack {
    pack: Listpack,
    /// Where the hash stands in the order of its database.
    pub listed_ms: Option<i64>,
}

/// Where a field, its value and its time are.
type Places = (Place, Place, Place);

fn time_of(element: Element<'_>) -> Option<i64> {
    match element {
        Element::Int(at_ms) if at_ms != STAYS => Some(at_ms),
        _ => None,
    }
}

impl TimedPack {
    /// The fields and values, in turns, of a pack without times.
    pub fn of_pairs(pairs: &Listpack) -> TimedPack {
        let mut pack = Listpack::new();
        let mut texts = pairs.iter();
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            pack.push_back(&name.to_cow());
            pack.push_back(&value.to_cow());
            pack.push_back_int(STAYS);
        }
        TimedPack { pack, listed_ms: None }
    }

    /// A pack that came from elsewhere: each field once, the times in order.
    pub fn from_pack(pack: Listpack, key: SipKey) -> Option<TimedPack> {
        if pack.is_empty() || !pack.len().is_multiple_of(3) {
            return None;
        }
        let (mut seen, mut sound, mut last) = (Fields::new(key), true, Some(i64::MIN));
        let mut texts = pack.iter();
        while let (Some(name), Some(_), Some(time)) = (texts.next(), texts.next(), texts.next()) {
            let at_ms = time_of(time);
            sound &= seen.set(&name.to_cow(), b"") && matches!(time, Element::Int(STAYS..=TIME_MAX_MS));
            sound &= at_ms.is_none() || last.is_some_and(|last| at_ms.is_some_and(|at_ms| last <= at_ms));
            last = at_ms;
        }
        drop(texts);
        let mut timed = TimedPack { pack, listed_ms: None };
        timed.listed_ms = timed.next_ms();
        sound.then_some(timed)
    }

    /// The pack: fields, values and times in turns.
    pub fn pack(&self) -> &Listpack {
        &self.pack
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.pack.len() / 3
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pack.is_empty()
    }

    fn find(&self, name: &[u8]) -> Option<Places> {
        self.places(self.pack.find(name, self.pack.first(), 2)?)
    }

    fn places(&self, field: Place) -> Option<Places> {
        let value = self.pack.next(field)?;
        Some((field, value, self.pack.next(value)?))
    }

    /// The value of a field and when it expires.
    pub fn get(&self, name: &[u8]) -> Option<(Element<'_>, Option<i64>)> {
        let (_, value, time) = self.find(name)?;
        Some((self.pack.get(value), time_of(self.pack.get(time))))
    }

    /// Sets the value of a field, which stays from now on unless its time is kept. Returns whether it is new.
    pub fn set(&mut self, name: &[u8], value: &[u8], keeps_time: bool) -> bool {
        let found = self.find(name);
        match found {
            Some((_, place, time)) if keeps_time || time_of(self.pack.get(time)).is_none() => {
                self.pack.replace(place, value);
            }
            Some((field, ..)) => {
                self.pack.remove_many(field, 3);
                self.insert(name, value, None);
            }
            None => self.insert(name, value, None),
        }
        found.is_none()
    }

    /// Sets when a field that is there expires.
    pub fn set_expire(&mut self, name: &[u8], at_ms: Option<i64>) {
        let Some((field, value, time)) = self.find(name) else { return };
        if at_ms.is_none() && time_of(self.pack.get(time)).is_none() {
            return;
        }
        let value = self.pack.get(value).to_vec();
        self.pack.remove_many(field, 3);
        self.insert(name, &value, at_ms);
    }

    /// Adds a field in front of those that expire no earlier.
    fn insert(&mut self, name: &[u8], value: &[u8], at_ms: Option<i64>) {
        match at_ms.and_then(|at_ms| self.first_from(at_ms)) {
            Some(place) => {
                self.pack.insert_int_before(place, at_ms.unwrap_or(STAYS));
                self.pack.insert_before(place, value);
                self.pack.insert_before(place, name);
            }
            None => {
                self.pack.push_back(name);
                self.pack.push_back(value);
                self.pack.push_back_int(at_ms.unwrap_or(STAYS));
            }
        }
    }

    /// The first field that does not expire before a time.
    fn first_from(&self, at_ms: i64) -> Option<Place> {
        let mut field = self.pack.first()?;
        loop {
            let (_, _, time) = self.places(field)?;
            if time_of(self.pack.get(time)).is_none_or(|other| at_ms <= other) {
                return Some(field);
            }
            field = self.pack.next(time)?;
        }
    }

    /// Removes a field. Returns whether it was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let found = self.find(name);
        if let Some((field, ..)) = found {
            self.pack.remove_many(field, 3);
        }
        found.is_some()
    }

    /// When the next field expires.
    pub fn next_ms(&self) -> Option<i64> {
        time_of(self.pack.get(self.pack.seek(2)?))
    }

    /// Removes up to `max` fields whose time is over. Returns how many.
    pub fn remove_over(&mut self, now_ms: i64, max: usize) -> usize {
        let count = self.count_over(now_ms).min(max);
        if let Some(first) = self.pack.first() {
            self.pack.remove_many(first, 3 * count);
        }
        count
    }

    /// How many fields there are whose time is over.
    pub fn count_over(&self, now_ms: i64) -> usize {
        self.iter().take_while(|(_, _, at_ms)| is_over(*at_ms, now_ms)).count()
    }

    /// All fields, values and times.
    pub fn iter(&self) -> impl Iterator<Item = (Element<'_>, Element<'_>, Option<i64>)> {
        let mut texts = self.pack.iter();
        std::iter::from_fn(move || Some((texts.next()?, texts.next()?, time_of(texts.next()?))))
    }

    /// Any number of fields from the front.
    pub fn at(&self, index: usize) -> Option<(Element<'_>, Element<'_>)> {
        let field = self.pack.seek(3 * index)?;
        Some((self.pack.get(field), self.pack.get(self.pack.next(field)?)))
    }

    /// The same as a table.
    pub fn to_table(&self, key: SipKey) -> TimedTable {
        let mut table = TimedTable { listed_ms: self.listed_ms, ..TimedTable::new(Fields::new(key)) };
        for (name, value, at_ms) in self.iter() {
            let name = name.to_cow();
            table.set(&name, &value.to_cow(), false);
            table.set_expire(&name, at_ms);
        }
        table
    }
}

/// Any fields.
#[derive(Clone, Debug)]
pub struct TimedTable {
    fields: Fields,
    /// The time and the hash of the name of each field that expires. Two whose hashes are the same and that expire in the
    /// same millisecond would share a place: the second of them would expire only when somebody comes upon it.
    order: BTreeSet<(i64, u64)>,
    /// Where the hash stands in the order of its database.
    pub listed_ms: Option<i64>,
}

/// What an item of the order takes, with its share of the tree's nodes.
const ORDER_ITEM_BYTES: usize = 24;

impl TimedTable {
    /// A table of fields that stay.
    pub fn new(fields: Fields) -> TimedTable {
        TimedTable { fields, order: BTreeSet::new(), listed_ms: None }
    }

    /// The fields.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The fields, and the order of those that expire.
    pub fn into_parts(self) -> (Fields, BTreeSet<(i64, u64)>) {
        (self.fields, self.order)
    }

    /// Bytes of all its allocations.
    pub fn memory_usage(&self) -> usize {
        self.fields.memory_usage() + self.order.len() * ORDER_ITEM_BYTES
    }

    /// Sets the value of a field, which stays from now on unless its time is kept. Returns whether it is new.
    pub fn set(&mut self, name: &[u8], value: &[u8], keeps_time: bool) -> bool {
        if !keeps_time && !self.order.is_empty() {
            self.set_expire(name, None);
        }
        self.fields.set(name, value)
    }

    /// Sets when a field that is there expires.
    pub fn set_expire(&mut self, name: &[u8], at_ms: Option<i64>) {
        let Some((hash, before)) = self.fields.set_expire(name, at_ms) else { return };
        if let Some(before) = before {
            self.order.remove(&(before, hash));
        }
        if let Some(at_ms) = at_ms {
            self.order.insert((at_ms, hash));
        }
    }

    /// Removes a field. Returns whether it was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let taken = self.fields.take(name);
        if let Some(Some(at_ms)) = taken {
            self.order.remove(&(at_ms, self.fields.hash(name)));
        }
        taken.is_some()
    }

    /// When the next field expires.
    pub fn next_ms(&self) -> Option<i64> {
        self.order.first().map(|(at_ms, _)| *at_ms)
    }

    /// Removes up to `max` fields whose time is over. Returns how many.
    pub fn remove_over(&mut self, now_ms: i64, max: usize) -> usize {
        let mut count = 0;
        while count < max
            && let Some(&(at_ms, hash)) = self.order.first()
            && at_ms < now_ms
        {
            self.order.pop_first();
            count += usize::from(self.fields.remove_expiring(hash, at_ms));
        }
        count
    }

    /// How many fields there are whose time is over.
    pub fn count_over(&self, now_ms: i64) -> usize {
        self.order.range(..(now_ms, 0)).count()
    }
}
