//! What the kernel lets us do: root, and root's capabilities, which a container or a unit may have taken away.

use std::fs;

use liege_sys::{attempt, caps};

use super::finding::{Finding, Subject};

const RIGHTS: Subject = Subject("rights");

/// What liege uses, and what for.
const NEEDED: [(u64, &str, &str); 6] = [
    (caps::SYS_ADMIN, "sys_admin", "namespaces and mounts"),
    (caps::SETUID, "setuid", "vassals that are not root"),
    (caps::SETGID, "setgid", "vassals that are not root"),
    (caps::KILL, "kill", "ending vassals that are not root"),
    (caps::DAC_OVERRIDE, "dac_override", "files of users"),
    (caps::SYS_CHROOT, "sys_chroot", "the new root of a vassal"),
];

pub(super) fn look() -> Vec<Finding> {
    vec![root(), capabilities(), new_privileges()]
}

fn root() -> Finding {
    match attempt::user() {
        0 => RIGHTS.ok("root", "asked as root"),
        user => RIGHTS
            .unknown("root", format!("asked as uid {user}"))
            .costs("only root rules; what only root can try was left out here")
            .mended_by("sudo liege doctor"),
    }
}

fn capabilities() -> Finding {
    const NAME: &str = "capabilities";
    if attempt::user() != 0 {
        return RIGHTS.unknown(NAME, "asked as another user than root");
    }
    let have = match caps::get() {
        Ok(have) => have.effective,
        Err(errno) => return RIGHTS.unknown(NAME, errno),
    };
    let lacking: Vec<&(u64, &str, &str)> = NEEDED.iter().filter(|(capability, ..)| have & capability == 0).collect();
    if let [first, ..] = lacking[..] {
        let names: Vec<&str> = lacking.iter().map(|(_, name, _)| *name).collect();
        return RIGHTS
            .missing(NAME, format!("root lacks {}", names.join(", ")))
            .vital()
            .costs(format!("among others no {}", first.2))
            .mended_by(format!("start the container or the unit with them (docker run --cap-add {})", names[0].to_uppercase()));
    }
    if have & caps::SYS_RESOURCE == 0 {
        return RIGHTS
            .degraded(NAME, "root lacks sys_resource")
            .costs("limits above the hard ones of the daemon (max-fd, limit-nproc) are refused")
            .mended_by("start the container or the unit with it (docker run --cap-add SYS_RESOURCE)");
    }
    RIGHTS.ok(NAME, "root has all that liege uses")
}

/// Inherited by everything, and then no setuid program is one.
fn new_privileges() -> Finding {
    const NAME: &str = "new privileges";
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    match status.lines().find_map(|line| line.strip_prefix("NoNewPrivs:")).map(str::trim) {
        Some("0") => RIGHTS.ok(NAME, "setuid programs work"),
        Some(_) => RIGHTS
            .missing(NAME, "no_new_privs is set here, and whatever is started here inherits it")
            .costs("fusermount, sudo and sendmail do nothing in a daemon that is started from here")
            .mended_by("NoNewPrivileges=no in the unit, or no --security-opt no-new-privileges"),
        None => RIGHTS.unknown(NAME, "/proc/self/status does not tell"),
    }
}
