//! One step of a plan: what init does between its birth and the start of the app.

use serde::{Deserialize, Serialize};

use crate::{Account, Names};

/// The phases of uWSGI's start-up that a step can belong to, in the order in which they happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Our own preparations, before anything the user asked for.
    Birth,
    /// `as-vassal-before-drop`: privileged, in the new namespaces.
    AsVassalBeforeDrop,
    /// `as-vassal`: just before uWSGI would exec the vassal.
    AsVassal,
    /// `asap`: as soon as the configuration is parsed.
    Asap,
    /// `pre-jail`: before the root changes.
    PreJail,
    /// `in-jail`: after the namespaces are made.
    InJail,
    /// `post-jail`: after `unshare`.
    PostJail,
    /// `chroot`, `pivot_root`.
    Jail,
    /// `wait-for-*`.
    WaitFor,
    /// `as-root`: in the new root, still root.
    AsRoot,
    /// `as-user`: after the identity was dropped.
    AsUser,
    /// `as-user-atexit`: when the vassal ends.
    AsUserAtexit,
}

impl Phase {
    /// uWSGI's name of the phase, as in `hook-NAME`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Birth => "birth",
            Self::AsVassalBeforeDrop => "as-vassal-before-drop",
            Self::AsVassal => "as-vassal",
            Self::Asap => "asap",
            Self::PreJail => "pre-jail",
            Self::InJail => "in-jail",
            Self::PostJail => "post-jail",
            Self::Jail => "jail",
            Self::WaitFor => "wait-for",
            Self::AsRoot => "as-root",
            Self::AsUser => "as-user",
            Self::AsUserAtexit => "as-user-atexit",
        }
    }
}

/// One step. Its number is its index in the list it stands in; a failure is reported by that number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When in uWSGI's start-up this happens.
    pub phase: Phase,
    /// What is done.
    pub act: Act,
    /// Done in a child that wears the vassal's identity, not by init itself.
    pub as_user: bool,
    /// A failure ends the vassal. False for `safeexec` and the like: logged, then on with the next step.
    pub fatal: bool,
}

/// What a step does. One variant, one dumb call in init.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// `mount(none, /, MS_REC|MS_SLAVE)`: nothing mounted here reaches the host.
    CutPropagation,
    /// `mount(none, /, MS_REC|MS_PRIVATE)`: what `pivot_root` wants.
    MakePrivate,
    /// A fresh `/proc` that shows the new pid namespace.
    MountProc,
    /// The loopback interface up: in a new network namespace it is down.
    LoopbackUp,
    /// `unshare(2)`: more namespaces of its own, for init and all that comes after it.
    Unshare(Unshare),
    /// Every capability that is not in this set leaves the bounding set, so no program started from now on gets it back.
    BoundCaps(u64),
    /// Init itself keeps of its capabilities these, and what its own later duties need.
    KeepCaps(u64),
    /// Finds the numbers of names in this root's own passwd and group files. They are the identity of every later step of the user.
    FindIdentity(Names),
    /// `sethostname`.
    Hostname(String),
    /// `/bin/sh -c COMMAND`, waited for. An exit code other than 0, or a signal, is a failure.
    Exec(String),
    /// `mount(2)`.
    Mount(Mount),
    /// `mount_setattr(2)`: these attributes as well, those it has stay.
    SetMountAttributes(MountAttributes),
    /// `umount2(2)`.
    Umount(Umount),
    /// `chdir(2)`; lasts for all later steps and the app.
    Chdir(String),
    /// `mkdir(2)`, mode 0777 less the umask; one that exists is a failure, as in uWSGI.
    Mkdir(String),
    /// `chmod(2)`: path, mode.
    Chmod(String, u32),
    /// `chmod(2)` to the mode it has and the sticky bit.
    Sticky(String),
    /// `chown(2)`: path, user, group. Names are found in this root's own passwd and group files.
    Chown(String, Account, Account),
    /// `open(O_CREAT|O_TRUNC)` of an empty file.
    Create(String),
    /// Write a text to a file.
    Write {
        /// The file.
        path: String,
        /// What is written.
        text: String,
        /// Appended to what is there, else the file is truncated.
        append: bool,
    },
    /// Write to a fifo if somebody reads from it; else nothing.
    WriteFifo(String, String),
    /// `unlink(2)`.
    Unlink(String),
    /// Put `NAME=VALUE` into the environment of all later steps and of the app; take a `NAME` alone out of it.
    Putenv(String),
    /// What the file's `env` and `umask` lines tell all later steps and the app, in the place of what they told before. What a
    /// [`Self::Putenv`] has put stays, above it.
    Surroundings {
        /// `NAME=VALUE`.
        env: Vec<String>,
        /// `umask(2)`; None: 022.
        umask: Option<u32>,
    },
    /// Print a line to the vassal's output.
    Print(String),
    /// End the vassal with this status.
    Exit(u8),
    /// Wait until something is there.
    WaitFor(Wait),
    /// `pivot_root(2)`: the new root, the place of the old one as seen from outside (`/ufs/.old_root`). Then `chdir /`.
    PivotRoot {
        /// The new root, a mount point.
        new: String,
        /// Where the old root goes, below `new`.
        old: String,
    },
    /// `chroot(2)`, then `chdir /`.
    Chroot(String),
}

/// Which namespaces `unshare(2)` makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unshare {
    /// Mounts.
    pub mount: bool,
    /// System V IPC and POSIX queues.
    pub ipc: bool,
    /// Host name.
    pub uts: bool,
    /// Network.
    pub net: bool,
    /// The root of the cgroup tree.
    pub cgroup: bool,
}

/// Arguments of `mount(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The type; empty where the flags need none (bind, remount, propagation).
    pub fstype: String,
    /// The source.
    pub source: String,
    /// The mount point.
    pub target: String,
    /// The flags.
    pub flags: MountFlags,
    /// File-system data, as after `-o`.
    pub data: String,
}

/// The `MS_*` bits of `mount(2)`, by value (they are kernel ABI).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountFlags(pub u64);

impl MountFlags {
    /// `MS_REMOUNT`
    pub const REMOUNT: u64 = 1 << 5;
    /// `MS_BIND`
    pub const BIND: u64 = 1 << 12;
    /// `MS_MOVE`
    pub const MOVE: u64 = 1 << 13;
    /// `MS_REC`
    pub const REC: u64 = 1 << 14;
    /// `MS_UNBINDABLE`, `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED`
    pub const PROPAGATION: u64 = 1 << 17 | 1 << 18 | 1 << 19 | 1 << 20;
    /// What a single mount has, whatever its file system has: `MS_RDONLY`, `MS_NOSUID`, `MS_NODEV`, `MS_NOEXEC`, `MS_NOATIME`,
    /// `MS_RELATIME`.
    pub const ATTRIBUTES: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 10 | 1 << 21;
}

/// Attributes of one mount, or of a whole tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountAttributes {
    /// The mount point.
    pub target: String,
    /// Those of [`MountFlags::ATTRIBUTES`] that it gets.
    pub flags: MountFlags,
    /// Every mount below it too.
    pub recursive: bool,
}

/// Arguments of `umount2(2)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Umount {
    /// The mount point.
    pub target: String,
    /// `MNT_DETACH`.
    pub detach: bool,
    /// `MNT_FORCE`.
    pub force: bool,
    /// Everything below it first, deepest first.
    pub recursive: bool,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wait {
    /// Anything at this path.
    Fs(String),
    /// A regular file.
    File(String),
    /// A directory.
    Dir(String),
    /// A socket that accepts connections: a path, an abstract name behind `@`, or an address and a port in numbers.
    Socket(String),
    /// A network interface, by name.
    Interface(String),
    /// A mount point: its device differs from its parent's.
    Mountpoint(String),
}

impl Act {
    /// Whether the act may last: it runs a program, waits, or names a path, behind which may be a fifo, a full pipe or a file
    /// system whose server is dead. Init announces it before it begins and lets a child do it. What is left changes init
    /// itself or the kernel's tables, and comes back at once.
    #[must_use]
    pub fn may_last(&self) -> bool {
        match self {
            Self::CutPropagation
            | Self::MakePrivate
            | Self::MountProc
            | Self::LoopbackUp
            | Self::Unshare(_)
            | Self::BoundCaps(_)
            | Self::KeepCaps(_)
            | Self::Hostname(_)
            | Self::Putenv(_)
            | Self::Surroundings { .. }
            | Self::Exit(_) => false,
            Self::Exec(_)
            | Self::Mount(_)
            | Self::SetMountAttributes(_)
            | Self::Umount(_)
            | Self::Chdir(_)
            | Self::Mkdir(_)
            | Self::Chmod(..)
            | Self::Sticky(_)
            | Self::Chown(..)
            | Self::Create(_)
            | Self::Write { .. }
            | Self::WriteFifo(..)
            | Self::Unlink(_)
            | Self::Print(_)
            | Self::WaitFor(_)
            | Self::FindIdentity(_)
            | Self::PivotRoot { .. }
            | Self::Chroot(_) => true,
        }
    }
}
