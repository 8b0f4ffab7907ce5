//! `liege`: the front door.

mod arguments;
mod bar;
mod check;
mod doctor;
mod emperor;
mod enter;
mod logs;
mod man;
mod orders;
mod plan;
mod presplit;
mod remote;
mod restart;
mod say;
mod stop;
mod top;
mod verbs;

use std::process::ExitCode;

fn main() -> ExitCode {
    verbs::main(std::env::args_os().collect())
}
