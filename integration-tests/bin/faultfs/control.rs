//! The socket at which faults are ordered. One line in, one line out, then the connection is closed:
//!
//! | word | from then on |
//! |---|---|
//! | `healthy` | requests are answered |
//! | `queue` | requests are not read |
//! | `swallow` | requests are read and never answered |
//! | `slow MS` | answered after MS, burning the processor |
//! | `lazy MS` | answered after MS, doing nothing |
//! | `errors NUMBER` | answered with this errno |
//! | `selfdeadlock` | swallowed, and a thread of this very process waits for an answer |
//! | `stay` | as before; it does not leave when it is unmounted |
//! | `exit` | unmounted, ended with 0 |
//! | `crash` | ended by SIGABRT, mounted |
//! | `swallowed` | as before; the answer is how many requests have been swallowed |
//! | `gaps` | as before; the answer is the milliseconds between the looks (statfs) since the last `gaps`, with commas |
//! | `leakfd` | as before, but the caller holds the open /dev/fuse too: it comes with the answer |
//!
//! Else the answer is `ok`, and whoever has read it knows that the fault is there, or a sentence.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, IoSlice};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{abort, exit};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use crate::mode::{Mode, Switch};
use crate::mounting;

/// What orders are carried out with.
#[derive(Debug)]
pub(crate) struct Control {
    mountpoint: PathBuf,
    device: Arc<File>,
    switch: Arc<Switch>,
}

impl Control {
    pub(crate) fn new(mountpoint: &Path, device: Arc<File>, switch: Arc<Switch>) -> Self {
        Self { mountpoint: mountpoint.to_owned(), device, switch }
    }

    /// Obeys whoever comes, one after the other, for ever.
    pub(crate) fn listen(&self, listener: &UnixListener) -> ! {
        loop {
            if let Ok((guest, _)) = listener.accept() {
                let _ = self.hear(&guest); // he is gone: nobody to tell
            }
        }
    }

    fn hear(&self, guest: &UnixStream) -> io::Result<()> {
        let mut line = String::new();
        BufReader::new(guest).read_line(&mut line)?;
        let order = line.trim();
        match order {
            "leakfd" => say(guest, "ok", Some(&self.device)),
            // These do not come back, so they are answered first.
            "exit" | "crash" => {
                say(guest, "ok", None)?;
                self.obey(order);
                Ok(())
            }
            _ => say(guest, &self.obey(order), None),
        }
    }

    /// Carries one order out; the answer.
    pub(crate) fn obey(&self, order: &str) -> String {
        let (word, number) = order.split_once(' ').unwrap_or((order, ""));
        let time = number.parse().map(Duration::from_millis);
        let mode = match (word, time, number.parse()) {
            ("healthy", _, _) => Mode::Healthy,
            ("queue", _, _) => Mode::Queue,
            ("swallow", _, _) => Mode::Swallow,
            ("slow", Ok(time), _) => Mode::Slow(time),
            ("lazy", Ok(time), _) => Mode::Lazy(time),
            ("errors", _, Ok(errno)) => Mode::Errors(errno),
            ("selfdeadlock", _, _) => {
                let own = self.mountpoint.join("hello");
                self.switch.swallow_one(|| drop(std::thread::spawn(|| std::fs::metadata(own))));
                return "ok".into();
            }
            ("stay", _, _) => {
                self.switch.stay();
                return "ok".into();
            }
            ("exit", _, _) => {
                self.switch.set(Mode::Healthy); // an unmount that asks is answered
                mounting::unmount(&self.mountpoint);
                exit(0)
            }
            ("crash", _, _) => abort(),
            ("swallowed", _, _) => return self.switch.swallowed().to_string(),
            ("gaps", _, _) => return self.switch.gaps().iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            _ => return format!("no such order: {order}"),
        };
        self.switch.set(mode);
        "ok".into()
    }
}

fn say(guest: &UnixStream, word: &str, with: Option<&File>) -> io::Result<()> {
    let line = format!("{word}\n");
    let fds: Vec<_> = with.iter().map(|file| file.as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&fds)];
    let rights = if fds.is_empty() { &[] } else { &rights[..] };
    let flags = MsgFlags::MSG_NOSIGNAL;
    sendmsg::<()>(guest.as_raw_fd(), &[IoSlice::new(line.as_bytes())], rights, flags, None)?;
    Ok(())
}
