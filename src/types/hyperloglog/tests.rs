//! HyperLogLogs against plain registers, and any bytes at all.

use super::*;
use proptest::prelude::*;

/// Elements 0, 1, 2, ... as their decimal text.
fn added(count: u64, sparse_max: usize) -> BytesMut {
    let mut buffer = BytesMut::from(EMPTY);
    for number in 0..count {
        Mark::of(number.to_string().as_bytes()).make(&mut buffer, sparse_max).expect("sound");
    }
    buffer
}

#[test]
fn elements_leave_the_marks_that_redis_makes() {
    let mut buffer = BytesMut::from(EMPTY);
    assert_eq!(Mark::of(b"a").make(&mut buffer, 3000), Ok(true));
    assert_eq!(&buffer[16..], b"\x71\xa6\x84NW");
    for element in [b"zz", &b"q"[..], b"u"] {
        assert_eq!(Mark::of(element).make(&mut buffer, 3000), Ok(true));
    }
    assert_eq!(&buffer[16..], b"J\xd9\x80C\x07\x94G\xcb\x94[\xf5\x84NW");
    assert_eq!(Mark::of(b"a").make(&mut buffer, 3000), Ok(false));
}

#[test]
fn estimates_are_near() {
    for count in [0, 1, 2, 10, 100, 1000, 10_000, 100_000] {
        let estimate = estimate(&registers(&added(count, 3000)).expect("sound"));
        let error = (estimate as f64 - count as f64).abs();
        assert!(error <= count as f64 * 0.03 + 0.5, "{count}: {estimate}");
    }
    assert_eq!(estimate(&[63; REGISTERS]), 1 << 63);
}

#[test]
fn the_estimate_is_kept_until_it_is_out_of_date() {
    let mut bytes = EMPTY.to_vec();
    assert_eq!(known_estimate(&bytes), None);
    keep_estimate(&mut bytes, 258);
    assert_eq!(known_estimate(&bytes), Some(258));
    assert_eq!(bytes[8..16], [2, 1, 0, 0, 0, 0, 0, 0]);
    outdate(&mut bytes);
    assert_eq!((known_estimate(&bytes), bytes[8]), (None, 2));
}

#[test]
fn what_is_none_is_told_from_what_is_one() {
    assert_eq!(encoding(EMPTY), Some(Encoding::Sparse));
    let mut buffer = BytesMut::from(EMPTY);
    assert_eq!(to_dense(&mut buffer), Ok(true));
    assert_eq!((encoding(&buffer), buffer.len(), to_dense(&mut buffer)), (Some(Encoding::Dense), 12304, Ok(false)));
    buffer.truncate(12303);
    assert_eq!(encoding(&buffer), None);
    for bytes in
        [&b""[..], b"HYLL", &EMPTY[..15], b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0\x7f\xff", b"hYLL\x01\0\0\0\0\0\0\0\0\0\0\0"]
    {
        assert_eq!(encoding(bytes), None, "{bytes:?}");
    }
}

#[test]
fn neighbours_of_one_value_share_a_run() {
    let mut buffer = BytesMut::from(EMPTY);
    for (index, shown) in [
        (1, "z:1 v:3,1 Z:16382"),
        (3, "z:1 v:3,1 z:1 v:3,1 Z:16380"),
        (2, "z:1 v:3,3 Z:16380"),
        (0, "v:3,4 Z:16380"),
        (4, "v:3,4 v:3,1 Z:16379"),
        (16383, "v:3,4 v:3,1 Z:16378 v:3,1"),
    ] {
        assert_eq!(Mark::at(index, 3).make(&mut buffer, 3000), Ok(true));
        assert_eq!(shown_runs(&buffer), shown);
    }
    assert_eq!(Mark::at(1, 5).make(&mut buffer, 3000), Ok(true));
    assert_eq!(shown_runs(&buffer), "v:3,1 v:5,1 v:3,3 Z:16378 v:3,1");
}

#[test]
fn runs_become_dense_where_they_take_too_much_or_cannot_hold_it() {
    let mut buffer = added(3, 3000);
    assert_eq!(Mark::at(7, 32).make(&mut buffer, 3000), Ok(true));
    assert_eq!(encoding(&buffer), Some(Encoding::Sparse));
    assert_eq!(Mark::at(7, 33).make(&mut buffer, 3000), Ok(true));
    assert_eq!((encoding(&buffer), register(&buffer, 7)), (Some(Encoding::Dense), 33));
    let mut buffer = BytesMut::from(EMPTY);
    assert_eq!(Mark::at(100, 1).make(&mut buffer, 20), Ok(true));
    assert_eq!(encoding(&buffer), Some(Encoding::Dense));
    let mut buffer = BytesMut::from(EMPTY);
    assert_eq!(Mark::at(100, 1).make(&mut buffer, 21), Ok(true));
    assert_eq!(encoding(&buffer), Some(Encoding::Sparse));
}

proptest! {
    #[test]
    fn marks_raise_registers(
        marks in prop::collection::vec((0usize..REGISTERS, 1u8..=34), 0..400),
        near in prop::collection::vec((0usize..40, 1u8..=4), 0..200),
        sparse_max in 0usize..4000,
    ) {
        let mut buffer = BytesMut::from(EMPTY);
        let mut model = [0; REGISTERS];
        for (index, value) in near.into_iter().chain(marks) {
            let mark = Mark::at(index, value);
            let is_news = model[index] < value;
            prop_assert_eq!(mark.is_news(&buffer), Ok(is_news));
            prop_assert_eq!(mark.make(&mut buffer, sparse_max), Ok(is_news));
            model[index] = model[index].max(value);
        }
        prop_assert!(registers(&buffer) == Ok(model));
        to_dense(&mut buffer).expect("sound");
        prop_assert!(registers(&buffer) == Ok(model));
        prop_assert!((0..REGISTERS).all(|index| register(&buffer, index) == model[index]));
    }

    /// Nothing panics, and nothing is both corrupt and served.
    #[test]
    fn any_bytes_are_survived(
        // Without a tail it may be sound, and becomes dense.
        tail in prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), 0..60)],
        cut in prop_oneof![Just(0), 0usize..20],
        elements in 0u64..20,
    ) {
        let sound = added(elements, 3000);
        let mut buffer = BytesMut::from(&sound[..sound.len().saturating_sub(cut).max(HEADER_LEN)]);
        buffer.extend_from_slice(&tail);
        shown_runs(&buffer);
        let is_sound = registers(&buffer).is_ok();
        for number in 0..50u64 {
            let mark = Mark::of(&number.to_le_bytes());
            // A dense one has no runs.
            let is_corrupt = !is_dense(&buffer) && run_with(&buffer, mark.index).is_err();
            prop_assert_eq!(mark.is_news(&buffer).is_err(), is_corrupt);
            let made = mark.make(&mut buffer, 60);
            prop_assert!(!is_sound || made.is_ok());
        }
        prop_assert_eq!(registers(&buffer).is_ok(), is_sound);
        prop_assert!(to_dense(&mut buffer).is_ok() == is_sound);
    }
}
