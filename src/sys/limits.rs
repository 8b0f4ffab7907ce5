//! The limits a daemon of thousands of vassals raises for itself and must not hand down.

use std::{fs, io};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// `RLIMIT_NOFILE` of this process: soft, hard.
///
/// # Errors
/// None that the kernel documents for ourselves.
pub fn nofile() -> nix::Result<(u64, u64)> {
    getrlimit(Resource::RLIMIT_NOFILE)
}

/// Sets `RLIMIT_NOFILE`. Lowering the soft limit below what is open closes nothing.
///
/// # Errors
/// EPERM for a hard limit above the present one without `CAP_SYS_RESOURCE`.
pub fn set_nofile(soft: u64, hard: u64) -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard)
}

/// Raises the soft limit of open files to the hard one. Gives what it was before: soft, hard.
///
/// # Errors
/// As [`set_nofile`].
pub fn raise_nofile() -> nix::Result<(u64, u64)> {
    let (soft, hard) = nofile()?;
    if soft < hard {
        set_nofile(hard, hard)?;
    }
    Ok((soft, hard))
}

/// `oom_score_adj` of this process, -1000 to 1000.
///
/// # Errors
/// No `/proc`.
pub fn oom_score_adj() -> io::Result<i16> {
    let text = fs::read_to_string("/proc/self/oom_score_adj")?;
    text.trim().parse().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// Sets `oom_score_adj` of this process; children inherit it. Lower than ever before needs `CAP_SYS_RESOURCE`.
///
/// # Errors
/// No `/proc`, or EACCES.
pub fn set_oom_score_adj(adjust: i16) -> io::Result<()> {
    fs::write("/proc/self/oom_score_adj", adjust.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raising_gives_back_what_was() {
        let before = nofile().unwrap();
        assert_eq!(raise_nofile().unwrap(), before);
        assert_eq!(nofile().unwrap(), (before.1, before.1));
        set_nofile(before.0, before.1).unwrap();
    }

    #[test]
    fn the_oom_score_is_a_small_number() {
        let now = oom_score_adj().unwrap();
        assert!((-1000..=1000).contains(&now));
        set_oom_score_adj(now).unwrap();
    }
}
