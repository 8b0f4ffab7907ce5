//! One line each, and whether a vassal with it comes up. All vassals of a list live under one Emperor at the same time.

use crate::differences::REC_WITH_BLANKS;
use crate::phases::{APP, USER};
use crate::world::{Governor, Side, World};
use liege_integration_tests::{LONG, wait_for};

/// Lines whose fate is compared: a failure in every phase and family, then in every verb, then words of mounts.
pub(crate) fn lines() -> Vec<String> {
    let mut lines = Vec::new();
    for phase in ["asap", "pre-jail", "in-jail", "as-root"] {
        lines.push(format!("hook-{phase} = exec:exit 3"));
        lines.push(format!("exec-{phase} = exit 3"));
        lines.push(format!("mount-{phase} = none <dir>/nowhere <dir>/w bind"));
        lines.push(format!("umount-{phase} = <dir>/w"));
    }
    lines.extend(
        ["hook-as-user = exec:exit 3", "exec-as-user = exit 3", "hook-as-user = mkdir:/root/not-mine"].map(str::to_owned),
    );
    let verbs = [
        "safeexec:exit 3",
        "exec:kill -9 $$",
        "!exec:exit 3",
        "chdir:<dir>/nowhere",
        "cd:<dir>/record",
        "callret:chdir <dir>/nowhere",
        "callret:unlink <dir>/nowhere",
        "mkdir:<dir>/w",
        "chmod:<dir>/nowhere 0755",
        "chmod:<dir>/w rwx",
        "chown:<dir>/nowhere root root",
        "chown:<dir>/w nobody-of-this-name root",
        "chown2:<dir>/nowhere 0 0",
        "chown2:<dir>/w root root",
        "sticky:<dir>/nowhere",
        "create:<dir>/nowhere/file",
        "write:<dir>/nowhere/file text",
        "write:<dir>/w/no-text",
        "writen:<dir>/nowhere/file text",
        "writen:<dir>/w/no-text",
        "append:<dir>/nowhere/file text",
        "appendn:<dir>/nowhere/file text",
        "appendn:<dir>/w/no-text",
        "writefifo:<dir>/fifo text",
        "writefifo:<dir>/nowhere text",
        "unlink:<dir>/nowhere",
        "umount:<dir>/w",
        "umount:<dir>/w rec",
        "mount:none <dir>/nowhere <dir>/w bind",
        "mount:none <dir>/w <dir>/record bind",
        "mount:nosuchfs none <dir>/w",
        "mount:none none",
        "hostname:0123456789012345678901234567890123456789012345678901234567890123456789",
        "putenv:NO_VALUE",
        "print:some words",
        "log:",
        "exit:",
        "exit:30",
        "alarm:nobody listens",
        "alarm:wrong",
        "callret:getpid",
        "callintret:alarm 0",
        "callint:putenv A=b",
        "rpc:hello",
        "unix_signal:10 getpid",
        "spinningfifo:<dir>/record text",
        "no-colon",
        "nosuchverb:x",
        "mount:tmpfs none <dir>/m defaults",
        "mount:tmpfs none <dir>/m relatime",
        "mount:tmpfs none <dir>/m nosuchflag",
        "mount:tmpfs none <dir>/m detach",
        "mount:tmpfs none <dir>/m rec",
        "mount:none none <dir>/m slave",
        "mount:none none / rec,slave",
        "mount:none none / rec,unbindable",
        "mount:none <dir>/w <dir>/m bind ro",
        "mount:none <dir>/w <dir>/m bind,sync",
        "mount:none none / ro,private",
        REC_WITH_BLANKS,
        "umount:<dir>/w nosuid",
        "umount:<dir>/w nosuchflag",
    ];
    lines.extend(verbs.map(|verb| format!("hook-as-root = {verb}")));
    lines
}

/// `up`, `dies` or `refused`, in the order of the lines.
pub(crate) fn fates(world: &World<'_>, side: Side, lines: &[String]) -> Vec<&'static str> {
    nix::unistd::mkfifo(&world.dir.join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    // Few at a time: each of uWSGI's vassals starts a whole server.
    let mut fates = Vec::new();
    for (batch, lines) in lines.chunks(16).enumerate() {
        let governor = world.govern(side, &[]);
        for (n, line) in lines.iter().enumerate() {
            let marks = format!("hook-asap = exec:<mark> begin-{batch}-{n}\nhook-accepting1-once = exec:<mark> up-{batch}-{n}\n");
            world.write(&format!("v{batch}-{n}.ini"), &format!("{APP}{USER}{marks}{line}\n"));
        }
        for (n, line) in lines.iter().enumerate() {
            let what = format!("the fate of a vassal with {line}");
            fates.push(wait_for(&what, LONG, || fate(world, &governor, &format!("{batch}-{n}"))));
        }
        for n in 0..lines.len() {
            world.remove(&format!("v{batch}-{n}.ini"));
        }
        governor.wait_alone();
        governor.end();
    }
    fates
}

fn fate(world: &World<'_>, governor: &Governor, name: &str) -> Option<&'static str> {
    let record = world.raw_record();
    let times = |word: &str| record.iter().filter(|line| line.split(' ').next() == Some(&format!("{word}-{name}"))).count();
    let refused = || governor.said().lines().any(|line| line.contains(&format!("v{name}.ini: its file cannot be used")));
    match () {
        () if times("up") > 0 => Some("up"),
        () if times("begin") > 1 => Some("dies"), // and was tried again
        () if refused() => Some("refused"),
        () => None,
    }
}
