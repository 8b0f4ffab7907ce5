//! The other end of the control socket of `bin/faultfs`.

use std::io::{self, IoSliceMut, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use liege_sys::fds;
use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

/// One faultfs, as its control socket lets it be ordered about. The next one at the same place listens to the same name.
#[derive(Clone, Debug)]
pub struct Faultfs {
    /// The socket.
    pub control: PathBuf,
}

impl Faultfs {
    /// Orders a fault by its word (see `bin/faultfs/control.rs`). When this comes back, the fault is there.
    ///
    /// # Errors
    /// Nobody listens, or the word is not known.
    pub fn order(&self, word: &str) -> io::Result<()> {
        self.ask(word).and_then(|(said, _)| is_ok(word, &said))
    }

    /// The times between the looks at it (statfs) since this was last asked: how punctual its check is.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn gaps(&self) -> io::Result<Vec<Duration>> {
        let (said, _) = self.ask("gaps")?;
        Ok(said.split(',').filter_map(|number| number.parse().ok()).map(Duration::from_millis).collect())
    }

    /// How many requests it has read and left without an answer: who asked them is beyond SIGKILL.
    ///
    /// # Errors
    /// Nobody listens, or it said no number.
    pub fn swallowed(&self) -> io::Result<u64> {
        self.ask("swallowed")?.0.parse().map_err(io::Error::other)
    }

    /// The daemon's own open /dev/fuse: while it is held, its connection outlives it.
    ///
    /// # Errors
    /// Nobody listens, or nothing was sent.
    pub fn leak_fd(&self) -> io::Result<OwnedFd> {
        let (said, fd) = self.ask("leakfd")?;
        is_ok("leakfd", &said)?;
        fd.ok_or_else(|| io::Error::other("faultfs sent no descriptor"))
    }

    fn ask(&self, word: &str) -> io::Result<(String, Option<OwnedFd>)> {
        let mut socket = UnixStream::connect(&self.control)?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.write_all(format!("{word}\n").as_bytes())?;
        let (mut text, mut space) = (vec![0; 64 << 10], cmsg_space!(RawFd));
        let mut slices = [IoSliceMut::new(&mut text)];
        // Without close-on-exec for a moment: that is how `inherited` knows that nobody has it yet.
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::empty())?;
        let sent = message.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
            _ => None,
        });
        let said = message.iovs().next().map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
        Ok((said.unwrap_or_default(), sent.and_then(fds::inherited)))
    }
}

fn is_ok(word: &str, said: &str) -> io::Result<()> {
    if said == "ok" { Ok(()) } else { Err(io::Error::other(format!("faultfs was told {word:?} and said {said:?}"))) }
}
