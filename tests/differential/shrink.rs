//! A failing stream made small: steps are left out as long as the two servers still differ, then values are shortened.
//!
//! Every attempt starts both servers anew, so that nothing is left of the one before.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use super::arguments::Arg;
use super::duel::{Difference, Duel, Form, Step};

/// How long shrinking may take.
const TIME_MAX: Duration = Duration::from_secs(40);

/// A stream that ends in a difference.
pub(crate) struct Failure {
    pub(crate) steps: Vec<Step>,
    pub(crate) difference: Difference,
    pub(crate) transcript: Vec<String>,
}

/// Plays steps against fresh servers up to the first difference.
pub(crate) fn replay(reference: &Path, steps: &[Step]) -> Option<Failure> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut duel = Duel::start(reference);
        for (index, step) in steps.iter().enumerate() {
            if let Err(difference) = duel.perform(step) {
                let transcript = std::mem::take(&mut duel.transcript);
                return Some(Failure { steps: steps[..=index].to_vec(), difference, transcript });
            }
        }
        None
    }));
    // A server that ended by itself makes the harness panic.
    outcome.unwrap_or_else(|_| {
        let difference =
            Difference { rule: "to live".to_owned(), theirs: "lives".to_owned(), ours: "ended".to_owned() };
        let shown = steps.iter().map(|step| format!("{step:?}"));
        Some(Failure { steps: steps.to_vec(), difference, transcript: shown.collect() })
    })
}

/// The smallest stream found that still ends in a difference.
pub(crate) fn shrink(reference: &Path, failing: Vec<Step>) -> Option<Failure> {
    let end = Instant::now() + TIME_MAX;
    let mut best = replay(reference, &failing)?;
    // Another difference met on the way is not what is looked for.
    let rule = best.difference.rule.clone();
    let replay = |steps: &[Step]| replay(reference, steps).filter(|failure| failure.difference.rule == rule);
    if let Some(failure) = replay(&flattened(&best.steps)) {
        best = failure;
    }
    let mut size = (best.steps.len() / 2).max(1);
    loop {
        let mut removed = false;
        let mut at = best.steps.len().saturating_sub(size);
        // From the end: what matters is near it.
        while Instant::now() < end {
            let mut fewer = best.steps.clone();
            fewer.drain(at..(at + size).min(fewer.len()));
            if let Some(failure) = Some(fewer).filter(|steps| !steps.is_empty()).and_then(|steps| replay(&steps)) {
                best = failure;
                removed = true;
            }
            if at == 0 {
                break;
            }
            at = at.saturating_sub(size).min(best.steps.len().saturating_sub(1));
        }
        if Instant::now() >= end || (size == 1 && !removed) {
            break;
        }
        size = if size > 1 { size / 2 } else { 1 };
    }
    shorten(&replay, &mut best, end);
    Some(best)
}

/// Pipelines as single commands.
fn flattened(steps: &[Step]) -> Vec<Step> {
    let mut all = Vec::new();
    for step in steps {
        match step {
            Step::Pipeline { connection, commands } => all.extend(commands.iter().map(|(args, rule)| Step::Command {
                connection: *connection,
                args: args.clone(),
                rule: rule.clone(),
                form: Form::Whole,
            })),
            Step::Command { connection, args, rule, .. } => all.push(Step::Command {
                connection: *connection,
                args: args.clone(),
                rule: rule.clone(),
                form: Form::Whole,
            }),
            other => all.push(other.clone()),
        }
    }
    all
}

/// Tries an empty, then a short value in the place of each long one; half the bytes of what breaks the protocol.
fn shorten(replay: &impl Fn(&[Step]) -> Option<Failure>, best: &mut Failure, end: Instant) {
    for index in 0..best.steps.len() {
        let mut tries = Vec::new();
        match &best.steps[index] {
            Step::Command { args, .. } => {
                for (at, arg) in args.iter().enumerate().skip(1) {
                    let Arg::Bytes(bytes) = arg else { continue };
                    if bytes.len() > 3 {
                        tries.push((at, b"v".to_vec()));
                    }
                }
            }
            Step::Broken { bytes, .. } => {
                for from in 0..bytes.len().min(64) {
                    tries.push((from, Vec::new()));
                }
            }
            _ => {}
        }
        // From the end, so that what is left out moves nothing that is still to be tried.
        for (at, shorter) in tries.into_iter().rev() {
            if Instant::now() >= end || index >= best.steps.len() {
                return;
            }
            let mut steps = best.steps.clone();
            match &mut steps[index] {
                Step::Command { args, .. } => args[at] = Arg::Bytes(shorter),
                Step::Broken { bytes, .. } if at < bytes.len() => drop(bytes.remove(at)),
                _ => continue,
            }
            if let Some(failure) = replay(&steps) {
                *best = failure;
            }
        }
    }
}
