//! Control groups: which versions are mounted, which controllers may be used, and whether a vassal can be born into a group.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::{fd::AsFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use liege_sys::{Errno, attempt, clone::Namespaces, mountinfo};

use super::finding::{Finding, Subject};

const CGROUPS: Subject = Subject("cgroups");
const COSTS: &str = "vassals with a cgroup line do not start, and nothing bounds the others' memory and cpu";

pub(super) fn look() -> Vec<Finding> {
    let mounts = match mountinfo::own() {
        Ok(mounts) => mounts,
        Err(why) => return vec![CGROUPS.unknown("version 2", why)],
    };
    let at = |mount: &mountinfo::Mount| Path::new(&mount.mount_point).to_owned();
    let unified = mounts.iter().find(|mount| mount.fstype == "cgroup2").map(at);
    let of_one = |mount: &&mountinfo::Mount| mount.fstype == "cgroup" && !mount.super_options.contains("name=");
    let single: Vec<(String, PathBuf)> =
        mounts.iter().filter(of_one).map(|mount| (controllers(&mount.super_options), at(mount))).collect();
    if unified.is_none() && single.is_empty() {
        let none = CGROUPS.missing("version 2", "no hierarchy is mounted");
        return vec![none.costs(COSTS).mended_by("mount -t cgroup2 cgroup2 /sys/fs/cgroup")];
    }
    let mut found = Vec::new();
    if let Some(at) = &unified {
        found.extend([version_two(at, &single), birth(at)]);
    }
    if !single.is_empty() {
        found.push(version_one(&single));
    }
    found
}

/// `rw,cpu,cpuacct` without what is said of every file system.
fn controllers(options: &str) -> String {
    let options = options.split(',').filter(|option| !["rw", "ro", "xattr", "clone_children"].contains(option));
    options.filter(|option| !option.contains('=')).collect::<Vec<_>>().join(",")
}

fn version_two(at: &Path, single: &[(String, PathBuf)]) -> Finding {
    const NAME: &str = "version 2";
    let shown = at.display();
    if let Err(errno) = attempt::writable(at) {
        return unwritable(NAME, &format!("{shown}: {errno}"));
    }
    let controllers = fs::read_to_string(at.join("cgroup.controllers")).unwrap_or_default();
    let controllers = controllers.trim();
    if ["memory", "cpu", "pids"].iter().all(|controller| controllers.split(' ').any(|there| there == *controller)) {
        return CGROUPS.ok(NAME, format!("{shown}: {controllers}"));
    }
    let there = if controllers.is_empty() { "none" } else { controllers };
    let few = CGROUPS.degraded(NAME, format!("{shown}: controllers: {there}"));
    if single.is_empty() {
        return few.costs("cgroup-opt lines of the others fail").mended_by("cgroup_enable=memory on the kernel's command line");
    }
    few.costs("limits need groups of version 1 (cgroup = /sys/fs/cgroup/memory/NAME), which are joined after the birth")
        .mended_by("systemd.unified_cgroup_hierarchy=1 on the kernel's command line")
}

fn version_one(single: &[(String, PathBuf)]) -> Finding {
    const NAME: &str = "version 1";
    let (writable, others): (Vec<_>, Vec<_>) = single.iter().partition(|(_, at)| attempt::writable(at).is_ok());
    let names = |of: &[&(String, PathBuf)]| of.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ");
    if writable.is_empty() {
        return unwritable(NAME, &names(&others));
    }
    CGROUPS.ok(NAME, format!("writable: {}", names(&writable)))
}

fn unwritable(name: &'static str, what: &str) -> Finding {
    if attempt::user() != 0 {
        return CGROUPS.unknown(name, "only root writes there");
    }
    CGROUPS
        .missing(name, format!("cannot be written: {what}"))
        .costs(COSTS)
        .mended_by("mount -o remount,rw /sys/fs/cgroup (in a container: let it have groups of its own)")
}

/// Into our own group, where we are anyway.
fn birth(at: &Path) -> Finding {
    const NAME: &str = "birth into a group";
    if attempt::user() != 0 {
        return CGROUPS.unknown(NAME, "only root writes there");
    }
    let own = fs::read("/proc/self/cgroup").unwrap_or_default();
    let own = own.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::/"));
    let own = at.join(OsStr::from_bytes(own.unwrap_or_default()));
    let group = match File::open(&own) {
        Ok(group) => group,
        Err(why) => return CGROUPS.unknown(NAME, format!("{}: {why}", own.display())),
    };
    match attempt::birth(Namespaces::default(), Some(group.as_fd())) {
        // Busy: a group that has groups below it takes no process, but the kernel knows how.
        Ok(()) | Err(Errno::EBUSY) => CGROUPS.ok(NAME, "clone3 can"),
        Err(errno) => CGROUPS
            .missing(NAME, errno.to_string())
            .costs("vassals with a cgroup of version 2 do not start")
            .mended_by("apt install linux-image-amd64, and boot it (Linux 5.7 or newer)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hierarchy_is_called_by_its_controllers() {
        assert_eq!(controllers("rw,cpu,cpuacct"), "cpu,cpuacct");
        assert_eq!(controllers("rw,xattr,memory,release_agent=/x"), "memory");
    }
}
