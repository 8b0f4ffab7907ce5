//! The terminal, taken over, and given back as it was: at the end, after a mistake, and before a panic says what it has to say.

use std::io::{self, Stdout, stdout};

use crossterm::{
    cursor::{Hide, Show},
    execute,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use ratatui::{Terminal, backend::CrosstermBackend};

use super::{frame, model::Model};

/// As long as it lives, the terminal is ours.
pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Raw mode, on the other screen.
    ///
    /// # Errors
    /// The terminal's.
    pub(crate) fn take() -> io::Result<Self> {
        // The message of a panic would be lost with the other screen; and a release aborts, so that no `Drop` is heard.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
        enable_raw_mode()?;
        let screen = execute!(stdout(), EnterAlternateScreen, Hide).and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        screen.map(|terminal| Self { terminal }).inspect_err(|_| give_back())
    }

    /// Columns and lines.
    ///
    /// # Errors
    /// The terminal's.
    pub(crate) fn size(&self) -> io::Result<(u16, u16)> {
        self.terminal.size().map(|size| (size.width, size.height))
    }

    /// Paints what has changed.
    ///
    /// # Errors
    /// The terminal's.
    pub(crate) fn show(&mut self, model: &Model) -> io::Result<()> {
        self.terminal.draw(|into| frame::draw(model, into)).map(|_| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
        if !std::thread::panicking() {
            drop(std::panic::take_hook()); // ours; the library's own takes its place
        }
    }
}

/// A terminal that is gone needs nothing any more.
fn give_back() {
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::Read,
        process::{Command, Stdio},
    };

    use nix::{pty::openpty, sys::termios::tcgetattr};

    use super::*;

    /// Set: this is the one on the terminal.
    const ON_IT: &str = "LIEGE_TEST_PANICS_ON_A_TERMINAL";

    #[test]
    fn a_panic_gives_the_terminal_back() {
        if std::env::var_os(ON_IT).is_some() {
            let _screen = Screen::take().expect("a terminal");
            panic!("something that never happens");
        }
        let pty = openpty(None, None).expect("a pseudo terminal");
        let before = tcgetattr(&pty.slave).expect("its modes");
        let end = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        let mut command = Command::new(std::env::current_exe().expect("our program"));
        command.args(["--exact", "top::screen::tests::a_panic_gives_the_terminal_back", "--nocapture"]).env(ON_IT, "1");
        let mut child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("ourselves");
        drop(command); // it holds ends of the terminal
        // All it says fits into the terminal's buffer, so it is not held up.
        assert!(!child.wait().expect("it ends").success());
        let after = tcgetattr(&pty.slave).expect("its modes");
        assert_eq!(before, after);
        drop(pty.slave);
        let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
        let mut master = File::from(pty.master);
        // EIO: nobody has the other end any more.
        while let Ok(read @ 1..) = master.read(&mut buffer) {
            said.extend_from_slice(&buffer[..read]);
        }
        let said = String::from_utf8_lossy(&said);
        let at = |what: &str| said.find(what).unwrap_or_else(|| panic!("{what:?} in {said:?}"));
        assert!(at("\x1b[?1049h") < at("\x1b[?1049l") && at("\x1b[?1049l") < at("something that never happens"), "{said:?}");
        assert!(said.contains("\x1b[?25h"), "{said:?}");
    }
}
