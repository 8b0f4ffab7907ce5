//! Argument and environment vectors in the shape `execve` wants, made before the fork.
//!
//! Between clone and exec nothing may allocate, so the pointers are laid out here, beside the strings they point into.

use std::{
    ffi::{CString, NulError, c_char},
    fmt, ptr,
};

/// A vector of C strings with its null-terminated vector of pointers.
pub struct Strings {
    // The heap buffers of the strings do not move when this value moves, so the pointers stay true.
    strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers point into `strings`, which this value owns and never changes after `new`.
unsafe impl Send for Strings {}
// SAFETY: as above; nothing is written through a shared reference.
unsafe impl Sync for Strings {}

impl Strings {
    /// Copies the strings and lays out their pointers.
    ///
    /// # Errors
    /// A string with a zero byte inside: the kernel would cut it there.
    pub fn new<T: Into<Vec<u8>>>(strings: impl IntoIterator<Item = T>) -> Result<Self, NulError> {
        let strings = strings.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let pointers = strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect();
        Ok(Self { strings, pointers })
    }

    /// The strings themselves.
    #[must_use]
    pub fn as_slice(&self) -> &[CString] {
        &self.strings
    }

    pub(crate) fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

impl PartialEq for Strings {
    fn eq(&self, other: &Self) -> bool {
        self.strings == other.strings
    }
}

impl Eq for Strings {}

impl fmt::Debug for Strings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.strings.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pointer_vector_ends_in_null() {
        let strings = Strings::new(["a", "bc"]).unwrap();
        assert_eq!(strings.pointers.len(), 3);
        assert!(strings.pointers[2].is_null());
        assert_eq!(strings.as_slice()[1].to_bytes(), b"bc");
    }

    #[test]
    fn a_zero_byte_inside_is_refused() {
        assert!(Strings::new(["a\0b"]).is_err());
    }
}
