//! Whether who asks at the control socket may ask as its uid.
//!
//! A uid is worth what it takes to have it. Root of a vassal's user namespace, and root of a vassal with some of root's capabilities, have
//! the number 0 and can take any other. So:
//! * a process of a vassal's is believed to be the vassal's own user and nobody else, root least of all. It is known by the daemon's mark
//!   (`liege_sys::mark`), or by descending from the daemon;
//! * root must be in the daemon's own user and pid namespaces;
//! * any other process in another user namespace is believed to be the user who made that namespace.
//!
//! What cannot be found out speaks against it: it is refused, with the reason, whatever it asks. It is told nothing of any vassal by that.

use std::sync::Arc;

use axum::{
    extract::{ConnectInfo, Request, State},
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use liege_core::{ROOT, Verdict};
use liege_sys::{
    descendants,
    mark::Mark,
    peer::{Peer, Place},
};
use tokio::time::sleep;

use super::{House, guest, routes::is_ending, routes::no};
use crate::world::is_proc_there;

/// How the daemon knows the processes of its vassals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    mark: Option<Mark>,
    daemon: i32,
}

/// Whether a process is of a vassal.
#[derive(Debug, PartialEq, Eq)]
enum Kin {
    /// Of the one with this init, where that could be found.
    Of(Option<i32>),
    /// Of none.
    None,
    /// It cannot be found out.
    Unknown,
}

/// What a uid is worth.
#[derive(Clone, Debug)]
pub(super) enum Belief {
    /// It is what it says.
    Yes,
    /// Of the vassal with this init: if that is who the vassal runs as.
    AsOwnerOf(i32, Arc<Peer>),
    /// No: why.
    No(&'static str),
}

/// To whom a connection counts, where there are places for some only.
///
/// Never to the uid it claims, before that is believed: in a user namespace of its own a process can take all uids there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// This user, who is believed.
    User(u32),
    /// The vassal with this init, whatever uid its process has.
    Vassal(i32),
    /// All together who are refused.
    Refused,
}

impl Share {
    pub(super) fn is_roots(self) -> bool {
        self == Self::User(ROOT)
    }
}

const OF_A_VASSAL: &str = "a process of a vassal may ask as the user its vassal runs as, and never as root";
const ROOT_ELSEWHERE: &str = "root of another user or pid namespace is not root here: ask from the namespaces the daemon runs in";
const USER_ELSEWHERE: &str = "in a user namespace somebody may be any user: only who made the namespace may ask from it";
const UNKNOWN: &str =
    "it cannot be found out whether this process is of a vassal or in which namespaces it is, so it is not believed";
const NO_PROC: &str =
    "/proc is not there, so it cannot be found out whether this process is of a vassal: mount it where the daemon runs";
const GONE: &str = "the process that connected is gone, so it cannot be found out whether it was of a vassal";

impl Family {
    /// Of this process.
    pub(crate) fn own(mark: Option<Mark>) -> Self {
        Self { mark, daemon: std::process::id().cast_signed() }
    }

    /// What the uid of this one is worth.
    pub(super) fn belief(self, peer: &Arc<Peer>) -> Belief {
        match self.judged(peer) {
            Belief::No(UNKNOWN | GONE) if !is_proc_there() => Belief::No(NO_PROC),
            judged => judged,
        }
    }

    fn judged(self, peer: &Arc<Peer>) -> Belief {
        // One of ours is always visible from here.
        if peer.is_visible() {
            match peer.read(|pid| Some(self.kin(pid))) {
                None => return Belief::No(GONE),
                Some(Kin::Unknown) => return Belief::No(UNKNOWN),
                Some(Kin::Of(Some(init))) if peer.uid != ROOT => return Belief::AsOwnerOf(init, Arc::clone(peer)),
                Some(Kin::Of(_)) => return Belief::No(OF_A_VASSAL),
                Some(Kin::None) => {}
            }
        }
        match (peer.uid, peer.place()) {
            (ROOT, Some(Place::Here)) => Belief::Yes,
            (ROOT, Some(Place::OtherPids | Place::Below(_))) => Belief::No(ROOT_ELSEWHERE),
            (ROOT, None) => Belief::No(UNKNOWN),
            (uid, Some(Place::Below(owner))) if uid != owner => Belief::No(USER_ELSEWHERE),
            (_, _) => Belief::Yes,
        }
    }

    /// Which vassal a process is of.
    fn kin(self, pid: i32) -> Kin {
        let is_marked = self.mark.map(|mark| mark.is_borne_by(pid));
        match (is_marked, descendants::child_above(pid, self.daemon)) {
            (_, Some(init)) => Kin::Of(Some(init)),
            (Some(None), None) => Kin::Unknown,
            (Some(Some(true)), None) => Kin::Of(None),
            (Some(Some(false)) | None, None) => Kin::None,
        }
    }
}

impl Belief {
    pub(super) fn share(&self, uid: u32) -> Share {
        match self {
            Self::Yes => Share::User(uid),
            Self::AsOwnerOf(init, _) => Share::Vassal(*init),
            Self::No(_) => Share::Refused,
        }
    }
}

/// Before any route: nobody but root is answered at once, and who is not believed is refused.
pub(super) async fn admitted(
    State(house): State<House>,
    ConnectInfo(peer): ConnectInfo<guest::Peer>,
    request: Request,
    next: Next,
) -> Response {
    if !peer.belief.share(peer.uid).is_roots() {
        sleep(super::routes::PACE).await;
    }
    let refused = match &peer.belief {
        Belief::Yes => None,
        Belief::No(why) => Some(*why),
        Belief::AsOwnerOf(init, process) => {
            let Some(owner) = house.post.owner_of(*init).await else { return is_ending() };
            let is_owner = owner == Some(peer.uid);
            // While it lives its init does, whose number is its own so long.
            (!is_owner || !process.lives()).then_some(OF_A_VASSAL)
        }
    };
    match refused {
        None => next.run(request).await,
        Some(why) => {
            tracing::debug!(target: "control", uid = peer.uid, "refused: {why}");
            // Without a descriptor, for one: it may be found out later.
            let may_be_found_out = [UNKNOWN, NO_PROC].contains(&why);
            let status = if may_be_found_out { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::FORBIDDEN };
            no(status, Verdict::Refused, why)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, process::Command};

    use super::*;

    #[test]
    fn without_a_descriptor_nobody_is_taken_for_a_vassals() {
        let mut stranger = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = stranger.id().cast_signed();
        let family = Family { mark: Mark::take().ok(), daemon: i32::MAX };
        let before = family.kin(pid);
        liege_sys::limits::set_nofile(64, 64).unwrap();
        let held: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        let without = family.kin(pid);
        drop(held);
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        assert_eq!((before, without), (Kin::None, Kin::Unknown));
    }
}
