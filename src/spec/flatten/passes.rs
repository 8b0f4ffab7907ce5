//! When everything is appended: the three passes, then what `inherit` brings, then text.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Exported, Flattener, Stage};
use crate::known;
use crate::logic::{Facts, Refused};
use crate::pair::Pair;
use crate::place::Place;
use crate::placeholder;
use crate::text::{Mark, Text};
use crate::vassal_file::is_carried_by_root;
use crate::{Code, Diagnostic, Severity, traps};

/// What resolving one name counts for.
const RESOLVED: usize = 64;

/// One name that a value asks for.
struct Asked<'a> {
    name: &'a Text,
    place: &'a Place,
    /// The same value has asked for it before, and there is none: the scan starts again after each replacement.
    again: bool,
}

impl Flattener<'_> {
    /// The passes, then what `inherit` brings.
    pub(super) fn finish(mut self) -> Vec<Pair> {
        self.expand_environment();
        self.expand_files();
        self.expand_placeholders();
        let mut at = 0;
        while at < self.options.len() {
            if self.options[at].key == b"inherit" && self.options[at].stage == Stage::Plain {
                self.options[at].stage = Stage::Done;
                let (value, place) = (self.options[at].value.clone(), Arc::clone(&self.options[at].place));
                if value.bytes().ends_with(b".ini") {
                    let before = self.options.len();
                    self.load(&value, &place, true);
                    self.warn_of_unexpanded(before);
                } else {
                    self.refuse(&place, Code::NotSupported, "inherits only files whose name ends in .ini");
                }
            }
            at += 1;
        }
        self.close_logic();
        self.refuse_unknown();
        if self.budget.is_over() {
            return Vec::new();
        }
        self.into_pairs()
    }

    /// `strict` refuses the unknown options above it too, when they are applied.
    fn refuse_unknown(&mut self) {
        if !self.strict {
            return;
        }
        let unknown = self.options.iter().filter(|option| option.stage == Stage::Plain && !known::is_known(&option.key));
        let unknown: Vec<_> = unknown.map(|option| (option.key.clone(), Arc::clone(&option.place))).collect();
        for (key, place) in unknown {
            self.refuse_unknown_option(&key, &place);
        }
    }

    /// What came by `inherit` came too late for the passes. Only what would have changed is worth a warning.
    fn warn_of_unexpanded(&mut self, from: usize) {
        for option in &self.options[from..] {
            let mut expanded = option.value.clone();
            let budget = self.budget;
            let resolve = |name: &Text| placeholder::pipeline(name.bytes(), budget, |name| self.option(name));
            let outcome = placeholder::expand(&mut expanded, b'%', budget, resolve);
            if budget.is_over() {
                break;
            }
            if outcome.is_err() || expanded != option.value {
                let late = option.place.at_value(
                    Severity::Warning,
                    Code::UnexpandedPlaceholder,
                    "placeholders in an inherited file are not expanded",
                );
                self.report.push(late.with_hint("include the file instead of inheriting it"));
            }
        }
    }

    fn pass(&mut self, symbol: u8, resolve: impl Fn(&Self, &Asked<'_>) -> (Option<Text>, Option<Diagnostic>)) {
        for at in 0..self.options.len() {
            if self.options[at].stage != Stage::Plain {
                continue;
            }
            let mut value = self.options[at].value.clone();
            let place = Arc::clone(&self.options[at].place);
            let mut mistakes = Vec::new();
            let mut told = HashSet::new();
            // The option under expansion is itself still found with its old value, as in uWSGI.
            let outcome = placeholder::expand(&mut value, symbol, self.budget, |name| {
                self.budget.work(RESOLVED);
                let asked = Asked { name, place: &place, again: told.contains(name.bytes()) };
                let (found, mistake) = resolve(self, &asked);
                if found.is_none() && !asked.again {
                    told.insert(name.bytes().to_vec());
                }
                mistakes.extend(mistake);
                found
            });
            if !self.goes_on(&place) {
                return;
            }
            if outcome.is_err() {
                // Whoever asks for it grows as well: one such mistake is enough, and each costs time.
                return self.report.push(place.at_value(
                    Severity::Error,
                    Code::Endless,
                    "grows without end: it refers to itself",
                ));
            }
            self.options[at].value = value;
            for mistake in mistakes {
                self.report.push(mistake);
            }
        }
    }

    fn expand_environment(&mut self) {
        self.pass(b'$', |this, asked| {
            let name = asked.name.lossy();
            let of_a_shell = traps::has_own_signs(&asked.place.name);
            let found = environment(asked.name, of_a_shell, &|name| this.env(name));
            let unset = if found.is_none() && !asked.again { this.unset(&name, asked.place) } else { None };
            (found, unset)
        });
    }

    fn expand_files(&mut self) {
        self.pass(b'@', |this, asked| {
            let word = format!("@({})", asked.name.lossy());
            match this.read_from(asked.name) {
                Ok(found) => {
                    let content = found.text.bytes();
                    let content = content.strip_suffix(b"\n").or_else(|| content.strip_suffix(b"\r")).unwrap_or(content);
                    let end = content.iter().position(|byte| *byte == 0).unwrap_or(content.len());
                    let news = !this.is_no_news(&found.writers, asked.place);
                    let doubt = news.then(|| {
                        let message = format!("others than root may write this file ({})", found.writers);
                        let doubt = asked.place.at_word(Severity::Warning, &word, Code::OthersText, message);
                        doubt.with_hint(
                            "a link in its place leads to any file, and that is read as root; env-file takes root's files only",
                        )
                    });
                    (Some(found.text.slice(0..end)), doubt)
                }
                Err(_) if asked.again => (None, None),
                Err(Refused { why, hint: None }) => {
                    (None, Some(asked.place.at_word(Severity::Error, &word, Code::Unreadable, why)))
                }
                Err(Refused { why, hint: Some(hint) }) => {
                    (None, Some(asked.place.at_word(Severity::Error, &word, Code::OthersText, why).with_hint(hint)))
                }
            }
        });
    }

    fn expand_placeholders(&mut self) {
        self.pass(b'%', |this, asked| {
            let found = placeholder::pipeline(asked.name.bytes(), this.budget, |name| this.option(name));
            let typo = if found.is_none() && !asked.again { this.mistyped(asked.name.bytes(), asked.place) } else { None };
            (found, typo)
        });
    }

    /// An unknown `$(NAME)` stays as it is. In a command it may be the shell's, so there only a near miss is worth a warning.
    fn unset(&self, name: &str, place: &Place) -> Option<Diagnostic> {
        let names = self.lookup.env_names();
        let upper = name.to_uppercase();
        let near = names.iter().find(|known| **known == upper).map(String::as_str);
        let near = near.or_else(|| self.report.nearest(&upper, names.iter().map(String::as_str)));
        if near.is_none() && (traps::has_own_signs(&place.name) || !is_name(name)) {
            return None;
        }
        let message = format!("there is no {name} in the environment: $({name}) stays as it is");
        let unset = place.at_word(Severity::Warning, &format!("$({name})"), Code::UnknownPlaceholder, message);
        Some(match near {
            Some(near) => unset.with_hint(format!("did you mean $({near})?")),
            None => unset.with_hint("set it in the daemon's environment; the one of this check may be another"),
        })
    }

    /// An unknown `%(name)` stays as it is, and in a log format or a command it has to. There only a near miss is worth a warning.
    fn mistyped(&self, name: &[u8], place: &Place) -> Option<Diagnostic> {
        let name = std::str::from_utf8(name).ok()?;
        let keys = self.options.iter().map(|option| std::str::from_utf8(&option.key).unwrap_or_default());
        let near = self.report.nearest(name, keys);
        if near.is_none() && (traps::has_own_signs(&place.name) || !is_name(name)) {
            return None;
        }
        let message = format!("nothing is named {name}: %({name}) stays as it is");
        let mut unknown = place.at_word(Severity::Warning, &format!("%({name})"), Code::UnknownPlaceholder, message);
        unknown.hint = near.map(|near| format!("did you mean %({near})?"));
        Some(unknown)
    }

    /// Where root carries out what a value says, a sign that others put in would be a part of what it says: a blank ends a word, a `;` a
    /// command. Names and lines of plain letters pass.
    fn refuse_untamed(&mut self) {
        let declared = |option: &Exported| Some(option.value.bytes().split(|byte| *byte == b'=').next()?.to_vec());
        let declared: HashSet<Vec<u8>> =
            self.options.iter().filter(|option| option.key == b"declare-option").filter_map(declared).collect();
        for option in &self.options {
            let is_carried_out = option.stage != Stage::Hidden
                && (declared.contains(&option.key) || std::str::from_utf8(&option.key).is_ok_and(is_carried_by_root));
            if is_carried_out && option.value.has_foreign_data(|byte| !is_tame(byte)) {
                let message = "others than root choose a part of this, with signs that are no part of a plain name";
                let untamed = option.place.at_value(Severity::Error, Code::OthersText, message);
                let hint = "root carries it out, so only letters, digits, and _ - . / @ + = ~ may come from others";
                self.report.push(untamed.with_hint(hint));
            }
        }
    }

    fn into_pairs(mut self) -> Vec<Pair> {
        self.refuse_untamed();
        let mut pairs = Vec::new();
        let asked_for = self.asked_for.into_inner();
        for option in self.options {
            if option.stage == Stage::Hidden {
                continue;
            }
            let asked_for = asked_for.contains(&option.key);
            let text = |bytes: Vec<u8>| match String::from_utf8(bytes) {
                Ok(text) => (text, true),
                Err(bytes) => (String::from_utf8_lossy(bytes.as_bytes()).into_owned(), false),
            };
            let (key, key_is_text) = text(option.key);
            let put_in = option.value.has_signs_in_data();
            let (value, value_is_text) = text(option.value.into_bytes());
            if !(key_is_text && value_is_text) {
                let strange = option.place.at_value(Severity::Error, Code::NotUtf8, "holds bytes that are no UTF-8");
                self.report.push(strange.with_hint("save the file as UTF-8"));
            }
            let origin = option.place.origin();
            pairs.push(Pair {
                key,
                value,
                origin,
                place: option.place,
                placeholder: option.stage == Stage::Placeholder,
                asked_for,
                put_in,
            });
        }
        pairs
    }
}

/// A letter, a digit, or a sign that means nothing to a shell within a word, nor to a hook.
fn is_tame(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"_-./@+=~".contains(&byte)
}

/// What a person would call a variable or a placeholder; a pipeline or a shell's line is none.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic()) && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// `NAME`, and the later uWSGI's `NAME-default` (where unset) and `NAME:-default` (where unset or empty). A default goes on
/// to the end of the parenthesis; uWSGI's own reader of defaults breaks at the first `-` or `:` inside it.
///
/// `$(id -u)` and `$(dpkg-architecture)` are a shell's: before a default stands the name of a variable, and in the line of a
/// shell one in capitals. uWSGI 2.0 has no defaults at all and leaves all of them to the shell.
fn environment(whole: &Text, of_a_shell: bool, env: &dyn Fn(&str) -> Option<String>) -> Option<Text> {
    let value = |value: String| Text::new(value, Mark::DATA);
    if let Some(found) = env(&whole.lossy()) {
        return Some(value(found));
    }
    let hyphen = whole.bytes().iter().position(|byte| *byte == b'-')?;
    let variable = std::str::from_utf8(&whole.bytes()[..hyphen]).ok()?;
    let (variable, or_empty) = variable.strip_suffix(':').map_or((variable, false), |variable| (variable, true));
    if !is_variable(variable) || of_a_shell && variable.contains(|c: char| c.is_ascii_lowercase()) {
        return None;
    }
    let found = env(variable).filter(|value| !or_empty || !value.is_empty());
    Some(found.map_or_else(|| whole.slice(hyphen + 1..whole.len()), value))
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_stands_behind_the_name_of_a_variable() {
        let env = |name: &str| match name {
            "SET" => Some("s".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (name, of_a_shell, meant) in [
            ("SET", false, Some("s")),
            ("NO", false, None),
            ("NO-d", false, Some("d")),
            ("NO:-d", true, Some("d")),
            ("SET-d", true, Some("s")),
            ("EMPTY-d", true, Some("")),
            ("EMPTY:-d-e:f", false, Some("d-e:f")),
            ("port-8080", false, Some("8080")),
            ("port-8080", true, None),
            ("id -u", false, None),
            ("echo a-b", true, None),
            ("date -u +%Y", false, None),
            ("dpkg-architecture", true, None),
            ("7-d", false, None),
            ("-d", false, None),
        ] {
            let found = environment(&Text::new(name, Mark::ROOTS), of_a_shell, &env).map(|found| found.lossy());
            assert_eq!(found.as_deref(), meant, "{name} {of_a_shell}");
        }
    }
}
