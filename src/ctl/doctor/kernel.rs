//! The kernel's own features, each by one harmless use of it.

use liege_sys::{Errno, attempt, clone::Namespaces, pidfd, process};

use super::finding::{Finding, Subject};

const KERNEL: Subject = Subject("kernel");
const NEWER: &str = "apt install linux-image-amd64, and boot it";

pub(super) fn look() -> Vec<Finding> {
    vec![
        version(),
        proc(),
        births(),
        pidfds(),
        close_range(),
        inotify(),
        cached_paths(),
        mount_attributes(),
        mount_ids(),
        mount_events(),
    ]
}

fn version() -> Finding {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) < (5, 15) => KERNEL
            .degraded("version", format!("Linux {release}"))
            .costs("liege is tested with Linux 5.15 and newer; what follows says what this one lacks")
            .mended_by(NEWER),
        (Some(_), Some(_)) => KERNEL.ok("version", format!("Linux {release}")),
        _ => KERNEL.unknown("version", "/proc/sys/kernel/osrelease does not tell"),
    }
}

fn proc() -> Finding {
    match std::fs::read("/proc/self/mountinfo") {
        Ok(_) => KERNEL.ok("/proc", "mounted"),
        Err(why) => KERNEL
            .missing("/proc", format!("/proc/self/mountinfo: {why}"))
            .vital()
            .costs("liege finds neither its own program nor anybody's mounts")
            .mended_by("mount -t proc proc /proc"),
    }
}

/// The clone every vassal begins with.
fn births() -> Finding {
    const NAME: &str = "clone3";
    let fs_pid = Namespaces { mount: true, pid: true, ..Namespaces::default() };
    match attempt::birth(fs_pid, None) {
        Ok(()) => KERNEL.ok(NAME, "a child was born into a mount and a pid namespace of its own"),
        Err(Errno::EPERM) if attempt::user() != 0 => KERNEL.unknown(NAME, "only root makes namespaces"),
        Err(errno) => KERNEL
            .missing(NAME, format!("no child in namespaces of its own: {errno}"))
            .vital()
            .costs("no vassal can be started")
            .mended_by(match errno {
                Errno::EPERM => "in a container: start it with CAP_SYS_ADMIN and a seccomp profile that lets clone3 pass",
                _ => NEWER,
            }),
    }
}

fn pidfds() -> Finding {
    match pidfd::open(process::own_pid()).and_then(|own| pidfd::signal(&own, 0)) {
        Ok(()) => KERNEL.ok("pidfd", "processes can be held on to and signalled"),
        Err(errno) => KERNEL
            .missing("pidfd", errno.to_string())
            .vital()
            .costs("a signal could hit a stranger who was given a dead vassal's number")
            .mended_by(NEWER),
    }
}

fn close_range() -> Finding {
    match attempt::close_range() {
        Ok(()) => KERNEL.ok("close_range", "all descriptors can be marked at once"),
        Err(errno) => KERNEL
            .missing("close_range", errno.to_string())
            .vital()
            .costs("the daemon's descriptors would leak into vassals, so none is started")
            .mended_by(NEWER),
    }
}

fn inotify() -> Finding {
    let costs = "changes of files are noticed by the rescan of emperor-freq only, or the daemon does not start";
    match attempt::inotify() {
        Ok(()) => KERNEL.ok("inotify", "an instance and a watch were made"),
        Err(Errno::EMFILE) => KERNEL
            .missing("inotify", "no instance is left for this user")
            .vital()
            .costs(costs)
            .mended_by("sysctl fs.inotify.max_user_instances=1024"),
        Err(Errno::ENOSPC) => KERNEL
            .degraded("inotify", "no watch is left for this user")
            .costs(costs)
            .mended_by("sysctl fs.inotify.max_user_watches=524288"),
        Err(errno) => KERNEL.missing("inotify", errno.to_string()).vital().costs(costs).mended_by(NEWER),
    }
}

fn cached_paths() -> Finding {
    match attempt::resolve_cached() {
        Ok(()) => KERNEL.ok("openat2", "paths can be followed without waiting"),
        Err(errno) => KERNEL
            .degraded("openat2", format!("RESOLVE_CACHED: {errno}"))
            .costs("each directory a vassal starts in is entered by a helper process first")
            .mended_by(NEWER),
    }
}

fn mount_attributes() -> Finding {
    match attempt::mount_setattr() {
        Ok(()) => KERNEL.ok("mount_setattr", "the attributes of a mount were changed"),
        Err(Errno::EPERM) => KERNEL.unknown("mount_setattr", "only root mounts"),
        Err(errno) => KERNEL
            .missing("mount_setattr", errno.to_string())
            .costs("mount lines that bind and say ro, nosuid or the like as well fail")
            .mended_by(NEWER),
    }
}

fn mount_ids() -> Finding {
    if attempt::unique_mount_ids() {
        return KERNEL.ok("unique mount ids", "a mount has a number of its own for ever");
    }
    KERNEL
        .degraded("unique mount ids", "numbers of mounts are used again (STATX_MNT_ID_UNIQUE came with Linux 6.8)")
        .costs("a mount that somebody replaces between two probes may be taken for the old one")
        .mended_by(NEWER)
}

/// Not used so far: nobody misses them.
fn mount_events() -> Finding {
    const NAME: &str = "mount events";
    match attempt::mount_events() {
        Ok(()) => KERNEL.ok(NAME, "fanotify has them; liege does without"),
        Err(Errno::EPERM) => KERNEL.unknown(NAME, "only root may ask for them; liege does without"),
        Err(_) => KERNEL.ok(NAME, "fanotify has none; liege does without"),
    }
}
