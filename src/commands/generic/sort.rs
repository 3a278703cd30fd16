//! SORT and SORT_RO: the elements of a list, set or sorted set in another order, by their own texts or by what lies at
//! keys made of them, and what lies at other such keys in their place.

#![forbid(unsafe_code)]

use std::cmp::Ordering;
use std::ops::Range;

use crate::base::float::parse_range_end;
use crate::base::integer::parse_i64;
use crate::base::partial_sort::partial_sort;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_AN_INTEGER, SYNTAX, WRONG_TYPE};
use crate::command::spec::{FoundKey, KeyFlags};
use crate::commands::hash::drop_late_field;
use crate::commands::lookup;
use crate::commands::result::put_result;
use crate::config::KeyspaceEvents;
use crate::encoding::listpack::Element;
use crate::encoding::quicklist::Quicklist;
use crate::resp::args::Args;
use crate::types::list::List;
use crate::types::sorted_set::SortedSet;
use crate::types::{Collection, KeyEntry, NewValue};

const NOT_NUMBERS: CommandError = CommandError::fixed("One or more scores can't be converted into double");
const BY_DENIED: CommandError = CommandError::fixed("BY option of SORT denied due to insufficient ACL permissions.");
const GET_DENIED: CommandError = CommandError::fixed("GET option of SORT denied due to insufficient ACL permissions.");

/// What stands for the element itself in GET.
const SELF: &[u8] = b"#";

/// What to do with the elements.
struct Options<'a> {
    descending: bool,
    /// By texts instead of numbers.
    alpha: bool,
    /// In the order in which they are kept.
    unsorted: bool,
    by: Option<&'a [u8]>,
    gets: Vec<&'a [u8]>,
    start: i64,
    /// All of them where it is negative.
    count: i64,
    store: Option<&'a [u8]>,
}

/// Keys of SORT: the first one and that of the last STORE. Those made from elements cannot be told.
pub(super) fn find_keys(args: Args<'_>, keys: &mut Vec<FoundKey>) -> Result<(), CommandError> {
    keys.push(FoundKey { index: 1, flags: KeyFlags::RO.union(KeyFlags::ACCESS) });
    let mut store = None;
    let mut index = 2;
    while index < args.len() {
        let is = |name: &str| args.get(index).eq_ignore_ascii_case(name.as_bytes());
        if is("LIMIT") {
            index += 2;
        } else if is("GET") || is("BY") {
            index += 1;
        } else if is("STORE") && index + 1 < args.len() {
            store = Some(index + 1);
        }
        index += 1;
    }
    keys.extend(store.map(|index| FoundKey { index, flags: KeyFlags::OW.union(KeyFlags::UPDATE) }));
    Ok(())
}

/// Keys of SORT_RO, which stores nothing.
pub(super) fn find_first_key(_: Args<'_>, keys: &mut Vec<FoundKey>) -> Result<(), CommandError> {
    keys.push(FoundKey { index: 1, flags: KeyFlags::RO.union(KeyFlags::ACCESS) });
    Ok(())
}

impl<'a> Options<'a> {
    fn read(ctx: &Context<'_>, args: Args<'a>, may_store: bool) -> Result<Options<'a>, CommandError> {
        let mut options = Options {
            descending: false,
            alpha: false,
            unsorted: false,
            by: None,
            gets: Vec::new(),
            start: 0,
            count: -1,
            store: None,
        };
        let mut index = 2;
        while index < args.len() {
            let is = |name: &str| args.get(index).eq_ignore_ascii_case(name.as_bytes());
            let left = args.len() - index - 1;
            if is("ASC") {
                options.descending = false;
            } else if is("DESC") {
                options.descending = true;
            } else if is("ALPHA") {
                options.alpha = true;
            } else if is("LIMIT") && left >= 2 {
                options.start = parse_i64(args.get(index + 1)).ok_or(NOT_AN_INTEGER)?;
                options.count = parse_i64(args.get(index + 2)).ok_or(NOT_AN_INTEGER)?;
                index += 2;
            } else if may_store && is("STORE") && left >= 1 {
                index += 1;
                options.store = Some(args.get(index));
            } else if is("BY") && left >= 1 {
                index += 1;
                options.by = Some(args.get(index));
                if star(args.get(index)).is_none() {
                    options.unsorted = true;
                } else if !may_read_all(ctx, args) {
                    return Err(BY_DENIED);
                }
            } else if is("GET") && left >= 1 {
                if !may_read_all(ctx, args) {
                    return Err(GET_DENIED);
                }
                index += 1;
                options.gets.push(args.get(index));
            } else {
                return Err(SYNTAX);
            }
            index += 1;
        }
        Ok(options)
    }

    /// The places that LIMIT leaves of so many.
    fn range(&self, len: usize) -> Range<usize> {
        let start = usize::try_from(self.start.max(0)).unwrap_or(usize::MAX).min(len);
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        start..start.saturating_add(count).min(len)
    }
}

/// Keys made from elements cannot be checked one by one: the user has to be allowed to read all keys.
fn may_read_all(ctx: &Context<'_>, args: Args<'_>) -> bool {
    let Some(id) = ctx.state.registry.find_full_name(ctx.command.full_name.as_bytes()) else { return false };
    let first_arg = (args.len() > 1).then(|| args.get(1));
    ctx.state.users.get(ctx.session.user).may_read_all_keys(id.index(), first_arg)
}

/// Where the star of a pattern is. Redis does not look behind a NUL.
fn star(pattern: &[u8]) -> Option<usize> {
    pattern.iter().take_while(|byte| **byte != 0).position(|byte| *byte == b'*')
}

/// The key, and the field if the pattern has one, for an element. None where the pattern has no star.
fn key_of<'p>(pattern: &'p [u8], element: &[u8]) -> Option<(Vec<u8>, Option<&'p [u8]>)> {
    let star = star(pattern)?;
    let behind = &pattern[star + 1..];
    let visible = behind.iter().position(|byte| *byte == 0).unwrap_or(behind.len());
    let arrow = behind[..visible].windows(2).position(|two| two == b"->").filter(|arrow| arrow + 2 < visible);
    let (rest, field) = match arrow {
        Some(arrow) => (&behind[..arrow], Some(&behind[arrow + 2..])),
        None => (behind, None),
    };
    Some(([&pattern[..star], element, rest].concat(), field))
}

/// Shows what a pattern stands for with an element: the string, or the field of the hash, at a key.
fn with_value<R>(
    ctx: &mut Context<'_>,
    pattern: &[u8],
    element: &[u8],
    see: impl FnOnce(&mut Context<'_>, Option<&[u8]>) -> R,
) -> R {
    if pattern == SELF {
        return see(ctx, Some(element));
    }
    let Some((key, field)) = key_of(pattern, element) else { return see(ctx, None) };
    let (hash, now_ms) = (ctx.state.keyspace.hash(&key), ctx.now_ms());
    let entry = lookup::read(ctx.state, ctx.session, &key, hash);
    let fields = entry.and_then(|entry| entry.as_hash().ok());
    if let Some(field) = field
        && fields.is_some_and(|fields| fields.has_over([field], now_ms))
    {
        drop_late_field(ctx, &key, hash, field);
        return see(ctx, None);
    }
    let value = entry.and_then(|entry| match field {
        Some(field) => entry.as_hash().ok()?.get(field, now_ms).map(|value| value.to_vec()),
        None => entry.as_string().ok().map(|text| text.to_cow().into_owned()),
    });
    see(ctx, value.as_deref())
}

/// What an element is sorted by, where that is not its own text.
enum Weight {
    Own,
    Number(f64),
    Text(Option<Vec<u8>>),
}

struct Item {
    text: Vec<u8>,
    weight: Weight,
}

/// What is to be sorted.
struct Elements {
    items: Vec<Item>,
    /// The places of those that are wanted, among the items.
    wanted: Range<usize>,
}

/// The elements; where they stay in the order in which they are kept, those that are wanted and no others.
fn elements(entry: &KeyEntry, options: &Options<'_>) -> Result<Elements, CommandError> {
    let len = match entry.collection() {
        Some(Collection::List(list)) => list.len(),
        Some(Collection::Set(set)) => set.len(),
        Some(Collection::SortedSet(set)) => set.len(),
        Some(Collection::Hash(_)) | None => return Err(WRONG_TYPE),
    };
    let wanted = options.range(len);
    let loaded = if options.unsorted { wanted.clone() } else { 0..len };
    // Sets have no other end to begin at.
    let backwards = options.unsorted && options.descending;
    let mut items = Vec::with_capacity(loaded.len());
    let mut add = |element: Element<'_>| {
        items.push(Item { text: element.to_vec(), weight: Weight::Own });
        items.len() < loaded.len()
    };
    match entry.collection() {
        _ if loaded.is_empty() => {}
        Some(Collection::List(list)) => {
            list.visit(if backwards { len - 1 - loaded.start } else { loaded.start }, backwards, &mut add);
        }
        Some(Collection::SortedSet(set)) => {
            set.visit(if backwards { len - 1 - loaded.start } else { loaded.start }, backwards, |member, _| {
                add(member)
            });
        }
        Some(Collection::Set(set)) => {
            let mut before = loaded.start;
            set.visit(|member| match before {
                0 => add(member),
                _ => {
                    before -= 1;
                    true
                }
            });
        }
        _ => {}
    }
    let wanted = if options.unsorted { 0..items.len() } else { wanted };
    Ok(Elements { items, wanted })
}

/// Works out what the elements are sorted by. All are looked at, even where one is no number.
fn weigh(ctx: &mut Context<'_>, options: &Options<'_>, items: &mut [Item]) -> Result<(), CommandError> {
    let mut outcome = Ok(());
    for item in items {
        let number = |text: &[u8]| parse_range_end(text).ok_or(NOT_NUMBERS);
        item.weight = match options.by {
            None if options.alpha => Weight::Own,
            None => Weight::Number(number(&item.text).unwrap_or_else(|error| {
                outcome = Err(error);
                0.0
            })),
            Some(by) => with_value(ctx, by, &item.text, |_, value| match value {
                value if options.alpha => Weight::Text(value.map(<[u8]>::to_vec)),
                None => Weight::Number(0.0),
                Some(text) => Weight::Number(number(text).unwrap_or_else(|error| {
                    outcome = Err(error);
                    0.0
                })),
            }),
        };
    }
    outcome
}

/// Compares texts as C's `strcoll` does in the locale C, which ends at a NUL; a stored result has all bytes compared.
fn by_text(left: &[u8], right: &[u8], stores: bool) -> Ordering {
    let seen = |text: &[u8]| text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    match stores {
        true => left.cmp(right),
        false => left[..seen(left)].cmp(&right[..seen(right)]),
    }
}

fn order(left: &Item, right: &Item, stores: bool) -> Ordering {
    match (&left.weight, &right.weight) {
        (Weight::Number(a), Weight::Number(b)) => {
            a.partial_cmp(b).unwrap_or(Ordering::Equal).then_with(|| left.text.cmp(&right.text))
        }
        (Weight::Text(Some(a)), Weight::Text(Some(b))) => by_text(a, b, stores),
        (Weight::Text(a), Weight::Text(b)) => a.is_some().cmp(&b.is_some()),
        _ => by_text(&left.text, &right.text, stores),
    }
}

fn put_in_order(options: &Options<'_>, items: &mut [Item], range: &Range<usize>) {
    let stores = options.store.is_some();
    let compare = |left: &Item, right: &Item| {
        let order = order(left, right, stores);
        if options.descending { order.reverse() } else { order }
    };
    // Only what is looked up can be equal without being the same; then it matters which sort it was.
    if options.by.is_some() && range.len() < items.len() {
        partial_sort(items, range.clone(), compare);
    } else {
        items.sort_by(compare);
    }
}

pub(super) fn sort(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    run(ctx, args, true)
}

pub(super) fn sort_ro(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    run(ctx, args, false)
}

fn run(ctx: &mut Context<'_>, args: Args<'_>, may_store: bool) -> Result<(), CommandError> {
    let mut options = Options::read(ctx, args, may_store)?;
    let entry = lookup::read(ctx.state, ctx.session, args.get(1), ctx.first_key_hash);
    if options.unsorted && options.store.is_some() && entry.is_some_and(|entry| entry.as_set().is_ok()) {
        // What is stored must not depend on how a set is kept.
        (options.unsorted, options.alpha, options.by) = (false, true, None);
    }
    let none = Elements { items: Vec::new(), wanted: 0..0 };
    let Elements { mut items, wanted } = entry.map_or(Ok(none), |entry| elements(entry, &options))?;
    convert(ctx, args.get(1));
    if !options.unsorted {
        weigh(ctx, &options, &mut items)?;
        put_in_order(&options, &mut items, &wanted);
    }
    let wanted = &items[wanted];
    match options.store {
        Some(key) => store(ctx, key, wanted, &options.gets),
        None => answer(ctx, wanted, &options.gets),
    }
    Ok(())
}

/// As in Redis a small sorted set does not stay one: it takes the encoding of big ones when it is sorted.
fn convert(ctx: &mut Context<'_>, key: &[u8]) {
    let (hash, now_ms, limits) = (ctx.first_key_hash, ctx.now_ms(), ctx.state.sorted_set_limits());
    if let Some(value) = ctx.db().value_mut(key, hash, now_ms)
        && let Ok(mut set) = value.hold::<SortedSet>()
    {
        set.make_room(usize::MAX, &limits);
    }
}

fn answer(ctx: &mut Context<'_>, items: &[Item], gets: &[&[u8]]) {
    if gets.is_empty() {
        ctx.reply.array(items.len());
        items.iter().for_each(|item| ctx.reply.bulk(&item.text));
        return;
    }
    ctx.reply.array(items.len() * gets.len());
    for item in items {
        for get in gets {
            with_value(ctx, get, &item.text, |ctx, value| match value {
                Some(text) => ctx.reply.bulk(text),
                None => ctx.reply.null(),
            });
        }
    }
}

/// Stores the result as a list in the place of whatever the key holds; an empty one removes the key.
fn store(ctx: &mut Context<'_>, key: &[u8], items: &[Item], gets: &[&[u8]]) {
    let limits = ctx.state.list_limits();
    let mut quick = Quicklist::new(limits);
    let mut add = |text: &[u8]| quick.push_back(text);
    for item in items {
        if gets.is_empty() {
            add(&item.text);
        }
        for get in gets {
            // A list has no place for nothing.
            with_value(ctx, get, &item.text, |_, value| add(value.unwrap_or_default()));
        }
    }
    let list = List::of_nodes(quick, limits);
    let (hash, len) = (ctx.state.keyspace.hash(key), list.len());
    let entry = (len > 0).then(|| KeyEntry::new(key, NewValue::of(list.into()), None));
    put_result(ctx, (key, hash), entry, (KeyspaceEvents::LIST, "sortstore"), len as u64);
    ctx.reply.integer(len as i64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::transcript::replay;
    use crate::engine::Engine;

    #[test]
    fn elements_are_sorted() {
        replay(
            r#"
            > RPUSH l 3 1 2
            (integer) 3
            > SORT l
            1) "1"
            2) "2"
            3) "3"
            > SORT l DESC LIMIT 1 5
            1) "2"
            2) "1"
            > SORT l LIMIT -5 2
            1) "1"
            2) "2"
            > SORT l LIMIT 1 -1
            1) "2"
            2) "3"
            > SORT l LIMIT 5 1
            (empty array)
            > SORT missing
            (empty array)
            > RPUSH t b a 1
            (integer) 3
            > SORT t
            (error) ERR One or more scores can't be converted into double
            > SORT t ALPHA
            1) "1"
            2) "a"
            3) "b"
            > SORT t BY nosort DESC LIMIT 0 2
            1) "1"
            2) "a"
            > MSET w_a 3 w_1 1 w_b 2 v_a x
            OK
            > SORT t BY w_* GET # GET v_*
            1) "1"
            2) (nil)
            3) "b"
            4) (nil)
            5) "a"
            6) "x"
            > HSET h_a f 1 g x
            (integer) 2
            > HSET h_b f 5
            (integer) 1
            > SORT t BY h_*->f GET h_*->g GET h_*-> GET h->f DESC
            1) (nil)
            2) (nil)
            3) (nil)
            4) "x"
            5) (nil)
            6) (nil)
            7) (nil)
            8) (nil)
            9) (nil)
            > SORT t BY v_* ALPHA
            1) "b"
            2) "1"
            3) "a"
            > SORT t BY v_*
            (error) ERR One or more scores can't be converted into double
            "#,
        );
    }

    #[test]
    fn sorted_elements_are_stored() {
        replay(
            r#"
            > RPUSH t b a 1
            (integer) 3
            > SET v_a x
            OK
            > ZADD z 1 c 2 b 3 a
            (integer) 3
            > SORT z BY nosort DESC LIMIT 1 1
            1) "b"
            > SORT z ALPHA
            1) "a"
            2) "b"
            3) "c"
            > OBJECT ENCODING z
            "skiplist"
            > SADD s 10 9 8
            (integer) 3
            > SORT s
            1) "8"
            2) "9"
            3) "10"
            > SORT_RO s DESC
            1) "10"
            2) "9"
            3) "8"
            > SORT t GET v_* BY nosort STORE d
            (integer) 3
            > LRANGE d 0 -1
            1) ""
            2) "x"
            3) ""
            > OBJECT ENCODING d
            "listpack"
            > SORT t LIMIT 0 0 STORE d
            (error) ERR One or more scores can't be converted into double
            > EXISTS d
            (integer) 1
            > SADD names c a b
            (integer) 3
            > SORT names BY nosort STORE d
            (integer) 3
            > LRANGE d 0 -1
            1) "a"
            2) "b"
            3) "c"
            > SORT_RO t STORE d
            (error) ERR syntax error
            > SORT t LIMIT 1
            (error) ERR syntax error
            > SORT t LIMIT x 1
            (error) ERR value is not an integer or out of range
            > SORT t STORE
            (error) ERR syntax error
            > SET str 1
            OK
            > SORT str
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > SORT str FOO
            (error) ERR syntax error
            > COMMAND GETKEYS SORT k BY STORE GET STORE LIMIT 0 STORE STORE d1 STORE d2
            1) "k"
            2) "d2"
            "#,
        );
    }

    #[test]
    fn patterns_stand_for_keys_and_fields() {
        for (pattern, key, field) in [
            ("w_*", "w_e", None),
            ("*", "e", None),
            ("a*b*", "aeb*", None),
            ("h_*->f", "h_e", Some("f")),
            ("h_*x->f->g", "h_ex", Some("f->g")),
            ("h_*->", "h_e->", None),
            ("->*", "->e", None),
            ("h_*\0->f", "h_e\0->f", None),
        ] {
            let found = key_of(pattern.as_bytes(), b"e").expect("a pattern with a star");
            assert_eq!(found, (key.as_bytes().to_vec(), field.map(str::as_bytes)), "{pattern}");
        }
        assert_eq!(key_of(b"plain", b"e"), None);
        assert_eq!(key_of(b"a\0*", b"e"), None);
    }

    #[test]
    fn texts_are_compared_up_to_a_nul_unless_they_are_stored() {
        assert!(by_text(b"a\0b", b"a\0c", false).is_eq());
        assert!(by_text(b"a\0b", b"a\0c", true).is_lt());
        assert!(by_text(b"a", b"\xff", false).is_lt());
    }

    /// Whether `user` with these rules may have elements replaced and sorted by what lies at other keys.
    fn may(rules: &[&str], line: &str) -> bool {
        let mut engine = Engine::for_console();
        engine.run(&["RPUSH", "l", "1"]);
        engine.run(&[&["ACL", "SETUSER", "u", "on", "nopass"], rules].concat());
        engine.run(&["AUTH", "u", "x"]);
        let answer = engine.run(&line.split(' ').collect::<Vec<_>>());
        let denied = answer.contains("option of SORT denied due to insufficient ACL permissions.");
        assert!(denied || answer.starts_with("1) "), "{answer}");
        !denied
    }

    #[test]
    fn other_keys_take_the_right_to_read_all() {
        for line in ["SORT l GET #", "SORT l BY w_*", "SORT l GET w_*->f", "SORT l BY nosort GET plain"] {
            assert!(may(&["+@all", "~*"], line));
            assert!(may(&["+@all", "~l", "%R~*"], line));
            assert!(may(&["+@all", "~l", "(%R~* +sort)"], line));
            assert!(!may(&["+@all", "~l", "(%R~* +get)"], line));
            assert!(!may(&["+@all", "~l", "~w_*"], line));
            assert!(!may(&["+@all", "~l", "%W~*"], line));
        }
        assert!(may(&["+@all", "~l"], "SORT l BY nosort"));
    }
}
