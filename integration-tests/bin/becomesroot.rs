//! `becomesroot FILE`: where it is root's and setuid it becomes root altogether, says so in FILE, and waits to be ended.

use nix::unistd::{Gid, Uid, getresuid, setgroups, setresgid, setresuid};

fn main() {
    let file = std::env::args().nth(1).expect("usage: becomesroot FILE");
    setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).expect("it is root's, and setuid");
    setgroups(&[]).and_then(|()| setresgid(Gid::from_raw(0), Gid::from_raw(0), Gid::from_raw(0))).expect("root may");
    std::env::set_current_dir("/root").expect("root may");
    std::fs::write(file, format!("{:?}", getresuid())).expect("it is said");
    nix::unistd::pause();
}
