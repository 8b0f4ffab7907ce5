//! Monitors before real directories: whatever happens to the files, what the core hears adds up to what is there.
//!
//! Rescans are an hour apart, so every change here is found by its signs alone, unless a test asks for a scan. That nothing is
//! told is proved by a fence: a file made afterwards whose news arrives.

mod links;
mod random;
mod renames;
mod saves;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use liege_core::Event;
use liege_spec::{Asked, ProgramSpec, read_emperor};
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

use super::Monitors;
use crate::{
    children::Children,
    inbox::{Mail, inbox},
    world::World,
};

/// What was told of one vassal.
#[derive(Clone, Debug, PartialEq, Eq)]
enum News {
    /// It runs this word.
    Runs(String),
    /// It was only read again.
    Still(String),
    Bad,
    Gone,
}

struct Scene {
    dir: tempfile::TempDir,
    mail: mpsc::Receiver<Mail>,
    monitors: Monitors,
    fences: u32,
}

impl Scene {
    /// Monitors for these paths below a new directory.
    async fn of(places: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::with(dir, places, &[]).await
    }

    async fn with(dir: tempfile::TempDir, places: &[&str], more: &[(&str, &str)]) -> Self {
        let mut flags: Vec<(String, String)> =
            places.iter().map(|place| ("emperor".to_owned(), dir.path().join(place).to_str().unwrap().to_owned())).collect();
        flags.push(("emperor-freq".to_owned(), "3600".to_owned()));
        flags.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let reading = read_emperor(None, &flags, &World::alone());
        let spec = reading.value.unwrap_or_else(|| panic!("{:?}", reading.diagnostics));
        let (post, mail) = inbox(64);
        let mut monitors = Monitors::start(&spec, &post, &Arc::<Children>::default(), Counter::default());
        monitors.watching().await;
        Self { dir, mail, monitors, fences: 0 }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, word: &str) {
        fs::write(self.path(name), text(word)).unwrap();
    }

    async fn next(&mut self) -> (String, News) {
        loop {
            if let Some(news) = self.next_of_any().await {
                return news;
            }
        }
    }

    /// None: of a directory.
    async fn next_of_any(&mut self) -> Option<(String, News)> {
        let mail = tokio::time::timeout(Duration::from_secs(20), self.mail.recv())
            .await
            .expect("news in time")
            .expect("the monitor lives");
        Some(match mail {
            Mail::Event(Event::DirectoryHeld { .. } | Event::DirectoryReleased { .. }) => return None,
            Mail::Event(Event::Config { vassal, config, touched, .. }) => match &config.fresh.app.program {
                ProgramSpec::Command(Asked { value, .. }) if touched => (vassal.to_string(), News::Runs(value[1].clone())),
                ProgramSpec::Command(Asked { value, .. }) => (vassal.to_string(), News::Still(value[1].clone())),
                other => panic!("{other:?}"),
            },
            Mail::Event(Event::BadConfig { vassal, .. }) => (vassal.to_string(), News::Bad),
            Mail::Event(Event::Vanished { vassal }) => (vassal.to_string(), News::Gone),
            other => panic!("{other:?}"),
        })
    }

    #[track_caller]
    fn expect(&mut self, name: &str, news: News) -> impl Future<Output = ()> + '_ {
        let expected = (name.to_owned(), news);
        async move { assert_eq!(self.next().await, expected) }
    }

    /// Nothing was told that has not been asked for.
    async fn quiet(&mut self) {
        self.fences += 1;
        let fence = format!("fence{}.ini", self.fences);
        self.write(&fence, "fence");
        self.expect(&fence, News::Runs("fence".into())).await;
    }
}

fn text(word: &str) -> String {
    format!("[vassal]\nuid = root\ncommand = /bin/echo {word}\n")
}

fn runs(word: &str) -> News {
    News::Runs(word.to_owned())
}

fn touch(path: &Path) {
    File::options().write(true).open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
}
