//! `cgroup`, `cgroup-opt`, `cgroup-dir-mode`: the control groups a vassal lives in.
//!
//! As in uWSGI each `cgroup` line is the directory of a group, made where it is missing (its parent is not), and each option is
//! written to every group that has a file of this name. A file that none of them has is a mistake here, in silence nothing there.

use serde::{Deserialize, Serialize};

use crate::options::Options;
use crate::report::Report;
use crate::{Asked, Code, values};

/// The control groups of a vassal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroups {
    /// `cgroup = PATH`: directories in a mounted hierarchy, of version 2 or 1.
    pub paths: Vec<Asked<String>>,
    /// `cgroup-dir-mode` (0700).
    pub mode: u32,
    /// `cgroup-opt = FILE=VALUE` or `FILE:VALUE`.
    pub options: Vec<Asked<(String, String)>>,
}

/// The groups of a vassal's file.
pub(crate) fn raise(options: &Options<'_>, report: &mut Report) -> Cgroups {
    let mut cgroups =
        Cgroups { mode: options.checked("cgroup-dir-mode", report, values::octal).unwrap_or(0o700), ..Cgroups::default() };
    for line in options.all(&["cgroup"]) {
        let path = line.value.trim_end_matches('/');
        if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
            let wrong = line.error(Code::BadValue, "a cgroup is named by the whole path of its directory");
            report.push(wrong.with_hint("as in cgroup = /sys/fs/cgroup/vassals/shop"));
        } else {
            cgroups.paths.push(Asked::new(path.to_owned(), line.origin.clone()));
        }
    }
    for line in options.all(&["cgroup-opt"]) {
        match line.value.split_once('=').or_else(|| line.value.split_once(':')) {
            Some((file, value)) if is_file(file) => {
                cgroups.options.push(Asked::new((file.to_owned(), value.to_owned()), line.origin.clone()));
            }
            _ => report.push(line.error(Code::BadValue, "is written FILE=VALUE").with_hint("as in cgroup-opt = memory.max=512M")),
        }
        if options.last("cgroup").is_none() {
            report.push(
                line.warning(Code::NoEffect, "has no effect: the vassal is in no cgroup of its own")
                    .with_hint("add cgroup = PATH"),
            );
        }
    }
    cgroups
}

/// A file of the group itself, and none of those that move processes.
fn is_file(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && !["tasks", "cgroup.procs", "cgroup.threads"].contains(&name)
}
