//! `liege check --plan`: the ordered steps init would walk, each with the line that asked for it.

use std::{fmt, path::Path};

use liege_core::{CompileError, Compiled, Source, Surroundings};
use liege_plan::{App, Limits, Program, Step, describe_act};
use liege_spec::{Namespaces, VassalConfig};
use serde::Serialize;

/// Both ways to the app.
#[derive(Serialize)]
pub(crate) struct Plans {
    first_start: Walk,
    reload: Walk,
}

#[derive(Serialize)]
struct Walk {
    steps: Vec<Shown>,
    app: String,
    at_exit: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    phase: &'static str,
    act: String,
    as_user: bool,
    fatal: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_at: Option<String>,
}

impl Plans {
    /// Another name of a file in the places of the steps.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        for walk in [&mut self.first_start, &mut self.reload] {
            for step in walk.steps.iter_mut().chain(&mut walk.at_exit) {
                if let Some(rest) = step.asked_at.as_deref().and_then(|at| at.strip_prefix(from)) {
                    step.asked_at = Some(format!("{to}{rest}"));
                }
            }
        }
    }
}

/// Compiles a vassal as the emperor would, for these namespaces.
pub(crate) fn compile(config: &VassalConfig, file: &Path, namespaces: Namespaces) -> Result<Plans, CompileError> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let directory = file.parent().unwrap_or(Path::new("")).to_string_lossy();
    let around = Surroundings {
        vassal: &name,
        directory: &directory,
        namespaces,
        vassal_caps: None,
        graceful_stop: false,
        hooks: &[],                                                        // the emperor's file is another one
        limits: Limits { nofile: (0, 0), oom_score_adj: 0, umask: 0o022 }, // not shown
    };
    let Compiled { work, origins, at_exit_origins } = liege_core::compile(config, around)?;
    let first_start = walk(&work.steps, &origins, &work.app, &work.at_exit, &at_exit_origins);
    let Compiled { work, origins, at_exit_origins } = liege_core::compile_reload(config, around)?;
    let reload = walk(&work.steps, &origins, &work.app, &work.at_exit, &at_exit_origins);
    Ok(Plans { first_start, reload })
}

fn walk(steps: &[Step], origins: &[Source], app: &App, at_exit: &[Step], at_exit_origins: &[Source]) -> Walk {
    let shown = |steps: &[Step], origins: &[Source]| steps.iter().zip(origins).map(|(step, source)| show(step, source)).collect();
    Walk { steps: shown(steps, origins), app: describe(app), at_exit: shown(at_exit, at_exit_origins) }
}

fn show(step: &Step, source: &Source) -> Shown {
    let act = describe_act(&step.act);
    Shown {
        phase: step.phase.name(),
        // `!verb:arg` hides the argument here as in the log.
        act: if source.hidden { format!("{} (hidden)", act.split(' ').next().unwrap_or_default()) } else { act },
        as_user: step.as_user,
        fatal: step.fatal,
        asked_at: source.origin.as_ref().map(ToString::to_string),
    }
}

fn describe(app: &App) -> String {
    let who = match &app.identity {
        Some(id) => format!(" as {}:{}", id.uid, id.gid),
        None if app.found_identity => " as who was found in its root".to_owned(),
        None => String::new(),
    };
    match &app.program {
        Program::Uwsgi(uwsgi) => {
            format!("{} under the emperor protocol, {} bytes of configuration{who}", uwsgi.binary, uwsgi.config.len())
        }
        Program::Command(words) => format!("{}{who}", words.join(" ")),
        Program::Shell(line) => format!("/bin/sh -c {line}{who}"),
    }
}

impl fmt::Display for Plans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "first start:\n{}reload, in the kept namespaces:\n{}", self.first_start, self.reload)
    }
}

impl fmt::Display for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:4}  {step}", index + 1)?;
        }
        writeln!(f, " app  {}", self.app)?;
        self.at_exit.iter().try_for_each(|step| writeln!(f, " end  {step}"))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = if self.as_user { ", as the user" } else { "" };
        let may_fail = if self.fatal { "" } else { ", may fail" };
        write!(f, "{:<22} {}{who}{may_fail}", self.phase, self.act)?;
        match &self.asked_at {
            Some(origin) => write!(f, "  [{origin}]"),
            None => Ok(()),
        }
    }
}
