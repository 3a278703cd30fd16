//! Searching for places: what GEOSEARCH and the older commands have in common, GEOSEARCH and GEOSEARCHSTORE.

#![forbid(unsafe_code)]

use super::{point, reply_distance, reply_point, unit};
use crate::base::float::parse_f64;
use crate::base::geohash::{Extent, Point, Region};
use crate::base::integer::parse_i64;
use crate::base::partial_sort::partial_sort;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_AN_INTEGER, SYNTAX};
use crate::commands::sorted_set::{read_sorted, store_at};
use crate::resp::args::Args;
use crate::types::sorted_set::{SortedSet, SortedSetRef};

const NO_SUCH_MEMBER: CommandError = CommandError::fixed("could not decode requested zset member");
const NO_RADIUS: CommandError = CommandError::fixed("need numeric radius");
const NEGATIVE_RADIUS: CommandError = CommandError::fixed("radius cannot be negative");
const NO_WIDTH: CommandError = CommandError::fixed("need numeric width");
const NO_HEIGHT: CommandError = CommandError::fixed("need numeric height");
const NEGATIVE_SIDE: CommandError = CommandError::fixed("height or width cannot be negative");
const COUNT_TOO_SMALL: CommandError = CommandError::fixed("COUNT must be > 0");
const ANY_WITHOUT_COUNT: CommandError = CommandError::fixed("the ANY argument requires COUNT argument");
const RADIUS_STORES_MEMBERS: CommandError =
    CommandError::fixed("STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options");
const SEARCH_STORES_MEMBERS: CommandError =
    CommandError::fixed("GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options");

/// Which options a command has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Neither says where to search nor stores.
    Radius,
    /// May say where to store.
    RadiusStore,
    /// Say where to search.
    Search,
    /// Say where to search; what is found is stored.
    SearchStore,
}

impl Dialect {
    fn searches(self) -> bool {
        matches!(self, Dialect::Search | Dialect::SearchStore)
    }
}

/// In which order what is found is answered.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Order {
    #[default]
    None,
    Nearest,
    Farthest,
}

/// What to search for and what to answer.
#[derive(Default)]
pub(super) struct Search {
    pub center: Option<Point>,
    /// With the meters of its unit.
    extent: Option<(Extent, f64)>,
    order: Order,
    count: Option<usize>,
    any: bool,
    with_distance: bool,
    with_score: bool,
    with_place: bool,
    /// GEORADIUS: the argument that is the key to store at.
    store: Option<usize>,
    stores_distances: bool,
}

/// Radius and unit.
pub(super) fn circle(radius: &[u8], unit_name: &[u8]) -> Result<(Extent, f64), CommandError> {
    let radius = parse_f64(radius).ok_or(NO_RADIUS)?;
    if radius < 0.0 {
        return Err(NEGATIVE_RADIUS);
    }
    let meters = unit(unit_name)?;
    Ok((Extent::Circle { radius_m: radius * meters }, meters))
}

/// Width, height and unit.
fn rectangle(width: &[u8], height: &[u8], unit_name: &[u8]) -> Result<(Extent, f64), CommandError> {
    let width = parse_f64(width).ok_or(NO_WIDTH)?;
    let height = parse_f64(height).ok_or(NO_HEIGHT)?;
    if width < 0.0 || height < 0.0 {
        return Err(NEGATIVE_SIDE);
    }
    let meters = unit(unit_name)?;
    Ok((Extent::Box { width_m: width * meters, height_m: height * meters }, meters))
}

pub(super) fn place_of_member(set: SortedSetRef<'_>, member: &[u8]) -> Result<Point, CommandError> {
    set.score(member).map(Point::of_score).ok_or(NO_SUCH_MEMBER)
}

impl Search {
    pub(super) fn set_extent(&mut self, extent: (Extent, f64)) {
        self.extent = Some(extent);
    }

    /// The options from argument `first` on. `set`: what is searched, if it is there.
    pub(super) fn read_options(
        &mut self,
        args: Args<'_>,
        first: usize,
        set: Option<SortedSetRef<'_>>,
        dialect: Dialect,
    ) -> Result<(), CommandError> {
        let (mut says_from, mut says_by) = (false, false);
        let mut index = first;
        while index < args.len() {
            let is = |name: &str| args.get(index).eq_ignore_ascii_case(name.as_bytes());
            let left = args.len() - index - 1;
            let searches = dialect.searches();
            if self.read_flag(args.get(index)) {
            } else if is("COUNT") && left >= 1 {
                index += 1;
                let count = parse_i64(args.get(index)).ok_or(NOT_AN_INTEGER)?;
                self.count = Some(usize::try_from(count).ok().filter(|&count| count > 0).ok_or(COUNT_TOO_SMALL)?);
            } else if dialect == Dialect::RadiusStore && left >= 1 && (is("STORE") || is("STOREDIST")) {
                self.stores_distances = is("STOREDIST");
                index += 1;
                self.store = Some(index);
            } else if searches && is("FROMMEMBER") && left >= 1 && !says_from {
                self.center = set.map(|set| place_of_member(set, args.get(index + 1))).transpose()?;
                says_from = true;
                index += 1;
            } else if searches && is("FROMLONLAT") && left >= 2 && !says_from {
                self.center = Some(point(args.get(index + 1), args.get(index + 2))?);
                says_from = true;
                index += 2;
            } else if searches && is("BYRADIUS") && left >= 2 && !says_by {
                self.extent = Some(circle(args.get(index + 1), args.get(index + 2))?);
                says_by = true;
                index += 2;
            } else if searches && is("BYBOX") && left >= 3 && !says_by {
                self.extent = Some(rectangle(args.get(index + 1), args.get(index + 2), args.get(index + 3))?);
                says_by = true;
                index += 3;
            } else if dialect == Dialect::SearchStore && is("STOREDIST") {
                self.stores_distances = true;
            } else {
                return Err(SYNTAX);
            }
            index += 1;
        }
        self.check(dialect, says_from, says_by)
    }

    /// A word that is an option by itself. Returns whether it is one.
    fn read_flag(&mut self, word: &[u8]) -> bool {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if is("WITHDIST") => self.with_distance = true,
            () if is("WITHHASH") => self.with_score = true,
            () if is("WITHCOORD") => self.with_place = true,
            () if is("ANY") => self.any = true,
            () if is("ASC") => self.order = Order::Nearest,
            () if is("DESC") => self.order = Order::Farthest,
            () => return false,
        }
        true
    }

    /// What has to hold of all options together.
    fn check(&mut self, dialect: Dialect, says_from: bool, says_by: bool) -> Result<(), CommandError> {
        let name = if dialect == Dialect::SearchStore { "GEOSEARCHSTORE" } else { "GEOSEARCH" };
        let shows_more = self.with_distance || self.with_score || self.with_place;
        if shows_more && self.store.is_some() {
            return Err(RADIUS_STORES_MEMBERS);
        }
        if shows_more && dialect == Dialect::SearchStore {
            return Err(SEARCH_STORES_MEMBERS);
        }
        if dialect.searches() && !says_from {
            let text = format!("exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}");
            return Err(CommandError::filled(text));
        }
        if dialect.searches() && !says_by {
            return Err(CommandError::filled(format!("exactly one of BYRADIUS and BYBOX can be specified for {name}")));
        }
        if self.any && self.count.is_none() {
            return Err(ANY_WITHOUT_COUNT);
        }
        // The first ones that are found need no order; the nearest do.
        if self.order == Order::None && self.count.is_some() && !self.any {
            self.order = Order::Nearest;
        }
        Ok(())
    }

    /// The members in the region.
    fn run(&self, set: SortedSetRef<'_>) -> Vec<Found> {
        let (Some(center), Some((extent, _))) = (self.center, self.extent) else { return Vec::new() };
        let region = Region { center, extent };
        let enough = if self.any { self.count.unwrap_or(usize::MAX) } else { usize::MAX };
        let mut found = Vec::new();
        let mut last = None;
        for (number, cell) in region.cells().enumerate() {
            // On a map of very few cells the same one lies on both sides.
            if number > 1 && last == Some(cell) {
                continue;
            }
            if found.len() >= enough {
                break;
            }
            collect(set, &region, cell.scores(), enough, &mut found);
            last = Some(cell);
        }
        let count = self.count.unwrap_or(usize::MAX).min(found.len());
        let nearest = |left: &Found, right: &Found| left.distance_m.total_cmp(&right.distance_m);
        match self.order {
            Order::None => {}
            // As in Redis those that are equally far keep their order only where all are answered.
            Order::Nearest if count < found.len() => partial_sort(&mut found, 0..count, nearest),
            Order::Farthest if count < found.len() => {
                partial_sort(&mut found, 0..count, |left, right| nearest(right, left));
            }
            Order::Nearest => found.sort_by(nearest),
            Order::Farthest => found.sort_by(|left, right| nearest(right, left)),
        }
        found.truncate(count);
        found
    }
}

/// A member in the region.
struct Found {
    member: Vec<u8>,
    score: f64,
    place: Point,
    distance_m: f64,
}

/// Adds those members with scores from the first up to the second that lie in the region, until there are enough.
fn collect(set: SortedSetRef<'_>, region: &Region, (min, max): (f64, f64), enough: usize, found: &mut Vec<Found>) {
    let first = set.count_by_score(|score| score < min);
    if first == set.len() {
        return;
    }
    set.visit(first, false, |member, score| {
        if score >= max {
            return false;
        }
        let place = Point::of_score(score);
        if let Some(distance_m) = region.distance_m(place) {
            found.push(Found { member: member.to_vec(), score, place, distance_m });
        }
        found.len() < enough
    });
}

/// Where what is found goes.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// Into the reply.
    Reply,
    /// To a key.
    Key { key: &'a [u8], event: &'static str },
}

impl<'a> Target<'a> {
    pub(super) fn of_radius(args: Args<'a>, search: &Search) -> Target<'a> {
        match search.store {
            Some(index) => Target::Key { key: args.get(index), event: "georadiusstore" },
            None => Target::Reply,
        }
    }
}

/// Searches and answers or stores. `source`: the key that is searched and its hash; it was looked up before.
pub(super) fn finish(
    ctx: &mut Context<'_>,
    source: (&[u8], u64),
    search: &Search,
    target: Target<'_>,
) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    let db = ctx.state.keyspace.db(ctx.session.db);
    let set = db.live(source.0, source.1, now_ms).and_then(|entry| entry.as_sorted_set().ok());
    let found = set.map_or_else(Vec::new, |set| search.run(set));
    let meters = search.extent.map_or(1.0, |(_, meters)| meters);
    match target {
        Target::Reply => answer(ctx, search, &found, meters),
        Target::Key { key, event } => {
            let limits = ctx.state.sorted_set_limits();
            let mut result = SortedSet::for_members(usize::MAX, 0, &limits);
            for found in &found {
                let score = if search.stores_distances { found.distance_m / meters } else { found.score };
                result.set(&found.member, score, &limits);
            }
            let hash = ctx.state.keyspace.hash(key);
            store_at(ctx, key, hash, event, result.packed(&limits), found.len() as u64);
        }
    }
    Ok(())
}

fn answer(ctx: &mut Context<'_>, search: &Search, found: &[Found], meters: f64) {
    let more = [search.with_distance, search.with_score, search.with_place];
    let more = more.into_iter().filter(|with| *with).count();
    ctx.reply.array(found.len());
    for found in found {
        if more > 0 {
            ctx.reply.array(1 + more);
        }
        ctx.reply.bulk(&found.member);
        if search.with_distance {
            reply_distance(ctx.reply, found.distance_m / meters);
        }
        if search.with_score {
            ctx.reply.integer(found.score as i64);
        }
        if search.with_place {
            reply_point(ctx.reply, found.place);
        }
    }
}

pub(super) fn geosearch(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (key, hash) = (args.get(1), ctx.first_key_hash);
    let mut search = Search::default();
    let set = read_sorted(ctx.state, ctx.session, key, hash)?;
    search.read_options(args, 2, set, Dialect::Search)?;
    finish(ctx, (key, hash), &search, Target::Reply)
}

pub(super) fn geosearchstore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let key = args.get(2);
    let hash = ctx.state.keyspace.hash(key);
    let mut search = Search::default();
    let set = read_sorted(ctx.state, ctx.session, key, hash)?;
    search.read_options(args, 3, set, Dialect::SearchStore)?;
    finish(ctx, (key, hash), &search, Target::Key { key: args.get(1), event: "geosearchstore" })
}
