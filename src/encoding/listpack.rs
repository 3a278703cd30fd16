//! HOT PATH. Many short elements in one allocation: what a small collection is kept in, and what snapshots hold. The
//! bytes, and what a slim pack is beside a full one, are told in [`super::packed`]. Any one thread.

#![forbid(unsafe_code)]

pub use super::packed::{BYTES_MAX, Element, Place};
use super::packed::{
    END, HEADER, Packed, ReadPack, SIZE_LEN, SIZE_MAX, SLIM_HEADER, SLIM_MAX, is_slim, is_sound, is_unchanged, roomy,
    size_of_pack,
};
use super::packed_mut::{Encoded, PackedMut};

/// The allocation of an empty pack, in bytes.
const EMPTY_BYTES: usize = 16;
/// An empty pack that has no allocation yet.
const EMPTY: &[u8; HEADER + 1] = &[HEADER as u8 + 1, 0, 0, 0, 0, 0, END];
/// What lies beside the key of one.
const EMPTY_SLIM: &[u8] = &[0; SLIM_HEADER];

/// What lies beside a key is changed in an allocation of that many bytes, which therefore no change makes smaller.
pub const ROOM: usize = 320;

/// Gives an allocation another size.
pub(super) fn resize(bytes: &mut Box<[u8]>, size: usize) {
    let mut vec = std::mem::take(bytes).into_vec();
    vec.reserve_exact(size.saturating_sub(vec.len()));
    vec.resize(size, 0);
    *bytes = vec.into();
}

/// This allocation, or another one where it has fewer bytes than that.
#[inline]
pub(super) fn at_least(room: Box<[u8]>, bytes: usize) -> Box<[u8]> {
    if room.len() < bytes { vec![0; roomy(bytes).max(ROOM)].into() } else { room }
}

/// The pack: an allocation with some room behind the end, which the first bytes tell. Two words, so that a value that may
/// be a pack or something else stays small. Without an element ever in it, it has no allocation.
///
/// It is slim from where it was taken from beside its key, or was found to be short enough to lie there, to where it
/// becomes longer than that.
#[derive(Clone, Default)]
pub struct Listpack(Box<[u8]>);

impl ReadPack for Listpack {
    #[inline]
    fn read(&self) -> Packed<'_> {
        Packed::of_either(self.bytes())
    }
}

impl PartialEq for Listpack {
    fn eq(&self, other: &Listpack) -> bool {
        self.to_bytes() == other.to_bytes()
    }
}

impl Eq for Listpack {}

impl Listpack {
    /// An empty one.
    pub fn new() -> Listpack {
        Listpack::default()
    }

    /// Takes over bytes that came from elsewhere, if all of them are as they should be.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Listpack> {
        is_sound(&bytes).then(|| Listpack(bytes.into()))
    }

    /// A full one with the elements of a pack that lies elsewhere.
    pub fn copy_of(pack: Packed<'_>) -> Listpack {
        let room = roomy(pack.bytes_len());
        let mut copy = Vec::with_capacity(room);
        pack.append_to(&mut copy);
        copy.resize(room, 0);
        Listpack(copy.into())
    }

    /// The slim one that lies beside a key, in an allocation of its own: `room`, if that is big enough.
    #[inline]
    pub fn in_room(beside_key: &[u8], room: Box<[u8]>) -> Listpack {
        let mut room = at_least(room, SIZE_LEN + beside_key.len());
        PackedMut::new(&mut room).fill_slim(beside_key);
        Listpack(room)
    }

    /// Its bytes as they lie beside a key, where they are no more than `max`: it is slim then.
    #[inline]
    pub fn beside_key(&mut self, max: usize) -> Option<&[u8]> {
        if self.0.is_empty() {
            return Some(EMPTY_SLIM);
        }
        if !is_slim(&self.0) {
            self.make_slim(max);
        }
        let size = size_of_pack(&self.0);
        (is_slim(&self.0) && size <= SIZE_LEN + max).then(|| &self.0[SIZE_LEN..size])
    }

    /// Makes a full one slim, where that is no more than `max` bytes beside a key.
    #[inline]
    fn make_slim(&mut self, max: usize) {
        let pack = self.read();
        // No element is shorter by less than a byte; what is shorter by more stays full where that byte does not do.
        let least = pack.elements().len().saturating_sub(usize::from(pack.header_count()));
        if SLIM_HEADER + least <= max.min(SLIM_MAX) {
            self.write().make_slim();
        }
    }

    /// Makes a slim one full, in an allocation that just holds it.
    fn make_full(&mut self) {
        *self = Listpack::copy_of(self.read());
    }

    /// Whether it is as it was beside its key.
    #[inline]
    pub fn is_unchanged(&self) -> bool {
        is_unchanged(self.bytes())
    }

    /// Its allocation, or what stands for one.
    #[inline]
    fn bytes(&self) -> &[u8] {
        if self.0.is_empty() { EMPTY } else { &self.0 }
    }

    /// How many bytes of its allocation it takes.
    #[inline]
    fn size(&self) -> usize {
        size_of_pack(self.bytes())
    }

    /// Its allocation, for another one.
    #[inline]
    pub fn into_room(self) -> Box<[u8]> {
        self.0
    }

    /// Its allocation, which begins with the full pack.
    pub(super) fn into_allocation(mut self) -> Box<[u8]> {
        if is_slim(self.bytes()) {
            self.make_full();
        }
        if self.0.is_empty() {
            self.resize(EMPTY_BYTES);
        }
        self.0
    }

    /// Makes it a full one that has no more room than it needs to grow a little.
    pub fn fit(&mut self) {
        if is_slim(self.bytes()) {
            return self.make_full();
        }
        let wanted = roomy(self.size());
        if wanted < self.0.len() {
            self.resize(wanted);
        }
    }

    /// To be read.
    #[inline]
    pub fn read(&self) -> Packed<'_> {
        ReadPack::read(self)
    }

    #[inline]
    fn write(&mut self) -> PackedMut<'_> {
        PackedMut::of_either(&mut self.0)
    }

    /// The bytes that it has as a full pack, which snapshots hold.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.read().to_bytes()
    }

    /// How many bytes it has as a full pack.
    #[inline]
    pub fn bytes_len(&self) -> usize {
        self.read().bytes_len()
    }

    /// The same or more, at once.
    #[inline]
    pub fn bytes_bound(&self) -> usize {
        self.read().bytes_bound()
    }

    /// Bytes of its allocation.
    pub fn memory_usage(&self) -> usize {
        self.0.len()
    }

    /// How many elements there are: at once, up to 65534 of them.
    #[inline]
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// The element at a place.
    #[inline]
    pub fn get(&self, place: Place) -> Element<'_> {
        self.read().get(place)
    }

    /// The place of the first element.
    #[inline]
    pub fn first(&self) -> Option<Place> {
        self.read().first()
    }

    /// The place of the last element.
    #[inline]
    pub fn last(&self) -> Option<Place> {
        self.read().last()
    }

    /// The place after this one.
    #[inline]
    pub fn next(&self, place: Place) -> Option<Place> {
        self.read().next(place)
    }

    /// The place in front of this one.
    #[inline]
    pub fn previous(&self, place: Place) -> Option<Place> {
        self.read().previous(place)
    }

    /// The place of element `index`.
    pub fn seek(&self, index: usize) -> Option<Place> {
        self.read().seek(index)
    }

    /// All elements in order.
    pub fn iter(&self) -> impl Iterator<Item = Element<'_>> {
        self.read().iter()
    }

    /// All elements, the last one first.
    pub fn iter_back(&self) -> impl Iterator<Item = Element<'_>> {
        self.read().iter_back()
    }

    /// The place of the first element with this text from `start` on; of the elements there, every `1 + skip`-th is
    /// looked at.
    #[inline]
    pub fn find(&self, text: &[u8], start: Option<Place>, skip: usize) -> Option<Place> {
        self.read().find(text, start, skip)
    }

    /// Adds an element at the end.
    #[inline]
    pub fn push_back(&mut self, text: &[u8]) {
        self.splice(self.read().elements().len(), 0, Element::of(text), 1);
    }

    /// Adds an integer at the end.
    pub fn push_back_int(&mut self, number: i64) {
        self.splice(self.read().elements().len(), 0, Element::Int(number), 1);
    }

    /// Adds an element at the front.
    pub fn push_front(&mut self, text: &[u8]) {
        self.splice(0, 0, Element::of(text), 1);
    }

    /// Adds an element in front of the one at `place`. Returns its place.
    pub fn insert_before(&mut self, place: Place, text: &[u8]) -> Place {
        self.splice(place.0, 0, Element::of(text), 1)
    }

    /// The same with an integer.
    pub fn insert_int_before(&mut self, place: Place, number: i64) -> Place {
        self.splice(place.0, 0, Element::Int(number), 1)
    }

    /// Adds an element behind the one at `place`.
    pub fn insert_after(&mut self, place: Place, text: &[u8]) {
        self.splice(place.0 + self.read().whole_len(place.0), 0, Element::of(text), 1);
    }

    /// Puts another element in the place of one.
    pub fn replace(&mut self, place: Place, text: &[u8]) {
        self.splice(place.0, self.read().whole_len(place.0), Element::of(text), 0);
    }

    /// The same with an integer.
    pub fn replace_int(&mut self, place: Place, number: i64) {
        self.splice(place.0, self.read().whole_len(place.0), Element::Int(number), 0);
    }

    /// Removes an element. Returns the place of the next one.
    pub fn remove(&mut self, place: Place) -> Option<Place> {
        self.remove_many(place, 1)
    }

    /// Removes up to `count` elements from `place` on. Returns the place of the one behind them.
    pub fn remove_many(&mut self, place: Place, count: usize) -> Option<Place> {
        let next = self.write().remove_many(place, count);
        self.shrink();
        next
    }

    /// Removes elements with this text: the first `max`, from the end if `backwards`. Returns how many.
    pub fn remove_equal(&mut self, text: &[u8], max: usize, backwards: bool) -> usize {
        if self.is_empty() {
            return 0;
        }
        let removed = self.write().remove_equal(text, max, backwards);
        self.shrink();
        removed
    }

    /// Puts another element's bytes, and the count's difference, in the place of `old` bytes at `at`. Returns the place.
    #[inline]
    fn splice(&mut self, at: usize, old: usize, element: Element<'_>, added: usize) -> Place {
        let is_slim = is_slim(self.bytes());
        let encoded = Encoded::for_pack(element, is_slim);
        let after = self.size() - old + encoded.len();
        if is_slim && after > SIZE_LEN + SLIM_MAX {
            return self.outgrow(at, old, element, added);
        }
        assert!(after <= SIZE_MAX, "callers bound a pack by its bytes");
        if after > self.0.len() {
            self.resize(roomy(after));
        }
        self.write().splice(at, old, &encoded, added);
        Place(at)
    }

    /// The same for a slim one that is full then.
    #[cold]
    fn outgrow(&mut self, at: usize, old: usize, element: Element<'_>, added: usize) -> Place {
        let (start, end) = (self.read().full_place(at), self.read().full_place(at + old));
        self.make_full();
        self.splice(start, end - start, element, added)
    }

    /// Gives the allocation another size.
    fn resize(&mut self, size: usize) {
        let is_first = self.0.is_empty();
        resize(&mut self.0, size);
        if is_first {
            self.0[..EMPTY.len()].copy_from_slice(EMPTY);
        }
    }

    /// Gives memory back where much of it is unused.
    fn shrink(&mut self) {
        let wanted = roomy(self.size());
        if wanted * 2 < self.0.len() && self.0.len() > ROOM {
            self.resize(wanted);
        }
    }
}

impl std::fmt::Debug for Listpack {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pack(texts: &[&[u8]]) -> Listpack {
        let mut pack = Listpack::new();
        texts.iter().for_each(|text| pack.push_back(text));
        pack
    }

    /// What redis-server 8.0.6 answers to DUMP of the same lists, between the snapshot's own frame.
    #[test]
    fn bytes_are_as_redis_has_them() {
        assert_eq!(Listpack::new().to_bytes(), b"\x07\0\0\0\0\0\xff");
        let mut emptied = pack(&[b"a"]);
        emptied.remove(Place(0));
        assert_eq!(emptied, Listpack::new());
        let wanted: &[(&[&[u8]], &[u8])] = &[
            (&[b"a"], b"\x0a\0\0\0\x01\0\x81a\x02\xff"),
            (&[b"0", b"127", b"128"], b"\x0e\0\0\0\x03\0\0\x01\x7f\x01\xc0\x80\x02\xff"),
            (&[b"-1", b"-4096", b"4096"], b"\x11\0\0\0\x03\0\xdf\xff\x02\xd0\0\x02\xf1\0\x10\x03\xff"),
            (&[b"-32769"], b"\x0c\0\0\0\x01\0\xf2\xff\x7f\xff\x04\xff"),
            (&[b"8388608"], b"\x0d\0\0\0\x01\0\xf3\0\0\x80\0\x05\xff"),
            (&[b"-2147483649"], b"\x11\0\0\0\x01\0\xf4\xff\xff\xff\x7f\xff\xff\xff\xff\x09\xff"),
        ];
        for (texts, bytes) in wanted {
            assert_eq!(pack(texts).to_bytes(), *bytes, "{texts:?}");
            let mut slim = pack(texts);
            slim.beside_key(SLIM_MAX).expect("it is short");
            assert_eq!(slim.to_bytes(), *bytes, "{texts:?}");
        }
    }

    #[test]
    fn integers_at_every_boundary_come_back() {
        let mut edges = vec![0, i64::MIN, i64::MAX];
        for power in [7, 12, 13, 15, 16, 23, 24, 31, 32, 62] {
            edges.extend((-1..=1).flat_map(|step| [(1i64 << power) + step, -(1i64 << power) + step]));
        }
        let mut pack = Listpack::new();
        edges.iter().for_each(|number| pack.push_back(number.to_string().as_bytes()));
        let wanted = edges.iter().map(|number| Element::Int(*number)).collect::<Vec<_>>();
        assert_eq!(pack.iter().collect::<Vec<_>>(), wanted);
        assert_eq!(pack.iter_back().collect::<Vec<_>>(), wanted.iter().rev().copied().collect::<Vec<_>>());
        assert_eq!(Listpack::from_bytes(pack.to_bytes()), Some(pack));
    }

    #[test]
    fn texts_at_every_boundary_come_back() {
        let mut pack = Listpack::new();
        let lens = [0, 1, 63, 64, 125, 126, 127, 4095, 4096, 16_378, 16_379, 16_380, 2_097_145, 2_097_146, 2_097_147];
        for len in lens {
            pack.push_back(&vec![b'x'; len]);
        }
        assert!(pack.iter().map(|element| element.len()).eq(lens));
        assert!(pack.iter_back().map(|element| element.len()).eq(lens.into_iter().rev()));
        assert!(Listpack::from_bytes(pack.to_bytes()).is_some());
        for len in lens {
            let text = vec![b'x'; len];
            let mut single = Listpack::new();
            single.push_back(&text);
            assert_eq!(single.bytes_len(), HEADER + 1 + Encoded::of(Element::of(&text)).len());
        }
    }

    #[test]
    fn more_elements_than_the_header_can_count() {
        let mut pack = Listpack::new();
        (0..65_540).for_each(|_| pack.push_back(b"1"));
        assert_eq!(pack.len(), 65_540);
        let place = pack.seek(65_530).expect("it is there");
        pack.remove_many(place, 10);
        assert_eq!((pack.len(), pack.read().header_count()), (65_530, 65_530));
        assert_eq!(pack.beside_key(SLIM_MAX), None);
    }

    #[test]
    fn a_pack_that_shrank_gives_memory_back() {
        let mut pack = Listpack::new();
        (0..1000).for_each(|_| pack.push_back(b"some text"));
        let full = pack.memory_usage();
        pack.remove_many(Place(0), 990);
        assert!(pack.memory_usage() < full / 10);
        assert_eq!(pack.iter().count(), 10);
    }

    #[derive(Clone, Debug)]
    enum Step {
        PushBack(Vec<u8>),
        PushFront(Vec<u8>),
        Before(usize, Vec<u8>),
        After(usize, Vec<u8>),
        Replace(usize, Vec<u8>),
        Remove(usize, usize),
        RemoveEqual(usize, usize, bool),
        Find(usize, usize, usize),
    }

    /// Texts of which several go into a slim pack.
    fn short_text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            2 => (-3i64..3).prop_map(|number| number.to_string().into_bytes()),
            2 => (0u32..64).prop_map(|bits| (i64::MAX >> bits).to_string().into_bytes()),
            3 => prop::collection::vec(any::<u8>(), 0..20),
            1 => (0usize..256).prop_map(|len| vec![b'x'; len]),
        ]
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let edge = |power: u32| (-2i64..=2).prop_map(move |step| ((1i64 << power) + step).to_string().into_bytes());
        prop_oneof![
            3 => (0u32..63).prop_flat_map(edge),
            1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
            3 => prop::collection::vec(any::<u8>(), 0..8),
            2 => (prop::sample::select(vec![62usize, 63, 64, 125, 126, 127, 4094, 4095, 4096]), any::<u8>())
                .prop_map(|(len, byte)| vec![byte; len]),
        ]
    }

    fn step<T: Strategy<Value = Vec<u8>>>(text: fn() -> T) -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => text().prop_map(Step::PushBack),
            2 => text().prop_map(Step::PushFront),
            2 => (any::<usize>(), text()).prop_map(|(at, text)| Step::Before(at, text)),
            2 => (any::<usize>(), text()).prop_map(|(at, text)| Step::After(at, text)),
            2 => (any::<usize>(), text()).prop_map(|(at, text)| Step::Replace(at, text)),
            1 => (any::<usize>(), 1usize..3, any::<bool>()).prop_map(|(at, max, back)| Step::RemoveEqual(at, max, back)),
            2 => (any::<usize>(), 0usize..4).prop_map(|(at, count)| Step::Remove(at, count)),
            2 => (any::<usize>(), any::<usize>(), 0usize..2).prop_map(|(a, b, c)| Step::Find(a, b, c)),
        ]
    }

    fn apply(pack: &mut Listpack, model: &mut Vec<Vec<u8>>, step: Step) {
        let len = model.len();
        let pick = |at: usize| (len > 0).then(|| at % len);
        let place = |pack: &Listpack, at: usize| pack.seek(at).expect("the model has it");
        match step {
            Step::PushBack(text) => {
                pack.push_back(&text);
                model.push(text);
            }
            Step::PushFront(text) => {
                pack.push_front(&text);
                model.insert(0, text);
            }
            Step::Before(at, text) => {
                let Some(at) = pick(at) else { return };
                let place = pack.insert_before(place(pack, at), &text);
                assert_eq!(pack.get(place), Element::of(&text));
                model.insert(at, text);
            }
            Step::After(at, text) => {
                let Some(at) = pick(at) else { return };
                pack.insert_after(place(pack, at), &text);
                model.insert(at + 1, text);
            }
            Step::Replace(at, text) => {
                let Some(at) = pick(at) else { return };
                pack.replace(place(pack, at), &text);
                model[at] = text;
            }
            Step::Remove(at, count) => {
                let Some(at) = pick(at) else { return };
                let next = pack.remove_many(place(pack, at), count);
                model.drain(at..(at + count).min(len));
                assert_eq!(next.map(|place| pack.get(place).to_vec()), model.get(at).cloned());
            }
            Step::RemoveEqual(at, max, back) => {
                let Some(at) = pick(at) else { return };
                let text = model[at].clone();
                let mut equal: Vec<usize> = (0..len).filter(|&at| model[at] == text).collect();
                let first = if back { equal.len().saturating_sub(max) } else { 0 };
                equal = equal.split_off(first);
                equal.truncate(max);
                assert_eq!(pack.remove_equal(&text, max, back), equal.len());
                equal.iter().rev().for_each(|&at| _ = model.remove(at));
            }
            Step::Find(what, from, skip) => {
                let (Some(what), Some(from)) = (pick(what), pick(from)) else { return };
                let found = pack.find(&model[what], Some(place(pack, from)), skip);
                let wanted = (from..len).step_by(skip + 1).find(|&at| model[at] == model[what]);
                assert_eq!(found, wanted.map(|at| place(pack, at)));
            }
        }
    }

    /// What a pack shows, read in every way.
    fn check(pack: Packed<'_>, model: &[Vec<u8>]) {
        assert_eq!(pack.len(), model.len());
        assert_eq!(pack.is_empty(), model.is_empty());
        assert!(pack.iter().map(Element::to_vec).eq(model.iter().cloned()));
        assert!(pack.iter_back().map(Element::to_vec).eq(model.iter().rev().cloned()));
        let places: Vec<Place> = std::iter::successors(pack.first(), |place| pack.next(*place)).collect();
        for (index, &place) in places.iter().enumerate() {
            assert_eq!(pack.previous(place), index.checked_sub(1).map(|before| places[before]));
            assert_eq!(pack.seek(index), Some(place));
            assert!(pack.back_from(place).eq(places[..=index].iter().rev().copied()));
        }
        assert_eq!((pack.last(), pack.seek(model.len())), (places.last().copied(), None));
    }

    proptest! {
        #[test]
        fn agrees_with_a_vector(steps in prop::collection::vec(step(text), 1..60)) {
            let (mut pack, mut model) = (Listpack::new(), Vec::new());
            for step in steps {
                apply(&mut pack, &mut model, step);
                check(pack.read(), &model);
                let copy = Listpack::from_bytes(pack.to_bytes());
                prop_assert_eq!(copy.as_ref(), Some(&pack));
            }
        }

        #[test]
        fn either_form_agrees_with_a_vector_and_a_full_pack(
            steps in prop::collection::vec((step(short_text), any::<bool>()), 1..60),
        ) {
            let (mut pack, mut full, mut model) = (Listpack::new(), Listpack::new(), Vec::new());
            for (step, is_put_back) in steps {
                let before = model.clone();
                apply(&mut full, &mut before.clone(), step.clone());
                if is_put_back && let Some(bytes) = pack.beside_key(SLIM_MAX).map(<[u8]>::to_vec) {
                    prop_assert!(bytes.len() <= SLIM_MAX);
                    check(Packed::beside_key(&bytes), &model);
                    pack = Listpack::in_room(&bytes, vec![b'x'; 40].into());
                    prop_assert!(pack.is_unchanged() && is_slim(pack.bytes()));
                }
                apply(&mut pack, &mut model, step);
                prop_assert!(model == before || !pack.is_unchanged());
                check(pack.read(), &model);
                prop_assert_eq!(&pack, &full);
                prop_assert_eq!(pack.bytes_len(), full.to_bytes().len());
                prop_assert!(pack.bytes_bound() >= pack.bytes_len());
                prop_assert!(!is_slim(pack.bytes()) || pack.size() <= SIZE_LEN + SLIM_MAX);
                prop_assert_eq!(&pack.clone().into_allocation()[..full.size()], &full.to_bytes()[..]);
            }
        }

        #[test]
        fn short_packs_lie_beside_keys_and_others_do_not(texts in prop::collection::vec(short_text(), 0..60)) {
            let mut pack = pack(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let elements = texts.iter().map(|text| Encoded::for_pack(Element::of(text), true).len()).sum::<usize>();
            let long = texts.iter().filter(|text| text.len() > 120).count();
            let is_beside = pack.beside_key(SLIM_MAX).is_some();
            // One whose texts are long may stay out for a byte each.
            prop_assert!(is_beside == (SLIM_HEADER + elements <= SLIM_MAX) || !is_beside && elements + long > SLIM_MAX - SLIM_HEADER);
            check(pack.read(), &texts);
            pack.fit();
            prop_assert!(!is_slim(pack.bytes()));
            check(pack.read(), &texts);
        }

        #[test]
        fn bytes_from_elsewhere_are_read_or_refused(
            texts in prop::collection::vec(text(), 0..6),
            changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = pack(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>()).to_bytes();
            for (at, byte) in changes {
                let len = bytes.len();
                bytes[at % len] = byte;
            }
            if let Some(pack) = Listpack::from_bytes(bytes) {
                let there = pack.iter().map(Element::to_vec).collect::<Vec<_>>();
                let mut back = pack.iter_back().map(Element::to_vec).collect::<Vec<_>>();
                back.reverse();
                prop_assert_eq!(there, back);
            }
        }
    }
}
