//! When everything is appended: the three passes, then what `inherit` brings, then text.

use std::sync::Arc;

use super::{Flattener, Mark};
use crate::known;
use crate::logic::Facts;
use crate::pair::Pair;
use crate::paths;
use crate::place::Place;
use crate::placeholder;
use crate::{Code, Diagnostic, Severity, traps};

impl Flattener<'_> {
    /// The passes, then what `inherit` brings.
    pub(super) fn finish(mut self) -> Vec<Pair> {
        self.expand_environment();
        self.expand_files();
        self.expand_placeholders();
        let mut at = 0;
        while at < self.options.len() {
            if self.options[at].key == b"inherit" && self.options[at].mark == Mark::Plain {
                self.options[at].mark = Mark::Done;
                let (value, place) = (self.options[at].value.clone(), Arc::clone(&self.options[at].place));
                if value.ends_with(b".ini") {
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
        self.into_pairs()
    }

    /// `strict` refuses the unknown options above it too, when they are applied.
    fn refuse_unknown(&mut self) {
        for option in
            self.options.iter().filter(|option| self.strict && option.mark == Mark::Plain && !known::is_known(&option.key))
        {
            self.report.push(option.place.at_key(Severity::Error, Code::UnknownOption, "is no option, and strict is set"));
        }
    }

    /// What came by `inherit` came too late for the passes. Only what would have changed is worth a warning.
    fn warn_of_unexpanded(&mut self, from: usize) {
        for option in &self.options[from..] {
            let mut expanded = option.value.clone();
            let outcome = placeholder::expand(&mut expanded, b'%', |name| placeholder::pipeline(name, |name| self.option(name)));
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

    fn pass(&mut self, symbol: u8, resolve: impl Fn(&Self, &[u8], &Place) -> (Option<Vec<u8>>, Option<Diagnostic>)) {
        for at in 0..self.options.len() {
            if self.options[at].mark != Mark::Plain {
                continue;
            }
            let mut value = self.options[at].value.clone();
            let place = Arc::clone(&self.options[at].place);
            let mut mistakes = Vec::new();
            // The option under expansion is itself still found with its old value, as in uWSGI.
            let outcome = placeholder::expand(&mut value, symbol, |name| {
                let (found, mistake) = resolve(self, name, &place);
                mistakes.extend(mistake);
                found
            });
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
        self.pass(b'$', |this, name, place| {
            let name = String::from_utf8_lossy(name);
            let found = environment(&name, &|name| this.env(name)).map(String::into_bytes);
            let unset = if found.is_none() { this.unset(&name, place) } else { None };
            (found, unset)
        });
    }

    fn expand_files(&mut self) {
        self.pass(b'@', |this, name, place| {
            let name = String::from_utf8_lossy(name).into_owned();
            match this.lookup.read(&paths::absolute(&name, &this.lookup.directory())) {
                Ok(mut content) => {
                    if let [.., b'\n' | b'\r'] = content[..] {
                        content.pop();
                    }
                    let end = content.iter().position(|byte| *byte == 0).unwrap_or(content.len());
                    content.truncate(end);
                    (Some(content), None)
                }
                Err(why) => (
                    None,
                    Some(place.at_word(
                        Severity::Error,
                        &format!("@({name})"),
                        Code::Unreadable,
                        format!("cannot read {name}: {why}"),
                    )),
                ),
            }
        });
    }

    fn expand_placeholders(&mut self) {
        self.pass(b'%', |this, name, place| {
            let found = placeholder::pipeline(name, |name| this.option(name));
            let typo = if found.is_none() { this.mistyped(name, place) } else { None };
            (found, typo)
        });
    }

    /// An unknown `$(NAME)` stays as it is. In a command it may be the shell's, so there only a near miss is worth a warning.
    fn unset(&self, name: &str, place: &Place) -> Option<Diagnostic> {
        let names = self.lookup.env_names();
        let upper = name.to_uppercase();
        let near = names.iter().find(|known| **known == upper).map(String::as_str);
        let near = near.or_else(|| known::nearest(&upper, names.iter().map(String::as_str)));
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
        let keys = self.options.iter().filter_map(|option| std::str::from_utf8(&option.key).ok());
        let near = known::nearest(name, keys);
        if near.is_none() && (traps::has_own_signs(&place.name) || !is_name(name)) {
            return None;
        }
        let message = format!("nothing is named {name}: %({name}) stays as it is");
        let mut unknown = place.at_word(Severity::Warning, &format!("%({name})"), Code::UnknownPlaceholder, message);
        unknown.hint = near.map(|near| format!("did you mean %({near})?"));
        Some(unknown)
    }

    fn into_pairs(self) -> Vec<Pair> {
        let mut pairs = Vec::new();
        let asked_for = self.asked_for.into_inner();
        for option in self.options {
            if option.mark == Mark::Hidden {
                continue;
            }
            let asked_for = asked_for.contains(&option.key);
            let text = |bytes: Vec<u8>| match String::from_utf8(bytes) {
                Ok(text) => (text, true),
                Err(bytes) => (String::from_utf8_lossy(bytes.as_bytes()).into_owned(), false),
            };
            let (key, key_is_text) = text(option.key);
            let (value, value_is_text) = text(option.value);
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
                placeholder: option.mark == Mark::Placeholder,
                asked_for,
            });
        }
        pairs
    }
}

/// What a person would call a variable or a placeholder; a pipeline or a shell's line is none.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic()) && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// `NAME`, and the later uWSGI's `NAME-default` (where unset) and `NAME:-default` (where unset or empty). A default goes on
/// to the end of the parenthesis; uWSGI's own reader of defaults breaks at the first `-` or `:` inside it.
fn environment(name: &str, env: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    if let Some(value) = env(name) {
        return Some(value);
    }
    if let Some((name, default)) = name.split_once(":-") {
        return Some(env(name).filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned()));
    }
    name.split_once('-').map(|(name, default)| env(name).unwrap_or_else(|| default.to_owned()))
}
