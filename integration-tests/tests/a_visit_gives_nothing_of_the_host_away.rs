//! `liege enter` executes what lies in a customer's root, and stdin to stderr are all a visitor gets. A customer whose shell is a link to
//! `/proc/self/exe`, and whose loader is its own, finds no file of the host's behind either: neither the program of `liege`, nor what the
//! operator's command line opened.
//!
//! His root holds three programs without a libc, made by the compiler here: an app that waits, a loader, and a shell; the last two change
//! the mode of whatever they reach, and write down who they were.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use liege_integration_tests::apps::{self, USER};
use liege_integration_tests::tools::{PATH, liege, run_liege};
use liege_integration_tests::{Emperor, Host, LONG, story, wait_until};

/// Writes `/seen/UID`, and sets the sticky bit of what it runs from and of its descriptors: it shows, and harms nobody.
const PROWLER: &str = r#"
#if defined(__x86_64__)
static long call(long n, long a, long b, long c, long d) {
    long answer;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(answer) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
    return answer;
}
enum { MKDIRAT = 258, FCHMODAT = 268, FCHMOD = 91, GETUID = 102, EXIT = 231, PAUSE = 271 };
#else
static long call(long n, long a, long b, long c, long d) {
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
enum { MKDIRAT = 34, FCHMODAT = 53, FCHMOD = 52, GETUID = 174, EXIT = 94, PAUSE = 73 };
#endif
void _start(void) {
#ifdef APP
    for (;;) call(PAUSE, 0, 0, 0, 0); /* ppoll of nothing */
#else
    char seen[] = "/seen/0000000000";
    long uid = call(GETUID, 0, 0, 0, 0);
    for (int at = sizeof seen - 2; seen[at] != '/'; at--, uid /= 10) seen[at] = '0' + uid % 10;
    call(MKDIRAT, -100, (long)seen, 0700, 0);
    call(FCHMODAT, -100, (long)"/proc/self/exe", 01777, 0);
    for (int fd = 0; fd < 64; fd++) call(FCHMOD, fd, 01777, 0, 0);
    call(EXIT, 0, 0, 0, 0);
#endif
}
"#;

/// A root with nothing in it but these; and the lines of a vassal that lives in it.
struct Trap {
    root: PathBuf,
}

impl Trap {
    fn new(host: &Host, shell: Shell) -> Self {
        let root = host.path("root");
        for directory in ["bin", "lib64", "lib", "proc", "seen"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        fs::set_permissions(root.join("seen"), fs::Permissions::from_mode(0o1777)).unwrap();
        let source = host.path("prowler.c");
        fs::write(&source, PROWLER).unwrap();
        let compile = |flags: &[&str], to: &Path| {
            let mut cc = Command::new("cc");
            cc.args(["-O1", "-nostdlib", "-static", "-ffreestanding", "-fno-stack-protector"]).args(flags);
            let status = cc.arg("-o").arg(to).arg(&source).status().expect("cc links Rust, so it is there");
            assert!(status.success(), "cc {flags:?}");
        };
        compile(&["-DAPP"], &root.join("bin/app"));
        for loader in ["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"] {
            compile(&[], &root.join(loader));
        }
        match shell {
            Shell::OurProgram => symlink("/proc/self/exe", root.join("bin/sh")).unwrap(),
            Shell::Prowler => compile(&[], &root.join("bin/sh")),
        }
        Self { root }
    }

    fn vassal(&self, more: &str) -> String {
        let (uid, gid) = apps::user();
        format!(
            "[vassal]\ncommand = /bin/app\nchroot = {}\nuid = {uid}\ngid = {gid}\nhook-as-root = mount:proc none /proc\n{more}",
            self.root.display()
        )
    }

    /// As which users the customer's code ran.
    fn seen(&self) -> Vec<u32> {
        let entries = fs::read_dir(self.root.join("seen")).unwrap().flatten();
        let mut seen: Vec<u32> = entries.map(|entry| entry.file_name().to_str().unwrap().parse().unwrap()).collect();
        seen.sort_unstable();
        seen.iter().for_each(|uid| fs::remove_dir(self.root.join(format!("seen/{uid:010}"))).unwrap());
        seen
    }
}

/// What `/bin/sh` of the root is.
enum Shell {
    /// A link to whatever executes it.
    OurProgram,
    Prowler,
}

/// Mode, content's length and time, links.
fn state(path: &Path) -> (u32, u64, i64, u64) {
    let meta = fs::metadata(path).unwrap();
    (meta.mode(), meta.len(), meta.mtime(), meta.nlink())
}

/// A visit whose stdin, stdout and stderr are files of the host's, which stay as they are.
fn visit(host: &Host, emperor: &Emperor, flags: &[&str]) {
    let files = ["in", "out", "err"].map(|name| host.path(&format!("{name}.txt")));
    files.iter().for_each(|file| {
        fs::write(file, "").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    });
    let open = |at: usize| Stdio::from(File::options().read(true).write(true).open(&files[at]).unwrap());
    let mut enter = Command::new(liege());
    enter.args(["enter", "v.ini", "--control"]).arg(&emperor.control).args(flags).env_clear().env("PATH", PATH);
    let status = enter.stdin(open(0)).stdout(open(1)).stderr(open(2)).status().unwrap();
    for file in &files {
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o7777, 0o600, "{}", file.display());
    }
    println!("enter {flags:?}: {status}: {}", fs::read_to_string(&files[2]).unwrap());
}

fn known(emperor: &Emperor) {
    wait_until("the app to be known", LONG, || {
        let words = ["status", "v.ini", "--json", "--control"].map(OsStr::new);
        let said = run_liege(&[&words[..], &[emperor.control.as_os_str()]].concat()).1;
        said.contains("\"app_pid\"") && !said.replace(' ', "").contains("\"app_pid\":null")
    });
}

fn tell(namespaces: &str, shell: Shell) {
    story(|host| {
        let (uid, _) = apps::user();
        let trap = Trap::new(host, shell);
        let emperor = host.emperor().namespaces(Some(namespaces)).start();
        emperor.write("v.ini", &trap.vassal(""));
        known(&emperor);
        let own = [liege(), liege().with_file_name("liege-init")];
        let before = own.each_ref().map(|file| state(file));
        visit(host, &emperor, &[]);
        let as_whom = trap.seen();
        visit(host, &emperor, &["--root"]);
        let as_root = trap.seen();
        let after = own.each_ref().map(|file| state(file));
        for (file, before) in own.iter().zip(before).filter(|(file, before)| state(file) != *before) {
            // The next story needs it as it was.
            fs::set_permissions(file, fs::Permissions::from_mode(before.0)).unwrap();
        }
        assert_eq!(before, after, "{own:?}");
        assert_eq!((as_whom, as_root), (vec![uid.as_raw()], vec![0]), "root executes nothing there unless it asks for it");
    });
}

#[test]
fn to_a_shell_that_is_a_link_to_what_executes_it() {
    tell("fs,pid", Shell::OurProgram);
}

#[test]
fn to_a_shell_of_the_customers() {
    tell("fs,pid", Shell::Prowler);
}

#[test]
fn to_such_a_link_in_a_user_namespace() {
    tell("fs,pid,user", Shell::OurProgram);
}

#[test]
fn to_such_a_shell_in_a_user_namespace() {
    tell("fs,pid,user", Shell::Prowler);
}

#[test]
fn root_is_told_what_it_asks_for() {
    story(|host| {
        let trap = Trap::new(host, Shell::Prowler);
        let emperor = host.emperor().start();
        emperor.write("v.ini", &trap.vassal(""));
        known(&emperor);
        let enter = |flags: &[&str]| {
            let mut words: Vec<&OsStr> = ["enter", "v.ini", "--control"].map(OsStr::new).to_vec();
            words.push(emperor.control.as_os_str());
            words.extend(flags.iter().map(OsStr::new));
            run_liege(&words)
        };
        assert_eq!(enter(&[]), (0, String::new()));
        let (status, said) = enter(&["--root"]);
        assert!(status == 0 && said.starts_with("liege: v.ini: as root of this machine: what is executed is"), "{said}");
        assert_eq!(trap.seen(), [0, apps::user().0.as_raw()]);
    });
}

/// An app that no setuid program can make another user: no visitor of it either.
#[test]
fn a_visitor_has_no_more_privileges_than_the_app() {
    story(|host| {
        let emperor = host.emperor().start();
        emperor.write("v.ini", &format!("[vassal]\ncommand = sleep 1000\nuid = {USER}\ngid = {USER}\nno-new-privs = true\n"));
        known(&emperor);
        let words = ["enter", "v.ini", "--control"].map(OsStr::new);
        let command = ["--", "grep", "NoNewPrivs", "/proc/self/status"].map(OsStr::new);
        let seen = run_liege(&[&words[..], &[emperor.control.as_os_str()], &command[..]].concat());
        assert_eq!(seen, (0, "NoNewPrivs:\t1\n".to_owned()));
    });
}
