//! Words for namespaces: `emperor-use-clone` for all vassals, `unshare` and `unshare2` for one.
//!
//! The words are uWSGI's; it lists four more (`files`, `io`, `parent`, `sysvsem`) that are flags of clone but no namespaces:
//! they make the child *share* something with the emperor, so they are refused, and the reason is given.

use serde::{Deserialize, Serialize};

use crate::known::nearest;
use crate::options::Options;
use crate::report::Report;
use crate::{Asked, Code, Diagnostic};

/// Which namespaces are new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// `fs`, `ns`, `mount`, `mnt`
    pub mount: bool,
    /// `pid`
    pub pid: bool,
    /// `ipc`
    pub ipc: bool,
    /// `uts`
    pub uts: bool,
    /// `net`
    pub net: bool,
    /// `cgroup`
    pub cgroup: bool,
    /// `user`
    pub user: bool,
}

const WORDS: [&str; 10] = ["fs", "ns", "mount", "mnt", "pid", "ipc", "uts", "net", "cgroup", "user"];

/// Clone flags of uWSGI's list that are no namespaces, and what they would share.
const SHARED: [(&str, &str); 4] = [
    ("files", "its table of open files"),
    ("io", "its queue of disk requests"),
    ("parent", "its own parent"),
    ("sysvsem", "its semaphore adjustments"),
];

impl Namespaces {
    /// Switches on what a word names. False: it names none.
    fn add(&mut self, word: &str) -> bool {
        let which = match word {
            "fs" | "ns" | "mount" | "mnt" => &mut self.mount,
            "pid" => &mut self.pid,
            "ipc" => &mut self.ipc,
            "uts" => &mut self.uts,
            "net" => &mut self.net,
            "cgroup" => &mut self.cgroup,
            "user" => &mut self.user,
            _ => return false,
        };
        *which = true;
        true
    }
}

/// All lines of one option: as in uWSGI, every line adds its namespaces. None where there is no line.
pub(crate) fn raise(options: &Options<'_>, key: &str, report: &mut Report) -> Option<Asked<Namespaces>> {
    let mut namespaces = Namespaces::default();
    let mut at = None;
    for line in options.all(&[key]) {
        for word in line.value.split(',').filter(|word| !word.is_empty()) {
            if !namespaces.add(word) {
                report.push(unknown(word, |message| line.error_at(word, Code::UnknownNamespace, message)));
            }
        }
        at = Some(line.origin.clone());
    }
    at.map(|at| Asked::new(namespaces, at))
}

fn unknown(word: &str, mistake: impl Fn(String) -> Diagnostic) -> Diagnostic {
    if let Some((_, what)) = SHARED.iter().find(|(shared, _)| *shared == word) {
        let shares = format!("\"{word}\" is no namespace: it would make the vassal share {what} with the emperor");
        return mistake(shares).with_hint("leave it out");
    }
    let exact = WORDS.into_iter().find(|known| *known == word.trim());
    let hint = match exact.or_else(|| nearest(word.trim(), WORDS.into_iter())) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("known: {}; a comma between them, no blank", WORDS.join(" ")),
    };
    mistake(format!("there is no namespace \"{word}\"")).with_hint(hint)
}

/// `unshare`, `unshare2` of a vassal. What one process cannot have for itself is refused.
pub(crate) fn unshare(options: &Options<'_>, key: &str, report: &mut Report) -> Option<Asked<Namespaces>> {
    const REFUSED: [(&str, &str, &str); 2] = [
        ("pid", "it would begin with the next process and end with it", "emperor-use-clone = fs,pid gives every vassal one"),
        (
            "user",
            "its ids would be nobody's, and uWSGI ends there too",
            "emperor-use-clone = fs,pid,user gives every vassal one, with its ids",
        ),
    ];
    let asked = raise(options, key, report)?;
    for line in options.all(&[key]) {
        for (word, why, hint) in REFUSED.iter().filter(|(word, ..)| line.value.split(',').any(|other| other == *word)) {
            report.push(
                line.error_at(word, Code::NotSupported, format!("{key} of {word} is not supported: {why}")).with_hint(*hint),
            );
        }
    }
    Some(asked)
}
