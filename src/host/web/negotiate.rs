//! Which form of the exposition a scraper wants, by its `Accept` (RFC 9110 12.5.1).
//!
//! Prometheus asks for OpenMetrics first and takes the text format; a person with curl asks for anything. So OpenMetrics is for
//! who names it and prefers it, the text format for everybody else.

/// The two forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    OpenMetrics,
    Text,
}

impl Form {
    /// `Content-Type` of an answer.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The one that is preferred; of two that are equally welcome the one named first.
    pub(super) fn wanted(accept: &str) -> Self {
        let ranges = accept.split(',').filter_map(Range::parse);
        // max_by takes the last of equals, so from behind it is the first.
        let best = ranges.collect::<Vec<_>>().into_iter().rev().max_by(|one, other| one.quality.total_cmp(&other.quality));
        best.map_or(Self::Text, |range| range.form)
    }
}

/// A media range that one of the forms satisfies, and how welcome it is.
struct Range {
    form: Form,
    quality: f32,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next()?.to_ascii_lowercase();
        let (mut version, mut quality) = (None, 1.0);
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key.trim().to_ascii_lowercase().as_str() {
                "version" => version = Some(value.trim().trim_matches('"').to_owned()),
                "q" => quality = value.trim().parse().unwrap_or(0.0),
                _ => {}
            }
        }
        let version = version.as_deref();
        let form = match media.as_str() {
            "application/openmetrics-text" if matches!(version, None | Some("1.0.0")) => Form::OpenMetrics,
            "text/plain" if matches!(version, None | Some("0.0.4")) => Form::Text,
            "text/*" | "*/*" => Form::Text,
            _ => return None,
        };
        (quality > 0.0).then_some(Self { form, quality })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gets_what_he_prefers() {
        use Form::{OpenMetrics, Text};
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, form) in [
            (prometheus_2, OpenMetrics),
            (prometheus_3, OpenMetrics),
            ("", Text),
            ("*/*", Text),
            ("text/html, */*;q=0.8", Text),
            ("text/plain;version=0.0.4", Text),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"", OpenMetrics),
            ("application/openmetrics-text;version=2.0.0", Text),
            ("text/plain;q=0.5,application/openmetrics-text;q=0.4", Text),
            ("text/plain,application/openmetrics-text", Text),
            ("application/openmetrics-text,text/plain", OpenMetrics),
            ("application/openmetrics-text;q=0", Text),
            ("application/openmetrics-text;q=x,,;", Text),
        ] {
            assert_eq!(Form::wanted(accept), form, "{accept:?}");
        }
    }
}
