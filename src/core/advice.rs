//! What to do about a failure, as far as its own words tell: the advice an experienced operator would give.

use liege_spec::{ProgramSpec, VassalSpec, app_option, router_without_plugin};

use crate::address::{named_in, sockets};

/// What helps against what a mounting program said last. `owner`: the uid it ran as, where it was the vassal's.
pub(crate) fn for_mounting(said: &str, owner: Option<u32>) -> Option<String> {
    let said = said.to_lowercase();
    let has = |words: &str| said.contains(words);
    if has("no write access to mountpoint") {
        let to = owner.map_or_else(|| "the user who mounts".to_owned(), |uid| format!("uid {uid}"));
        return Some(format!("chown the mount point to {to}: only who owns it may mount there"));
    }
    if has("must be superuser to use mount") || has("only root can do that") {
        return Some("exec-as-root = LINE mounts it as root".to_owned());
    }
    if !has("mount point") && !has("mountpoint") {
        return None;
    }
    if has("is not empty") {
        return Some("empty it: files under a mount are hidden, and -o nonempty mounts over them".to_owned());
    }
    if has("transport endpoint is not connected") {
        return Some("a dead mount is there from before: umount -l it on the host".to_owned());
    }
    has("no such file").then(|| "mkdir the mount point".to_owned())
}

/// The option of a uwsgi's file that a line of the uwsgi is about, where that line does not name it: `psgi = /srv/app.psgi`, or what the
/// option lacks, `psgi needs plugin = psgi`.
pub(crate) fn option_meant(said: &str, spec: &VassalSpec) -> Option<String> {
    if said.starts_with("bind(): ") && named_in(said).is_empty() {
        // It is one of them: more than a few would say nothing.
        return Some(sockets(spec)).filter(|sockets| (1..=3).contains(&sockets.len())).map(|sockets| sockets.join(" or "));
    }
    if let Some(option) = OBJECTS.iter().find(|(words, _)| said.contains(words)).and_then(|(_, keys)| last_of(spec, keys)) {
        return Some(option).filter(|option| !said.contains(option));
    }
    let has_no_socket = said.contains("-s/--socket option is missing");
    if let Some(router) = router_without_plugin(spec)
        && (has_no_socket || said.contains(&format!("unknown config directive: {}", router.key)))
    {
        return router.lacks.map(|plugin| format!("{} needs plugin = {plugin}", router.key));
    }
    if has_no_socket {
        return Some("no line says where it listens (http-socket = ADDRESS, or socket)".to_owned());
    }
    let app = app_option(spec)?;
    let is_unknown = said.contains(&format!("unknown config directive: {}", app.key)); // with strict
    let is_unserved = said.contains("no app loaded");
    if let Some(plugin) = app.lacks.filter(|_| is_unknown || is_unserved) {
        return Some(format!("{} needs plugin = {plugin}", app.key));
    }
    // Perl does not name a file that it does not find, and Python does not name the module without the callable.
    let is_failed = said.contains("unable to load app ") || said.contains("unable to find PSGI function");
    ((is_unserved || is_failed) && !said.contains(app.value)).then(|| format!("{} = {}", app.key, app.value))
}

/// What a uwsgi says of something that one of its options names, without its name.
const OBJECTS: [(&str, &[&str]); 3] = [
    ("chdir(): ", &["chdir"]),
    ("[spooler directory] ", &["spooler", "spooler-external"]),
    // Python looks for all it is made of where a virtualenv is said to be.
    ("No module named 'encodings'", &["virtualenv", "venv", "home", "pyhome"]),
];

/// The last option of a uwsgi with one of these names: `chdir = /srv/app`.
fn last_of(spec: &VassalSpec, keys: &[&str]) -> Option<String> {
    let ProgramSpec::Uwsgi { options, .. } = &spec.app.program else { return None };
    let option = options.iter().rfind(|(key, _)| keys.contains(&key.as_str()));
    option.map(|(key, value)| format!("{key} = {value}"))
}

/// What helps where a program of a hook does not end. `step`: in words, `exec fuse-zip -f ... (shop.ini:4: exec-as-user)`.
pub(crate) fn for_foreground(step: &str) -> Option<String> {
    let command = step.strip_prefix("exec ")?;
    let stays = command.split_whitespace().find(|word| ["-f", "--foreground", "-foreground", "--nodaemon"].contains(word));
    Some(match stays {
        Some(word) => {
            format!("{word} keeps it in the foreground, and the app starts when it ends: leave it out, or end the line with &")
        }
        None => {
            "the app starts when it ends: a program that stays in the foreground needs & at its end, or attach-daemon".to_owned()
        }
    })
}

/// What keeps a program in the foreground that did not stay there. `program`: its command line, and the names of its processes.
pub(crate) fn for_background(program: &str) -> String {
    let known = [
        ("gunicorn", "leave out -D and --daemon"),
        ("nginx", "add -g 'daemon off;'"),
        ("redis-server", "add --daemonize no"),
        ("uwsgi", "leave out daemonize and daemonize2"),
        ("php-fpm", "add -F"),
        ("apache2", "add -DFOREGROUND"),
        ("httpd", "add -DFOREGROUND"),
        ("memcached", "leave out -d"),
        ("celery", "use celery worker, not multi, and leave out --detach"),
    ];
    let hint =
        known.iter().find(|(name, _)| program.contains(name)).map_or("its own option for that is needed", |(_, hint)| hint);
    format!("it has to stay in the foreground: {hint}")
}

#[cfg(test)]
mod tests {
    use super::{for_background, for_foreground, for_mounting};

    #[test]
    fn a_program_in_the_background_is_told_how_to_stay() {
        assert!(for_background("/usr/bin/gunicorn -D app:app").ends_with("leave out -D and --daemon"));
        assert!(for_background("sh /srv/start.sh nginx").ends_with("add -g 'daemon off;'"));
        assert!(for_background("python3 app.py").contains("has to stay in the foreground"));
    }

    #[test]
    fn a_program_in_the_foreground_is_told_from_a_wait() {
        let advice = |step| for_foreground(step).unwrap_or_default();
        assert!(advice("exec fuse-zip -f -r /a /b (v.ini:4: exec-as-user)").starts_with("-f keeps it in the foreground"));
        assert!(advice("exec sleep 1000").contains("needs & at its end"));
        assert_eq!((advice("wait for /run/x"), advice("a hook")), (String::new(), String::new()));
    }

    #[test]
    fn what_fuse_says_is_answered() {
        for (said, advice) in [
            ("fusermount3: user has no write access to mountpoint /app", Some("chown the mount point to uid 33")),
            ("fuse: bad mount point `/app': No such file or directory", Some("mkdir the mount point")),
            ("fuse: bad mount point `/app': Transport endpoint is not connected", Some("a dead mount is there from before")),
            ("fuse: mountpoint is not empty", Some("empty it")),
            ("mount: /m: must be superuser to use mount.", Some("exec-as-root = LINE mounts it")),
            ("fuse-zip: cannot open /srv/shop.zip: No such file or directory", None),
            ("exited with status 3", None),
        ] {
            let found = for_mounting(said, Some(33));
            assert_eq!(
                found.as_deref().map(|text| advice.is_some_and(|advice| text.starts_with(advice))),
                advice.map(|_| true),
                "{said}"
            );
        }
    }
}
