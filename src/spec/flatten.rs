//! The reading of a file from its bytes to flat pairs: uWSGI's list of exported options, built in uWSGI's order.
//!
//! Lines are appended one by one. Some act the moment they are appended (`include`, `set-placeholder`, the logic lines) and
//! are then done: the three passes leave them alone. When everything is appended the passes expand the rest, and `inherit`
//! comes last of all, which is why nothing in an inherited file is expanded but its magic variables.
//!
//! What comes from outside of the text (see [`Text`]) is put in once and never expanded; `world` fetches it, and says whose it is.
//!
//! Mistakes at which uWSGI would exit are recorded and stepped over, so that one reading finds all of them.

mod load;
mod passes;
mod world;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::budget::{Budget, DEPTH, Metered, OPTIONS};
use crate::known;
use crate::logic::{Facts, Found, Logic, Refused, Rounds, Test};
use crate::magic::Magic;
use crate::pair::Pair;
use crate::place::Place;
use crate::report::Report;
use crate::text::{Mark, Text};
use crate::values;
use crate::writers::Writers;
use crate::{Code, Diagnostic, Lookup, Severity, Source};

/// The section of a vassal that is liege's alone.
pub(crate) const OWN_SECTION: &str = "vassal";

/// Flattens a file: what uWSGI's `--show-config` would print, pair by pair, and the mistakes met on the way.
///
/// `sections` are the names of the sections that count; `reload` makes `if-reload` true.
#[must_use]
pub fn flatten(source: &Source<'_>, sections: &[&str], reload: bool, lookup: &dyn Lookup) -> (Vec<Pair>, Vec<Diagnostic>) {
    let mut report = Report::default();
    let budget = Budget::new(lookup);
    let flat = flatten_into(Some(source), &[], sections, reload, &Metered { budget: &budget }, &mut report);
    (flat.pairs, report.into_sorted())
}

/// The same, with pairs of the command line after the file, into a report that others fill too. When the budget has ended
/// there are no pairs, and the report takes no more mistakes.
pub(crate) fn flatten_into(
    source: Option<&Source<'_>>,
    flags: &[(String, String)],
    sections: &[&str],
    reload: bool,
    lookup: &Metered<'_>,
    report: &mut Report,
) -> Flat {
    report.read_within(lookup.budget);
    let mut reading = Flattener {
        lookup,
        budget: lookup.budget,
        report,
        authors: HashMap::new(),
        first_author: Writers::default(),
        asked_writers: RefCell::default(),
        sections,
        reload,
        magic: Magic::new(lookup),
        options: Vec::new(),
        first: HashMap::new(),
        plugins: Vec::new(),
        asked_for: RefCell::default(),
        logic: None,
        logic_running: false,
        strict: false,
        forbidden: None,
        allowed: None,
        last_file: None,
        depth: 0,
        sets: 0,
        has_own_section: false,
    };
    for (key, value) in source.map_or(&[][..], |source| source.set) {
        reading.append(key.as_bytes(), &Text::new(value.as_str(), Mark::ROOTS), &Arc::new(Place::command_line(key)));
    }
    if let Some(source) = source {
        // uWSGI sees its own `--ini FILE` as an option: `%(ini)` and `if-opt = ini` find it.
        reading.push(b"ini", Text::new(source.path, Mark::DATA), Arc::default(), Stage::Hidden);
        reading.budget.take(source.text.len());
        let author = reading.author_of_first(source.path);
        reading.magic.enter(source.path, None, false, Mark::DATA, lookup);
        if reading.tell_the_end(|code, why| Diagnostic::of_file(Severity::Error, code, source.path, why)) {
            reading.read_text(source.path, None, source.text, author);
        }
    }
    if !flags.is_empty() {
        reading.close_logic();
    }
    for (key, value) in flags {
        reading.append(key.as_bytes(), &Text::new(value.as_str(), Mark::ROOTS), &Arc::new(Place::command_line(key)));
    }
    let has_own_section = reading.has_own_section;
    Flat { pairs: reading.finish(), has_own_section }
}

/// What a reading comes to.
pub(crate) struct Flat {
    pub(crate) pairs: Vec<Pair>,
    /// The file has a section `[vassal]`, which uWSGI does not know: it is liege's alone.
    pub(crate) has_own_section: bool,
}

/// One exported option.
struct Exported {
    key: Vec<u8>,
    value: Text,
    place: Arc<Place>,
    stage: Stage,
}

/// How an option is treated after it was appended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Goes through the passes.
    Plain,
    /// Acted at once; the passes leave it alone.
    Done,
    /// A placeholder only.
    Placeholder,
    /// Known to lookups, not shown.
    Hidden,
}

/// The running logic.
#[derive(Clone)]
struct Running {
    logic: Arc<Logic>,
    /// The line that started it.
    started: Arc<Place>,
    /// What a `for` goes through: found out once, not for each of its lines.
    rounds: Option<Arc<Rounds>>,
}

struct Flattener<'a> {
    lookup: &'a dyn Lookup,
    budget: &'a Budget<'a>,
    report: &'a mut Report,
    /// Of each file that was read.
    authors: HashMap<Arc<str>, world::Author>,
    /// Who may write the file that is read first: what these choose as well is nothing foreign to it.
    first_author: Writers,
    /// Who writes what was asked for before.
    asked_writers: RefCell<HashMap<String, Writers>>,
    sections: &'a [&'a str],
    reload: bool,
    magic: Magic,
    options: Vec<Exported>,
    /// The first option of each name.
    first: HashMap<Vec<u8>, usize>,
    /// Which options name plugins.
    plugins: Vec<usize>,
    /// Names that placeholders and conditions asked for.
    asked_for: RefCell<HashSet<Vec<u8>>>,
    logic: Option<Running>,
    /// A line is being handed to the logic: what it appends passes by the logic.
    logic_running: bool,
    /// Unknown options are refused from here on.
    strict: bool,
    forbidden: Option<Vec<u8>>,
    allowed: Option<Vec<u8>>,
    last_file: Option<String>,
    depth: usize,
    /// `set` within `set`.
    sets: usize,
    has_own_section: bool,
}

impl Facts for Flattener<'_> {
    fn lookup(&self) -> &dyn Lookup {
        self.lookup
    }

    fn budget(&self) -> &Budget<'_> {
        self.budget
    }

    fn is_reload(&self) -> bool {
        self.reload
    }

    fn env(&self, name: &str) -> Option<String> {
        match name {
            // uWSGI counts its reloads there itself, from 0.
            // uWSGI's Emperor hands its vassal a socket, so a file can ask whether it is one.
            "UWSGI_EMPEROR_FD" if self.sections.contains(&OWN_SECTION) => Some("3".into()),
            "UWSGI_RELOADS" => Some(if self.reload { "1" } else { "0" }.into()),
            _ => self.lookup.env(name),
        }
    }

    fn option(&self, name: &[u8]) -> Option<Text> {
        self.asked_for.borrow_mut().insert(name.to_vec());
        let value = &self.options.get(*self.first.get(name)?)?.value;
        self.budget.work(value.len()).then(|| value.clone())
    }

    fn read(&self, source: &Text) -> Result<Found, Refused> {
        self.read_from(source)
    }

    fn who_names(&self, paths: &[String]) -> Writers {
        self.writers_above(paths)
    }

    fn mark_of(&self, writers: &Writers) -> Mark {
        self.mark_of_data(writers)
    }

    fn has_plugin(&self, name: &[u8]) -> bool {
        let mut lines = self.plugins.iter().filter_map(|at| self.options.get(*at));
        lines.any(|line| {
            self.budget.work(line.value.len()) && line.value.bytes().split(|byte| *byte == b',').any(|one| one == name)
        })
    }
}

impl Flattener<'_> {
    /// Appends one option: contexts, closers and the running logic first.
    fn append(&mut self, key: &[u8], value: &Text, place: &Arc<Place>) {
        if !self.goes_on(place) {
            return;
        }
        self.check_contexts(key, place);
        if !self.logic_running {
            if Logic::closes(key) {
                if self.logic.take().is_none() {
                    self.report.push(place.at_key(
                        Severity::Warning,
                        Code::StrayLogic,
                        "closes nothing: no if or for is open here",
                    ));
                }
            } else if key == b"else" {
                self.turn_to_else(place);
                return self.push(key, value.clone(), Arc::clone(place), Stage::Done);
            } else if let Some(running) = self.logic.clone() {
                return self.hand_to_logic(&running, key, value, place);
            }
        }
        self.act(key, value, place);
    }

    /// Whether the budget lasts; else it is told at this place, and nothing counts from here on.
    fn goes_on(&mut self, place: &Place) -> bool {
        self.budget.work(1);
        self.tell_the_end(|code, why| place.at_key(Severity::Error, code, why))
    }

    fn tell_the_end(&mut self, mistake: impl FnOnce(Code, String) -> Diagnostic) -> bool {
        self.report.tell_the_end(self.budget, mistake);
        !self.budget.is_over()
    }

    /// `else`: the lines until the closer are taken if those before it were not. A `for` has no else.
    fn turn_to_else(&mut self, place: &Arc<Place>) {
        let taken = match self.logic.take() {
            None => {
                self.report.push(place.at_key(
                    Severity::Warning,
                    Code::StrayLogic,
                    "else without an if: the lines after it are skipped",
                ));
                false
            }
            Some(running) => !running.logic.holds(self),
        };
        self.run(Logic { test: Test::Else(taken), negated: false, argument: Text::default() }, place);
    }

    fn run(&mut self, logic: Logic, place: &Arc<Place>) {
        self.logic = Some(Running { logic: Arc::new(logic), started: Arc::clone(place), rounds: None });
    }

    fn rounds(&mut self, running: &Running) -> Result<Arc<Rounds>, Refused> {
        if let Some(rounds) = &running.rounds {
            return Ok(Arc::clone(rounds));
        }
        let rounds = Arc::new(running.logic.rounds(self)?);
        self.doubt_rounds(running, &rounds.writers);
        if running.logic.is_for()
            && let Some(running) = &mut self.logic
        {
            running.rounds = Some(Arc::clone(&rounds));
        }
        Ok(rounds)
    }

    fn hand_to_logic(&mut self, running: &Running, key: &[u8], value: &Text, place: &Arc<Place>) {
        match self.rounds(running) {
            Ok(rounds) => {
                if rounds.values.is_empty() && Logic::parse(key, value).is_some() {
                    self.warn_of_nesting(place);
                }
                self.logic_running = true;
                for round in &rounds.values {
                    let value = match round {
                        Some(tested) => replace_all(value, b"%(_)", tested, self.budget),
                        None => value.clone(),
                    };
                    self.append(key, &value, place);
                    if self.budget.is_over() {
                        break;
                    }
                }
                self.logic_running = false;
            }
            Err(Refused { why, hint }) => {
                if self.tell_the_end(|code, why| running.started.at_value(Severity::Error, code, why)) {
                    self.report.push(match hint {
                        Some(hint) => running.started.at_value(Severity::Error, Code::OthersText, why).with_hint(hint),
                        None => {
                            let skipped = format!("{why}: the lines below are skipped");
                            running.started.at_value(Severity::Warning, Code::BadValue, skipped)
                        }
                    });
                }
            }
        }
    }

    /// Where the outer condition does not hold, uWSGI skips the inner line like any other, and its closer closes the outer.
    fn warn_of_nesting(&mut self, place: &Place) {
        if let Some(Running { started: outer, .. }) = &self.logic {
            let closer = closer(&place.name);
            let message = format!(
                "is skipped with the {} of line {}, and its {closer} ends that one: uWSGI does not nest, so the lines after the {closer} always count",
                outer.name, outer.line
            );
            let hint = format!("close the {} of line {} with {} first", outer.name, outer.line, self::closer(&outer.name));
            self.report.push(place.at_key(Severity::Warning, Code::NestedLogic, message).with_hint(hint));
        }
    }

    fn push(&mut self, key: &[u8], value: Text, place: Arc<Place>, stage: Stage) {
        if self.options.len() == OPTIONS {
            self.budget.end(Code::TooMuch, format!("more than {OPTIONS} options"));
        }
        self.budget.make(key.len() + value.len() + place.file.len());
        if !self.goes_on(&place) {
            return;
        }
        self.first.entry(key.to_vec()).or_insert(self.options.len());
        if matches!(key, b"plugin" | b"plugins" | b"need-plugin" | b"need-plugins") {
            self.plugins.push(self.options.len());
        }
        self.options.push(Exported { key: key.to_vec(), value, place, stage });
    }

    /// Appends for good, and does at once what is done at once.
    fn act(&mut self, key: &[u8], value: &Text, place: &Arc<Place>) {
        if self.strict && !known::is_known(key) {
            self.refuse_unknown_option(key, place);
        }
        let stage = if known::is_immediate(key) { Stage::Done } else { Stage::Plain };
        self.push(key, value.clone(), Arc::clone(place), stage);
        if let Some(logic) = Logic::parse(key, value) {
            return self.start_logic(logic, place);
        }
        match key {
            b"set" => self.set(value, place, Stage::Plain),
            b"set-placeholder" | b"set-ph" => self.set(value, place, Stage::Placeholder),
            b"include" if value.bytes().ends_with(b".ini") => self.load(value, place, true),
            b"ini" => self.load(value, place, false),
            b"strict" => self.strict = values::boolean(&value.lossy()),
            b"blacklist" => self.forbidden = Some(value.bytes().to_vec()),
            b"end-blacklist" => self.forbidden = None,
            b"whitelist" => self.allowed = Some(value.bytes().to_vec()),
            b"end-whitelist" => self.allowed = None,
            b"include" => self.refuse(place, Code::NotSupported, "includes only files whose name ends in .ini"),
            b"config" | b"xml" | b"xmlconfig" | b"yaml" | b"yml" | b"json" | b"js" => {
                self.refuse(place, Code::NotSupported, "liege reads configurations in INI form only");
            }
            b"inject-before" | b"inject-after" => {
                self.refuse(place, Code::NotSupported, "not supported: include the file instead")
            }
            b"resolve" => self.refuse(
                place,
                Code::NotSupported,
                "not supported: a configuration asks no name server; put the address there",
            ),
            b"if-hostname-match" | b"if-not-hostname-match" => {
                self.refuse(place, Code::NotSupported, "not supported: compare the whole name with if-hostname");
            }
            _ => {}
        }
    }

    /// Named, because an overview shows the sentence without its line.
    fn refuse_unknown_option(&mut self, key: &[u8], place: &Place) {
        let name = String::from_utf8_lossy(key);
        let message = format!("{name} is no option, and strict is set");
        let unknown = place.at_key(Severity::Error, Code::UnknownOption, message);
        let near = self.report.nearest_option(&name);
        self.report.push(match near {
            Some(near) => unknown.with_hint(format!("did you mean {near}?")),
            None => unknown,
        });
    }

    fn refuse(&mut self, place: &Place, code: Code, why: &str) {
        self.report.push(place.at_key(Severity::Error, code, why));
    }

    /// At the end of what a logic line may rule.
    fn close_logic(&mut self) {
        if let Some(Running { started, .. }) = self.logic.take() {
            let open = started.at_key(Severity::Warning, Code::UnclosedLogic, "is never closed: it rules all lines to the end");
            self.report.push(open.with_hint(format!("end it with {} =", closer(&started.name))));
        }
    }

    fn start_logic(&mut self, logic: Logic, place: &Arc<Place>) {
        if logic.argument.bytes().windows(2).any(|two| two == b"%(") {
            // The name was meant all the same: it is no mistyped option.
            let text = logic.argument.lossy();
            let names = text.split("%(").skip(1).filter_map(|rest| rest.split_once(')'));
            self.asked_for.borrow_mut().extend(names.map(|(name, _)| name.as_bytes().to_vec()));
            let message = "placeholders are not expanded here: it is tested as it stands, as in uWSGI";
            self.report.push(place.at_value(Severity::Warning, Code::UnexpandedPlaceholder, message));
        }
        if let Some(Running { started: outer, .. }) = &self.logic {
            let line = outer.line;
            let inner = place.at_key(Severity::Error, Code::NestedLogic, "logic inside logic: uWSGI stops here");
            self.report.push(inner.with_hint(format!(
                "close the {} of line {line} with {} first",
                outer.name,
                closer(&outer.name)
            )));
        } else {
            self.run(logic, place);
        }
    }

    /// `set = KEY=VALUE`: no blanks are trimmed around the `=`, as uWSGI does not.
    fn set(&mut self, value: &Text, place: &Arc<Place>, stage: Stage) {
        let Some(equal) = value.bytes().iter().position(|byte| *byte == b'=') else {
            return self.report.push(place.at_value(Severity::Error, Code::BadValue, "is no NAME=VALUE"));
        };
        let (name, rest) = (value.slice(0..equal), value.slice(equal + 1..value.len()));
        if name.has_foreign_data(|_| true) {
            let chosen = place.at_value(Severity::Error, Code::OthersText, "others than root choose which option this sets");
            return self.report.push(chosen.with_hint("write the name of the option out: set = NAME=%(_)"));
        }
        let key = name.bytes();
        self.check_contexts(key, place);
        if stage == Stage::Plain {
            return self.set_option(key, &rest, place);
        }
        if known::is_uwsgi_option(&String::from_utf8_lossy(key)) {
            let name = String::from_utf8_lossy(key);
            self.report.push(place.at_value(
                Severity::Error,
                Code::BadValue,
                format!("{name} is an option, so it cannot be a placeholder"),
            ));
        }
        self.push(key, rest, Arc::clone(place), Stage::Placeholder);
    }

    /// The logic is asked for what `set` appends, too.
    fn set_option(&mut self, key: &[u8], value: &Text, place: &Arc<Place>) {
        let mut named = (**place).clone();
        named.name = String::from_utf8_lossy(key).into();
        if self.sets == DEPTH {
            return self.report.push(place.at_value(
                Severity::Error,
                Code::TooMuch,
                format!("more than {DEPTH} set in one line"),
            ));
        }
        self.sets += 1;
        self.append(key, value, &Arc::new(named));
        self.sets -= 1;
    }

    fn check_contexts(&mut self, key: &[u8], place: &Place) {
        let budget = self.budget;
        let lists =
            |list: &[u8]| budget.work(list.len()) && list.split(|byte| *byte == b' ').any(|word| word.eq_ignore_ascii_case(key));
        if self.forbidden.as_deref().is_some_and(lists) {
            self.report.push(place.at_key(Severity::Error, Code::Forbidden, "is forbidden here by a blacklist"));
        }
        if self.allowed.as_deref().is_some_and(|list| !lists(list)) {
            self.report.push(place.at_key(Severity::Error, Code::Forbidden, "is forbidden here: it is not on the whitelist"));
        }
    }
}

/// The closer that reads best for a logic line.
fn closer(name: &str) -> &'static str {
    if name.starts_with("for") { "endfor" } else { "endif" }
}

/// Ends early where the budget does.
fn replace_all(text: &Text, what: &[u8], with: &Text, budget: &Budget<'_>) -> Text {
    let mut replaced = Text::with_capacity(text.len());
    let (mut start, mut at) = (0, 0);
    if !budget.work(text.len()) {
        return replaced;
    }
    while at < text.len() {
        if what.iter().enumerate().all(|(index, sign)| text.is_sign(at + index, *sign)) {
            if !budget.make(with.len()) {
                return replaced;
            }
            replaced.append(&text.slice(start..at));
            replaced.append(with);
            at += what.len();
            start = at;
        } else {
            at += 1;
        }
    }
    replaced.append(&text.slice(start..at));
    replaced
}
