//! The command line as clap sees it. Parsed literally; what it means is raised elsewhere.

use std::path::PathBuf;

use clap::{Args, Command, CommandFactory, Parser, Subcommand, ValueEnum};

/// An Emperor: keeps the vassals of a directory running, each in namespaces of its own.
#[derive(Debug, Parser)]
#[command(name = "liege", version, propagate_version = true, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

impl Arguments {
    /// Without the verbs that are for programs.
    pub(crate) fn for_people() -> Command {
        let all = Self::command();
        let verbs: Vec<Command> = all.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect();
        Command::new("liege").version(env!("CARGO_PKG_VERSION")).subcommands(verbs)
    }
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 usage, 3 no daemon, 4 no such vassal.";

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Rule: the daemon, in the foreground
    Run(Run),
    /// Show every mistake of configuration files at once
    Check(Check),
    /// What runs, since when, and why it last died
    Status(Status),
    /// All vassals live: sorted by anything, mounts, checks and ends as they come, keys for orders, log and cause
    Top(Remote),
    /// Run vassals again after a stop, or without waiting any longer
    Start(Orders),
    /// End vassals until a start: a change of their files starts none. One whose file goes is forgotten, and a file that comes later is a new
    /// vassal. The end may last (stop-timeout): --wait waits for it
    Stop(Stop),
    /// Destroy vassals and let them be born again, clean
    Restart(Restart),
    /// Reload vassals as if their files had been touched
    Reload(Orders),
    /// Forget failures, of all vassals where none is named: whoever waits starts at once
    Clear(Clear),
    /// Have all directories looked at now
    Rescan(Rescan),
    /// What a vassal says: hooks, FUSE daemons and app, each line with its time and who said it
    Logs(Logs),
    /// What happened lately, and what happens
    Events(Events),
    /// A shell, or a command, beside the app of a vassal: as its user, in its namespaces, its root, its control groups
    Enter(Enter),
    /// What of this machine liege needs, what is missing, what that costs, and how to get it
    Doctor(Doctor),
    /// Run a recorded trace through the core and compare its answers
    Replay(Replay),
    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man {
        /// Where to
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Print a shell's completions
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// The process that probes mounts; started by the daemon
    #[command(hide = true)]
    Prober,
    /// The process that detaches what a vassal has left mounted on the host; started by the daemon
    #[command(hide = true)]
    Detach,
}

/// Any other emperor option of uWSGI works too, as `--KEY VALUE`, `--KEY=VALUE` or a bare `--KEY`.
#[derive(Debug, Args)]
#[command(after_help = "Any emperor option works as `--KEY VALUE` or `--KEY=VALUE`, as on uWSGI's command line.")]
pub(crate) struct Run {
    /// The emperor's file: section `uwsgi` or `liege`
    #[arg(long, value_name = "FILE")]
    pub(crate) ini: Option<PathBuf>,
    /// A directory of vassal files, or a pattern that matches them
    #[arg(long, value_name = "DIR|GLOB")]
    pub(crate) emperor: Vec<String>,
    /// The namespaces every vassal gets anew: fs, pid, ipc, uts, net, cgroup, user
    #[arg(long, value_name = "LIST")]
    pub(crate) emperor_use_clone: Option<String>,
    /// Set any option of the emperor
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// How log lines look
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// A level, or TARGET=LEVEL,...; targets: emperor, vassal, mountpoint, health, control [default: $RUST_LOG, else info]
    #[arg(long, value_name = "LEVEL", value_parser = liege_host::check_level)]
    pub(crate) log: Option<String>,
    /// Record everything the core is told and answers, for `liege replay`
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Logfmt,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Vassal files, or emperor files (those with an `emperor` key), or directories of vassal files
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Print the configuration as it is understood, flattened
    #[arg(long)]
    pub(crate) show_config: bool,
    /// Print the ordered steps of a first start and of a reload
    #[arg(long)]
    pub(crate) plan: bool,
    /// For machines: one document, see the README
    #[arg(long)]
    pub(crate) json: bool,
    /// Warnings count as errors
    #[arg(long)]
    pub(crate) deny_warnings: bool,
    /// Each FILE is a vassal's, also one with an `emperor` key (its uwsgi is an emperor itself)
    #[arg(long)]
    pub(crate) vassal: bool,
    /// The namespaces a plan is made for, as the emperor would name them
    #[arg(long, value_name = "LIST", default_value = "fs,pid")]
    pub(crate) emperor_use_clone: String,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Only these; one alone is shown with everything, its last ends too. `shop` is enough for `shop.ini`
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Go on: again whenever something changes
    #[arg(long, short)]
    pub(crate) watch: bool,
    /// With the memory and processor time of each
    #[arg(long, short)]
    pub(crate) usage: bool,
    /// For machines; with --watch one line each time
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct Orders {
    #[command(flatten)]
    pub(crate) whom: Whom,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Whom {
    /// Which; `shop` is enough for `shop.ini`
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// All of them
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Stop {
    #[command(flatten)]
    pub(crate) whom: Whom,
    /// Wait until each has ended; one that could not write everything back has failed, and what it lost is told
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct Restart {
    #[command(flatten)]
    pub(crate) whom: Whom,
    /// Wait until each is ready again; the first one that fails ends it
    #[arg(long)]
    pub(crate) wait: bool,
    /// So many at a time, the next one when one is ready again
    #[arg(long, value_name = "N", requires = "wait", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) parallel: Option<u16>,
    /// Go on after a failure
    #[arg(long, requires = "wait")]
    pub(crate) keep_going: bool,
    /// How long a program must have run that cannot say that it accepts requests, as uwsgi does
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    pub(crate) settle: f64,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds| (0.0..=3600.0).contains(seconds))
        .ok_or_else(|| "a number of seconds up to 3600".to_owned())
}

#[derive(Debug, Args)]
pub(crate) struct Clear {
    /// Which; without any: all
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// All of them
    #[arg(long, conflicts_with = "names")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct Rescan {
    /// Take a directory for empty that was unmounted, replaced or is gone, without waiting for emperor-shrink-guard
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// Which; one that is gone by its whole name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Go on with what it says from now on
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// The last so many lines, or all, over all files that are kept
    #[arg(long, short = 'n', value_name = "N|all", default_value = "100")]
    pub(crate) last: String,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Only what is about this one
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Go on with what happens from now on
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// At most so many of the past
    #[arg(long, short = 'n', value_name = "N", default_value_t = 4096)]
    pub(crate) last: usize,
    /// For machines: one object a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct Remote {
    /// The daemon's control socket
    #[arg(long, value_name = "PATH", default_value = "/run/liege/control.sock")]
    pub(crate) control: PathBuf,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The command's exit code is passed on; 128 and the signal where one killed it, 137 where the vassal ended under it."
)]
pub(crate) struct Enter {
    /// Which
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// As root, with a fresh environment, instead of as the user the app runs as. What is executed is what lies in the vassal's root, which
    /// may be anybody's
    #[arg(long)]
    pub(crate) root: bool,
    /// As the user the app runs as: what is done anyway
    #[arg(long, hide = true, conflicts_with = "root")]
    pub(crate) user: bool,
    /// A fresh environment instead of the app's, as root always has it
    #[arg(long)]
    pub(crate) clean_env: bool,
    /// What is run there; without it a shell. It has a terminal of its own, and shows on this one what it likes
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 liege can run here, 1 something vital is missing. No daemon is needed.")]
pub(crate) struct Doctor {
    /// For machines
    #[arg(long)]
    pub(crate) json: bool,
    /// A daemon's state directory [default: the one its control socket is in]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) remote: Remote,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// What `run --trace` wrote
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}
