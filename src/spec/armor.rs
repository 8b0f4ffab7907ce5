//! How a uWSGI line is brought past rust-ini unharmed.
//!
//! rust-ini reads a friendlier dialect than uWSGI: `:` separates too, a bare key swallows the next line, a trailing backslash
//! joins lines, `;` and `#` comment only at the margin, a carriage return ends a value, Unicode blanks are trimmed, `]` ends a
//! section name wherever it stands. So every byte that could mean something to it travels in armor, as a character of
//! Unicode's private use area, and takes it off again on the other side. Bytes that are not UTF-8 travel the same way.

/// A byte in armor is U+E000 plus the byte; a real U+E000..U+E0FF of a file arrives as three armored bytes, so nothing collides.
const ARMOR: u32 = 0xE000;

/// Puts armor on all bytes but plain ones.
pub(crate) fn put_on(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if plain(*byte) { char::from(*byte) } else { armored(*byte) }).collect()
}

/// Takes it off.
pub(crate) fn take_off(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        let code = u32::from(c);
        match code.checked_sub(ARMOR).map(u8::try_from) {
            Some(Ok(byte)) => bytes.push(byte),
            // Only plain characters were left bare.
            _ => bytes.push(u8::try_from(code).unwrap_or(b'?')),
        }
    }
    bytes
}

/// Letters, digits and signs that mean nothing to rust-ini anywhere in a line.
fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-./,+*$%@(){}<>~^&!?|".contains(&byte)
}

fn armored(byte: u8) -> char {
    char::from_u32(ARMOR + u32::from(byte)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(take_off(&put_on(&all)), all);
        assert_eq!(put_on(b"a.b-c"), "a.b-c");
        assert!(put_on("é:\\ #;[]=\r".as_bytes()).chars().all(|c| u32::from(c) >= ARMOR));
    }
}
