//! A file under a new name: the loss of the old name is told first, wherever the two names are.

use std::fs;

use liege_core::{Event, FileId};

use super::{News, Scene, runs};
use crate::inbox::Mail;

/// The directories `v` and `w`, each with a monitor of its own.
async fn two_monitors() -> (Scene, [String; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let names = ["v", "w"].map(|name| dir.path().join(name));
    names.iter().for_each(|path| fs::create_dir(path).unwrap());
    let names = names.map(|path| path.to_str().unwrap().to_owned());
    (Scene::with(dir, &["v", "w"], &[]).await, names)
}

#[tokio::test]
async fn in_one_directory() {
    let mut scene = Scene::of(&[""]).await;
    scene.write("old.ini", "one");
    scene.expect("old.ini", runs("one")).await;
    fs::rename(scene.path("old.ini"), scene.path("new.ini")).unwrap();
    scene.expect("old.ini", News::Gone).await;
    scene.expect("new.ini", runs("one")).await;
    scene.quiet().await;
}

#[tokio::test]
async fn between_directories_there_and_back() {
    let (mut scene, [v, w]) = two_monitors().await;
    scene.write("v/a.ini", "one");
    scene.expect(&format!("{v}/a.ini"), runs("one")).await;
    for (from, to) in [(&v, &w), (&w, &v), (&v, &w)] {
        fs::rename(format!("{from}/a.ini"), format!("{to}/a.ini")).unwrap();
        scene.expect(&format!("{from}/a.ini"), News::Gone).await;
        scene.expect(&format!("{to}/a.ini"), runs("one")).await;
    }
}

#[tokio::test]
async fn over_another_file() {
    let (mut scene, [v, w]) = two_monitors().await;
    scene.write("v/a.ini", "one");
    scene.expect(&format!("{v}/a.ini"), runs("one")).await;
    scene.write("w/b.ini", "two");
    scene.expect(&format!("{w}/b.ini"), runs("two")).await;
    fs::rename(scene.path("v/a.ini"), scene.path("w/b.ini")).unwrap();
    scene.expect(&format!("{v}/a.ini"), News::Gone).await;
    scene.expect(&format!("{w}/b.ini"), runs("one")).await;
}

#[tokio::test]
async fn files_that_change_places_are_both_told() {
    let mut scene = Scene::of(&[""]).await;
    for name in ["a", "b"] {
        scene.write(&format!("{name}.ini"), name);
        scene.expect(&format!("{name}.ini"), runs(name)).await;
    }
    fs::rename(scene.path("a.ini"), scene.path("aside")).unwrap();
    fs::rename(scene.path("b.ini"), scene.path("a.ini")).unwrap();
    fs::rename(scene.path("aside"), scene.path("b.ini")).unwrap();
    let mut told = [scene.next().await, scene.next().await];
    told.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(told, [("a.ini".to_owned(), runs("b")), ("b.ini".to_owned(), runs("a"))]);
}

/// The old name has a new file at once: it is changed, not gone.
#[tokio::test]
async fn a_file_moved_aside_as_a_vassal_and_written_anew() {
    let mut scene = Scene::of(&[""]).await;
    scene.write("a.ini", "one");
    scene.expect("a.ini", runs("one")).await;
    fs::rename(scene.path("a.ini"), scene.path("a-before.ini")).unwrap();
    scene.write("a.ini", "two");
    scene.expect("a.ini", runs("two")).await;
    let mut next = scene.next().await;
    if next == ("a.ini".to_owned(), News::Still("two".to_owned())) {
        next = scene.next().await; // it was asked whether it still has its file
    }
    assert_eq!(next, ("a-before.ini".to_owned(), runs("one")));
}

/// Nobody is read again for a second name of a file that keeps the first one.
#[tokio::test]
async fn a_second_name_is_told_alone() {
    let mut scene = Scene::of(&[""]).await;
    scene.write("a.ini", "one");
    scene.expect("a.ini", runs("one")).await;
    fs::hard_link(scene.path("a.ini"), scene.path("b.ini")).unwrap();
    scene.expect("b.ini", runs("one")).await;
    std::os::unix::fs::symlink("a.ini", scene.path("c.ini")).unwrap();
    scene.expect("c.ini", runs("one")).await;
    scene.quiet().await;
}

/// The next file of a vassal is told of, with what it says or with nothing new.
#[tokio::test]
async fn the_file_is_told_with_what_it_says() {
    let mut scene = Scene::of(&[""]).await;
    scene.write("a.ini", "one");
    let first = file(&mut scene, true).await;
    fs::rename(scene.path("a.ini"), scene.path("b.ini")).unwrap();
    scene.expect("a.ini", News::Gone).await;
    assert_eq!(file(&mut scene, true).await, first, "a rename keeps it");
    let copied = std::process::Command::new("cp").arg("-p").args([scene.path("b.ini"), scene.path("copy")]).status().unwrap();
    assert!(copied.success());
    fs::rename(scene.path("copy"), scene.path("b.ini")).unwrap();
    assert_ne!(file(&mut scene, false).await, first, "a copy with the same text and time is another one");
}

async fn file(scene: &mut Scene, was_touched: bool) -> FileId {
    let Some(Mail::Event(Event::Config { file: Some(file), touched, .. })) = scene.mail.recv().await else { panic!() };
    assert_eq!(touched, was_touched);
    file
}
