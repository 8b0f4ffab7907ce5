//! Names, lines, contents, variables: whatever is put into a configuration from outside is never expanded, and executes nothing.

use liege_spec::testing::TableLookup;
use liege_spec::{Code, ProgramSpec, Source, VassalConfig, VassalSpec, flatten, read_emperor, read_vassal, show_config};

const RAN: &str = "ran";
const HEAD: &str = "[vassal]\nuid = shop\ngid = shop\ncommand = a\n";

/// `/srv/t` is uid 7's, and `/srv/h` its neighbour's; any command says `ran`.
fn world() -> TableLookup {
    TableLookup::default()
        .with_user("shop", 7, 7)
        .with_others("/srv/t", 7)
        .with_others("/srv/h", 8)
        .with_env("PATH", "/bin:/usr/bin")
        .with_file("/srv/h/neighbour.ini", "DB_PASSWORD")
        .with_file("/etc/vassals/neighbour.ini", "DB_PASSWORD")
        .with_file("/etc/shadow", "root:hash")
        .with_file("exec://id", RAN)
        .with_file("exec:///bin:/usr/bin;id>PWNED;#", RAN)
}

fn read(text: &str, world: &TableLookup) -> (Option<VassalSpec>, Vec<(Code, u32, String)>) {
    let reading = read_vassal(&Source::new("/etc/vassals/a.ini", text.as_bytes()), world);
    let told = reading.diagnostics.iter().map(|told| (told.code, told.line, told.to_string())).collect();
    (reading.value.map(|VassalConfig { fresh, .. }| fresh), told)
}

/// The one variable of a vassal that this line gives it.
fn site(line: &str, world: &TableLookup) -> String {
    let (spec, told) = read(&format!("{HEAD}{line}\n"), world);
    let env = spec.unwrap_or_else(|| panic!("{line}: {told:?}")).app.env;
    env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("|")
}

/// The one error of a file.
fn error(text: &str, world: &TableLookup) -> (Code, u32, String) {
    let (spec, told) = read(text, world);
    assert!(spec.is_none(), "{text} is refused");
    let mut errors = told.into_iter().filter(|(.., shown)| shown.contains(" error: "));
    let first = errors.next().unwrap();
    assert_eq!(errors.next(), None, "{text}");
    first
}

#[test]
fn a_name_that_a_pattern_finds_is_a_name() {
    let names = [
        "/srv/t/@(exec:/$(PATH);id>PWNED;#).conf",
        "/srv/t/@(neighbour.ini).conf",
        "/srv/t/@(/etc/shadow).conf",
        "/srv/t/$(PATH).conf",
        "/srv/t/%(uid) %n.conf",
        "/srv/t/a\n[vassal]\nuid = root.conf",
    ];
    for name in names {
        let world = world().with_file(name, "");
        // The table's pattern has one `*`, and that stands for no slash.
        let pattern = format!("{}/*.conf", name.rsplit_once('/').unwrap().0);
        let found = site(&format!("for-glob = {pattern}\nenv = SITE=%(_)\nendfor ="), &world);
        assert_eq!(found, format!("SITE={name}"));
    }
}

#[test]
fn a_line_and_a_content_are_what_they_are() {
    for text in ["@(exec://id)", "@(neighbour.ini)", "@(/etc/shadow)", "$(PATH)", "%(uid)", "%n%d", "a%(_)"] {
        let world = world().with_file("/srv/t/site", text).with_env("SITE", text);
        for line in ["for-readline = /srv/t/site\nenv = SITE=%(_)\nendfor =", "env = SITE=@(/srv/t/site)", "env = SITE=$(SITE)"] {
            assert_eq!(site(line, &world), format!("SITE={text}"), "{line}");
        }
        let tested = "if-env = SITE\nenv = SITE=%(_)\nendif =\nx = @(/srv/t/site)\nenv = X=-%(x)%(x ++ x)";
        assert_eq!(site(tested, &world), format!("SITE={text}|X=-{text}1{text}"));
    }
}

#[test]
fn the_names_of_a_file_are_names() {
    let (directory, name) = ("/srv/t/@(exec:/", "$(PATH);id>PWNED;#)\n[vassal]\nuid = root");
    let world = world().with_file(&format!("{directory}{name}.ini"), "[vassal]\nenv = N=%n\nenv = D=%d\nfrom-there = 1\n");
    let found = site(&format!("for-glob = {directory}*.ini\ninclude = %(_)\nendfor =\nenv = F=-%(from-there)"), &world);
    assert_eq!(found, format!("N={name}|D={directory}|F=-1"));
}

#[test]
fn in_a_file_of_others_that_root_includes_nothing_is_expanded() {
    let text = "[vassal]\nenv = A=@(/etc/shadow)\nenv = B=@(exec://id)\nenv = C=$(PATH)\nenv = D=-%(secret)\nenv = E=%%\n";
    let world = world().with_file("/srv/t/more.ini", text).with_file("/etc/vassals/more.ini", text);
    let lines = format!("{HEAD}set-placeholder = secret=s\ninclude = /srv/t/more.ini\n");
    let (spec, told) = read(&lines, &world);
    let env: Vec<_> = spec.unwrap().app.env.into_iter().map(|(_, value)| value).collect();
    assert_eq!(env, ["@(/etc/shadow)", "@(exec://id)", "$(PATH)", "-%(secret)", "%"]);
    assert!(
        told.iter().any(|(code, line, shown)| (*code, *line) == (Code::OthersText, 6) && shown.contains("uid 7")),
        "{told:?}"
    );
    let (spec, _) = read(&lines.replace("/srv/t/", ""), &world);
    let env: Vec<_> = spec.unwrap().app.env.into_iter().map(|(_, value)| value).collect();
    assert_eq!(env, ["root:hash", RAN, "/bin:/usr/bin", "-s", "%"], "root's own is expanded");
}

#[test]
fn a_command_is_carried_out_only_where_root_has_written_it_out() {
    let own = world().with_file("/srv/t/line", "exec://id").with_file("/srv/t/exec", "[vassal]\nenv = A=@(exec://id)\n");
    assert_eq!(site("env = A=@(exec://id)", &own), format!("A={RAN}"));
    let others = own.clone().with_others("/etc/vassals", 9);
    for (world, lines, line, why) in [
        (&others, "env = A=@(exec://id)", 5, "only where it stands in a file that only root can write"),
        (&others, "include = exec://id.ini", 5, "only where it stands in a file that only root can write"),
        (&others, "for-readline = exec://id\nenv = A=%(_)\nendfor =", 5, "only where it stands in a file"),
        (&own, "for-readline = /srv/t/line\nenv = A=@(%(_))\nendfor =", 6, "text that others than root choose"),
        (&own, "for-readline = /srv/t/line\nenv = A=@(exec://%(_))\nendfor =", 6, "text that others than root choose"),
        (
            &own.clone().with_file("/srv/t/line", "exec://id.ini"),
            "for-readline = /srv/t/line\ninclude = %(_)\nendfor =",
            6,
            "text that others than root choose",
        ),
        (&own.clone().with_env("X", "exec://id"), "env = A=@($(X))", 5, "only where it is written out"),
    ] {
        let (code, at, shown) = error(&format!("{HEAD}{lines}\n"), world);
        assert_eq!((code, at), (Code::OthersText, line), "{lines}: {shown}");
        assert!(shown.contains(why) && shown.contains("hint: "), "{lines}: {shown}");
    }
}

#[test]
fn what_a_command_writes_is_not_expanded() {
    let world = world()
        .with_file("exec://say", "@(exec://id) $(PATH) %(uid)\n")
        .with_file("exec://lines.ini", "[vassal]\nenv = A=@(exec://id)\nenv = B=$(PATH)\n");
    assert_eq!(site("env = A=@(exec://say)", &world), "A=@(exec://id) $(PATH) %(uid)");
    assert_eq!(site("for-readline = exec://say\nenv = A=%(_)\nendfor =", &world), "A=@(exec://id) $(PATH) %(uid)");
    assert_eq!(site("include = exec://lines.ini", &world), "A=@(exec://id)|B=$(PATH)");
}

#[test]
fn others_choose_no_signs_in_what_root_carries_out() {
    let of = |name: &str| world().with_file(&format!("/srv/t/{name}.zip"), "");
    for (line, is_refused) in [
        ("exec-as-root = fuse-zip %(_) /x", true),
        ("hook-as-root = mount:none %(_) /x bind", true),
        ("privileged-binary-patch-arg = a %(_)", true),
        ("pivot_root = %(_) /old", true),
        ("attach-daemon2 = cmd=a %(_)", true),
        ("exec-as-user = fuse-zip %(_) /x", false),
        ("attach-daemon = a %(_)", false),
        ("env = A=%(_)", false),
        ("set = %(_)=1", true),
    ] {
        let head = HEAD.replace("command = a\n", if line.contains("patch") { "" } else { "command = a\n" });
        let text = format!("{head}for-glob = /srv/t/*.zip\n{line}\nendfor =\n");
        for name in ["a;id", "a b", "a`id`", "a\nid", "a,uid=0"] {
            let refused = read(&text, &of(name))
                .1
                .into_iter()
                .any(|(code, _, shown)| code == Code::OthersText && shown.contains(" error: "));
            assert_eq!(refused, is_refused, "{line} {name}");
        }
        if !line.starts_with("set") {
            assert!(read(&text, &of("ключ-1_a.v2")).0.is_some(), "{line}");
        }
    }
}

/// A directory of a group's that deploys: who may write the file has no need of a name to have something carried out.
#[test]
fn what_is_no_more_foreign_than_the_file_is_taken_as_ever() {
    let more = "[vassal]\nenv = A=-%(x)$(PATH)@(word)\n";
    let world =
        world().with_others("/etc/vassals", 9).with_file("/etc/vassals/word", "a b").with_file("/etc/vassals/d/more.ini", more);
    let text = "set-placeholder = x=1\nexec-as-root = say @(word) %d\nfor-glob = /etc/vassals/d/*.ini\ninclude = %(_)\nendfor =";
    assert_eq!(site(text, &world), "A=-1/bin:/usr/bina b");
    let (_, told) = read(&format!("{HEAD}{text}\n"), &world);
    assert!(told.iter().all(|(code, ..)| *code != Code::OthersText), "{told:?}");
    // The tenant's is, for it as for root.
    let foreign = world.with_file("/srv/t/word", "a b");
    let (code, line, _) = error(&format!("{HEAD}{}\n", text.replace("@(word)", "@(/srv/t/word)")), &foreign);
    assert_eq!((code, line), (Code::OthersText, 6));
}

#[test]
fn what_a_uwsgi_is_given_it_does_not_expand_either() {
    let text = |line: &str| format!("[uwsgi]\n{line}\n");
    let world = world().with_file("/srv/t/site", "@(exec://id) $(PATH) %(chdir)").with_file("/srv/t/log", "%(uri) $(x)");
    let (spec, told) = read(&text("chdir = /\nenv = A=@(/srv/t/log)"), &world);
    let ProgramSpec::Uwsgi { options, .. } = spec.unwrap_or_else(|| panic!("{told:?}")).app.program else { panic!("a uwsgi") };
    assert_eq!(options[1], ("env".to_owned(), "A=%(uri) $(x)".to_owned()));
    let (code, line, shown) = error(&text("chdir = /\nenv = A=@(/srv/t/site)"), &world);
    assert_eq!((code, line), (Code::OthersText, 3));
    assert!(shown.contains("%(chdir)"), "{shown}");
}

#[test]
fn an_emperor_hands_on_nothing_that_would_be_expanded() {
    let world = world().with_file("/srv/t/site", "@(exec://id)").with_file("/srv/t/plain", "x");
    let read = |file: &str| {
        let text = format!("[uwsgi]\nemperor = /v\nvassal-set = env=A=@(/srv/t/{file})\n");
        read_emperor(Some(&Source::new("/etc/e.ini", text.as_bytes())), &[], &world).value
    };
    assert!(read("site").is_none());
    assert_eq!(read("plain").unwrap().vassal_set, [("env".to_owned(), "A=x".to_owned())]);
}

#[test]
fn who_else_may_have_chosen_it_is_told() {
    let world = world().with_file("/srv/t/a.conf", "x").with_file("/etc/x/a.conf", "x");
    for (lines, line) in [
        ("for-glob = /srv/t/*.conf\nenv = A=%(_)\nendfor =", 5),
        ("for-readline = /srv/t/a.conf\nenv = A=%(_)\nendfor =", 5),
        ("env = A=@(/srv/t/a.conf)", 5),
    ] {
        let (spec, told) = read(&format!("{HEAD}{lines}\n"), &world);
        assert!(spec.is_some(), "{lines}: {told:?}");
        let doubts: Vec<_> = told.iter().filter(|(code, ..)| *code == Code::OthersText).collect();
        assert!(matches!(doubts[..], [(_, at, shown)] if *at == line && shown.contains("(uid 7)")), "{lines}: {told:?}");
        let (_, told) = read(&format!("{HEAD}{}\n", lines.replace("/srv/t/", "/etc/x/")), &world);
        assert!(told.iter().all(|(code, ..)| *code != Code::OthersText), "{lines}: {told:?}");
        // The tenant's own file is no news to it.
        let theirs = world.clone().with_others("/etc/vassals", 7);
        let (_, told) = read(&format!("{HEAD}{lines}\n"), &theirs);
        assert!(told.iter().all(|(code, ..)| *code != Code::OthersText), "{lines}: {told:?}");
    }
}

#[test]
fn roots_own_text_is_expanded_as_ever() {
    let world = world().with_file("/etc/vassals/word", "w\n").with_file("/etc/vassals/common.ini", "[uwsgi]\nd = %(a)-$(PATH)\n");
    let text = "[uwsgi]\na = 1\nb = %(a)$(PATH)@(word)@(%nord)@(exec://id)\nfor = %(a) $(PATH)\nc = <%(_)>\nendfor =\nif-opt = a\n\
                e = -%(_)%(a)\nendif =\ninclude = %dcommon.ini\nset = f=-%(a)\n";
    let (pairs, told) = flatten(&Source::new("/etc/vassals/w.ini", text.as_bytes()), &["uwsgi"], false, &world);
    let told: Vec<_> = told.iter().filter(|told| told.is_error()).collect();
    let shown = show_config("uwsgi", &pairs);
    let has = |line: &str| shown.lines().any(|shown| shown == line);
    assert!(told.is_empty() && has(&format!("b = 1/bin:/usr/binww{RAN}")) && has("d = 1-/bin:/usr/bin"), "{told:?} {shown}");
    assert!(has("c = <1>") && has("c = </bin:/usr/bin>") && has("e = -11") && has("f = -1"), "{shown}");
}
