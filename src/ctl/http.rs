//! HTTP/1.1 over a unix socket, as little of it as one question and one answer need: `Connection: close`, read to the end. And
//! one question whose answer has no end: server-sent events, asked for in HTTP/1.0, so that they come without chunks.
//!
//! The body is what follows the head, cut to `Content-Length`. Deliberately not here: chunked bodies, redirects, keep-alive;
//! the daemon's server uses none of them for these answers.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// A daemon that is alive answers within milliseconds.
const TIMEOUT: Duration = Duration::from_secs(10);
/// On a stream a daemon that has nothing to tell says so every 15 seconds.
const SILENCE: Duration = Duration::from_secs(60);
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
    talk(&mut stream, method, path).map_err(in_words).map_err(Trouble::Talk)
}

/// A time that has run out is told by the kernel as a read that would wait.
fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(
            io::ErrorKind::TimedOut,
            format!("none within {} s: is the daemon stopped, or the machine overloaded?", TIMEOUT.as_secs()),
        ),
        _ => error,
    }
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
    let status = status_of(lines.next()?)?;
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

fn status_of(line: &str) -> Option<u16> {
    line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) event: String,
    pub(crate) data: String,
}

/// An answer without an end, or the answer that there is none.
#[derive(Debug)]
pub(crate) enum Begun<R> {
    Stream(Stream<R>),
    Answer(Answer),
}

/// Events as they come. Ends when the daemon does.
#[derive(Debug)]
pub(crate) struct Stream<R>(BufReader<R>);

/// Asks for a stream of events.
pub(crate) fn begin(socket: &Path, path: &str) -> Result<Begun<UnixStream>, Trouble> {
    ask_for_stream(socket, path, "text/event-stream", Some(SILENCE))
}

/// Asks for a text that comes as it grows. It may be silent for ever.
pub(crate) fn begin_text(socket: &Path, path: &str) -> Result<Begun<UnixStream>, Trouble> {
    ask_for_stream(socket, path, "text/plain", None)
}

fn ask_for_stream(socket: &Path, path: &str, accept: &str, silence: Option<Duration>) -> Result<Begun<UnixStream>, Trouble> {
    let mut stream = UnixStream::connect(socket).map_err(Trouble::Connect)?;
    let mut asked = || {
        stream.set_read_timeout(silence)?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: liege\r\nAccept: {accept}\r\n\r\n")
    };
    asked().map_err(Trouble::Talk)?;
    read_head(stream).map_err(Trouble::Talk)
}

fn read_head<R: Read>(stream: R) -> io::Result<Begun<R>> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer"));
        }
    }
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer");
    if status_of(head.lines().next().unwrap_or_default()).ok_or_else(invalid)? == 200 {
        return Ok(Begun::Stream(Stream(reader)));
    }
    let mut bytes = head.into_bytes();
    reader.take(LONGEST).read_to_end(&mut bytes)?;
    parse(&bytes).map(Begun::Answer).ok_or_else(invalid)
}

impl<R: Read> Stream<R> {
    /// The lines of a text, each with its end.
    pub(crate) fn lines(mut self) -> impl Iterator<Item = io::Result<Vec<u8>>> {
        std::iter::from_fn(move || {
            let mut line = Vec::new();
            match self.0.read_until(b'\n', &mut line) {
                Ok(0) => None,
                Ok(_) => Some(Ok(line)),
                Err(error) => Some(Err(error)),
            }
        })
    }
}

impl<R: Read> Iterator for Stream<R> {
    type Item = io::Result<Sent>;

    fn next(&mut self) -> Option<io::Result<Sent>> {
        let mut sent = Sent::default();
        loop {
            let mut line = String::new();
            match self.0.read_line(&mut line) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
            match line.trim_end_matches(['\r', '\n']).split_once(": ") {
                Some(("event", event)) => event.clone_into(&mut sent.event),
                Some(("data", data)) => sent.data.push_str(data),
                // The line that ends an event, but not the one after a comment.
                None if line.trim_end().is_empty() && sent != Sent::default() => return Some(Ok(sent)),
                Some(_) | None => {}
            }
        }
    }
}

/// A name as one segment of a path, or as the value of a parameter: everything but unreserved characters is escaped.
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

    #[test]
    fn a_stream_is_its_events_without_comments() {
        let text =
            b"HTTP/1.0 200 OK\r\nx: y\r\n\r\n:\n\nevent: a\nid: 1\ndata: {\"x\": 1}\n\n: still here\n\ndata: 2\n\nevent: half";
        let Ok(Begun::Stream(stream)) = read_head(&text[..]) else { panic!("no stream") };
        let sent: Vec<Sent> = stream.map(Result::unwrap).collect();
        let event = |event: &str, data: &str| Sent { event: event.into(), data: data.into() };
        assert_eq!(sent, [event("a", "{\"x\": 1}"), event("", "2")]);
    }

    #[test]
    fn a_text_is_its_lines() {
        let text = b"HTTP/1.0 200 OK\r\nx: y\r\n\r\none\n\xff\nthree";
        let Ok(Begun::Stream(stream)) = read_head(&text[..]) else { panic!("no stream") };
        assert_eq!(stream.lines().map(Result::unwrap).collect::<Vec<_>>(), [&b"one\n"[..], b"\xff\n", b"three"]);
    }

    #[test]
    fn a_stream_that_is_refused_is_an_answer() {
        let text = b"HTTP/1.0 429 Too Many Requests\r\ncontent-length: 2\r\n\r\n{}";
        assert!(matches!(read_head(&text[..]), Ok(Begun::Answer(Answer { status: 429, .. }))));
    }
}
