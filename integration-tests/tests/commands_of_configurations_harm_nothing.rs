//! `exec://` runs a command to get a configuration: neither an odd environment nor a command without end harms the daemon.

use std::fs;

use liege_integration_tests::story;

#[test]
fn an_environment_need_not_be_text() {
    story(|host| {
        let script = host.path("config.sh");
        fs::write(&script, "echo '[vassal]'; echo 'command = sleep 1000'; echo 'uid = root'\n").unwrap();
        let odd = "BAD=$(printf 'J\\366rg'); export BAD; exec \"$0\" \"$@\"";
        let emperor = host.emperor().under(&["sh", "-c", odd]).start();
        emperor.write("v.ini", &format!("[vassal]\nini = exec://sh {}\nuid = root\n", script.display()));
        emperor.wait_log("v.ini: started");
    });
}

#[test]
fn a_command_that_closes_its_output_and_lives_on_is_ended() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("v.ini", "[vassal]\nini = exec://exec 1>&-; exec sleep 1000\nuid = root\n");
        emperor.wait_log("no end after");
        emperor.write("v.ini", "[vassal]\ncommand = sleep 1000\nuid = root\n");
        emperor.wait_log("v.ini: started");
    });
}
