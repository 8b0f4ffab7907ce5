//! `wait-for-*`: looks whether something is there. One look; whoever waits looks again.

use std::{
    ffi::CString,
    fs,
    net::TcpStream,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixStream},
    },
    time::Duration,
};

use crate::statx;

/// Anything at this path.
#[must_use]
pub fn fs(path: &str) -> bool {
    fs::metadata(path).is_ok()
}

/// A regular file.
#[must_use]
pub fn file(path: &str) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_file())
}

/// A directory.
#[must_use]
pub fn dir(path: &str) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_dir())
}

/// How long a TCP connection may take; the answer of this machine comes at once.
const CONNECT: Duration = Duration::from_secs(1);

/// A socket that accepts connections: an address and a port in numbers, an abstract name behind `@`, or a path.
#[must_use]
pub fn socket(name: &str) -> bool {
    if let Ok(address) = name.parse() {
        return TcpStream::connect_timeout(&address, CONNECT).is_ok();
    }
    match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name).is_ok_and(|address| UnixStream::connect_addr(&address).is_ok()),
        None => UnixStream::connect(name).is_ok(),
    }
}

/// A network interface of the caller's network namespace.
#[must_use]
pub fn interface(name: &str) -> bool {
    nix::net::if_::if_nametoindex(name).is_ok()
}

/// The root of a mount. uWSGI compares devices by `stat`, which a user's FUSE mount refuses even root; this asks the kernel
/// alone, so such a mount is seen, and a bind mount too.
#[must_use]
pub fn mountpoint(path: &str) -> bool {
    let Ok(path) = CString::new(path) else {
        return false;
    };
    statx::of_path(&path).is_ok_and(|stat| statx::is_mount_root(&stat))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_told_from_a_directory() {
        assert!(mountpoint("/") && mountpoint("/proc"));
        assert!(!mountpoint("/proc/self") && !mountpoint("/no/such/path"));
    }

    #[test]
    fn kinds_are_told_apart() {
        assert!(file("/etc/passwd") && !dir("/etc/passwd") && fs("/etc/passwd"));
        assert!(dir("/etc") && !file("/etc") && fs("/etc") && !fs("/no/such/path"));
        assert!(!socket("/etc/passwd"));
    }

    #[test]
    fn sockets_of_every_kind_are_found() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(socket(&tcp.local_addr().unwrap().to_string()));
        let name = format!("liege-waitfor-{}", std::process::id());
        assert!(!socket(&format!("@{name}")));
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let _there = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
        assert!(socket(&format!("@{name}")));
    }
}
