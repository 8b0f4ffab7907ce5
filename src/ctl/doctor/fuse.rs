//! FUSE: the driver, its device, who may open it, the setuid helper users mount with, and the emergency exits.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use liege_sys::{Errno, attempt, fusectl::Connections};

use super::{
    finding::{Finding, Subject},
    program,
};

const FUSE: Subject = Subject("fuse");
const DEVICE: &str = "/dev/fuse";
const DEVICE_C: &std::ffi::CStr = c"/dev/fuse";
/// Major 10 (misc), minor 229.
const NUMBER: (u64, u64) = (10, 229);
const NO_MOUNTS: &str = "no FUSE file system can be mounted, by nobody";
const NOBODY: u32 = 65_534;

pub(super) fn look() -> Vec<Finding> {
    let mut found = vec![driver(), device()];
    found.extend(users());
    found.extend([fusermount(), allow_other(), exits()]);
    found
}

fn driver() -> Finding {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if known.lines().any(|line| line.split_whitespace().last() == Some("fuse")) {
        return FUSE.ok("driver", "the kernel has it");
    }
    FUSE.missing("driver", "the kernel has none, or it is not loaded").costs(NO_MOUNTS).mended_by("modprobe fuse")
}

fn device() -> Finding {
    const MAKE: &str = "mknod -m 0666 /dev/fuse c 10 229 (in a container: --device /dev/fuse)";
    let at = match fs::metadata(DEVICE) {
        Ok(at) => at,
        Err(why) => return FUSE.missing(DEVICE, why.to_string()).costs(NO_MOUNTS).mended_by(MAKE),
    };
    let number = (at.rdev() >> 8 & 0xfff, at.rdev() & 0xff);
    if !at.file_type().is_char_device() || number != NUMBER {
        return FUSE.missing(DEVICE, "is something else than the FUSE device").costs(NO_MOUNTS).mended_by(MAKE);
    }
    match attempt::open_here(DEVICE_C) {
        Ok(()) => FUSE.ok(DEVICE, format!("opened; mode {:04o}", at.mode() & 0o7777)),
        Err(Errno::EACCES) if attempt::user() != 0 => FUSE.unknown(DEVICE, "this user may not open it"),
        Err(errno) => {
            FUSE.missing(DEVICE, format!("cannot be opened: {errno}")).costs(NO_MOUNTS).mended_by(if errno == Errno::EPERM {
                "let the container have the device (--device /dev/fuse)"
            } else {
                "modprobe fuse"
            })
        }
    }
}

/// Where the device is there: whether users reach it.
fn users() -> Option<Finding> {
    const NAME: &str = "/dev/fuse, by users";
    if !Path::new(DEVICE).exists() {
        return None;
    }
    let tried = match attempt::user() {
        0 => attempt::open_as(NOBODY, DEVICE_C),
        _ => attempt::open_here(DEVICE_C),
    };
    Some(match tried {
        Ok(()) => FUSE.ok(NAME, "an ordinary user opened it"),
        Err(errno) => FUSE
            .missing(NAME, format!("an ordinary user may not open it: {errno}"))
            .costs("FUSE programs of vassals with a uid (exec-as-user) cannot mount")
            .mended_by("chmod 0666 /dev/fuse"),
    })
}

fn fusermount() -> Finding {
    const NAME: &str = "fusermount";
    const COSTS: &str = "users cannot mount: exec-as-user hooks with FUSE programs fail";
    const INSTALL: &str = "apt install fuse3";
    let (new, old) = (program("fusermount3"), program("fusermount"));
    let Some(path) = new.or(old) else {
        return FUSE.missing(NAME, "neither fusermount3 nor fusermount is in PATH").costs(COSTS).mended_by(INSTALL);
    };
    let shown = path.display();
    let setuid = fs::metadata(&path).is_ok_and(|at| at.uid() == 0 && at.mode() & 0o4000 != 0);
    if !setuid {
        return FUSE
            .missing(NAME, format!("{shown} is not setuid root"))
            .costs(COSTS)
            .mended_by(format!("chown root {shown} && chmod 4755 {shown}"));
    }
    if attempt::is_nosuid(&path) {
        return FUSE
            .missing(NAME, format!("{shown} is on a file system mounted nosuid"))
            .costs(COSTS)
            .mended_by("mount -o remount,suid THE-FILE-SYSTEM");
    }
    // Each generation of the library looks for its own name.
    let lacking = [("fusermount3", "3"), ("fusermount", "2")].into_iter().find(|(name, _)| program(name).is_none());
    match lacking {
        Some((name, generation)) => FUSE
            .degraded(NAME, format!("{shown} is setuid root; there is no {name}"))
            .costs(format!("FUSE programs of libfuse {generation} cannot mount as a user"))
            .mended_by(INSTALL),
        None => FUSE.ok(NAME, format!("{shown} is setuid root")),
    }
}

/// A default that few need changed: told, not blamed.
fn allow_other() -> Finding {
    let text = fs::read_to_string("/etc/fuse.conf").unwrap_or_default();
    let set = text.lines().any(|line| line.trim() == "user_allow_other");
    FUSE.ok(
        "user_allow_other",
        if set { "set: users may let others in" } else { "not set: -o allow_other is root's alone (/etc/fuse.conf)" },
    )
}

fn exits() -> Finding {
    const NAME: &str = "fusectl";
    if attempt::user() != 0 {
        return FUSE.unknown(NAME, "only root opens a connection's emergency exit");
    }
    match Connections::open() {
        Ok(_) => FUSE.ok(NAME, "hung connections can be aborted"),
        Err(errno) => FUSE
            .missing(NAME, errno.to_string())
            .costs("who hangs on a dead FUSE mount cannot be freed, and its vassal does not end")
            .mended_by("mount -t fusectl fusectl /sys/fs/fuse/connections"),
    }
}
