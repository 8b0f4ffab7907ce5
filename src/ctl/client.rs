//! The requests of the control socket as calls.

use std::path::{Path, PathBuf};

use liege_core::{Detail, Happening, Name, Order, Reply, View};
use serde::de::DeserializeOwned;

use crate::{
    Failure,
    http::{Answer, Begun, Trouble, ask, begin, begin_text, segment},
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
        let sent = self.stream(path)?;
        Ok(sent.map(move |sent| only(parse(sent?.1.as_bytes())?, &names)))
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
        let sent = self.stream(&(events_path(vassal, last) + "&follow"))?;
        Ok(sent.map(|sent| {
            let (event, data) = sent?;
            Ok(match event.as_str() {
                "missed" => Told::Missed(parse(data.as_bytes())?),
                _ => Told::Happening(parse(data.as_bytes())?),
            })
        }))
    }

    /// What one vassal says, line by line: the last so many lines (a number, or `all`); followed, what comes, until the daemon ends.
    ///
    /// # Errors
    /// [`Failure::Refused`] where it has no log, and what any request may meet.
    pub fn log(
        &self,
        name: &str,
        last: &str,
        follow: bool,
    ) -> Result<impl Iterator<Item = Result<Vec<u8>, Failure>> + use<>, Failure> {
        let follow = if follow { "&follow" } else { "" };
        let path = format!("/v1/vassals/{}/log?n={}{follow}", segment(name), segment(last));
        match begin_text(&self.socket, &path).map_err(|trouble| self.failure(trouble))? {
            Begun::Answer(answer) => Err(refused(&answer)),
            Begun::Stream(stream) => {
                Ok(stream.lines().map(|line| line.map_err(|error| Failure::Broken { why: error.to_string() })))
            }
        }
    }

    /// Asks one vassal, by its whole name, to do something.
    ///
    /// # Errors
    /// [`Failure::NoSuchVassal`], [`Failure::Refused`], and what any request may meet.
    pub fn order(&self, name: &Name, order: Order) -> Result<Reply, Failure> {
        self.post(&format!("/v1/vassals/{}/{}", segment(name), order.word()), Some(name))
    }

    /// Asks all vassals to do something.
    ///
    /// # Errors
    /// [`Failure::Refused`], and what any request may meet.
    pub fn order_all(&self, order: Order) -> Result<Reply, Failure> {
        self.post(&format!("/v1/{}", order.word()), None)
    }

    /// Has all directories looked at.
    ///
    /// # Errors
    /// [`Failure::Refused`], and what any request may meet.
    pub fn rescan(&self) -> Result<Reply, Failure> {
        self.post("/v1/rescan", None)
    }

    fn get<T: DeserializeOwned>(&self, path: &str, about: Option<&str>) -> Result<T, Failure> {
        parse(&self.ask("GET", path, about)?)
    }

    fn post(&self, path: &str, about: Option<&str>) -> Result<Reply, Failure> {
        parse(&self.ask("POST", path, about)?)
    }

    fn ask(&self, method: &str, path: &str, about: Option<&str>) -> Result<Vec<u8>, Failure> {
        let answer = ask(&self.socket, method, path).map_err(|trouble| self.failure(trouble))?;
        match (answer.status, about) {
            (200, _) => Ok(answer.body),
            (404, Some(name)) => Err(Failure::NoSuchVassal { name: name.to_owned() }),
            _ => Err(refused(&answer)),
        }
    }

    fn stream(&self, path: &str) -> Result<impl Iterator<Item = Result<(String, String), Failure>> + use<>, Failure> {
        match begin(&self.socket, path).map_err(|trouble| self.failure(trouble))? {
            Begun::Answer(answer) => Err(refused(&answer)),
            Begun::Stream(stream) => Ok(stream.map(|sent| match sent {
                Ok(sent) => Ok((sent.event, sent.data)),
                Err(error) => Err(Failure::Broken { why: error.to_string() }),
            })),
        }
    }

    fn failure(&self, trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Connect(e) => Failure::NoDaemon { socket: self.socket.display().to_string(), why: e.to_string() },
            Trouble::Talk(e) => Failure::Broken { why: e.to_string() },
        }
    }
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
    Failure::Refused { why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_nobody_listens_at_is_no_daemon() {
        let failure = Client::new(Path::new("/nonexistent/control.sock")).rescan().unwrap_err();
        assert!(matches!(failure, Failure::NoDaemon { .. }), "{failure:?}");
    }

    #[test]
    fn a_refusal_is_told_in_the_daemons_words() {
        let refused = |body: &str| refused(&Answer { status: 409, body: body.into() }).to_string();
        assert_eq!(refused(r#"{"answer":"refused","why":"no"}"#), "refused: no");
        assert_eq!(refused("oops"), "refused: oops");
    }
}
