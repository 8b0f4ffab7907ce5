//! The requests of the control socket as calls.

use std::{
    io,
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use liege_core::{Detail, Happening, Name, Order, Reply, View};
use serde::de::DeserializeOwned;

use crate::{
    Failure,
    enduring::{Enduring, Piece},
    http::{Answer, Begun, Sent, Trouble, ask, ask_and_wait, begin, begin_text, segment},
    names::resolve,
};

/// A daemon at its socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// What a stream of events tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// Something happened.
    Happening(Box<Happening>),
    /// So many things that happened were lost, because they were not read in time.
    Missed(u64),
}

/// What a followed log tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A line, with its end.
    Line(Vec<u8>),
    /// Lines may be missing here, because this was not read for too long.
    Gap,
}

impl Client {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// The snapshot; with names, of these vassals only, in that order. `usage`: with what they use.
    ///
    /// # Errors
    /// [`Failure::NoSuchVassal`] for the first name nobody has, and what any request may meet.
    pub fn vassals(&self, names: &[String], usage: bool) -> Result<View, Failure> {
        let view = self.get(if usage { "/v1/vassals?usage" } else { "/v1/vassals" }, None)?;
        only(view, names)
    }

    /// The same again and again, at once and then whenever something has changed, until the daemon ends.
    ///
    /// # Errors
    /// As [`Self::vassals`].
    pub fn watch(&self, names: Vec<String>, usage: bool) -> Result<impl Iterator<Item = Result<View, Failure>> + use<>, Failure> {
        let path = if usage { "/v1/vassals?watch&usage" } else { "/v1/vassals?watch" };
        let sent = self.stream(path.to_owned())?;
        Ok(sent.map(move |sent| only(parse(sent?.data.as_bytes())?, &names)))
    }

    /// Everything about one vassal, by its whole name.
    ///
    /// # Errors
    /// [`Failure::NoSuchVassal`], and what any request may meet.
    pub fn vassal(&self, name: &Name) -> Result<Detail, Failure> {
        self.get(&format!("/v1/vassals/{}", segment(name)), Some(name))
    }

    /// What happened lately, of one vassal or of all, at most `last`.
    ///
    /// # Errors
    /// What any request may meet.
    pub fn events(&self, vassal: Option<&str>, last: usize) -> Result<Vec<Happening>, Failure> {
        self.get(&events_path(vassal, last), None)
    }

    /// The same, and then what happens, until the daemon ends.
    ///
    /// # Errors
    /// What any request may meet.
    pub fn follow(
        &self,
        vassal: Option<&str>,
        last: usize,
    ) -> Result<impl Iterator<Item = Result<Told, Failure>> + use<>, Failure> {
        let sent = self.stream(events_path(vassal, last) + "&follow")?;
        Ok(sent.map(|sent| {
            let Sent { event, data, .. } = sent?;
            Ok(match event.as_str() {
                "missed" => Told::Missed(parse(data.as_bytes())?),
                _ => Told::Happening(parse(data.as_bytes())?),
            })
        }))
    }

    /// What one vassal has said, line by line: the last so many lines (a number, or `all`).
    ///
    /// # Errors
    /// [`Failure::Refused`] where it has no log, and what any request may meet; [`Failure::Broken`] where it breaks off.
    pub fn log(&self, name: &str, last: &str) -> Result<impl Iterator<Item = Result<Vec<u8>, Failure>> + use<>, Failure> {
        let client = self.clone();
        Ok(self.lines(&log_path(name, last))?.map(move |line| {
            line.map_err(|error| match client.lives() {
                true => Failure::Broken { why: error.to_string() },
                false => Failure::Ended,
            })
        }))
    }

    /// The same, and then what comes, until the daemon ends.
    ///
    /// # Errors
    /// As [`Self::log`].
    pub fn follow_log(&self, name: &str, last: &str) -> Result<impl Iterator<Item = Result<Said, Failure>> + use<>, Failure> {
        let (client, name, first) = (self.clone(), name.to_owned(), last.to_owned());
        let begin = move |before: Option<&Vec<u8>>| {
            let last = if before.is_none() { &*first } else { "0" };
            client.lines(&(log_path(&name, last) + "&follow"))
        };
        let pieces = Enduring::new(self.clone(), begin)?;
        Ok(pieces.map(|piece| {
            Ok(match piece? {
                Piece::Of(line) => Said::Line(line),
                Piece::Again => Said::Gap,
            })
        }))
    }

    /// Asks one vassal, by its whole name, to do something.
    ///
    /// # Errors
    /// [`Failure::NoSuchVassal`], [`Failure::Refused`], and what any request may meet.
    pub fn order(&self, name: &Name, order: Order) -> Result<Reply, Failure> {
        self.order_patiently(name, order, &|| {})
    }

    /// The same; `waits` is called where it is not answered at once, because the vassal's file is read for it.
    ///
    /// # Errors
    /// As [`Self::order`].
    pub fn order_patiently(&self, name: &Name, order: Order, waits: &dyn Fn()) -> Result<Reply, Failure> {
        let path = format!("/v1/vassals/{}/{}", segment(name), order.word());
        self.post(&path, Some(name), waits)
    }

    /// Asks all vassals to do something.
    ///
    /// # Errors
    /// [`Failure::Refused`], and what any request may meet.
    pub fn order_all(&self, order: Order) -> Result<Reply, Failure> {
        self.post(&format!("/v1/{}", order.word()), None, &|| {})
    }

    /// Has all directories looked at.
    ///
    /// # Errors
    /// [`Failure::Refused`], and what any request may meet.
    /// With `force` a directory that was unmounted, replaced or is gone is taken for empty.
    pub fn rescan(&self, force: bool) -> Result<Reply, Failure> {
        self.post(if force { "/v1/rescan?force" } else { "/v1/rescan" }, None, &|| {})
    }

    fn get<T: DeserializeOwned>(&self, path: &str, about: Option<&str>) -> Result<T, Failure> {
        parse(&self.body(ask(&self.socket, "GET", path), about)?)
    }

    fn post(&self, path: &str, about: Option<&str>, waits: &dyn Fn()) -> Result<Reply, Failure> {
        parse(&self.body(ask_and_wait(&self.socket, "POST", path, waits), about)?)
    }

    fn body(&self, answer: Result<Answer, Trouble>, about: Option<&str>) -> Result<Vec<u8>, Failure> {
        let answer = answer.map_err(|trouble| self.failure(trouble))?;
        match (answer.status, about) {
            (200, _) => Ok(answer.body),
            (404, Some(name)) => Err(Failure::NoSuchVassal { name: name.to_owned() }),
            _ => Err(refused(&answer)),
        }
    }

    /// Events as they come, on and on. (One that is put out for reading slowly is told by the daemon how many it has lost.)
    fn stream(&self, path: String) -> Result<impl Iterator<Item = Result<Sent, Failure>> + use<>, Failure> {
        let client = self.clone();
        let mut seen = String::new();
        let begin = move |before: Option<&Sent>| {
            // What is no happening has none.
            if let Some(before) = before.filter(|before| !before.id.is_empty()) {
                before.id.clone_into(&mut seen);
            }
            let begun = begin(&client.socket, &path, Some(&*seen).filter(|seen| !seen.is_empty()));
            match begun.map_err(|trouble| client.failure(trouble))? {
                Begun::Answer(answer) => Err(refused(&answer)),
                Begun::Stream(stream) => Ok(stream),
            }
        };
        let pieces = Enduring::new(self.clone(), begin)?;
        Ok(pieces.filter_map(|piece| match piece {
            Ok(Piece::Of(sent)) => Some(Ok(sent)),
            Ok(Piece::Again) => None,
            Err(failure) => Some(Err(failure)),
        }))
    }

    fn lines(&self, path: &str) -> Result<impl Iterator<Item = io::Result<Vec<u8>>> + use<>, Failure> {
        match begin_text(&self.socket, path).map_err(|trouble| self.failure(trouble))? {
            Begun::Answer(answer) => Err(refused(&answer)),
            Begun::Stream(stream) => Ok(stream.lines()),
        }
    }

    /// Whether the daemon still answers. One that is about to end says so, or nothing, until nobody listens.
    pub(crate) fn lives(&self) -> bool {
        const TRIES: usize = 50;
        const APART: Duration = Duration::from_millis(100);
        for _ in 0..TRIES {
            match ask(&self.socket, "GET", "/v1/vassals") {
                Err(Trouble::Connect(_)) => return false,
                Ok(answer) if answer.status != 503 => return true,
                Err(Trouble::Talk(error)) if error.kind() == io::ErrorKind::TimedOut => return true,
                Ok(_) | Err(Trouble::Talk(_)) => sleep(APART),
            }
        }
        true
    }

    fn failure(&self, trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Connect(e) => Failure::NoDaemon { socket: self.socket.display().to_string(), why: e.to_string() },
            Trouble::Talk(e) => Failure::Broken { why: e.to_string() },
        }
    }
}

fn log_path(name: &str, last: &str) -> String {
    format!("/v1/vassals/{}/log?n={}", segment(name), segment(last))
}

fn events_path(vassal: Option<&str>, last: usize) -> String {
    let vassal = vassal.map(|name| format!("&vassal={}", segment(name))).unwrap_or_default();
    format!("/v1/events?n={last}{vassal}")
}

/// These vassals and files only, in the order of the names.
fn only(mut view: View, names: &[String]) -> Result<View, Failure> {
    if names.is_empty() {
        return Ok(view);
    }
    let (all, unusable) = (std::mem::take(&mut view.vassals), std::mem::take(&mut view.unusable));
    let known: Vec<&Name> = all.iter().map(|vassal| &vassal.name).chain(unusable.iter().map(|(name, _)| name)).collect();
    for name in names {
        let name = resolve(name, known.iter().copied())?;
        view.vassals.extend(all.iter().find(|vassal| vassal.name == name).cloned());
        view.unusable.extend(unusable.iter().find(|(file, _)| *file == name).cloned());
    }
    Ok(view)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|e| Failure::Broken { why: format!("nothing of this version ({e}): is the daemon of another version?") })
}

/// Why not, in the daemon's words.
fn refused(answer: &Answer) -> Failure {
    let reply: Option<Reply> = serde_json::from_slice(&answer.body).ok();
    let why = reply.and_then(|reply| reply.why).unwrap_or_else(|| String::from_utf8_lossy(&answer.body).into_owned());
    Failure::Refused { vassal: None, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_nobody_listens_at_is_no_daemon() {
        let failure = Client::new(Path::new("/nonexistent/control.sock")).rescan(false).unwrap_err();
        assert!(matches!(failure, Failure::NoDaemon { .. }), "{failure:?}");
    }

    #[test]
    fn a_refusal_is_told_in_the_daemons_words() {
        let refused = |body: &str| refused(&Answer { status: 409, body: body.into() }).to_string();
        assert_eq!(refused(r#"{"answer":"refused","why":"no"}"#), "refused: no");
        assert_eq!(refused("oops"), "refused: oops");
    }
}
