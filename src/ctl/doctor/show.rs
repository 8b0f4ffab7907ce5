//! The report for people: a line for what is well, three for what is not, and the sum.

use std::fmt::Write;

use super::{Finding, Report, Status};
use crate::Style;

/// The whole report.
#[must_use]
pub fn show(report: &Report, style: Style) -> String {
    let mut shown = String::new();
    let width = report.findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    let mut subject = "";
    for finding in &report.findings {
        if finding.subject != subject {
            subject = finding.subject;
            line(&mut shown, &paint(style, "1", subject));
        }
        row(&mut shown, finding, width, style);
    }
    line(&mut shown, "");
    if let Some(room) = &report.room {
        line(&mut shown, &format!("The limits are good for about {} vassals ({}).", room.vassals, room.because));
    }
    line(&mut shown, &verdict(report, style));
    shown
}

fn row(shown: &mut String, finding: &Finding, width: usize, style: Style) {
    let (word, colour) = match finding.status {
        Status::Ok => ("ok", "32"),
        Status::Degraded => ("degraded", "33"),
        Status::Missing if finding.vital => ("missing", "31"),
        Status::Missing => ("missing", "33"),
        Status::Unknown => ("unknown", "36"),
    };
    line(shown, &format!("  {}  {:<width$}  {}", paint(style, colour, &format!("{word:<8}")), finding.name, finding.found));
    let indent = " ".repeat(width + 14);
    if let Some(cost) = &finding.cost {
        line(shown, &format!("{indent}{cost}"));
    }
    if let Some(remedy) = &finding.remedy {
        line(shown, &format!("{indent}{}", paint(style, "1", &format!("=> {remedy}"))));
    }
}

fn verdict(report: &Report, style: Style) -> String {
    let vital = report.findings.iter().filter(|finding| finding.vital && finding.status == Status::Missing);
    let vital: Vec<&str> = vital.map(|finding| finding.name).collect();
    let worse = report.findings.iter().filter(|finding| matches!(finding.status, Status::Degraded | Status::Missing)).count();
    match (report.can_run, worse) {
        (false, _) => paint(style, "31", &format!("liege cannot run here: {}.", vital.join(", "))),
        (true, 0) => paint(style, "32", "liege can run here."),
        (true, worse) => paint(style, "33", &format!("liege can run here; {worse} of what it can use is not as it should be.")),
    }
}

fn paint(style: Style, colour: &str, text: &str) -> String {
    if style.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}

fn line(shown: &mut String, text: &str) {
    writeln!(shown, "{}", text.trim_end()).unwrap_or_default(); // a String takes everything
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Room, finding::Subject};

    #[test]
    fn what_is_not_well_has_its_cost_and_its_remedy() {
        let one = Subject("one");
        let broken = one.missing("second", "is not there").vital().costs("all is lost").mended_by("make it");
        let findings = vec![one.ok("first", "is there"), broken, Subject("two").unknown("third", "why")];
        let room = Some(Room { vassals: 12, because: "threads".into() });
        let report = Report { version: 1, can_run: false, room, findings };
        let meant = "\
one
  ok        first   is there
  missing   second  is not there
                    all is lost
                    => make it
two
  unknown   third   could not be looked at: why

The limits are good for about 12 vassals (threads).
liege cannot run here: second.
";
        assert_eq!(show(&report, Style::default()), meant);
        assert!(show(&report, Style { colours: true, ..Style::default() }).contains("\x1b[31mmissing \x1b[0m  second"));
    }
}
