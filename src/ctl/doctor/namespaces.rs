//! The namespaces a vassal may get beside fs and pid, and who may make user namespaces.

use liege_sys::{Errno, attempt, clone::Namespaces};

use super::{
    finding::{Finding, Subject},
    number,
};

const NAMESPACES: Subject = Subject("namespaces");
/// Somebody without any rights.
const NOBODY: u32 = 65_534;

pub(super) fn look() -> Vec<Finding> {
    let none = Namespaces::default();
    let kinds = [
        ("ipc", Namespaces { ipc: true, ..none }),
        ("uts", Namespaces { uts: true, ..none }),
        ("net", Namespaces { net: true, ..none }),
        ("cgroup", Namespaces { cgroup: true, ..none }),
        ("user", Namespaces { user: true, ..none }),
    ];
    kinds.into_iter().map(|(name, kind)| of_root(name, kind)).chain([of_users()]).collect()
}

fn of_root(name: &'static str, kind: Namespaces) -> Finding {
    match attempt::birth(kind, None) {
        Ok(()) => NAMESPACES.ok(name, "a child was born into one"),
        Err(Errno::EPERM) if attempt::user() != 0 => NAMESPACES.unknown(name, "only root makes them"),
        Err(errno) => {
            let missing = NAMESPACES
                .missing(name, errno.to_string())
                .costs(format!("vassals of an emperor with {name} in emperor-use-clone do not start"));
            match errno {
                Errno::ENOSPC => missing.mended_by(format!("sysctl user.max_{name}_namespaces=10000")),
                _ => missing.mended_by("a kernel that is built with them, or a container that allows them"),
            }
        }
    }
}

/// Not for liege, but for what runs in vassals: browsers and build tools make their sandboxes of them.
fn of_users() -> Finding {
    const NAME: &str = "user, by users";
    let tried = match attempt::user() {
        0 => attempt::user_namespace_of(NOBODY),
        _ => attempt::birth(Namespaces { user: true, ..Namespaces::default() }, None),
    };
    let Err(errno) = tried else { return NAMESPACES.ok(NAME, "an ordinary user may make them") };
    let refused = NAMESPACES
        .degraded(NAME, format!("an ordinary user may make none: {errno}"))
        .costs("programs that make a sandbox of their own (browsers, bubblewrap) fail in vassals; liege needs none of it");
    if number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        return refused.mended_by("sysctl kernel.unprivileged_userns_clone=1");
    }
    if number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").is_some_and(|restricted| restricted != 0) {
        return refused.mended_by("sysctl kernel.apparmor_restrict_unprivileged_userns=0");
    }
    refused.mended_by("sysctl user.max_user_namespaces=10000")
}
