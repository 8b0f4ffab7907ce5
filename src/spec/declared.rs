//! `declare-option = NAME=KEY=$1;KEY=$2`: an option made of others.
//!
//! uWSGI opens such a line when it applies it, so an option of the jail could hide in one. Here it is opened before raising.

use crate::known;
use crate::pair::Pair;

/// Replaces every line of a declared option by the lines its template stands for.
pub(crate) fn open(pairs: Vec<Pair>) -> Vec<Pair> {
    let declarations: Vec<(String, String)> = pairs
        .iter()
        .filter(|pair| pair.key == "declare-option" && !pair.placeholder)
        .filter_map(|pair| pair.value.split_once('='))
        .filter(|(name, _)| !known::is_uwsgi_option(name))
        .map(|(name, template)| (name.to_owned(), template.to_owned()))
        .collect();
    if declarations.is_empty() {
        return pairs;
    }
    let mut opened = Vec::with_capacity(pairs.len());
    for pair in pairs {
        match declarations.iter().find(|(name, _)| *name == pair.key && !pair.placeholder) {
            Some((_, template)) => opened.extend(lines(&pair, template)),
            None => opened.push(pair),
        }
    }
    opened
}

/// The template's lines up to the first that is no `KEY=VALUE`.
fn lines(pair: &Pair, template: &str) -> Vec<Pair> {
    let mut words: Vec<&str> = pair.value.split(' ').filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        words.push("");
    }
    let fill = |text: &str| {
        // One after the other, as uWSGI does: `$1` is also the front of `$12`.
        words.iter().enumerate().fold(text.to_owned(), |text, (index, word)| text.replace(&format!("${}", index + 1), word))
    };
    let parts = template.split(';').filter(|part| !part.is_empty());
    parts
        .map_while(|part| part.split_once('='))
        .map(|(key, value)| Pair { key: fill(key), value: fill(value), ..pair.clone() })
        .collect()
}
