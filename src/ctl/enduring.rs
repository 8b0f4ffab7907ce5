//! A stream that is asked for again where it breaks off: whoever pauses reading is put out by the daemon after a while, and finds
//! it alive when he reads on. Only where nobody answers any more has the daemon ended.

use std::io;

use crate::{Client, Failure};

/// The stream. `B` asks for it anew: what follows the last piece there was.
#[derive(Debug)]
pub(crate) struct Enduring<T, S, B> {
    client: Client,
    stream: Option<S>,
    begin: B,
    last: Option<T>,
    /// Something came since it was asked for: what breaks off at once would do so for ever.
    has_spoken: bool,
}

/// What comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece<T> {
    /// A piece of the stream.
    Of(T),
    /// It broke off, and goes on.
    Again,
}

impl<T: Clone, S: Iterator<Item = io::Result<T>>, B: FnMut(Option<&T>) -> Result<S, Failure>> Enduring<T, S, B> {
    /// Asks for it.
    pub(crate) fn new(client: Client, mut begin: B) -> Result<Self, Failure> {
        let stream = Some(begin(None)?);
        Ok(Self { client, stream, begin, last: None, has_spoken: false })
    }

    fn again(&mut self, failure: Failure) -> Result<Piece<T>, Failure> {
        if !self.client.lives() {
            return Err(Failure::Ended);
        }
        if !std::mem::take(&mut self.has_spoken) {
            return Err(failure);
        }
        self.stream = Some((self.begin)(self.last.as_ref())?);
        Ok(Piece::Again)
    }
}

impl<T: Clone, S: Iterator<Item = io::Result<T>>, B: FnMut(Option<&T>) -> Result<S, Failure>> Iterator for Enduring<T, S, B> {
    type Item = Result<Piece<T>, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let failure = match self.stream.as_mut()?.next() {
            Some(Ok(piece)) => {
                self.has_spoken = true;
                self.last = Some(piece.clone());
                return Some(Ok(Piece::Of(piece)));
            }
            Some(Err(error)) => Failure::Broken { why: error.to_string() },
            None => Failure::Broken { why: "it ends here".to_owned() },
        };
        self.stream = None;
        Some(self.again(failure))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        os::unix::net::UnixListener,
        thread::{JoinHandle, spawn},
    };

    use super::*;
    use crate::{Said, Told};

    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    const ALIVE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

    /// A daemon that answers its questions with these, one after the other, and then is gone. The heads of the questions.
    fn daemon(answers: Vec<String>) -> (tempfile::TempDir, Client, JoinHandle<Vec<String>>) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("c.sock");
        let (listener, client) = (UnixListener::bind(&socket).unwrap(), Client::new(&socket));
        let served = spawn(move || {
            let serve = |answer: String| {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                stream.write_all(answer.as_bytes()).unwrap();
                head.join("\n")
            };
            answers.into_iter().map(serve).collect()
        });
        (dir, client, served)
    }

    fn chunk(text: &str) -> String {
        format!("{:x}\r\n{text}\r\n", text.len())
    }

    fn event(id: u64) -> String {
        let happening = format!(r#"{{"id":{id},"at":0.0,"level":"info","kind":"ready","vassal":null,"text":"","cause":null}}"#);
        chunk(&format!("event: happening\nid: x-{id}\ndata: {happening}\n\n"))
    }

    #[test]
    fn half_a_log_is_never_taken_for_a_whole_one() {
        let log = format!("{CHUNKED}{}", chunk("one\n"));
        let (_dir, client, _) = daemon(vec![log.clone() + "0\r\n\r\n", log.clone(), ALIVE.into(), log]);
        let mut told = client.log("a", "all").unwrap();
        assert_eq!((told.next(), told.next()), (Some(Ok(b"one\n".to_vec())), None));
        let mut told = client.log("a", "all").unwrap();
        assert_eq!(told.next(), Some(Ok(b"one\n".to_vec())));
        assert_eq!(told.next(), Some(Err(Failure::Broken { why: "it breaks off in the middle".into() })), "the daemon lives");
        let mut told = client.log("a", "all").unwrap();
        assert_eq!(told.next(), Some(Ok(b"one\n".to_vec())));
        assert_eq!(told.next(), Some(Err(Failure::Ended)), "it does not");
    }

    #[test]
    fn a_followed_log_goes_on_after_a_gap() {
        let log = |line: &str| format!("{CHUNKED}{}", chunk(line));
        let answers = vec![log("one\n"), ALIVE.into(), log("two\n"), ALIVE.into(), CHUNKED.into(), ALIVE.into()];
        let (_dir, client, served) = daemon(answers);
        let told: Vec<_> = client.follow_log("a", "7").unwrap().collect();
        let line = |line: &str| Ok(Said::Line(line.into()));
        let ever_again = Err(Failure::Broken { why: "it breaks off in the middle".into() });
        assert_eq!(told, [line("one\n"), Ok(Said::Gap), line("two\n"), Ok(Said::Gap), ever_again]);
        let asked = served.join().unwrap();
        assert!(asked[0].starts_with("GET /v1/vassals/a/log?n=7&follow "), "{asked:?}");
        assert!(asked[2].starts_with("GET /v1/vassals/a/log?n=0&follow "), "{asked:?}");
    }

    #[test]
    fn events_go_on_after_the_last_one_there_was() {
        let missed = chunk("event: missed\nid: x-8\ndata: 6\n\n");
        let answers = vec![
            format!("{CHUNKED}{}{}{}", event(1), event(2), &event(3)[..40]),
            ALIVE.into(),
            format!("{CHUNKED}{missed}"),
            ALIVE.into(),
            format!("{CHUNKED}{}", event(9)),
        ];
        let (_dir, client, served) = daemon(answers);
        let told = client.follow(None, 5).unwrap().map(|told| match told {
            Ok(Told::Happening(happening)) => happening.id.to_string(),
            Ok(Told::Missed(count)) => format!("{count} missed"),
            Err(failure) => failure.to_string(),
        });
        assert_eq!(told.collect::<Vec<_>>(), ["1", "2", "6 missed", "9", "the daemon has ended"]);
        let asked = served.join().unwrap();
        assert!(!asked[0].contains("Last-Event-ID"), "{asked:?}");
        assert!(asked[2].contains("Last-Event-ID: x-2") && asked[4].contains("Last-Event-ID: x-8"), "{asked:?}");
    }
}
