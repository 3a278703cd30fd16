//! INFO's text: `# Section`, `field:value` lines, and which sections were asked for. Knows no field by name.

#![forbid(unsafe_code)]

use std::fmt::{Arguments, Write};

/// When a section is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Always, but for an INFO that names others.
    Default,
    /// With `all` and `everything`, or when named.
    All,
    /// Only when named.
    Named,
}

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
                b"module_list" => selection.names.push((*b"modules").into()),
                name => selection.names.push(name.into()),
            }
        }
        selection.default |= !any;
        selection
    }

    /// Whether the section called `name` (in any letters) is wanted.
    pub fn wants(&self, name: &str, presence: Presence) -> bool {
        let in_bulk = match presence {
            Presence::Default => self.all || self.default,
            Presence::All => self.all,
            Presence::Named => false,
        };
        in_bulk || self.names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// What can stand behind a field's name. Numbers, nearly all values, are written without the formatter, which made up
/// most of what INFO cost.
pub trait FieldValue {
    /// Writes it.
    fn append_to(self, text: &mut String);
}

macro_rules! integer_fields {
    ($($kind:ty),*) => {$(
        impl FieldValue for $kind {
            fn append_to(self, text: &mut String) {
                text.push_str(itoa::Buffer::new().format(self));
            }
        }
    )*};
}

integer_fields!(i32, i64, u16, u32, u64, usize);

impl FieldValue for &str {
    fn append_to(self, text: &mut String) {
        text.push_str(self);
    }
}

impl FieldValue for &String {
    fn append_to(self, text: &mut String) {
        text.push_str(self);
    }
}

impl FieldValue for String {
    fn append_to(self, text: &mut String) {
        text.push_str(&self);
    }
}

impl FieldValue for Arguments<'_> {
    fn append_to(self, text: &mut String) {
        text.write_fmt(self).expect("a string takes everything");
    }
}

/// Room for the text of a plain INFO, in bytes.
const TEXT_BYTES: usize = 8 << 10;

/// INFO's text as it is written.
#[derive(Debug)]
pub struct InfoText {
    text: String,
}

impl Default for InfoText {
    fn default() -> InfoText {
        InfoText { text: String::with_capacity(TEXT_BYTES) }
    }
}

impl InfoText {
    /// Begins a section.
    pub fn section(&mut self, title: &str) {
        let gap = if self.text.is_empty() { "" } else { "\r\n" };
        write!(self.text, "{gap}# {title}\r\n").expect("a string takes everything");
    }

    /// One line.
    pub fn field(&mut self, name: &str, value: impl FieldValue) -> &mut InfoText {
        self.text.push_str(name);
        self.text.push(':');
        value.append_to(&mut self.text);
        self.text.push_str("\r\n");
        self
    }

    /// Bytes twice: as a number, and for people under `<name>_human`.
    pub fn bytes(&mut self, name: &str, bytes: u64) -> &mut InfoText {
        self.field(name, bytes);
        self.text.push_str(name);
        self.text.push_str("_human:");
        self.text.push_str(&human_bytes(bytes));
        self.text.push_str("\r\n");
        self
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
        assert!(parse(&[]).wants("server", Presence::Default));
        assert!(!parse(&[]).wants("commandstats", Presence::All));
        assert!(parse(&["ALL"]).wants("commandstats", Presence::All));
        assert!(parse(&["default", "CommandStats"]).wants("commandstats", Presence::All));
        assert!(!parse(&["everything"]).wants("debug", Presence::Named));
        assert!(parse(&["everything", "DEBUG"]).wants("Debug", Presence::Named));
        assert!(parse(&["module_list"]).wants("Modules", Presence::Default));
        assert!(!parse(&["nosuch"]).wants("server", Presence::Default));
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
