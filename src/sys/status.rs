//! `/proc/PID/status`: lines of `Name:` and a value.

use std::fs;

/// The value of one line, without the blanks around it; None for a process that is gone, or a line it does not have.
#[must_use]
pub fn field(pid: i32, name: &str) -> Option<String> {
    value(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, name).map(str::to_owned)
}

/// The same, of a text that was read.
#[must_use]
pub fn value<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

/// The real user, of the text of a status.
#[must_use]
pub fn user(status: &str) -> Option<u32> {
    value(status, "Uid")?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_by_its_whole_name() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert_eq!(field(me, "Tgid"), Some(me.to_string()));
        assert_eq!(field(me, "Tg"), None);
        assert_eq!(field(i32::MAX, "Tgid"), None);
        let status = fs::read_to_string("/proc/self/status").unwrap();
        assert_eq!(user(&status), Some(nix::unistd::getuid().as_raw()));
    }
}
