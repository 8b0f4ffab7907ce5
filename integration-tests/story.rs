//! One story: a host of its own, the telling, the leak guard, and the cleaning up after a failure.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Mutex;
use std::{fs, io, thread};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

use crate::emperor::Emperor;
use crate::launch::Launch;
use crate::leaks::{self, Snapshot};
use crate::tools;

/// Where the kernel shows its FUSE connections.
pub const FUSECTL: &str = "/sys/fs/fuse/connections";

/// The machine as a story sees it: a mount namespace whose `/` is shared, and a directory everybody may enter.
#[derive(Debug)]
pub struct Host {
    dir: TempDir,
    elsewhere: RefCell<Vec<TempDir>>,
    emperors: RefCell<Vec<Rc<Emperor>>>,
    before: Snapshot,
}

/// Tells a story on a [`Host`] of its own and checks that it leaves nothing behind.
///
/// # Panics
/// When the story does, or when it leaves something.
pub fn story(tell: impl FnOnce(&Host) + Send) {
    // The guard looks at everything this process has started: two stories of one process would see each other.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    // A thread of its own, because the namespace stays with the thread.
    let told = thread::scope(|scope| scope.spawn(|| tell_guarded(tell)).join());
    if let Err(failure) = told {
        resume_unwind(failure);
    }
}

fn tell_guarded(tell: impl FnOnce(&Host)) {
    let host = Host::new();
    let told = catch_unwind(AssertUnwindSafe(|| {
        tell(&host);
        host.end();
    }));
    if let Err(failure) = told {
        for emperor in host.emperors.borrow().iter() {
            emperor.show_log();
        }
        leaks::kill_everything();
        leaks::unmount_below(host.dir()); // else the directory could not be removed
        resume_unwind(failure);
    }
}

impl Host {
    fn new() -> Self {
        assert!(nix::unistd::geteuid().is_root(), "the stories need root: they make namespaces and mounts (make test)");
        for program in ["uwsgi", "fuse-zip", "fusermount3", "zip"] {
            tools::need(program);
        }
        let mode = fs::metadata("/dev/fuse").map(|m| std::os::unix::fs::PermissionsExt::mode(&m.permissions()) & 0o777);
        assert!(mode.as_ref().is_ok_and(|mode| *mode == 0o666), "/dev/fuse is {mode:?}, users cannot mount: make deps");

        shared_root().expect("a mount namespace with a shared root");
        // Whatever a vassal leaves behind becomes our child instead of pid 1's.
        nix::sys::prctl::set_child_subreaper(true).expect("PR_SET_CHILD_SUBREAPER");
        let dir = tempfile::Builder::new().prefix("liege-story-").tempdir().expect("a temporary directory");
        open_to_all(dir.path());
        Self { dir, elsewhere: RefCell::default(), emperors: RefCell::default(), before: Snapshot::take() }
    }

    /// The story's own directory, which every user may enter.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A path in the story's own directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A helper of `bin/`, where every user may execute it.
    #[must_use]
    pub fn helper(&self, name: &str) -> PathBuf {
        tools::helper(name, self.dir())
    }

    /// A directory in the story's own that every user may write to.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn open_dir(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("mkdir in our own directory");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o1777)).expect("chmod of our own directory");
        path
    }

    /// A directory beside `neighbour`, so on the same file system, which lives as long as the story's own.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn dir_beside(&self, neighbour: &Path) -> PathBuf {
        let parent = neighbour.parent().expect("a neighbour lies in a directory");
        let dir = tempfile::Builder::new().prefix("story-").tempdir_in(parent).expect("a temporary directory");
        open_to_all(dir.path());
        let path = dir.path().to_owned();
        self.elsewhere.borrow_mut().push(dir);
        path
    }

    /// A daemon to be started, watching `vassals/` with `emperor-use-clone = fs,pid` unless told otherwise.
    pub fn emperor(&self) -> Launch<'_> {
        Launch::new(self)
    }

    /// The mount table a process of the host sees.
    #[must_use]
    pub fn mountinfo(&self) -> String {
        leaks::mountinfo()
    }

    pub(crate) fn adopt(&self, emperor: &Rc<Emperor>) {
        self.emperors.borrow_mut().push(Rc::clone(emperor));
    }

    /// The guard: every emperor that still runs must come to rest with nothing, end with 0 and leave the host as it was.
    fn end(&self) {
        for emperor in self.emperors.borrow().iter() {
            emperor.put_to_rest();
        }
        self.before.assert_restored();
    }
}

/// Moves the calling thread to a mount namespace of its own that looks like a systemd host: `/` recursively shared. Nothing
/// mounted there reaches the real one.
fn shared_root() -> io::Result<()> {
    let none: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    // A host's own: the default state directory, and fusectl where a host has it.
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=0755"))?;
    match mount(Some("none"), FUSECTL, Some("fusectl"), MsFlags::empty(), none) {
        // systemd has mounted it, and this namespace has a copy of that mount.
        Ok(()) | Err(Errno::EBUSY) => {}
        Err(errno) => return Err(errno.into()),
    }
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SHARED, none)?;
    Ok(())
}

/// Temporary directories are made for their owner alone; vassals run as somebody else.
fn open_to_all(path: &Path) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod of our own directory");
}
