//! What README says of settings is what the table of parameters says.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use torc::config::{Effect, PARAMS};

/// The text below a heading, up to the next one.
fn section(heading: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let start = text.find(heading).unwrap_or_else(|| panic!("README.md has no {heading:?}")) + heading.len();
    let len = text[start..].find("\n#").unwrap_or(text.len() - start);
    text[start..start + len].to_owned()
}

#[test]
fn the_list_of_settings_is_that_of_the_table() {
    let text = section("### Settings");
    // The list is the paragraph that is made of names only.
    let list = text.split("\n\n").find(|paragraph| paragraph.trim_start().starts_with('`')).expect("a list of names");
    let listed = list.split('`').skip(1).step_by(2).collect::<BTreeSet<_>>();
    let working = PARAMS.iter().filter(|param| param.effect == Effect::Works).map(|param| param.name);
    let working = working.collect::<BTreeSet<_>>();
    let missing = working.difference(&listed).collect::<Vec<_>>();
    let promised = listed.difference(&working).collect::<Vec<_>>();
    assert!(missing.is_empty() && promised.is_empty(), "not in README: {missing:?}; without effect: {promised:?}");
}
