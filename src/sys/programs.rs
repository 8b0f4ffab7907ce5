//! Where a program is looked for by its name, and the exec that tries the places in turn: `execvp` in two halves, so that nothing
//! allocates between fork and exec.

use nix::errno::Errno;

use crate::{Strings, raw};

/// Where programs are looked for when the environment does not say.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a program may be: itself if it names a place, else in each directory of the PATH. An empty entry would mean the
/// working directory, which is a vassal's own; it is passed over.
#[must_use]
pub fn candidates(name: &str, path: Option<&[u8]>) -> Vec<Vec<u8>> {
    if name.contains('/') {
        return vec![name.into()];
    }
    let path = path.filter(|p| !p.is_empty()).unwrap_or(PATH.as_bytes());
    let place = |directory: &[u8]| [directory, b"/", name.as_bytes()].concat();
    path.split(|&b| b == b':').filter(|d| !d.is_empty()).map(place).collect()
}

/// In a forked child: executes the first of them that is there. Comes back only to say why not: a place where it is not is passed
/// over, one that forbids is remembered, any other trouble ends the search.
pub(crate) fn execute(programs: &Strings, argv: &Strings, env: &Strings) -> Errno {
    let mut answer = Errno::ENOENT;
    for program in programs.as_slice() {
        match raw::exec(libc::AT_FDCWD, program.as_ptr(), argv.as_ptr(), env.as_ptr()) {
            Errno::ENOENT | Errno::ENOTDIR => {}
            Errno::EACCES => answer = Errno::EACCES,
            errno => return errno,
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_in_the_path_but_never_here() {
        assert_eq!(candidates("x", Some(b"/a::/b:")), [b"/a/x", b"/b/x"]);
        assert_eq!(candidates("./x", Some(b"/a")), [b"./x"]);
        assert_eq!(candidates("x", Some(b"")).len(), 6);
    }
}
