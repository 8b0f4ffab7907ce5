//! uWSGI's other ways into a jail, which liege does not go, each with its reason.
//!
//! `namespace` clones once more inside the vassal, and `setns` moves uwsgi into namespaces of somebody else: both happen before
//! the hooks that liege carries out itself, which would then run in the wrong place. So they are refused, never passed on.

use crate::Code;
use crate::options::Options;
use crate::report::Report;

const REFUSED: [(&str, &str, &str); 12] = [
    ("namespace", SECOND_JAIL, ROOT),
    ("ns", SECOND_JAIL, ROOT),
    ("linux-namespace", SECOND_JAIL, ROOT),
    ("linux-ns", SECOND_JAIL, ROOT),
    ("namespace-keep-mount", SECOND_JAIL, ROOT),
    ("ns-keep-mount", SECOND_JAIL, ROOT),
    ("linux-ns-keep-mount", SECOND_JAIL, ROOT),
    ("namespace-net", SECOND_JAIL, "emperor-use-clone = fs,pid,net gives every vassal a network of its own"),
    ("ns-net", SECOND_JAIL, "emperor-use-clone = fs,pid,net gives every vassal a network of its own"),
    ("linux-ns-net", SECOND_JAIL, "emperor-use-clone = fs,pid,net gives every vassal a network of its own"),
    ("setns", OTHERS, "start the program there by a command: nsenter --target PID --net PROGRAM"),
    ("setns-preopen", OTHERS, "leave it out"),
];
const SECOND_JAIL: &str = "it would make a second jail inside the first, whose hooks liege has run by then";
const ROOT: &str = "emperor-use-clone = fs,pid,ipc,uts and pivot_root = NEW OLD (or chroot) make the same jail";
const OTHERS: &str = "uwsgi would leave the namespaces in which liege has run its hooks";

/// Refuses them, in every vassal.
pub(crate) fn refuse(options: &Options<'_>, report: &mut Report) {
    for (key, why, hint) in REFUSED {
        for line in options.all(&[key]) {
            report.push(line.error_at_key(Code::NotSupported, format!("{key} is not supported: {why}")).with_hint(hint));
        }
    }
}
