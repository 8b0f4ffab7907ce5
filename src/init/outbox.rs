//! Bytes on their way out through a socket that may be full: init never waits for a reader.

use std::os::fd::AsFd;

use liege_sys::stream;

/// What could not be written yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Vec<u8>,
}

impl Outbox {
    /// Writes, or keeps what does not fit. False: the reader is gone.
    pub(crate) fn send(&mut self, socket: &impl AsFd, bytes: &[u8]) -> bool {
        self.waiting.extend_from_slice(bytes);
        self.flush(socket)
    }

    /// Writes what fits now. False: the reader is gone.
    pub(crate) fn flush(&mut self, socket: &impl AsFd) -> bool {
        while !self.waiting.is_empty() {
            match stream::write(socket, &self.waiting) {
                None => {
                    self.waiting = Vec::new();
                    return false;
                }
                Some(0) => return true,
                Some(n) => drop(self.waiting.drain(..n)),
            }
        }
        self.waiting = Vec::new(); // an idle init keeps no buffer
        true
    }

    /// How many bytes wait for room.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn what_does_not_fit_is_kept_in_order() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut outbox = Outbox::default();
        let sent: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
        assert!(outbox.send(&ours, &sent));
        assert!(outbox.len() > 0);
        let mut got = vec![0; sent.len()];
        let mut have = 0;
        while have < got.len() {
            have += theirs.read(&mut got[have..]).unwrap();
            assert!(outbox.flush(&ours));
        }
        assert_eq!(got, sent);
        assert_eq!(outbox.len(), 0);
    }

    #[test]
    fn a_reader_that_left_is_told() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert!(!Outbox::default().send(&ours, b"x"));
    }
}
