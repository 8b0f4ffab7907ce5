//! The emperor's end of a real uwsgi: init holds it, so that uwsgi lives as long as the vassal and not as the host.
//!
//! Two sockets: words of one byte both ways, and the configuration pushed as one packet whenever uwsgi asks. Writing never
//! waits: a uwsgi that does not read must not stop pid 1 from reaping.

use std::{
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use liege_plan::{AppWord, FromInit, Uwsgi};
use liege_sys::{
    Errno, fds,
    poll::Interest,
    processes::Names,
    stream::{self, Read},
};

use crate::{
    channel::Channel,
    clock,
    hearing::{Hearing, is_lost},
    outbox::Outbox,
    output::Output,
};

/// `modifier1` of the packet that carries a configuration.
const CONFIG_PACKET: u8 = 115;
/// The byte by which uwsgi asks for its configuration.
const WANTS_CONFIG: u8 = 2;

/// What the emperor can say to a uwsgi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// End at once.
    Stop = 0,
    /// Reload: end the workers, ask for the configuration, start again in the same process.
    Reload = 1,
    /// End when the workers have done their work.
    StopGracefully = 2,
}

/// Our ends of the two sockets.
#[derive(Debug)]
pub(crate) struct Relay {
    words: OwnedFd,
    words_out: Outbox,
    config: OwnedFd,
    config_out: Outbox,
    text: String,
    /// uwsgi still holds the other end.
    open: bool,
    budget: Budget,
    /// A reload was ordered and uwsgi has not asked for its configuration yet.
    reloading: bool,
    /// An order to end waits here until it is heard.
    hearing: Hearing,
}

/// How many words a second are heard. A uwsgi says a handful in its life, and a heartbeat per worker and interval; whoever
/// says more is not heard to the end, because every word costs the daemon a turn.
#[derive(Debug, Default)]
struct Budget {
    since: Option<Instant>,
    spent: u32,
}

impl Budget {
    const WORDS: u32 = 200;

    fn allows(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
            (self.since, self.spent) = (Some(now), 0);
        }
        self.spent += 1;
        self.spent <= Self::WORDS
    }
}

/// The other ends, for the child.
pub(crate) struct TheirEnds {
    pub(crate) words: OwnedFd,
    pub(crate) config: OwnedFd,
}

impl Relay {
    /// Makes the sockets and pushes the first configuration, to be found by uwsgi when it looks.
    pub(crate) fn new(uwsgi: &Uwsgi) -> Result<(Self, TheirEnds), Errno> {
        let (words, their_words) = fds::socketpair()?;
        let (config, their_config) = fds::socketpair()?;
        let mut relay = Self {
            words,
            words_out: Outbox::default(),
            config,
            config_out: Outbox::default(),
            text: uwsgi.config.clone(),
            open: true,
            budget: Budget::default(),
            reloading: false,
            hearing: Hearing::default(),
        };
        relay.push_config();
        Ok((relay, TheirEnds { words: their_words, config: their_config }))
    }

    /// Says one byte.
    pub(crate) fn order(&mut self, order: Order) {
        self.words_out.send(&self.words, &[order as u8]);
    }

    /// Orders the end, as soon as that is heard.
    pub(crate) fn order_end(&mut self, order: Order) {
        self.hearing.hold(order);
    }

    /// Says what was held, if it is heard now by all processes of this master.
    pub(crate) fn tend(&mut self, master: i32, names: &Names) {
        let loses = |order| names.processes().is_some_and(|processes| is_lost(order, master, processes));
        if let Some(order) = self.hearing.take(clock::now(), loses) {
            self.order(order);
        }
    }

    /// When to tend it again, if nothing comes before.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.hearing.due()
    }

    /// It has come as far as making workers.
    pub(crate) fn has_loaded(&self) -> bool {
        self.hearing.has_loaded()
    }

    /// Orders a reload, for which uwsgi will ask for this configuration.
    pub(crate) fn reload(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        self.reloading = true;
        self.order(Order::Reload);
    }

    /// Reads all uwsgi has said and hands it on. True: a reload that was ordered has come as far as asking for its
    /// configuration.
    pub(crate) fn listen(&mut self, channel: &mut Channel, output: &mut Output) -> bool {
        self.words_out.flush(&self.words);
        self.config_out.flush(&self.config);
        let mut reloaded = false;
        let mut bytes = [0; 64];
        // One buffer a turn: an app that never stops talking must not keep pid 1 from its other work.
        match stream::read(&self.words, &mut bytes) {
            Read::Nothing => {}
            Read::Ended => self.open = false,
            Read::Bytes(n) => {
                for &byte in &bytes[..n] {
                    if !self.budget.allows(clock::now()) {
                        continue;
                    }
                    let word = AppWord::from(byte);
                    self.hearing.said(word, clock::now());
                    channel.say(&FromInit::Said(word));
                    if byte == WANTS_CONFIG {
                        output.begin_run(); // it waits for its configuration before it says more
                        self.push_config();
                        reloaded |= std::mem::take(&mut self.reloading);
                    }
                }
            }
        }
        reloaded
    }

    pub(crate) fn interests<'a>(&'a self, all: &mut Vec<Interest<'a>>) {
        if self.open {
            all.push(Interest::readable(self.words.as_fd()).or_writable(self.words_out.len() > 0));
            if self.config_out.len() > 0 {
                all.push(Interest::readable(self.config.as_fd()).or_writable(true));
            }
        }
    }

    /// Longer texts were refused before: their length would not fit the packet.
    fn push_config(&mut self) {
        if self.config_out.len() > 0 {
            return; // it asks again before it has read the last one
        }
        let Ok(length) = u16::try_from(self.text.len()) else {
            return;
        };
        let [low, high] = length.to_le_bytes();
        let mut packet = Vec::with_capacity(4 + self.text.len());
        packet.extend([CONFIG_PACKET, low, high, 0]);
        packet.extend_from_slice(self.text.as_bytes());
        self.config_out.send(&self.config, &packet);
    }
}
