//! Things that are no mistakes for uWSGI, but rarely meant: each becomes a warning.

use std::collections::HashMap;

use crate::known;
use crate::lines;
use crate::pair::Pair;
use crate::place::Place;
use crate::report::Report;
use crate::vassal_file::SECTIONS;
use crate::{Code, Diagnostic, Severity, shell, values};

/// `[uwsgi] ; remark`: uWSGI takes all but the last character for the name, so the section is another one.
pub(crate) fn headers(headers: &[(Vec<u8>, Place)], asked: &[&str], report: &mut Report) {
    for (name, place) in headers {
        let name = String::from_utf8_lossy(name);
        let Some((inner, rest)) = name.split_once(']') else {
            let trimmed = name.trim();
            if *name != *trimmed && asked.contains(&trimmed) {
                let loose =
                    place.at_key(Severity::Warning, Code::SectionName, format!("names the section \"{name}\", with its blanks"));
                report.push(loose.with_hint(format!("write [{trimmed}]")));
            }
            continue;
        };
        if asked.contains(&inner) {
            let message = format!("names the section \"{name}\": nothing may follow the bracket, not even a remark");
            report.push(
                place
                    .at_key(Severity::Warning, Code::SectionName, message)
                    .with_hint(format!("remove \"{}\"", rest_of(rest, place))),
            );
        }
    }
}

/// A byte order mark is a part of the first line's first word, so a section that starts there is none.
pub(crate) fn byte_order_mark(text: &[u8], map: &lines::Map<'_>, report: &mut Report) {
    if text.starts_with("\u{feff}".as_bytes()) {
        let mark = map.span(0, 3, "").at_key(
            Severity::Warning,
            Code::ByteOrderMark,
            "starts with a byte order mark: the first line is not understood",
        );
        report.push(mark.with_hint("save the file without it"));
    }
}

/// Keys above the first header belong to no section, so nobody reads them.
pub(crate) fn before_the_first_section(lines: &lines::Lines, report: &mut Report) {
    let Some((name, _)) = lines.headers.first() else { return }; // that there is no section at all is said anyway
    for line in lines.pairs.iter().filter(|line| line.section.is_none()) {
        let lost = line.place.at_key(Severity::Warning, Code::NoSection, "stands above the first section: it is not read");
        report.push(lost.with_hint(format!("put it below [{}]", String::from_utf8_lossy(name))));
    }
}

/// A vassal's file in which no line counts. uWSGI's Emperor starts a uwsgi for it, which finds no socket and leaves at once.
pub(crate) fn nothing_is_read(path: &str, lines: &lines::Lines) -> Diagnostic {
    let example = "write [vassal] with uid and command, or [uwsgi] with the options of a uwsgi";
    let mistake = |place: &Place, why: &str| place.at_key(Severity::Error, Code::NoSection, why);
    if let Some((name, place)) = lines.headers.first() {
        let name = String::from_utf8_lossy(name);
        if SECTIONS.contains(&&*name) || name == "emperor" {
            return mistake(place, "has no option of a vassal: there is nothing to start").with_hint(example);
        }
        // The same mistakes as in `headers`, where they cost the whole file.
        let inner = name.split_once(']').map_or(&*name, |(inner, _)| inner).trim();
        if SECTIONS.contains(&inner) {
            let why = match name.contains(']') {
                true => format!("names the section \"{name}\": nothing may follow the bracket, not even a remark"),
                false => format!("names the section \"{name}\", with its blanks"),
            };
            return mistake(place, &format!("{why}; so nothing in the file is read")).with_hint(format!("write [{inner}]"));
        }
        let meant = known::nearest(name.trim(), SECTIONS.into_iter());
        let hint = meant.map_or_else(|| example.to_owned(), |meant| format!("did you mean [{meant}]?"));
        return mistake(place, &format!("[{name}] is a section that nothing reads, and the file has no other")).with_hint(hint);
    }
    if let Some(line) = lines.pairs.first() {
        if line.key.starts_with("\u{feff}".as_bytes()) {
            let why = "starts with a byte order mark: the first line is not understood, so nothing in the file is read";
            return mistake(&line.place, why).with_hint("save the file without it");
        }
        let is_yaml = line.value.is_empty() && line.key.contains(&b':');
        let hint = if is_yaml { "this looks like YAML; liege reads INI: a line [uwsgi], then KEY = VALUE" } else { example };
        return mistake(&line.place, "stands in no section, so it is not read").with_hint(hint);
    }
    Diagnostic::of_file(Severity::Error, Code::NoSection, path, "is empty: there is nothing to start").with_hint(example)
}

/// What stands behind the bracket, as written (the section's name lost its last character).
fn rest_of(rest: &str, place: &Place) -> String {
    place.text.split_once(']').map_or_else(|| rest.to_owned(), |(_, rest)| rest.trim().to_owned())
}

/// Options whose value is a shell line, a rule or a template: `;` and `#` are theirs.
const OWN_SIGNS: [&str; 12] = [
    "attach-",
    "smart-attach-",
    "cron",
    "route",
    "declare-option",
    "log",
    "alarm",
    "exec-",
    "hook-",
    "command",
    "for",
    "unprivileged-",
];

/// Remarks at the end of a line, which uWSGI takes for a part of the value; options that are near misses of known ones.
///
/// `strict`: in this kind of file an unknown option is an error, which is told elsewhere.
pub(crate) fn pairs(pairs: &[Pair], strict: bool, report: &mut Report) {
    for pair in pairs.iter().filter(|pair| pair.origin.line > 0 && !pair.placeholder) {
        inline_remark(pair, report);
        continued(pair, report);
        for_no_shell(pair, report);
        if pair.lacks_equal() {
            lacks_equal(pair, report);
        } else if !strict {
            mistyped_option(pair, report);
        }
    }
    overridden(pairs, report);
    post_jail(pairs, report);
}

/// Whether `;`, `#`, `$(...)` and `%(...)` in an option's value may be meant for somebody else.
pub(crate) fn has_own_signs(key: &str) -> bool {
    OWN_SIGNS.iter().any(|front| key.starts_with(front)) || key.ends_with("binary-patch-arg")
}

fn lacks_equal(pair: &Pair, report: &mut Report) {
    let Some((first, rest)) = pair.key.split_once([' ', '\t']) else { return };
    let bare = pair.warning(Code::MissingEqual, "there is no = in this line: it is a name that nothing asks for");
    report.push(bare.with_hint(format!("write {first} = {}", rest.trim_start())));
}

/// `command` is split like a shell's line, but no shell runs it: a sign of the shell's is an argument of the program here, and a word of
/// the shell's is taken for the program.
fn for_no_shell(pair: &Pair, report: &mut Report) {
    const SIGNS: [&str; 10] = [";", "#", "&", "&&", "|", "||", ">", ">>", "<", "2>&1"];
    if pair.key != "command" {
        return;
    }
    let Ok(words) = values::shell_words(&pair.value) else { return };
    let mut written = pair.value.split([' ', '\t']).filter(|word| !word.is_empty());
    if let Some(first) = written.clone().next()
        && let Some(instead) = shell::instead(first)
    {
        let literal = pair.warning_at(first, Code::NoShell, format!("no shell runs this: {first} is taken for the program"));
        report.push(literal.with_hint(instead));
    // Inside quotes it is meant for the program.
    } else if let Some(sign) = written.find(|word| SIGNS.contains(word) && words.iter().any(|other| other == word)) {
        let message = format!("no shell runs this: {sign} is an argument of the program");
        let literal = pair.warning_at(sign, Code::NoShell, message);
        report.push(literal.with_hint(format!("where a shell is meant: {}", shell::WRAP)));
    }
}

/// Other dialects go on in the next line behind a backslash; here each line ends with its line.
fn continued(pair: &Pair, report: &mut Report) {
    if pair.value.ends_with('\\') && pair.place.text.trim_end().ends_with('\\') {
        let kept = pair.place.at_last(Code::NotContinued, "lines are not continued: the backslash is a part of the value");
        report.push(kept.with_hint("write it in one line"));
    }
}

/// Options that have one value: a later line takes the place of an earlier one. Of uWSGI's own only the most common.
const SCALARS: [&str; 66] = [
    "binary-path",
    "buffer-size",
    "callable",
    "cap",
    "cgroup-dir-mode",
    "chdir",
    "chroot",
    "command",
    "emperor-cap",
    "emperor-control",
    "emperor-curse-tolerance",
    "emperor-death",
    "emperor-flapping-failures",
    "emperor-flapping-window",
    "emperor-freq",
    "emperor-graceful-shutdown",
    "emperor-health-log",
    "emperor-log-dir",
    "emperor-max-starts",
    "emperor-max-throttle",
    "emperor-metrics",
    "emperor-nofollow",
    "emperor-pidfile",
    "emperor-required-heartbeat",
    "emperor-start-limit",
    "emperor-state-dir",
    "emperor-throttle",
    "flapping-failures",
    "flapping-window",
    "gid",
    "harakiri",
    "hook-timeout",
    "inherit-env",
    "jailed",
    "limit-as",
    "limit-nproc",
    "master",
    "max-fd",
    "module",
    "mountpoint-check-interval",
    "mountpoint-check-required",
    "mountpoint-check-timeout",
    "mountpoint-check-tolerance",
    "no-new-privs",
    "pivot-root",
    "pivot_root",
    "prio",
    "privileged-binary-patch-arg",
    "processes",
    "psgi",
    "ready-timeout",
    "reload-signal",
    "start-limit",
    "stop-signal",
    "stop-timeout",
    "threads",
    "uid",
    "umask",
    "unprivileged-binary-patch-arg",
    "vassal-log",
    "vassal-log-keep",
    "vassal-log-rate",
    "vassal-log-size",
    "vassal-proc",
    "workers",
    "wsgi-file",
];

/// A line that a later one of the same file takes the place of. One that an included file has is meant to be.
fn overridden(pairs: &[Pair], report: &mut Report) {
    let scalar = |pair: &&Pair| !pair.placeholder && SCALARS.contains(&pair.key.as_str());
    let last: HashMap<&str, (usize, &Pair)> =
        pairs.iter().enumerate().filter(|(_, pair)| scalar(pair)).map(|(at, pair)| (pair.key.as_str(), (at, pair))).collect();
    for (at, pair) in pairs.iter().enumerate().filter(|(_, pair)| scalar(pair) && pair.origin.line > 0) {
        let Some((_, last)) = last.get(pair.key.as_str()).filter(|(last, _)| *last > at) else { continue };
        if last.origin.file != pair.origin.file || last.origin.line <= pair.origin.line || last.value == pair.value {
            continue;
        }
        let asked = if pair.asked_for { format!(", but %({}) is the first", pair.key) } else { String::new() };
        let message = format!("has no effect: the last {} counts, that of line {}{asked}", pair.key, last.origin.line);
        report.push(pair.warning(Code::Duplicate, message).with_hint("keep one of them"));
    }
}

/// `post-jail` hooks run only where the vassal makes a jail of its own; that the emperor cloned it does not count, as in uWSGI.
fn post_jail(pairs: &[Pair], report: &mut Report) {
    const JAILS: [&str; 4] = ["jailed", "namespace", "ns", "unshare"];
    if pairs.iter().any(|pair| JAILS.contains(&pair.key.as_str())) {
        return;
    }
    for pair in pairs.iter().filter(|pair| pair.key.ends_with("-post-jail") && known::is_uwsgi_option(&pair.key)) {
        let idle = pair.warning(Code::NoEffect, "never runs: post-jail hooks run only with jailed or unshare, as in uWSGI");
        report.push(idle.with_hint("add jailed = true, or say it in-jail"));
    }
}

fn inline_remark(pair: &Pair, report: &mut Report) {
    if has_own_signs(&pair.key) {
        return;
    }
    for sign in [" ;", "\t;", " #", "\t#"] {
        if let Some(at) = pair.value.find(sign) {
            let remark = pair.value[at + 1..].to_owned();
            let kept = pair.warning_at(
                &remark,
                Code::InlineRemark,
                "the remark is a part of the value: a comment needs a line of its own",
            );
            report.push(kept.with_hint("move it to the line above"));
            return;
        }
    }
}

fn mistyped_option(pair: &Pair, report: &mut Report) {
    if known::is_known(pair.key.as_bytes()) || pair.asked_for || pair.key == "end" || pair.key == "else" {
        return;
    }
    if let Some(near) = report.nearest_option(&pair.key) {
        let unknown = pair.warning(
            Code::UnknownOption,
            format!("{} is no option: it is kept as a placeholder that nothing asks for", pair.key),
        );
        report.push(unknown.with_hint(format!("did you mean {near}?")));
    }
}
