//! What verbs and mounts leave behind: chains of hooks, and then a look at the files, the names and the mount table.

use crate::phases::{APP, USER};
use crate::world::{Side, World};

/// Writes down what there is: files with kind, mode, owner and content; the host's name; the mounts with all their options.
const LOOK: &str = r#"#!/bin/sh
cd <dir>/w
find . -mindepth 1 -printf 'file %P kind=%y mode=%m owner=%U:%G\n' | sort >> <dir>/record
for f in $(find . -type f | sort); do echo "text $f=$(tr '\n' '$' < $f)" >> <dir>/record; done
echo "name $(uname -n)" >> <dir>/record
awk '$5 ~ "^<dir>/m/" {
    tags = ""
    for (i = 7; $i != "-"; i++) { sub(/:.*/, "", $i); tags = tags "," $i }
    print "mount " $5 " " $6 " tags=" tags " type=" $(i + 1) " " $(i + 3)
}' /proc/self/mountinfo | sort >> <dir>/record
echo "looked" >> <dir>/record
"#;

/// Every verb that leaves something behind, and the documented forms of `call`.
const VERBS: &str = "\
hook-asap = hostname:named-by-a-hook
hook-asap = putenv:HOOK_SET=to be overwritten
hook-asap = putenv:HOOK_ENV=to be taken out
hook-asap = callret:putenv HOOK_SET=called
hook-asap = putenv:HOOK_ENV
hook-asap = exec:<mark> environment
hook-asap = chdir:<dir>
hook-asap = cd:w
hook-asap = exec:<mark> entered
hook-as-root = mkdir:made
hook-as-root = callret:chdir <dir>/w/made
hook-as-root = exec:<mark> called
hook-as-root = chdir:..
hook-as-root = chmod:made 0711
hook-as-root = mkdir:shared
hook-as-root = chmod:shared 770
hook-as-root = sticky:shared
hook-as-root = chown:shared www-data adm
hook-as-root = create:empty
hook-as-root = creat:also-empty
hook-as-root = chown2:empty 12 34
hook-as-root = write:written one two
hook-as-root = write:written three
hook-as-root = writen:lined one  two 
hook-as-root = append:written  four
hook-as-root = appendn:written five
hook-as-root = append:appended six
hook-as-root = appendn:newline
hook-as-root = create:gone
hook-as-root = unlink:gone
hook-as-root = create:gone-too
hook-as-root = callret:unlink gone-too
hook-as-root = exec:mkfifo fifo; exec 3<>fifo; head -c 7 <&3 > read &
hook-as-root = writefifo:fifo through
hook-as-root = exec:until [ -s read ]; do :; done
hook-as-root = writefifo:fifo nobody reads
hook-as-root = !write:hidden secret
hook-as-root = print:a printed line
hook-as-root = log:a logged line
hook-as-root = call:uwsgi_log a called line
hook-as-root = safeexec:exit 5
hook-as-root = exec:chmod 777 .
hook-as-user = mkdir:of-the-user
hook-as-user = write:of-the-user/text mine
hook-as-user = chmod:of-the-user 0700
";

/// Lines both print.
pub(crate) const PRINTED: [&str; 3] = ["a printed line", "a logged line", "a called line"];

/// Words of mounts, each on a mount point of its own.
const FLAGS: [(&str, &str); 21] = [
    ("plain", "tmpfs none <m>"),
    ("nosuid", "tmpfs none <m> nosuid"),
    ("nodev", "tmpfs none <m> nodev"),
    ("noexec", "tmpfs none <m> noexec"),
    ("noatime", "tmpfs none <m> noatime"),
    ("sync", "tmpfs none <m> sync"),
    ("dirsync", "tmpfs none <m> dirsync"),
    ("mandlock", "tmpfs none <m> mandlock"),
    ("ro", "tmpfs none <m> ro"),
    ("rdonly", "tmpfs none <m> rdonly"),
    ("readonly", "tmpfs none <m> readonly"),
    ("several", "tmpfs none <m> nosuid,nodev,,noexec"),
    ("data", "tmpfs none <m> nosuid size=64k,mode=0700"),
    ("bind", "none <dir>/m/data <m> bind"),
    ("moved", "none <dir>/m/plain <m> move"),
    ("data", "none none <m> remount,ro size=128k"),
    ("nodev", "none none <m> remount,bind,ro"),
    ("several", "none none <m> shared"),
    ("slave", "none <dir>/m/several <m> bind"),
    ("bind-ro", "none <dir>/m/noexec <m> bind,ro"),
    ("bind-private", "none <dir>/m/several <m> bind,private"),
];

/// Verbs, and what they left.
pub(crate) fn verbs() -> String {
    format!("{APP}{USER}umask = 022\n{VERBS}hook-accepting1-once = exec:sh <dir>/look.sh\n")
}

/// Mounts, and what they are.
pub(crate) fn mounts() -> String {
    let mut text = format!("{APP}mount-asap = none none / recursive,private\n");
    for (name, line) in FLAGS {
        let at = format!("<dir>/m/{name}");
        text += &format!("hook-pre-jail = exec:mkdir -p {at}\nhook-in-jail = mount:{}\n", line.replace("<m>", &at));
    }
    text + "exec-in-jail = sh <dir>/look.sh\n"
}

/// A tree with its leaves, a busy mount, one that is forced: what is left of them.
pub(crate) fn unmounts() -> String {
    let mut text = format!("{APP}mount-asap = none none / recursive,private\n");
    text += "hook-pre-jail = exec:cd <dir>/m && mkdir tree tree-too busy forced\n";
    for at in ["tree", "tree-too", "busy", "forced"] {
        text += &format!("mount-pre-jail = tmpfs none <dir>/m/{at}\n");
    }
    text += "exec-pre-jail = cd <dir>/m/tree && mkdir -p a && mount -t tmpfs none a && mkdir a/b && mount -t tmpfs none a/b\n";
    text += "hook-in-jail = exec:cd <dir>/m/busy; sleep infinity &\n";
    text += "umount-in-jail = <dir>/m/forced force\numount-in-jail = <dir>/m/tree rec\numount-in-jail = <dir>/m/busy detach\n";
    text + "exec-in-jail = sh <dir>/look.sh\n"
}

/// Lets one vassal start, until it has looked around; what it wrote down, and all that was said.
pub(crate) fn look(world: &World<'_>, side: Side, text: &str) -> (Vec<String>, String) {
    std::fs::write(world.dir.join("look.sh"), world.fill(LOOK)).expect("a script");
    let governor = world.govern(side, &[]);
    world.write("app.ini", text);
    world.wait("looked", 1, &governor);
    world.remove("app.ini");
    governor.wait_alone();
    let said = governor.said();
    governor.end();
    (world.record(), said)
}

/// Waits of both kinds, verbs and options; each is told of before it begins. Sockets come last, whatever the file says.
pub(crate) const WAITS: &str = "\
hook-asap = exec:<mark> for-fs
hook-asap = wait_for_fs:<dir>/w/fs
hook-asap = exec:<mark> for-file
hook-asap = wait_for_file:<dir>/w/file
hook-asap = exec:<mark> for-dir
hook-asap = wait_for_dir:<dir>/w/dir
hook-asap = exec:<mark> for-socket
hook-asap = wait_for_socket:<dir>/w/socket
exec-in-jail = <mark> for-all
wait-for-socket = 127.0.0.1:<port>
wait-for-mountpoint = /proc
wait-for-interface = lo
wait-for-dir = <dir>/w/dir-too
wait-for-file = <dir>/w/file-too
wait-for-fs = <dir>/w/fs-too
exec-as-root = <mark> found-all
exec-as-user = <mark> for-tcp
hook-accepting1-once = exec:<mark> up
";

/// Makes what is waited for, each thing when it is waited for and not earlier.
pub(crate) fn wait(world: &World<'_>, side: Side) -> Vec<String> {
    let file = |name: &str| std::fs::write(world.dir.join("w").join(name), "").expect("a file");
    let dir = |name: &str| std::fs::create_dir(world.dir.join("w").join(name)).expect("a directory");
    let port = liege_integration_tests::http::free_port();
    let governor = world.govern(side, &[]);
    world.write("app.ini", &format!("{APP}{USER}{}", WAITS.replace("<port>", &port.to_string())));
    world.wait("for-fs", 1, &governor);
    file("fs");
    world.wait("for-file", 1, &governor);
    file("file");
    world.wait("for-dir", 1, &governor);
    dir("dir");
    world.wait("for-socket", 1, &governor);
    let _socket = std::os::unix::net::UnixListener::bind(world.dir.join("w/socket")).expect("a socket");
    world.wait("for-all", 1, &governor);
    file("fs-too");
    file("file-too");
    dir("dir-too");
    world.wait("for-tcp", 1, &governor);
    let _tcp = std::net::TcpListener::bind(("127.0.0.1", port)).expect("a port of our own");
    world.wait("up", 1, &governor);
    world.remove("app.ini");
    governor.wait_alone();
    governor.end();
    world.record()
}
