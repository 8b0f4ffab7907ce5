//! Bytes to pairs: the lines of a file as uWSGI cuts them, read by rust-ini, with their places.
//!
//! uWSGI's rules (its `ini.c`): a line ends at `\n` only; blanks, tabs and carriage returns are trimmed at both ends; a first
//! character `;` or `#` makes a comment, `[` a section whose name is all that follows *minus the last character, whatever it
//! is*; everything else is a pair, cut at the first `=`, its value empty where there is none. No quoting, no continuation, no
//! comments at the end of a line. A zero byte ends a line early. A sign counts only where it is no data ([`Text`]).
//!
//! Each line is written anew in a form rust-ini cannot misread ([`armor`]), the line's number in front of its key: that
//! keeps duplicates apart and leads back to the place.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use ini::{Ini, ParseOption};

use crate::Code;
use crate::armor;
use crate::budget::{Budget, OPTIONS};
use crate::magic::Substituted;
use crate::offsets::Offsets;
use crate::place::Place;
use crate::text::Text;

/// One pair of a file.
#[derive(Debug)]
pub(crate) struct Line {
    /// Name of the section it stands in; None before the first one.
    pub(crate) section: Option<Vec<u8>>,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Text,
    pub(crate) place: Arc<Place>,
}

/// A file cut into lines.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// All pairs, in the order of the file.
    pub(crate) pairs: Vec<Line>,
    /// All section headers: the name and where it stands.
    pub(crate) headers: Vec<(Vec<u8>, Place)>,
    /// The line that was one too many.
    pub(crate) ended_at: Option<Place>,
}

/// Reads a text. `original` is the file as it is, for columns and the lines shown in messages. A text of more lines than a
/// configuration may have ends the budget.
pub(crate) fn read(original: &[u8], file: &str, text: &Substituted, budget: &Budget<'_>) -> Lines {
    let map = Map::new(original, file);
    let mut neutral = String::new();
    let mut places = Vec::new();
    let mut headers = Vec::new();
    let mut start = 0;
    let all = text.text.bytes();
    while start <= all.len() {
        let next = text.text.find(start..all.len(), b'\n').unwrap_or(all.len());
        let piece = &all[start..next];
        let end = piece.iter().position(|byte| *byte == 0).unwrap_or(piece.len());
        let (lead, line) = trimmed(&piece[..end]);
        let begin = start + lead;
        let at = Span { offsets: &text.from, range: begin..begin + line.len() };
        start = next + 1;
        // Data at the front makes neither a remark nor a section.
        let first = line.first().map(|first| if text.text.parts(begin, *first) { *first } else { b'-' });
        if !matches!(first, None | Some(b';' | b'#')) && places.len() + headers.len() == OPTIONS {
            budget.end(Code::TooMuch, format!("more than {OPTIONS} lines"));
            return Lines { ended_at: Some(map.place(&at, 0..0, 0..0, b"")), ..Lines::default() };
        }
        match first {
            None | Some(b';' | b'#') => {}
            Some(b'[') => {
                // `[` alone has no last character to lose: uWSGI then cuts off the bracket itself.
                let name = &line[1..line.len().max(2) - 1];
                neutral.push_str(&format!("[{}]\n", armor::put_on(name)));
                headers.push((name.to_vec(), map.place(&at, 0..line.len(), 0..0, name)));
            }
            Some(_) => {
                let equal = text.text.find(at.range.clone(), b'=').map_or(line.len(), |equal| equal - begin);
                let (_, key) = trimmed(&line[..equal]);
                let rest = line.get(equal + 1..).unwrap_or_default();
                let (blanks, value) = trimmed(rest);
                let value_at = (equal + 1 + blanks).min(line.len());
                neutral.push_str(&format!("{} {}={}\n", places.len(), armor::put_on(key), armor::put_on(value)));
                let place = map.place(&at, 0..key.len(), value_at..value_at + value.len(), key);
                places.push((place, begin + value_at..begin + value_at + value.len()));
            }
        }
    }
    Lines { pairs: read_neutral(neutral, places, &text.text), headers, ended_at: None }
}

/// Lets rust-ini read the neutral text and puts its pairs back in order, each with its place and the marks of its value.
fn read_neutral(neutral: String, places: Vec<(Place, Range<usize>)>, text: &Text) -> Vec<Line> {
    let options = ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
    // Armor leaves it nothing to stumble over; a text it refuses all the same yields no pairs, which the reader reports.
    let ini = Ini::load_from_str_opt(&neutral, options).unwrap_or_default();
    drop(neutral);
    let mut places: Vec<Option<(Place, Range<usize>)>> = places.into_iter().map(Some).collect();
    let mut pairs = Vec::new();
    for (section, properties) in ini {
        for (tagged, _) in properties {
            let (number, key) = tagged.split_once(' ').unwrap_or((&*tagged, ""));
            let Ok(number) = number.parse::<usize>() else { continue };
            let Some((place, value_at)) = places.get_mut(number).and_then(Option::take) else { continue };
            let line = Line {
                section: section.as_deref().map(armor::take_off),
                key: armor::take_off(key),
                value: text.slice(value_at),
                place: Arc::new(place),
            };
            pairs.push((number, line));
        }
    }
    pairs.sort_by_key(|(number, _)| *number);
    pairs.into_iter().map(|(_, line)| line).collect()
}

/// A line of a substituted text.
struct Span<'a> {
    offsets: &'a Offsets,
    /// Its bytes in that text.
    range: Range<usize>,
}

impl Span<'_> {
    /// Where in the file one byte of the line came from; None: the line is not that long.
    fn offset(&self, index: usize) -> Option<usize> {
        if index < self.range.len() { self.offsets.get(self.range.start + index) } else { None }
    }
}

/// How many bytes were trimmed at the front, and what is left.
fn trimmed(bytes: &[u8]) -> (usize, &[u8]) {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
    let lead = bytes.iter().take_while(|byte| blank(byte)).count();
    let rest = &bytes[lead..];
    let tail = rest.iter().rev().take_while(|byte| blank(byte)).count();
    (lead, &rest[..rest.len() - tail])
}

fn line_starts(text: &[u8]) -> Vec<usize> {
    std::iter::once(0).chain(text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1)).collect()
}

/// So much of a line is shown, and looked through for columns.
const SHOWN: usize = 1024;

/// The way back from an offset to line and column.
pub(crate) struct Map<'a> {
    original: &'a [u8],
    starts: Vec<usize>,
    file: Arc<str>,
    /// The line asked for last and its text: one line of the file may become many.
    last: RefCell<(u32, Arc<str>)>,
}

impl<'a> Map<'a> {
    pub(crate) fn new(original: &'a [u8], file: &str) -> Self {
        Self { original, starts: line_starts(original), file: file.into(), last: RefCell::default() }
    }

    /// Line from 1, and where in the file it starts and ends: of an endless line the part that is shown.
    fn line_of(&self, offset: usize) -> (u32, usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let start = self.starts[line];
        let end = self.starts.get(line + 1).map_or(self.original.len(), |next| next - 1);
        let end = if end > start && self.original[end - 1] == b'\r' { end - 1 } else { end };
        let end = end.min(start + SHOWN);
        (u32::try_from(line + 1).unwrap_or(u32::MAX), start, end)
    }

    fn text_of(&self, line: u32, start: usize, end: usize) -> Arc<str> {
        let mut last = self.last.borrow_mut();
        if last.0 != line {
            *last = (line, String::from_utf8_lossy(&self.original[start..end]).into());
        }
        Arc::clone(&last.1)
    }

    /// The place of a span of the file.
    pub(crate) fn span(&self, from: usize, to: usize, name: &str) -> Place {
        let (line, start, end) = self.line_of(from);
        let from = from.clamp(start, end);
        let span = (1 + chars(&self.original[start..from]), chars(&self.original[from..to.clamp(from, end)]));
        let text = self.text_of(line, start, end);
        Place { file: Arc::clone(&self.file), line, text, key: span, value: span, name: name.into() }
    }

    /// The place of a pair: `at` is its line, `key` and `value` are ranges in that line.
    fn place(&self, at: &Span<'_>, key: Range<usize>, value: Range<usize>, name: &[u8]) -> Place {
        let last = at.range.len().checked_sub(1).and_then(|last| at.offset(last)).unwrap_or(0);
        let offset = |index: usize| at.offset(index).unwrap_or(last + 1);
        let (line, start, end) = self.line_of(offset(0));
        let span = |range: Range<usize>| {
            let left = offset(range.start).clamp(start, end);
            let right = if range.is_empty() { left } else { (offset(range.end - 1) + 1).clamp(left, end) };
            (1 + chars(&self.original[start..left]), chars(&self.original[left..right]))
        };
        let value = if value.is_empty() { (span(key.clone()).0 + span(key.clone()).1, 1) } else { span(value) };
        Place {
            file: Arc::clone(&self.file),
            line,
            text: self.text_of(line, start, end),
            key: span(key),
            value,
            name: String::from_utf8_lossy(name).into(),
        }
    }
}

fn chars(bytes: &[u8]) -> u32 {
    u32::try_from(String::from_utf8_lossy(bytes).chars().count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TableLookup;
    use crate::text::Mark;

    fn pairs(text: &str) -> Vec<(String, String, String)> {
        let raw = Substituted { text: Text::new(text, Mark::ROOTS), from: Offsets::of_file(text.len()), eaten: Vec::new() };
        let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let lines = read(text.as_bytes(), "a.ini", &raw, &Budget::new(&TableLookup::default()));
        lines.pairs.iter().map(|l| (show(l.section.as_deref().unwrap_or(b"-")), show(&l.key), show(l.value.bytes()))).collect()
    }

    #[test]
    fn one_line_each() {
        for (text, key, value) in [
            ("a = b", "a", "b"),
            ("  a\t=\tb c \r", "a", "b c"),
            ("a", "a", ""),
            ("a =", "a", ""),
            ("= b", "", "b"),
            ("a:b = c:d", "a:b", "c:d"),
            ("a = b ; c # d", "a", "b ; c # d"),
            ("a = \"b\" 'c'", "a", "\"b\" 'c'"),
            ("a = b\\", "a", "b\\"),
            ("a = \\n\\x41", "a", "\\n\\x41"),
            ("a == b", "a", "= b"),
            ("a]b = [c]", "a]b", "[c]"),
            ("a\u{b}= \u{a0}b\u{c}", "a\u{b}", "\u{a0}b\u{c}"),
            ("a\rb = c\rd", "a\rb", "c\rd"),
            ("a = b\0c", "a", "b"),
            ("ключ = значение", "ключ", "значение"),
        ] {
            let text = format!("[uwsgi]\n{text}\nlast = 1");
            let found = pairs(&text);
            assert_eq!(found.len(), 2, "{text:?}: {found:?}");
            assert_eq!((found[0].1.as_str(), found[0].2.as_str()), (key, value), "{text:?}");
        }
    }

    #[test]
    fn sections_and_order() {
        let found =
            pairs("z=0\n[a]\nx=1\nx=2\n[b]\ny=3\n[a]\nx=4\n y=5\n[a] ; no\nx=6\n[\nx=7\n[]\nx=8\n[ a ]\nx=9\n[a]b]\nx=10");
        let shown: Vec<String> = found.iter().map(|(s, k, v)| format!("{s}.{k}={v}")).collect();
        let meant = ["-.z=0", "a.x=1", "a.x=2", "b.y=3", "a.x=4", "a.y=5", "a] ; n.x=6", ".x=7", ".x=8", " a .x=9", "a]b.x=10"];
        assert_eq!(shown, meant);
    }

    #[test]
    fn places_are_those_of_the_file() {
        let text = "[uwsgi]\n\tключ  =  é x\nbare\n";
        let raw = Substituted { text: Text::new(text, Mark::ROOTS), from: Offsets::of_file(text.len()), eaten: Vec::new() };
        let lines = read(text.as_bytes(), "a.ini", &raw, &Budget::new(&TableLookup::default()));
        let place = &lines.pairs[0].place;
        assert_eq!((place.line, place.key, place.value), (2, (2, 4), (11, 3)));
        assert_eq!(&*place.text, "\tключ  =  é x");
        assert_eq!((lines.pairs[1].place.line, lines.pairs[1].place.key), (3, (1, 4)));
    }
}
