//! What the service manager is told about the daemon itself: `sd_notify(3)`, where `NOTIFY_SOCKET` names its socket (`Type=notify`).
//!
//! uWSGI's Emperor says the same: its documented unit is of this type, and systemd ends one that never says that it is ready. Few lines of our own
//! and no crate, because the loop that says it must not wait for the manager.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
};

use nix::time::{ClockId, clock_gettime};

/// Every directory is watched, and the control socket answers.
pub(crate) fn ready() {
    tell("READY=1\n");
}

/// Every vassal was told to reload: nothing is waited for, so the daemon is ready again at once.
pub(crate) fn reloads() {
    // A manager that waits for it (`Type=notify-reload`) tells the reload it has asked for by this moment.
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |now| now.tv_sec() * 1_000_000 + now.tv_nsec() / 1000);
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}\n"));
    ready();
}

/// The end has begun.
pub(crate) fn stops() {
    tell("STOPPING=1\n");
}

fn tell(what: &str) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else { return };
    if let Err(error) = send(&socket, what.as_bytes()) {
        let (what, socket) = (what.trim_end(), socket.to_string_lossy());
        tracing::warn!(target: "emperor", "the service manager was not told {what:?}: {socket}: {error}");
    }
}

fn send(socket: &OsStr, what: &[u8]) -> io::Result<()> {
    let to = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let ours = UnixDatagram::unbound()?;
    ours.set_nonblocking(true)?;
    ours.send_to_addr(what, &to).map(drop)
}
