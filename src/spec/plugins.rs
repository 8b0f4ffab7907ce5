//! Which option of a uwsgi's file asks for an app, and which plugin serves that app.
//!
//! A uwsgi without the plugin ignores the option, says nothing about it, and serves nothing. Debian's uwsgi has no language built in,
//! but another one may have. So a lack found here is a guess: it only goes into sentences for people.

use crate::{ProgramSpec, VassalSpec};

/// The options that ask for an app; the plugin to name; the parts of plugin names that serve it.
const APPS: [(&[&str], &str, &[&str]); 9] = [
    (&["psgi"], "psgi", &["psgi", "coroae"]),
    (&["wsgi-file", "wsgi", "module", "paste", "web3", "pump"], "python3", &["python", "pypy"]),
    (&["rack", "rails"], "rack", &["rack", "ruby", "rbthreads", "fiber"]),
    (&["lua"], "lua", &["lua"]),
    (&["php-app", "php-docroot"], "php", &["php"]),
    (&["cgi"], "cgi", &["cgi"]),
    (&["jwsgi"], "jvm,jwsgi", &["jwsgi"]),
    (&["ring-app"], "jvm,ring", &["ring"]),
    (&["mono-app"], "mono", &["mono"]),
];

/// Options that name plugins.
const NAMING: [&str; 4] = ["plugin", "plugins", "need-plugin", "need-plugins"];

/// Options with which a uwsgi may load plugins that no line of this file names.
const ELSEWHERE: [&str; 10] = ["autoload", "config", "emperor", "json", "ldap", "sqlite3", "xml", "xmlconfig", "yaml", "yml"];

/// Where distributions put the plugins of a uwsgi that has no language built in.
const OF_DISTRIBUTIONS: [&str; 3] = ["/usr/lib/uwsgi/plugins", "/usr/lib64/uwsgi", "/usr/lib/uwsgi"];

/// An option that asks for an app of a uwsgi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppOption<'a> {
    /// Its name.
    pub key: &'a str,
    /// Which app.
    pub value: &'a str,
    /// The plugin that serves it, where no line names one that does.
    pub lacks: Option<&'static str>,
}

/// The first option of a uwsgi's file that asks for an app. One that lacks its plugin comes before the others.
#[must_use]
pub fn app_option(spec: &VassalSpec) -> Option<AppOption<'_>> {
    let ProgramSpec::Uwsgi { binary, options } = &spec.app.program else { return None };
    let has = |names: &[&str]| options.iter().any(|(key, _)| names.contains(&key.as_str()));
    let named = options.iter().filter(|(key, _)| NAMING.contains(&key.as_str())).map(|(_, value)| value.as_str());
    // A uwsgi called uwsgi_python3 loads that plugin by itself.
    let by_its_name = binary.rsplit('/').next().and_then(|name| name.strip_prefix("uwsgi_"));
    let plugins: Vec<&str> = named.flat_map(|value| value.split(',')).chain(by_its_name).collect();
    let apps = options.iter().filter_map(|(key, value)| {
        let (_, plugin, served_by) = APPS.iter().find(|(keys, ..)| keys.contains(&key.as_str()))?;
        let is_served = plugins.iter().any(|name| served_by.iter().any(|part| name.contains(part)));
        Some(AppOption { key, value, lacks: (!is_served && !has(&ELSEWHERE)).then_some(*plugin) })
    });
    apps.min_by_key(|app| app.lacks.is_none()) // the first of them
}

/// Whether its uwsgi is a distribution's, as far as the files of its root tell.
pub(crate) fn is_of_a_distribution(spec: &VassalSpec, is_there: &dyn Fn(&str) -> bool) -> bool {
    let ProgramSpec::Uwsgi { binary, .. } = &spec.app.program else { return false };
    let jail = &spec.jail;
    let new_root = jail.pivot_root.as_ref().map(|pivot| pivot.value.new.as_str());
    let root = new_root.or_else(|| jail.chroot.as_ref().map(|root| root.value.as_str())).unwrap_or_default();
    let inside = |path: &str| is_there(&format!("{}{path}", root.trim_end_matches('/')));
    let is_the_systems = match binary.as_str() {
        "uwsgi" => !inside("/usr/local/bin/uwsgi"), // pip's comes first there
        binary => binary.starts_with("/usr/bin/uwsgi"),
    };
    is_the_systems && OF_DISTRIBUTIONS.into_iter().any(inside)
}
