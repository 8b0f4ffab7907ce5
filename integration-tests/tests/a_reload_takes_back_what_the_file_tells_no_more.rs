//! A line that is gone has no effect any more: not for a command, whose hooks had it too, and not for a uwsgi, whose own reload would
//! keep it, as it would lose its capabilities.

use std::fs;

use liege_integration_tests::apps::Reporter;
use liege_integration_tests::http::free_port;
use liege_integration_tests::{LONG, served, story};

#[test]
fn a_command_and_its_hooks() {
    story(|host| {
        let reporter = Reporter::new(host, "app");
        let hook = host.open_dir("out").join("hook");
        let asks = format!("exec-asap = echo \"$ROUND $(umask)\" >> {}\n", hook.display());
        let emperor = host.emperor().start();
        emperor.write("v.ini", &reporter.vassal(&format!("{asks}env = ROUND=one\numask = 077\n")));
        let first = reporter.started(1);
        assert_eq!((&first["environment"]["ROUND"], &first["status"]["Umask"]), (&"one".into(), &"0077".into()));
        emperor.wait_log("v.ini: started");
        let init = emperor.vassal("reports/app").init;
        emperor.write("v.ini", &reporter.vassal(&asks));
        let second = reporter.started(2);
        assert!(second["environment"].get("ROUND").is_none() && second["status"]["Umask"] == "0022", "{second}");
        assert_eq!(fs::read_to_string(&hook).unwrap(), "one 0077\n 0022\n");
        assert_eq!(emperor.vassal("reports/app").init, init, "replaced in place");
    });
}

/// Answers with the state of the worker that serves.
const APP: &str = r#"
import os, resource
def application(environ, start_response):
    caps = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('CapEff'))
    start_response('200 OK', [('Content-Type', 'text/plain')])
    said = f"{os.environ.get('TOKEN')} {int(caps, 16):x} {resource.getrlimit(resource.RLIMIT_NOFILE)[0]}"
    return [said.encode()]
"#;

#[test]
fn a_uwsgi_gets_a_new_process_where_its_own_reload_is_not_enough() {
    story(|host| {
        let (app, port) = (host.open_dir("bin").join("app.py"), free_port());
        fs::write(&app, APP).expect("write in our own directory");
        let file = |more: &str| {
            let asked = format!("plugin = python3\nhttp-socket = 127.0.0.1:{port}\nwsgi-file = {}", app.display());
            format!("[uwsgi]\nmaster = true\nuid = www-data\ngid = www-data\n{asked}\n{more}")
        };
        let emperor = host.emperor().start();
        emperor.write("v.ini", &file("env = TOKEN=secret\nmax-fd = 512\ncap = net_bind_service\n"));
        served(port, "secret 400 512", LONG);
        let init = emperor.vassal("emperor://v.ini").init;
        let mark = emperor.mark();
        emperor.touch("v.ini");
        emperor.wait_log_from(mark, &["v.ini", "reloaded"]);
        served(port, "secret 400 512", LONG);
        emperor.write("v.ini", &file("env = TOKEN=secret\nmax-fd = 700\ncap = net_bind_service\n"));
        served(port, "secret 400 700", LONG);
        emperor.write("v.ini", &file("max-fd = 700\n"));
        served(port, "None 0 700", LONG);
        // A line more is nothing to replace it for, the same line less is.
        emperor.write("v.ini", &file("max-fd = 700\nenv = TOKEN=new\n"));
        served(port, "new 0 700", LONG);
        emperor.write("v.ini", &file("max-fd = 700\n"));
        served(port, "None 0 700", LONG);
        assert_eq!(emperor.vassal("emperor://v.ini").init, init, "always in place");
    });
}
