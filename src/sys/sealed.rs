//! What a process inside a vassal may reach through `/proc` and can change nothing of: the program it runs, and the null device it reads.
//!
//! Root of a user namespace has the host's uid 0, so it owns every file of the host's root that it can reach. `/proc/PID/exe` and
//! `/proc/self/fd/N` reach what no path leads to. Two ways out:
//! * a **copy** in a sealed memfd: content, size and execute bits can never change, no file system has it, and no setuid bit of it is
//!   heeded. It costs the program's size in memory, once, however many processes run it;
//! * a file of a **read-only mount** that stands nowhere: chmod, chown and writing fail with EROFS. The mount is of the file's *directory*.
//!   A mount of the file alone could be made writable again through the file: `mount_setattr` accepts the root of a detached mount from
//!   every caller with a mount namespace of its own.
//!
//! A copy can be read by no user namespace below ours (its owner has no number there, see `userns`), so the kernel leaves a process that
//! executes it in such a namespace undumpable from its first instruction, with its memory in the care of our own user namespace:
//! `CAP_SYS_PTRACE` inside is none over it.

use std::{
    ffi::{CStr, OsString},
    fs::{self, File},
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::{
            ffi::{OsStrExt, OsStringExt},
            fs::{FileTypeExt, MetadataExt},
        },
    },
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open, openat},
    sys::{
        stat::{Mode, fchmod, fstat},
        statvfs::{FsFlags, fstatvfs},
    },
    unistd::fchown,
};

use crate::{
    Strings, detached,
    process::OneThread,
    raw::{self, check},
    userns,
};

/// `MFD_EXEC`, Linux 6.3: asked for, because a sysctl may make executable ones the exception.
const MFD_EXEC: libc::c_uint = 0x10;
const CONTENT: libc::c_int = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
/// Linux 6.3: the execute bits too.
const F_SEAL_EXEC: libc::c_int = 0x20;

/// A program to execute by its fd, which no process that runs it can change. A copy where one can be made, else a file of a read-only
/// mount.
///
/// # Errors
/// It cannot be read; or neither can be had (`vm.memfd_noexec` is 2, and there is no `mount_setattr` before Linux 5.12).
pub fn program(path: &Path, name: &CStr) -> io::Result<OwnedFd> {
    match copy(&File::open(path)?, name) {
        Ok(copy) => Ok(copy),
        Err(copying) => behind_read_only_mount(path).map_err(|mounting| neither(&copying, &mounting)),
    }
}

/// The copy, open as a path: a memfd that is open for writing cannot be executed.
///
/// # Errors
/// ENOMEM; EACCES where `vm.memfd_noexec` is 2.
pub fn copy(mut program: &File, name: &CStr) -> io::Result<OwnedFd> {
    let mut copy = File::from(memfd(name)?);
    io::copy(&mut program, &mut copy)?;
    fchmod(&copy, Mode::from_bits_truncate(0o111))?;
    let (user, group) = userns::withheld();
    // Without such a number the process keeps to itself by its own call only.
    fchown(&copy, user.map(Into::into), group.map(Into::into))?;
    seal(&copy, CONTENT | F_SEAL_EXEC).or_else(|_| seal(&copy, CONTENT))?;
    let reopened = open(format!("/proc/self/fd/{}", copy.as_raw_fd()).as_str(), OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    Ok(reopened)
}

/// The program through a mount of its directory that stands nowhere.
///
/// # Errors
/// ENOSYS before Linux 5.12; EPERM without `CAP_SYS_ADMIN`.
pub fn behind_read_only_mount(path: &Path) -> io::Result<OwnedFd> {
    let path = path.canonicalize()?;
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::EINVAL.into()) };
    let mount = detached::read_only(directory, libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV)?;
    Ok(openat(&mount, name, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?)
}

/// The program this process runs, as it was when the process began to, whatever lies at its path by now. Through a mount: a copy of it
/// would cost 11 MB for good.
///
/// # Errors
/// As [`program`].
pub fn own_program() -> io::Result<OwnedFd> {
    let runs = fs::metadata("/proc/self/exe")?;
    let is_it = |found: &OwnedFd| {
        let stat = fstat(found);
        stat.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (runs.dev(), runs.ino()))
    };
    let mounted = fs::read_link("/proc/self/exe").and_then(|path| behind_read_only_mount(&path));
    match mounted.ok().filter(is_it) {
        Some(found) => Ok(found),
        None => copy(&File::open("/proc/self/exe")?, c"liege"), // it was replaced, or lies where no mount can be made
    }
}

/// Goes on as a sealed copy of the program this process runs, or behind a read-only mount, with the same words and environment; comes back
/// at once where it does already.
///
/// # Errors
/// As [`program`]; then nothing has changed.
pub fn run_sealed(_: &OneThread) -> io::Result<()> {
    let own = File::open("/proc/self/exe")?;
    if is_sealed(&own) || is_read_only(&own) {
        return Ok(());
    }
    let zero = |_| io::Error::from(Errno::EINVAL);
    let words = Strings::new(std::env::args_os().map(OsStringExt::into_vec)).map_err(zero)?;
    let pair = |(name, value): (OsString, OsString)| [name.as_bytes(), b"=", value.as_bytes()].concat();
    let env = Strings::new(std::env::vars_os().map(pair)).map_err(zero)?;
    let program = copy(&own, c"liege").or_else(|copying| {
        let mounted = fs::read_link("/proc/self/exe").and_then(|path| behind_read_only_mount(&path));
        mounted.map_err(|mounting| neither(&copying, &mounting))
    })?;
    Err(raw::exec(program.as_raw_fd(), c"".as_ptr(), words.as_ptr(), env.as_ptr()).into())
}

fn neither(copying: &io::Error, mounting: &io::Error) -> io::Error {
    io::Error::other(format!("neither can it be copied to a sealed memfd ({copying}) nor be mounted read-only ({mounting})"))
}

fn is_sealed(file: &File) -> bool {
    // SAFETY: numbers only.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    seals >= 0 && seals & CONTENT == CONTENT
}

/// Of the mount it was opened through.
fn is_read_only(file: &File) -> bool {
    fstatvfs(file).is_ok_and(|of| of.flags().contains(FsFlags::ST_RDONLY))
}

/// `/dev/null`, open for both; whoever gets it can use it and open it once more, and cannot change its mode or owner. Where `/dev/null` is a
/// mount of its own (in a container) it is the plain one.
///
/// # Errors
/// There is none.
pub fn null() -> io::Result<File> {
    let sealed = || -> io::Result<File> {
        let mount = detached::read_only(Path::new("/dev"), libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC)?;
        let file = File::from(openat(&mount, "null", OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?);
        if is_null(&file) { Ok(file) } else { Err(Errno::ENODEV.into()) }
    };
    sealed().or_else(|_| File::options().read(true).write(true).open("/dev/null"))
}

fn is_null(file: &File) -> bool {
    file.metadata().is_ok_and(|of| of.file_type().is_char_device() && of.rdev() == libc::makedev(1, 3))
}

fn memfd(name: &CStr) -> nix::Result<OwnedFd> {
    let make = |flags: libc::c_uint| {
        // SAFETY: a terminated name that outlives the call; a new fd is made.
        let fd = check(unsafe { libc::syscall(libc::SYS_memfd_create, name.as_ptr(), flags) })?;
        // SAFETY: the kernel has just made it, nobody else knows it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
    };
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    match make(flags | MFD_EXEC) {
        Err(Errno::EINVAL) => make(flags), // older: always executable
        answer => answer,
    }
}

fn seal(file: &File, seals: libc::c_int) -> nix::Result<()> {
    // SAFETY: numbers only.
    check(unsafe { libc::syscall(libc::SYS_fcntl, file.as_raw_fd(), libc::F_ADD_SEALS, seals) }).map(drop)
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, process::Command};

    use super::*;

    fn path(fd: &impl AsRawFd) -> String {
        format!("/proc/self/fd/{}", fd.as_raw_fd())
    }

    fn mode(path: &str) -> u32 {
        fs::metadata(path).unwrap().permissions().mode()
    }

    fn change(path: &str, mode: u32) -> Option<i32> {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).err().and_then(|error| error.raw_os_error())
    }

    #[test]
    fn a_copy_runs_and_is_changed_by_nobody_not_even_root() {
        let copy = copy(&File::open("/bin/true").unwrap(), c"copy").unwrap();
        let path = path(&copy);
        assert!(Command::new(&path).status().unwrap().success());
        assert_eq!(mode(&path) & 0o777, 0o111);
        let write = File::options().write(true).open(&path).and_then(|mut file| io::Write::write(&mut file, b"x"));
        assert_eq!(write.unwrap_err().raw_os_error(), Some(libc::EPERM));
        let sealed = change(&path, 0o644);
        assert!(sealed == Some(libc::EPERM) || sealed.is_none(), "where the kernel knows how (Linux 6.3): {sealed:?}");
        assert_eq!(fs::metadata("/bin/true").unwrap().permissions().mode() & 0o7777, 0o755);
    }

    #[test]
    fn a_file_behind_a_read_only_mount_runs_and_its_mode_cannot_be_changed() {
        let file = behind_read_only_mount(Path::new("/bin/true")).unwrap();
        let path = path(&file);
        assert!(Command::new(&path).status().unwrap().success());
        let before = mode(&path);
        assert_eq!((change(&path, before | 0o4000), mode(&path)), (Some(libc::EROFS), before));
        // Nor does the file lead to the mount.
        let attributes = [0, libc::MOUNT_ATTR_RDONLY, 0, 0];
        let size = size_of_val(&attributes);
        // SAFETY: a terminated string and a block as long as we say, which outlive the call and are only read.
        let answer = check(unsafe {
            libc::syscall(libc::SYS_mount_setattr, file.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, attributes.as_ptr(), size)
        });
        assert_eq!(answer, Err(Errno::EINVAL));
    }

    #[test]
    fn our_own_program_is_this_one() {
        let own = own_program().unwrap();
        assert_eq!(fstat(&own).unwrap().st_ino, fs::metadata("/proc/self/exe").unwrap().ino());
        assert_eq!(change(&path(&own), 0o755), Some(libc::EROFS));
    }

    #[test]
    fn the_null_device_works_and_stays_as_it_is() {
        let null = null().unwrap();
        let path = path(&null);
        assert_eq!(io::Write::write(&mut &null, b"x").unwrap(), 1);
        assert!(File::options().read(true).write(true).open(&path).is_ok(), "it can be opened once more");
        assert_eq!(change(&path, 0o666), Some(libc::EROFS));
    }
}
