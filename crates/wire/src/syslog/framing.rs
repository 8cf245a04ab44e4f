//! Messages in a byte stream (RFC 6587): `LENGTH SP MESSAGE`, or a line each; every message may
//! choose.

/// Longest length prefix: more digits are no length.
const LENGTH_DIGITS_MAX: usize = 8;

/// Takes bytes as they come and gives messages back.
///
/// Bound: it holds at most one message of `message_bytes_max`; a longer one is cut, its rest skipped
/// and counted in [`Framer::cut_count`].
#[derive(Debug)]
pub struct Framer {
    buffer: Vec<u8>,
    message_bytes_max: usize,
    state: State,
    cut_count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the beginning of a message.
    Start,
    /// So many bytes of a counted message are to come.
    Counted(usize),
    /// Inside a line.
    Line,
    /// So many bytes are to be skipped.
    SkipCounted(usize),
    /// Up to the next line break everything is skipped.
    SkipLine,
}

impl Framer {
    /// A framer for one connection.
    pub fn new(message_bytes_max: usize) -> Self {
        Framer { buffer: Vec::new(), message_bytes_max, state: State::Start, cut_count: 0 }
    }

    /// Messages that were longer than allowed.
    pub fn cut_count(&self) -> u64 {
        self.cut_count
    }

    /// Hands bytes over; `take` gets each message that they complete.
    pub fn push(&mut self, mut bytes: &[u8], mut take: impl FnMut(&[u8])) {
        while let Some(&first) = bytes.first() {
            match self.state {
                State::Start if self.buffer.is_empty() && matches!(first, b'\n' | b'\r' | b'\0') => {
                    bytes = &bytes[1..];
                }
                State::Start => bytes = self.start(bytes),
                State::Counted(left) => bytes = self.counted(left, bytes, &mut take),
                State::Line => bytes = self.line(bytes, &mut take),
                State::SkipCounted(left) => {
                    let skipped = left.min(bytes.len());
                    bytes = &bytes[skipped..];
                    self.state =
                        if skipped == left { State::Start } else { State::SkipCounted(left - skipped) };
                }
                State::SkipLine => match memchr::memchr(b'\n', bytes) {
                    Some(at) => {
                        bytes = &bytes[at + 1..];
                        self.state = State::Start;
                    }
                    None => return,
                },
            }
        }
    }

    /// The connection has ended; a last line needs no line break.
    pub fn finish(&mut self, mut take: impl FnMut(&[u8])) {
        if !self.buffer.is_empty() {
            take(&self.buffer);
            self.buffer.clear();
        }
        self.state = State::Start;
    }

    /// Collects digits until it is clear whether they are a length.
    fn start<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let byte = bytes[0];
        if byte == b' ' && !self.buffer.is_empty() {
            let digits = std::str::from_utf8(&self.buffer).unwrap_or("");
            if let Ok(length) = digits.parse::<usize>() {
                self.buffer.clear();
                self.state = if length == 0 { State::Start } else { State::Counted(length) };
                return &bytes[1..];
            }
        }
        if byte.is_ascii_digit() && self.buffer.len() < LENGTH_DIGITS_MAX {
            self.buffer.push(byte);
            return &bytes[1..];
        }
        self.state = State::Line;
        bytes
    }

    fn counted<'b>(&mut self, left: usize, bytes: &'b [u8], take: &mut impl FnMut(&[u8])) -> &'b [u8] {
        let room = self.message_bytes_max - self.buffer.len();
        let count = left.min(bytes.len()).min(room);
        self.buffer.extend_from_slice(&bytes[..count]);
        let left = left - count;
        if left == 0 {
            self.yield_message(take, State::Start);
        } else if self.buffer.len() == self.message_bytes_max {
            self.cut_count += 1;
            self.yield_message(take, State::SkipCounted(left));
        } else {
            self.state = State::Counted(left);
        }
        &bytes[count..]
    }

    fn line<'b>(&mut self, bytes: &'b [u8], take: &mut impl FnMut(&[u8])) -> &'b [u8] {
        let room = self.message_bytes_max - self.buffer.len();
        let end = memchr::memchr(b'\n', bytes);
        let length = end.unwrap_or(bytes.len());
        if length > room {
            self.buffer.extend_from_slice(&bytes[..room]);
            self.cut_count += 1;
            self.yield_message(take, State::SkipLine);
            return &bytes[room..];
        }
        self.buffer.extend_from_slice(&bytes[..length]);
        match end {
            Some(end) => {
                self.yield_message(take, State::Start);
                &bytes[end + 1..]
            }
            None => &[],
        }
    }

    fn yield_message(&mut self, take: &mut impl FnMut(&[u8]), next: State) {
        if !self.buffer.is_empty() {
            take(&self.buffer);
        }
        self.buffer.clear();
        self.state = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(stream: &[u8], pieces: usize, max: usize) -> (Vec<String>, u64) {
        let mut framer = Framer::new(max);
        let mut found = Vec::new();
        let mut take = |message: &[u8]| found.push(String::from_utf8_lossy(message).into_owned());
        stream.chunks(pieces.max(1)).for_each(|piece| framer.push(piece, &mut take));
        framer.finish(&mut take);
        (found, framer.cut_count())
    }

    #[test]
    fn both_kinds_of_frames_in_any_pieces() {
        let stream = b"<1>line one\n11 <2>two\nhalf<3>line\r\n\n0 5 <4>xy<5>last";
        for pieces in 1..stream.len() {
            let (found, cut) = frames(stream, pieces, 1000);
            assert_eq!(found, ["<1>line one", "<2>two\nhalf", "<3>line\r", "<4>xy", "<5>last"], "{pieces}");
            assert_eq!(cut, 0);
        }
    }

    #[test]
    fn long_messages_are_cut_and_the_next_one_is_whole() {
        for pieces in 1..30 {
            let (found, cut) = frames(b"<1>0123456789\n<2>b\n20 <3>abcdefghijklmnopq5 <4>ok", pieces, 8);
            assert_eq!(found, ["<1>01234", "<2>b", "<3>abcde", "<4>ok"], "{pieces}");
            assert_eq!(cut, 2);
        }
    }

    #[test]
    fn digits_that_are_no_length_are_text() {
        assert_eq!(frames(b"12345678901 x\n42\n", 3, 100).0, ["12345678901 x", "42"]);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(stream in "([0-9]{1,3} |<|>|[a-z]|\n){0,60}", pieces in 1usize..20, max in 8usize..40) {
            prop_assert_eq!(frames(stream.as_bytes(), pieces, max), frames(stream.as_bytes(), stream.len(), max));
        }
    }
}
