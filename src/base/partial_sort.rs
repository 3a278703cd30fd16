//! A sort that leaves alone what lies outside a range of places: the quicksort of J. Bentley and M. McIlroy
//! ("Engineering a sort function", 1993), which passes over parts that nobody asked for. Items that are equal end up in
//! any order, but always in the same one, and in the one that Redis leaves them in. Pure; any thread.

#![forbid(unsafe_code)]

use std::cmp::Ordering;
use std::ops::Range;

/// Up to here items are inserted one by one.
const INSERTION_MAX: usize = 6;
/// Above this the middle of three middles of three is taken.
const NINTHER_MIN: usize = 41;

/// Sorts so that the items at the places of `wanted` are those of the sorted slice.
pub fn partial_sort<T>(items: &mut [T], wanted: Range<usize>, mut order: impl FnMut(&T, &T) -> Ordering) {
    let depth = 2 * usize::BITS.saturating_sub(items.len().leading_zeros());
    sort(items, 0, &wanted, depth, &mut order);
}

/// `offset`: the place of the first of `items`. Where the middles are chosen badly too often, which takes an order made
/// for it, another sort takes over: `depth` says how often is too often.
fn sort<T>(
    mut items: &mut [T],
    mut offset: usize,
    wanted: &Range<usize>,
    mut depth: u32,
    order: &mut impl FnMut(&T, &T) -> Ordering,
) {
    loop {
        let len = items.len();
        if len <= INSERTION_MAX {
            return insert_each(items, order);
        }
        if depth == 0 {
            return items.sort_by(order);
        }
        depth -= 1;
        items.swap(0, middle(items, order));
        let (less, greater) = part(items, order);
        let is_wanted = |place: usize, len: usize| len > 1 && wanted.start < place + len && wanted.end > place;
        if is_wanted(offset, less) {
            sort(&mut items[..less], offset, wanted, depth, order);
        }
        let next = offset + len - greater;
        if !is_wanted(next, greater) {
            return;
        }
        offset = next;
        items = &mut items[len - greater..];
    }
}

fn insert_each<T>(items: &mut [T], order: &mut impl FnMut(&T, &T) -> Ordering) {
    for index in 1..items.len() {
        let mut at = index;
        while at > 0 && order(&items[at - 1], &items[at]).is_gt() {
            items.swap(at - 1, at);
            at -= 1;
        }
    }
}

/// The place of an item that is probably about in the middle.
fn middle<T>(items: &[T], order: &mut impl FnMut(&T, &T) -> Ordering) -> usize {
    let (len, half) = (items.len(), items.len() / 2);
    if len == INSERTION_MAX + 1 {
        return half;
    }
    let mut of_three = |a: usize, b: usize, c: usize| {
        let mut is = |left: usize, right: usize| order(&items[left], &items[right]);
        if is(a, b).is_lt() {
            if is(b, c).is_lt() {
                b
            } else if is(a, c).is_lt() {
                c
            } else {
                a
            }
        } else if is(b, c).is_gt() {
            b
        } else if is(a, c).is_lt() {
            a
        } else {
            c
        }
    };
    let (mut low, mut mid, mut high) = (0, half, len - 1);
    if len >= NINTHER_MIN {
        let step = len / 8;
        low = of_three(low, low + step, low + 2 * step);
        mid = of_three(mid - step, mid, mid + step);
        high = of_three(high - 2 * step, high - step, high);
    }
    of_three(low, mid, high)
}

/// Parts the items by the first of them. Returns how many less ones lie before, and how many greater ones behind those
/// that are equal to it.
fn part<T>(items: &mut [T], order: &mut impl FnMut(&T, &T) -> Ordering) -> (usize, usize) {
    let len = items.len();
    // Equal ones gather at both ends first: `equal_low` and `equal_high` say how far they reach.
    let (mut equal_low, mut low) = (1, 1);
    let (mut equal_high, mut high) = (len, len);
    loop {
        while low < high {
            match order(&items[low], &items[0]) {
                Ordering::Greater => break,
                Ordering::Equal => {
                    items.swap(equal_low, low);
                    equal_low += 1;
                }
                Ordering::Less => {}
            }
            low += 1;
        }
        while low < high {
            match order(&items[high - 1], &items[0]) {
                Ordering::Less => break,
                Ordering::Equal => {
                    equal_high -= 1;
                    items.swap(high - 1, equal_high);
                }
                Ordering::Greater => {}
            }
            high -= 1;
        }
        if low >= high {
            break;
        }
        items.swap(low, high - 1);
        low += 1;
        high -= 1;
    }
    let (less, greater) = (low - equal_low, equal_high - high);
    let count = equal_low.min(less);
    exchange(items, 0, low - count, count);
    let count = greater.min(len - equal_high);
    exchange(items, low, len - count, count);
    (less, greater)
}

/// Lets so many items from two places on change places.
fn exchange<T>(items: &mut [T], left: usize, right: usize, count: usize) {
    (0..count).for_each(|index| items.swap(left + index, right + index));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Equal items, told apart by where they were: the order that Redis leaves them in.
    #[test]
    fn equal_items_end_up_where_redis_has_them() {
        let keys = b"bcabcaacbbca";
        let mut items: Vec<(u8, usize)> = keys.iter().copied().zip(0..).collect();
        partial_sort(&mut items, 0..3, |left, right| left.0.cmp(&right.0));
        assert_eq!(items[..3].iter().map(|item| item.1).collect::<Vec<_>>(), EXPECTED);
    }

    /// As redis-server 8.0.6 answers `SORT l BY w_* ALPHA LIMIT 0 3` for a list of 0 to 11 with these weights.
    const EXPECTED: [usize; 3] = [11, 2, 5];

    /// Sequences against which the middle of three is bad luck every time.
    #[test]
    fn hard_orders_end_too() {
        const LEN: usize = 100_000;
        let mut organ: Vec<usize> = (0..LEN / 2).chain((0..LEN / 2).rev()).collect();
        let mut compared = 0usize;
        partial_sort(&mut organ, 0..LEN, |left, right| {
            compared += 1;
            left.cmp(right)
        });
        assert!(organ.is_sorted() && compared < 100 * LEN);
    }

    proptest! {
        #[test]
        fn the_wanted_places_are_sorted(
            mut items in prop::collection::vec(0u8..20, 0..200),
            start in 0usize..200,
            count in 0usize..200,
        ) {
            let mut sorted = items.clone();
            sorted.sort_unstable();
            let wanted = start.min(items.len())..(start + count).min(items.len());
            partial_sort(&mut items, wanted.clone(), Ord::cmp);
            prop_assert_eq!(&items[wanted.clone()], &sorted[wanted]);
            items.sort_unstable();
            prop_assert_eq!(items, sorted);
        }
    }
}
