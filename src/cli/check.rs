//! `liege check`: every mistake at once, before the daemon meets it.
//!
//! A file with an `emperor` key in `[uwsgi]` or `[liege]` is an emperor's, every other one a vassal's, read as the daemon would
//! read it: relative paths start in its directory. A directory stands for the `*.ini` files in it, as for the daemon.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use liege_host::World;
use liege_spec::{
    Diagnostic, EmperorSpec, Namespaces, Pair, Severity, Source, VassalConfig, flatten, read_emperor, read_vassal, show_config,
};
use serde::Serialize;

use crate::{arguments::Check, plan, say::say};

/// What is known of one file after reading it.
#[derive(Serialize)]
struct Checked {
    file: String,
    kind: &'static str,
    diagnostics: Vec<Diagnostic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Vec<Line>>,
    /// The same as text.
    #[serde(skip)]
    shown: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<plan::Plans>,
}

/// One option as it is understood, and where it was written.
#[derive(Serialize)]
struct Line {
    key: String,
    value: String,
    file: String,
    line: u32,
}

/// Checks all files; 1 when one of them has an error.
pub(crate) fn check(arguments: &Check) -> anyhow::Result<ExitCode> {
    let namespaces = namespaces(&arguments.emperor_use_clone)?;
    let mut checked: Vec<Checked> = Vec::new();
    for file in &arguments.files {
        if file.is_dir() {
            let files = files_in(file)?;
            anyhow::ensure!(!files.is_empty(), "{}: there is no vassal's file (NAME.ini) in this directory", file.display());
            checked.extend(files.iter().map(|file| check_one(file, arguments, namespaces)));
        } else {
            checked.push(check_one(file, arguments, namespaces));
        }
    }
    if arguments.json {
        say(&(serde_json::to_string_pretty(&checked)? + "\n"));
    } else {
        checked.iter().for_each(|checked| print(checked, arguments));
    }
    let failed = checked.iter().flat_map(|c| &c.diagnostics).any(Diagnostic::is_error);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// By name.
fn files_in(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.with_context(|| format!("{}: list it", directory.display()))?;
    let mut files: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
    files.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.len() > ".ini".len() && name.ends_with(".ini") && path.is_file()
    });
    files.sort();
    Ok(files)
}

fn namespaces(list: &str) -> anyhow::Result<Namespaces> {
    let flags = [("emperor", "/"), ("emperor-use-clone", list)].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let reading = read_emperor(None, &flags, &World::alone());
    match reading.value {
        Some(spec) => Ok(spec.namespaces),
        None => bail!("{}", reading.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

fn check_one(file: &PathBuf, arguments: &Check, namespaces: Namespaces) -> Checked {
    let shown = file.to_string_lossy().into_owned();
    let mut checked =
        Checked { file: shown.clone(), kind: "vassal", diagnostics: Vec::new(), config: None, shown: None, plan: None };
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(error) => {
            checked.diagnostics.push(whole_file(&shown, format!("cannot be read: {error}")));
            return checked;
        }
    };
    let directory = file.parent().unwrap_or(Path::new(""));
    let world = World::alone_in(directory);
    let source = Source::new(&shown, &text);
    let emperor = flatten(&source, &["uwsgi", "liege"], false, &World::alone()).0;
    let pairs = if emperor.iter().any(|pair| pair.key == "emperor") {
        checked.kind = "emperor";
        let reading = read_emperor(Some(&source), &[], &World::alone());
        checked.diagnostics = reading.diagnostics;
        if reading.value.is_some_and(|spec| !spec.namespaces.mount) {
            let shares = Diagnostic { severity: Severity::Warning, ..whole_file(&shown, EmperorSpec::SHARES_MOUNTS.to_owned()) };
            checked.diagnostics.push(shares);
        }
        if arguments.plan {
            checked.diagnostics.push(whole_file(&shown, "an emperor's file has no plan: name a vassal's".to_owned()));
        }
        emperor
    } else {
        let reading = read_vassal(&source, &world);
        checked.diagnostics = reading.diagnostics;
        let pairs = flatten(&source, &["uwsgi", "vassal"], false, &world).0;
        add_doubts(&mut checked, &pairs, &text);
        if let Some(config) = reading.value {
            add_plan(&mut checked, &config, file, arguments.plan, namespaces);
        }
        pairs
    };
    if arguments.show_config {
        checked.shown = Some(show_config(&pairs));
        checked.config = Some(pairs.into_iter().map(line).collect());
    }
    checked
}

fn line(pair: Pair) -> Line {
    let Pair { key, value, origin, .. } = pair;
    Line { key, value, file: origin.file, line: origin.line }
}

/// Compiles always: what cannot be compiled cannot be started, so it is a mistake of the file.
fn add_plan(checked: &mut Checked, config: &VassalConfig, file: &Path, show: bool, namespaces: Namespaces) {
    match plan::compile(config, file, namespaces) {
        Ok(plans) => checked.plan = show.then_some(plans),
        Err(error) => checked.diagnostics.push(whole_file(&checked.file, error.to_string())),
    }
}

/// What is legal and works, but is hardly meant: root, because nobody said otherwise, and words that are no option.
fn add_doubts(checked: &mut Checked, pairs: &[Pair], text: &[u8]) {
    if !pairs.iter().any(|pair| pair.key == "uid") {
        let root = Diagnostic {
            severity: Severity::Warning,
            hint: Some("add uid = NAME and gid = NAME".to_owned()),
            ..whole_file(&checked.file, "runs as root: no uid is given".to_owned())
        };
        checked.diagnostics.push(root);
    }
    let text = String::from_utf8_lossy(text);
    for pair in pairs.iter().filter(|pair| pair.value.is_empty() && pair.origin.file == checked.file) {
        let line = text.split('\n').nth((pair.origin.line as usize).wrapping_sub(1)).unwrap_or("=").trim_end();
        // A bare key is a boolean; no option's name has a blank in it.
        let Some((first, rest)) = pair.key.split_once([' ', '\t']).filter(|_| !line.contains('=')) else { continue };
        if checked.diagnostics.iter().any(|known| known.line == pair.origin.line) {
            continue;
        }
        checked.diagnostics.push(Diagnostic {
            severity: Severity::Warning,
            line: pair.origin.line,
            column: pair.origin.column,
            width: u32::try_from(pair.key.chars().count()).unwrap_or(1),
            text: line.to_owned(),
            hint: Some(format!("write {first} = {}", rest.trim_start())),
            ..whole_file(&checked.file, "there is no = in this line: it is a name that nothing asks for".to_owned())
        });
    }
}

fn whole_file(file: &str, message: String) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        file: file.to_owned(),
        line: 0,
        column: 0,
        width: 1,
        text: String::new(),
        message,
        hint: None,
    }
}

/// Mistakes to stderr, what was asked for to stdout; a good file without a question is one line.
fn print(checked: &Checked, arguments: &Check) {
    checked.diagnostics.iter().for_each(|diagnostic| eprintln!("{diagnostic}\n"));
    if let Some(config) = &checked.shown {
        say(config);
    }
    if let Some(plan) = &checked.plan {
        say(&plan.to_string());
    }
    if checked.diagnostics.is_empty() && !arguments.show_config && !arguments.plan {
        say(&format!("{}: good ({})\n", checked.file, checked.kind));
    }
}
