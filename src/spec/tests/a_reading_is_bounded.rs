//! No text makes a reading cost more than its budget: neither time nor memory nor questions to the world.
//!
//! The cases at the bottom are texts that cost gigabytes, hours or the stack before there was a budget. Random texts are put
//! together from the same pieces.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use liege_spec::testing::TableLookup;
use liege_spec::{Diagnostic, Kind, Lookup, NoAnswer, Reading, Source, VassalConfig, Writer, read_emperor, read_vassal};
use proptest::prelude::*;

/// A world that counts its questions, and has a tree of a tenant's choosing.
#[derive(Default)]
struct Counting {
    table: TableLookup,
    asked: Cell<usize>,
    commands: Cell<usize>,
    /// After so many questions the reading is given up.
    patience: Option<usize>,
    /// How many names `*` matches, and how long each is.
    tree: (usize, usize),
}

impl Counting {
    fn count(&self) {
        self.asked.set(self.asked.get() + 1);
    }
}

impl Lookup for Counting {
    fn writers(&self, _: &str) -> Result<BTreeSet<Writer>, NoAnswer> {
        self.count();
        Ok(BTreeSet::new())
    }

    fn read(&self, source: &str, most: usize) -> Result<Vec<u8>, NoAnswer> {
        self.count();
        if source.starts_with("exec://") {
            self.commands.set(self.commands.get() + 1);
            return Ok(format!("{}\n", self.commands.get()).into_bytes());
        }
        match source {
            "/etc/vassals/large" if most >= 1 << 18 => Ok(vec![b'x'; 1 << 18]),
            "/etc/vassals/large" => Err(NoAnswer::TooMuch),
            "/etc/vassals/endless" if most < usize::MAX / 2 => Err(NoAnswer::TooMuch),
            _ => self.table.read(source, most),
        }
    }

    fn cancelled(&self) -> Option<String> {
        let patience = self.patience?;
        (self.asked.get() >= patience).then(|| "no end after 9 s".to_owned())
    }

    fn kind(&self, path: &str) -> Result<Option<Kind>, NoAnswer> {
        self.count();
        self.table.kind(path)
    }

    fn glob(&self, _: &str, most: usize) -> Result<Vec<String>, NoAnswer> {
        self.count();
        let (number, length) = self.tree;
        if number > most {
            return Err(NoAnswer::TooMuch);
        }
        Ok((0..number).map(|at| format!("/{at}{}", "n".repeat(length))).collect())
    }

    fn env(&self, name: &str) -> Option<String> {
        self.table.env(name)
    }

    fn hostname(&self) -> String {
        self.table.hostname()
    }

    fn now(&self) -> u64 {
        self.table.now()
    }

    fn directory(&self) -> String {
        self.table.directory()
    }

    fn own_identity(&self) -> (u32, String, u32, String) {
        self.table.own_identity()
    }

    fn processors(&self) -> usize {
        2
    }

    fn user(&self, name_or_number: &str) -> Result<Option<(u32, u32, String)>, NoAnswer> {
        self.count();
        self.table.user(name_or_number)
    }

    fn group(&self, name_or_number: &str) -> Result<Option<u32>, NoAnswer> {
        self.count();
        self.table.group(name_or_number)
    }

    fn groups_of(&self, user: &str, gid: u32) -> Result<Vec<u32>, NoAnswer> {
        self.table.groups_of(user, gid)
    }
}

fn world() -> Counting {
    let table = TableLookup::default()
        .with_user("shop", 1001, 1001)
        .with_env("E", &"e".repeat(1000))
        .with_file("/etc/vassals/self.ini", &"[uwsgi]\ninclude = self.ini\n".repeat(4))
        .with_file("/etc/vassals/twice.ini", "[uwsgi]\ninclude = flat.ini\ninclude = flat.ini\n")
        .with_file("/etc/vassals/flat.ini", "[uwsgi]\na = 1\n")
        .with_file("/etc/vassals/lines", &"\n".repeat(1 << 19));
    Counting { table, tree: (5_000, 100), ..Counting::default() }
}

/// The bounds that hold for any text. They are wide; what they exclude is growth with the text.
fn read(path: &str, text: &[u8], world: &Counting) -> Reading<VassalConfig> {
    let began = Instant::now();
    let reading = read_vassal(&Source::new(path, text), world);
    let emperor = read_emperor(Some(&Source::new(path, text)), &[], world);
    assert!(began.elapsed() < Duration::from_secs(100), "{:?}", began.elapsed());
    assert!(world.asked.get() < 100_000, "{} questions", world.asked.get());
    for found in [&reading.diagnostics, &emperor.diagnostics] {
        assert!(found.len() <= 202, "{} mistakes", found.len());
        let bytes: usize = found.iter().map(|d| d.text.len() + d.message.len() + d.hint.as_ref().map_or(0, String::len)).sum();
        assert!(bytes < 202 * 20_000, "{bytes} bytes of mistakes");
    }
    assert_eq!(reading.value.is_none(), reading.diagnostics.iter().any(Diagnostic::is_error));
    reading
}

fn errors(reading: &Reading<VassalConfig>) -> Vec<String> {
    reading.diagnostics.iter().filter(|d| d.is_error()).map(|d| format!("{}: {}", d.line, d.message)).collect()
}

/// What this process has held at most, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

/// `refused`: the line and the start of what is said of it; empty: it is understood.
fn case(text: &[u8], refused: &str) {
    case_of("/etc/vassals/shop.ini", text, refused);
}

fn case_of(path: &str, text: &[u8], refused: &str) {
    let before = peak();
    let reading = read(path, text, &world());
    let found = errors(&reading);
    if refused.is_empty() {
        assert!(found.is_empty(), "{found:?}");
    } else {
        assert!(found.iter().any(|message| message.starts_with(refused)), "{found:?} instead of {refused}");
    }
    let grown = peak() - before;
    assert!(grown < 64, "{grown} MiB more than before");
}

fn repeated(line: impl Fn(usize) -> String, times: usize) -> Vec<u8> {
    format!("[uwsgi]\nuid = shop\ngid = shop\n{}", (0..times).map(|at| line(at) + "\n").collect::<String>()).into_bytes()
}

/// What it is made of is let go of on the way, and of what is refused nothing is kept.
#[test]
fn a_large_text_costs_a_small_multiple_of_itself() {
    let text = repeated(|at| format!("k{at} = {}", "x".repeat(100)), 9_000);
    let before = peak();
    let kept: Vec<_> = (0..3).map(|_| read("/etc/vassals/shop.ini", &text, &world())).collect();
    assert!(kept.iter().all(|reading| errors(reading)[0].contains("is more than uwsgi can be given")), "{kept:?}");
    let grown = peak() - before;
    assert!(grown < 20, "{grown} MiB more than before for {} bytes", text.len());
}

#[test]
fn unknown_keys() {
    case(&repeated(|at| format!("k{at} = 1"), 50_000), "10001: more than 10000 lines");
    case(&repeated(|at| format!("vassal-logg{at} = 1"), 2_000), "");
    case(&repeated(|at| format!("hook-as-root = nope{at}"), 9_000), "4: a hook is written");
}

#[test]
fn chained_placeholders() {
    case(&repeated(|at| format!("a{} = %(a{at})%(a{at})", at + 1), 3_000), "2");
    let chain = |at| if at == 0 { "a0 = x".into() } else { format!("a{at} = .%(a{})%(a{})", at - 1, at - 1) };
    case(&repeated(chain, 3_000), "2");
    case(&repeated(|at| format!("b = {} %(k{at})", "x".repeat(400)), 2_000), "162: is more than uwsgi can be given");
    case(&repeated(|_| format!("b = {}", " %(b)".repeat(2_000)), 90), "4: takes more work");
    let words = format!("a = 12345678\nb = %({})", "a ".repeat(500_000));
    case(format!("[uwsgi]\n{words}\n").as_bytes(), "3: takes more work");
    case(&repeated(|_| "loop = .%(loop)%(loop)".into(), 5), "4: grows without end");
}

#[test]
fn magic_that_multiplies() {
    let path = format!("/etc/{}/a.ini", "d".repeat(3000));
    case_of(&path, format!("[uwsgi]\na = {}\n", "%p".repeat(1 << 14)).as_bytes(), "0: expands to more than 4 MiB");
    // A line break in a name makes no further line.
    case_of("/etc/a\nb = c", format!("[uwsgi]\na = {}\n", "%n".repeat(1 << 10)).as_bytes(), "2: holds a line break");
    case(format!("[uwsgi]\na = {}\n", "%Y".repeat(1 << 18)).as_bytes(), "");
}

#[test]
fn loops() {
    case(
        &repeated(|at| if at == 0 { "for-glob = *".into() } else { format!("k = %(_){at}") }, 5_000),
        "6: more than 10000 options",
    );
    case(b"[uwsgi]\nfor-times = 10000\na = %(_)\nb = %(_)\nendfor =\n", "3: more than 10000 options");
    case(b"[uwsgi]\nfor-readline = lines\na = %(_)\nendfor =\n", "3: more than 10000 options");
    let list = format!("[uwsgi]\nfor = {}\na = %(_)\n", "x ".repeat(1 << 18));
    case(list.as_bytes(), "3: more than 10000 options");
    let wide = format!("[uwsgi]\nfor = {}\na = {}\n", "x".repeat(1 << 18), "%(_)".repeat(1 << 16));
    case(wide.as_bytes(), "3: expands to more than 4 MiB");
    let list = format!("blacklist = {}", "x ".repeat(1 << 18));
    case(&repeated(|at| if at == 0 { list.clone() } else { "a = b".into() }, 5_000), "34: takes more work");
    case(&repeated(|at| if at == 0 { "if-plugin = z".into() } else { "plugin = x".into() }, 9_000), "");
}

#[test]
fn a_tree_of_too_many_names() {
    let world = Counting { tree: (1 << 30, 10), ..world() };
    let found = errors(&read("a.ini", b"[uwsgi]\nfor-glob = /**/*\na = %(_)\nendfor =\n", &world));
    assert_eq!(found, ["2: matches more than 10000 names"]);
}

#[test]
fn files_within_files() {
    case(b"[uwsgi]\ninclude = self.ini\n", "4: is more than 1000 files to read");
    case(&repeated(|_| "include = twice.ini".into(), 300), "");
    case(&repeated(|_| "include = twice.ini".into(), 2_000), "2: is more than 1000 files to read");
    case(&repeated(|_| "a = @(flat.ini)".into(), 2_000), "1004: is more than 1000 files to read");
    case(&repeated(|_| "a = @(large)".into(), 200), "7: is more to read than 1 MiB");
    case(b"[uwsgi]\na = @(endless)\n", "2: is more to read than 1 MiB");
    case(format!("[uwsgi]\n{}", "; \n".repeat(3 << 19)).as_bytes(), "0: is more to read than 1 MiB");
}

#[test]
fn options_made_of_options() {
    case(b"[uwsgi]\nset = a=b\n", "");
    case(format!("[uwsgi]\nset = {}a=b\n", "set=".repeat(1 << 17)).as_bytes(), "2: ");
    let template = format!("[uwsgi]\ndeclare-option = x={}\n{}", "a=$1;".repeat(1 << 17), "x = 1\n".repeat(9_000));
    case(template.as_bytes(), "3: more than 10000 options");
    let wide = format!("[uwsgi]\ndeclare-option = x=a={}\nx = {}\n", "$1".repeat(1 << 17), "w".repeat(1 << 17));
    case(wide.as_bytes(), "3: expands to more than 4 MiB");
    let words = format!("[uwsgi]\ndeclare-option = x=a={}\nx = {}\n", "$1".repeat(1 << 17), "w ".repeat(1 << 17));
    case(words.as_bytes(), "3: ");
}

#[test]
fn lists_of_one_kind() {
    case(&repeated(|at| format!("exec-as-user = fusermount -u /{at}"), 9_000), "9003: more than 1000 hooks");
    case(&repeated(|at| format!("mountpoint-check = /m{at}"), 9_000), "");
    case(&repeated(|at| format!("add-gid = {at}"), 4_000), "");
    case(&repeated(|at| format!("add-gid = {at}"), 9_900), "0: takes more work");
    case(&repeated(|at| format!("uid = {at}"), 5_000), "");
}

#[test]
fn a_reading_that_is_not_wanted_any_more_ends() {
    let world = Counting { patience: Some(3), ..world() };
    let text = repeated(|at| if at == 0 { "if-exists = /x".into() } else { "a = b".into() }, 5_000);
    let reading = read("a.ini", &text, &world);
    assert!(errors(&reading)[0].ends_with("no end after 9 s"), "{:?}", reading.diagnostics);
    assert!(world.asked.get() < 20, "{} questions after it was given up", world.asked.get());
}

#[test]
fn more_mistakes_than_anybody_reads_are_counted() {
    let reading = read("a.ini", &repeated(|at| format!("hook-as-user = nope{at}"), 950), &world());
    let last = reading.diagnostics.last().unwrap().to_string();
    assert_eq!((reading.diagnostics.len(), last.as_str()), (101, "a.ini: error: and 850 more errors [too-much]"));
}

/// Pieces that multiply one another.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\n".to_owned()),
        Just(" = ".to_owned()),
        Just("[uwsgi]\n".to_owned()),
        Just("set = ".to_owned()),
        Just("set-placeholder = k=".to_owned()),
        Just("%(k)".to_owned()),
        Just("%(k k + k)".to_owned()),
        Just("$(E)$(E-x)".to_owned()),
        Just("@(flat.ini)@(large)".to_owned()),
        Just("%p%n%Y%".to_owned()),
        Just("%(_)".to_owned()),
        Just("\nfor-glob = *\n".to_owned()),
        Just("\nfor-times = 9999\n".to_owned()),
        Just("\nfor-readline = lines\n".to_owned()),
        Just("\nfor = k k k k k\n".to_owned()),
        Just("\nend =\n".to_owned()),
        Just("\nif-plugin = k\n".to_owned()),
        Just("\nelse =\n".to_owned()),
        Just("\nplugin = k,k,k\n".to_owned()),
        Just("\ninclude = self.ini\n".to_owned()),
        Just("\ninclude = twice.ini\n".to_owned()),
        Just("\ninherit = twice.ini\n".to_owned()),
        Just("\ndeclare-option = k=k=$1$1;hook-as-user=$1;env=$1=$1\n".to_owned()),
        Just("\nblacklist = k k k k\n".to_owned()),
        Just("\nhook-as-root = mount:none /k /k bind,rec\n".to_owned()),
        Just("\nexec-as-user = fusermount -u /k\n".to_owned()),
        Just("\nk = k k k\n".to_owned()),
        "[a-z0-9=%()$@ ]{0,12}",
        (1usize..2000, "[a-z%( )=\n]{1,4}").prop_map(|(times, text)| text.repeat(times)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_costs_bounded_work(pieces in prop::collection::vec(piece(), 1..60)) {
        let text = format!("[uwsgi]\nk = .%(k)\n{}", pieces.concat());
        read("/etc/vassals/shop.ini", text.as_bytes(), &world());
        prop_assert!(peak() < 150, "{} MiB", peak());
    }
}

/// A file is gone through as for a first start and as for a reload; that is no reason to run what it says twice.
#[test]
fn a_command_runs_as_often_as_it_stands_in_the_file() {
    let world = world();
    let text = "[vassal]\nuid = shop\ngid = shop\ncommand = /bin/true\nenv = A=@(exec://date)\nenv = B=@(exec://date)\n";
    let config = read_vassal(&Source::new("/etc/vassals/a.ini", text.as_bytes()), &world).value.expect("no mistake");
    assert_eq!(world.commands.get(), 2);
    assert_eq!(config.fresh.app.env, config.again.app.env);
}
