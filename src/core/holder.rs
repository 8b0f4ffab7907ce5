//! Sockets that listen where an app wants to, and the processes that hold them.

use serde::{Deserialize, Serialize};

use crate::Address;

/// A socket that listens on an address that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// The address, as it was asked for.
    pub address: Address,
    /// A process that holds it; None: none was found.
    pub holder: Option<Holder>,
}

/// A process that holds a socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its pid, in the daemon's pid namespace.
    pub pid: i32,
    /// Its name, as it calls itself.
    pub name: String,
    /// The child of the daemon that it descends from: the init of a vassal, perhaps.
    pub below: Option<i32>,
    /// It is in the daemon's mount namespace: the path of a unix socket means the same to both.
    pub sees_our_mounts: bool,
}
