//! Where the programs are that stories start: liege itself, and the small helpers that misbehave.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The environment the daemon and its peers are started with: an ordinary host's, not the tester's.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The `liege` under test: `$LIEGE`, else the release build beside the running story; a debug one may be of yesterday, because
/// nothing in a test run builds it.
///
/// # Panics
/// When it is not built, saying how.
#[must_use]
pub fn liege() -> PathBuf {
    let found = match std::env::var_os("LIEGE") {
        Some(path) => PathBuf::from(path),
        None => beside("../release/liege"),
    };
    assert!(found.exists(), "{} is not there: make build (or name another by LIEGE=...)", found.display());
    fs::canonicalize(&found).expect("an existing file has a canonical path")
}

/// Runs `liege` with these arguments in an ordinary environment; its status, and what it said on both channels.
///
/// # Panics
/// When it cannot be executed or is killed.
#[must_use]
pub fn run_liege<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> (i32, String) {
    let output = std::process::Command::new(liege()).args(arguments).env_clear().env("PATH", PATH).env("NO_COLOR", "1").output();
    let output = output.expect("liege can be executed");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap_or_else(|| panic!("liege was killed: {}\n{said}", output.status)), said)
}

/// A helper of `bin/`, copied to `into`, so that a user who may not enter the build directory can execute it.
///
/// # Panics
/// When it is not built.
#[must_use]
pub fn helper(name: &str, into: &Path) -> PathBuf {
    let (from, to) = (beside(name), into.join(name));
    if !to.exists() {
        // Copied under another name first: a copy that is still open for writing cannot be executed (ETXTBSY).
        let fresh = into.join(format!(".{name}"));
        fs::copy(&from, &fresh).unwrap_or_else(|e| panic!("{}: {e} (cargo builds it with the stories)", from.display()));
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).expect("chmod of our own file");
        fs::rename(&fresh, &to).expect("rename within one directory");
    }
    to
}

/// The Debian root that `make rootfs` keeps: in `$ROOTFS_CACHE`, else in the build directory. Nobody writes to it.
///
/// # Panics
/// When it is not made, saying how.
#[must_use]
pub fn rootfs() -> PathBuf {
    let cache = std::env::var_os("ROOTFS_CACHE").map_or_else(|| beside("../rootfs"), PathBuf::from);
    let root = cache.join("debian");
    assert!(root.join(".recipe").exists(), "{} is not there: make rootfs", root.display());
    fs::canonicalize(&root).expect("an existing directory has a canonical path")
}

/// Fails with the line that installs it when a program is missing.
///
/// # Panics
/// When it is.
pub fn need(program: &str) {
    let found = PATH.split(':').any(|dir| Path::new(dir).join(program).exists());
    assert!(found, "{program} is not installed: make deps");
}

/// The path of something in the build directory this very test was built into.
fn beside(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("a running program has a path");
    let deps = this.parent().expect("a program lies in a directory");
    // Tests lie in deps/, one level below the programs.
    let dir = if deps.ends_with("deps") { deps.parent().expect("deps lies in a directory") } else { deps };
    dir.join(name)
}
