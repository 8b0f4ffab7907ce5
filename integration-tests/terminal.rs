//! A program on a terminal of its own, and what stands there.
//!
//! The terminal understands what `top` needs: positions, clearing, the other screen; colours are dropped.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::{Pid, ttyname};

use crate::tools::PATH;
use crate::wait::{SHORT, wait_for, wait_until};

/// Somebody sits at it.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: File,
    slave: Option<OwnedFd>,
    path: PathBuf,
    before: Termios,
    seen: Arc<Mutex<Seen>>,
    reader: Option<JoinHandle<()>>,
}

/// What stands there.
#[derive(Debug, Default)]
struct Seen {
    raw: Vec<u8>,
    grid: Vec<Vec<char>>,
    at: (usize, usize),
}

impl Terminal {
    /// Starts a program on a terminal of so many columns and lines, as the leader of its session.
    ///
    /// # Panics
    /// When there is no terminal to be had, or no `setsid`.
    #[must_use]
    pub fn start(program: &mut Command, columns: u16, lines: u16) -> Self {
        let size = Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).expect("a pseudo terminal");
        let before = tcgetattr(&pty.slave).expect("the modes of a terminal");
        let end = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program()).args(program.get_args());
        command.env_clear().env("PATH", PATH).env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("setsid is part of every Debian");
        drop(command); // it holds ends of the terminal
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut screen = File::from(pty.master.try_clone().expect("a descriptor"));
        let all = Arc::clone(&seen);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            // EIO: nobody has the other end any more.
            while let Ok(read @ 1..) = screen.read(&mut buffer) {
                all.lock().unwrap().take(&buffer[..read]);
            }
        });
        let path = ttyname(&pty.slave).expect("a terminal has a name");
        Self { child, keyboard: pty.master.into(), slave: Some(pty.slave), path, before, seen, reader: Some(reader) }
    }

    /// What stands there now, line by line.
    ///
    /// # Panics
    /// When the reader has.
    #[must_use]
    pub fn text(&self) -> String {
        let seen = self.seen.lock().unwrap();
        let lines = seen.grid.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Waits until what stands there is so.
    ///
    /// # Panics
    /// When it does not become so, with what stands there.
    #[track_caller]
    pub fn wait(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let is_so = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_until(what, SHORT, || holds(&self.text()));
        }));
        assert!(is_so.is_ok(), "{what} is not to be seen:\n{}", self.text());
    }

    /// Presses keys.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("a keyboard");
    }

    /// Makes it another size.
    ///
    /// # Panics
    /// When `stty` cannot.
    pub fn resize(&self, columns: u16, lines: u16) {
        let mut stty = Command::new("stty");
        stty.arg("-F").arg(&self.path).args(["rows", &lines.to_string(), "cols", &columns.to_string()]);
        assert!(stty.status().expect("stty is part of every Debian").success());
    }

    /// Sends the program a signal.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).expect("a pid")), signal).expect("it lives");
    }

    /// Waits for the program's end: its exit code, and what it said on the first screen. The terminal must be what it was.
    ///
    /// # Panics
    /// When it does not end, or the terminal is another one.
    #[track_caller]
    #[must_use]
    pub fn end(mut self) -> (Option<i32>, String) {
        let status = wait_for("the terminal's program to end", SHORT, || self.child.try_wait().unwrap());
        let slave = self.slave.take().expect("only an end takes it");
        assert_eq!(self.before, tcgetattr(&slave).expect("the modes of a terminal"), "the terminal's modes");
        drop(slave);
        self.reader.take().expect("only an end takes it").join().unwrap();
        let raw = String::from_utf8_lossy(&self.seen.lock().unwrap().raw).into_owned();
        let (on, off) = (raw.rfind("\x1b[?1049h"), raw.rfind("\x1b[?1049l"));
        assert!(on.is_none() || on < off, "the other screen was not left: {raw:?}");
        assert!(on.is_none() || raw.rfind("\x1b[?25l") < raw.rfind("\x1b[?25h"), "the cursor was not shown again: {raw:?}");
        (status.code(), off.map_or(raw.clone(), |off| raw[off..].to_owned()))
    }
}

impl Seen {
    fn take(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        // Everything anew: a sequence may have been cut in two.
        let raw = String::from_utf8_lossy(&self.raw).into_owned();
        (self.grid, self.at) = (Vec::new(), (0, 0));
        let mut rest = raw.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '\x1b' if rest.next_if_eq(&'[').is_some() => {
                    let mut words = String::new();
                    let Some(last) = rest.find(|c| {
                        words.push(*c);
                        ('@'..='~').contains(c)
                    }) else {
                        return;
                    };
                    self.obey(words.trim_end_matches(last), last);
                }
                '\r' => self.at.1 = 0,
                '\n' => self.at.0 += 1,
                c if c.is_control() => {}
                c => self.put(c),
            }
        }
    }

    fn obey(&mut self, words: &str, order: char) {
        let mut numbers = words.split(';').map(|word| word.parse::<usize>().unwrap_or(1));
        match order {
            'H' => self.at = (numbers.next().unwrap_or(1) - 1, numbers.next().unwrap_or(1) - 1),
            'J' => self.grid.clear(),
            'h' | 'l' if words == "?1049" => self.grid.clear(),
            _ => {}
        }
    }

    fn put(&mut self, c: char) {
        let (line, column) = self.at;
        if self.grid.len() <= line {
            self.grid.resize(line + 1, Vec::new());
        }
        let line = &mut self.grid[line];
        if line.len() <= column {
            line.resize(column + 1, ' ');
        }
        line[column] = c;
        self.at.1 += 1;
    }
}
