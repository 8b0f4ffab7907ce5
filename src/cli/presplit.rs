//! uWSGI's command line before clap: emperor options that clap does not know are taken out as pairs.
//!
//! What is known comes from clap's own definition, so the two cannot drift apart. `--KEY=VALUE` is a pair; `--KEY VALUE` too,
//! unless the next word is another option; a bare `--KEY` has the empty value, which is true for a boolean, as in uWSGI. Whether
//! a key exists is for the emperor's own reading to say.

use std::ffi::OsString;

use clap::Command;

/// The words left for clap, and the pairs taken out.
pub(crate) fn presplit(words: Vec<OsString>, run: &Command) -> (Vec<OsString>, Vec<(String, String)>) {
    let known = |key: &str| key == "help" || key == "version" || run.get_arguments().any(|arg| arg.get_long() == Some(key));
    let mut kept = Vec::new();
    let mut pairs = Vec::new();
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let Some(option) = word.to_str().and_then(|w| w.strip_prefix("--")).filter(|o| !o.is_empty()) else {
            kept.push(word);
            continue;
        };
        let (key, value) = match option.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (option, None),
        };
        if known(key) {
            let takes_next = value.is_none() && key != "help" && key != "version";
            kept.push(word);
            if takes_next {
                kept.extend(words.next()); // its value, which may begin with dashes
            }
            continue;
        }
        let key = key.to_owned();
        let value = match value {
            Some(value) => value.to_owned(),
            None => words.next_if(|next| !next.to_string_lossy().starts_with("--")).map_or_else(String::new, lossy),
        };
        pairs.push((key, value));
    }
    (kept, pairs)
}

fn lossy(word: OsString) -> String {
    word.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn split(words: &[&str]) -> (Vec<String>, Vec<(String, String)>) {
        let run = Command::new("run").arg(Arg::new("ini").long("ini"));
        let (kept, pairs) = presplit(words.iter().map(OsString::from).collect(), &run);
        (kept.into_iter().map(lossy).collect(), pairs)
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn an_option_of_the_emperor_is_taken_in_all_its_forms() {
        let (kept, pairs) =
            split(&["--emperor-freq", "5", "--ini", "e.ini", "--emperor-pidfile=/p=q", "--emperor-nofollow", "--ini=x"]);
        assert_eq!(kept, ["--ini", "e.ini", "--ini=x"]);
        assert_eq!(pairs, [pair("emperor-freq", "5"), pair("emperor-pidfile", "/p=q"), pair("emperor-nofollow", "")]);
    }

    #[test]
    fn what_is_no_long_option_is_left_to_clap() {
        assert_eq!(split(&["x", "-h", "--help", "--"]).0, ["x", "-h", "--help", "--"]);
    }
}
