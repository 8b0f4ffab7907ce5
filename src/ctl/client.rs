//! The requests of the control socket as calls.

use std::path::{Path, PathBuf};

use liege_core::View;
use serde_json::Value;

use crate::{
    Failure,
    http::{Answer, Trouble, ask, segment},
};

/// A daemon at its socket.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// The snapshot; with names, of these vassals only, in that order.
    ///
    /// # Errors
    /// [`Failure::NoSuchVassal`] for the first name nobody has, and what any request may meet.
    pub fn vassals(&self, names: &[String]) -> Result<View, Failure> {
        let body = self.ask("GET", "/v1/vassals", None)?;
        let mut view: View = serde_json::from_slice(&body).map_err(|e| Failure::Broken {
            why: format!("no snapshot of this version ({e}): is the daemon of another version?"),
        })?;
        if !names.is_empty() {
            let all = std::mem::take(&mut view.vassals);
            let unusable = std::mem::take(&mut view.unusable);
            for name in names {
                if let Some(vassal) = all.iter().find(|vassal| *vassal.name == **name) {
                    view.vassals.push(vassal.clone());
                } else if let Some(file) = unusable.iter().find(|(file, _)| **file == **name) {
                    view.unusable.push(file.clone());
                } else {
                    return Err(Failure::NoSuchVassal { name: name.clone() });
                }
            }
        }
        Ok(view)
    }

    /// Reloads one vassal; answers what the daemon says.
    ///
    /// # Errors
    /// [`Failure::NoSuchVassal`], and what any request may meet.
    pub fn reload(&self, name: &str) -> Result<String, Failure> {
        self.ask("POST", &format!("/v1/vassals/{}/reload", segment(name)), Some(name)).map(|body| said(&body))
    }

    /// Clears all failures; answers what the daemon says.
    ///
    /// # Errors
    /// What any request may meet.
    pub fn clear(&self) -> Result<String, Failure> {
        self.ask("POST", "/v1/clear", None).map(|body| said(&body))
    }

    fn ask(&self, method: &str, path: &str, about: Option<&str>) -> Result<Vec<u8>, Failure> {
        let Answer { status, body } = ask(&self.socket, method, path).map_err(|trouble| match trouble {
            Trouble::Connect(e) => Failure::NoDaemon { socket: self.socket.display().to_string(), why: e.to_string() },
            Trouble::Talk(e) => Failure::Broken { why: e.to_string() },
        })?;
        match (status, about) {
            (200, _) => Ok(body),
            (404, Some(name)) => Err(Failure::NoSuchVassal { name: name.to_owned() }),
            _ => Err(Failure::Refused { why: said(&body) }),
        }
    }
}

/// The one word or sentence of an answer.
fn said(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = ["answer", "error"].iter().find_map(|key| value.get(key)?.as_str());
    text.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_nobody_listens_at_is_no_daemon() {
        let failure = Client::new(Path::new("/nonexistent/control.sock")).clear().unwrap_err();
        assert!(matches!(failure, Failure::NoDaemon { .. }), "{failure:?}");
    }

    #[test]
    fn answers_and_errors_are_read_alike() {
        assert_eq!(said(br#"{"answer":"done"}"#), "done");
        assert_eq!(said(br#"{"error":"no"}"#), "no");
        assert_eq!(said(b"oops"), "oops");
    }
}
