//! `liege-init`, which becomes pid 1 of every vassal: it must lie where the daemon looks, and need no library of anybody's root.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::finding::{Finding, Subject};

const INIT: Subject = Subject("liege-init");
const INSTALL: &str = "make build && sudo make install";

pub(super) fn look() -> Vec<Finding> {
    let own = match fs::read_link("/proc/self/exe") {
        Ok(own) => own,
        Err(why) => return vec![INIT.unknown("program", format!("/proc/self/exe: {why}"))],
    };
    let places = places(&own);
    let Some(path) = places.iter().find(|place| place.exists()) else {
        let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        let none = INIT.missing("program", format!("it is neither {}", looked.join(" nor ")));
        return vec![none.vital().costs("the daemon does not start").mended_by(INSTALL)];
    };
    vec![program(path), linkage(path)]
}

/// As the daemon looks for it: beside itself, then in `libexec`.
fn places(own: &Path) -> [PathBuf; 2] {
    let bin = own.parent().unwrap_or(Path::new("/"));
    let prefix = bin.parent().unwrap_or(Path::new("/"));
    [bin.join("liege-init"), prefix.join("libexec/liege/liege-init")]
}

fn program(path: &Path) -> Finding {
    let shown = path.display();
    if fs::metadata(path).is_ok_and(|at| at.is_file() && at.permissions().mode() & 0o111 != 0) {
        return INIT.ok("program", shown.to_string());
    }
    let useless = INIT.missing("program", format!("{shown} is not executable")).vital();
    useless.costs("no vassal can be started").mended_by(format!("chmod 755 {shown}"))
}

fn linkage(path: &Path) -> Finding {
    const NAME: &str = "static";
    match fs::read(path).map(|bytes| asks_for_a_loader(&bytes)) {
        Ok(Some(false)) => INIT.ok(NAME, "needs no library"),
        Ok(Some(true)) => INIT
            .degraded(NAME, "it asks for a dynamic loader and its libraries")
            .costs("libraries of the host are mapped into pid 1 of every vassal, and keep what they lie on busy")
            .mended_by(INSTALL),
        Ok(None) => {
            INIT.missing(NAME, "is no program of this machine").vital().costs("no vassal can be started").mended_by(INSTALL)
        }
        Err(why) => INIT.unknown(NAME, why),
    }
}

/// Whether a 64-bit little-endian ELF file has a program header of the kind `PT_INTERP`. None: it is no such file.
fn asks_for_a_loader(file: &[u8]) -> Option<bool> {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let field = file.get(at..at.checked_add(bytes)?)?;
        Some(field.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    if !file.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let kinds = (0..count).map(|index| number(usize::try_from(table.checked_add(index * size)?).ok()?, 4));
    kinds.collect::<Option<Vec<u64>>>().map(|kinds| kinds.contains(&PT_INTERP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loader_is_asked_for_in_the_program_headers() {
        // The test itself is linked as every ordinary program.
        assert_eq!(asks_for_a_loader(&fs::read("/proc/self/exe").unwrap()), Some(true));
        let mut file = vec![0; 64 + 56];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (file[32], file[54], file[56], file[64]) = (64, 56, 1, 1);
        assert_eq!(asks_for_a_loader(&file), Some(false), "PT_LOAD alone");
        file[64] = 3;
        assert_eq!(asks_for_a_loader(&file), Some(true));
        file[56] = 9;
        assert_eq!(asks_for_a_loader(&file), None, "headers beyond the end");
        assert_eq!(asks_for_a_loader(b"#!/bin/sh\n"), None);
    }
}
