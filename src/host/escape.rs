//! What must not reach a terminal or a pager as it is, because it moves, hides or turns around what stands beside it.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use liege_sys::escape::is_obeyed;
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

/// How a character is written instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum As {
    /// `\u202e`, which means the same within a JSON text.
    Json,
    /// `\u{202e}`
    Text,
}

/// Escapes what a formatter has left in its lines: all it obeys but the ends of lines.
#[derive(Clone, Debug)]
pub(crate) struct Escaping<W>(pub(crate) As, pub(crate) W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Escaping<W> {
    type Writer = Escaping<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Escaping(self.0, self.1.make_writer())
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Self::Writer {
        Escaping(self.0, self.1.make_writer_for(metadata))
    }
}

impl<W: Write> Write for Escaping<W> {
    /// Each call is one message.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.write_all(escaped(self.0, bytes).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flush()
    }
}

fn escaped(how: As, bytes: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    let is_left = |c: char| is_obeyed(c) && c != '\n';
    if !text.contains(is_left) {
        return text;
    }
    let write = |c: char| match how {
        _ if !is_left(c) => c.to_string(),
        As::Json => format!("\\u{:04x}", u32::from(c)), // all of them have four digits
        As::Text => c.escape_unicode().to_string(),
    };
    text.chars().map(write).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_obeyed_is_escaped_and_means_the_same_in_json() {
        let odd = "a\u{85}b\u{202e}c\u{2028}d\u{feff}e\u{e9}";
        assert_eq!(escaped(As::Text, odd.as_bytes()), "a\\u{85}b\\u{202e}c\\u{2028}d\\u{feff}e\u{e9}");
        let json = format!("{}\n", serde_json::to_string(odd).unwrap());
        let written = escaped(As::Json, json.as_bytes()).into_owned();
        assert!(!written.contains(|c| is_obeyed(c) && c != '\n'));
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), odd);
        assert!(matches!(escaped(As::Json, b"plain\n"), Cow::Borrowed("plain\n")));
    }
}
