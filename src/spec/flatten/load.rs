//! Files within the reading: the first one, `include`, `ini`, and later `inherit`.

use std::sync::Arc;

use super::{Flattener, OWN_SECTION};
use crate::budget::DEPTH;
use crate::lines;
use crate::logic::Refused;
use crate::paths;
use crate::place::Place;
use crate::text::{Mark, Text};
use crate::{Code, Diagnostic, Severity, traps};

/// So many vanished `%` of one text are told one by one.
const EATEN: usize = 200;

impl Flattener<'_> {
    /// Reads a text as a file: magic, lines, and each pair of the asked section appended. The magic table is filled already.
    pub(super) fn read_text(&mut self, path: &str, section: Option<&str>, text: &[u8], mark: Mark) {
        self.last_file = Some(path.to_owned());
        self.magic.inquire(text, self.lookup);
        let substituted = self.magic.substitute(text, mark, self.budget);
        let shown = match section {
            Some(section) if !section.is_empty() => format!("{path}:{section}"),
            _ => path.to_owned(),
        };
        let map = lines::Map::new(text, path);
        self.report_eaten(text, &substituted.eaten, &map);
        let lines = lines::read(text, path, &substituted, self.budget);
        drop(substituted);
        let going_on = self.tell_the_end(|code, why| match &lines.ended_at {
            Some(place) => place.at_key(Severity::Error, code, why),
            None => Diagnostic::of_file(Severity::Error, code, &*shown, why),
        });
        if !going_on {
            return;
        }
        if self.depth == 0 && self.sections.contains(&OWN_SECTION) {
            self.has_own_section = lines.headers.iter().any(|(name, _)| name == OWN_SECTION.as_bytes());
        }
        let asked: Vec<&str> = match section {
            Some(section) if !section.is_empty() => vec![section],
            _ => self.sections.to_vec(),
        };
        let mut found = false;
        for line in &lines.pairs {
            if line.section.as_ref().is_some_and(|section| asked.iter().any(|name| name.as_bytes() == section)) {
                found = true;
                self.append(&line.key, &line.value, &line.place);
            }
        }
        // Where nothing is read because of a byte order mark, that is told with it.
        let mut tells_of_mark = false;
        if !found && self.is_all_of_a_vassal() {
            let nothing = traps::nothing_is_read(path, &lines);
            tells_of_mark = nothing.line == 1 && lines.headers.is_empty();
            self.report.push(nothing);
        } else if !found {
            let names: Vec<String> = asked.iter().map(|name| format!("[{name}]")).collect();
            let hint = lines
                .headers
                .first()
                .map(|(name, place)| format!("line {} starts a section named \"{}\"", place.line, String::from_utf8_lossy(name)));
            self.report.whole_file(
                Severity::Warning,
                Code::NoSection,
                &shown,
                format!("has no option in a section {}", names.join(" or ")),
                hint,
            );
        }
        traps::before_the_first_section(&lines, self.report);
        if !tells_of_mark {
            traps::byte_order_mark(text, &map, self.report);
        }
        traps::headers(&lines.headers, &asked, self.report);
    }

    /// Of a vassal's own file, where nothing is said outside of it.
    fn is_all_of_a_vassal(&self) -> bool {
        let is_only_named = self.options.iter().all(|option| option.stage == super::Stage::Hidden);
        self.depth == 0 && self.sections.contains(&OWN_SECTION) && !self.has_own_section && is_only_named
    }

    fn report_eaten(&mut self, text: &[u8], eaten: &[usize], map: &lines::Map<'_>) {
        self.report.and_more(if self.reload { 0 } else { eaten.len().saturating_sub(EATEN) });
        for at in eaten.iter().take(EATEN) {
            let name = text.get(at + 1).copied();
            let shown = match name {
                Some(b'\n' | b'\r') | None => "% at the end of a line".to_owned(),
                Some(byte) if byte.is_ascii_graphic() => format!("%{}", char::from(byte)),
                Some(_) => "% and the byte after it".to_owned(),
            };
            let place = map.span(*at, at + 2, "");
            // In a comment it harms nothing, unless it draws the next line into the comment.
            if place.is_comment() && name != Some(b'\n') {
                continue;
            }
            let vanishes = match name {
                Some(b'\n') => "takes the line break with it: the next line is a part of this one".to_owned(),
                _ => format!("{shown} is no magic variable: it vanishes"),
            };
            let means = place.at_key(Severity::Warning, Code::EatenPercent, vanishes);
            self.report.push(means.with_hint("a % that is meant as such is written %%"));
        }
    }

    /// Reads another file at this point.
    pub(super) fn load(&mut self, source: &Text, place: &Arc<Place>, template: bool) {
        let name = source.lossy();
        // A colon that others chose is a part of the name.
        let is_chosen = source.has_foreign_data(|byte| byte == b':');
        let (path, section) = if is_chosen { (&*name, None) } else { paths::split_section(&name) };
        let named = path.to_owned();
        let path = match (path, &self.last_file) {
            // `ini = :section`: the same file again, another section.
            ("", Some(last)) if section.is_some() => last.clone(),
            _ => path.to_owned(),
        };
        if self.depth >= DEPTH {
            return self.report.push(place.at_value(
                Severity::Error,
                Code::TooMuch,
                format!("more than {DEPTH} files within files: {path} seems to include itself"),
            ));
        }
        // Its bytes are those of the line, but where the line says `:section` and means a file that was named before.
        let file = if named == path && source.bytes().starts_with(path.as_bytes()) {
            source.slice(0..path.len())
        } else {
            Text::new(path.as_str(), source.mark())
        };
        match self.read_from(&file) {
            // What is too much is told as the budget's end.
            _ if !self.goes_on(place) => {}
            Ok(found) => {
                self.depth += 1;
                let (mark, of_names) = self.author_of_included(source, &found, &path, place);
                self.doubt_included(source, &found, place);
                self.magic.enter(&named, section, template, of_names, self.lookup);
                self.read_text(&path, section, found.text.bytes(), mark);
                self.depth -= 1;
            }
            Err(Refused { why, hint: None }) => self.report.push(place.at_value(Severity::Error, Code::Unreadable, why)),
            Err(Refused { why, hint: Some(hint) }) => {
                self.report.push(place.at_value(Severity::Error, Code::OthersText, why).with_hint(hint));
            }
        }
    }
}
