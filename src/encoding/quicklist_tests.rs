//! Tests of the long list, the property test against a vector among them.

#![forbid(unsafe_code)]

use super::*;
use proptest::prelude::*;

const SMALL: Limits = Limits { fill: 4, depth: 0, large_min: 0 };

fn contents(list: &Quicklist) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    list.visit(0, false, &mut |element| {
        all.push(element.to_vec());
        true
    });
    all
}

#[test]
fn limits_are_counts_or_sizes() {
    let limits = |fill| Limits { fill, depth: 0, large_min: 0 };
    assert!(!limits(-2).exceeded(8192, 100_000) && limits(-2).exceeded(8193, 1));
    assert!(!limits(-9).exceeded(65_536, 1) && limits(-9).exceeded(65_537, 1));
    assert!(!limits(3).exceeded(8192, 3) && limits(3).exceeded(10, 4) && limits(3).exceeded(8193, 1));
    assert!(!limits(0).exceeded(10, 1) && limits(0).exceeded(10, 2));
    assert!(limits(-2).fits_half(4096, 9) && !limits(-2).fits_half(4097, 9));
    assert!(limits(5).fits_half(9000, 2) && !limits(5).fits_half(10, 3));
}

#[test]
fn inner_nodes_are_compressed_and_the_ends_are_not() {
    let mut list = Quicklist::new(Limits { fill: 10, depth: 2, large_min: 0 });
    for number in 0..100 {
        list.push_back(format!("an element like the others: {number}").as_bytes());
    }
    assert_eq!((list.shape().nodes, list.shape().squeezed), (10, 6));
    assert!(list.memory_usage() < list.shape().raw_bytes);
    while list.len() > 30 {
        list.pop_front(|_| ());
    }
    assert_eq!((list.shape().nodes, list.shape().squeezed), (3, 0));
    assert_eq!(contents(&list)[0], b"an element like the others: 70");
}

#[test]
fn big_elements_have_nodes_of_their_own() {
    let mut list = Quicklist::new(Limits { fill: -1, depth: 0, large_min: 0 });
    let big = vec![b'x'; 4097];
    for text in [&b"a"[..], &big, b"b"] {
        list.push_back(text);
    }
    assert_eq!(list.shape().nodes, 3);
    assert!(list.replace(1, b"c"));
    assert!(list.replace(0, &big));
    assert_eq!(contents(&list), [&big[..], b"c", b"b"]);
}

/// The elements of each node, a big one as `*`.
fn nodes(list: &Quicklist) -> Vec<String> {
    let mut all = Vec::new();
    list.each_node(|bytes, plain| {
        let pack = Listpack::from_bytes(bytes.to_vec()).filter(|_| !plain);
        let texts = pack.iter().flat_map(Listpack::iter).flat_map(Element::to_vec);
        all.push(if plain {
            "*".to_owned()
        } else {
            String::from_utf8_lossy(&texts.collect::<Vec<u8>>()).into_owned()
        });
    });
    all
}

/// The nodes are those that Redis 8.0 has after the same commands.
#[test]
fn nodes_are_split_and_merged_as_in_redis() {
    let big = vec![b'*'; 8193];
    let with = |change: &dyn Fn(&mut Quicklist)| {
        let mut list = Quicklist::new(SMALL);
        (b'a'..=b'j').for_each(|letter| list.push_back(&[letter]));
        change(&mut list);
        nodes(&list)
    };
    assert_eq!(with(&|_| ()), ["abcd", "efgh", "ij"]);
    assert_eq!(with(&|list| _ = list.insert_beside(4, true, b"X")), ["abcd", "e", "Xfgh", "ij"]);
    assert_eq!(with(&|list| _ = list.insert_beside(5, false, b"X")), ["abcd", "eX", "fgh", "ij"]);
    let twice = with(&|list| {
        list.insert_beside(3, false, b"X");
        list.insert_beside(1, true, b"Y");
    });
    assert_eq!(twice, ["ab", "YcXd", "efgh", "ij"]);
    assert_eq!(with(&|list| _ = list.insert_beside(6, true, &big)), ["abcd", "efg", "*", "h", "ij"]);
    assert_eq!(with(&|list| _ = list.replace(4, &big)), ["abcd", "*", "fgh", "ij"]);
    assert_eq!(with(&|list| _ = list.replace(5, &big)), ["abcd", "e", "*", "ghij"]);
}

#[derive(Clone, Debug)]
enum Step {
    Push(bool, Vec<u8>),
    Pop(bool),
    Insert(usize, bool, Vec<u8>),
    Replace(usize, Vec<u8>),
    Remove(usize, usize),
    RemoveEqual(usize, usize, bool),
    Visit(usize, bool),
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (0u8..6).prop_map(|digit| vec![b'0' + digit]),
        2 => prop::collection::vec(any::<u8>(), 0..40),
        2 => (0usize..300).prop_map(|len| vec![b'z'; len]),
        1 => prop::sample::select(vec![4095usize, 4096, 4097, 8191, 8192, 8193]).prop_map(|len| vec![b'y'; len]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (any::<bool>(), text()).prop_map(|(back, text)| Step::Push(back, text)),
        2 => any::<bool>().prop_map(Step::Pop),
        3 => (any::<usize>(), any::<bool>(), text()).prop_map(|(at, behind, text)| Step::Insert(at, behind, text)),
        2 => (any::<usize>(), text()).prop_map(|(at, text)| Step::Replace(at, text)),
        1 => (any::<usize>(), 0usize..12).prop_map(|(at, count)| Step::Remove(at, count)),
        1 => (any::<usize>(), 1usize..5, any::<bool>()).prop_map(|(at, max, back)| Step::RemoveEqual(at, max, back)),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(at, back)| Step::Visit(at, back)),
    ]
}

fn remove_equal(model: &mut Vec<Vec<u8>>, text: &[u8], max: usize, backwards: bool) -> usize {
    let mut at: Vec<usize> = (0..model.len()).filter(|&at| model[at] == text).collect();
    if backwards {
        at.reverse();
    }
    at.truncate(max);
    at.sort_unstable();
    at.iter().rev().for_each(|&at| _ = model.remove(at));
    at.len()
}

fn apply(list: &mut Quicklist, model: &mut Vec<Vec<u8>>, step: Step) {
    let len = model.len();
    match step {
        Step::Push(true, text) => {
            list.push_back(&text);
            model.push(text);
        }
        Step::Push(false, text) => {
            list.push_front(&text);
            model.insert(0, text);
        }
        Step::Pop(true) => assert_eq!(list.pop_back(|element| element.to_vec()), model.pop()),
        Step::Pop(false) => {
            let first = (len > 0).then(|| model.remove(0));
            assert_eq!(list.pop_front(|element| element.to_vec()), first);
        }
        Step::Insert(at, behind, text) => {
            let at = at % (len + 1);
            assert_eq!(list.insert_beside(at, behind, &text), at < len);
            if at < len {
                model.insert(at + usize::from(behind), text);
            }
        }
        Step::Replace(at, text) => {
            assert_eq!(list.replace(at % (len + 1), &text), at % (len + 1) < len);
            if let Some(there) = model.get_mut(at % (len + 1)) {
                *there = text;
            }
        }
        Step::Remove(at, count) => {
            let at = at % (len + 1);
            list.remove(at, count);
            model.drain(at..(at + count).min(len));
        }
        Step::RemoveEqual(at, max, backwards) => {
            let Some(text) = model.get(at % (len + 1)).cloned() else { return };
            let removed = list.remove_equal(&text, max, backwards);
            assert_eq!(removed, remove_equal(model, &text, max, backwards));
        }
        Step::Visit(at, backwards) => {
            let at = at % (len + 1);
            let mut seen = Vec::new();
            list.visit(at, backwards, &mut |element| {
                seen.push(element.to_vec());
                seen.len() < 7
            });
            let wanted: Vec<Vec<u8>> = match (at < len, backwards) {
                (false, _) => Vec::new(),
                (true, false) => model[at..].iter().take(7).cloned().collect(),
                (true, true) => model[..=at].iter().rev().take(7).cloned().collect(),
            };
            assert_eq!(seen, wanted);
        }
    }
}

/// Nodes are never empty and have no more elements than they may, the ends are open, and the count is right.
fn check(list: &Quicklist) {
    assert_eq!(list.nodes.iter().map(Node::count).sum::<usize>(), list.len);
    let depth = list.limits.depth as usize;
    for (at, node) in list.nodes.iter().enumerate() {
        assert!(node.count() > 0);
        assert!(node.is_plain() || node.count() == 1 || !list.limits.exceeded(0, node.count()));
        let is_end = at == 0 || at + 1 == list.nodes.len();
        assert!(!matches!(node, Node::Folded(_)) || depth == 0 && !is_end);
        let inner = depth > 0 && at >= depth && at < list.nodes.len() - depth;
        assert!(inner || !node.is_squeezed());
        let mut copy = node.opened().unwrap_or_else(|| node.clone());
        if inner {
            copy.squeeze();
            assert_eq!(copy.is_squeezed(), node.is_squeezed(), "node {at}");
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_a_vector(
        fill in prop::sample::select(vec![-1, -2, 0, 1, 2, 4, 16]),
        depth in 0u32..4,
        steps in prop::collection::vec(step(), 1..100),
    ) {
        let (mut list, mut model) = (Quicklist::new(Limits { fill, depth, large_min: 0 }), Vec::new());
        for step in steps {
            apply(&mut list, &mut model, step);
            check(&list);
            prop_assert_eq!(list.len(), model.len());
            prop_assert_eq!(&contents(&list), &model);
        }
    }
}

#[test]
fn one_small_pack_is_found() {
    let mut list = Quicklist::new(SMALL);
    (0..3).for_each(|_| list.push_back(b"x"));
    assert!(list.as_small_pack(SMALL).is_none());
    list.pop_back(|_| ());
    assert_eq!(list.as_small_pack(SMALL).map(Packed::len), Some(2));
}
