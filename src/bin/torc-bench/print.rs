//! What a load tells its user: text, redis-benchmark's short and comma-separated forms, JSON, and HdrHistogram logs.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use serde_json::{Value, json};

use crate::plan::{Outcome, latency_histogram};

/// The percentiles of the text form.
const PERCENTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Quiet,
    Csv,
    Json,
}

/// What was run, for the text form.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) connections: usize,
    pub(crate) pipeline: usize,
    pub(crate) threads: usize,
    pub(crate) value_bytes: String,
    pub(crate) rate: Option<f64>,
}

fn ms(ns: f64) -> f64 {
    ns / 1e6
}

/// What comes before the first test.
pub(crate) fn head(form: Form, out: &mut dyn Write) -> io::Result<()> {
    if form == Form::Csv {
        let columns = ["test", "rps", "avg_latency_ms", "min_latency_ms", "p50_latency_ms"];
        let more = ["p95_latency_ms", "p99_latency_ms", "max_latency_ms"];
        let quoted: Vec<String> = columns.iter().chain(&more).map(|name| format!("\"{name}\"")).collect();
        writeln!(out, "{}", quoted.join(","))?;
    }
    Ok(())
}

/// One test's result. Nothing in JSON, which is one document at the end.
pub(crate) fn test(
    form: Form,
    precision: usize,
    title: &str,
    terms: &Terms,
    outcome: &Outcome,
    out: &mut dyn Write,
) -> io::Result<()> {
    let latency = &outcome.latency;
    let at = |quantile| ms(latency.value_at_quantile(quantile) as f64);
    match form {
        Form::Json => Ok(()),
        Form::Quiet => {
            writeln!(out, "{title}: {:.2} requests per second, p50={:.3} msec", outcome.rate(), at(0.5))
        }
        Form::Csv => {
            let (mean, min, max) = (ms(latency.mean()), ms(latency.min() as f64), ms(latency.max() as f64));
            let figures = [mean, min, at(0.5), at(0.95), at(0.99), max];
            let figures: Vec<String> = figures.iter().map(|figure| format!("\"{figure:.3}\"")).collect();
            writeln!(out, "\"{title}\",\"{:.2}\",{}", outcome.rate(), figures.join(","))
        }
        Form::Text => text(precision, title, terms, outcome, out),
    }
}

fn text(precision: usize, title: &str, terms: &Terms, outcome: &Outcome, out: &mut dyn Write) -> io::Result<()> {
    let latency = &outcome.latency;
    writeln!(out, "====== {title} ======")?;
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let rate = terms.rate.map_or(String::new(), |rate| format!(", due at {rate} requests per second"));
    writeln!(
        out,
        "  {} requests in {:.2} seconds; {}, pipeline {}, {} bytes payload, {}{rate}",
        outcome.requests,
        outcome.elapsed.as_secs_f64(),
        plural(terms.connections, "connection"),
        terms.pipeline,
        terms.value_bytes,
        plural(terms.threads, "thread"),
    )?;
    let cpu = outcome.client_cpu_ns as f64 / outcome.requests.max(1) as f64;
    writeln!(out, "  throughput: {:.2} requests per second (client CPU {cpu:.0} ns per request)", outcome.rate())?;
    let mut names = vec!["avg".to_owned(), "min".to_owned()];
    let mut figures = vec![latency.mean(), latency.min() as f64];
    for (name, quantile) in PERCENTILES {
        names.push(name.to_owned());
        figures.push(latency.value_at_quantile(quantile) as f64);
    }
    names.push("max".to_owned());
    figures.push(latency.max() as f64);
    let figures: Vec<String> = figures.iter().map(|figure| format!("{:.precision$}", ms(*figure))).collect();
    let width = figures.iter().map(String::len).max().unwrap_or(0).max(6) + 2;
    let line = |cells: &[String]| cells.iter().map(|cell| format!("{cell:>width$}")).collect::<String>();
    writeln!(out, "  latency (msec):")?;
    writeln!(out, "  {}", line(&names))?;
    writeln!(out, "  {}", line(&figures))?;
    if outcome.misses > 0 {
        writeln!(out, "  {} requests found nothing", outcome.misses)?;
    }
    if outcome.overdue > 0 {
        writeln!(out, "  {} requests were due and never sent: the server cannot keep this rate", outcome.overdue)?;
    }
    writeln!(out)
}

/// What comes after the last test.
pub(crate) fn foot(form: Form, document: &Value, out: &mut dyn Write) -> io::Result<()> {
    match form {
        Form::Json => writeln!(out, "{document:#}"),
        Form::Quiet => writeln!(out),
        Form::Text | Form::Csv => Ok(()),
    }
}

/// One test in the JSON document.
pub(crate) fn json_of(title: &str, outcome: &Outcome) -> Value {
    json!({
        "test": title,
        "requests": outcome.requests,
        "failures": outcome.failures,
        "first_failure": outcome.first_failure,
        "misses": outcome.misses,
        "overdue": outcome.overdue,
        "seconds": outcome.elapsed.as_secs_f64(),
        "requests_per_second": outcome.rate(),
        "client_cpu_ns_per_request": outcome.client_cpu_ns as f64 / outcome.requests.max(1) as f64,
        "latency_ns": latency_json(&outcome.latency),
    })
}

fn latency_json(latency: &Histogram<u64>) -> Value {
    let mut values = serde_json::Map::new();
    values.insert("mean".to_owned(), json!(latency.mean()));
    values.insert("min".to_owned(), json!(latency.min()));
    for (name, quantile) in PERCENTILES {
        values.insert(name.replace('.', "_"), json!(latency.value_at_quantile(quantile)));
    }
    values.insert("max".to_owned(), json!(latency.max()));
    values.into()
}

/// A test's intervals, and when its timed part began, since 1970.
pub(crate) struct Logged {
    pub(crate) title: String,
    pub(crate) began: Duration,
    pub(crate) outcome: Outcome,
}

/// Writes intervals as an HdrHistogram log, tagged with their tests.
pub(crate) fn hdr_log(path: &Path, tests: &[Logged]) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("writing {}", path.display()))?;
    let mut out = BufWriter::new(file);
    let mut serializer = V2DeflateSerializer::new();
    let start = tests.first().map_or(Duration::ZERO, |test| test.began);
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment("torc-bench: latencies in nanoseconds, one tag per test")
        .with_start_time(UNIX_EPOCH + start)
        .with_base_time(UNIX_EPOCH + start)
        .with_max_value_divisor(1e6)
        .begin_log_with(&mut out, &mut serializer)?;
    for test in tests {
        // A tag ends at a comma and holds no blanks.
        let word = test.title.split([' ', ',']).next().unwrap_or_default();
        let tag = Tag::new(word).ok_or_else(|| anyhow!("{word:?} is no tag for a log"))?;
        for interval in &test.outcome.intervals {
            let mut histogram = latency_histogram();
            for (value, count) in &interval.counts {
                histogram.saturating_record_n(*value, *count);
            }
            let from = (test.began - start) + interval.start;
            log.write_histogram(&histogram, from, interval.length, Some(tag))
                .map_err(|error| anyhow!("writing {}: {error:?}", path.display()))?;
        }
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Interval;
    use crate::plan::tests::outcome;

    fn printed(form: Form) -> String {
        let mut outcome = outcome();
        for ms in 1..=4 {
            outcome.latency.record(ms * 1_000_000).unwrap();
        }
        let terms = Terms { connections: 50, pipeline: 1, threads: 1, value_bytes: "3".to_owned(), rate: None };
        let mut out = Vec::new();
        head(form, &mut out).unwrap();
        test(form, 3, "GET", &terms, &outcome, &mut out).unwrap();
        foot(form, &json!({ "tests": [json_of("GET", &outcome)] }), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn short_forms_are_those_of_redis_benchmark() {
        // Histograms keep three digits, rounded up.
        assert_eq!(printed(Form::Quiet), "GET: 5.00 requests per second, p50=2.001 msec\n\n");
        let csv = printed(Form::Csv);
        let mut lines = csv.lines();
        let head = "\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"";
        assert_eq!(lines.next(), Some(head));
        assert!(lines.next().unwrap().starts_with("\"GET\",\"5.00\",\"2.5"), "{csv}");
        assert_eq!(lines.next(), None);
    }

    #[test]
    fn text_and_json_have_the_far_percentiles() {
        let text = printed(Form::Text);
        assert!(text.contains("p99.99") && text.contains("50 connections") && text.contains("1 thread\n"), "{text}");
        let value: Value = serde_json::from_str(&printed(Form::Json)).unwrap();
        assert_eq!(value["tests"][0]["requests"], 10);
        assert!(value["tests"][0]["latency_ns"]["p99_99"].as_u64().unwrap() >= 4_000_000);
    }

    #[test]
    fn logs_are_read_back() {
        use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut outcome = outcome();
        outcome.intervals = vec![Interval {
            start: Duration::from_secs(2),
            length: Duration::from_secs(1),
            counts: vec![(1000, 3), (2_000_000, 1)],
        }];
        let title = "MSET (10 keys)".to_owned();
        hdr_log(&path, &[Logged { title, began: Duration::from_secs(100), outcome }]).unwrap();
        let text = std::fs::read(&path).unwrap();
        let entries: Vec<_> = IntervalLogIterator::new(&text).map(Result::unwrap).collect();
        let intervals: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                LogEntry::Interval(interval) => Some(interval),
                _ => None,
            })
            .collect();
        assert_eq!(intervals.len(), 1);
        assert_eq!(intervals[0].tag().unwrap().as_str(), "MSET");
        assert_eq!(intervals[0].start_timestamp(), Duration::from_secs(2));
        // Standard readers know the encoding by its first bytes.
        assert!(intervals[0].encoded_histogram().starts_with("HISTFAAAA"), "{}", intervals[0].encoded_histogram());
    }
}
