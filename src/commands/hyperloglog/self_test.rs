//! Whether registers and estimates are what they should be on this machine: PFSELFTEST.

#![forbid(unsafe_code)]

use bytes::BytesMut;

use crate::base::rng::Rng;
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{Categories, Command, Flags};
use crate::resp::args::Args;
use crate::types::hyperloglog::{self, EMPTY, Mark, REGISTERS};

/// `PFSELFTEST`
pub(super) static PFSELFTEST: Command = Command {
    name: "pfselftest",
    full_name: "pfselftest",
    summary: "Tests the implementation of HyperLogLogs on the machine it runs on.",
    since: "2.8.9",
    group: "hyperloglog",
    complexity: "N/A",
    arity: 1,
    flags: Flags::ADMIN.union(Flags::INTERNAL),
    categories: Categories::HYPERLOGLOG.union(Categories::ADMIN).union(Categories::SLOW).union(Categories::DANGEROUS),
    handler: Some(pfselftest),
    ..Command::BLANK
};

/// How often all registers are raised to something new.
const REGISTER_ROUNDS: u8 = 16;
/// How many elements are added.
const ELEMENTS: u64 = 100_000;
/// Where runs become dense meanwhile.
const SPARSE_MAX: usize = 3000;
/// The error that nothing but a defect makes: six times 1.04 / sqrt(16384).
const ERROR_MAX: f64 = 0.049;

fn pfselftest(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    check_registers(&mut ctx.state.rng)?;
    check_estimates(&mut ctx.state.rng)?;
    ctx.reply.ok();
    Ok(())
}

/// Registers are stored and read back while their neighbours change.
fn check_registers(rng: &mut Rng) -> Result<(), CommandError> {
    let mut buffer = BytesMut::from(EMPTY);
    hyperloglog::to_dense(&mut buffer)?;
    let mut expected = [0; REGISTERS];
    for round in 1..=REGISTER_ROUNDS {
        for (index, value) in expected.iter_mut().enumerate() {
            *value = (*value + rng.below(4) as u8).min(63).max(round);
            Mark::at(index, *value).make(&mut buffer, SPARSE_MAX)?;
        }
        let found = hyperloglog::registers(&buffer)?;
        if let Some(index) = (0..REGISTERS).find(|&index| found[index] != expected[index]) {
            let (wanted, got) = (expected[index], found[index]);
            let text = format!("-TESTFAILED Register {index} should be {wanted} but is {got}");
            return Err(CommandError::filled(text));
        }
    }
    Ok(())
}

/// Estimates are near, and the same however the registers are stored.
fn check_estimates(rng: &mut Rng) -> Result<(), CommandError> {
    let (mut growing, mut dense) = (BytesMut::from(EMPTY), BytesMut::from(EMPTY));
    hyperloglog::to_dense(&mut dense)?;
    let seed = rng.next_u64();
    let mut check_at = 1;
    for count in 1..=ELEMENTS {
        let element = (seed ^ count).to_le_bytes();
        Mark::of(&element).make(&mut growing, SPARSE_MAX)?;
        Mark::of(&element).make(&mut dense, SPARSE_MAX)?;
        if count != check_at {
            continue;
        }
        check_at *= 10;
        let [left, right] = [&growing, &dense].map(|buffer| hyperloglog::registers(buffer));
        let (left, right) = (hyperloglog::estimate(&left?), hyperloglog::estimate(&right?));
        if left != right {
            return Err(CommandError::fixed("-TESTFAILED dense/sparse disagree"));
        }
        let error = left.abs_diff(count);
        // Few elements seldom meet in one register, but they may.
        if error as f64 > (count as f64 * ERROR_MAX).max(2.0) {
            return Err(CommandError::filled(format!("-TESTFAILED Too big error. card:{count} abserr:{error}")));
        }
    }
    Ok(())
}
