//! `liege logs`: what a vassal says.

use std::{
    io::{IsTerminal, StdoutLock, Write},
    process::ExitCode,
};

use liege_core::Name;
use liege_ctl::{Client, Failure, Said, Style, line, resolve};

use crate::{
    arguments::Logs,
    remote::{answer, whole},
};

/// Where logs are unless the emperor was told otherwise.
const DIRECTORY: &str = "/var/log/liege";

pub(crate) fn logs(arguments: &Logs) -> ExitCode {
    let client = Client::new(&arguments.remote.control);
    let told = if arguments.follow { follow(&client, arguments) } else { tell(&client, arguments) };
    if let Err(Failure::NoDaemon { .. }) = &told {
        eprintln!("liege: the logs of vassals are files, also now: {}", place(&arguments.name));
    }
    answer(told)
}

/// Where the log of who is meant by a name would be.
fn place(name: &str) -> String {
    let entries = std::fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    let known: Vec<Name> = entries.filter_map(|entry| Some(entry.file_name().to_str()?.into())).collect();
    match resolve(name, known.iter()) {
        Ok(whole) => format!("{DIRECTORY}/{whole}/log"),
        Err(_) => format!("{DIRECTORY}/NAME/log, or NAME/log below another emperor-log-dir"),
    }
}

fn tell(client: &Client, arguments: &Logs) -> Result<(), Failure> {
    let lines = of_one(client, arguments, |name| client.log(name, &arguments.last))?;
    let mut page = Page::new();
    for line in lines {
        if !page.put(&line?) {
            break;
        }
    }
    Ok(())
}

fn follow(client: &Client, arguments: &Logs) -> Result<(), Failure> {
    let said = of_one(client, arguments, |name| client.follow_log(name, &arguments.last))?;
    let mut page = Page::new();
    for said in said {
        match said? {
            Said::Line(line) => {
                if !page.put(&line) || !page.turn() {
                    return Ok(());
                }
            }
            Said::Gap => eprintln!("liege: lines may be missing here: this was not read for too long"),
        }
    }
    Ok(())
}

/// One that is gone has no whole name any more, but perhaps a log.
fn of_one<T>(client: &Client, arguments: &Logs, log: impl Fn(&str) -> Result<T, Failure>) -> Result<T, Failure> {
    match whole(client, &arguments.name) {
        Ok(name) => log(&name),
        Err(Failure::NoSuchVassal { name }) => log(&arguments.name).map_err(|_| Failure::NoSuchVassal { name }),
        Err(failure) => Err(failure),
    }
}

/// Standard output; it says whether anybody still reads.
struct Page {
    out: StdoutLock<'static>,
    is_terminal: bool,
    style: Style,
}

impl Page {
    fn new() -> Self {
        let out = std::io::stdout().lock();
        Self { is_terminal: out.is_terminal(), out, style: Style::of_stdout() }
    }

    /// Programs get it as it is.
    fn put(&mut self, raw: &[u8]) -> bool {
        let written = match self.is_terminal {
            true => self.out.write_all(line(raw, self.style).as_bytes()),
            false => self.out.write_all(raw),
        };
        written.is_ok()
    }

    fn turn(&mut self) -> bool {
        self.out.flush().is_ok()
    }
}
