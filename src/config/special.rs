//! Parameters with a syntax of their own: addresses, save points, output limits, event classes. Pure, except that the
//! working folder is entered when it is set. Main thread.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::choice::none_of;
use super::value::{Reason, Rule, Text, Value, memory, single};
use crate::base::integer::parse_i64;

/// Addresses that `bind` can hold.
pub const BIND_ADDRESSES_MAX: usize = 16;

/// Where to listen for TCP connections; empty for nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindList(pub Vec<Text>);

impl Value for BindList {
    fn set(&mut self, _rule: &Rule, args: &[&[u8]]) -> Result<(), Reason> {
        if args.len() > BIND_ADDRESSES_MAX {
            return Err("Too many bind addresses specified.".into());
        }
        let none = matches!(args, [[]]);
        self.0 = if none { Vec::new() } else { args.iter().map(|arg| Text::from(*arg)).collect() };
        Ok(())
    }

    fn text(&self, _rule: &Rule) -> Vec<u8> {
        self.0.iter().map(|address| &**address).collect::<Vec<_>>().join(&b' ')
    }
}

/// Save a snapshot when both have come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavePoint {
    /// So long after the last save.
    pub seconds: u64,
    /// At least so many changes.
    pub changes: u64,
}

/// All save points. CONFIG SET replaces them; lines of a file add up, the first one taking the place of the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaveRules {
    /// In the order they were given.
    pub points: Vec<SavePoint>,
    adding: bool,
    replaced: bool,
}

impl SaveRules {
    /// From here on lines add to what the first of them said.
    pub(super) fn begin_file(&mut self) {
        self.adding = true;
    }

    /// From here on a new value replaces the old one.
    pub(super) fn end_file(&mut self) {
        self.adding = false;
    }
}

impl Value for SaveRules {
    fn set(&mut self, _rule: &Rule, args: &[&[u8]]) -> Result<(), Reason> {
        const REFUSED: &str = "Invalid save parameters";
        let none = matches!(args, [] | [[]]);
        let mut points = Vec::new();
        for pair in if none { &[] } else { args }.chunks(2) {
            let [seconds, changes] = pair else { return Err(REFUSED.into()) };
            let seconds = parse_i64(seconds).filter(|seconds| *seconds >= 1).ok_or(REFUSED)?;
            let changes = parse_i64(changes).filter(|changes| *changes >= 0).ok_or(REFUSED)?;
            points.push(SavePoint { seconds: seconds as u64, changes: changes as u64 });
        }
        if none || !self.adding || !self.replaced {
            self.points.clear();
        }
        self.replaced |= self.adding;
        self.points.extend(points);
        Ok(())
    }

    fn text(&self, _rule: &Rule) -> Vec<u8> {
        let pairs = self.points.iter().map(|point| format!("{} {}", point.seconds, point.changes));
        pairs.collect::<Vec<_>>().join(" ").into_bytes()
    }
}

/// Limits of one class of clients; 0 switches a limit off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes at which a client is closed.
    pub hard: u64,
    /// Bytes at which it is closed after a while.
    pub soft: u64,
    /// That while.
    pub soft_seconds: u64,
}

/// `client-output-buffer-limit`; classes that a value does not name keep theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimits {
    /// Everybody else.
    pub normal: OutputLimit,
    /// Replicas.
    pub replica: OutputLimit,
    /// Subscribers.
    pub pubsub: OutputLimit,
}

impl OutputLimits {
    /// The smallest size at which a client is closed at once, where one is set.
    pub fn smallest_hard(&self) -> Option<u64> {
        [self.normal, self.replica, self.pubsub].iter().map(|limit| limit.hard).filter(|hard| *hard > 0).min()
    }
}

impl Value for OutputLimits {
    fn set(&mut self, _rule: &Rule, args: &[&[u8]]) -> Result<(), Reason> {
        const UNREADABLE: &str = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
        // An empty value names no class, so that it changes nothing.
        let args = if matches!(args, [[]]) { &[] } else { args };
        if !args.len().is_multiple_of(4) {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        }
        let mut limits = *self;
        for group in args.chunks_exact(4) {
            let limit = match group[0].to_ascii_lowercase().as_slice() {
                b"normal" => &mut limits.normal,
                b"slave" | b"replica" => &mut limits.replica,
                b"pubsub" => &mut limits.pubsub,
                _ => return Err("Invalid client class specified in buffer limit configuration.".into()),
            };
            limit.hard = memory(group[1]).ok_or(UNREADABLE)?;
            limit.soft = memory(group[2]).ok_or(UNREADABLE)?;
            let seconds = parse_i64(group[3]).filter(|seconds| *seconds >= 0).ok_or(UNREADABLE)?;
            limit.soft_seconds = seconds as u64;
        }
        *self = limits;
        Ok(())
    }

    fn text(&self, _rule: &Rule) -> Vec<u8> {
        let class =
            |name: &str, limit: OutputLimit| format!("{name} {} {} {}", limit.hard, limit.soft, limit.soft_seconds);
        let classes = [class("normal", self.normal), class("slave", self.replica), class("pubsub", self.pubsub)];
        classes.join(" ").into_bytes()
    }
}

bitflags::bitflags! {
    /// Classes of keyspace events, with Redis' bits.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct KeyspaceEvents: u32 {
        /// `K`: announce on `__keyspace@<db>__`.
        const KEYSPACE = 1 << 0;
        /// `E`: announce on `__keyevent@<db>__`.
        const KEYEVENT = 1 << 1;
        /// `g`: commands of no type, such as DEL.
        const GENERIC = 1 << 2;
        /// `$`: strings.
        const STRING = 1 << 3;
        /// `l`: lists.
        const LIST = 1 << 4;
        /// `s`: sets.
        const SET = 1 << 5;
        /// `h`: hashes.
        const HASH = 1 << 6;
        /// `z`: sorted sets.
        const ZSET = 1 << 7;
        /// `x`: a key has expired.
        const EXPIRED = 1 << 8;
        /// `e`: a key was evicted.
        const EVICTED = 1 << 9;
        /// `t`: streams.
        const STREAM = 1 << 10;
        /// `m`: a key was asked for in vain.
        const KEY_MISS = 1 << 11;
        /// `d`: module types.
        const MODULE = 1 << 13;
        /// `n`: a key is new.
        const NEW = 1 << 14;
        /// `A`: every class except `m` and `n`.
        const ALL = Self::GENERIC.bits() | Self::STRING.bits() | Self::LIST.bits() | Self::SET.bits()
            | Self::HASH.bits() | Self::ZSET.bits() | Self::EXPIRED.bits() | Self::EVICTED.bits()
            | Self::STREAM.bits() | Self::MODULE.bits();
    }
}

/// The letters in the order in which they are shown.
const EVENT_LETTERS: [(u8, KeyspaceEvents); 14] = [
    (b'g', KeyspaceEvents::GENERIC),
    (b'$', KeyspaceEvents::STRING),
    (b'l', KeyspaceEvents::LIST),
    (b's', KeyspaceEvents::SET),
    (b'h', KeyspaceEvents::HASH),
    (b'z', KeyspaceEvents::ZSET),
    (b'x', KeyspaceEvents::EXPIRED),
    (b'e', KeyspaceEvents::EVICTED),
    (b't', KeyspaceEvents::STREAM),
    (b'd', KeyspaceEvents::MODULE),
    (b'n', KeyspaceEvents::NEW),
    (b'K', KeyspaceEvents::KEYSPACE),
    (b'E', KeyspaceEvents::KEYEVENT),
    (b'm', KeyspaceEvents::KEY_MISS),
];

impl Value for KeyspaceEvents {
    fn set(&mut self, _rule: &Rule, args: &[&[u8]]) -> Result<(), Reason> {
        let mut events = KeyspaceEvents::empty();
        for letter in single(args)? {
            events |= match EVENT_LETTERS.iter().find(|(known, _)| known == letter) {
                Some((_, event)) => *event,
                None if *letter == b'A' => KeyspaceEvents::ALL,
                None => return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into()),
            };
        }
        *self = events;
        Ok(())
    }

    /// Redis does not show `n` beside `A`.
    fn text(&self, _rule: &Rule) -> Vec<u8> {
        let all = self.contains(KeyspaceEvents::ALL);
        let hidden = if all { KeyspaceEvents::ALL | KeyspaceEvents::NEW } else { KeyspaceEvents::empty() };
        let shown = self.difference(hidden);
        let letters = EVENT_LETTERS.iter().filter(|(_, event)| shown.contains(*event)).map(|(letter, _)| *letter);
        all.then_some(b'A').into_iter().chain(letters).collect()
    }
}

/// Scores for the kernel's out-of-memory killer: master, replica, child process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OomScores(pub [i32; 3]);

impl Value for OomScores {
    fn set(&mut self, _rule: &Rule, args: &[&[u8]]) -> Result<(), Reason> {
        const REFUSED: &str = "Invalid oom-score-adj-values, elements must be between -2000 and 2000.";
        let args: &[&[u8]; 3] = args.try_into().map_err(|_| "wrong number of arguments")?;
        let mut scores = [0; 3];
        for (score, arg) in scores.iter_mut().zip(args) {
            *score = parse_i64(arg).filter(|value| (-2000..=2000).contains(value)).ok_or(REFUSED)? as i32;
        }
        self.0 = scores;
        Ok(())
    }

    fn text(&self, _rule: &Rule) -> Vec<u8> {
        let [master, replica, child] = self.0;
        format!("{master} {replica} {child}").into_bytes()
    }
}

/// Percentiles that INFO latencystats shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Percentiles(pub Vec<f64>);

impl Value for Percentiles {
    fn set(&mut self, _rule: &Rule, args: &[&[u8]]) -> Result<(), Reason> {
        const NAME: &str = "latency-tracking-info-percentiles";
        let none = matches!(args, [[]]);
        let mut percentiles = Vec::new();
        for arg in if none { &[] } else { args } {
            let number = std::str::from_utf8(arg).ok().and_then(|text| text.parse::<f64>().ok());
            let number =
                number.filter(|number| !number.is_nan()).ok_or_else(|| format!("Invalid {NAME} parameters"))?;
            if !(0.0..=100.0).contains(&number) {
                return Err(format!("{NAME} parameters should sit between [0.0,100.0]").into());
            }
            percentiles.push(number);
        }
        self.0 = percentiles;
        Ok(())
    }

    /// Six decimals at most, without zeros at the end.
    fn text(&self, _rule: &Rule) -> Vec<u8> {
        let shown = self.0.iter().map(|percentile| {
            let text = format!("{percentile:.6}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        });
        shown.collect::<Vec<_>>().join(" ").into_bytes()
    }
}

/// The master to follow, if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicaOf(pub Option<(Text, u16)>);

impl Value for ReplicaOf {
    fn set(&mut self, _rule: &Rule, args: &[&[u8]]) -> Result<(), Reason> {
        let [host, port] = args else { return Err("wrong number of arguments".into()) };
        if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
            self.0 = None;
            return Ok(());
        }
        let port = parse_i64(port).and_then(|port| u16::try_from(port).ok()).ok_or("Invalid master port")?;
        self.0 = Some((Text::from(*host), port));
        Ok(())
    }

    fn text(&self, _rule: &Rule) -> Vec<u8> {
        self.0.as_ref().map_or_else(String::new, |(host, port)| format!("{host} {port}")).into_bytes()
    }
}

/// What a signal asks of the shutdown beside the shutdown itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownFlags {
    /// Save even without save points.
    pub save: bool,
    /// Do not save.
    pub nosave: bool,
    /// Do not wait for replicas.
    pub now: bool,
    /// Go even where saving fails.
    pub force: bool,
}

impl ShutdownFlags {
    /// The words in Redis' order.
    pub const NAMES: &'static [&'static str] = &["default", "save", "nosave", "now", "force"];
}

impl Value for ShutdownFlags {
    fn set(&mut self, _rule: &Rule, args: &[&[u8]]) -> Result<(), Reason> {
        let mut flags = ShutdownFlags::default();
        for arg in args {
            match arg.to_ascii_lowercase().as_slice() {
                b"default" => {}
                b"save" => flags.save = true,
                b"nosave" => flags.nosave = true,
                b"now" => flags.now = true,
                b"force" => flags.force = true,
                _ => return Err(none_of(Self::NAMES)),
            }
        }
        if args.is_empty() {
            return Err(none_of(Self::NAMES));
        }
        if flags.save && flags.nosave {
            return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
        }
        *self = flags;
        Ok(())
    }

    fn text(&self, _rule: &Rule) -> Vec<u8> {
        let set = [(self.save, "save"), (self.nosave, "nosave"), (self.now, "now"), (self.force, "force")];
        let words = set.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect::<Vec<_>>();
        if words.is_empty() { b"default".to_vec() } else { words.join(" ").into_bytes() }
    }
}

/// The working folder. Setting it enters it, because what follows in the same file may be relative to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkingDir {
    entered: Option<Text>,
}

impl WorkingDir {
    /// Enters the folder again, after a later parameter of the same CONFIG SET was refused. A folder that has vanished
    /// meanwhile cannot be entered; the process then stays where it is.
    pub(super) fn enter_again(&self) {
        if let Some(path) = &self.entered {
            let _ = std::env::set_current_dir(path.as_path());
        }
    }

    /// Makes the present folder one that can be entered again.
    pub(super) fn remember(&mut self) {
        let path = self.text(&Rule::Special);
        self.entered = Some(Text::from(&path[..]));
    }
}

impl Value for WorkingDir {
    fn set(&mut self, _rule: &Rule, args: &[&[u8]]) -> Result<(), Reason> {
        let path = single(args)?;
        std::env::set_current_dir(OsStr::from_bytes(path))
            .map_err(|error| Reason::from(crate::sys::Errno::from(error).to_string()))?;
        self.entered = None;
        self.remember();
        Ok(())
    }

    fn text(&self, _rule: &Rule) -> Vec<u8> {
        match &self.entered {
            Some(path) => path.to_vec(),
            None => std::env::current_dir().map_or_else(|_| Vec::new(), |path| path.into_os_string().into_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set<T: Value>(value: &mut T, args: &[&str]) -> Result<String, String> {
        let args = args.iter().map(|arg| arg.as_bytes()).collect::<Vec<_>>();
        value.set(&Rule::Special, &args).map_err(Reason::into_owned)?;
        Ok(String::from_utf8_lossy(&value.text(&Rule::Special)).into_owned())
    }

    #[track_caller]
    fn shows<T: Value>(value: &mut T, args: &[&str], text: &str) {
        assert_eq!(set(value, args).as_deref(), Ok(text), "{args:?}");
    }

    #[track_caller]
    fn refuses<T: Value>(value: &mut T, args: &[&str], reason: &str) {
        let before = value.text(&Rule::Special);
        assert_eq!(set(value, args), Err(reason.to_owned()), "{args:?}");
        assert_eq!(value.text(&Rule::Special), before);
    }

    #[test]
    fn bind() {
        let mut list = BindList::default();
        shows(&mut list, &["127.0.0.1", "-::1"], "127.0.0.1 -::1");
        refuses(&mut list, &["1"; 17], "Too many bind addresses specified.");
        shows(&mut list, &[""], "");
        shows(&mut list, &[], "");
    }

    #[test]
    fn save_points() {
        let mut rules = SaveRules::default();
        shows(&mut rules, &["3600", "1", "300", "100"], "3600 1 300 100");
        for args in [&["1"][..], &["0", "1"], &["1", "-1"], &["x", "1"], &["", ""], &["1", "", "2"], &["1", "2", "3"]] {
            refuses(&mut rules, args, "Invalid save parameters");
        }
        shows(&mut rules, &["60", "5"], "60 5");
        shows(&mut rules, &[""], "");
    }

    #[test]
    fn save_lines_of_a_file_add_up() {
        let mut rules = SaveRules::default();
        shows(&mut rules, &["3600", "1"], "3600 1");
        rules.begin_file();
        shows(&mut rules, &["900", "1"], "900 1");
        shows(&mut rules, &["300", "10"], "900 1 300 10");
        shows(&mut rules, &[""], "");
        shows(&mut rules, &["5", "5"], "5 5");
        rules.end_file();
        shows(&mut rules, &["7", "7"], "7 7");
    }

    #[test]
    fn output_limits() {
        let mut limits = OutputLimits::default();
        shows(&mut limits, &["Normal", "1mb", "2mb", "3"], "normal 1048576 2097152 3 slave 0 0 0 pubsub 0 0 0");
        let both = ["replica", "1", "2", "3", "pubsub", "4", "5", "6"];
        shows(&mut limits, &both, "normal 1048576 2097152 3 slave 1 2 3 pubsub 4 5 6");
        shows(&mut limits, &[""], "normal 1048576 2097152 3 slave 1 2 3 pubsub 4 5 6");
        refuses(&mut limits, &["normal", "1"], "Wrong number of arguments in buffer limit configuration.");
        let class = "Invalid client class specified in buffer limit configuration.";
        refuses(&mut limits, &["master", "1", "2", "3"], class);
        let number = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
        refuses(&mut limits, &["normal", "1", "x", "3"], number);
        refuses(&mut limits, &["normal", "-1", "2", "3"], number);
        refuses(&mut limits, &["normal", "1", "2", "3", "pubsub", "1", "2", "-3"], number);
    }

    #[test]
    fn event_classes() {
        let mut events = KeyspaceEvents::default();
        for (given, shown) in [
            ("", ""),
            ("KEA", "AKE"),
            ("Kgxe", "gxeK"),
            ("AKEmnd", "AKEm"),
            ("g$lszxetdEK", "g$lszxetdKE"),
            ("g$lhszxetdEK", "AKE"),
            ("Knm", "nKm"),
        ] {
            shows(&mut events, &[given], shown);
        }
        refuses(&mut events, &["Q"], "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
        refuses(&mut events, &["K", "E"], "wrong number of arguments");
    }

    #[test]
    fn oom_scores() {
        let mut scores = OomScores::default();
        shows(&mut scores, &["300", "100", "-2000"], "300 100 -2000");
        refuses(&mut scores, &["1", "2"], "wrong number of arguments");
        let reason = "Invalid oom-score-adj-values, elements must be between -2000 and 2000.";
        refuses(&mut scores, &["1", "2", "3000"], reason);
        refuses(&mut scores, &["1", "2", "x"], reason);
    }

    #[test]
    fn percentiles() {
        let mut list = Percentiles::default();
        shows(&mut list, &["50", "99.999", "0.1", "12.3456789"], "50 99.999 0.1 12.345679");
        shows(&mut list, &["0.0000001", "100"], "0 100");
        shows(&mut list, &[""], "");
        let reason = "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]";
        refuses(&mut list, &["101"], reason);
        refuses(&mut list, &["x"], "Invalid latency-tracking-info-percentiles parameters");
        refuses(&mut list, &["nan"], "Invalid latency-tracking-info-percentiles parameters");
        refuses(&mut list, &["1", "", "2"], "Invalid latency-tracking-info-percentiles parameters");
    }

    #[test]
    fn master() {
        let mut of = ReplicaOf::default();
        shows(&mut of, &["localhost", "6379"], "localhost 6379");
        refuses(&mut of, &["a"], "wrong number of arguments");
        refuses(&mut of, &["a", "b"], "Invalid master port");
        refuses(&mut of, &["a", "70000"], "Invalid master port");
        shows(&mut of, &["NO", "ONE"], "");
    }

    #[test]
    fn shutdown() {
        let mut flags = ShutdownFlags::default();
        shows(&mut flags, &["NOW", "save"], "save now");
        shows(&mut flags, &["default", "now"], "now");
        shows(&mut flags, &["default"], "default");
        refuses(&mut flags, &["save", "nosave"], "shutdown options SAVE and NOSAVE can't be used simultaneously");
        let reason = "argument(s) must be one of the following: default, save, nosave, now, force";
        refuses(&mut flags, &["foo"], reason);
        refuses(&mut flags, &[""], reason);
        refuses(&mut flags, &[], reason);
    }

    #[test]
    fn a_missing_folder_is_not_entered() {
        let mut dir = WorkingDir::default();
        refuses(&mut dir, &["/no/such/folder"], "No such file or directory");
        refuses(&mut dir, &[""], "No such file or directory");
        refuses(&mut dir, &["a", "b"], "wrong number of arguments");
    }
}
