//! Standard output for programs that may stop reading: `liege status | head` is no reason to panic.

use std::io::Write;

/// Writes a text as it is. A reader that has gone away has seen enough.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
}
