//! What bounds a process: `limit-as`, `limit-nproc`, `max-fd`, `prio`, and `oom-score-adjust`.
//!
//! uWSGI's options with uWSGI's units; a real uwsgi carries them out itself, for a vassal with a command liege does. As there, 0
//! asks for nothing. `cpu-affinity` counts uwsgi's workers and is refused for a command.

use serde::{Deserialize, Serialize};

use crate::options::Options;
use crate::report::Report;
use crate::{Asked, values};

/// The bounds of one process and of all it starts. None: as the daemon was started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessLimits {
    /// `limit-as` (MiB there, bytes here): address space, `RLIMIT_AS`.
    pub address_space: Option<Asked<u64>>,
    /// `limit-nproc`: processes of the user, `RLIMIT_NPROC`.
    pub processes: Option<Asked<u64>>,
    /// `max-fd`: open files, `RLIMIT_NOFILE`.
    pub files: Option<Asked<u64>>,
    /// `prio`: the nice value.
    pub nice: Option<Asked<i32>>,
}

/// The bounds of a command.
pub(crate) fn raise(options: &Options<'_>, report: &mut Report) -> ProcessLimits {
    ProcessLimits {
        address_space: asked(options, "limit-as", report, |value| {
            values::integer(value)?.checked_mul(1 << 20).ok_or_else(|| "is more than there can be".to_owned())
        }),
        processes: asked(options, "limit-nproc", report, values::integer),
        files: asked(options, "max-fd", report, values::integer),
        nice: asked(options, "prio", report, nice),
    }
}

/// `oom-score-adjust`, in every vassal: the hooks, the app and init share it.
pub(crate) fn oom_score_adjust(options: &Options<'_>, report: &mut Report) -> Option<Asked<i16>> {
    let value = options.checked("oom-score-adjust", report, oom_score)?;
    Some(Asked::new(value, options.last("oom-score-adjust")?.origin.clone()))
}

fn asked<T: Default + PartialEq>(
    options: &Options<'_>,
    key: &str,
    report: &mut Report,
    check: impl Fn(&str) -> Result<T, String>,
) -> Option<Asked<T>> {
    let value = options.checked(key, report, check).filter(|value| *value != T::default())?;
    Some(Asked::new(value, options.last(key)?.origin.clone()))
}

fn nice(value: &str) -> Result<i32, String> {
    let number = value.parse::<i32>().map_err(|_| format!("\"{value}\" is no number"))?;
    if (-20..=19).contains(&number) { Ok(number) } else { Err("is no priority: they go from -20 (first) to 19 (last)".into()) }
}

fn oom_score(value: &str) -> Result<i16, String> {
    let number = value.parse::<i16>().map_err(|_| format!("\"{value}\" is not a number"))?;
    if (-1000..=1000).contains(&number) {
        Ok(number)
    } else {
        Err("must lie between -1000 (the OOM killer never takes it) and 1000 (it is taken first)".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_of_the_oom_killer() {
        assert_eq!((oom_score("-1000"), oom_score("0"), oom_score("1000")), (Ok(-1000), Ok(0), Ok(1000)));
        assert!(oom_score("1001").is_err() && oom_score("most").is_err() && oom_score("").is_err());
    }

    #[test]
    fn priorities() {
        assert_eq!((nice("-20"), nice("19"), nice("+3")), (Ok(-20), Ok(19), Ok(3)));
        assert!(nice("20").is_err() && nice("high").is_err() && nice("").is_err());
    }
}
