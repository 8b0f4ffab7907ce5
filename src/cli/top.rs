//! `liege top`: all vassals, live.

use std::process::ExitCode;

use liege_ctl::{Client, Stopped};

use crate::{arguments::Remote, remote::tell};

const USAGE: u8 = 2;

pub(crate) fn top(remote: &Remote) -> ExitCode {
    let stopped = match liege_ctl::top(&Client::new(&remote.control)) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(stopped) => stopped,
    };
    match stopped {
        Stopped::Daemon(failure) => tell(&failure),
        other @ (Stopped::NoTerminal | Stopped::Terminal(_)) => {
            eprintln!("liege: {other}");
            if matches!(other, Stopped::NoTerminal) { USAGE.into() } else { ExitCode::FAILURE }
        }
    }
}
