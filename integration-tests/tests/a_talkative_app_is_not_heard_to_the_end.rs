//! An app in uwsgi's place that floods its emperor socket costs neither log nor daemon: others start beside it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use liege_integration_tests::story;

#[test]
fn a_talkative_app_is_not_heard_to_the_end() {
    story(|host| {
        let app = host.path("talker");
        fs::write(&app, "#!/usr/bin/python3\nimport os\nwhile True: os.write(3, b'\\x01\\x05\\x11\\x02\\x63' * 12)\n").unwrap();
        fs::set_permissions(&app, fs::Permissions::from_mode(0o755)).unwrap();
        let emperor = host.emperor().start();
        emperor.write("talker.ini", &format!("[uwsgi]\nbinary-path = {}\nstop-timeout = 1\n", app.display()));
        emperor.wait_log("talker.ini: loyal");
        for name in ["one.ini", "two.ini", "three.ini"] {
            emperor.write(name, "[vassal]\ncommand = sleep 1000\nuid = root\n");
            emperor.wait_log(&format!("{name}: started"));
        }
        let said = emperor.log().iter().filter(|line| line.contains("talker.ini: loyal")).count();
        assert_eq!(said, 1, "told once for each start of the app");
        emperor.remove("talker.ini");
        emperor.wait_log("talker.ini: gone");
    });
}
