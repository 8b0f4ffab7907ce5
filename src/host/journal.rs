//! Lines for systemd's journal, each with its priority.
//!
//! The journal reads a unit's stderr line by line and takes `<N>` at a line's start for its priority
//! (`sd-daemon(3)`); a line without it is stored as `info`, so `journalctl -p warning` would be empty.
//! `JOURNAL_STREAM` names the device and the inode of the stream (`systemd.exec(5)`). A stderr that was
//! redirected since is another file, and gets no prefix.

use std::os::{
    fd::{AsFd, AsRawFd},
    linux::fs::MetadataExt,
};

use tracing::Level;

/// Whether this descriptor is the stream that systemd has connected to the journal.
pub(crate) fn is_connected(stream: impl AsFd) -> bool {
    let Some(named) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let path = format!("/proc/self/fd/{}", stream.as_fd().as_raw_fd());
    let Ok(meta) = std::fs::metadata(path) else { return false };
    named.to_str().is_some_and(|named| names(named, meta.st_dev(), meta.st_ino()))
}

fn names(stream: &str, device: u64, inode: u64) -> bool {
    stream.split_once(':').is_some_and(|(dev, ino)| dev.parse() == Ok(device) && ino.parse() == Ok(inode))
}

/// A text of one or several lines with the priority of its level before each.
pub(crate) fn prioritised(level: Level, text: &[u8]) -> Vec<u8> {
    let prefix = prefix(level);
    text.split_inclusive(|byte| *byte == b'\n').flat_map(|line| [prefix.as_bytes(), line]).flatten().copied().collect()
}

/// The priorities of syslog(3). `info` is 6: `notice`, 5, is for what an operator should look at.
fn prefix(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_a_message_has_the_priority() {
        assert_eq!(prioritised(Level::WARN, b"one\ntwo\n"), b"<4>one\n<4>two\n");
        assert_eq!(prioritised(Level::ERROR, b"no end"), b"<3>no end");
        assert_eq!(prioritised(Level::INFO, b""), b"");
    }

    #[test]
    fn a_stream_is_named_by_device_and_inode() {
        assert!(names("8:1234", 8, 1234));
        for other in ["8:1235", "9:1234", "8", "", "a:b", "8:1234:1"] {
            assert!(!names(other, 8, 1234), "{other}");
        }
    }
}
