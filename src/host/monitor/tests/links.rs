//! Vassal files that are symbolic links: whatever happens to what they lead to is seen, by its signs alone.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, SystemTime},
};

use super::{News, Scene, runs, text, touch};

/// Directories below a scene's own; `v` is the vassals'.
async fn scene(dirs: &[&str]) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("v")).unwrap();
    for made in dirs {
        fs::create_dir_all(dir.path().join(made)).unwrap();
    }
    Scene::with(dir, &["v"], &[]).await
}

/// A link takes the place of another one in one step.
fn relink(target: impl AsRef<Path>, link: &Path) {
    let new = link.with_file_name("new-link");
    symlink(target, &new).unwrap();
    fs::rename(new, link).unwrap();
}

/// A file written long ago, so that nothing of it is in question any more.
fn write_old(path: &Path, word: &str, age: u64) {
    fs::write(path, text(word)).unwrap();
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 - age);
    File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

#[tokio::test]
async fn the_target_of_a_link_is_written_touched_replaced_removed_and_made_again() {
    let mut scene = scene(&["available"]).await;
    let target = scene.path("available/a.ini");
    write_old(&target, "one", 1);
    symlink("../available/a.ini", scene.path("v/a.ini")).unwrap();
    scene.expect("a.ini", runs("one")).await;
    fs::write(&target, text("two")).unwrap();
    scene.expect("a.ini", runs("two")).await;
    touch(&target);
    scene.expect("a.ini", runs("two")).await;
    write_old(&scene.path("available/new"), "three", 2);
    fs::rename(scene.path("available/new"), &target).unwrap();
    scene.expect("a.ini", runs("three")).await;
    fs::remove_file(&target).unwrap();
    scene.expect("a.ini", News::Gone).await;
    fs::write(&target, text("four")).unwrap();
    scene.expect("a.ini", runs("four")).await;
    fs::remove_dir_all(scene.path("available")).unwrap();
    scene.expect("a.ini", News::Gone).await;
    fs::create_dir(scene.path("available")).unwrap();
    fs::write(&target, text("five")).unwrap();
    scene.expect("a.ini", runs("five")).await;
    // A link that is left over is told in the end.
    fs::remove_file(&target).unwrap();
    scene.expect("a.ini", News::Gone).await;
    scene.expect("a.ini", News::Bad).await;
    fs::remove_file(scene.path("v/a.ini")).unwrap();
    scene.expect("a.ini", News::Gone).await;
}

#[tokio::test]
async fn a_target_is_not_read_while_it_is_written() {
    let mut scene = scene(&["available"]).await;
    let target = scene.path("available/a.ini");
    write_old(&target, "one", 1);
    symlink(&target, scene.path("v/a.ini")).unwrap();
    scene.expect("a.ini", runs("one")).await;
    let mut file = File::create(&target).unwrap();
    for fence in ["f.ini", "g.ini"] {
        scene.write(&format!("v/{fence}"), "fence");
        scene.expect(fence, runs("fence")).await;
    }
    file.write_all(text("two").as_bytes()).unwrap();
    drop(file);
    scene.expect("a.ini", runs("two")).await;
}

#[tokio::test]
async fn every_link_of_a_chain_and_every_link_among_the_directories_counts() {
    let mut scene = scene(&["one/deep", "two/deep", "links"]).await;
    for (age, word) in ["one", "two"].into_iter().enumerate() {
        write_old(&scene.path(word).join("deep/a.ini"), word, age as u64);
    }
    write_old(&scene.path("links/three.ini"), "three", 3);
    symlink("one", scene.path("way")).unwrap();
    symlink("../way/deep/a.ini", scene.path("links/second")).unwrap();
    symlink(scene.path("links/second"), scene.path("links/first")).unwrap();
    symlink("../links/first", scene.path("v/a.ini")).unwrap();
    scene.expect("a.ini", runs("one")).await;
    relink("two", &scene.path("way"));
    scene.expect("a.ini", runs("two")).await;
    relink("three.ini", &scene.path("links/first"));
    scene.expect("a.ini", runs("three")).await;
    // What is no more on the way does not count.
    fs::remove_file(scene.path("way")).unwrap();
    write_old(&scene.path("links/three.ini"), "four", 4);
    scene.expect("a.ini", runs("four")).await;
}

#[tokio::test]
async fn what_leads_nowhere_or_in_circles_may_become_good() {
    let mut scene = scene(&[]).await;
    symlink("../some/where/a.ini", scene.path("v/a.ini")).unwrap();
    symlink("../way", scene.path("v/b.ini")).unwrap();
    symlink("way", scene.path("way")).unwrap();
    for _ in 0..2 {
        assert_eq!(scene.next().await.1, News::Bad);
    }
    scene.monitors.rescan();
    scene.write("v/fence.ini", "fence");
    scene.expect("fence.ini", runs("fence")).await; // and nothing before it
    fs::create_dir_all(scene.path("some/where")).unwrap();
    write_old(&scene.path("some/where/a.ini"), "one", 1);
    scene.expect("a.ini", runs("one")).await;
    relink("some/where/a.ini", &scene.path("way"));
    scene.expect("b.ini", runs("one")).await;
}

#[tokio::test]
async fn one_target_may_be_on_another_file_system_and_have_many_links() {
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    let target = elsewhere.path().join("a.ini");
    write_old(&target, "one", 1);
    let mut scene = scene(&[]).await;
    let names = ["a.ini", "b.ini", "c.ini"];
    for name in names {
        symlink(&target, scene.path("v").join(name)).unwrap();
        scene.expect(name, runs("one")).await;
    }
    fs::remove_file(scene.path("v/c.ini")).unwrap();
    scene.expect("c.ini", News::Gone).await;
    fs::write(&target, text("two")).unwrap();
    let mut both = [scene.next().await, scene.next().await];
    both.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(both, [("a.ini".into(), runs("two")), ("b.ini".into(), runs("two"))]);
}

#[tokio::test]
async fn the_way_to_the_directory_itself_may_lead_through_links() {
    let dir = tempfile::tempdir().unwrap();
    for version in ["one", "two"] {
        fs::create_dir(dir.path().join(version)).unwrap();
        write_old(&dir.path().join(version).join("a.ini"), version, version.len() as u64);
    }
    symlink("one", dir.path().join("current")).unwrap();
    let mut scene = Scene::with(dir, &["current"], &[]).await;
    scene.expect("a.ini", runs("one")).await;
    relink("two", &scene.path("current"));
    let mut seen = scene.next().await;
    while seen != ("a.ini".to_owned(), runs("two")) {
        seen = scene.next().await;
    }
}

#[tokio::test]
async fn the_next_version_of_a_config_map_is_taken_over_after_a_rest() {
    let mut scene = scene(&[]).await;
    let vassals = scene.path("v");
    let publish = |version: &str, age| {
        let dir = vassals.join(format!("..{version}"));
        fs::create_dir(&dir).unwrap();
        write_old(&dir.join("a.ini"), version, age);
        relink(dir.file_name().unwrap(), &vassals.join("..data"));
    };
    publish("one", 1);
    symlink("..data/a.ini", scene.path("v/a.ini")).unwrap();
    scene.expect("a.ini", runs("one")).await;
    publish("two", 2);
    fs::remove_dir_all(scene.path("v/..one")).unwrap();
    scene.expect("a.ini", runs("two")).await;
}

#[tokio::test]
async fn a_rescan_finds_what_no_sign_told() {
    let mut scene = scene(&["one/deep", "two/deep"]).await;
    for (age, word) in ["one", "two"].into_iter().enumerate() {
        write_old(&scene.path(word).join("deep/a.ini"), word, age as u64);
    }
    symlink("../one/deep/a.ini", scene.path("v/a.ini")).unwrap();
    scene.expect("a.ini", runs("one")).await;
    // Directories on the way are not watched.
    fs::rename(scene.path("one"), scene.path("three")).unwrap();
    fs::rename(scene.path("two"), scene.path("one")).unwrap();
    scene.monitors.rescan();
    scene.expect("a.ini", runs("two")).await;
}

#[tokio::test]
async fn whoever_waits_for_a_file_to_be_read_is_told_after_the_core() {
    let mut scene = scene(&[]).await;
    fs::write(scene.path("word"), "one").unwrap();
    fs::write(scene.path("v/a.ini"), "[vassal]\ncommand = /bin/echo @(../word)\nuid = root\n").unwrap();
    scene.expect("a.ini", runs("one")).await;
    for word in ["two", "three"] {
        fs::write(scene.path("word"), word).unwrap();
        scene.monitors.read_now(&["a.ini".into(), "none.ini".into()]).await;
        let told = scene.mail.try_recv().expect("the core was told before");
        assert!(format!("{told:?}").contains(word));
    }
    assert!(scene.monitors.read_for_birth(&"a.ini".into()).is_none(), "it was read just now");
}
