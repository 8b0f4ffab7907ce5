//! `/proc/PID/mountinfo`: the one list of mounts that never asks a file system, so it can be read while one hangs.

use std::{collections::BTreeSet, ffi::OsString, io, os::unix::ffi::OsStringExt};

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The classic mount id; reused after an unmount.
    pub id: u32,
    /// The mount it stands on.
    pub parent: u32,
    /// Major and minor of the file system; for FUSE the minor is the name of the connection under fusectl.
    pub device: (u32, u32),
    /// The part of the file system that is seen here.
    pub root: OsString,
    /// Where, as seen from the root of the process whose list it is.
    pub mount_point: OsString,
    /// Options of the mount: `rw,nosuid`.
    pub options: String,
    /// As in [`Brief::follows`].
    pub follows: bool,
    /// The type: `ext4`, `fuse.fuse-zip`.
    pub fstype: String,
    /// The source, as its file system calls it.
    pub source: OsString,
    /// Options of the file system: `rw,user_id=1000,group_id=1000`.
    pub super_options: String,
}

impl Mount {
    /// Whether a FUSE daemon answers here: `fuse`, `fuse.NAME`, `fuseblk`. (`fusectl` is the kernel's own.)
    #[must_use]
    pub fn is_fuse(&self) -> bool {
        is_fuse(self.fstype.as_bytes())
    }

    /// Whether a FUSE file system answers others than its mounter, in its user namespace.
    #[must_use]
    pub fn allows_others(&self) -> bool {
        self.super_options.split(',').any(|option| option == "allow_other")
    }

    /// The uid and gid that mounted a FUSE file system, as the reader's user namespace sees them.
    #[must_use]
    pub fn fuse_owner(&self) -> Option<(u32, u32)> {
        let number = |name: &str| {
            self.super_options.split(',').find_map(|option| option.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
        };
        Some((number("user_id")?, number("group_id")?))
    }

    /// Whether this user has mounted a FUSE file system, as [`Self::fuse_owner`] tells.
    #[must_use]
    pub fn is_mounted_by(&self, user: u32) -> bool {
        self.fuse_owner().is_some_and(|(owner, _)| owner == user)
    }
}

/// The mounts of a process, in the order of the list.
///
/// # Errors
/// No such process, no `/proc`, or (EINVAL) a process that is past its end.
pub fn of(pid: i32) -> io::Result<Vec<Mount>> {
    Ok(parse(&text_of(pid)?))
}

/// The same as the kernel writes it.
///
/// # Errors
/// As [`of`].
pub fn text_of(pid: i32) -> io::Result<Vec<u8>> {
    std::fs::read(format!("/proc/{pid}/mountinfo"))
}

/// The caller's own list, to be kept and polled, by way of a `/proc` that is nobody's but the caller's: no path leads there, so none
/// can be put in its way, and it keeps no mount busy.
///
/// # Errors
/// EPERM where the caller may not mount.
pub fn watched() -> nix::Result<std::fs::File> {
    let proc = crate::detached::mount(c"proc")?;
    let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_CLOEXEC;
    nix::fcntl::openat(&proc, "self/mountinfo", flags, nix::sys::stat::Mode::empty()).map(std::fs::File::from)
}

/// The mounts as the calling thread sees them.
///
/// # Errors
/// No `/proc`.
pub fn own() -> io::Result<Vec<Mount>> {
    Ok(parse(&std::fs::read("/proc/thread-self/mountinfo")?))
}

/// Parses a whole list. A line of a shape we do not know is left out.
#[must_use]
pub fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|&b| b == b'\n').filter_map(line).collect()
}

/// What tells one mount from another, read off a line without copying anything of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Brief<'a> {
    /// As in [`Mount`].
    pub id: u32,
    /// As in [`Mount`].
    pub parent: u32,
    /// As in [`Mount`].
    pub device: (u32, u32),
    /// As in [`Mount::is_fuse`].
    pub is_fuse: bool,
    /// It follows a mount of another namespace (`master:`), as one that came from there by propagation does. A new mount of this
    /// namespace's own follows none; a bind of a mount that follows one follows it too.
    pub follows: bool,
    point: &'a [u8],
}

impl Brief<'_> {
    /// As [`Mount::mount_point`].
    #[must_use]
    pub fn mount_point(&self) -> OsString {
        unescape(self.point)
    }
}

/// A whole list in brief: where it is long and read often, this is a quarter of the cost of [`parse`].
pub fn brief(text: &[u8]) -> impl Iterator<Item = Brief<'_>> + Clone {
    text.split(|&b| b == b'\n').filter_map(|line| {
        let mut fields = line.split(|&b| b == b' ');
        let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse().ok();
        let (id, parent) = (number(fields.next()?)?, number(fields.next()?)?);
        let mut device = fields.next()?.split(|&b| b == b':');
        let device = (number(device.next()?)?, number(device.next()?)?);
        let point = fields.nth(1)?;
        let mut follows = false;
        // Any number of fields, to the dash.
        while let field = fields.next()?
            && field != b"-"
        {
            follows |= field.starts_with(b"master:");
        }
        Some(Brief { id, parent, device, is_fuse: is_fuse(fields.next()?), follows, point })
    })
}

/// The devices of the caller's mounts.
///
/// # Errors
/// No `/proc`.
pub fn own_devices() -> io::Result<BTreeSet<(u32, u32)>> {
    Ok(brief(&std::fs::read("/proc/thread-self/mountinfo")?).map(|mount| mount.device).collect())
}

/// The minors of a process's FUSE mounts, which name their connections.
///
/// # Errors
/// As [`of`].
pub fn connections(pid: i32) -> io::Result<Vec<u32>> {
    let text = text_of(pid)?;
    Ok(brief(&text).filter(|mount| mount.is_fuse).map(|mount| mount.device.1).collect())
}

fn is_fuse(fstype: &[u8]) -> bool {
    fstype == b"fuse" || fstype == b"fuseblk" || fstype.starts_with(b"fuse.") || fstype.starts_with(b"fuseblk.")
}

/// The line of this classic mount id, without parsing the others.
pub(crate) fn find(text: &[u8], id: u64) -> Option<Mount> {
    let head = format!("{id} ");
    line(text.split(|&b| b == b'\n').find(|l| l.starts_with(head.as_bytes()))?)
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`; any number of fields before the dash.
fn line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&b| b == b' ');
    let text = |field: &[u8]| std::str::from_utf8(field).ok().map(str::to_owned);
    let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse().ok();
    let id = number(fields.next()?)?;
    let parent = number(fields.next()?)?;
    let device = text(fields.next()?)?;
    let (major, minor) = device.split_once(':')?;
    let device = (major.parse().ok()?, minor.parse().ok()?);
    let root = unescape(fields.next()?);
    let mount_point = unescape(fields.next()?);
    let options = String::from_utf8_lossy(fields.next()?).into_owned();
    let mut follows = false;
    // Any number of fields, to the dash.
    while let field = fields.next()?
        && field != b"-"
    {
        follows |= field.starts_with(b"master:");
    }
    let fstype = unescape(fields.next()?).to_string_lossy().into_owned(); // a subtype is the mounter's own words
    let source = unescape(fields.next()?);
    let super_options = String::from_utf8_lossy(fields.next().unwrap_or_default()).into_owned();
    Some(Mount { id, parent, device, root, mount_point, options, follows, fstype, source, super_options })
}

/// Space, tab, newline, backslash and hash come as a backslash and three octal digits.
fn unescape(field: &[u8]) -> OsString {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        match (first, after) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            _ => {
                out.push(first);
                rest = after;
            }
        }
    }
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fuse_mount_names_its_owner_and_connection() {
        let text = b"620 28 0:69 / /app ro,nosuid,nodev,relatime shared:7 master:1 - fuse.fuse-zip fuse-zip ro,user_id=1001,group_id=1002\n";
        let [mount] = &parse(text)[..] else { panic!("one line") };
        assert!(mount.is_fuse());
        assert_eq!(mount.fuse_owner(), Some((1001, 1002)));
        assert_eq!((mount.id, mount.parent, mount.device, mount.follows), (620, 28, (0, 69), true));
        assert_eq!(mount.mount_point, "/app");
    }

    #[test]
    fn escapes_are_undone_once() {
        let text = br"1 0 0:1 / /a\040b\011c\134040 rw - fuse\043x none rw";
        let [mount] = &parse(text)[..] else { panic!("one line") };
        assert_eq!(mount.mount_point, "/a b\tc\\040");
        assert_eq!(mount.fstype, "fuse#x");
    }

    #[test]
    fn a_backslash_that_escapes_nothing_stays() {
        assert_eq!(unescape(br"a\9b\04"), r"a\9b\04");
    }

    #[test]
    fn the_control_file_system_is_no_fuse_mount() {
        let mounts = parse(b"1 0 0:1 / /c rw - fusectl none rw\n2 0 0:2 / /b rw - fuseblk /dev/sdb rw,user_id=0,group_id=0\n");
        assert_eq!(mounts.iter().map(Mount::is_fuse).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_line_is_found_by_its_whole_id() {
        let text = b"12 0 0:1 / /a rw - x none rw\n1 0 0:1 / /b rw - x none rw\n";
        assert_eq!(find(text, 1).unwrap().mount_point, "/b");
        assert_eq!(find(text, 2), None);
    }

    #[test]
    fn lines_of_another_shape_are_left_out() {
        assert_eq!(parse(b"\nnonsense\n1 0 0:1 / /b rw without a dash\n"), []);
    }

    #[test]
    fn a_subtype_of_strange_bytes_hides_no_mount() {
        let [mount] = &parse(b"1 0 0:7 / /a rw - fuse.\xff x rw,user_id=0,group_id=0\n")[..] else { panic!("one line") };
        assert!(mount.is_fuse());
    }

    #[test]
    fn in_brief_a_list_says_the_same() {
        let text = b"620 28 0:69 / /a\\040b ro shared:7 - fuse.zip z ro,user_id=1,group_id=2\nnonsense\n\
                     1 0 0:2 / /c rw - fusectl none rw\n2 1 8:1 / /d rw master:1 - ext4 /dev/x rw\n";
        let all = parse(text);
        let briefly: Vec<_> = brief(text).collect();
        assert_eq!(all.len(), 3);
        assert_eq!(briefly.len(), 3);
        for (mount, brief) in all.iter().zip(briefly) {
            assert_eq!((mount.id, mount.parent, mount.device), (brief.id, brief.parent, brief.device));
            assert_eq!((&mount.mount_point, mount.is_fuse()), (&brief.mount_point(), brief.is_fuse));
        }
    }

    #[test]
    fn the_watched_list_is_our_own() {
        let text = std::io::read_to_string(watched().unwrap()).unwrap();
        assert_eq!(parse(text.as_bytes()).len(), of(std::process::id() as i32).unwrap().len());
    }

    #[test]
    fn our_own_list_has_a_root() {
        assert!(own().unwrap().iter().any(|m| m.mount_point == "/"));
    }
}
