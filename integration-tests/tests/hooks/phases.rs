//! Vassals with a hook in every phase and family, and what became of them from the first start over a reload to the end.

use crate::world::{Side, World};

/// Everything a vassal of these suites has beside its hooks: a real uwsgi that listens somewhere and does nothing.
pub(crate) const APP: &str = "[uwsgi]\nmaster = true\nsocket = 127.0.0.1:0\n";

/// The accounts every Debian has.
pub(crate) const USER: &str = "uid = www-data\ngid = www-data\n";

/// Phases of root, which have all families but `call`.
const OF_ROOT: [&str; 5] = ["asap", "pre-jail", "in-jail", "post-jail", "as-root"];

/// Phases that are uwsgi's own, whoever its emperor is. Those of its worker run beside those of its master.
const OF_UWSGI: [&str; 10] = [
    "pre-app",
    "post-app",
    "master-start",
    "emperor-reload",
    "emperor-stop",
    "post-fork",
    "accepting",
    "accepting-once",
    "accepting1",
    "accepting1-once",
];

/// Every phase and family, the last one first: the order of a file is no order of phases. What a reload may not do as the
/// user, it leaves out.
pub(crate) fn everything(mounts: bool) -> String {
    let mut text = String::from("env = HOOK_ENV=from-env\numask = 027\n");
    let mut lines = |line: String| {
        text += &line;
        text.push('\n');
    };
    for phase in OF_UWSGI.iter().rev() {
        lines(format!("hook-{phase} = exec:<mark> hook-{phase}"));
    }
    for phase in ["post-app", "pre-app"] {
        lines(format!("exec-{phase} = <mark> exec-{phase}"));
    }
    // A failure at the end is told and nothing else.
    lines("exec-as-user-atexit = false".into());
    lines("exec-as-user-atexit = <mark> exec-as-user-atexit".into());
    lines("hook-as-user-atexit = exec:false".into());
    lines("hook-as-user-atexit = exec:<mark> hook-as-user-atexit".into());
    lines("exec-as-user = <mark> exec-as-user".into());
    lines("hook-as-user = exec:<mark> hook-as-user".into());
    lines("hook-as-user = putenv:HOOK_SET=as-user".into());
    for phase in OF_ROOT.iter().rev() {
        lines(format!("exec-{phase} = <mark> exec-{phase}"));
        lines(format!("hook-{phase} = exec:<mark> hook-{phase}"));
        lines(format!("hook-{phase} = putenv:HOOK_SET={phase}"));
        if mounts {
            let (a, b) = (format!("<dir>/m/{phase}-a"), format!("<dir>/m/{phase}-b"));
            lines("if-not-reload =".into());
            lines(format!("umount-{phase} = {b}"));
            lines(format!("mount-{phase} = tmpfs none {a}"));
            lines(format!("mount-{phase} = tmpfs none {b}"));
            lines(format!("hook-{phase} = mkdir:{a}"));
            lines(format!("hook-{phase} = mkdir:{b}"));
            lines("endif =".into());
        }
    }
    text
}

/// A whole life: up, reloaded, removed. The record, uwsgi's worker apart from the rest, since they run side by side.
pub(crate) fn life(world: &World<'_>, side: Side, options: &[(String, String)], text: &str) -> Vec<String> {
    let governor = world.govern(side, options);
    world.note("== started");
    world.write("app.ini", text);
    let up = |count| {
        world.wait("hook-accepting1-once", count, &governor);
        world.wait("hook-master-start", count, &governor);
    };
    up(1);
    world.note("== reloaded");
    world.touch("app.ini", 10);
    up(2);
    world.note("== removed");
    world.remove("app.ini");
    governor.wait_alone();
    governor.end();
    let of_the_worker = |line: &String| line.starts_with("hook-post-fork ") || line.starts_with("hook-accepting");
    let (worker, mut all): (Vec<String>, Vec<String>) = world.record().into_iter().partition(of_the_worker);
    all.push("== the worker".into());
    all.extend(worker);
    all
}

/// A start that fails, up to the beginning of the next one.
pub(crate) fn failed_start(world: &World<'_>, side: Side, text: &str) -> Vec<String> {
    let governor = world.govern(side, &[]);
    world.write("app.ini", text);
    world.wait("hook-asap", 2, &governor);
    world.remove("app.ini");
    governor.wait_alone();
    governor.end();
    let record = world.record();
    let second = record.iter().skip(1).position(|line| line.starts_with("hook-asap ")).map_or(record.len(), |at| at + 1);
    record[..second].to_vec()
}

/// A new root made of the old one's parts, entered by these lines, and the hooks that see it.
fn root_of_parts(enter: &str) -> String {
    let mut text = String::from("if-not-reload =\nhook-pre-jail = callret:chdir /\nhook-pre-jail = exec:mkdir -p <dir>/new\n");
    text += "hook-pre-jail = mount:tmpfs none <dir>/new\n";
    for dir in ["usr", "bin", "lib", "lib64", "etc", "dev", "sbin"] {
        text += &format!("hook-pre-jail = mkdir:<dir>/new/{dir}\nhook-pre-jail = mount:none /{dir} <dir>/new/{dir} bind,rec\n");
    }
    text += "hook-pre-jail = exec:umask 022 && cd <dir>/new && mkdir -p proc run var tmp old .<dir>\nhook-pre-jail = mount:none <dir> <dir>/new<dir> bind\n";
    text + enter + "endif =\n"
}

const SEE_IT: &str = "hook-as-root = exec:<mark> before-proc\nhook-as-root = mount:proc none /proc\n";

/// Entered by `pivot_root`; the old one is taken away.
pub(crate) fn pivoted() -> String {
    root_of_parts(&format!("pivot_root = <dir>/new <dir>/new/old\n{SEE_IT}hook-as-root = umount:/old rec,detach\n"))
}

/// Entered by `chroot`.
pub(crate) fn chrooted() -> String {
    root_of_parts(&format!("chroot = <dir>/new\n{SEE_IT}"))
}

/// Namespaces of its own between `in-jail` and `post-jail`, and a word of whether they are others.
pub(crate) fn unshared() -> String {
    let own = "readlink /proc/self/ns/ipc";
    format!(
        "unshare = ipc,uts\nif-not-reload =\nhook-in-jail = exec:{own} > <dir>/w/ipc\n\
         hook-post-jail = exec:grep -qF $({own}) <dir>/w/ipc && <mark> the-same-ipc || <mark> another-ipc\nendif =\n"
    )
}
