//! Things that are no mistakes for uWSGI, but rarely meant: each becomes a warning.

use crate::known;
use crate::lines;
use crate::pair::Pair;
use crate::place::Place;
use crate::report::Report;
use crate::{Diagnostic, Hook, HookPhase, Severity, Source, VassalConfig, Verb};

/// `[uwsgi] ; remark`: uWSGI takes all but the last character for the name, so the section is another one.
pub(crate) fn headers(headers: &[(Vec<u8>, Place)], asked: &[&str], report: &mut Report) {
    for (name, place) in headers {
        let name = String::from_utf8_lossy(name);
        let Some((inner, rest)) = name.split_once(']') else {
            let trimmed = name.trim();
            if *name != *trimmed && asked.contains(&trimmed) {
                let loose = place.at_key(Severity::Warning, format!("names the section \"{name}\", with its blanks"));
                report.push(loose.with_hint(format!("write [{trimmed}]")));
            }
            continue;
        };
        if asked.contains(&inner) {
            let message = format!("names the section \"{name}\": nothing may follow the bracket, not even a remark");
            report.push(place.at_key(Severity::Warning, message).with_hint(format!("remove \"{}\"", rest_of(rest, place))));
        }
    }
}

/// A byte order mark is a part of the first line's first word, so a section that starts there is none.
pub(crate) fn byte_order_mark(text: &[u8], map: &lines::Map<'_>, report: &mut Report) {
    if text.starts_with("\u{feff}".as_bytes()) {
        let mark =
            map.span(0, 3, "").at_key(Severity::Warning, "starts with a byte order mark: the first line is not understood");
        report.push(mark.with_hint("save the file without it"));
    }
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
pub(crate) fn pairs(pairs: &[Pair], report: &mut Report) {
    for pair in pairs.iter().filter(|pair| pair.origin.line > 0 && !pair.placeholder) {
        inline_remark(pair, report);
        mistyped_option(pair, report);
    }
    post_jail(pairs, report);
}

/// `post-jail` hooks run only where the vassal makes a jail of its own; that the emperor cloned it does not count, as in uWSGI.
fn post_jail(pairs: &[Pair], report: &mut Report) {
    const JAILS: [&str; 4] = ["jailed", "namespace", "ns", "unshare"];
    if pairs.iter().any(|pair| JAILS.contains(&pair.key.as_str())) {
        return;
    }
    for pair in pairs.iter().filter(|pair| pair.key.ends_with("-post-jail") && known::is_uwsgi_option(&pair.key)) {
        let idle = pair.warning("never runs: post-jail hooks run only with jailed or unshare, as in uWSGI");
        report.push(idle.with_hint("add jailed = true, or say it in-jail"));
    }
}

fn inline_remark(pair: &Pair, report: &mut Report) {
    let own_signs = OWN_SIGNS.iter().any(|front| pair.key.starts_with(front)) || pair.key.ends_with("binary-patch-arg");
    if own_signs {
        return;
    }
    for sign in [" ;", "\t;", " #", "\t#"] {
        if let Some(at) = pair.value.find(sign) {
            let remark = pair.value[at + 1..].to_owned();
            let kept = pair.warning_at(&remark, "the remark is a part of the value: a comment needs a line of its own");
            report.push(kept.with_hint("move it to the line above"));
            return;
        }
    }
}

fn mistyped_option(pair: &Pair, report: &mut Report) {
    if known::is_known(pair.key.as_bytes()) || pair.asked_for || pair.key == "end" || pair.key == "else" {
        return;
    }
    if let Some(near) = known::nearest_option(&pair.key) {
        let unknown = pair.warning(format!("{} is no option: it is kept as a placeholder that nothing asks for", pair.key));
        report.push(unknown.with_hint(format!("did you mean {near}?")));
    }
}

/// The tutorial's trap: an at-exit hook that unmounts what only a first start mounts. uWSGI runs at-exit hooks on a reload too,
/// and the mount is gone afterwards; liege does not, and says so.
pub(crate) fn unmounted_on_reload(source: &Source<'_>, config: &VassalConfig, report: &mut Report) {
    let text = String::from_utf8_lossy(source.text);
    let lines: Vec<&str> = text.lines().collect();
    let unmounts = |hook: &&Hook| {
        hook.phase == HookPhase::AsUserAtexit
            && match &hook.verb.value {
                Verb::Exec(line) | Verb::SafeExec(line) => line.contains("umount") || line.contains("fusermount"),
                Verb::Umount { .. } => true,
                _ => false,
            }
    };
    let only_fresh = config.fresh.jail.hooks.iter().any(|hook| {
        hook.phase != HookPhase::AsUserAtexit && !config.again.jail.hooks.iter().any(|other| other.verb == hook.verb)
    });
    for hook in config.again.jail.hooks.iter().filter(unmounts).filter(|hook| only_fresh && hook.verb.at.file == source.path) {
        let at = &hook.verb.at;
        report.push(Diagnostic {
            severity: Severity::Warning,
            file: at.file.clone(),
            line: at.line,
            column: at.column,
            width: u32::try_from(at.key.chars().count()).unwrap_or(1),
            text: lines.get((at.line as usize).wrapping_sub(1)).map(|line| (*line).to_owned()).unwrap_or_default(),
            message:
                "uWSGI runs this on a reload too, and what if-not-reload mounts stays unmounted; liege runs it at the end only"
                    .into(),
            hint: Some("keep it if the file is for liege alone; for uWSGI remove it: the mount ends with the namespace".into()),
        });
    }
}
