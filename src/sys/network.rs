//! The one interface every network namespace has, and that is down in a new one.

use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};
use std::os::fd::AsRawFd;

/// `struct ifreq` as far as flags need it: a name of 16 bytes, then a union whose first member here is a short.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: i16,
    rest: [u8; 22],
}

/// Sets `lo` of this network namespace up. One that is up stays so.
///
/// # Errors
/// EPERM without `CAP_NET_ADMIN` over the namespace.
pub fn loopback_up() -> nix::Result<()> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut request = Request { name: [0; 16], flags: 0, rest: [0; 22] };
    request.name[..2].copy_from_slice(b"lo");
    // SAFETY: a request as large as the kernel's, which outlives the call that fills it.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request) })?;
    request.flags |= libc::IFF_UP as i16;
    // SAFETY: as above; it is only read.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) }).map(drop)
}
