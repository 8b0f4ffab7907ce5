//! One file and what is known of it after reading it.
//!
//! A file with an `emperor` key in `[uwsgi]` or `[liege]` is an emperor's, every other one a vassal's, read as the daemon would
//! read it: relative paths start in its directory. In a directory of vassals an emperor is one too: its uwsgi rules its own.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use liege_host::{World, is_mount_point, read_configuration, why_no_file};
use liege_spec::{
    Code, Diagnostic, Namespaces, Pair, Severity, Source, VassalConfig, checks_of_nothing, doubts_of_emperor, doubts_of_vassal,
    flatten, layers_taken_away, plugins_missing, read_emperor, read_vassal, show_config,
};
use serde::Serialize;

use crate::{arguments::Check, plan};

/// What was found.
pub(super) struct Checked {
    pub(super) file: String,
    pub(super) kind: Kind,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) config: Option<Vec<Line>>,
    /// The same as text.
    pub(super) shown: Option<String>,
    pub(super) plan: Option<plan::Plans>,
}

/// What it was read as.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Emperor,
    Vassal,
    /// One whose files could not be had.
    Directory,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// One option as it is understood, and where it was written.
#[derive(Serialize)]
pub(super) struct Line {
    key: String,
    value: String,
    file: String,
    line: u32,
}

impl From<Pair> for Line {
    fn from(pair: Pair) -> Self {
        let Pair { key, value, origin, .. } = pair;
        Self { key, value, file: origin.file, line: origin.line }
    }
}

impl Checked {
    /// What could not even be read.
    pub(super) fn bad(path: &Path, kind: Kind, mistake: Diagnostic) -> Self {
        Self { diagnostics: vec![mistake], ..Self::nothing(path, kind) }
    }

    fn nothing(path: &Path, kind: Kind) -> Self {
        let file = path.to_string_lossy().into_owned();
        Self { file, kind, diagnostics: Vec::new(), config: None, shown: None, plan: None }
    }

    fn whole(&self, code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic::of_file(Severity::Error, code, self.file.as_str(), message)
    }
}

/// Reads a file, and all that is wrong with it.
pub(super) fn check_file(file: &PathBuf, among_vassals: bool, arguments: &Check, namespaces: Namespaces) -> Checked {
    let mut checked = Checked::nothing(file, Kind::Vassal);
    let text = match read_configuration(file) {
        Ok(text) => text,
        Err(error) => {
            let why = why_no_file(file).unwrap_or_else(|| format!("cannot be read: {error}"));
            return Checked::bad(file, Kind::Vassal, checked.whole(Code::Unreadable, why));
        }
    };
    // By its whole path, as the daemon reads it: relative to the directory it would lie in that directory once more.
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.clone());
    let path = whole.to_string_lossy().into_owned();
    let source = Source::new(&path, &text);
    let pairs = flatten(&source, &["uwsgi", "liege"], false, &World::alone().for_reading()).0;
    let is_emperor = !among_vassals && !arguments.vassal && pairs.iter().any(|pair| pair.key == "emperor");
    let mut pairs = if is_emperor {
        checked.kind = Kind::Emperor;
        emperor(&mut checked, &source, &pairs, arguments);
        pairs
    } else {
        vassal(&mut checked, &source, &whole, arguments, namespaces)
    };
    // Shown by the name it was given.
    let shown = checked.file.clone();
    checked.diagnostics.iter_mut().filter(|d| d.file == path).for_each(|d| d.file.clone_from(&shown));
    pairs.iter_mut().filter(|pair| pair.origin.file == path).for_each(|pair| pair.origin.file.clone_from(&shown));
    checked.plan.iter_mut().for_each(|plan| plan.rename(&path, &shown));
    if arguments.show_config {
        let sections = if is_emperor { ["uwsgi", "liege"] } else { ["uwsgi", "vassal"] };
        checked.shown = Some(show_config(source.section(sections), &pairs));
        checked.config = Some(pairs.into_iter().map(Line::from).collect());
    }
    checked
}

fn emperor(checked: &mut Checked, source: &Source<'_>, pairs: &[Pair], arguments: &Check) {
    let reading = read_emperor(Some(source), &[], &World::alone().for_reading());
    checked.diagnostics = reading.diagnostics;
    if reading.value.is_none() && pairs.iter().any(|pair| pair.key == "uid") {
        // It comes first: what follows is wrong only if it is meant as the daemon's own file.
        let message = "is read as the file of liege run --ini, because it has emperor = and was named without --vassal";
        let vassal = "if it is a vassal whose uwsgi is an emperor itself: liege check --vassal FILE, or liege check DIRECTORY";
        let kind = Diagnostic::of_file(Severity::Warning, Code::WrongFile, source.path, message).with_hint(vassal);
        checked.diagnostics.insert(0, kind);
    }
    if let Some(spec) = reading.value {
        checked.diagnostics.extend(doubts_of_emperor(source, pairs, &spec));
    }
    if arguments.plan {
        checked.diagnostics.push(checked.whole(Code::NotSupported, "an emperor's file has no plan: name a vassal's"));
    }
}

fn vassal(checked: &mut Checked, source: &Source<'_>, file: &Path, arguments: &Check, namespaces: Namespaces) -> Vec<Pair> {
    let world = World::alone_in(file.parent().unwrap_or(Path::new(""))).for_reading();
    let reading = read_vassal(source, &world);
    checked.diagnostics = reading.diagnostics;
    let pairs = flatten(source, &["uwsgi", "vassal"], false, &world).0;
    if checked.diagnostics.iter().any(|d| d.code == Code::NotSupported && d.line == 0) {
        return pairs; // it is no INI: what it lacks says nothing
    }
    if file.extension().is_none_or(|suffix| suffix != "ini") {
        let message = "is no vassal by its name: in its directory the daemon reads *.ini alone";
        let unread = Diagnostic::of_file(Severity::Warning, Code::WrongFile, source.path, message);
        checked.diagnostics.push(unread.with_hint("call it NAME.ini, or add its suffix to the daemon's emperor-extra-extension"));
    }
    if checked.diagnostics.iter().any(|d| d.code == Code::NoSection && d.is_error()) {
        return pairs; // nor where nothing in it is read
    }
    let doubts = doubts_of_vassal(source, &pairs, reading.value.as_ref(), namespaces);
    // A mistake is told once.
    let told: Vec<(Code, u32)> = checked.diagnostics.iter().map(|d| (d.code, d.line)).collect();
    checked.diagnostics.extend(doubts.into_iter().filter(|doubt| !told.contains(&(doubt.code, doubt.line))));
    if let Some(config) = reading.value {
        checked.diagnostics.extend(checks_of_nothing(source, &config, &is_mount_point));
        checked.diagnostics.extend(plugins_missing(source, &pairs, &config, &|path| Path::new(path).exists()));
        checked.diagnostics.extend(layers_taken_away(source, &config, &is_mount_point));
        add_plan(checked, &config, file, arguments.plan, namespaces);
    }
    pairs
}

/// Compiles always: what cannot be compiled cannot be started, so it is a mistake of the file.
fn add_plan(checked: &mut Checked, config: &VassalConfig, file: &Path, show: bool, namespaces: Namespaces) {
    match plan::compile(config, file, namespaces) {
        Ok(plans) => checked.plan = show.then_some(plans),
        Err(error) => checked.diagnostics.push(checked.whole(Code::CannotStart, error.to_string())),
    }
}
