//! The notation of `commands.rs`, one command a line, and commands made from it.
//!
//! ```text
//! [weight] [!]WORD <argument> ( a / b ) [ optional / or this ] { repeated } => rule
//! ```
//!
//! A word stands for itself, `a|b` for one of several, `<name>` for what `arguments.rs` makes of it. `( )` takes one of its
//! parts, `[ ]` one or none, `{ }` one to four times. `!` keeps a line from being spoiled. The rule says how replies are
//! compared (see `rules.rs`); without one they are the same bytes. Blanks part everything.

use super::arguments::{Arg, argument, number, value};
use super::rules::Rule;
use crate::harness::Random;

/// One line of the table.
pub(crate) struct Line {
    /// The command's name, or container and subcommand, in lower case.
    pub(crate) name: String,
    /// The line in lower case, without weight and mark.
    pub(crate) text: String,
    weight: usize,
    may_be_spoiled: bool,
    parts: Vec<Part>,
    rule: Rule,
}

/// What a line is made of.
enum Part {
    Words(Vec<String>),
    Argument(String),
    OneOf(Vec<Vec<Part>>),
    Maybe(Vec<Vec<Part>>),
    Repeated(Vec<Part>),
}

/// How often `{ }` repeats at most.
const REPEATS: usize = 4;

/// Containers whose replies after a change tell of the server or of the moment.
const TELLING: &[&str] =
    &["hello", "client", "config", "command", "info", "time", "memory", "latency", "slowlog", "debug"];

/// Every line of a table.
pub(crate) fn lines(table: &str) -> Vec<Line> {
    let texts = table.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    texts.map(Line::parse).collect()
}

/// One of the lines by their weights, and a command made from it.
pub(crate) fn command(lines: &[Line], random: &mut Random) -> (Vec<Arg>, Rule) {
    let total = lines.iter().map(|line| line.weight).sum::<usize>();
    let mut at = random.below(total);
    for line in lines {
        if at < line.weight {
            return line.command(random);
        }
        at -= line.weight;
    }
    unreachable!("a number below the sum of the weights")
}

impl Line {
    fn parse(text: &str) -> Line {
        let (text, rule) = text.split_once("=>").map_or((text, Rule::Same), |(text, rule)| (text, Rule::parse(rule)));
        let mut tokens = text.split_whitespace().collect::<Vec<_>>();
        let weight = tokens[0].parse().ok();
        if weight.is_some() {
            tokens.remove(0);
        }
        let may_be_spoiled = !tokens[0].starts_with('!');
        tokens[0] = tokens[0].trim_start_matches('!');
        let mut rest = &tokens[..];
        let parts = sequences(&mut rest).remove(0);
        assert!(rest.is_empty(), "unbalanced: {text}");
        let words =
            tokens.iter().take_while(|token| token.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-'));
        let name = words.take(2).map(|word| word.to_lowercase()).collect::<Vec<_>>().join(" ");
        let text = tokens.join(" ").to_lowercase();
        Line { name, text, weight: weight.unwrap_or(1), may_be_spoiled, parts, rule }
    }

    fn command(&self, random: &mut Random) -> (Vec<Arg>, Rule) {
        let mut args = Vec::new();
        make(&self.parts, random, &mut args);
        let mut rule = self.rule.clone();
        if self.may_be_spoiled && random.one_in(12) {
            spoil(&mut args, random);
            let name = self.name.split(' ').next().unwrap();
            if TELLING.contains(&name) {
                rule = Rule::Kind;
            }
        }
        if let Arg::Bytes(name) = &mut args[0] {
            match random.below(6) {
                0 => name.make_ascii_lowercase(),
                1 => name[0].make_ascii_lowercase(),
                _ => {}
            }
        }
        (args, rule)
    }
}

/// The sequences, parted by `/`, up to a closing bracket or the end.
fn sequences(tokens: &mut &[&str]) -> Vec<Vec<Part>> {
    let mut all = vec![Vec::new()];
    while let Some((token, rest)) = tokens.split_first() {
        if [")", "]", "}"].contains(token) {
            return all;
        }
        *tokens = rest;
        let part = match *token {
            "/" => {
                all.push(Vec::new());
                continue;
            }
            "(" => Part::OneOf(bracketed(tokens, ")")),
            "[" => Part::Maybe(bracketed(tokens, "]")),
            "{" => Part::Repeated(bracketed(tokens, "}").remove(0)),
            _ => match token.strip_prefix('<').and_then(|token| token.strip_suffix('>')) {
                Some(name) => Part::Argument(name.to_owned()),
                None => Part::Words(token.split('|').map(str::to_owned).collect()),
            },
        };
        all.last_mut().unwrap().push(part);
    }
    all
}

fn bracketed(tokens: &mut &[&str], close: &str) -> Vec<Vec<Part>> {
    let inner = sequences(tokens);
    assert_eq!(tokens.first(), Some(&close), "a bracket is not closed");
    *tokens = &tokens[1..];
    inner
}

fn make(parts: &[Part], random: &mut Random, args: &mut Vec<Arg>) {
    for part in parts {
        match part {
            Part::Words(words) => args.push(Arg::Bytes(words[random.below(words.len())].clone().into_bytes())),
            Part::Argument(name) => argument(name, random, args),
            Part::OneOf(all) => make(&all[random.below(all.len())], random, args),
            Part::Maybe(all) if random.one_in(2) => make(&all[random.below(all.len())], random, args),
            Part::Maybe(_) => {}
            Part::Repeated(inner) => (0..1 + random.below(REPEATS)).for_each(|_| make(inner, random, args)),
        }
    }
}

/// Makes a command wrong: an argument too few or too many, or another one in its place.
fn spoil(args: &mut Vec<Arg>, random: &mut Random) {
    match random.below(4) {
        0 if args.len() > 1 => {
            args.pop();
        }
        1 => args.push(Arg::Bytes(number(random).into_bytes())),
        2 => args.push(Arg::Bytes(random.pick(&["NX", "GET", "x", ""]).as_bytes().to_vec())),
        _ => {
            // Never the name nor a subcommand: any other command could be behind it. Never a time: a key that expires
            // during the run could be gone on one side only.
            let name = args[0].shown().to_lowercase();
            let timed = name.ends_with("ex") || name == "set" || name == "restore" || name.contains("expire");
            let first = if TELLING.contains(&&name[..]) { 2 } else { 1 };
            if args.len() > first && !timed {
                let at = first + random.below(args.len() - first);
                // Which texts are a cursor changed between versions.
                args[at] = Arg::Bytes(if name == "scan" && at == 1 { b"0".to_vec() } else { value(random) });
            }
        }
    }
}
