//! The figures as text: a table for each load, servers side by side, ratios to the first.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::profile::{Document, Profile, Sample};
use crate::stacks::Category;

/// Calls rarer than this per request are summed up in one row.
const RARE_CALLS: f64 = 0.0005;
const LABEL_WIDTH: usize = 34;
const FIGURE_WIDTH: usize = 18;
const RATIO_WIDTH: usize = 8;

/// Writes everything.
pub(crate) fn render(document: &Document) -> String {
    let mut text = String::new();
    let loads = document.profiles.iter().map(|profile| profile.load.clone()).collect::<Vec<_>>();
    for (index, load) in loads.iter().enumerate().filter(|(index, load)| !loads[..*index].contains(load)) {
        if index > 0 {
            text.push('\n');
        }
        let profiles = document.profiles.iter().filter(|profile| profile.load == *load).collect::<Vec<_>>();
        Table { text: &mut text, document, profiles }.write(load.as_deref());
    }
    for note in &document.notes {
        let _ = writeln!(text, "\nnote: {note}");
    }
    text
}

struct Table<'a> {
    text: &'a mut String,
    document: &'a Document,
    profiles: Vec<&'a Profile>,
}

impl Table<'_> {
    fn write(&mut self, load: Option<&str>) {
        self.heading(load);
        self.row("requests per second", whole, |sample| Some(sample.requests_per_second));
        self.commands();
        self.section("CPU time per request, ns");
        self.row("all", whole, |sample| Some(sample.cpu_ns));
        self.cpu();
        self.section("context switches per request");
        self.row("voluntary", small, |sample| Some(sample.voluntary_switches));
        self.row("involuntary", small, |sample| Some(sample.involuntary_switches));
        if self.profiles.iter().any(|profile| profile.median.activity.is_some()) {
            self.syscalls();
            self.ring();
        }
        self.costs();
    }

    fn heading(&mut self, load: Option<&str>) {
        let load = load.map_or("the load that is there".to_owned(), |load| format!("load: {load}"));
        let servers = self.profiles.iter().map(|profile| {
            let server = &self.document.servers[profile.server];
            format!("{} {}", server.name, server.version)
        });
        let servers = servers.collect::<Vec<_>>();
        let rounds = self.profiles.iter().map(|profile| profile.rounds.len()).max().unwrap_or(0);
        let pass = format!("{rounds} x {} s", self.document.seconds);
        let _ = writeln!(self.text, "{load} ({pass})");
        let _ = write!(self.text, "{:<LABEL_WIDTH$}", "");
        for (index, server) in servers.iter().enumerate() {
            let width = if index == 0 { FIGURE_WIDTH } else { FIGURE_WIDTH + RATIO_WIDTH };
            let _ = write!(self.text, "{:>width$}", shortened(server, width - 1));
        }
        self.text.push('\n');
    }

    fn section(&mut self, title: &str) {
        let _ = writeln!(self.text, "{title}");
    }

    /// A row of one figure of each server, with its ratio to that of the first.
    fn row(&mut self, label: &str, form: fn(f64) -> String, figure: impl Fn(&Sample) -> Option<f64>) {
        let figures = self.profiles.iter().map(|profile| figure(&profile.median)).collect::<Vec<_>>();
        let _ = write!(self.text, "  {:<width$}", shortened(label, LABEL_WIDTH - 3), width = LABEL_WIDTH - 2);
        for (index, figure) in figures.iter().enumerate() {
            let shown = figure.map_or("-".to_owned(), form);
            let _ = write!(self.text, "{shown:>FIGURE_WIDTH$}");
            if index > 0 {
                let ratio = figures[0].zip(*figure).filter(|(first, _)| *first > 0.0).map(|(first, own)| own / first);
                let _ =
                    write!(self.text, "{:>RATIO_WIDTH$}", ratio.map_or(String::new(), |ratio| format!("x{ratio:.2}")));
            }
        }
        let trimmed = self.text.trim_end().len();
        self.text.truncate(trimmed);
        self.text.push('\n');
    }

    /// A row of something said of each server.
    fn plain(&mut self, label: &str, of: impl Fn(&Sample) -> Option<String>) {
        let _ = write!(self.text, "  {label:<width$}", width = LABEL_WIDTH - 2);
        for (index, profile) in self.profiles.iter().enumerate() {
            let said = of(&profile.median).unwrap_or("-".to_owned());
            let gap = if index < self.profiles.len() - 1 { RATIO_WIDTH } else { 0 };
            let _ = write!(self.text, "{said:>FIGURE_WIDTH$}{:gap$}", "");
        }
        self.text.push('\n');
    }

    fn commands(&mut self) {
        let mut names = self.names(|sample| sample.commands.keys().cloned().collect());
        names.retain(|name| self.any(|sample| sample.commands.get(name).is_some_and(|share| *share >= 0.005)));
        for name in names {
            self.row(&format!("of these {}", name.to_uppercase()), percent, |sample| {
                Some(sample.commands.get(&name).copied().unwrap_or(0.0))
            });
        }
    }

    fn cpu(&mut self) {
        if !self.any(|sample| sample.cpu_split.as_ref().is_some_and(|split| split.sees_kernel)) {
            self.row("  user", whole, |sample| Some(sample.user_ns));
            self.row("  kernel", whole, |sample| Some(sample.system_ns));
            return;
        }
        for category in Category::ALL {
            let of = |sample: &Sample| {
                let split = sample.cpu_split.as_ref()?;
                Some(split.ns.get(&category).copied().unwrap_or(0.0))
            };
            if self.any(|sample| of(sample).is_some_and(|ns| ns > 0.0)) {
                self.row(&format!("  {}", category.label()), whole, of);
            }
        }
    }

    fn syscalls(&mut self) {
        let names = self
            .names(|sample| sample.activity.iter().flat_map(|activity| activity.syscalls.keys().cloned()).collect());
        let calls = |sample: &Sample, name: &str| {
            let activity = sample.activity.as_ref()?;
            Some(activity.syscalls.get(name).map_or(0.0, |cost| cost.calls))
        };
        let (mut frequent, rare) = names.into_iter().partition::<Vec<_>, _>(|name| {
            self.any(|sample| calls(sample, name).is_some_and(|calls| calls >= RARE_CALLS))
        });
        // The most frequent of the first server first.
        let first = |name: &String| {
            self.profiles
                .iter()
                .map(|profile| calls(&profile.median, name))
                .fold(0.0, |most, calls| calls.unwrap_or(0.0).max(most))
        };
        frequent.sort_by(|one, other| first(other).total_cmp(&first(one)));
        self.section("system calls per request");
        self.row("all", small, |sample| Some(sample.activity.as_ref()?.calls()));
        for name in &frequent {
            self.row(&format!("  {name}"), small, |sample| calls(sample, name));
        }
        if !rare.is_empty() {
            let label = format!("  {} rarer ones", rare.len());
            self.row(&label, small, |sample| rare.iter().map(|name| calls(sample, name)).sum());
        }
        let wall = |sample: &Sample, name: &str| sample.activity.as_ref()?.syscalls.get(name)?.wall_ns;
        let waiting = |sample: &Sample, name: &str| sample.activity.as_ref()?.syscalls.get(name)?.waiting_ns;
        self.section("time from entry to return, ns per request");
        for name in &frequent {
            self.row(&format!("  {name}"), whole, |sample| wall(sample, name));
            if self.any(|sample| waiting(sample, name).is_some_and(|ns| ns >= 1.0)) {
                self.row("    of this asleep", whole, |sample| waiting(sample, name));
            }
        }
    }

    fn ring(&mut self) {
        fn ring(sample: &Sample) -> Option<&crate::profile::RingCost> {
            sample.activity.as_ref()?.ring.as_ref()
        }
        if !self.any(|sample| ring(sample).is_some()) {
            return;
        }
        self.section("io_uring");
        self.row("enters per request", small, |sample| Some(ring(sample)?.enters));
        self.row("submissions per enter", tenth, |sample| {
            let ring = ring(sample)?;
            Some(ring.submissions? / ring.enters)
        });
        self.row("completions per enter", tenth, |sample| {
            let ring = ring(sample)?;
            Some(ring.completions? / ring.enters)
        });
        let mut operations =
            self.names(|sample| ring(sample).into_iter().flat_map(|ring| ring.operations.keys().cloned()).collect());
        operations.retain(|name| {
            self.any(|sample| {
                ring(sample).and_then(|ring| ring.operations.get(name)).is_some_and(|count| *count >= RARE_CALLS)
            })
        });
        for name in operations {
            self.row(&format!("  {name} per request"), small, |sample| {
                Some(ring(sample)?.operations.get(&name).copied().unwrap_or(0.0))
            });
        }
    }

    /// What the watching did to the figures.
    fn costs(&mut self) {
        self.section("while watched, relative to undisturbed");
        if self.any(|sample| sample.activity.is_some()) {
            self.plain("system calls: seen by", |sample| {
                sample.activity.as_ref().map(|it| it.level.label().to_owned())
            });
            self.plain("  requests per second", |sample| Some(times(sample.activity.as_ref()?.watch_cost.rate)));
            self.plain("  CPU time per request", |sample| Some(times(sample.activity.as_ref()?.watch_cost.cpu)));
        }
        if self.any(|sample| sample.cpu_split.is_some()) {
            self.plain("stacks: how many", |sample| sample.cpu_split.as_ref().map(|split| whole(split.samples as f64)));
            self.plain("  requests per second", |sample| Some(times(sample.cpu_split.as_ref()?.watch_cost.rate)));
        }
    }

    fn names(&self, of: impl Fn(&Sample) -> Vec<String>) -> Vec<String> {
        let names = self.profiles.iter().flat_map(|profile| of(&profile.median)).collect::<BTreeSet<_>>();
        names.into_iter().collect()
    }

    fn any(&self, holds: impl Fn(&Sample) -> bool) -> bool {
        self.profiles.iter().any(|profile| holds(&profile.median))
    }
}

fn shortened(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

/// Whole numbers with separators of thousands.
pub(crate) fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Numbers around 1 and far below.
pub(crate) fn small(value: f64) -> String {
    if value >= 0.1 || value == 0.0 { format!("{value:.2}") } else { format!("{value:.4}") }
}

pub(crate) fn tenth(value: f64) -> String {
    format!("{value:.1}")
}

fn times(ratio: f64) -> String {
    format!("x{ratio:.2}")
}

fn percent(value: f64) -> String {
    format!("{:.1} %", value * 100.0)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::profile::tests::sample;
    use crate::profile::{Machine, Server};

    pub(crate) fn document() -> Document {
        let server = |name: &str| Server { name: name.to_owned(), version: "1.2".to_owned(), command: Vec::new() };
        let profile = |server, scale| Profile {
            server,
            load: Some("get -c 50".to_owned()),
            median: sample(scale),
            rounds: vec![sample(scale)],
        };
        Document {
            tool: "torc-profile".to_owned(),
            measured_at: 0,
            machine: Machine { kernel: "6.1".to_owned(), processor: "some".to_owned(), cores: 2, load_average: 0.5 },
            seconds: 5.0,
            servers: vec![server("One"), server("Other")],
            profiles: vec![profile(0, 1.0), profile(1, 0.5)],
            notes: vec!["something was not to be had".to_owned()],
        }
    }

    #[test]
    fn servers_stand_side_by_side() {
        let text = render(&document());
        let row = |label: &str| {
            let line =
                text.lines().find(|line| line.trim_start().starts_with(label)).unwrap_or_else(|| panic!("{text}"));
            line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert!(row("requests per second").ends_with(&["100,000", "200,000", "x2.00"].map(str::to_owned)));
        assert!(row("TCP").ends_with(&["500", "250", "x0.50"].map(str::to_owned)), "{text}");
        assert!(row("io_uring_enter").ends_with(&["0.10", "0.0500", "x0.50"].map(str::to_owned)), "{text}");
        assert!(row("submissions per enter").ends_with(&["10.0", "10.0", "x1.00"].map(str::to_owned)), "{text}");
        assert!(text.contains("of this asleep"), "{text}");
        assert!(row("CPU time per request  ").ends_with(&["x1.50", "x1.50"].map(str::to_owned)), "{text}");
        assert!(text.ends_with("note: something was not to be had\n"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
    }

    #[test]
    fn without_a_split_the_kernels_accounting_is_shown() {
        let mut document = document();
        document.profiles.truncate(1);
        document.profiles[0].median.cpu_split = None;
        document.profiles[0].median.activity = None;
        let text = render(&document);
        assert!(text.contains("  user") && text.contains("  kernel") && !text.contains("system calls"), "{text}");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!([0.0, 999.4, 1000.0, 1234567.0].map(whole), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.01234, 0.5, 2.0].map(small), ["0.00", "0.0123", "0.50", "2.00"]);
    }
}
