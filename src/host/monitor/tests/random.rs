//! Many changes in random order, faster than they can be followed: what the core heard adds up to the directory.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    path::PathBuf,
};

use proptest::prelude::*;

use super::{News, Scene, text, touch};

/// One thing somebody does.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Write(usize),
    WriteInPieces(usize),
    RenameOver(usize),
    Rename(usize, usize),
    Link(usize, usize),
    Symlink(usize, usize),
    Touch(usize),
    Remove(usize),
    Spoil(usize),
    /// The whole directory is exchanged for an empty one.
    Exchange,
    /// The monitor gets time to see what was done so far.
    Breathe,
    Rescan,
}

fn deed() -> impl Strategy<Value = Deed> {
    let one = 0..4_usize;
    let two = || (0..4_usize, 0..4_usize);
    prop_oneof![
        4 => one.clone().prop_map(Deed::Write),
        2 => one.clone().prop_map(Deed::WriteInPieces),
        3 => one.clone().prop_map(Deed::RenameOver),
        2 => two().prop_map(|(a, b)| Deed::Rename(a, b)),
        1 => two().prop_map(|(a, b)| Deed::Link(a, b)),
        2 => two().prop_map(|(a, b)| Deed::Symlink(a, b)),
        2 => one.clone().prop_map(Deed::Touch),
        4 => one.clone().prop_map(Deed::Remove),
        2 => one.prop_map(Deed::Spoil),
        1 => Just(Deed::Exchange),
        3 => Just(Deed::Breathe),
        1 => Just(Deed::Rescan),
    ]
}

fn name(index: usize) -> String {
    format!("v{index}.ini")
}

/// Does it. What cannot be done now (a file that is not there, a link to itself) is not done.
fn act(scene: &Scene, deed: Deed, word: &str) -> std::io::Result<()> {
    let path = |index: usize| -> PathBuf { scene.path("v").join(name(index)) };
    match deed {
        Deed::Write(at) => fs::write(path(at), text(word)),
        Deed::WriteInPieces(at) => {
            let text = text(word);
            let (head, tail) = text.split_at(text.len() / 2);
            let mut file = File::create(path(at))?;
            file.write_all(head.as_bytes())?;
            file.write_all(tail.as_bytes())
        }
        Deed::RenameOver(at) => {
            fs::write(scene.path("v/.new"), text(word))?;
            fs::rename(scene.path("v/.new"), path(at))
        }
        Deed::Rename(from, to) => fs::rename(path(from), path(to)),
        Deed::Link(from, to) => fs::hard_link(path(from), path(to)),
        Deed::Symlink(from, to) => symlink(name(from), path(to)),
        Deed::Touch(at) => {
            fs::metadata(path(at))?;
            touch(&path(at));
            Ok(())
        }
        Deed::Remove(at) => fs::remove_file(path(at)),
        Deed::Spoil(at) => fs::write(path(at), "[vassal]\ncommand = \"never closed\n"),
        Deed::Exchange => {
            fs::create_dir(scene.path("new"))?;
            fs::rename(scene.path("v"), scene.path(&format!("old-{word}")))?;
            fs::rename(scene.path("new"), scene.path("v"))
        }
        Deed::Breathe => Ok(()),
        Deed::Rescan => {
            scene.monitors.rescan();
            Ok(())
        }
    }
}

/// What is in the directory, as news would have it: by name, the word each file runs, or that it is bad.
fn there(scene: &Scene) -> BTreeMap<String, News> {
    (0..4)
        .filter_map(|index| {
            let path = scene.path("v").join(name(index));
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                // A link to itself is there, and cannot be read.
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Some((name(index), News::Bad)),
                // Nor does one that leads nowhere.
                Err(_) if path.is_symlink() => return Some((name(index), News::Bad)),
                Err(_) => return None,
            };
            let word = text.strip_prefix("[vassal]\nuid = root\ncommand = /bin/echo ").map(str::trim_end);
            Some((name(index), word.map_or(News::Bad, |word| News::Runs(word.to_owned()))))
        })
        .collect()
}

async fn follow(deeds: Vec<Deed>) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("v")).unwrap();
    let mut scene = Scene::with(dir, &["v"], &[("emperor-shrink-guard", "0")]).await;
    for (round, deed) in deeds.into_iter().enumerate() {
        act(&scene, deed, &format!("w{round}")).ok();
        if matches!(deed, Deed::Breathe) {
            tokio::task::yield_now().await;
        }
    }
    // A link's target may have changed, which only a rescan sees.
    scene.monitors.rescan();
    let mut heard = BTreeMap::new();
    // News of what was may still be on their way when all is equal for the first time: the fence comes behind them.
    fs::write(scene.path("v/fence.ini"), text("fence")).unwrap();
    let mut expected = there(&scene);
    expected.insert("fence.ini".to_owned(), News::Runs("fence".to_owned()));
    while heard != expected {
        hear(&mut heard, scene.next().await);
    }
}

fn hear(heard: &mut BTreeMap<String, News>, (name, news): (String, News)) {
    match news {
        News::Gone => assert!(heard.remove(&name).is_some(), "{name} went without having come"),
        News::Still(word) => drop(heard.insert(name, News::Runs(word))),
        news => drop(heard.insert(name, news)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn what_was_heard_adds_up_to_the_directory(deeds in prop::collection::vec(deed(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(follow(deeds));
    }
}
