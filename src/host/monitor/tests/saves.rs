//! The ways in which files come, change and go, one by one.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    time::Duration,
};

use liege_core::Event;

use super::{News, Scene, runs, text, touch};
use crate::inbox::Mail;

#[tokio::test]
async fn a_file_comes_changes_is_touched_and_goes() {
    let mut scene = Scene::of(&[""]).await;
    scene.write("a.ini", "one");
    scene.expect("a.ini", runs("one")).await;
    scene.write("a.ini", "two");
    scene.expect("a.ini", runs("two")).await;
    touch(&scene.path("a.ini"));
    scene.expect("a.ini", runs("two")).await;
    fs::remove_file(scene.path("a.ini")).unwrap();
    scene.expect("a.ini", News::Gone).await;
    scene.quiet().await;
}

#[tokio::test]
async fn links_and_renames_are_read_at_once() {
    let mut scene = Scene::of(&[""]).await;
    scene.write(".t", "one");
    fs::rename(scene.path(".t"), scene.path("renamed.ini")).unwrap();
    scene.expect("renamed.ini", runs("one")).await;
    fs::hard_link(scene.path("renamed.ini"), scene.path("hard.ini")).unwrap();
    scene.expect("hard.ini", runs("one")).await;
    symlink("renamed.ini", scene.path("soft.ini")).unwrap();
    scene.expect("soft.ini", runs("one")).await;
    fs::rename(scene.path("hard.ini"), scene.path("moved.ini")).unwrap();
    let mut both = [scene.next().await, scene.next().await];
    both.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(both, [("hard.ini".into(), News::Gone), ("moved.ini".into(), runs("one"))]);
}

#[tokio::test]
async fn a_file_is_not_read_while_it_is_written() {
    let mut scene = Scene::of(&[""]).await;
    scene.write("a.ini", "one");
    scene.expect("a.ini", runs("one")).await;
    let mut file = File::create(scene.path("a.ini")).unwrap(); // truncated: would be bad
    scene.quiet().await;
    file.write_all(text("two").as_bytes()).unwrap();
    scene.quiet().await;
    drop(file);
    scene.expect("a.ini", runs("two")).await;
}

#[tokio::test]
async fn a_scan_in_the_middle_of_a_save_changes_nothing() {
    let mut scene = Scene::of(&[""]).await;
    scene.write("a.ini", "one");
    scene.expect("a.ini", runs("one")).await;
    let mut file = File::create(scene.path("a.ini")).unwrap();
    scene.monitors.rescan();
    scene.quiet().await;
    file.write_all(text("two").as_bytes()).unwrap();
    drop(file);
    scene.expect("a.ini", runs("two")).await;
}

#[tokio::test]
async fn an_editor_that_moves_the_old_file_away_never_removes_the_vassal() {
    let mut scene = Scene::of(&[""]).await;
    scene.write("a.ini", "one");
    scene.expect("a.ini", runs("one")).await;
    fs::rename(scene.path("a.ini"), scene.path("a.ini~")).unwrap();
    scene.write("a.ini", "two");
    fs::remove_file(scene.path("a.ini~")).unwrap();
    scene.expect("a.ini", runs("two")).await;
    fs::remove_file(scene.path("a.ini")).unwrap();
    scene.write("a.ini", "three"); // perl -i
    scene.expect("a.ini", runs("three")).await;
    scene.quiet().await;
}

#[tokio::test]
async fn mistakes_are_told_again_when_somebody_acts_and_are_forgotten_when_mended() {
    let mut scene = Scene::of(&[""]).await;
    fs::write(scene.path("a.ini"), "[vassal]\nuid = no-such-user\ncommand = /bin/echo x\n").unwrap();
    scene.expect("a.ini", News::Bad).await;
    scene.monitors.rescan();
    scene.quiet().await;
    touch(&scene.path("a.ini"));
    scene.expect("a.ini", News::Bad).await;
    scene.write("a.ini", "one");
    scene.expect("a.ini", runs("one")).await;
}

#[tokio::test]
async fn the_next_version_of_a_config_map_is_taken_over() {
    let mut scene = Scene::of(&[""]).await;
    let publish = |version: &str| {
        let dir = scene.path(&format!("..{version}"));
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("a.ini"), text(version)).unwrap();
        symlink(dir.file_name().unwrap(), scene.path("..data_tmp")).unwrap();
        fs::rename(scene.path("..data_tmp"), scene.path("..data")).unwrap();
    };
    publish("one");
    symlink("..data/a.ini", scene.path("a.ini")).unwrap();
    publish("two");
    // The first version may have been seen, or not; the second one must be.
    let mut seen = String::new();
    while seen != "two" {
        let (name, News::Runs(word)) = scene.next().await else { panic!("it never went away, and was never bad") };
        assert_eq!(name, "a.ini");
        seen = word;
    }
}

#[tokio::test]
async fn a_directory_may_come_late_and_be_exchanged() {
    let mut scene = Scene::of(&["some/where"]).await;
    fs::create_dir_all(scene.path("some/where")).unwrap();
    scene.write("some/where/a.ini", "one");
    scene.expect("a.ini", runs("one")).await;
    fs::create_dir(scene.path("new")).unwrap();
    scene.write("new/b.ini", "two");
    fs::rename(scene.path("some/where"), scene.path("old")).unwrap();
    fs::rename(scene.path("new"), scene.path("some/where")).unwrap();
    let mut both = [scene.next().await, scene.next().await];
    both.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(both, [("a.ini".into(), News::Gone), ("b.ini".into(), runs("two"))]);
    scene.write("old/ghost.ini", "ghost");
    scene.write("some/where/c.ini", "three");
    scene.expect("c.ini", runs("three")).await;
}

#[tokio::test]
async fn a_pattern_over_directories_follows_new_ones_and_names_by_path() {
    let mut scene = Scene::of(&["*/vassal.ini"]).await;
    for name in ["a", "b"] {
        fs::create_dir(scene.path(name)).unwrap();
        scene.write(&format!("{name}/vassal.ini"), name);
        scene.write(&format!("{name}/other.ini"), name);
        let path = scene.path(&format!("{name}/vassal.ini"));
        scene.expect(path.to_str().unwrap(), runs(name)).await;
    }
    fs::remove_dir_all(scene.path("a")).unwrap();
    let path = scene.path("a/vassal.ini");
    scene.expect(path.to_str().unwrap(), News::Gone).await;
}

#[tokio::test]
async fn a_file_two_monitors_mean_is_one_vassal() {
    let mut scene = Scene::of(&["", "*.ini"]).await;
    scene.write("a.ini", "one");
    let path = scene.path("a.ini");
    scene.expect(path.to_str().unwrap(), runs("one")).await;
    fs::remove_file(&path).unwrap();
    scene.expect(path.to_str().unwrap(), News::Gone).await;
    scene.write("b.ini", "two");
    let path = scene.path("b.ini");
    scene.expect(path.to_str().unwrap(), runs("two")).await;
}

#[tokio::test]
async fn hundreds_at_once_add_up() {
    let mut scene = Scene::of(&[""]).await;
    let mut there = BTreeMap::new();
    for n in 0..300 {
        scene.write(&format!("v{n}.ini"), "x");
    }
    while there.len() < 300 {
        let (name, news) = scene.next().await;
        assert_eq!(there.insert(name, news.clone()), None, "each is told once");
        assert_eq!(news, runs("x"));
    }
    for n in 0..300 {
        fs::remove_file(scene.path(&format!("v{n}.ini"))).unwrap();
    }
    while !there.is_empty() {
        let (name, news) = scene.next().await;
        assert_eq!((there.remove(&name), news), (Some(runs("x")), News::Gone));
    }
}

#[tokio::test]
async fn with_nofollow_only_the_link_itself_counts() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("v")).unwrap();
    let mut scene = Scene::with(dir, &["v"], &[("emperor-nofollow", "true"), ("emperor-extra-extension", "conf")]).await;
    scene.write("target", "one");
    symlink("../target", scene.path("v/a.conf")).unwrap();
    scene.expect("a.conf", runs("one")).await;
    fs::remove_file(scene.path("v/a.conf")).unwrap();
    scene.expect("a.conf", News::Gone).await;
}

#[tokio::test]
async fn a_link_to_itself_hides_nothing_else() {
    let mut scene = Scene::of(&[""]).await;
    scene.write("a.ini", "one");
    scene.expect("a.ini", runs("one")).await;
    symlink("loop.ini", scene.path("loop.ini")).unwrap();
    scene.expect("loop.ini", News::Bad).await;
    scene.monitors.rescan();
    scene.quiet().await;
    fs::remove_file(scene.path("loop.ini")).unwrap();
    scene.expect("loop.ini", News::Gone).await;
}

#[tokio::test]
async fn a_file_that_could_not_be_read_for_a_moment_is_not_taken_for_touched() {
    let mut scene = Scene::of(&["v"]).await;
    for dir in ["v", "real"] {
        fs::create_dir(scene.path(dir)).unwrap();
    }
    scene.write("real/a.ini", "one");
    symlink("real", scene.path("way")).unwrap();
    symlink("../way/a.ini", scene.path("v/a.ini")).unwrap();
    scene.expect("a.ini", runs("one")).await;
    // Whoever follows the link now goes in circles: it is there, and cannot be read.
    fs::remove_file(scene.path("way")).unwrap();
    symlink("way", scene.path("way")).unwrap();
    scene.monitors.rescan();
    scene.expect("a.ini", News::Bad).await;
    fs::remove_file(scene.path("way")).unwrap();
    symlink("real", scene.path("way")).unwrap();
    scene.monitors.rescan();
    scene.expect("a.ini", News::Still("one".into())).await;
}

#[tokio::test]
async fn a_file_is_read_again_when_its_vassal_has_died() {
    let mut scene = Scene::of(&["v"]).await;
    fs::create_dir(scene.path("v")).unwrap();
    fs::write(scene.path("word"), "one").unwrap();
    fs::write(scene.path("v/a.ini"), "[vassal]\ncommand = /bin/echo @(../word)\nuid = root\n").unwrap();
    scene.expect("a.ini", runs("one")).await;
    fs::write(scene.path("word"), "two").unwrap();
    scene.monitors.read_again(&"a.ini".into());
    scene.expect("a.ini", News::Still("two".into())).await;
    scene.monitors.read_again(&"nobody.ini".into());
    fs::remove_file(scene.path("v/a.ini")).unwrap();
    scene.expect("a.ini", News::Gone).await;
}

#[tokio::test]
async fn the_emperors_curse_tolerance_is_every_vassals_time_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut scene = Scene::with(dir, &[""], &[("emperor-curse-tolerance", "7")]).await;
    scene.write("a.ini", "one");
    let Some(Mail::Event(Event::Config { config, .. })) = scene.mail.recv().await else { panic!() };
    assert_eq!(config.fresh.timeouts.stop.as_secs(), 7);
}

#[tokio::test]
async fn the_first_scan_is_over_when_all_it_found_was_told() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("v")).unwrap();
    for name in ["a", "b", "c"] {
        fs::write(dir.path().join(format!("v/{name}.ini")), text(name)).unwrap();
    }
    let mut scene = Scene::with(dir, &["v"], &[]).await;
    let over = scene.monitors.first_scan();
    // The queue takes all of them, so that nothing but the scan itself is waited for.
    tokio::time::timeout(Duration::from_secs(20), over).await.expect("the end of the first scan");
    let mut told = 0;
    while scene.mail.try_recv().is_ok() {
        told += 1;
    }
    assert_eq!(told, 3);
}

#[tokio::test]
async fn a_directory_that_was_replaced_by_an_empty_one_ends_nobody_before_it_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("v")).unwrap();
    let mut scene = Scene::with(dir, &["v"], &[("emperor-shrink-guard", "3600")]).await;
    scene.write("v/a.ini", "one");
    scene.expect("a.ini", runs("one")).await;
    fs::rename(scene.path("v"), scene.path("old")).unwrap();
    fs::create_dir(scene.path("v")).unwrap();
    assert_eq!(scene.next_of_any().await, None, "held");
    // Not by a reading for an order either, nor because something else comes.
    scene.monitors.read_now(&["a.ini".into()]).await;
    scene.write("v/b.ini", "two");
    scene.expect("b.ini", runs("two")).await;
    fs::remove_file(scene.path("v/b.ini")).unwrap();
    scene.expect("b.ini", News::Gone).await;
    // It comes back.
    fs::remove_dir(scene.path("v")).unwrap();
    fs::rename(scene.path("old"), scene.path("v")).unwrap();
    scene.write("v/c.ini", "three");
    scene.expect("c.ini", runs("three")).await;
    for name in ["a.ini", "c.ini"] {
        fs::remove_file(scene.path("v").join(name)).unwrap();
        scene.expect(name, News::Gone).await;
    }
}

#[tokio::test]
async fn a_directory_removed_with_its_files_is_believed_at_once_and_one_that_moved_when_somebody_says_so() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("v")).unwrap();
    let mut scene = Scene::with(dir, &["v"], &[("emperor-shrink-guard", "3600")]).await;
    scene.write("v/a.ini", "one");
    scene.expect("a.ini", runs("one")).await;
    fs::remove_dir_all(scene.path("v")).unwrap();
    scene.expect("a.ini", News::Gone).await;
    fs::create_dir(scene.path("v")).unwrap();
    scene.write("v/a.ini", "two");
    scene.expect("a.ini", runs("two")).await;
    fs::rename(scene.path("v"), scene.path("old")).unwrap();
    assert_eq!(scene.next_of_any().await, None, "held");
    scene.monitors.believe();
    scene.expect("a.ini", News::Gone).await;
}
