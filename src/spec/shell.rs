//! Words that only a shell understands. No shell runs a `command`, so its first word is always taken for a program.

/// What to write where the whole line is meant for a shell.
pub(crate) const WRAP: &str = "command = sh -c 'LINE'";

/// What to write instead of a command that begins with this word: `write chdir = DIRECTORY, or command = sh -c 'LINE'`. None: it may
/// be a program.
#[must_use]
pub fn instead(word: &str) -> Option<String> {
    let option = match word {
        _ if is_assignment(word) => Some("env = NAME=VALUE"),
        "cd" => Some("chdir = DIRECTORY"),
        "exec" => Some("the line without exec"),
        "export" => Some("env = NAME=VALUE"),
        "umask" => Some("umask = MODE"),
        "." | "eval" | "for" | "if" | "set" | "source" | "trap" | "ulimit" | "unset" | "until" | "while" => None,
        _ if word.starts_with(['(', '{', '$', '~', '`']) => None,
        _ => return None,
    };
    Some(option.map_or_else(|| format!("write {WRAP}"), |option| format!("write {option}, or {WRAP}")))
}

/// `PORT=80`.
fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(is_of_a_name)
}

#[cfg(test)]
mod tests {
    use super::instead;

    #[test]
    fn words_of_a_shell_are_told_from_programs() {
        for (word, meant) in [
            ("PORT=80", "env = NAME=VALUE, or "),
            ("_x1=", "env = NAME=VALUE, or "),
            ("cd", "chdir = DIRECTORY, or "),
            ("exec", "the line without exec, or "),
            ("source", ""),
            (".", ""),
            ("$HOME/run", ""),
            ("~/run", ""),
            ("(cd", ""),
        ] {
            assert_eq!(instead(word), Some(format!("write {meant}command = sh -c 'LINE'")), "{word}");
        }
        for word in ["/app/a=b", "./run", "1=2", "=x", "", "env", "sh", "gunicorn", "test"] {
            assert_eq!(instead(word), None, "{word}");
        }
    }
}
