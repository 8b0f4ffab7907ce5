//! `declare-option = NAME=KEY=$1;KEY=$2`: an option made of others.
//!
//! uWSGI opens such a line when it applies it, so an option of the jail could hide in one. Here it is opened before raising.

use std::collections::HashMap;
use std::sync::Arc;

use crate::budget::{Budget, OPTIONS};
use crate::known;
use crate::pair::Pair;
use crate::report::Report;
use crate::{Code, Severity};

/// Replaces every line of a declared option by the lines its template stands for. None when the budget has ended, which is told.
pub(crate) fn open(pairs: Vec<Pair>, budget: &Budget<'_>, report: &mut Report) -> Vec<Pair> {
    let mut declarations: HashMap<String, String> = HashMap::new();
    let lines = pairs
        .iter()
        .filter(|pair| pair.key == "declare-option" && !pair.placeholder)
        .filter_map(|pair| pair.value.split_once('='))
        .filter(|(name, _)| !known::is_uwsgi_option(name));
    for (name, template) in lines {
        declarations.entry(name.to_owned()).or_insert_with(|| template.to_owned());
    }
    if declarations.is_empty() {
        return pairs;
    }
    let mut opened = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let place = Arc::clone(&pair.place);
        match declarations.get(&pair.key).filter(|_| !pair.placeholder) {
            Some(template) => opened.extend(self::lines(&pair, template, budget)),
            None => opened.push(pair),
        }
        if opened.len() > OPTIONS {
            budget.end(Code::TooMuch, format!("more than {OPTIONS} options"));
        }
        report.tell_the_end(budget, |code, why| place.at_key(Severity::Error, code, why));
        if budget.is_over() {
            return Vec::new();
        }
    }
    opened
}

/// The template's lines up to the first that is no `KEY=VALUE`.
fn lines(pair: &Pair, template: &str, budget: &Budget<'_>) -> Vec<Pair> {
    let mut words: Vec<&str> = pair.value.split(' ').filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        words.push("");
    }
    let fill = |text: &str| {
        // One after the other, as uWSGI does: `$1` is also the front of `$12`.
        words.iter().enumerate().fold(text.to_owned(), |text, (index, word)| {
            let number = format!("${}", index + 1);
            let (found, length) = (if budget.work(text.len()) { text.matches(&number).count() } else { 0 }, word.len());
            if found == 0 || !budget.make(found * length) { text } else { text.replace(&number, word) }
        })
    };
    let parts = template.split(';').filter(|part| !part.is_empty()).take(OPTIONS + 1);
    parts
        .map_while(|part| part.split_once('='))
        .take_while(|_| budget.make(pair.value.len()))
        .map(|(key, value)| Pair { key: fill(key), value: fill(value), ..pair.clone() })
        .collect()
}
