//! One vassal, with everything that is known of it.

use std::time::{Duration, UNIX_EPOCH};

use liege_core::{Death, Detail, Flapping, Health, VassalView, file_word};
use liege_plan::stamp;

use crate::{
    Style,
    span::span,
    style::{FAINT, RED, YELLOW},
    words::{bytes, colour, cpu, first_line, is_ill, mount, restarts, shown, state, under_way, uptime, waits_for, wrap},
};

/// So many of the last ends are shown; `--json` has all that are kept.
const ENDS: usize = 6;

/// Where the second column begins.
const INDENT: usize = 12;

/// Seconds from which on the time of day tells more than how long ago it was.
const LONG_AGO: f64 = 3600.0;

/// The page, in lines that fit.
#[must_use]
pub fn detail(name: &str, of: &Detail, style: Style) -> String {
    let mut page = Page { text: String::new(), style };
    match (&of.vassal, &of.unusable) {
        (Some(vassal), _) => page.vassal(vassal, of),
        (None, mistake) => {
            page.line(&format!("{name}: {}", file_word(of.unread)), Some(RED));
            page.field("file", mistake.as_deref().unwrap_or_default());
        }
    }
    page.deaths(of);
    page.text
}

struct Page {
    text: String,
    style: Style,
}

impl Page {
    fn vassal(&mut self, vassal: &VassalView, of: &Detail) {
        self.line(&format!("{}: {}", vassal.name, state(vassal, of.now)), colour(vassal));
        if let Some(pid) = vassal.pid {
            let processes = vassal.usage.map(|usage| format!(", {} processes", usage.processes)).unwrap_or_default();
            self.field("pid", &format!("{pid} (its init){processes}"));
        }
        match uptime(vassal, of.now) {
            Some(up) => self.field("up", &up),
            None => self.field("since", &format!("{} in this state", span(of.now.since(vassal.since)))),
        }
        if let Some(other) = &vassal.waits_for {
            self.painted("waits", &waits_for(other), Some(YELLOW));
        }
        if let Some(step) = &vassal.step {
            self.painted("step", &under_way(step, of.now), Some(YELLOW));
        }
        if let Some(doubt) = &vassal.doubt {
            self.painted("doubtful", doubt, Some(YELLOW));
        }
        if let Some(failure) = &vassal.last_failure {
            let ago = Duration::try_from_secs_f64(failure.ago).unwrap_or_default();
            self.field("failed", &format!("{} ago: {}", span(ago), first_line(&failure.what)));
        }
        if vassal.runs_as_root {
            self.painted("runs as", "root", Some(RED));
        } else if let Some(uid) = vassal.owner {
            self.field("runs as", &format!("uid {uid}"));
        }
        if let Some(usage) = vassal.usage {
            self.field("memory", &bytes(usage.rss));
            self.field("cpu", &cpu(usage.cpu));
        }
        if !of.listens.is_empty() {
            self.field("listens", &of.listens.join(", "));
        }
        for (n, watched) in vassal.mounts.iter().enumerate() {
            let is_out = watched.unanswered_since.is_some();
            let took = watched
                .health
                .filter(|_| !is_out)
                .map(|_| format!(", last probe {:.2}ms", Duration::from_micros(watched.micros).as_secs_f64() * 1e3));
            let what = match watched.health {
                Some(Health::NotMounted) => {
                    let why = watched.why.as_ref().map_or_else(String::new, |why| format!("; {}", first_line(why)));
                    format!(": nothing is mounted there, the directory answers{why}")
                }
                Some(_) if is_out => watched.why.as_ref().map_or_else(String::new, |why| format!(": {}", first_line(why))),
                Some(health) => health.why_unknown().map_or_else(String::new, |why| format!(": it cannot be looked at: {why}")),
                None => String::new(),
            };
            let said = format!("{}{what}{}", mount(watched), took.unwrap_or_default());
            self.painted(if n == 0 { "mounts" } else { "" }, &said, is_ill(watched).then_some(RED));
        }
        if restarts(vassal) > 0 {
            let causes: Vec<String> = vassal.restarts.iter().map(|(cause, count)| format!("{cause} {count}")).collect();
            self.field("restarts", &format!("{}: {}", restarts(vassal), causes.join(", ")));
        }
        if let Some(Flapping { since, failures, steady_after }) = vassal.flapping {
            let since = span(of.now.since(since));
            let said = format!("{failures} failures, seen {since} ago; delays grow until it has run for {}", span(steady_after));
            self.painted("flapping", &said, Some(RED));
        } else if vassal.gave_up {
            let said = format!("start-limit: {} start {}, a clear or a change of its file begins anew", "liege", vassal.name);
            self.painted("given up", &said, Some(RED));
        } else if vassal.failures > 0 {
            self.painted("failures", &format!("{} in a row", vassal.failures), Some(RED));
        }
        if let Some(error) = &vassal.config_error {
            self.painted("bad file", error, Some(RED));
        }
        if let Some(why) = &vassal.reload_given_up {
            self.painted("reload", &format!("given up: {why}"), Some(YELLOW));
        }
        for (n, held) in vassal.leftovers.iter().enumerate() {
            self.painted(if n == 0 { "held up" } else { "" }, &format!("by {held}"), Some(RED));
        }
    }

    /// The newest first, because it is the one that is looked for.
    fn deaths(&mut self, of: &Detail) {
        if of.deaths_unread {
            self.painted("last ends", "unknown: the disk of the state directory (emperor-state-dir) does not answer", Some(RED));
        }
        if of.deaths.is_empty() {
            return;
        }
        self.line("last ends", None);
        // What it printed before its newest end, and before its newest failure, says enough of the others, mostly. Who has restarted
        // what had failed asks for the failure.
        let failure = of.deaths.iter().rev().position(Death::is_failure);
        let is_shown = |n: usize| n < ENDS || failure == Some(n);
        let shown = || of.deaths.iter().rev().enumerate().filter(|(n, _)| is_shown(*n));
        for (
            n,
            Death {
                at, cause, count, first, gave_up, what, lived, again_in, unfinished, held_up_by, unsaved, last_lines, ..
            },
        ) in shown()
        {
            let moment = when(*at, of.at);
            let ago = span(Duration::try_from_secs_f64(of.at - at).unwrap_or_default());
            let lived = span(Duration::try_from_secs_f64(*lived).unwrap_or_default());
            let then = match again_in {
                None if *gave_up => "given up".to_owned(),
                None if *unfinished => "its end was not seen".to_owned(),
                None => "not wanted any more".to_owned(),
                Some(delay) if *delay < 0.001 => "started again at once".to_owned(),
                Some(delay) => format!("started again after {delay:.0}s"),
            };
            let since = first.map(|first| span(Duration::try_from_secs_f64(at - first).unwrap_or_default()));
            let times = since.map(|since| format!(" ×{count} in {since}")).unwrap_or_default();
            self.line(&format!("  {ago} ago{moment}: {cause}{times}, having lived {lived}; {then}"), None);
            what.lines().for_each(|text| self.quote("    ", text));
            held_up_by.iter().for_each(|text| self.quote("    held up by ", text));
            unsaved.iter().for_each(|text| self.quote("    not written back, and lost: ", text));
            if n == 0 || failure == Some(n) {
                last_lines.iter().for_each(|text| self.quote("    | ", text));
            }
        }
        let more = of.deaths.len() - shown().count();
        if more > 0 {
            self.line(&format!("  and {more} more (--json)"), None);
        }
    }

    fn quote(&mut self, before: &str, text: &str) {
        for line in wrap(&shown(text), self.style.width.map(|width| width.saturating_sub(before.len()))) {
            self.line(&format!("{before}{line}"), Some(FAINT));
        }
    }

    fn field(&mut self, name: &str, value: &str) {
        self.painted(name, value, None);
    }

    fn painted(&mut self, name: &str, value: &str, colour: Option<&str>) {
        let width = self.style.width.map(|width| width.saturating_sub(INDENT));
        let mut name = name;
        for line in value.split('\n').flat_map(|line| wrap(&shown(line), width)) {
            let left = format!("  {name}");
            let painted = self.style.paint(&line, colour);
            self.text.push_str(format!("{left:<INDENT$}{painted}").trim_end());
            self.text.push('\n');
            name = "";
        }
    }

    fn line(&mut self, text: &str, colour: Option<&str>) {
        self.text.push_str(&self.style.paint(&shown(text), colour));
        self.text.push('\n');
    }
}

/// What is longer ago is looked for by the clock: ` (2026-11-22T03:04:05Z)`, as the lines of logs begin.
fn when(at: f64, now: f64) -> String {
    let Ok(since) = Duration::try_from_secs_f64(at) else { return String::new() };
    if now - at < LONG_AGO {
        return String::new();
    }
    format!(" ({})", stamp(UNIX_EPOCH + Duration::from_secs(since.as_secs())).replace(".000Z", "Z"))
}

#[cfg(test)]
mod tests {
    use liege_core::{Cause, MountView, Time, Usage};

    use super::*;
    use crate::testing::vassal;

    fn of() -> Detail {
        let what = "fuse-zip -r /srv/shop.zip /app exited with status 1 (shop.ini:12: exec-as-user)".to_owned();
        let death = Death {
            at: 1000.0,
            cause: "hook_failed".into(),
            detail: Cause::HookFailed { what: what.clone() },
            what,
            count: 1,
            first: None,
            gave_up: false,
            lived: 75.0,
            owner: None,
            again_in: Some(4.0),
            unfinished: false,
            held_up_by: Vec::new(),
            unsaved: Vec::new(),
            stop_timeout: None,
            last_lines: vec!["no such file: shop.zip".into()],
        };
        let vassal = VassalView {
            owner: Some(1001),
            usage: Some(Usage { processes: 5, rss: 43_200_000, cpu: 1.25 }),
            mounts: vec![MountView { health: Some(Health::Healthy), micros: 41, ..MountView::new("/app") }],
            restarts: vec![("exit".into(), 2), ("hook_failed".into(), 1)],
            ..vassal("shop.ini")
        };
        let listens = vec!["127.0.0.1:9090".into(), "/run/x.sock".into()];
        Detail {
            now: Time(66_000_000),
            at: 4600.0,
            vassal: Some(vassal),
            unusable: None,
            unread: false,
            listens,
            deaths: vec![death],
            deaths_unread: false,
        }
    }

    #[test]
    fn a_question_that_is_out_is_told_with_its_time() {
        let slow = MountView {
            health: Some(Health::Slow),
            micros: 12_000_000,
            unanswered_since: Some(Time(54_000_000)),
            why: Some("no answer for 12 s yet".into()),
            ..MountView::new("/app")
        };
        let mut of = of();
        of.vassal.as_mut().unwrap().mounts = vec![slow];
        let text = detail("shop.ini", &of, Style::default());
        assert!(text.contains("/app:slow: no answer for 12 s yet\n"), "{text}");
        let silent = Detail { deaths: Vec::new(), deaths_unread: true, ..of.clone() };
        let text = detail("shop.ini", &silent, Style::default());
        assert!(text.contains("unknown: the disk of the state directory (emperor-state-dir) does not answer\n"), "{text}");
        let of = Detail { vassal: None, unusable: Some("no memory".into()), unread: true, ..of };
        assert!(detail("shop.ini", &of, Style::default()).starts_with("shop.ini: not read yet\n"));
    }

    #[test]
    fn everything_is_said() {
        let text = detail("shop.ini", &of(), Style::default());
        assert_eq!(
            text,
            "\
shop.ini: running, ready
  pid       42 (its init), 5 processes
  up        1m05s
  runs as   uid 1001
  memory    41.2M
  cpu       1.2s
  listens   127.0.0.1:9090, /run/x.sock
  mounts    /app:ok, last probe 0.04ms
  restarts  3: exit 2, hook_failed 1
last ends
  1h00m ago (1970-01-01T00:16:40Z): hook_failed, having lived 1m15s; started again after 4s
    fuse-zip -r /srv/shop.zip /app exited with status 1 (shop.ini:12: exec-as-user)
    | no such file: shop.zip
"
        );
    }

    #[test]
    fn the_newest_ends_come_first_and_the_rest_is_counted() {
        let mut of = of();
        of.deaths = (0..9).map(|n| Death { at: 4600.0 - f64::from(90 - 10 * n), ..of.deaths[0].clone() }).collect();
        let text = detail("shop.ini", &of, Style::default());
        let ends: Vec<&str> = text.lines().filter(|line| line.contains(" ago: ")).collect();
        assert!(ends.len() == 6 && ends[0].starts_with("  10s ago") && ends[5].starts_with("  1m00s ago"), "{text}");
        assert!(text.ends_with("  and 3 more (--json)\n") && text.matches("    | ").count() == 1, "{text}");
    }

    /// Who restarts what has failed asks afterwards why it had failed.
    #[test]
    fn the_last_words_of_the_newest_failure_are_shown_whatever_came_after() {
        let mut of = of();
        let asked = Death { detail: Cause::Requested, last_lines: vec!["bye".into()], ..of.deaths[0].clone() };
        of.deaths.extend((0..9).map(|_| asked.clone()));
        let text = detail("shop.ini", &of, Style::default());
        assert!(text.matches("    | bye\n").count() == 1 && text.contains("    | no such file: shop.zip\n"), "{text}");
        assert!(text.ends_with("  and 3 more (--json)\n"), "{text}");
    }

    #[test]
    fn a_reload_that_was_given_up_is_no_bad_file() {
        let mut of = of();
        of.vassal.as_mut().unwrap().reload_given_up = Some("\"no certificate\" (shop.ini:5: hook-in-jail)".into());
        let text = detail("shop.ini", &of, Style::default());
        let line = "\n  reload    given up: \"no certificate\" (shop.ini:5: hook-in-jail)\n";
        assert!(text.starts_with("shop.ini: running, ready\n") && text.contains(line) && !text.contains("bad file"), "{text}");
    }

    #[test]
    fn an_end_that_lasts_says_so() {
        let mut of = of();
        let death = of.deaths[0].clone();
        of.deaths[0] = Death { unfinished: true, again_in: None, held_up_by: vec!["cat (pid 9, state D)".into()], ..death };
        let text = detail("shop.ini", &of, Style::default());
        assert!(text.contains("having lived 1m15s; its end was not seen\n"), "{text}");
        assert!(text.contains("    held up by cat (pid 9, state D)\n"), "{text}");
    }

    #[test]
    fn who_holds_up_its_end_is_named_in_a_column_of_its_own() {
        let mut of = of();
        of.vassal.as_mut().unwrap().leftovers = vec!["fuse-zip (pid 7) of /app".into(), "cat (pid 9, state D)".into()];
        let text = detail("shop.ini", &of, Style::default());
        assert!(text.contains("\n  held up   by fuse-zip (pid 7) of /app\n            by cat (pid 9, state D)\n"), "{text}");
    }

    #[test]
    fn sixty_columns_are_enough() {
        let mut of = of();
        of.vassal.as_mut().unwrap().config_error =
            Some("shop.ini:3:1: this option is unknown, and so is whatever it may mean".into());
        let text = detail("shop.ini", &of, Style { width: Some(60), ..Style::default() });
        let too_long: Vec<&str> =
            text.lines().filter(|line| line.chars().count() > 60 && !line.contains("having lived")).collect();
        assert!(too_long.is_empty(), "{too_long:?}");
        assert!(text.contains("exec-as-user)"), "what is wrong is whole: {text}");
    }
}
