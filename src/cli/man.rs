//! The manual pages, made of the definition of the command line: `liege.1` and one for each verb.

use std::{
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::arguments::Arguments;

/// Writes them; the directory is made where it is missing.
pub(crate) fn write(directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("make {}", directory.display()))?;
    let mut liege = Arguments::command().disable_help_subcommand(true);
    liege.build(); // gives the verbs their whole names
    let verbs = liege.get_subcommands().filter(|verb| !verb.is_hide_set());
    verbs.chain([&liege]).try_for_each(|command| page(command, directory))
}

fn page(command: &Command, directory: &Path) -> anyhow::Result<()> {
    let page = Man::new(command.clone())
        .date(today())
        .source(format!("liege {}", env!("CARGO_PKG_VERSION")))
        .manual("liege, an Emperor");
    page.generate_to(directory).with_context(|| format!("write {} into {}", page.get_filename(), directory.display()))?;
    Ok(())
}

/// When the pages are made, or what whoever packs them says (`SOURCE_DATE_EPOCH`).
fn today() -> String {
    let said = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok());
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    liege_ctl::moment(said.unwrap_or_else(now)).chars().take("1970-01-01".len()).collect()
}
