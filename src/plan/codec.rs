//! One codec: a little-endian `u32` length, then postcard. Works on any byte stream, knows nothing of sockets.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

/// The longest frame accepted, in bytes. A guard against a peer gone mad, far above any plan.
pub const MAX_FRAME: usize = 64 << 20;

/// Why a frame could not be made or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodecError {
    /// Longer than [`MAX_FRAME`].
    TooLong(usize),
    /// Not a message of this version.
    Malformed(String),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(n) => write!(f, "a frame of {n} bytes is longer than the {MAX_FRAME} allowed"),
            Self::Malformed(why) => write!(f, "a frame is no message of this version: {why}"),
        }
    }
}

impl std::error::Error for CodecError {}

/// One message as bytes to be written to the channel.
///
/// # Errors
/// [`CodecError::TooLong`] for a message over [`MAX_FRAME`].
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, CodecError> {
    let bytes = postcard::to_extend(message, vec![0; 4]).map_err(|e| CodecError::Malformed(e.to_string()))?;
    let length = bytes.len() - 4;
    if length > MAX_FRAME {
        return Err(CodecError::TooLong(length));
    }
    let mut bytes = bytes;
    #[allow(clippy::cast_possible_truncation, reason = "checked against MAX_FRAME above")]
    bytes[..4].copy_from_slice(&(length as u32).to_le_bytes());
    Ok(bytes)
}

/// Collects bytes as they come and hands out whole messages.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
}

impl FrameReader {
    /// Adds what was read from the channel.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, if there is one.
    ///
    /// # Errors
    /// A frame too long or malformed; the stream cannot be trusted any more after that.
    #[allow(clippy::should_implement_trait, reason = "each call may ask for another type")]
    pub fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, CodecError> {
        let Some(head) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*head) as usize;
        if length > MAX_FRAME {
            return Err(CodecError::TooLong(length));
        }
        let Some(body) = self.buffer.get(4..4 + length) else { return Ok(None) };
        let message = postcard::from_bytes(body).map_err(|e| CodecError::Malformed(e.to_string()))?;
        self.buffer.drain(..4 + length);
        if self.buffer.is_empty() {
            self.buffer = Vec::new(); // ten thousand idle channels keep no buffer
        }
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AppWord, FromInit};

    #[test]
    fn messages_arrive_whole_however_the_stream_cuts_them() {
        let all = [FromInit::Started { pid: 7 }, FromInit::Said(AppWord::Loyal), FromInit::Entered { step: 300 }];
        let bytes: Vec<u8> = all.iter().flat_map(|m| encode(m).unwrap()).collect();
        for cut in 1..bytes.len() {
            let mut reader = FrameReader::default();
            let mut got = Vec::new();
            for chunk in bytes.chunks(cut) {
                reader.push(chunk);
                while let Some(message) = reader.next::<FromInit>().unwrap() {
                    got.push(message);
                }
            }
            assert_eq!(got, all);
        }
    }

    #[test]
    fn a_mad_length_is_refused_before_it_is_waited_for() {
        let mut reader = FrameReader::default();
        reader.push(&[0xff; 8]);
        assert_eq!(reader.next::<FromInit>(), Err(CodecError::TooLong(0xffff_ffff)));
    }
}
