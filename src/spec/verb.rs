//! Hook actions: `[!]verb:argument`.
//!
//! uWSGI's `call` family looks a C function up by name in its own process. There is no such process here; the functions its
//! documentation uses are carried out as what they mean, any other is refused with its place.

use crate::known::nearest;
use crate::mount::{self, Wrong};
use crate::{
    Account, Code, Lookup, NoAnswer, Verb,
    identity::{ROOT, account_of},
    values,
};

/// Whose accounts the names in a hook are.
#[derive(Clone, Copy)]
pub(crate) enum NamesOf<'a> {
    /// The host's, which are looked up now.
    Host(&'a dyn Lookup),
    /// The new root's: the hook runs in there, and only init can look.
    NewRoot,
}

/// Verbs liege carries out.
const VERBS: [&str; 33] = [
    "alarm",
    "append",
    "appendn",
    "call",
    "callint",
    "callintret",
    "callret",
    "cd",
    "chdir",
    "chmod",
    "chown",
    "chown2",
    "creat",
    "create",
    "exec",
    "exit",
    "hostname",
    "log",
    "mkdir",
    "mount",
    "print",
    "putenv",
    "safeexec",
    "sticky",
    "umount",
    "unlink",
    "wait_for_dir",
    "wait_for_file",
    "wait_for_fs",
    "wait_for_socket",
    "write",
    "writefifo",
    "writen",
];

/// Verbs of uWSGI's that no hook of liege's carries out: three are its plugins' (libffi, psgi, libtcc).
const OF_UWSGI: [&str; 7] = ["ffi", "perl", "retryrpc", "rpc", "spinningfifo", "tcc", "unix_signal"];

/// Whether uWSGI would understand the verb of a hook that is left to it, and the words of a mount. The rest is its business.
pub(crate) fn check_for_uwsgi(text: &str) -> Result<(), Wrong> {
    let (name, argument) = split(text.strip_prefix('!').unwrap_or(text))?;
    match name {
        "mount" => mount::check_for_uwsgi(argument),
        "umount" => mount::check_umount_for_uwsgi(argument),
        known if VERBS.contains(&known) || OF_UWSGI.contains(&known) => Ok(()),
        _ => Err(unknown(name, argument, VERBS.into_iter().chain(OF_UWSGI))),
    }
}

/// Parses `[!]verb:argument`; the flag says whether the argument is to be hidden from logs.
pub(crate) fn parse(text: &str, names: NamesOf<'_>) -> Result<(Verb, bool), Wrong> {
    let (hidden, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
    let (name, argument) = split(text)?;
    action(name, argument, names).map(|verb| (verb, hidden))
}

fn split(text: &str) -> Result<(&str, &str), Wrong> {
    text.split_once(':').ok_or_else(|| {
        let wrong = Wrong::new(text, "a hook is written VERB:ARGUMENT").of(Code::UnknownVerb);
        wrong.hint(format!("for a command: exec:{text}"))
    })
}

fn unknown<'a>(name: &str, argument: &str, verbs: impl Iterator<Item = &'a str>) -> Wrong {
    let wrong = Wrong::new(name, format!("unknown hook verb \"{name}\"")).of(Code::UnknownVerb);
    match nearest(name, verbs) {
        Some(near) => wrong.hint(format!("did you mean {near}?")),
        None => wrong.hint(format!("for a command: exec:{name}:{argument}")),
    }
}

fn action(name: &str, argument: &str, names: NamesOf<'_>) -> Result<Verb, Wrong> {
    let own = || argument.to_owned();
    Ok(match name {
        "exec" => Verb::Exec(command(argument)?),
        "safeexec" => Verb::SafeExec(command(argument)?),
        "mount" => mount::mount(argument)?,
        "umount" => mount::umount(argument)?,
        "cd" | "chdir" => Verb::Chdir(own()),
        "mkdir" => Verb::Mkdir(own()),
        "chmod" => {
            let (path, mode) = two(name, argument, "PATH MODE")?;
            Verb::Chmod(path.to_owned(), values::octal(mode).map_err(|why| Wrong::new(mode, why))?)
        }
        "chown" | "chown2" => chown(name, argument, names)?,
        "sticky" => Verb::Sticky(own()),
        "create" | "creat" => Verb::Create(own()),
        "write" | "append" => {
            let (path, text) = two(name, argument, "PATH TEXT")?;
            Verb::Write { path: path.to_owned(), text: text.to_owned(), append: name == "append" }
        }
        // appendn without a text appends a newline alone; so does writen here, where uWSGI gives up.
        "writen" | "appendn" => {
            let (path, text) = argument.split_once(' ').unwrap_or((argument, ""));
            Verb::Write { path: path.to_owned(), text: format!("{text}\n"), append: name == "appendn" }
        }
        "writefifo" => {
            let (path, text) = two(name, argument, "PATH TEXT")?;
            Verb::WriteFifo(path.to_owned(), text.to_owned())
        }
        "unlink" => Verb::Unlink(own()),
        "hostname" => Verb::Hostname(own()),
        "putenv" => putenv(argument)?,
        "print" | "log" => Verb::Print(own()),
        "exit" if argument.is_empty() => Verb::Exit(0),
        "exit" => Verb::Exit(argument.parse().map_err(|_| Wrong::new(argument, "an exit status is a number from 0 to 255"))?),
        "wait_for_fs" => Verb::WaitForFs(own()),
        "wait_for_file" => Verb::WaitForFile(own()),
        "wait_for_dir" => Verb::WaitForDir(own()),
        "wait_for_socket" => Verb::WaitForSocket(socket(argument)?),
        "call" | "callret" | "callint" | "callintret" => call(name, argument)?,
        "rpc" | "retryrpc" => return Err(refused(name, "there is no uWSGI process here to call")),
        "unix_signal" => return Err(refused(name, "it installs a C function of uWSGI as a signal handler")),
        "spinningfifo" => return Err(refused(name, "it retries for ever").hint("wait_for_file:PATH, then writefifo:PATH TEXT")),
        "alarm" => {
            two(name, argument, "ALARM MESSAGE")?;
            Verb::Alarm
        }
        _ => return Err(unknown(name, argument, VERBS.into_iter())),
    })
}

/// A path, an abstract name behind `@`, or `ADDRESS:PORT`. No host name: whoever waits is inside the vassal and asks nobody.
pub(crate) fn socket(name: &str) -> Result<String, Wrong> {
    let Some((host, port)) = name.rsplit_once(':').filter(|_| !name.starts_with(['/', '@', '.'])) else {
        return Ok(name.to_owned());
    };
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    match format!("{host}:{port}").parse::<std::net::SocketAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => {
            let wrong = Wrong::new(name, format!("\"{name}\" is neither a path nor ADDRESS:PORT in numbers"));
            Err(wrong.hint("names of hosts are not looked up inside a vassal"))
        }
    }
}

/// The functions uWSGI's documentation calls by name, and what they do.
fn call(name: &str, argument: &str) -> Result<Verb, Wrong> {
    let (function, rest) = argument.split_once(' ').unwrap_or((argument, ""));
    match (function, rest) {
        ("chdir", path) if !path.is_empty() => Ok(Verb::Chdir(path.to_owned())),
        ("putenv", pair) if !pair.is_empty() => putenv(pair),
        ("unlink", path) if !path.is_empty() => Ok(Verb::Unlink(path.to_owned())),
        ("umount", path) if !path.is_empty() => mount::umount(path),
        ("uwsgi_log", text) => Ok(Verb::Print(text.to_owned())),
        _ => {
            let why = format!(
                "{name}:{function} calls a C function inside uWSGI; liege knows chdir, putenv, unlink, umount, uwsgi_log"
            );
            Err(Wrong::new(function, why).of(Code::NotSupported).hint("say it with a verb of its own, or exec:"))
        }
    }
}

fn command(line: &str) -> Result<String, Wrong> {
    if line.trim().is_empty() {
        Err(Wrong::new(line, "the command is empty").of(Code::MissingValue))
    } else {
        Ok(line.to_owned())
    }
}

/// `NAME=VALUE`; a name alone is taken out of the environment, as by `putenv(3)`.
fn putenv(pair: &str) -> Result<Verb, Wrong> {
    if pair.split('=').next().is_some_and(|name| !name.is_empty()) {
        return Ok(Verb::Putenv(pair.to_owned()));
    }
    Err(Wrong::new(pair, "an environment variable is written NAME=VALUE"))
}

fn two<'a>(name: &str, argument: &'a str, form: &str) -> Result<(&'a str, &'a str), Wrong> {
    argument.split_once(' ').ok_or_else(|| Wrong::new(argument, format!("{name} needs {form}")))
}

/// `chown` takes names (numbers too, here), `chown2` numbers.
fn chown(name: &str, argument: &str, names: NamesOf<'_>) -> Result<Verb, Wrong> {
    let needs = || Wrong::new(argument, format!("{name} needs PATH USER GROUP"));
    let (path, ids) = argument.split_once(' ').ok_or_else(needs)?;
    let (user, group) = ids.split_once(' ').ok_or_else(needs)?;
    if name == "chown2" {
        let number = |text: &str| {
            let number = text.parse().map(Account::Number);
            number.map_err(|_| Wrong::new(text, format!("\"{text}\" is no number (chown takes names)")))
        };
        return Ok(Verb::Chown(path.to_owned(), number(user)?, number(group)?));
    }
    let (user, group) = match names {
        NamesOf::NewRoot => (account_of(user), account_of(group)),
        NamesOf::Host(lookup) => {
            let nobody = |kind: &str, name: &str, code| Wrong::new(name, format!("there is no {kind} \"{name}\"")).of(code);
            let unasked = |name| move |why: NoAnswer| Wrong::new(name, why.to_string()).of(Code::Unreadable);
            let uid = match user {
                ROOT => 0,
                user => lookup.user(user).map_err(unasked(user))?.ok_or_else(|| nobody("user", user, Code::UnknownUser))?.0,
            };
            let gid = match group {
                ROOT => 0,
                group => {
                    lookup.group(group).map_err(unasked(group))?.ok_or_else(|| nobody("group", group, Code::UnknownGroup))?
                }
            };
            (Account::Number(uid), Account::Number(gid))
        }
    };
    Ok(Verb::Chown(path.to_owned(), user, group))
}

fn refused(name: &str, why: &str) -> Wrong {
    Wrong::new(name, format!("{name} is not supported: {why}")).of(Code::NotSupported)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TableLookup;

    #[test]
    fn verbs() {
        let lookup = TableLookup::default().with_user("shop", 1001, 1002);
        for (line, meant) in [
            ("exec:a b", Verb::Exec("a b".into())),
            ("safeexec:a", Verb::SafeExec("a".into())),
            ("callret:chdir /", Verb::Chdir("/".into())),
            ("cd:/x", Verb::Chdir("/x".into())),
            ("callint:putenv A=b c", Verb::Putenv("A=b c".into())),
            ("putenv:A", Verb::Putenv("A".into())),
            ("call:uwsgi_log hello there", Verb::Print("hello there".into())),
            ("chmod:/x 0755", Verb::Chmod("/x".into(), 0o755)),
            ("chown:/x shop shop", Verb::Chown("/x".into(), Account::Number(1001), Account::Number(1002))),
            ("chown2:/x 5 6", Verb::Chown("/x".into(), Account::Number(5), Account::Number(6))),
            ("write:/x a b", Verb::Write { path: "/x".into(), text: "a b".into(), append: false }),
            ("appendn:/x", Verb::Write { path: "/x".into(), text: "\n".into(), append: true }),
            ("writefifo:/x r", Verb::WriteFifo("/x".into(), "r".into())),
            ("exit:", Verb::Exit(0)),
            ("exit:7", Verb::Exit(7)),
            ("print:", Verb::Print(String::new())),
            ("wait_for_socket:/s", Verb::WaitForSocket("/s".into())),
            ("wait_for_socket:@s:1", Verb::WaitForSocket("@s:1".into())),
            ("wait_for_socket::80", Verb::WaitForSocket("127.0.0.1:80".into())),
            ("wait_for_socket:[::1]:80", Verb::WaitForSocket("[::1]:80".into())),
            ("writen:/x", Verb::Write { path: "/x".into(), text: "\n".into(), append: false }),
            ("alarm:page it is late", Verb::Alarm),
        ] {
            assert_eq!(parse(line, NamesOf::Host(&lookup)), Ok((meant, false)), "{line}");
        }
        assert_eq!(parse("!exec:a", NamesOf::Host(&lookup)), Ok((Verb::Exec("a".into()), true)));
    }

    #[test]
    fn a_name_of_the_new_root_stays_a_name() {
        let named = |name: &str| Account::Name(name.into());
        for (line, user, group) in [
            ("chown:/x only-there web", named("only-there"), named("web")),
            ("chown:/x 1001 web", Account::Number(1001), named("web")),
            ("chown:/x root root", Account::Number(0), Account::Number(0)),
            ("chown2:/x 5 6", Account::Number(5), Account::Number(6)),
        ] {
            assert_eq!(parse(line, NamesOf::NewRoot), Ok((Verb::Chown("/x".into(), user, group), false)), "{line}");
        }
        assert_eq!(parse("chown2:/x only-there 6", NamesOf::NewRoot).unwrap_err().word, "only-there");
    }

    #[test]
    fn refusals_name_the_word() {
        let lookup = TableLookup::default();
        for (line, word, message) in [
            ("ls -l", "ls -l", "VERB:ARGUMENT"),
            ("exce:ls", "exce", "unknown hook verb"),
            ("call:fork", "fork", "C function"),
            ("call:chdir", "chdir", "C function"),
            ("rpc:x", "rpc", "not supported"),
            ("unix_signal:1 f", "unix_signal", "not supported"),
            ("spinningfifo:/x y", "spinningfifo", "not supported"),
            ("alarm:x", "x", "ALARM MESSAGE"),
            ("wait_for_socket:db:5432", "db:5432", "in numbers"),
            ("writn:/x a", "writn", "unknown hook verb"),
            ("chown:/x nobodyknows root", "nobodyknows", "no user"),
            ("chmod:/x 9", "9", "octal"),
            ("putenv:=b", "=b", "NAME=VALUE"),
            ("exit:300", "300", "0 to 255"),
            ("exec:  ", "  ", "empty"),
        ] {
            let wrong = parse(line, NamesOf::Host(&lookup)).unwrap_err();
            assert_eq!(wrong.word, word, "{line}");
            assert!(wrong.message.contains(message), "{}", wrong.message);
        }
    }
}
