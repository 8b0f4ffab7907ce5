//! `report FILE [WORD...]`: appends one line of JSON to FILE that says in what state it was started, then waits to be ended.
//!
//! Everything is read from /proc before anything is touched, so the report is what the app would have seen.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let file = arguments.get(1).expect("usage: report FILE [WORD...]");
    let mut line = serde_json::to_vec(&report(&arguments)).expect("a report is plain data");
    line.push(b'\n');
    // One write: two reporters never mix.
    fs::File::options().create(true).append(true).open(file).and_then(|mut f| f.write_all(&line)).expect("the report is written");
    nix::unistd::pause();
}

fn report(arguments: &[String]) -> serde_json::Value {
    let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let status: BTreeMap<&str, String> =
        status.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key, value.trim().to_owned())).collect();
    serde_json::json!({
        "arguments": arguments,
        "pid": std::process::id(),
        "parent": nix::unistd::getppid().as_raw(),
        "session": nix::unistd::getsid(None).map(nix::unistd::Pid::as_raw).unwrap_or(-1),
        "cwd": std::env::current_dir().ok(),
        "environment": std::env::vars_os().map(|(k, v)| (k.to_string_lossy().into_owned(), v.to_string_lossy().into_owned())).collect::<BTreeMap<_, _>>(),
        "fds": descriptors(),
        "status": status,
        "limits": fs::read_to_string("/proc/self/limits").unwrap_or_default(),
        "oom_score_adj": fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default().trim(),
        "hostname": nix::unistd::gethostname().ok().map(|name| name.to_string_lossy().into_owned()),
        "processes": fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok()).collect::<Vec<_>>(),
    })
}

/// Number and target of every descriptor, the one that reads the list taken out.
fn descriptors() -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let all = entries.filter_map(|e| Some((e.file_name().into_string().ok()?, fs::read_link(e.path()).ok()?)));
    let own = format!("/proc/{}/fd", std::process::id());
    all.filter(|(_, target)| target.as_os_str() != own.as_str()).collect()
}
