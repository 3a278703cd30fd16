//! HOT PATH. A long sequence in which every position is known: what a big sorted set is ordered by. Any one thread.
//!
//! A B+-tree whose branches know how many items are below each child, and the first of them. It knows nothing of order:
//! callers look for a position with a test that is true up to some item and false from there on, and insert at a position.
//! So ranks, ranges of ranks and ranges of scores are all the same two steps down.
//!
//! A skip list with spans was measured beside it, a million items in random order: 4.6 microseconds for an insertion and 5.5
//! for a rank against 0.4 and 0.6 here, and 50 bytes an item against 18.
//!
//! ```text
//!                | first, 70, *  | first, 64, *  | first, 12, * |
//!                       |               |              |
//!             | 70 items    |  | 64 items    |  | 12 items    |
//! ```

#![forbid(unsafe_code)]

use std::ops::Range;

use crate::sys::prefetch::{CACHE_LINE, prefetch_line};

/// The most items of a leaf.
const LEAF_MAX: usize = 96;
/// The most children of a branch.
const BRANCH_MAX: usize = 32;

/// What is kept in order: cheap to copy.
#[derive(Clone)]
pub struct Ordered<K> {
    root: Node<K>,
    len: usize,
}

#[derive(Clone)]
enum Node<K> {
    Leaf(Vec<K>),
    Branch(Vec<Child<K>>),
}

#[derive(Clone)]
struct Child<K> {
    /// The first item below.
    first: K,
    /// How many items are below.
    count: usize,
    node: Box<Node<K>>,
}

impl<K: Copy> Child<K> {
    fn of(node: Node<K>) -> Option<Child<K>> {
        Some(Child { first: node.first()?, count: node.count(), node: Box::new(node) })
    }
}

impl<K: Copy> Node<K> {
    fn first(&self) -> Option<K> {
        match self {
            Node::Leaf(items) => items.first().copied(),
            Node::Branch(children) => children.first().map(|child| child.first),
        }
    }

    fn count(&self) -> usize {
        match self {
            Node::Leaf(items) => items.len(),
            Node::Branch(children) => children.iter().map(|child| child.count).sum(),
        }
    }

    fn width(&self) -> usize {
        match self {
            Node::Leaf(items) => items.len(),
            Node::Branch(children) => children.len(),
        }
    }

    fn width_max(&self) -> usize {
        match self {
            Node::Leaf(_) => LEAF_MAX,
            Node::Branch(_) => BRANCH_MAX,
        }
    }

    /// Puts an item at a position. `last`: nothing comes behind this node. Returns the second half where it had to be split.
    fn insert(&mut self, at: usize, item: K, last: bool) -> Option<Node<K>> {
        match self {
            Node::Leaf(items) => insert_in_leaf(items, at, item, last),
            Node::Branch(children) => {
                let (index, within) = child_at(children, at);
                let last = last && index + 1 == children.len();
                let child = &mut children[index];
                child.count += 1;
                let second = child.node.insert(within, item, last);
                if within == 0 {
                    child.first = item;
                }
                second.and_then(|second| adopt(children, index, second, last))
            }
        }
    }

    /// The same behind all that pass a test.
    fn insert_behind(&mut self, item: K, passes: &mut impl FnMut(&K) -> bool, last: bool) -> Option<Node<K>> {
        match self {
            Node::Leaf(items) => {
                fetch(items);
                let at = items.partition_point(passes);
                insert_in_leaf(items, at, item, last)
            }
            Node::Branch(children) => {
                let behind = children.partition_point(|child| passes(&child.first));
                let index = behind.saturating_sub(1);
                let last = last && index + 1 == children.len();
                let child = &mut children[index];
                child.count += 1;
                let second = child.node.insert_behind(item, passes, last);
                if behind == 0 {
                    child.first = item;
                }
                second.and_then(|second| adopt(children, index, second, last))
            }
        }
    }

    /// Takes out the item at a position, which there is.
    fn remove(&mut self, at: usize) -> K {
        match self {
            Node::Leaf(items) => items.remove(at),
            Node::Branch(children) => {
                let (index, within) = child_at_existing(children, at);
                let item = children[index].node.remove(within);
                lost_one(children, index);
                item
            }
        }
    }

    /// Takes out the last item that passes a test, if any does.
    fn remove_last(&mut self, passes: &mut impl FnMut(&K) -> bool) -> Option<K> {
        match self {
            Node::Leaf(items) => {
                fetch(items);
                let at = items.partition_point(passes).checked_sub(1)?;
                Some(items.remove(at))
            }
            Node::Branch(children) => {
                let index = children.partition_point(|child| passes(&child.first)).checked_sub(1)?;
                let item = children[index].node.remove_last(passes)?;
                lost_one(children, index);
                Some(item)
            }
        }
    }

    /// Puts another item in the place of one, which there is.
    fn replace(&mut self, at: usize, item: K) {
        match self {
            Node::Leaf(items) => items[at] = item,
            Node::Branch(children) => {
                let (index, within) = child_at_existing(children, at);
                let child = &mut children[index];
                child.node.replace(within, item);
                if within == 0 {
                    child.first = item;
                }
            }
        }
    }

    /// How many items, from the first on, pass a test that none passes behind one that does not.
    fn partition_point(&self, passes: &mut impl FnMut(&K) -> bool) -> usize {
        match self {
            Node::Leaf(items) => {
                fetch(items);
                items.partition_point(passes)
            }
            Node::Branch(children) => {
                let index = children.partition_point(|child| passes(&child.first));
                let Some(index) = index.checked_sub(1) else { return 0 };
                let before: usize = children[..index].iter().map(|child| child.count).sum();
                before + children[index].node.partition_point(passes)
            }
        }
    }

    fn visit(&self, at: usize, backwards: bool, see: &mut impl FnMut(&K) -> bool) -> bool {
        match (self, backwards) {
            (Node::Leaf(items), false) => items[at..].iter().all(see),
            (Node::Leaf(items), true) => items[..=at].iter().rev().all(see),
            (Node::Branch(children), backwards) => {
                let (index, within) = child_at_existing(children, at);
                if !children[index].node.visit(within, backwards, see) {
                    return false;
                }
                if backwards {
                    children[..index].iter().rev().all(|child| child.node.visit(child.count - 1, true, see))
                } else {
                    children[index + 1..].iter().all(|child| child.node.visit(0, false, see))
                }
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Node::Leaf(items) => items.capacity() * size_of::<K>(),
            Node::Branch(children) => {
                let below = children.iter().map(|child| size_of::<Node<K>>() + child.node.bytes());
                children.capacity() * size_of::<Child<K>>() + below.sum::<usize>()
            }
        }
    }

    /// Drops up to `work` leaves, the last ones. Returns what is left of `work`.
    fn drop_some(&mut self, mut work: usize) -> usize {
        match self {
            Node::Leaf(items) => {
                items.clear();
                work.saturating_sub(1)
            }
            Node::Branch(children) => {
                while let Some(last) = children.last_mut().filter(|_| work > 0) {
                    work = last.node.drop_some(work);
                    last.count = last.node.count();
                    if last.count == 0 {
                        children.pop();
                    }
                }
                work
            }
        }
    }
}

/// Asks for a whole leaf: a search in one that is far away would wait for one line after the other.
#[inline]
fn fetch<K>(items: &[K]) {
    let step = (CACHE_LINE / size_of::<K>().max(1)).max(1);
    items.iter().step_by(step).for_each(|item| prefetch_line(std::ptr::from_ref(item)));
}

/// Puts an item at a position of a leaf. Returns the second half where it had to be split.
fn insert_in_leaf<K>(items: &mut Vec<K>, at: usize, item: K, last: bool) -> Option<Node<K>> {
    let mut second = (items.len() == LEAF_MAX).then(|| split(items, last && at == LEAF_MAX));
    match &mut second {
        Some(second) if at > items.len() || items.len() == LEAF_MAX => second.insert(at - items.len(), item),
        _ => items.insert(at, item),
    }
    second.map(Node::Leaf)
}

/// Child `index`, whose count tells of both halves, was split. Returns the second half where this branch had to be, too.
fn adopt<K: Copy>(children: &mut Vec<Child<K>>, index: usize, second: Node<K>, last: bool) -> Option<Node<K>> {
    let second = Child::of(second)?;
    children[index].count -= second.count;
    let mut half = (children.len() == BRANCH_MAX).then(|| split(children, last));
    match &mut half {
        Some(half) if index + 1 > children.len() || children.len() == BRANCH_MAX => {
            half.insert(index + 1 - children.len(), second);
        }
        _ => children.insert(index + 1, second),
    }
    half.map(Node::Branch)
}

/// An item was taken out of child `index`.
fn lost_one<K: Copy>(children: &mut Vec<Child<K>>, index: usize) {
    let child = &mut children[index];
    child.count -= 1;
    match child.node.first() {
        Some(first) => child.first = first,
        None => {
            children.remove(index);
            return;
        }
    }
    if child.node.width() < child.node.width_max() / 4 {
        join(children, index);
    }
}

/// Cuts off the second half; where the new item comes last of all, nothing: what arrives in order fills nodes up.
fn split<T>(items: &mut Vec<T>, appends: bool) -> Vec<T> {
    let at = if appends { items.len() } else { items.len() / 2 };
    let mut second = Vec::with_capacity(items.len());
    second.extend(items.drain(at..));
    second
}

/// The child that an item at this position would go to, and its position there.
fn child_at<K>(children: &[Child<K>], mut at: usize) -> (usize, usize) {
    for (index, child) in children.iter().enumerate() {
        // The end of one child and the beginning of the next are the same position.
        if at <= child.count {
            return (index, at);
        }
        at -= child.count;
    }
    unreachable!("positions are at most the number of items")
}

/// The child that has the item at this position, and its position there.
fn child_at_existing<K>(children: &[Child<K>], mut at: usize) -> (usize, usize) {
    for (index, child) in children.iter().enumerate() {
        if at < child.count {
            return (index, at);
        }
        at -= child.count;
    }
    unreachable!("positions are below the number of items")
}

/// Joins a child that has become small with a neighbour, if both fit into one.
fn join<K: Copy>(children: &mut Vec<Child<K>>, index: usize) {
    let fits = |left: &Child<K>, right: &Child<K>| left.node.width() + right.node.width() <= left.node.width_max();
    let left = match index {
        index if index > 0 && fits(&children[index - 1], &children[index]) => index - 1,
        index if index + 1 < children.len() && fits(&children[index], &children[index + 1]) => index,
        _ => return,
    };
    let right = children.remove(left + 1);
    let left = &mut children[left];
    left.count += right.count;
    match (&mut *left.node, *right.node) {
        (Node::Leaf(items), Node::Leaf(more)) => items.extend(more),
        (Node::Branch(nodes), Node::Branch(more)) => nodes.extend(more),
        _ => unreachable!("all leaves are equally deep"),
    }
}

impl<K: Copy> Default for Ordered<K> {
    fn default() -> Ordered<K> {
        Ordered::new()
    }
}

impl<K: Copy> Ordered<K> {
    /// An empty one.
    pub fn new() -> Ordered<K> {
        Ordered { root: Node::Leaf(Vec::new()), len: 0 }
    }

    /// How many items there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of its own memory.
    pub fn bytes(&self) -> usize {
        self.root.bytes()
    }

    /// How many items, from the first on, pass a test that none passes behind one that does not.
    #[inline]
    pub fn partition_point(&self, mut passes: impl FnMut(&K) -> bool) -> usize {
        self.root.partition_point(&mut passes)
    }

    /// One of items in this order.
    pub fn of_items(items: &[K]) -> Ordered<K> {
        let mut nodes: Vec<Child<K>> =
            items.chunks(LEAF_MAX).filter_map(|leaf| Child::of(Node::Leaf(leaf.to_vec()))).collect();
        while nodes.len() > 1 {
            let mut rest = nodes.into_iter().peekable();
            nodes = Vec::new();
            while rest.peek().is_some() {
                nodes.extend(Child::of(Node::Branch(rest.by_ref().take(BRANCH_MAX).collect())));
            }
        }
        Ordered { len: items.len(), root: nodes.pop().map_or_else(|| Node::Leaf(Vec::new()), |child| *child.node) }
    }

    /// Puts an item at a position, which is at most the length.
    pub fn insert(&mut self, at: usize, item: K) {
        assert!(at <= self.len, "positions have no gaps");
        self.len += 1;
        let second = self.root.insert(at, item, true);
        self.grow(second);
    }

    /// Puts an item behind all, from the first on, that pass a test that none passes behind one that does not.
    pub fn insert_behind(&mut self, item: K, mut passes: impl FnMut(&K) -> bool) {
        self.len += 1;
        let second = self.root.insert_behind(item, &mut passes, true);
        self.grow(second);
    }

    /// The root was split, if there is a second half.
    #[inline]
    fn grow(&mut self, second: Option<Node<K>>) {
        if let Some(second) = second {
            let first = std::mem::replace(&mut self.root, Node::Branch(Vec::new()));
            let mut children = Vec::with_capacity(BRANCH_MAX);
            children.extend([first, second].into_iter().filter_map(Child::of));
            self.root = Node::Branch(children);
        }
    }

    /// Takes out the item at a position, if there is one.
    pub fn remove(&mut self, at: usize) -> Option<K> {
        if at >= self.len {
            return None;
        }
        let item = self.root.remove(at);
        self.lost_one();
        Some(item)
    }

    /// Takes out the last item, from the first on, that passes a test that none passes behind one that does not.
    pub fn remove_last(&mut self, mut passes: impl FnMut(&K) -> bool) -> Option<K> {
        let item = self.root.remove_last(&mut passes)?;
        self.lost_one();
        Some(item)
    }

    #[inline]
    fn lost_one(&mut self) {
        self.len -= 1;
        while let Node::Branch(children) = &mut self.root {
            if children.len() > 1 {
                break;
            }
            self.root = children.pop().map_or_else(|| Node::Leaf(Vec::new()), |child| *child.node);
        }
    }

    /// Puts another item at a position where there is one: it has to stand in the same order.
    pub fn replace(&mut self, at: usize, item: K) {
        assert!(at < self.len, "only an item can be replaced");
        self.root.replace(at, item);
    }

    /// Takes out the items at these positions, each shown to `see`.
    pub fn remove_range(&mut self, range: Range<usize>, mut see: impl FnMut(K)) {
        for _ in range.clone() {
            if let Some(item) = self.remove(range.start) {
                see(item);
            }
        }
    }

    /// The item at a position.
    pub fn get(&self, at: usize) -> Option<K> {
        let mut found = None;
        self.visit(at, false, |item| {
            found = Some(*item);
            false
        });
        found
    }

    /// Shows the items from a position on, forwards or backwards, until `see` has enough.
    #[inline]
    pub fn visit(&self, at: usize, backwards: bool, mut see: impl FnMut(&K) -> bool) {
        if at < self.len {
            self.root.visit(at, backwards, &mut see);
        }
    }

    /// Drops about `work` leaves. Returns what is left of `work`.
    pub fn drop_some(&mut self, work: usize) -> usize {
        let left = self.root.drop_some(work);
        self.len = self.root.count();
        left
    }
}

impl<K: Copy + std::fmt::Debug> std::fmt::Debug for Ordered<K> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut list = out.debug_list();
        self.visit(0, false, |item| {
            list.entry(item);
            true
        });
        list.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use proptest::prelude::*;

    fn contents(ordered: &Ordered<u32>) -> Vec<u32> {
        let mut all = Vec::new();
        ordered.visit(0, false, |item| {
            all.push(*item);
            true
        });
        all
    }

    /// Counts and firsts are right, no node is empty or too wide, and all leaves are equally deep.
    fn check(node: &Node<u32>, is_root: bool) -> usize {
        assert!(node.width() <= node.width_max() && (is_root || node.width() > 0));
        let Node::Branch(children) = node else { return 1 };
        assert!(!is_root || children.len() > 1);
        let depths: Vec<usize> = children
            .iter()
            .map(|child| {
                assert_eq!((Some(child.first), child.count), (child.node.first(), child.node.count()));
                check(&child.node, false)
            })
            .collect();
        assert!(depths.iter().all(|depth| *depth == depths[0]));
        depths[0] + 1
    }

    #[test]
    fn what_arrives_in_order_fills_the_leaves() {
        let mut ordered = Ordered::new();
        (0..100_000).for_each(|number| ordered.insert(number as usize, number));
        assert!(contents(&ordered).into_iter().eq(0..100_000));
        assert!(ordered.bytes() < 100_000 * 4 * 5 / 4, "{}", ordered.bytes());
        assert_eq!(check(&ordered.root, true), 4);
        assert_eq!(ordered.partition_point(|item| *item < 77_777), 77_777);
    }

    #[test]
    fn what_comes_before_the_last_leaf_in_falling_order_fills_leaves_too() {
        let mut ordered = Ordered::of_items(&(0..LEAF_MAX as u32).chain([1_000_000]).collect::<Vec<_>>());
        for number in (1000..101_000).rev() {
            ordered.insert_behind(number, |item| *item < number);
        }
        check(&ordered.root, true);
        assert!(ordered.bytes() < 100_000 * 4 * 3, "{}", ordered.bytes());
    }

    #[test]
    fn a_tree_shrinks_to_nothing() {
        let mut rng = Rng::seeded(1);
        let mut ordered = Ordered::new();
        for number in 0..20_000u32 {
            ordered.insert(rng.below(u64::from(number) + 1) as usize, number);
        }
        while !ordered.is_empty() {
            let at = rng.below(ordered.len() as u64) as usize;
            assert_eq!(ordered.get(at), ordered.remove(at));
            if ordered.len() % 1000 == 0 {
                check(&ordered.root, true);
            }
        }
        assert!(matches!(&ordered.root, Node::Leaf(items) if items.is_empty()));
        assert_eq!((ordered.remove(0), ordered.get(0)), (None, None));
    }

    #[test]
    fn garbage_is_dropped_in_slices() {
        let mut ordered = Ordered::new();
        (0..10_000).for_each(|number| ordered.insert(number as usize, number));
        let mut slices = 0;
        while ordered.drop_some(10) == 0 {
            slices += 1;
        }
        assert!(ordered.is_empty());
        assert!((5..20).contains(&slices), "{slices}");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(usize, u32),
        Many(usize, u32),
        Remove(usize),
        Replace(usize, u32),
        RemoveRange(usize, usize),
        Visit(usize, bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (any::<usize>(), any::<u32>()).prop_map(|(at, item)| Step::Insert(at, item)),
            2 => (any::<usize>(), 1u32..400).prop_map(|(at, count)| Step::Many(at, count)),
            4 => any::<usize>().prop_map(Step::Remove),
            1 => (any::<usize>(), any::<u32>()).prop_map(|(at, item)| Step::Replace(at, item)),
            1 => (any::<usize>(), 0usize..600).prop_map(|(at, count)| Step::RemoveRange(at, count)),
            2 => (any::<usize>(), any::<bool>()).prop_map(|(at, backwards)| Step::Visit(at, backwards)),
        ]
    }

    fn apply(ordered: &mut Ordered<u32>, model: &mut Vec<u32>, step: Step) {
        let len = model.len();
        match step {
            Step::Insert(at, item) => {
                ordered.insert(at % (len + 1), item);
                model.insert(at % (len + 1), item);
            }
            Step::Many(at, count) => {
                let at = at % (len + 1);
                (0..count).for_each(|number| ordered.insert(at + number as usize, number));
                model.splice(at..at, 0..count);
            }
            Step::Remove(at) => {
                let at = at % (len + 1);
                assert_eq!(ordered.remove(at), (at < len).then(|| model.remove(at)));
            }
            Step::Replace(at, item) => {
                if len > 0 {
                    ordered.replace(at % len, item);
                    model[at % len] = item;
                }
            }
            Step::RemoveRange(at, count) => {
                let at = at % (len + 1);
                let range = at..(at + count).min(len);
                let mut gone = Vec::new();
                ordered.remove_range(range.clone(), |item| gone.push(item));
                assert!(model.drain(range).eq(gone));
            }
            Step::Visit(at, backwards) => {
                let at = at % (len + 1);
                let mut seen = Vec::new();
                ordered.visit(at, backwards, |item| {
                    seen.push(*item);
                    seen.len() < 300
                });
                let wanted: Vec<u32> = match (at < len, backwards) {
                    (false, _) => Vec::new(),
                    (true, false) => model[at..].iter().take(300).copied().collect(),
                    (true, true) => model[..=at].iter().rev().take(300).copied().collect(),
                };
                assert_eq!(seen, wanted);
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_vector(steps in prop::collection::vec(step(), 1..60)) {
            let (mut ordered, mut model) = (Ordered::new(), Vec::new());
            for step in steps {
                apply(&mut ordered, &mut model, step);
                check(&ordered.root, true);
                prop_assert_eq!(ordered.len(), model.len());
                prop_assert_eq!(&contents(&ordered), &model);
            }
        }

        #[test]
        fn a_sorted_one_stays_sorted(
            start in prop::collection::vec(0u32..500, 0..3000),
            steps in prop::collection::vec((any::<bool>(), 0u32..501, 1usize..200), 1..40),
        ) {
            let mut model = start;
            model.sort_unstable();
            let mut ordered = Ordered::of_items(&model);
            prop_assert_eq!(ordered.len(), model.len());
            check(&ordered.root, true);
            for (inserts, item, times) in steps {
                for _ in 0..times {
                    let point = model.partition_point(|other| *other <= item);
                    if inserts {
                        ordered.insert_behind(item, |other| *other <= item);
                        model.insert(point, item);
                    } else {
                        let gone = point.checked_sub(1).map(|at| model.remove(at));
                        prop_assert_eq!(ordered.remove_last(|other| *other <= item), gone);
                    }
                }
                check(&ordered.root, true);
                prop_assert_eq!(ordered.len(), model.len());
                prop_assert_eq!(&contents(&ordered), &model);
            }
        }

        #[test]
        fn partition_points_are_a_vectors(
            mut items in prop::collection::vec(0u32..500, 0..1000),
            wanted in prop::collection::vec(0u32..501, 1..20),
        ) {
            items.sort_unstable();
            let mut ordered = Ordered::new();
            items.iter().enumerate().for_each(|(at, item)| ordered.insert(at, *item));
            for wanted in wanted {
                let point = ordered.partition_point(|item| *item < wanted);
                prop_assert_eq!(point, items.partition_point(|item| *item < wanted));
                prop_assert_eq!(ordered.get(point), items.get(point).copied());
            }
        }
    }
}
