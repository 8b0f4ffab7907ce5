//! A headless Chromium, spoken to over its debugging pipe: what it makes of a page, as text and as a picture.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::story::Host;
use crate::tools::{self, need};
use crate::wait::{LONG, wait_until};

/// How a page is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// On a wide screen.
    Light,
    /// The same, by somebody who prefers dark.
    Dark,
    /// On a phone.
    Phone,
}

impl Look {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Light, Self::Dark, Self::Phone];

    /// Width and height.
    #[must_use]
    pub fn size(self) -> (u32, u32) {
        match self {
            Self::Light | Self::Dark => (1280, 900),
            Self::Phone => (390, 844),
        }
    }
}

/// A browser with a profile of its own in the story's directory, and one page. Dropped, it is gone.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Option<String>,
    last_id: u64,
}

impl Browser {
    /// Starts it with an empty page.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(host: &Host) -> Self {
        need("chromium-headless-shell");
        let profile = host.open_dir("browser");
        let mut command = Command::new("/bin/sh");
        // Its debugging pipe is 3 and 4.
        command.args([
            "-c",
            r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#,
            "sh",
            "chromium-headless-shell",
            "--remote-debugging-pipe",
        ]);
        // As root, and in a mount namespace of the story's own, it cannot make a sandbox; what it shows is ours.
        command.args(["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions"]);
        command.args(["--disable-background-networking", "--disable-crash-reporter", "--hide-scrollbars", "--no-zygote"]);
        command.arg(format!("--user-data-dir={}", profile.display())).arg("about:blank");
        command.env_clear().env("PATH", tools::PATH).env("HOME", &profile).env("LANG", "C.UTF-8").env("TMPDIR", &profile);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("/bin/sh can be executed");
        let (to, from) = (child.stdin.take().expect("a pipe"), BufReader::new(child.stdout.take().expect("a pipe")));
        let mut browser = Self { child, to, from, session: None, last_id: 0 };
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].clone();
        let session = browser.ask("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        browser
    }

    /// Goes to an address, as the browser writes it, and looks at it so.
    ///
    /// # Panics
    /// When it cannot.
    pub fn open(&mut self, address: &str, look: Look) {
        let (width, height) = look.size();
        let scheme = if look == Look::Dark { "dark" } else { "light" };
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": look == Look::Phone });
        self.ask("Emulation.setDeviceMetricsOverride", screen);
        self.ask("Emulation.setEmulatedMedia", json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }));
        let gone = self.ask("Page.navigate", json!({ "url": address }));
        assert!(gone.get("errorText").is_none(), "{address}: {gone}");
        self.wait("the page to be loaded", &format!("location.href === '{address}' && document.readyState === 'complete'"));
    }

    /// The value of an expression in the page.
    ///
    /// # Panics
    /// When it throws.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let answer = self.ask("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }));
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    /// What a reader reads, in one line.
    pub fn text(&mut self) -> String {
        let text = self.evaluate("document.body.innerText");
        text.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Waits until an expression is true in the page.
    ///
    /// # Panics
    /// When it is not in time.
    #[track_caller]
    pub fn wait(&mut self, what: &str, expression: &str) {
        wait_until(what, LONG, || self.evaluate(expression) == true);
    }

    /// A picture of what is on the screen, a PNG.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn picture(&mut self, to: &Path) {
        let data = self.ask("Page.captureScreenshot", json!({ "format": "png" }))["data"].clone();
        let mut decoder =
            Command::new("base64").arg("-d").stdin(Stdio::piped()).stdout(fs::File::create(to).expect("a file")).spawn();
        let decoder = decoder.as_mut().expect("base64 can be executed");
        decoder.stdin.take().expect("a pipe").write_all(data.as_str().expect("a text").as_bytes()).expect("it reads");
        assert!(decoder.wait().expect("our own child").success());
    }

    /// One command, one answer; what it tells unasked meanwhile is not of interest.
    fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).expect("the browser lives");
        loop {
            let mut raw = Vec::new();
            self.from.read_until(0, &mut raw).expect("a pipe");
            assert_eq!(raw.pop(), Some(0), "the browser ended over {method}");
            let answer: Value = serde_json::from_slice(&raw).expect("the browser speaks JSON");
            if answer["id"] == self.last_id {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It takes its helpers with it; one that does not answer any more is killed with the story's other leftovers.
        let message = json!({ "id": 0, "method": "Browser.close" });
        if self.to.write_all(format!("{message}\0").as_bytes()).is_err() {
            self.child.kill().ok();
        }
        self.child.wait().ok();
    }
}
