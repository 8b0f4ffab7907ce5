//! From OpenMetrics to Prometheus's text format, version 0.0.4.
//!
//! The samples are the same in both. What differs is what stands above them: OpenMetrics names a *family* (`x`, whose samples are
//! `x_total`), the text format a *metric* (`x_total`); it knows no info, no units and no end.

/// Translates an exposition line by line.
pub(crate) fn text_format(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut lines = openmetrics.lines().peekable();
    while let Some(line) = lines.next() {
        match line.split_once(' ').map(|(hash, rest)| (hash, rest.splitn(3, ' ').collect::<Vec<_>>())) {
            // The type, which follows, decides the name.
            Some(("#", words)) if words[0] == "HELP" => {
                let kind = lines.peek().and_then(|next| next.rsplit(' ').next()).unwrap_or_default();
                let help = words.get(2).copied().unwrap_or_default();
                text.extend(["# HELP ", words[1], suffix(kind), " ", help, "\n"]);
            }
            Some(("#", words)) if words[0] == "TYPE" => {
                let kind = words.get(2).copied().unwrap_or_default();
                text.extend(["# TYPE ", words[1], suffix(kind), " ", if kind == "info" { "gauge" } else { kind }, "\n"]);
            }
            Some(("#", _)) => {}
            Some(_) | None => text.extend([line, "\n"]),
        }
    }
    text
}

fn suffix(kind: &str) -> &'static str {
    match kind {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_types_and_the_end_are_those_of_the_text_format() {
        let openmetrics = "\
# HELP a_up Is it up, now.
# TYPE a_up gauge
a_up{v=\"# HELP x\"} 1
# HELP b_seconds Took so long.
# TYPE b_seconds counter
# UNIT b_seconds seconds
b_seconds_total 1.5
# HELP c What it is.
# TYPE c info
c_info{version=\"1\"} 1
# HELP d_seconds A histogram.
# TYPE d_seconds histogram
# UNIT d_seconds seconds
d_seconds_sum 0.0
d_seconds_count 0
d_seconds_bucket{le=\"+Inf\"} 0
# EOF
";
        let text = "\
# HELP a_up Is it up, now.
# TYPE a_up gauge
a_up{v=\"# HELP x\"} 1
# HELP b_seconds_total Took so long.
# TYPE b_seconds_total counter
b_seconds_total 1.5
# HELP c_info What it is.
# TYPE c_info gauge
c_info{version=\"1\"} 1
# HELP d_seconds A histogram.
# TYPE d_seconds histogram
d_seconds_sum 0.0
d_seconds_count 0
d_seconds_bucket{le=\"+Inf\"} 0
";
        assert_eq!(text_format(openmetrics), text);
    }
}
