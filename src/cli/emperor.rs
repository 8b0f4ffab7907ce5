//! The emperor's spec from its file and the words of the command line.

use std::path::Path;

use anyhow::{Context, bail};
use liege_host::World;
use liege_spec::{EmperorSpec, Reading, Source, read_emperor};

use crate::arguments::Run;

/// Reads file and flags; flags come after the file, so they win. Mistakes are printed; None when the spec cannot be used.
///
/// # Errors
/// The file cannot be read, or a `--set` has no `=`.
pub(crate) fn spec(run: &Run, pairs: Vec<(String, String)>) -> anyhow::Result<Option<EmperorSpec>> {
    let flags = flags(run, pairs)?;
    let text = run.ini.as_deref().map(read).transpose()?;
    let path = run.ini.as_deref().map(Path::to_string_lossy);
    let source = text.as_deref().zip(path.as_deref()).map(|(text, path)| Source::new(path, text));
    let Reading { value, diagnostics } = read_emperor(source.as_ref(), &flags, &World::alone());
    diagnostics.iter().for_each(|diagnostic| eprintln!("{diagnostic}"));
    Ok(value)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    liege_host::read_configuration(path).with_context(|| format!("--ini {}: read it", path.display()))
}

fn flags(run: &Run, pairs: Vec<(String, String)>) -> anyhow::Result<Vec<(String, String)>> {
    let mut flags: Vec<(String, String)> = Vec::new();
    flags.extend(run.emperor.iter().map(|place| ("emperor".to_owned(), place.clone())));
    flags.extend(run.emperor_use_clone.iter().map(|list| ("emperor-use-clone".to_owned(), list.clone())));
    for set in &run.sets {
        let Some((key, value)) = set.split_once('=') else { bail!("--set {set}: wants KEY=VALUE") };
        flags.push((key.trim().to_owned(), value.trim().to_owned()));
    }
    flags.extend(pairs);
    Ok(flags)
}
