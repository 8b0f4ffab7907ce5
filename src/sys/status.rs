//! `/proc/PID/status`: lines of `Name:` and a value.

use std::fs;

/// The value of one line, without the blanks around it; None for a process that is gone, or a line it does not have.
#[must_use]
pub fn field(pid: i32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned());
    status.lines().find_map(value)
}

/// The real user, of the text of a status.
#[must_use]
pub fn user(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?.parse().ok()
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
