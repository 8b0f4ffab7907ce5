//! HTTP/1.1 over a unix socket, as little of it as one question and one answer need: `Connection: close`, read to the end.
//!
//! The body is what follows the head, cut to `Content-Length`. Deliberately not here: chunked bodies, redirects, keep-alive;
//! the daemon's server uses none of them for these answers.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// A daemon that is alive answers within milliseconds.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A snapshot of a hundred thousand vassals is shorter.
const LONGEST: u64 = 256 << 20;

/// Status and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// What went wrong, and how far it came.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Nobody took the connection.
    Connect(io::Error),
    /// The connection was taken, the answer did not come.
    Talk(io::Error),
}

/// Asks.
pub(crate) fn ask(socket: &Path, method: &str, path: &str) -> Result<Answer, Trouble> {
    let mut stream = UnixStream::connect(socket).map_err(Trouble::Connect)?;
    talk(&mut stream, method, path).map_err(Trouble::Talk)
}

fn talk(stream: &mut UnixStream, method: &str, path: &str) -> io::Result<Answer> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: liege\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.take(LONGEST).read_to_end(&mut bytes)?;
    parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer, or only half of one"))
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok());
    let body = &bytes[end + 4..];
    let body = match length {
        Some(length) => body.get(..length)?,
        None => body,
    };
    Some(Answer { status, body: body.to_vec() })
}

/// A name as one segment of a path: everything but unreserved characters is escaped.
pub(crate) fn segment(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_as_much_body_as_it_says() {
        let text = b"HTTP/1.1 404 Not Found\r\ncontent-type: x\r\nContent-Length: 2\r\n\r\n{}trailing";
        assert_eq!(parse(text), Some(Answer { status: 404, body: b"{}".to_vec() }));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}"), None, "half an answer is none");
        assert_eq!(parse(b"SSH-2.0\r\n\r\n"), None);
    }

    #[test]
    fn a_path_is_one_segment() {
        assert_eq!(segment("/etc/v/a b.ini"), "%2Fetc%2Fv%2Fa%20b.ini");
    }
}
