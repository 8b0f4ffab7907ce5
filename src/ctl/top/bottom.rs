//! The bottom line: what is asked, what is typed, what came of it, else the keys.

use super::model::{Mode, Model};

const KEYS: &str = "s sort  o order  / filter  r reload  R restart  S stop  a start  l log  c cause  q quit";
const KEYS_SHORT: &str = "s:sort /:filter r,R,S,a:orders l:log c:cause q:quit";
const PAGE: &str = "arrows scroll  l log  c cause  esc back  q quit";

/// What stands there, and whether somebody should look at it.
pub(crate) fn bottom(model: &Model) -> (String, bool) {
    match (&model.mode, &model.message) {
        (Mode::Confirming(name, order), _) => (format!("{} {name}? y: yes, any other key: no", order.word()), true),
        (Mode::Typing, _) => (format!("/{}_  enter: keep, esc: all", model.filter), true),
        (Mode::Commands, Some(message)) => (message.clone(), true),
        (Mode::Commands, None) if model.page.is_some() => (PAGE.to_owned(), false),
        (Mode::Commands, None) if usize::from(model.size.0) < KEYS.len() => (KEYS_SHORT.to_owned(), false),
        (Mode::Commands, None) => (KEYS.to_owned(), false),
    }
}
