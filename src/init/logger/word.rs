//! What the child that writes tells init, over the line between them: a kind, a source, a length, then so many bytes.

use std::{os::fd::AsFd, time::Duration};

use liege_plan::Notice;
use liege_sys::{escape::breaks_a_line, stream};

use super::pen::Missing;

/// Bytes of a text: enough for a sentence, and all sources together fit into the socket.
const LONGEST: usize = 240;

const HEAD: usize = 3;

/// By their numbers.
const NOTICES: [Notice; 5] = [Notice::NoApp, Notice::NoPlugin, Notice::AddressInUse, Notice::WorkerDied, Notice::Harakiri];

/// One word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// The log cannot be written.
    Refused(i32),
    /// The last line of a source that tells something, and how long ago it came, in milliseconds; told at the end.
    Last {
        /// Its place in the list.
        source: u8,
        ago: Duration,
        text: String,
    },
    /// A line of the app that says more than that it runs.
    Noticed(Notice, String),
    /// So much could not be written, told at the end: the successor tells it to the log.
    Lost(Missing),
}

impl Word {
    /// Says it, if there is room.
    pub(super) fn say(&self, line: &impl AsFd) {
        let (kind, source, text) = match self {
            Self::Refused(errno) => (0, 0, errno.to_ne_bytes().to_vec()),
            Self::Last { source, ago, text } => {
                let ago = u32::try_from(ago.as_millis()).unwrap_or(u32::MAX);
                (1, *source, [&ago.to_ne_bytes(), text.as_bytes()].concat())
            }
            Self::Noticed(notice, text) => {
                let notice = NOTICES.iter().position(|other| other == notice).and_then(|at| u8::try_from(at).ok());
                (2, notice.unwrap_or_default(), text.clone().into_bytes())
            }
            Self::Lost(Missing { lines, bytes }) => (3, 0, [lines.to_ne_bytes(), bytes.to_ne_bytes()].concat()),
        };
        let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
        let bytes = [&[kind, source, length][..], &text[..length.into()]].concat();
        stream::write(line, &bytes);
    }

    /// Takes the first whole word off what was read.
    pub(crate) fn take(read: &mut Vec<u8>) -> Option<Self> {
        let &[kind, source, length, ..] = &read[..] else { return None };
        let end = HEAD + usize::from(length);
        let text = read.get(HEAD..end)?.to_vec();
        read.drain(..end);
        match kind {
            0 => Some(Self::Refused(i32::from_ne_bytes(text.try_into().ok()?))),
            1 => {
                let (ago, text) = text.split_first_chunk()?;
                let ago = Duration::from_millis(u32::from_ne_bytes(*ago).into());
                Some(Self::Last { source, ago, text: String::from_utf8_lossy(text).into_owned() })
            }
            3 => {
                let (lines, bytes) = text.split_first_chunk()?;
                let bytes = u64::from_ne_bytes(bytes.try_into().ok()?);
                Some(Self::Lost(Missing { lines: u64::from_ne_bytes(*lines), bytes }))
            }
            _ => Some(Self::Noticed(*NOTICES.get(usize::from(source))?, String::from_utf8_lossy(&text).into_owned())),
        }
    }
}

/// A line as it can be quoted: one line, no longer than a sentence, and nothing in it that a terminal obeys. None: it is blank.
/// What is shown in its place begins with a backslash, so one of the line's own is doubled. [`liege_plan::in_quotes`] does the rest.
pub(super) fn quoted(line: &[u8]) -> Option<String> {
    let front = &line[..line.len().min(LONGEST)];
    let text = String::from_utf8_lossy(front);
    let mut quoted = String::new();
    for c in text.trim().chars() {
        let is_odd = breaks_a_line(c) && c != '\t' || c == '\\';
        let shown = if is_odd { c.escape_default().to_string() } else { c.to_string() };
        if quoted.len() + shown.len() > LONGEST {
            break;
        }
        quoted.push_str(&shown);
    }
    (!quoted.is_empty()).then_some(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_quoted_without_what_a_terminal_obeys() {
        assert_eq!(quoted(b"  fuse: bad mount point\r"), Some("fuse: bad mount point".to_owned()));
        assert_eq!(quoted("a\x1b[2Jb\u{202e}".as_bytes()), Some("a\\u{1b}[2Jb\\u{202e}".to_owned()));
        assert_eq!(quoted(br"C:\u{1b}"), Some(r"C:\\u{1b}".to_owned()));
        assert_eq!((quoted(b" \t"), quoted(b"")), (None, None));
        assert!(quoted(&[b'x'; 10_000]).is_some_and(|text| text.len() <= LONGEST));
        assert!(quoted(&[0; 10_000]).is_some_and(|text| text.len() <= LONGEST));
    }

    #[test]
    fn words_come_in_any_pieces() {
        let (ours, theirs) = liege_sys::fds::socketpair().unwrap();
        let last = Word::Last { source: 3, ago: Duration::from_millis(70), text: "no such file".into() };
        let lost = Word::Lost(Missing { lines: 3, bytes: 1 << 40 });
        let words = [Word::Refused(28), last, lost, Word::Noticed(Notice::AddressInUse, ":80".into())];
        words.iter().for_each(|word| word.say(&theirs));
        drop(theirs);
        let (mut read, mut byte, mut heard) = (Vec::new(), [0], Vec::new());
        while let stream::Read::Bytes(_) = stream::read(&ours, &mut byte) {
            read.push(byte[0]);
            heard.extend(Word::take(&mut read));
        }
        assert_eq!(heard, words);
    }
}
