//! INFO's ring section: what the network layer asked of the kernel, and what that cost, on all threads together. Redis has no
//! such section. The peak of buffers is the sum of every thread's own.

#![forbid(unsafe_code)]

use std::fmt::Write;

use crate::command::state::State;
use crate::io::{COLLECTED_CLASSES, IoStats};
use crate::observe::info::InfoText;

/// Writes the fields. What a back end does not have is zero.
pub(super) fn write(state: &State, text: &mut InfoText) {
    let (stats, network) = (&state.stats, &state.facts.network);
    let here = stats.io.since(&stats.io_before_reset);
    let io = state.all_threads().fold(here, |sum, thread| sum.and(&thread.io.get()));
    let (syscalls, commands) = (io.syscalls, stats.commands_processed.max(1));
    let elsewhere = state.all_threads().map(|thread| thread.bytes_by_reference.get()).sum::<u64>();
    let by_reference = stats.net_output_bytes_by_reference + elsewhere;
    text.field("ring_backend", network.back_end)
        .field("ring_backend_reason", &network.reason)
        .field("ring_features_used", &network.features_used)
        .field("ring_features_missing", &network.features_missing)
        .field("ring_syscalls", syscalls)
        .field("ring_syscalls_per_command", format_args!("{:.4}", syscalls as f64 / commands as f64))
        .field("ring_enters", io.enters)
        .field("ring_submissions", io.submissions)
        .field("ring_completions", io.completions)
        .field("ring_completions_per_enter", histogram(&io))
        .field("ring_cq_overflows", io.overflows)
        .field("ring_recv_buffers_total", io.recv_buffers)
        .field("ring_recv_buffers_in_use", io.recv_buffers_used)
        .field("ring_recv_buffers_in_use_peak", io.recv_buffers_used_max)
        .field("ring_recv_starved", io.starved)
        .field("ring_recv_rearms", io.rearms_recv)
        .field("ring_accept_rearms", io.rearms_accept)
        .field("ring_soft_sends", io.sends_soft)
        .field("ring_short_sends", io.sends_short)
        .field("ring_owned_sends", io.sends_owned)
        .field("ring_sent_bytes_by_copy", stats.net_output_bytes.saturating_sub(by_reference))
        .field("ring_sent_bytes_by_reference", by_reference)
        .field("ring_slab_registrations", io.slab_registrations);
}

/// `0=5,1=70,2-3=12`: how often so many completions were collected at once; classes without any are left out.
fn histogram(io: &IoStats) -> String {
    let mut text = String::new();
    for (class, count) in io.collected.iter().enumerate().filter(|(_, count)| **count > 0) {
        let gap = if text.is_empty() { "" } else { "," };
        let (first, last) = if class == 0 { (0, 0) } else { (1 << (class - 1), (1 << class) - 1) };
        let outcome = if class == COLLECTED_CLASSES - 1 {
            write!(text, "{gap}{first}-={count}")
        } else if first == last {
            write!(text, "{gap}{first}={count}")
        } else {
            write!(text, "{gap}{first}-{last}={count}")
        };
        outcome.expect("a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::Engine;
    use crate::observe::threads::ThreadFigures;

    #[test]
    fn completions_are_shown_by_class() {
        let mut io = IoStats::default();
        for count in [0, 0, 1, 2, 3, 4, 7, 8, 4095, 4096, 100_000] {
            io.collected(count);
        }
        assert_eq!(histogram(&io), "0=2,1=1,2-3=2,4-7=2,8-15=1,2048-4095=1,4096-=2");
        assert_eq!(io.completions, 108_216);
    }

    #[test]
    fn a_reset_starts_the_counters_anew_but_no_gauge() {
        let mut engine = Engine::for_console();
        engine.state.stats.io.enters = 10;
        engine.state.stats.io.collected(3);
        engine.state.stats.io.recv_buffers = 32;
        engine.state.stats.io.recv_buffers_used_max = 4;
        assert!(engine.run(&["INFO", "ring"]).contains("ring_enters:10\\r"));
        engine.run(&["CONFIG", "RESETSTAT"]);
        engine.state.stats.io.enters = 13;
        engine.state.stats.io.collected(1);
        let text = engine.run(&["INFO", "RING"]);
        for field in
            ["ring_enters:3", "ring_completions:1", "ring_completions_per_enter:1=1", "ring_recv_buffers_total:32"]
        {
            assert!(text.contains(&format!("{field}\\r")), "{field} in {text}");
        }
        assert!(text.contains("ring_recv_buffers_in_use_peak:4\\r"), "{text}");
    }

    #[test]
    fn all_threads_are_counted_also_those_that_ended() {
        let mut engine = Engine::for_console();
        engine.state.stats.io.syscalls = 10;
        engine.state.stats.net_output_bytes = 1000;
        let calls = |count| IoStats { syscalls: count, recv_buffers: 4, ..IoStats::default() };
        for count in [5, 7] {
            let figures = Arc::new(ThreadFigures::default());
            figures.io.publish(&calls(count));
            figures.bytes_by_reference.add(count);
            engine.state.io_threads.push(figures);
        }
        let text = engine.run(&["INFO", "ring"]);
        for field in ["ring_syscalls:22", "ring_recv_buffers_total:8", "ring_sent_bytes_by_reference:12"] {
            assert!(text.contains(&format!("{field}\\r")), "{field} in {text}");
        }
        let ended = engine.state.io_threads.pop().expect("there are two");
        engine.state.ended_threads.take_over(&ended);
        let text = engine.run(&["INFO", "ring"]);
        for field in ["ring_syscalls:22", "ring_recv_buffers_total:4", "ring_sent_bytes_by_reference:12"] {
            assert!(text.contains(&format!("{field}\\r")), "{field} in {text}");
        }
        engine.run(&["CONFIG", "RESETSTAT"]);
        engine.state.io_threads[0].io.publish(&calls(7));
        engine.state.stats.io.syscalls = 11;
        assert!(engine.run(&["INFO", "ring"]).contains("ring_syscalls:3\\r"));
    }
}
