//! The loop at /dev/fuse: wait, read under the switch, do with it as the mode says.

use std::fs::File;
use std::hint::spin_loop;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::exit;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::mode::{Mode, Switch};
use crate::reply::{INIT, Request, STATFS};

/// The kernel refuses to read into less than 8 kB; requests that write are not served.
const BUFFER: usize = 64 << 10;

/// Answers the kernel's first request: the two agree on a version.
pub(crate) fn greet(device: &File) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        wait(device);
        match take(device, &mut buffer)? {
            Some(length) => {
                let hello = Request::parse(&buffer[..length]).filter(|request| request.opcode == INIT);
                return answer(device, &hello.ok_or(io::ErrorKind::InvalidData)?.answer());
            }
            None => continue,
        }
    }
}

/// Serves until the file system is unmounted or its connection aborted; then the process ends in order.
pub(crate) fn serve(device: &File, switch: &Switch) -> ! {
    let mut buffer = vec![0; BUFFER];
    loop {
        wait(device);
        let leave = switch.until_reading();
        match take(device, &mut buffer) {
            Ok(Some(length)) => {
                if let Some(request) = Request::parse(&buffer[..length]).filter(|request| !request.is_oneway()) {
                    let mode = leave.used();
                    if request.opcode == STATFS {
                        switch.looked_at();
                    }
                    treat(&request, mode, device, switch);
                }
            }
            Ok(None) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
                drop(leave); // whoever asks takes the lock
                while switch.stays() {
                    std::thread::park();
                }
                exit(0)
            }
            Err(error) => {
                eprintln!("faultfs: {error}");
                exit(1)
            }
        }
    }
}

fn treat(request: &Request<'_>, mode: Mode, device: &File, switch: &Switch) {
    let said = match mode {
        Mode::Swallow => return,
        Mode::Errors(errno) => request.error(errno),
        Mode::Slow(time) => {
            burn(time, || switch.is(mode));
            request.answer()
        }
        Mode::Lazy(time) => {
            switch.linger(mode, time);
            request.answer()
        }
        Mode::Healthy | Mode::Queue => request.answer(),
    };
    let _ = answer(device, &said); // whoever asked may have been killed
}

/// Keeps a processor busy, until `time` is over or the mode is.
fn burn(time: Duration, wanted: impl Fn() -> bool) {
    let start = Instant::now();
    while start.elapsed() < time && wanted() {
        for _ in 0..100_000 {
            spin_loop();
        }
    }
}

/// Waits until there is something to read, or an error to be told.
fn wait(device: &File) {
    let _ = poll(&mut [PollFd::new(device.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE); // interrupted: looked at again
}

/// One request, if there still is one.
fn take(mut device: &File, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match device.read(buffer) {
        Ok(length) => Ok(Some(length)),
        // ENOENT: the asker was killed before his question was read.
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EAGAIN | Errno::EINTR | Errno::ENOENT) => Ok(None),
            _ => Err(error),
        },
    }
}

fn answer(mut device: &File, bytes: &[u8]) -> io::Result<()> {
    device.write_all(bytes) // one write is one answer; the kernel takes it whole or refuses it
}
