//! Opens files whose names, or whose targets, may be a tenant's.
//!
//! A path may mean a device, a fifo or a socket by the time it is opened, and opening one of those can wait for ever or do
//! something (rewind a tape, arm a watchdog). So the inode is taken hold of first (`O_PATH` does nothing to it), looked at, and
//! only a regular file is then opened, through that hold and not by its name.
//!
//! A file of the kernel's own (procfs, sysfs and the like) is regular for stat(2), and yet reading it may wait for ever
//! (`/proc/kmsg`), wait for a process of a tenant's (`/proc/PID/cmdline`), do something to a device (`config` of a PCI one), or
//! tell root what it tells nobody else (`/proc/kallsyms`, whose mode lets everybody read it). Such a file is refused, with one
//! exception: the settings below `/proc/sys` that everybody may read, which are no secret and answer at once.
//!
//! A list of what is refused, and none of what is allowed: a file system that is new, or foreign (FUSE, NFS, 9p, an overlay), holds
//! files that were written. A hang of one of those is the business of [`crate::monitor`].

use std::{
    fs::{self, File},
    io::{self, Read},
    os::{
        fd::AsRawFd,
        unix::{
            ffi::OsStrExt,
            fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
        },
    },
    path::Path,
};

use nix::{errno::Errno, fcntl::OFlag, sys::statfs::fstatfs};

/// File systems whose files nobody wrote: the kernel makes up what they hold when they are read.
const KERNELS_OWN: [(i64, &str); 26] = [
    (0x9fa0, "procfs"),
    (0x6265_6572, "sysfs"),
    (0x7472_6163, "tracefs"),
    (0x6462_6720, "debugfs"),
    (0x0027_e0eb, "cgroupfs"),
    (0x6367_7270, "cgroupfs"),
    (0x7363_6673, "securityfs"),
    (0xf97c_ff8c, "selinuxfs"),
    (0x4341_5d53, "smackfs"),
    (0x5a3c_69f0, "apparmorfs"),
    (0x6265_6570, "configfs"),
    (0x6573_5543, "fusectl"),
    (0xcafe_4a11, "bpffs"),
    (0x6165_676c, "pstore"),
    (0xde5e_81e4, "efivarfs"),
    (0x4249_4e4d, "binfmt_misc"),
    (0x0765_5821, "resctrl"),
    (0x1980_0202, "mqueue"),
    (0x6e73_6673, "nsfs"),
    (0x6e66_7364, "nfsd"),
    (0x6759_6969, "rpc_pipefs"),
    (0xabba_1974, "xenfs"),
    (0x0a64_7361, "functionfs"),
    (0xaee7_1ee7, "gadgetfs"),
    (0x76a9_f425, "dlmfs"),
    (0x0187, "autofs"),
];
const READABLE_BY_ALL: u32 = 0o004;

/// Bytes of a configuration at most: a longer one is a mistake, `/dev/zero` a worse one.
pub(crate) const MAX_FILE: u64 = 1 << 20;

/// Why an entry of a directory is no file, as the end of a sentence that begins with its name. None: it is a regular file, it is not there,
/// it is an editor's lock, or it cannot be looked at.
#[must_use]
pub fn why_no_file(path: &Path) -> Option<String> {
    let is_link = fs::symlink_metadata(path).ok()?.is_symlink();
    let target = if is_link { Some(fs::read_link(path).ok()?) } else { None };
    let what = match fs::metadata(path) {
        Ok(found) => kind(found.file_type())?,
        Err(error) if leads_nowhere(&error) && is_link && !is_lock(path) => "not there",
        Err(_) => return None,
    };
    Some(match target {
        Some(target) => format!("links to {}, which is {what}", target.display()),
        None => format!("is {what}, not a regular file"),
    })
}

/// Whether it is the lock that emacs puts beside the file it edits: a link `.#NAME` that leads nowhere.
#[must_use]
pub fn is_lock(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_bytes().starts_with(b".#"))
        && fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
        && fs::metadata(path).is_err_and(|error| leads_nowhere(&error))
}

fn leads_nowhere(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// None: a regular file.
fn kind(found: fs::FileType) -> Option<&'static str> {
    let kinds = [(found.is_dir(), "a directory"), (found.is_fifo(), "a fifo"), (found.is_socket(), "a socket")];
    let named = kinds.iter().find(|(is_it, _)| *is_it).map(|(_, name)| *name);
    if found.is_file() { None } else { Some(named.unwrap_or("a device")) }
}

/// Reads a configuration: a regular file of up to 1 MiB, links followed. A descriptor that the caller's shell made (`<(...)`,
/// `/dev/stdin`) may be a pipe.
///
/// # Errors
/// It cannot be had, is no regular file, or is longer.
pub fn read_configuration(path: &Path) -> io::Result<Vec<u8>> {
    let is_callers_own = path == Path::new("/dev/stdin") || ["/dev/fd", "/proc/self/fd"].iter().any(|own| path.starts_with(own));
    let file = if is_callers_own { File::open(path).map(Some) } else { open_regular(path) }?;
    let file = file.ok_or_else(|| io::Error::other("not a regular file"))?;
    read_at_most(&file, MAX_FILE)?.ok_or_else(too_long)
}

/// All of a file; None: it is longer.
///
/// # Errors
/// It cannot be read.
pub(crate) fn read_at_most(file: &File, most: u64) -> io::Result<Option<Vec<u8>>> {
    let expected = file.metadata().map_or(0, |found| found.len().min(most));
    // One more than it is long, so that one read finds the end as well.
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or_default() + 1);
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= most))
}

/// What is said of a configuration of more than [`MAX_FILE`].
pub(crate) fn too_long() -> io::Error {
    io::Error::other(format!("longer than {} MiB", MAX_FILE >> 20))
}

/// Opens a regular file for reading, links followed; None where something else is there.
///
/// # Errors
/// Nothing is there (`NotFound`, `NotADirectory`: never of `/proc`, which is told in words), it is the kernel's own, or it cannot be had.
/// `WouldBlock`: another process holds a lease on it, which the kernel takes away within a minute.
pub(crate) fn open_regular(path: &Path) -> io::Result<Option<File>> {
    let hold = File::options().read(true).custom_flags(OFlag::O_PATH.bits()).open(path)?;
    if !hold.metadata()?.is_file() {
        return Ok(None);
    }
    refuse_the_kernels_own(&hold)?;
    open_by_hold(&hold, Path::new("/proc")).map(Some)
}

/// Refuses a file of a file system in [`KERNELS_OWN`], and tells which one it is. Takes a hold as well as an open file.
///
/// # Errors
/// It is such a file.
pub(crate) fn refuse_the_kernels_own(file: &File) -> io::Result<()> {
    // The kernel answers of its own file systems. One that does not answer is another's.
    let Ok(found) = fstatfs(file) else { return Ok(()) };
    let magic = found.filesystem_type().0;
    match KERNELS_OWN.iter().find(|(own, _)| *own == magic) {
        Some((_, name)) if !is_open_setting(file) => Err(io::Error::other(format!(
            "it is a file of {name}, which the kernel makes up and which may block; of these only what all may read in /proc/sys is read"
        ))),
        Some(_) | None => Ok(()),
    }
}

/// Whether it is a setting in `/proc/sys` that everybody may read.
fn is_open_setting(file: &File) -> bool {
    let Ok(path) = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) else { return false };
    // By the path as we see it: in another mount namespace another file may stand there.
    let is_what_stands_there = || {
        let (held, there) = (file.metadata().ok()?, fs::symlink_metadata(&path).ok()?);
        Some(held.mode() & READABLE_BY_ALL != 0 && (held.dev(), held.ino()) == (there.dev(), there.ino()))
    };
    path.starts_with("/proc/sys") && is_what_stands_there().unwrap_or(false)
}

/// Opens for reading what is held, by way of `proc`.
fn open_by_hold(hold: &File, proc: &Path) -> io::Result<File> {
    let way = proc.join(format!("self/fd/{}", hold.as_raw_fd()));
    // Not to wait for the end of a lease, which a tenant may hold on its own file.
    File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(&way).map_err(|error| {
        if error.raw_os_error() == Some(Errno::EWOULDBLOCK as i32) {
            return io::Error::new(io::ErrorKind::WouldBlock, "another process holds a lease on it");
        }
        // The link is there as long as the hold is. Without it the error is about `proc`, and says nothing about the file.
        let is_no_way = way.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        if is_no_way { io::Error::other(format!("{} is not there", proc.display())) } else { error }
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read, os::unix::fs::symlink};

    use nix::sys::stat::Mode;

    use super::*;

    #[test]
    fn a_configuration_is_read_to_its_bound() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "x").unwrap();
        fs::File::create(at("long")).unwrap().set_len(MAX_FILE + 1).unwrap();
        nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        symlink("/dev/zero", at("zero")).unwrap();
        assert_eq!(read_configuration(&at("file")).unwrap(), b"x");
        let why = |name: &str| read_configuration(&at(name)).unwrap_err().to_string();
        assert_eq!([why("long"), why("fifo"), why("zero")], ["longer than 1 MiB", "not a regular file", "not a regular file"]);
        // A shell's `<(...)`.
        let (read, write) = nix::unistd::pipe().unwrap();
        nix::unistd::write(&write, b"y").unwrap();
        drop(write);
        let own = format!("/dev/fd/{}", read.as_raw_fd());
        assert_eq!(read_configuration(Path::new(&own)).unwrap(), b"y");
    }

    #[test]
    fn what_is_no_file_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "x").unwrap();
        fs::create_dir(at("d")).unwrap();
        nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        let links = [("good", "file"), ("a", "nowhere"), ("b", "file/below"), ("c", "d"), ("n", "/dev/null"), ("loop", "loop")];
        for (name, target) in links.into_iter().chain([(".#file", "user@host.1")]) {
            symlink(target, at(name)).unwrap();
        }
        for (name, why) in [
            ("a", Some("links to nowhere, which is not there")),
            ("b", Some("links to file/below, which is not there")),
            ("c", Some("links to d, which is a directory")),
            ("d", Some("is a directory, not a regular file")),
            ("fifo", Some("is a fifo, not a regular file")),
            ("n", Some("links to /dev/null, which is a device")),
            ("file", None),
            ("good", None),
            ("loop", None),
            (".#file", None),
            ("none", None),
        ] {
            assert_eq!(why_no_file(&at(name)).as_deref(), why, "{name}");
        }
        assert!(is_lock(&at(".#file")) && !is_lock(&at("a")));
    }

    #[test]
    fn only_a_regular_file_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "x").unwrap();
        nix::unistd::mkfifo(&at("fifo"), Mode::S_IRWXU).unwrap();
        for (name, target) in [("a", "file"), ("b", "fifo"), ("c", "/dev/zero"), ("d", "."), ("e", "nowhere"), ("f", "f")] {
            symlink(target, at(name)).unwrap();
        }
        let mut text = String::new();
        open_regular(&at("a")).unwrap().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        for other in ["b", "c", "d"] {
            assert!(open_regular(&at(other)).unwrap().is_none(), "{other}");
        }
        assert_eq!(open_regular(&at("e")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(open_regular(&at("f")).unwrap_err().raw_os_error(), Some(nix::libc::ELOOP));
    }

    #[test]
    fn what_the_kernel_makes_up_is_refused_but_for_settings_that_all_may_read() {
        let refused = |path: &str| open_regular(Path::new(path)).unwrap_err().to_string();
        for (path, file_system) in [
            ("/proc/kmsg", "procfs"),
            ("/proc/self/environ", "procfs"),
            ("/proc/kallsyms", "procfs"),
            ("/proc/sys/net/ipv4/tcp_fastopen_key", "procfs"),
            ("/sys/kernel/uevent_seqnum", "sysfs"),
        ] {
            assert!(refused(path).contains(&format!("a file of {file_system},")), "{path}");
        }
        for path in ["/proc/sys/kernel/ostype", "/etc/passwd", "/dev/shm/../../proc/sys/kernel/hostname"] {
            assert!(open_regular(Path::new(path)).unwrap().is_some(), "{path}");
        }
    }

    #[test]
    fn a_missing_proc_is_no_missing_file() {
        let dir = tempfile::tempdir().unwrap();
        let (file, none) = (dir.path().join("file"), dir.path().join("proc"));
        fs::write(&file, "x").unwrap();
        let hold = File::options().read(true).custom_flags(OFlag::O_PATH.bits()).open(&file).unwrap();
        let error = open_by_hold(&hold, &none).unwrap_err();
        assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::Other, format!("{} is not there", none.display())));
    }
}
