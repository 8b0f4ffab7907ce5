//! `liege logs`: what a vassal says.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
};

use liege_core::Name;
use liege_ctl::{Client, Failure, Style, line, resolve};

use crate::{
    arguments::Logs,
    remote::{answer, whole},
};

/// Where logs are unless the emperor was told otherwise.
const DIRECTORY: &str = "/var/log/liege";

pub(crate) fn logs(arguments: &Logs) -> ExitCode {
    let told = tell(&Client::new(&arguments.remote.control), arguments);
    if let Err(Failure::NoDaemon { .. }) = &told {
        eprintln!("liege: the logs of vassals are files, also now: {}/log", directory(&arguments.name));
    }
    answer(told)
}

/// Where the log of who is meant by a name would be.
fn directory(name: &str) -> String {
    let entries = std::fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    let known: Vec<Name> = entries.filter_map(|entry| Some(entry.file_name().to_str()?.into())).collect();
    match resolve(name, known.iter()) {
        Ok(whole) => format!("{DIRECTORY}/{whole}"),
        Err(_) => format!("{DIRECTORY}/NAME.ini, or below its emperor-log-dir"),
    }
}

fn tell(client: &Client, arguments: &Logs) -> Result<(), Failure> {
    // One that is gone has no whole name any more, but perhaps a log.
    let lines = match whole(client, &arguments.name) {
        Ok(name) => client.log(&name, &arguments.last, arguments.follow)?,
        Err(Failure::NoSuchVassal { name }) => {
            let gone = Failure::NoSuchVassal { name };
            client.log(&arguments.name, &arguments.last, arguments.follow).map_err(|_| gone)?
        }
        Err(failure) => return Err(failure),
    };
    let mut out = std::io::stdout().lock();
    let is_terminal = out.is_terminal();
    let style = Style::of_stdout();
    for raw in lines {
        let raw = raw?;
        // Programs get it as it is.
        let written = if is_terminal { out.write_all(line(&raw, style).as_bytes()) } else { out.write_all(&raw) };
        if written.and_then(|()| if arguments.follow { out.flush() } else { Ok(()) }).is_err() {
            return Ok(()); // nobody reads any more
        }
    }
    if arguments.follow { Err(Failure::Ended) } else { Ok(()) }
}
