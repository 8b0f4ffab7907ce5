//! Bytes to lines, each source for itself.

use std::time::Instant;

/// A longer line is written in pieces: memory is bounded, and so is what one write can be.
const LONGEST: usize = 16 << 10;

/// The line that was begun.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
    /// Since when.
    since: Option<Instant>,
    /// A piece of it was written already.
    goes_on: bool,
}

impl Lines {
    /// Gives on the lines that end in these bytes, without their ends; true for what continues the piece before.
    pub(super) fn take(&mut self, bytes: &[u8], mut give: impl FnMut(&[u8], bool)) {
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            match part.split_last() {
                Some((b'\n', rest)) => {
                    self.add(rest, &mut give);
                    // Of a long line whose pieces ended just here nothing is left.
                    if !(self.begun.is_empty() && self.goes_on) {
                        give(self.begun.strip_suffix(b"\r").unwrap_or(&self.begun), self.goes_on);
                    }
                    self.begun.clear();
                    (self.goes_on, self.since) = (false, None);
                }
                _ => self.add(part, &mut give),
            }
        }
        self.since = (!self.begun.is_empty()).then(|| self.since.unwrap_or_else(Instant::now));
    }

    fn add(&mut self, mut rest: &[u8], give: &mut impl FnMut(&[u8], bool)) {
        while self.begun.len() + rest.len() >= LONGEST {
            let (piece, more) = rest.split_at(LONGEST - self.begun.len());
            self.begun.extend_from_slice(piece);
            give(&self.begun, self.goes_on);
            self.begun.clear();
            self.goes_on = true;
            rest = more;
        }
        self.begun.extend_from_slice(rest);
    }

    /// Gives on what was begun, as it is.
    pub(super) fn finish(&mut self, mut give: impl FnMut(&[u8], bool)) {
        if self.since.take().is_some() {
            give(&self.begun, self.goes_on);
            self.begun = Vec::new();
            self.goes_on = true; // what comes after it is no line of its own
        }
    }

    /// Since when there is a line that was begun and not ended.
    pub(super) fn begun_at(&self) -> Option<Instant> {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[&[u8]]) -> Vec<(String, bool)> {
        let mut lines = Lines::default();
        let mut told = Vec::new();
        let mut give = |line: &[u8], goes_on: bool| told.push((String::from_utf8_lossy(line).into_owned(), goes_on));
        pieces.iter().for_each(|piece| lines.take(piece, &mut give));
        lines.finish(&mut give);
        told
    }

    #[test]
    fn a_line_is_one_however_it_comes() {
        let line = |text: &str| (text.to_owned(), false);
        assert_eq!(told(&[b"a\nb", b"c\r\n\nd"]), [line("a"), line("bc"), line(""), line("d")]);
        assert_eq!(told(&[]), []);
    }

    #[test]
    fn a_long_line_comes_in_pieces_that_say_so() {
        let long = vec![b'x'; 2 * LONGEST + 5];
        let told_of = told(&[&long[..], b"\nshort\n"]);
        assert_eq!(
            told_of.iter().map(|(text, goes_on)| (text.len(), *goes_on)).collect::<Vec<_>>(),
            [(LONGEST, false), (LONGEST, true), (5, true), (5, false)]
        );
        let exact = [vec![b'x'; LONGEST], b"\n".to_vec()].concat();
        assert_eq!(told(&[&exact]).len(), 1, "no empty piece after it");
    }
}
