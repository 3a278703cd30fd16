//! Replies and pushes cut out of what a client hears. Nothing here comes from the server's code.

/// Something that the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Status(Vec<u8>),
    Error(Vec<u8>),
    Integer(i64),
    /// Text of any kind.
    Bulk(Vec<u8>),
    Nil,
    Array(Vec<Frame>),
    Push(Vec<Frame>),
    Map(Vec<Frame>),
}

impl Frame {
    /// Its parts, where it has any.
    pub(super) fn parts(&self) -> &[Frame] {
        match self {
            Frame::Array(parts) | Frame::Push(parts) | Frame::Map(parts) => parts,
            _ => &[],
        }
    }

    /// Its text, where it is one.
    pub(super) fn text(&self) -> Option<&[u8]> {
        match self {
            Frame::Bulk(text) => Some(text),
            _ => None,
        }
    }
}

/// The first frame and how long it is; none while it is not whole.
pub(super) fn first(bytes: &[u8]) -> Option<(Frame, usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let line = &bytes[1..end];
    let behind = end + 2;
    let number = || -> i64 {
        let text = std::str::from_utf8(line).ok().and_then(|text| text.parse().ok());
        text.unwrap_or_else(|| panic!("no number: {}", bytes[..end].escape_ascii()))
    };
    let frame = match bytes[0] {
        b'+' => Frame::Status(line.to_vec()),
        b'-' => Frame::Error(line.to_vec()),
        b':' => Frame::Integer(number()),
        b'_' => Frame::Nil,
        b'$' | b'*' if number() < 0 => Frame::Nil,
        b'$' | b'=' => {
            let len = usize::try_from(number()).unwrap();
            let text = bytes.get(behind..behind + len + 2)?;
            assert!(text.ends_with(b"\r\n"), "no line end behind a text");
            return Some((Frame::Bulk(text[..len].to_vec()), behind + len + 2));
        }
        kind @ (b'*' | b'>' | b'%') => {
            let count = usize::try_from(number()).unwrap() * if kind == b'%' { 2 } else { 1 };
            let (mut parts, mut at) = (Vec::new(), behind);
            for _ in 0..count {
                let (part, len) = first(&bytes[at..])?;
                assert!(!matches!(part, Frame::Push(_)), "a push inside of something else");
                parts.push(part);
                at += len;
            }
            let frame = match kind {
                b'*' => Frame::Array(parts),
                b'>' => Frame::Push(parts),
                _ => Frame::Map(parts),
            };
            return Some((frame, at));
        }
        _ => panic!("no frame: {}", bytes[..bytes.len().min(80)].escape_ascii()),
    };
    Some((frame, behind))
}
