//! `liege check`: every mistake at once, before the daemon meets it.
//!
//! Mistakes go to stderr, what was asked for to stdout; with `--json` both are one document on stdout (`check/json.rs`). Exit codes:
//! 0 nothing is wrong (there may be warnings, unless `--deny-warnings`), 1 something is, 2 the command line is.

mod file;
mod json;

use std::{
    fs,
    io::IsTerminal as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use liege_ctl::{Style, shown, shown_json};
use liege_host::{World, is_lock};
use liege_spec::{Code, Diagnostic, Namespaces, Severity, read_emperor};

use self::file::{Checked, Kind, check_file};
use crate::{arguments::Check, say::say};

const USAGE: u8 = 2;

/// Checks all files, and says what is wrong with them.
pub(crate) fn check(arguments: &Check) -> anyhow::Result<ExitCode> {
    let namespaces = match namespaces(&arguments.emperor_use_clone) {
        Ok(namespaces) => namespaces,
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| eprintln!("{mistake}"));
            return Ok(USAGE.into());
        }
    };
    let mut checked: Vec<Checked> = Vec::new();
    for path in &arguments.files {
        if path.is_dir() {
            match files_in(path) {
                Ok(files) => {
                    checked.extend(files.iter().map(|file| check_file(file, true, arguments, namespaces)));
                    checked.extend(other_formats(path).iter().map(|file| ignored(file)));
                }
                Err(mistake) => checked.push(Checked::bad(path, Kind::Directory, mistake)),
            }
        } else {
            checked.push(check_file(path, false, arguments, namespaces));
        }
    }
    if arguments.json {
        say(&(shown_json(&serde_json::to_string_pretty(&json::Document::new(&checked))?) + "\n"));
    } else {
        let style = Style::of_stderr();
        checked.iter().for_each(|checked| show(checked, arguments, style));
    }
    let mut severities = checked.iter().flat_map(|checked| &checked.diagnostics).map(|diagnostic| diagnostic.severity);
    let failed = severities.any(|severity| severity == Severity::Error || arguments.deny_warnings);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The vassals' files of a directory, by name, as the daemon would take them.
fn files_in(directory: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let bad = |code, message: String| Diagnostic::of_file(Severity::Error, code, directory.to_string_lossy(), message);
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|error| bad(Code::Unreadable, format!("cannot be listed: {error}")))?;
    let mut files: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    files.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.len() > ".ini".len() && name.ends_with(".ini") && !is_lock(path)
    });
    files.sort();
    if files.is_empty() {
        return Err(bad(Code::NoVassals, "there is no vassal's file (NAME.ini) in this directory".to_owned()));
    }
    Ok(files)
}

/// Files that uWSGI would take for vassals.
fn other_formats(directory: &Path) -> Vec<PathBuf> {
    const SUFFIXES: [&str; 5] = ["js", "json", "xml", "yaml", "yml"];
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|suffix| SUFFIXES.iter().any(|other| suffix == *other)) && path.is_file())
        .collect();
    files.sort();
    files
}

fn ignored(file: &Path) -> Checked {
    let message = "is no vassal: liege reads configurations in INI form only";
    let ignored = Diagnostic::of_file(Severity::Warning, Code::NotSupported, file.to_string_lossy(), message);
    Checked::bad(file, Kind::Vassal, ignored.with_hint("write it as NAME.ini"))
}

fn namespaces(list: &str) -> Result<Namespaces, Vec<Diagnostic>> {
    let flags = [("emperor", "/"), ("emperor-use-clone", list)].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let reading = read_emperor(None, &flags, &World::alone());
    reading.value.map(|spec| spec.namespaces).ok_or(reading.diagnostics)
}

/// For people; a good file without a question is one line.
fn show(checked: &Checked, arguments: &Check, style: Style) {
    checked.diagnostics.iter().for_each(|diagnostic| eprintln!("{}\n", diagnostic.render(style.colours)));
    if let Some(config) = &checked.shown {
        // A program gets it as it is.
        if std::io::stdout().is_terminal() {
            say(&config.lines().map(|line| shown(line) + "\n").collect::<String>());
        } else {
            say(config);
        }
    }
    if let Some(plan) = &checked.plan {
        say(&plan.to_string());
    }
    if checked.diagnostics.is_empty() && !arguments.show_config && !arguments.plan {
        say(&format!("{}: good ({})\n", checked.file, checked.kind));
    }
}
