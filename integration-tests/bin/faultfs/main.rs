//! `faultfs [--foreground] [--allow-other] [--owner UID:GID] MOUNTPOINT CONTROL [WORD...]`: a FUSE server that fails on command.
//!
//! It speaks the protocol of /dev/fuse by itself, because a library would answer, retry and clean up where a fault must not.
//! Root mounts by mount(2), for the owner it was told; anybody else lets fusermount3 do it. When the mount is up it becomes
//! a daemon, unless it shall stay in the foreground: in a vassal pid 1 is then its parent.
//!
//! What it does from then on is said at a unix socket, CONTROL, which must lie outside the mount: a line with a word, answered
//! by a line (see `control`). WORD is such a line too, obeyed before the first request of anybody.
//!
//! Two threads: this one listens at the socket, the other one reads and answers requests. Deliberately not here: writing,
//! caching, inode counting. The tree is four files that never change.

mod control;
mod mode;
mod mounting;
mod reply;
mod server;
mod tree;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio, exit};
use std::sync::Arc;

use mode::Switch;

/// The command line.
struct Asked {
    foreground: bool,
    /// Started by itself to be the daemon: says so on its standard output when the mount is up.
    daemon: bool,
    allow_other: bool,
    owner: Option<(u32, u32)>,
    mountpoint: PathBuf,
    control: PathBuf,
    word: String,
}

fn main() {
    let asked = Asked::read();
    if asked.foreground || asked.daemon { serve(&asked) } else { become_daemon() }
}

impl Asked {
    fn read() -> Self {
        const USAGE: &str = "usage: faultfs [--foreground] [--allow-other] [--owner UID:GID] MOUNTPOINT CONTROL [WORD...]";
        let mut words = std::env::args().skip(1).peekable();
        let (mut foreground, mut daemon, mut allow_other, mut owner) = (false, false, false, None);
        while let Some(option) = words.next_if(|word| word.starts_with("--")) {
            match option.as_str() {
                "--foreground" => foreground = true,
                "--daemon" => daemon = true,
                "--allow-other" => allow_other = true,
                "--owner" => {
                    let ids = words.next().expect(USAGE);
                    let (uid, gid) = ids.split_once(':').expect(USAGE);
                    owner = Some((uid.parse().expect(USAGE), gid.parse().expect(USAGE)));
                }
                _ => panic!("{USAGE}"),
            }
        }
        let mountpoint = PathBuf::from(words.next().expect(USAGE));
        let control = PathBuf::from(words.next().expect(USAGE));
        assert!(!control.starts_with(&mountpoint), "CONTROL must be reachable while the mount hangs");
        let word = words.collect::<Vec<_>>().join(" ");
        Self { foreground, daemon, allow_other, owner, mountpoint, control, word }
    }
}

/// Starts this program again as the daemon, and ends when its mount is up. No fork by hand: that is unsafe in Rust.
fn become_daemon() -> ! {
    let this = std::env::current_exe().expect("a running program has a path");
    let mut command = Command::new(this);
    command.arg("--daemon").args(std::env::args_os().skip(1)).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("one more process");
    let mut said = String::new();
    let _ = child.stdout.take().expect("it is a pipe").read_to_string(&mut said); // nothing said is a failure, seen below
    exit(if said == "up\n" { 0 } else { child.wait().ok().and_then(|status| status.code()).unwrap_or(1) })
}

fn serve(asked: &Asked) -> ! {
    if asked.daemon {
        nix::unistd::setsid().expect("a session of its own");
    }
    let _ = std::fs::remove_file(&asked.control); // of the one before, which may have crashed
    let listener = UnixListener::bind(&asked.control).unwrap_or_else(|e| panic!("{}: {e}", asked.control.display()));
    let device = mounting::mount(&asked.mountpoint, asked.allow_other, asked.owner).unwrap_or_else(|e| {
        eprintln!("faultfs: {}: {e}", asked.mountpoint.display());
        exit(1)
    });
    let device = Arc::new(device);
    let switch = Arc::new(Switch::default());
    let control = control::Control::new(&asked.mountpoint, Arc::clone(&device), Arc::clone(&switch));
    // The kernel's first request, before anybody can have another one.
    server::greet(&device).expect("the kernel says hello");
    if !asked.word.is_empty() {
        let answer = control.obey(&asked.word);
        assert_eq!(answer, "ok", "{}", asked.word);
    }
    if asked.daemon {
        std::io::stdout().write_all(b"up\n").expect("the starter listens");
        detach();
    }
    std::thread::spawn(move || server::serve(&device, &switch));
    control.listen(&listener)
}

/// Lets go of what was inherited, so that nobody waits for an end of file that does not come.
fn detach() {
    let null = std::fs::File::options().read(true).write(true).open("/dev/null").expect("/dev/null");
    nix::unistd::dup2_stdout(&null).expect("dup2");
    nix::unistd::dup2_stderr(&null).expect("dup2");
}
