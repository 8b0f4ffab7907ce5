//! HTTP/1.1 over a unix socket, as little of it as one question and one answer need: a connection for each. And one question
//! whose answer may have no end: server-sent events, or a text that grows.
//!
//! Deliberately not here: redirects, keep-alive; the daemon's server uses none of them.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    path::Path,
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::body::Body;

/// A daemon that is alive answers within milliseconds.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A log may be on a slow disk, for which the daemon waits so long as well.
const BEGINNING: Duration = Duration::from_secs(30);
/// So long a daemon may wait for the files that are read for an order.
const READING: Duration = Duration::from_secs(25);
/// An order that was not answered by now waits for a file.
const SOON: u16 = 1000;
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
    talk(&mut stream, method, path, TIMEOUT, &|| {}).map_err(|error| in_words(error, TIMEOUT)).map_err(Trouble::Talk)
}

/// Asks for what may have a file read first; `waits` is called once where it seems to.
pub(crate) fn ask_and_wait(socket: &Path, method: &str, path: &str, waits: &dyn Fn()) -> Result<Answer, Trouble> {
    let mut stream = UnixStream::connect(socket).map_err(Trouble::Connect)?;
    talk(&mut stream, method, path, READING, waits).map_err(|error| in_words(error, READING)).map_err(Trouble::Talk)
}

/// A time that has run out is told by the kernel as a read that would wait.
fn in_words(error: io::Error, time: Duration) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(
            io::ErrorKind::TimedOut,
            format!("none within {} s: is the daemon stopped, or the machine overloaded?", time.as_secs()),
        ),
        _ => error,
    }
}

fn talk(stream: &mut UnixStream, method: &str, path: &str, patience: Duration, waits: &dyn Fn()) -> io::Result<Answer> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    say(stream, &format!("{method} {path} HTTP/1.1\r\nHost: liege\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))?;
    if poll(&mut [PollFd::new(stream.as_fd(), PollFlags::POLLIN)], PollTimeout::from(SOON)) == Ok(0) {
        waits();
    }
    let (status, body) = answer(stream)?;
    whole(status, body)
}

/// Who finds no place is told so before he has asked: then nobody takes the question any more, but the answer is there.
fn say(stream: &mut UnixStream, question: &str) -> io::Result<()> {
    match stream.write_all(question.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        said => said,
    }
}

/// The status and the body that follows it.
fn answer<R: Read>(stream: R) -> io::Result<(u16, Body<R>)> {
    const LONGEST: u64 = 64 << 10;
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer");
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let left = LONGEST - head.len() as u64;
        if reader.by_ref().take(left).read_line(&mut head)? == 0 {
            return Err(invalid());
        }
    }
    let (first, rest) = head.split_once("\r\n").ok_or_else(invalid)?;
    Ok((status_of(first).ok_or_else(invalid)?, Body::after(rest, reader)?))
}

fn whole<R: Read>(status: u16, body: Body<R>) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    body.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(Answer { status, body: bytes })
}

fn status_of(line: &str) -> Option<u16> {
    line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

/// One server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) event: String,
    /// From where a further stream goes on.
    pub(crate) id: String,
    pub(crate) data: String,
}

/// An answer that may have no end, or the answer that there is none.
#[derive(Debug)]
pub(crate) enum Begun<R> {
    Stream(Stream<R>),
    Answer(Answer),
}

/// Events as they come.
#[derive(Debug)]
pub(crate) struct Stream<R>(Body<R>);

/// Asks for a stream of events; `after`: those that follow the one with this id.
pub(crate) fn begin(socket: &Path, path: &str, after: Option<&str>) -> Result<Begun<UnixStream>, Trouble> {
    let after = after.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
    ask_for_stream(socket, path, &format!("Accept: text/event-stream\r\n{after}"), Some(SILENCE))
}

/// Asks for a text that may come as it grows. Then it may be silent for ever.
pub(crate) fn begin_text(socket: &Path, path: &str) -> Result<Begun<UnixStream>, Trouble> {
    ask_for_stream(socket, path, "Accept: text/plain\r\n", None)
}

fn ask_for_stream(socket: &Path, path: &str, fields: &str, silence: Option<Duration>) -> Result<Begun<UnixStream>, Trouble> {
    let mut stream = UnixStream::connect(socket).map_err(Trouble::Connect)?;
    let begun = (|| {
        stream.set_read_timeout(Some(BEGINNING))?;
        say(&mut stream, &format!("GET {path} HTTP/1.1\r\nHost: liege\r\nConnection: close\r\n{fields}\r\n"))?;
        let ours = stream.try_clone()?;
        let begun = begun(stream)?;
        ours.set_read_timeout(silence)?;
        Ok(begun)
    })();
    begun.map_err(|error| in_words(error, BEGINNING)).map_err(Trouble::Talk)
}

fn begun<R: Read>(stream: R) -> io::Result<Begun<R>> {
    match answer(stream)? {
        (200, body) => Ok(Begun::Stream(Stream(body))),
        (status, body) => whole(status, body).map(Begun::Answer),
    }
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
                Err(error) => return Some(Err(in_words(error, SILENCE))),
            }
            match line.trim_end_matches(['\r', '\n']).split_once(": ") {
                Some(("event", event)) => event.clone_into(&mut sent.event),
                Some(("id", id)) => id.clone_into(&mut sent.id),
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

    fn parse(text: &[u8]) -> Option<Answer> {
        answer(text).and_then(|(status, body)| whole(status, body)).ok()
    }

    #[test]
    fn an_answer_is_its_status_and_as_much_body_as_it_says() {
        let text = b"HTTP/1.1 404 Not Found\r\ncontent-type: x\r\nContent-Length: 2\r\n\r\n{}trailing";
        assert_eq!(parse(text), Some(Answer { status: 404, body: b"{}".to_vec() }));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}"), None, "half an answer is none");
        assert_eq!(parse(b"SSH-2.0\r\n\r\n"), None);
        assert_eq!(parse(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(70_000)).as_bytes()), None);
    }

    #[test]
    fn a_path_is_one_segment() {
        assert_eq!(segment("/etc/v/a b.ini"), "%2Fetc%2Fv%2Fa%20b.ini");
    }

    #[test]
    fn a_stream_is_its_events_without_comments() {
        let text =
            b"HTTP/1.1 200 OK\r\nx: y\r\n\r\n:\n\nevent: a\nid: 1\ndata: {\"x\": 1}\n\n: still here\n\ndata: 2\n\nevent: half";
        let Ok(Begun::Stream(stream)) = begun(&text[..]) else { panic!("no stream") };
        let sent: Vec<Sent> = stream.map(Result::unwrap).collect();
        let event = |event: &str, id: &str, data: &str| Sent { event: event.into(), id: id.into(), data: data.into() };
        assert_eq!(sent, [event("a", "1", "{\"x\": 1}"), event("", "", "2")]);
    }

    #[test]
    fn a_text_is_its_lines() {
        let text = b"HTTP/1.1 200 OK\r\nx: y\r\n\r\none\n\xff\nthree";
        let Ok(Begun::Stream(stream)) = begun(&text[..]) else { panic!("no stream") };
        assert_eq!(stream.lines().map(Result::unwrap).collect::<Vec<_>>(), [&b"one\n"[..], b"\xff\n", b"three"]);
    }

    #[test]
    fn a_stream_that_is_refused_is_an_answer() {
        let text = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n\r\n{}";
        assert!(matches!(begun(&text[..]), Ok(Begun::Answer(Answer { status: 429, .. }))));
    }
}
