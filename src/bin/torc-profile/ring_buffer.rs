//! The kernel's trace ring buffer: one page as `trace_pipe_raw` hands it out, and where an event has its fields.
//!
//! The layouts are those that the kernel publishes in `events/header_page`, `events/header_event` and each event's
//! `format`.

#![forbid(unsafe_code)]

use anyhow::{Context, ensure};

/// The page header: a time stamp, then the bytes used with two flags at their top.
const TIMESTAMP_LEN: usize = 8;
const COMMIT_LEN: usize = 8;
/// Where events begin.
pub(crate) const PAGE_HEADER_LEN: usize = TIMESTAMP_LEN + COMMIT_LEN;
const COMMIT_MASK: u64 = (1 << 20) - 1;
const MISSED_EVENTS: u64 = 1 << 31;
const MISSED_COUNT_FOLLOWS: u64 = 1 << 30;

/// The kinds of entry; smaller numbers are the length of the data in words.
const TYPE_PADDING: u32 = 29;
const TYPE_TIME_EXTEND: u32 = 30;
const TYPE_TIME_STAMP: u32 = 31;
const DELTA_BITS: u32 = 27;
/// An absolute time stamp has this many bits; the rest is that of the page.
const STAMP_BITS: u32 = 59;

/// Hands every event of a page, with its time, to `each`; returns how many were lost before the page. A page that makes
/// no sense is read as far as it does.
pub(crate) fn read_page(page: &[u8], mut each: impl FnMut(u64, &[u8])) -> u64 {
    let (Some(page_time), Some(commit)) = (u64_at(page, 0), u64_at(page, TIMESTAMP_LEN)) else { return 0 };
    let end = (PAGE_HEADER_LEN + usize::try_from(commit & COMMIT_MASK).unwrap_or(0)).min(page.len());
    let lost = match (commit & MISSED_EVENTS != 0, commit & MISSED_COUNT_FOLLOWS != 0) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => u64_at(page, end).unwrap_or(1),
    };
    let mut time = page_time;
    let mut at = PAGE_HEADER_LEN;
    while at < end {
        let Some(header) = u32_at(page, at) else { break };
        let (kind, delta) = (header & 0x1f, u64::from(header >> 5));
        let word = || u32_at(page, at + 4);
        match kind {
            TYPE_PADDING => {
                // Without a delta the rest of the page is empty; else a discarded event of that length.
                let Some(len) = word().filter(|_| delta != 0) else { break };
                time += delta;
                at += 4 + len as usize;
            }
            TYPE_TIME_EXTEND => {
                let Some(high) = word() else { break };
                time += (u64::from(high) << DELTA_BITS) + delta;
                at += 8;
            }
            TYPE_TIME_STAMP => {
                let Some(high) = word() else { break };
                let stamp = (u64::from(high) << DELTA_BITS) + delta;
                time = (page_time >> STAMP_BITS << STAMP_BITS) | stamp;
                at += 8;
            }
            words => {
                let (start, len) = if words == 0 {
                    // The length stands in front of the data and counts itself.
                    let Some(len) = word().filter(|len| *len >= 4) else { break };
                    (at + 8, len as usize - 4)
                } else {
                    (at + 4, words as usize * 4)
                };
                let Some(data) = page.get(start..start + len) else { break };
                time += delta;
                each(time, data);
                // Data ends at a multiple of four.
                at = start + len.next_multiple_of(4);
            }
        }
    }
    lost
}

fn bytes_at<const LEN: usize>(bytes: &[u8], at: usize) -> Option<[u8; LEN]> {
    bytes.get(at..at + LEN)?.try_into().ok()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes_at(bytes, at).map(u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes_at(bytes, at).map(u64::from_ne_bytes)
}

/// One field of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    offset: usize,
    size: usize,
    signed: bool,
}

impl Field {
    /// Its value in an event.
    pub(crate) fn number(self, data: &[u8]) -> Option<i64> {
        let bytes = data.get(self.offset..self.offset + self.size)?;
        match (self.size, self.signed) {
            (1, false) => bytes.first().map(|byte| i64::from(*byte)),
            (2, false) => bytes_at(bytes, 0).map(|bytes| i64::from(u16::from_ne_bytes(bytes))),
            (4, false) => bytes_at(bytes, 0).map(|bytes| i64::from(u32::from_ne_bytes(bytes))),
            (4, true) => bytes_at(bytes, 0).map(|bytes| i64::from(i32::from_ne_bytes(bytes))),
            (8, _) => bytes_at(bytes, 0).map(i64::from_ne_bytes),
            _ => None,
        }
    }

    /// Its text, where it says where in the event that lies: length and place in half a word each.
    pub(crate) fn text(self, data: &[u8]) -> Option<String> {
        let place = u32_at(data, self.offset)?;
        let (start, len) = ((place & 0xffff) as usize, (place >> 16) as usize);
        let bytes = data.get(start..start + len)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }
}

/// Number and fields of a kind of event, from its `format` file.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    text: String,
    pub(crate) id: u16,
}

impl Format {
    pub(crate) fn parse(text: &str) -> anyhow::Result<Format> {
        let id = text.lines().find_map(|line| line.strip_prefix("ID: ")?.trim().parse().ok());
        Ok(Format { text: text.to_owned(), id: id.context("an event's format has no ID")? })
    }

    /// Where the field of that name lies.
    pub(crate) fn field(&self, name: &str) -> anyhow::Result<Field> {
        let field = self.text.lines().find_map(|line| {
            let mut parts = line.trim().strip_prefix("field:")?.split(';').map(str::trim);
            // `unsigned long args[6]`, but also `__data_loc char[] name`.
            let declared = parts.next()?.split([' ', '*']).next_back()?;
            if declared.split('[').next()? != name {
                return None;
            }
            let mut field = Field { offset: usize::MAX, size: 0, signed: false };
            for (key, value) in parts.filter_map(|part| part.split_once(':')) {
                match key {
                    "offset" => field.offset = value.parse().ok()?,
                    "size" => field.size = value.parse().ok()?,
                    "signed" => field.signed = value == "1",
                    _ => {}
                }
            }
            Some(field)
        });
        let field = field.with_context(|| format!("event {} has no field {name}", self.id))?;
        ensure!(field.offset < 4096 && field.size <= 4096, "event {} has a strange field {name}", self.id);
        Ok(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page written by hand.
    struct Page(Vec<u8>);

    impl Page {
        fn at(time: u64) -> Page {
            Page([time.to_ne_bytes(), [0; 8]].concat())
        }

        fn entry(mut self, kind: u32, delta: u32, words: &[u32]) -> Page {
            self.0.extend((kind | delta << 5).to_ne_bytes());
            words.iter().for_each(|word| self.0.extend(word.to_ne_bytes()));
            self
        }

        fn close(mut self, flags: u64, tail: &[u8]) -> Vec<u8> {
            let commit = (self.0.len() - PAGE_HEADER_LEN) as u64 | flags;
            self.0[8..16].copy_from_slice(&commit.to_ne_bytes());
            self.0.extend(tail);
            self.0.resize(4096, 0);
            self.0
        }
    }

    fn read(page: &[u8]) -> (Vec<(u64, usize, u8)>, u64) {
        let mut events = Vec::new();
        let lost = read_page(page, |time, data| events.push((time, data.len(), data[0])));
        (events, lost)
    }

    #[test]
    fn events_of_every_kind_of_entry() {
        let page = Page::at(1000)
            .entry(2, 5, &[7, 0])
            .entry(TYPE_TIME_EXTEND, 1, &[2])
            .entry(1, 4, &[8])
            .entry(TYPE_PADDING, 3, &[8, 0])
            .entry(0, 1, &[12, 9, 0])
            .entry(TYPE_TIME_STAMP, 77, &[0])
            .entry(1, 1, &[10])
            .close(0, &[]);
        let extended = 1005 + (2 << 27) + 1 + 4;
        assert_eq!(read(&page), (vec![(1005, 8, 7), (extended, 4, 8), (extended + 4, 8, 9), (78, 4, 10)], 0));
    }

    #[test]
    fn losses_are_told() {
        assert_eq!(read(&Page::at(1).entry(1, 1, &[1]).close(MISSED_EVENTS, &[])), (vec![(2, 4, 1)], 1));
        let counted = Page::at(1).entry(1, 1, &[1]).close(MISSED_EVENTS | MISSED_COUNT_FOLLOWS, &55u64.to_ne_bytes());
        assert_eq!(read(&counted), (vec![(2, 4, 1)], 55));
    }

    #[test]
    fn an_empty_rest_ends_the_page_and_broken_ones_do_no_harm() {
        let page = Page::at(1).entry(1, 1, &[1]).entry(TYPE_PADDING, 0, &[]).entry(1, 1, &[2]).close(0, &[]);
        assert_eq!(read(&page).0.len(), 1);
        assert_eq!(read(&[]).0.len(), 0);
        assert_eq!(read(&Page::at(1).entry(0, 1, &[0]).close(0, &[])).0.len(), 0);
        assert_eq!(read(&Page::at(1).entry(0, 1, &[u32::MAX]).close(0, &[])).0.len(), 0);
        assert_eq!(read(&Page::at(1).entry(28, 1, &[]).close(0, &[])[..20]).0.len(), 0);
    }

    const FORMAT: &str = "name: io_uring_submit_req\nID: 1234\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
        \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
        \tfield:void * ctx;\toffset:8;\tsize:8;\tsigned:0;\n\
        \tfield:u8 opcode;\toffset:16;\tsize:1;\tsigned:0;\n\
        \tfield:__data_loc char[] op_str;\toffset:20;\tsize:4;\tsigned:0;\n\
        \tfield:unsigned long args[6];\toffset:24;\tsize:48;\tsigned:0;\n\nprint fmt: \"x\"\n";

    #[test]
    fn fields_are_where_the_format_says() {
        let format = Format::parse(FORMAT).unwrap();
        assert_eq!(format.id, 1234);
        let mut data = vec![0; 24];
        data[4..8].copy_from_slice(&(-2i32).to_ne_bytes());
        data[16] = 26;
        data[20..24].copy_from_slice(&(24u32 | 5 << 16).to_ne_bytes());
        data.extend(b"SEND\0");
        assert_eq!(format.field("common_pid").unwrap().number(&data), Some(-2));
        assert_eq!(format.field("opcode").unwrap().number(&data), Some(26));
        assert_eq!(format.field("op_str").unwrap().text(&data).as_deref(), Some("SEND"));
        assert_eq!(format.field("ctx").unwrap().offset, 8);
        assert_eq!(format.field("args").unwrap(), Field { offset: 24, size: 48, signed: false });
        assert_eq!(format.field("args").unwrap().number(&data), None);
        assert!(format.field("pid").is_err() && Format::parse("").is_err());
    }
}
