//! Control groups as directories: which version a path belongs to.

use std::os::fd::AsFd;

use nix::sys::statfs::fstatfs;

/// The two kinds of hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy for each controller.
    One,
    /// The unified one: a child can be born into a group.
    Two,
}

/// `CGROUP_SUPER_MAGIC` of version 1; not in every libc header.
const ONE: i64 = 0x0027_e0eb;
/// `CGROUP2_SUPER_MAGIC`.
const TWO: i64 = 0x6367_7270;

/// What kind of group an open directory is. None: it is an ordinary directory.
///
/// # Errors
/// The file system's.
pub fn version(directory: &impl AsFd) -> nix::Result<Option<Version>> {
    let kind = fstatfs(directory)?.filesystem_type().0 as i64;
    Ok([(ONE, Version::One), (TWO, Version::Two)].iter().find(|(magic, _)| *magic == kind).map(|(_, version)| *version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_directory_is_no_group() {
        assert_eq!(version(&std::fs::File::open("/tmp").unwrap()), Ok(None));
    }
}
