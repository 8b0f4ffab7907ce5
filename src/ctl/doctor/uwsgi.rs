//! The host's uwsgi: needed by vassals that have no command of their own and keep the host's root.

use std::{fs, process::Command};

use super::{
    finding::{Finding, Subject},
    program,
};

const UWSGI: Subject = Subject("uwsgi");
/// Where distributions put its plugins.
const PLUGINS: [&str; 4] = ["/usr/lib/uwsgi/plugins", "/usr/lib64/uwsgi", "/usr/lib/uwsgi", "/usr/local/lib/uwsgi"];
/// Those that run somebody's program; the others serve uwsgi itself.
const LANGUAGES: [&str; 11] = ["cgi", "gccgo", "jvm", "lua", "mono", "php", "psgi", "python", "rack", "ruby", "v8"];

pub(super) fn look() -> Vec<Finding> {
    let Some(path) = program("uwsgi") else {
        let none = UWSGI.missing("program", "no uwsgi is in PATH");
        let none = none.costs("vassals without a command need one (or binary-path, or one in their own root)");
        return vec![none.mended_by("apt install uwsgi-core")];
    };
    let shown = path.display();
    let version = match Command::new(&path).arg("--version").env_clear().output() {
        Ok(said) if said.status.success() => {
            UWSGI.ok("program", format!("{shown}, version {}", String::from_utf8_lossy(&said.stdout).trim()))
        }
        Ok(said) => broken(format!("{shown} --version: {}", said.status)),
        Err(why) => broken(format!("{shown}: {why}")),
    };
    vec![version, plugins()]
}

fn broken(how: String) -> Finding {
    let broken = UWSGI.missing("program", how).costs("vassals without a command do not start");
    broken.mended_by("apt install --reinstall uwsgi-core")
}

fn plugins() -> Finding {
    let mut all: Vec<String> = PLUGINS
        .iter()
        .flat_map(|directory| fs::read_dir(directory).into_iter().flatten().flatten())
        .filter_map(|entry| Some(entry.file_name().into_string().ok()?.strip_suffix("_plugin.so")?.to_owned()))
        .collect();
    all.sort();
    all.dedup();
    let languages: Vec<&str> = all.iter().map(String::as_str).filter(|name| is_language(name)).collect();
    if languages.is_empty() {
        return UWSGI
            .degraded("plugins", format!("{} plugins, none for a language", all.len()))
            .costs("only languages that are built into uwsgi run")
            .mended_by("apt install uwsgi-plugin-python3 uwsgi-plugin-psgi");
    }
    UWSGI.ok("plugins", format!("{}; {} others", languages.join(" "), all.len() - languages.len()))
}

/// `python311` too.
fn is_language(name: &str) -> bool {
    let version = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    LANGUAGES.iter().any(|language| name.strip_prefix(language).is_some_and(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_have_versions() {
        assert!(is_language("psgi") && is_language("python311") && is_language("lua5.4"));
        assert!(!is_language("router_cache") && !is_language("cgroups"));
    }
}
