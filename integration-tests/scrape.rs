//! The metrics listener of a daemon (`emperor-metrics`), and Prometheus's own tool, which judges what it says.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::emperor::Emperor;
use crate::http::{get_ok, get_with};
use crate::tools::{self, need};
use crate::wait::wait_for;

/// What makes a daemon listen on a port that is free, which [`Listener::of`] finds out.
pub const ANY_PORT: &str = "127.0.0.1:0";

/// Asks for OpenMetrics, as Prometheus does.
const OPEN_METRICS: &str = "Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n";

/// Where a daemon serves its metrics.
#[derive(Clone, Copy, Debug)]
pub struct Listener {
    /// On the loopback interface.
    pub port: u16,
}

impl Listener {
    /// The one that the daemon's log names.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    pub fn of(emperor: &Emperor) -> Self {
        let line = emperor.wait_log("the emperor is ready");
        let port = line.split_once("metrics=127.0.0.1:").and_then(|(_, rest)| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        });
        Self { port: port.unwrap_or_else(|| panic!("no metrics listener in: {line}")) }
    }

    /// `/metrics` in Prometheus's text format.
    ///
    /// # Panics
    /// When it is not answered.
    #[must_use]
    pub fn text(&self) -> String {
        get_ok(self.port, "/metrics").expect("/metrics answers")
    }

    /// `/metrics` as OpenMetrics.
    ///
    /// # Panics
    /// When it is not answered.
    #[must_use]
    pub fn open_metrics(&self) -> String {
        get_with(self.port, "/metrics", OPEN_METRICS).expect("/metrics answers").1
    }

    /// What the status page is told first when it is opened.
    ///
    /// # Panics
    /// When it is not told in time.
    #[must_use]
    pub fn look(&self) -> serde_json::Value {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("the listener lives");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout that is not zero");
        stream.write_all(b"GET /events HTTP/1.0\r\nHost: localhost\r\n\r\n").expect("the listener reads");
        let mut lines = BufReader::new(stream).lines().map(|line| line.expect("/events answers"));
        let look = lines.find_map(|line| serde_json::from_str(line.strip_prefix("data:")?).ok());
        look.expect("/events begins with a look")
    }

    /// The value of a series, written as in the text: `name` or `name{label="value"}`.
    #[must_use]
    pub fn value(&self, series: &str) -> Option<f64> {
        let text = self.text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok())
    }

    /// Waits until the value of a series satisfies `fits`; the value.
    ///
    /// # Panics
    /// When it does not within `limit`.
    #[track_caller]
    pub fn wait_value(&self, series: &str, limit: Duration, fits: impl Fn(f64) -> bool) -> f64 {
        wait_for(&format!("{series} to be as expected"), limit, || self.value(series).filter(|value| fits(*value)))
    }
}

/// Runs `promtool`; whether it was content, and what it said.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn promtool(arguments: &[&str], input: &str) -> (bool, String) {
    need("promtool");
    let mut child = Command::new("promtool")
        .args(arguments)
        .env("PATH", tools::PATH)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool can be executed");
    // It reads everything before it says anything.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("our own child");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}
