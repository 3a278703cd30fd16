//! INFO's text: `# Section`, `field:value` lines, and which sections were asked for. Knows no field by name.

#![forbid(unsafe_code)]

use std::fmt::{Display, Write};

/// Which sections INFO was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The sections of a plain INFO.
    default: bool,
    /// All of them.
    all: bool,
    names: Vec<Box<[u8]>>,
}

impl Selection {
    /// From INFO's arguments; none asks for the default sections.
    pub fn parse<'a>(words: impl Iterator<Item = &'a [u8]>) -> Selection {
        let mut selection = Selection { default: false, all: false, names: Vec::new() };
        let mut any = false;
        for word in words {
            any = true;
            match word.to_ascii_lowercase().as_slice() {
                b"default" => selection.default = true,
                b"all" | b"everything" => selection.all = true,
                name => selection.names.push(name.into()),
            }
        }
        selection.default |= !any;
        selection
    }

    /// Whether the section called `name` (in small letters) is wanted; `by_default`: it belongs to a plain INFO.
    pub fn wants(&self, name: &str, by_default: bool) -> bool {
        self.all || (self.default && by_default) || self.names.iter().any(|wanted| **wanted == *name.as_bytes())
    }
}

/// INFO's text as it is written.
#[derive(Debug, Default)]
pub struct InfoText {
    text: String,
}

impl InfoText {
    /// Begins a section.
    pub fn section(&mut self, title: &str) {
        let gap = if self.text.is_empty() { "" } else { "\r\n" };
        write!(self.text, "{gap}# {title}\r\n").expect("a string takes everything");
    }

    /// One line.
    pub fn field(&mut self, name: &str, value: impl Display) -> &mut InfoText {
        write!(self.text, "{name}:{value}\r\n").expect("a string takes everything");
        self
    }

    /// Bytes twice: as a number, and for people under `<name>_human`.
    pub fn bytes(&mut self, name: &str, bytes: u64) -> &mut InfoText {
        self.field(name, bytes).field(&format!("{name}_human"), human_bytes(bytes))
    }

    /// The whole text.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// An amount of memory for people: `978.56K`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_chosen_by_name_or_in_bulk() {
        let parse = |words: &[&str]| Selection::parse(words.iter().map(|word| word.as_bytes()));
        assert!(parse(&[]).wants("server", true));
        assert!(!parse(&[]).wants("commandstats", false));
        assert!(parse(&["ALL"]).wants("commandstats", false));
        assert!(parse(&["default", "CommandStats"]).wants("commandstats", false));
        assert!(!parse(&["nosuch"]).wants("server", true));
    }

    #[test]
    fn the_text_has_gaps_between_sections() {
        let mut info = InfoText::default();
        info.section("One");
        info.field("a", 1).bytes("b", 2048);
        info.section("Two");
        assert_eq!(info.as_bytes(), b"# One\r\na:1\r\nb:2048\r\nb_human:2.00K\r\n\r\n# Two\r\n");
    }

    #[test]
    fn bytes_for_people() {
        for (bytes, text) in
            [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (1_002_048, "978.56K"), (25_276_514_304, "23.54G")]
        {
            assert_eq!(human_bytes(bytes), text);
        }
        assert_eq!(human_bytes(u64::MAX), "16384.00P");
    }
}
