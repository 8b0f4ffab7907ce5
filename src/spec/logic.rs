//! The logic lines: `if-env`, `for`, `endif` and their family.
//!
//! uWSGI has no blocks. A logic line becomes *the* running logic until any closer ends it, and each following line is handed
//! to it on its own: an `if` tests its condition anew for every line, a `for` repeats every line by itself. `%(_)` in a line's
//! value is the tested value: data, unless it is a value of the same file. A logic line inside a running one whose condition holds is refused ("recursive logic"); where it
//! does not hold the inner line is skipped, and its `endif` closes the outer.

use crate::budget::{Budget, OPTIONS, RESULTS};
use crate::paths;
use crate::text::{Mark, Text};
use crate::writers::Writers;
use crate::{Kind, Lookup};

/// What a logic line does with the lines after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logic {
    pub(crate) test: Test,
    /// `if-not-...`
    pub(crate) negated: bool,
    pub(crate) argument: Text,
}

/// The kinds of logic lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    For,
    ForGlob,
    ForTimes,
    ForReadline,
    Env,
    Exists,
    File,
    Dir,
    Opt,
    Reload,
    Plugin,
    Hostname,
    /// The lines after `else`; whether they are taken was decided when it was met.
    Else(bool),
}

/// What logic may ask of the reading so far.
pub(crate) trait Facts {
    fn lookup(&self) -> &dyn Lookup;
    fn budget(&self) -> &Budget<'_>;
    /// `if-reload`
    fn is_reload(&self) -> bool;
    fn env(&self, name: &str) -> Option<String>;
    /// The first value of an option.
    fn option(&self, name: &[u8]) -> Option<Text>;
    /// What is found where a text of the file leads.
    ///
    /// # Errors
    /// A phrase that says why it cannot be had.
    fn read(&self, source: &Text) -> Result<Found, Refused>;
    /// Who besides root may name things in the directories of these paths.
    fn who_names(&self, paths: &[String]) -> Writers;
    /// The mark of data that these chose.
    fn mark_of(&self, writers: &Writers) -> Mark;
    /// Whether a plugin was asked for above.
    fn has_plugin(&self, name: &[u8]) -> bool;
}

/// What was read.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// As data.
    pub(crate) text: Text,
    /// Who besides root may have written it.
    pub(crate) writers: Writers,
}

/// Why something is not done, and what helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) why: String,
    /// None: it is the world that has it not.
    pub(crate) hint: Option<String>,
}

impl From<String> for Refused {
    fn from(why: String) -> Self {
        Self { why, hint: None }
    }
}

/// What `%(_)` is for a line, round by round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds {
    pub(crate) values: Vec<Option<Text>>,
    /// Who besides root chooses them.
    pub(crate) writers: Writers,
}

/// Most rounds of one `for`: enough for any configuration, small enough for a slip of the pen.
const ROUNDS: i64 = 10_000;

impl Logic {
    /// Understands a key as a logic line. None: it is none.
    pub(crate) fn parse(key: &[u8], argument: &Text) -> Option<Self> {
        let key = std::str::from_utf8(key).ok()?;
        let (negated, test) = match key {
            "for" => (false, Test::For),
            "for-glob" => (false, Test::ForGlob),
            "for-times" => (false, Test::ForTimes),
            "for-readline" => (false, Test::ForReadline),
            "ifenv" => (false, Test::Env),
            "ifexists" => (false, Test::Exists),
            "ifdir" | "if-directory" => (false, Test::Dir),
            "ifplugin" => (false, Test::Plugin),
            _ => {
                let rest = key.strip_prefix("if-")?;
                let (negated, name) = rest.strip_prefix("not-").map_or((false, rest), |name| (true, name));
                let test = match name {
                    "env" => Test::Env,
                    "exists" => Test::Exists,
                    "file" => Test::File,
                    "dir" => Test::Dir,
                    "opt" => Test::Opt,
                    "reload" => Test::Reload,
                    "plugin" => Test::Plugin,
                    "hostname" => Test::Hostname,
                    _ => return None,
                };
                (negated, test)
            }
        };
        Some(Self { test, negated, argument: argument.clone() })
    }

    /// Whether a key ends the running logic.
    pub(crate) fn closes(key: &[u8]) -> bool {
        matches!(key, b"end" | b"endif" | b"end-if" | b"endfor" | b"end-for")
    }

    /// For how many rounds, and with which `%(_)`, the next line is taken. An empty list: not at all; a round without a value
    /// leaves `%(_)` as it is.
    ///
    /// # Errors
    /// A phrase that says what was wrong with the argument; uWSGI logs it and takes no line.
    pub(crate) fn rounds(&self, facts: &dyn Facts) -> Result<Rounds, Refused> {
        let lookup = facts.lookup();
        if !facts.budget().work(self.argument.len()) {
            return Ok(Rounds::default());
        }
        let text = self.argument.lossy();
        let mut writers = Writers::default();
        let values = match self.test {
            Test::For => words(&self.argument),
            Test::ForGlob => {
                let found = glob(&text, lookup)?;
                writers = facts.who_names(&found);
                let mark = facts.mark_of(&writers);
                match found.is_empty() {
                    // The pattern itself: text of the file.
                    true => vec![self.argument.clone()],
                    false => found.into_iter().map(|name| Text::new(name, mark)).collect(),
                }
            }
            Test::ForTimes => {
                let times = crate::placeholder::number(self.argument.bytes());
                if times > ROUNDS {
                    return Err(format!("{times} rounds are more than the {ROUNDS} liege allows").into());
                }
                (1..=times).map(|round| Text::new(round.to_string(), Mark::ROOTS)).collect()
            }
            Test::ForReadline => {
                let found = facts.read(&self.argument)?;
                writers = found.writers;
                let mark = found.text.mark();
                read_lines(found.text.bytes()).into_iter().map(|line| Text::new(line, mark)).collect()
            }
            _ => {
                let tested = self.holds(facts).then(|| self.tested(facts));
                return Ok(Rounds { values: tested.into_iter().collect(), writers });
            }
        };
        // More lines than a configuration may have are not made in the first place.
        Ok(Rounds { values: values.into_iter().take(OPTIONS + 1).map(Some).collect(), writers })
    }

    pub(crate) fn is_for(&self) -> bool {
        matches!(self.test, Test::For | Test::ForGlob | Test::ForTimes | Test::ForReadline)
    }

    /// Whether the condition of an `if` holds; a `for` has none and counts as holding.
    pub(crate) fn holds(&self, facts: &dyn Facts) -> bool {
        let lookup = facts.lookup();
        let text = self.argument.lossy();
        // What could not be asked has ended the reading.
        let kind = || lookup.kind(&paths::absolute(&text, &lookup.directory())).ok().flatten();
        let plain = match self.test {
            Test::For | Test::ForGlob | Test::ForTimes | Test::ForReadline => return true,
            Test::Else(taken) => return taken,
            Test::Env | Test::Opt => return self.found_and_equal(facts).0 != self.negated,
            Test::Exists => kind().is_some(),
            Test::File => kind() == Some(Kind::File),
            Test::Dir => kind() == Some(Kind::Directory),
            Test::Reload => facts.is_reload(),
            Test::Plugin => facts.has_plugin(self.argument.bytes()),
            Test::Hostname => lookup.hostname() == text,
        };
        plain != self.negated
    }

    /// `%(_)` of an `if`.
    fn tested(&self, facts: &dyn Facts) -> Option<Text> {
        match self.test {
            Test::Env | Test::Opt => self.found_and_equal(facts).1,
            Test::Reload | Test::Else(_) => None,
            _ => Some(self.argument.clone()),
        }
    }

    /// `NAME` or `NAME=VALUE`: whether it is so, and what the variable or option really holds.
    fn found_and_equal(&self, facts: &dyn Facts) -> (bool, Option<Text>) {
        let argument = self.argument.bytes();
        let equal = argument.iter().position(|byte| *byte == b'=');
        let name = &argument[..equal.unwrap_or(argument.len())];
        let found = match self.test {
            Test::Opt => facts.option(name),
            _ => facts.env(&String::from_utf8_lossy(name)).map(|value| Text::new(value, Mark::DATA)),
        };
        let is_so = match (&found, equal) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(found), Some(equal)) => *found.bytes() == argument[equal + 1..],
        };
        (is_so, found)
    }
}

/// Cut at its blanks.
fn words(text: &Text) -> Vec<Text> {
    let mut start = 0;
    let words = text.bytes().split(|byte| *byte == b' ').map(|word| {
        let at = start;
        start += word.len() + 1;
        text.slice(at..at + word.len())
    });
    words.filter(|word| !word.is_empty()).collect()
}

/// As `glob(3)` with `GLOB_MARK`: directories end in a slash.
fn glob(pattern: &str, lookup: &dyn Lookup) -> Result<Vec<String>, String> {
    let directory = lookup.directory();
    let absolute = paths::absolute(pattern, &directory);
    let found = lookup.glob(&absolute, RESULTS).map_err(|why| format!("{pattern}: {why}"))?;
    let shown = |path: String| {
        let slash = !path.ends_with('/') && lookup.kind(&path) == Ok(Some(Kind::Directory));
        // A relative pattern gives relative paths.
        let prefix = format!("{}/", directory.trim_end_matches('/'));
        let named = if absolute == pattern { path } else { path.strip_prefix(&prefix).unwrap_or(&path).to_owned() };
        if slash { format!("{named}/") } else { named }
    };
    Ok(found.into_iter().map(shown).collect())
}

/// As `fgets` with its buffer of 1024 cuts them; line ends taken off.
fn read_lines(content: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for line in content.split_inclusive(|byte| *byte == b'\n').take(OPTIONS + 1) {
        for piece in line.chunks(1023) {
            let mut piece = piece;
            while let [rest @ .., b'\n' | b'\r'] = piece {
                piece = rest;
            }
            let end = piece.iter().position(|byte| *byte == 0).unwrap_or(piece.len());
            lines.push(piece[..end].to_vec());
        }
    }
    lines
}
