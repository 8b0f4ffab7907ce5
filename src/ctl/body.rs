//! The body of an answer: as long as its head says, in chunks, or up to the end of the connection.
//!
//! A body that is cut off is an error, never an end: whoever reads half a log has to hear of it.

use std::io::{self, BufRead, BufReader, Read};

/// What is left of it.
#[derive(Debug)]
pub(crate) struct Body<R> {
    reader: BufReader<R>,
    left: Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// So many bytes, then nothing.
    Bytes(u64),
    /// So many of this chunk, then its end and further ones.
    Chunk(u64),
    /// The length of the first one is what comes.
    FirstChunk,
    /// Whatever comes.
    All,
}

impl<R: Read> Body<R> {
    /// What follows this head: its lines without the first.
    pub(crate) fn after(head: &str, reader: BufReader<R>) -> io::Result<Self> {
        let field = |wanted: &str| {
            let fields = head.lines().filter_map(|line| line.split_once(':'));
            fields.filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim()).next_back()
        };
        let left = match (field("transfer-encoding"), field("content-length")) {
            (Some(coding), _) if coding.eq_ignore_ascii_case("chunked") => Left::FirstChunk,
            (Some(_), _) => return Err(invalid()),
            (None, Some(length)) => Left::Bytes(length.parse().map_err(|_| invalid())?),
            (None, None) => Left::All,
        };
        Ok(Self { reader, left })
    }

    /// The length of the next chunk; the last one is empty, and nothing of interest follows it.
    fn next_chunk(&mut self) -> io::Result<u64> {
        let line = self.line()?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length = u64::from_str_radix(digits, 16).map_err(|_| invalid())?;
        if length == 0 {
            while !self.line()?.is_empty() {}
        }
        Ok(length)
    }

    fn line(&mut self) -> io::Result<String> {
        const LONGEST: u64 = 4096;
        let mut line = String::new();
        self.reader.by_ref().take(LONGEST).read_line(&mut line)?;
        line.strip_suffix('\n').map(|line| line.trim_end_matches('\r').to_owned()).ok_or_else(breaks_off)
    }
}

impl<R: Read> BufRead for Body<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == Left::Chunk(0) && !self.line()?.is_empty() {
            return Err(invalid());
        }
        if matches!(self.left, Left::FirstChunk | Left::Chunk(0)) {
            self.left = match self.next_chunk()? {
                0 => Left::Bytes(0),
                length => Left::Chunk(length),
            };
        }
        let (left, may_end) = match self.left {
            Left::Bytes(0) => return Ok(&[]),
            Left::Bytes(left) | Left::Chunk(left) => (left, false),
            Left::FirstChunk | Left::All => (u64::MAX, true),
        };
        let bytes = self.reader.fill_buf()?;
        if bytes.is_empty() && !may_end {
            return Err(breaks_off());
        }
        Ok(&bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))])
    }

    fn consume(&mut self, count: usize) {
        self.reader.consume(count);
        if let Left::Bytes(left) | Left::Chunk(left) = &mut self.left {
            *left = left.saturating_sub(count as u64);
        }
    }
}

impl<R: Read> Read for Body<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

fn breaks_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it breaks off in the middle")
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What could be read, and how it ended.
    fn read(head: &str, body: &str) -> (String, Option<io::ErrorKind>) {
        let mut bytes = Vec::new();
        // Two bytes at a time: every border is met.
        let body = Body::after(head, BufReader::with_capacity(2, body.as_bytes()));
        let error = body.and_then(|mut body| body.read_to_end(&mut bytes)).err();
        (String::from_utf8(bytes).unwrap(), error.map(|error| error.kind()))
    }

    #[test]
    fn half_a_body_is_an_error() {
        use io::ErrorKind::{InvalidData, UnexpectedEof};
        let (length, chunks) = ("X: y\r\nContent-Length: 3\r\n", "Transfer-Encoding: chunked\r\n");
        for (head, body, text, error) in [
            (length, "abcmore", "abc", None),
            (length, "ab", "ab", Some(UnexpectedEof)),
            ("content-length: x\r\n", "ab", "", Some(InvalidData)),
            (chunks, "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", None),
            (chunks, "0\r\ntrailer: x\r\n\r\nmore", "", None),
            (chunks, "3\r\nabc\r\n", "abc", Some(UnexpectedEof)),
            (chunks, "3\r\nabc\r\n0\r\n", "abc", Some(UnexpectedEof)),
            (chunks, "3\r\nab", "ab", Some(UnexpectedEof)),
            (chunks, "", "", Some(UnexpectedEof)),
            (chunks, "3\r\nabcd\r\n0\r\n\r\n", "abc", Some(InvalidData)),
            (chunks, "x\r\n", "", Some(InvalidData)),
            ("transfer-encoding: gzip\r\n", "x", "", Some(InvalidData)),
            ("", "abc", "abc", None),
        ] {
            assert_eq!(read(head, body), (text.to_owned(), error), "{head}{body}");
        }
    }
}
