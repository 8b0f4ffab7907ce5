//! `liege check --json`: one document for all files, whose shape is a promise to editors.
//!
//! ```json
//! {
//!   "version": 1,
//!   "errors": 1,
//!   "warnings": 0,
//!   "diagnostics": [
//!     {
//!       "file": "shop.ini",
//!       "line": 2,
//!       "column": 7,
//!       "end_column": 18,
//!       "severity": "error",
//!       "code": "unknown-user",
//!       "message": "there is no user \"nobodyknows\"",
//!       "hint": "create it (useradd --system NAME), or name one that exists"
//!     }
//!   ],
//!   "files": [{ "file": "shop.ini", "kind": "vassal" }]
//! }
//! ```
//!
//! `line`, `column` and `end_column` (the first character that is not meant any more) count from 1, in characters, not bytes; all
//! three are null where a file as a whole is meant. `severity` is `error` or `warning`; `hint` may be null. `file` is the
//! name the line stands in: an included file's own. In `files`, `kind` is `vassal`, `emperor` or `directory`; `config` is there with
//! `--show-config` and `plan` with `--plan`. What is added later is added beside these; a `version` above 1 would have other ones.

use liege_spec::{Code, Diagnostic, Severity};
use serde::Serialize;

use super::file::{Checked, Kind, Line};
use crate::plan::Plans;

#[derive(Serialize)]
pub(super) struct Document<'a> {
    version: u32,
    errors: usize,
    warnings: usize,
    diagnostics: Vec<Mistake<'a>>,
    files: Vec<File<'a>>,
}

#[derive(Serialize)]
struct Mistake<'a> {
    file: &'a str,
    line: Option<u32>,
    column: Option<u32>,
    end_column: Option<u32>,
    severity: Severity,
    code: Code,
    message: &'a str,
    hint: Option<&'a str>,
}

#[derive(Serialize)]
struct File<'a> {
    file: &'a str,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<&'a [Line]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a Plans>,
}

impl<'a> Document<'a> {
    pub(super) fn new(checked: &'a [Checked]) -> Self {
        let diagnostics: Vec<&Diagnostic> = checked.iter().flat_map(|checked| &checked.diagnostics).collect();
        let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        Self {
            version: 1,
            errors,
            warnings: diagnostics.len() - errors,
            diagnostics: diagnostics.into_iter().map(mistake).collect(),
            files: checked.iter().map(file).collect(),
        }
    }
}

fn mistake(of: &Diagnostic) -> Mistake<'_> {
    let in_line = |number: u32| (of.line > 0).then_some(number);
    Mistake {
        file: &of.file,
        line: in_line(of.line),
        column: in_line(of.column),
        end_column: in_line(of.column + of.width),
        severity: of.severity,
        code: of.code,
        message: &of.message,
        hint: of.hint.as_deref(),
    }
}

fn file(of: &Checked) -> File<'_> {
    File { file: &of.file, kind: of.kind, config: of.config.as_deref(), plan: of.plan.as_ref() }
}
