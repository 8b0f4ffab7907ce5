//! The daemon from its first line to its last.
//!
//! One thread runs the runtime: every turn of the loop and every task is short, and with one thread there is nothing to wake,
//! nothing to lock and no order to lose between them. What blocks (clones, files, NSS, sweeps) has pools of threads
//! (`workers.rs`), the control socket, the metrics listener and the log have a thread each, and probes have a process.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use futures::{Stream, StreamExt};
use liege_core::Emperor;
use liege_plan::Limits;
use liege_spec::EmperorSpec;
use liege_sys::{limits, memory, subreaper};
use tokio::time::{Instant, timeout_at};

use crate::{
    birthplace::Birthplace,
    checks::Means,
    children::Children,
    clock::Clock,
    control::{Control, Family, House},
    deaths::Deaths,
    events::Events,
    health,
    inbox::inbox,
    inherited::Inherited,
    life::Nursery,
    listeners::Listeners,
    lives::Lives,
    metrics::Book,
    monitor::Monitors,
    oom::KillsAround,
    own_program::OwnProgram,
    pidfile::Pidfile,
    prober::Prober,
    service,
    signals::{Told, signals},
    state_dir::StateDir,
    trace::{Header, Trace},
    turn::Loop,
    vassal_logs::VassalLogs,
    web::{Readiness, Recent, Sights, Web},
    workers,
};

/// What `liege run` was asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// The emperor's file and flags, understood.
    pub spec: EmperorSpec,
    /// Record what the core is told and answers.
    pub trace: Option<PathBuf>,
}

/// Descriptors that must be free at the start. (Measured: 28 are open in a daemon without vassals.)
const AT_START: usize = 32;
/// Letters that may wait for the loop. A task with one more waits.
const INBOX: usize = 4096;
/// How long helpers may take to leave when all vassals are gone.
const HELPERS_LEAVE: Duration = Duration::from_secs(1);

/// Whether this process may rule at all.
///
/// # Errors
/// It is not root's.
pub fn require_root() -> anyhow::Result<()> {
    anyhow::ensure!(
        nix::unistd::Uid::effective().is_root(),
        "run needs root: it makes namespaces and mounts, and runs every vassal as a user of its own (liege check does not)"
    );
    Ok(())
}

/// Whether so many descriptors are free as the daemon needs before its first vassal. Where one is refused to it later, it says so; the runtime
/// panics.
fn have_descriptors() -> anyhow::Result<()> {
    let taken: std::io::Result<Vec<File>> = (0..AT_START).map(|_| File::open("/dev/null")).collect();
    taken.map(drop).with_context(|| {
        format!("open {AT_START} files at once, as many as the daemon needs to begin: raise the limit (LimitNOFILE=, ulimit -n)")
    })
}

/// Rules until it is told to stop and nothing is left. Blocks.
///
/// # Errors
/// Something the daemon cannot do without is missing; nothing was started then.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    // Whoever started us may have left the very signals blocked that tell us to stop.
    nix::sys::signal::SigSet::empty().thread_set_mask().context("unblock all signals")?;
    let umask = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let nofile = limits::raise_nofile().context("raise the limit of open files")?;
    have_descriptors()?;
    let limits =
        Limits { nofile, oom_score_adj: limits::oom_score_adj().context("read /proc/self/oom_score_adj")?, umask: umask.bits() };
    memory::share_arenas();
    subreaper::enable().context("become the reaper of orphans")?;
    workers::start().context("start the threads that the daemon needs")?;
    let spec = &options.spec;
    if !spec.namespaces.mount {
        tracing::warn!(target: "emperor", "{}", EmperorSpec::SHARES_MOUNTS);
    }
    let birthplace = Arc::new(Birthplace::new()?);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let header = Header { liege: env!("CARGO_PKG_VERSION").to_owned(), spec: spec.clone(), processors, limits };
    let trace = options.trace.as_deref().map(|path| Trace::create(path, &header)).transpose()?;
    let _state_dir = StateDir::take(Path::new(&spec.state_dir))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("make the runtime")?;
    let core = Emperor::new(spec, processors, limits);
    let result = runtime.block_on(rule(spec, core, birthplace, trace));
    runtime.shutdown_background(); // a thread stuck in a dead file system ends with the process
    result.map(|()| ExitCode::SUCCESS)
}

async fn rule(spec: &EmperorSpec, core: Emperor, birthplace: Arc<Birthplace>, trace: Option<Trace>) -> anyhow::Result<()> {
    // First of all, so that no child's end and no wish to stop is missed.
    let mut signals = signals().context("listen to signals")?;
    let children = Arc::new(Children::new());
    let (post, inbox) = inbox(INBOX);
    let events = Events::new();
    let logs = Arc::new(VassalLogs::below(&spec.log_dir));
    let deaths = Deaths::keep(Path::new(&spec.state_dir), Arc::clone(&logs))?;
    let house = House::new(post.clone(), events.clone(), deaths.records(), Arc::clone(&logs));
    let control = Control::serve(Path::new(&spec.control), house, Family::own(children.mark))?;
    let (book, readiness) = (Arc::<Book>::default(), Arc::<Readiness>::default());
    let recent = Arc::<Recent>::default();
    let sights =
        Sights { post: post.clone(), book: Arc::clone(&book), readiness: Arc::clone(&readiness), recent: Arc::clone(&recent) };
    let web = spec.metrics.as_ref().map(|at| Web::serve(at, &spec.metrics_hosts, sights)).transpose()?;
    let mut monitors = Monitors::start(spec, &post, &children, book.inotify_overflows.clone());
    tokio::spawn(tell_ready(monitors.watching(), spec.clone(), web.as_ref().map(Web::address)));
    let first_scan = monitors.first_scan();
    tokio::spawn(async move {
        first_scan.await;
        readiness.all_is_found();
    });
    if let Some(every) = spec.health_log {
        health::start(every, post.clone());
    }
    let program = Arc::new(OwnProgram::new().context("the program of the prober")?);
    let prober = Prober::new(Arc::clone(&children), Arc::clone(&program), book.prober_restarts.clone());
    let mut the_loop = Loop {
        core,
        clock: Clock::start(),
        inbox,
        children: Arc::clone(&children),
        nursery: Nursery {
            birthplace,
            program,
            children: Arc::clone(&children),
            cgroups: Arc::default(),
            logs,
            inherited: Arc::new(Inherited::watched()),
            oom: KillsAround::own(),
            post: post.clone(),
        },
        lives: Lives::default(),
        checks: Means { prober, post },
        listeners: Listeners::new(),
        monitors,
        trace,
        deaths,
        events,
        asker: None,
        book,
        recent: web.is_some().then_some(recent),
    };
    // Whoever waits for the file finds a daemon that answers.
    let pidfiles = spec.pidfiles.iter().map(|path| Pidfile::write(Path::new(path)));
    let _pidfiles = pidfiles.collect::<anyhow::Result<Vec<_>>>()?;
    the_loop.run(&mut signals).await;
    drop((control, web));
    drop(the_loop); // the prober sees its socket close, and ends
    children.close(); // a file that is being read must not start a command any more
    until_childless(&children, &mut signals).await;
    if children.may_leave_orphans() {
        // Of commands that configurations had run (`exec://`); those of vassals are gone with them.
        let sweeper = Arc::clone(&children);
        let mut swept = std::pin::pin!(workers::LIVES.finish(move || sweeper.sweep()));
        loop {
            tokio::select! {
                _ = &mut swept => break,
                _ = signals.next() => children.reap(),
            }
        }
    }
    match children.left_behind() {
        none if none.is_empty() => tracing::info!(target: "emperor", "the emperor is gone, nothing is left"),
        some => tracing::error!(target: "emperor", "the emperor is gone; beyond SIGKILL and left behind: {}", some.join("; ")),
    }
    Ok(())
}

/// The line others wait for: from now on no change of a directory is missed.
async fn tell_ready(watching: impl Future<Output = ()>, spec: EmperorSpec, metrics: Option<SocketAddr>) {
    watching.await;
    tracing::info!(
        target: "emperor", pid = std::process::id(), version = env!("CARGO_PKG_VERSION"), monitors = spec.monitors.len(),
        control = spec.control, metrics = metrics.map(tracing::field::display), "the emperor is ready"
    );
    service::ready();
}

/// Reaps the last helpers; those that do not leave are killed.
async fn until_childless(children: &Children, signals: &mut (impl Stream<Item = Told> + Unpin)) {
    let mut deadline = Instant::now() + HELPERS_LEAVE;
    loop {
        children.reap();
        if children.is_empty() {
            return;
        }
        if timeout_at(deadline, signals.next()).await.is_err() {
            if children.kill_all() {
                return; // a second time: something in the kernel holds it, and it ends when that does
            }
            deadline = Instant::now() + HELPERS_LEAVE;
        }
    }
}
