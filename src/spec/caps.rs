//! Capabilities by name: `cap` of a vassal, `emperor-cap` for all of them.

use crate::known::nearest;
use crate::options::Options;
use crate::report::Report;
use crate::{Asked, Code, Diagnostic};

/// The kernel's names in the order of their numbers. uWSGI knows the first 36.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The names of a set, as they are written in a list.
#[must_use]
pub fn capability_names(set: u64) -> String {
    let number = |index: u32| set >> index & 1 == 1;
    let names = (0..64).filter(|index| number(*index)).map(|index| {
        let name = NAMES.get(index as usize);
        name.map_or_else(|| index.to_string(), |name| (*name).to_owned())
    });
    names.collect::<Vec<_>>().join(",")
}

/// The last line of one of these names, as a set with one bit for each capability. None: there is no line.
pub(crate) fn raise(options: &Options<'_>, keys: &[&str], report: &mut Report) -> Option<Asked<u64>> {
    let line = options.all(keys).last()?;
    let mut set = 0;
    for word in line.value.split(',').filter(|word| !word.is_empty()) {
        match number(word) {
            Some(number) => set |= 1 << number,
            None => report
                .push(unknown(word, line.error_at(word, Code::UnknownCapability, format!("there is no capability \"{word}\"")))),
        }
    }
    Some(Asked::new(set, line.origin.clone()))
}

/// As uWSGI names them, also with the kernel's `CAP_` in front and in capitals, or by number.
fn number(word: &str) -> Option<usize> {
    let lower = word.to_ascii_lowercase();
    let name = lower.strip_prefix("cap_").unwrap_or(&lower);
    NAMES.iter().position(|known| *known == name).or_else(|| name.parse().ok().filter(|number| *number < NAMES.len()))
}

fn unknown(word: &str, mistake: Diagnostic) -> Diagnostic {
    let lower = word.trim().to_ascii_lowercase();
    let name = lower.strip_prefix("cap_").unwrap_or(&lower);
    let exact = NAMES.into_iter().find(|known| *known == name);
    match exact.or_else(|| nearest(name, NAMES.into_iter())) {
        Some(near) => mistake.with_hint(format!("did you mean {near}?")),
        None => mistake.with_hint("names as in capabilities(7), a comma between them, no blank: net_bind_service,sys_nice"),
    }
}

/// `emperor-cap`: a list that keeps vassals from what they usually need is pointed out.
pub(crate) fn of_the_emperor(options: &Options<'_>, report: &mut Report) -> Option<Asked<u64>> {
    const KEYS: [&str; 3] = ["emperor-cap", "vassals-cap", "vassal-cap"];
    let asked = raise(options, &KEYS, report)?;
    let line = options.all(&KEYS).last()?;
    if line.value.is_empty() {
        report.push(
            line.error(Code::MissingValue, "names no capability").with_hint("without the line vassals get what the emperor has"),
        );
    }
    if line.value.split(',').any(|word| !word.is_empty() && number(word).is_none()) {
        return Some(asked); // what it lacks was probably misspelt
    }
    let without = |name: &str| number(name).is_some_and(|number| asked.value >> number & 1 == 0);
    // Measured: with sys_admin alone in its bounding set fusermount3 mounts, without it nothing does.
    if without("sys_admin") {
        let warning = line.warning(
            Code::TooFewCapabilities,
            "without sys_admin no vassal can mount: neither mount hooks and pivot_root, nor fusermount",
        );
        report.push(warning.with_hint("add sys_admin where vassals have FUSE mounts"));
    } else if without("setuid") || without("setgid") {
        let warning = line.warning(
            Code::TooFewCapabilities,
            "without setuid and setgid a uwsgi that is to drop to its uid and gid ends instead",
        );
        report.push(warning.with_hint("add setuid,setgid; a vassal with a command needs neither"));
    }
    Some(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (word, is) in [
            ("chown", Some(0)),
            ("CAP_NET_BIND_SERVICE", Some(10)),
            ("sys_admin", Some(21)),
            ("24", Some(24)),
            ("checkpoint_restore", Some(40)),
            ("41", None),
            ("net", None),
        ] {
            assert_eq!(number(word), is, "{word}");
        }
        assert_eq!(capability_names(1 | 1 << 10 | 1 << 63), "chown,net_bind_service,63");
    }
}
