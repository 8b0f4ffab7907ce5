//! One dumb call per act. No policy, no order, and no fear of a call that hangs: those are made in a child, see `walk.rs`.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt, chown},
    time::Duration,
};

use liege_plan::{Account, Act, Unshare, Wait};
use liege_sys::{
    Errno, caps,
    fds::O_NONBLOCK,
    mount::{self, Propagation},
    network, process, unshare, waitfor,
};

use crate::rights;

/// How often a wait looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Does the act. Programs, `putenv` and `exit` are the walk's: they are no calls.
pub(crate) fn perform(act: &Act) -> Result<(), Errno> {
    match act {
        Act::CutPropagation => mount::propagate(Propagation::Slave),
        Act::MakePrivate => mount::propagate(Propagation::Private),
        Act::MountProc => mount::fresh_proc(),
        Act::LoopbackUp => network::loopback_up(),
        Act::Unshare(Unshare { mount, ipc, uts, net, cgroup }) => {
            unshare::unshare(unshare::Unshare { mount: *mount, ipc: *ipc, uts: *uts, net: *net, cgroup: *cgroup })
        }
        Act::BoundCaps(left) => caps::bound(*left),
        Act::KeepCaps(left) => caps::keep_and_park(*left | rights::ALWAYS, rights::PARKED),
        Act::Hostname(name) => process::set_hostname(name),
        Act::Mount(m) => mount::mount(&m.fstype, &m.source, &m.target, m.flags.0, &m.data),
        Act::SetMountAttributes(a) => mount::set_attributes(&a.target, a.flags.0, a.recursive),
        Act::Umount(u) if u.recursive => mount::umount_below(&u.target, u.detach, u.force),
        Act::Umount(u) => mount::umount(&u.target, u.detach, u.force),
        Act::Chdir(path) => io(std::env::set_current_dir(path)),
        Act::Mkdir(path) => io(fs::create_dir(path)),
        Act::Chmod(path, mode) => io(fs::set_permissions(path, Permissions::from_mode(*mode))),
        Act::Sticky(path) => io(fs::metadata(path).and_then(|m| {
            let mode = m.permissions().mode() & 0o7777 | 0o1000;
            fs::set_permissions(path, Permissions::from_mode(mode))
        })),
        Act::Chown(path, Account::Number(uid), Account::Number(gid)) => io(chown(path, Some(*uid), Some(*gid))),
        Act::Chown(..) => Err(Errno::EINVAL), // a name: the walk puts numbers in its place
        Act::Create(path) => io(File::create(path)),
        Act::Write { path, text, append } => {
            let file = OpenOptions::new().write(true).create(true).append(*append).truncate(!append).open(path);
            io(file.and_then(|mut file| file.write_all(text.as_bytes())))
        }
        Act::WriteFifo(path, text) => {
            let fifo = OpenOptions::new().write(true).custom_flags(O_NONBLOCK).open(path);
            match io(fifo.and_then(|mut fifo| fifo.write_all(text.as_bytes()))) {
                Err(Errno::ENXIO | Errno::ENODEV) => Ok(()), // nobody reads
                answer => answer,
            }
        }
        Act::Unlink(path) => io(fs::remove_file(path)),
        Act::Print(line) => io(writeln!(io::stdout(), "{line}")),
        Act::PivotRoot { new, old } => mount::pivot_root(new, old),
        Act::Chroot(root) => mount::chroot(root),
        Act::WaitFor(wait) => {
            wait_for(wait);
            Ok(())
        }
        Act::Exec(_) | Act::Putenv(_) | Act::Surroundings { .. } | Act::Exit(_) | Act::FindIdentity(_) => Ok(()),
    }
}

/// Looks until it is there, or until the child that looks is killed.
fn wait_for(wait: &Wait) {
    let is_there = || match wait {
        Wait::Fs(path) => waitfor::fs(path),
        Wait::File(path) => waitfor::file(path),
        Wait::Dir(path) => waitfor::dir(path),
        Wait::Socket(path) => waitfor::socket(path),
        Wait::Interface(name) => waitfor::interface(name),
        Wait::Mountpoint(path) => waitfor::mountpoint(path),
    };
    while !is_there() {
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn io<T>(answer: io::Result<T>) -> Result<(), Errno> {
    match answer {
        Ok(_) => Ok(()),
        Err(error) => Err(error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw)),
    }
}
