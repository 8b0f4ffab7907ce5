//! Which option of a uwsgi's file asks for an app, or for a router, and which plugin serves that.
//!
//! A uwsgi without the plugin ignores the option, says nothing about it, and serves nothing, or listens nowhere. Debian's uwsgi has no language built in,
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

/// The options that ask for a router at an address, and the plugin for it. (`http-socket` needs none.)
const ROUTERS: [(&[&str], &str); 6] = [
    (&["http", "http-router", "https", "https2"], "http"),
    (&["fastrouter"], "fastrouter"),
    (&["rawrouter"], "rawrouter"),
    (&["sslrouter", "sslrouter2"], "sslrouter"),
    (&["forkptyrouter", "forkpty-router"], "forkptyrouter"),
    (&["zergpool", "zerg-pool"], "zergpool"),
];

/// Options that name plugins.
const NAMING: [&str; 4] = ["plugin", "plugins", "need-plugin", "need-plugins"];

/// Options with which a uwsgi may load plugins that no line of this file names.
const ELSEWHERE: [&str; 10] = ["autoload", "config", "emperor", "json", "ldap", "sqlite3", "xml", "xmlconfig", "yaml", "yml"];

/// Where distributions put the plugins of a uwsgi that has no language built in.
const OF_DISTRIBUTIONS: [&str; 3] = ["/usr/lib/uwsgi/plugins", "/usr/lib64/uwsgi", "/usr/lib/uwsgi"];

/// An option of a uwsgi that a plugin may have to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served<'a> {
    /// Its name.
    pub key: &'a str,
    /// Which app, or where.
    pub value: &'a str,
    /// The plugin that serves it, where no line names one that does.
    pub lacks: Option<&'static str>,
}

/// What a uwsgi's file says of plugins.
struct Plugins<'a> {
    options: &'a [(String, String)],
    named: Vec<&'a str>,
    /// Others may come from where no line of the file tells.
    are_all_known: bool,
}

impl<'a> Plugins<'a> {
    fn of(spec: &'a VassalSpec) -> Option<Self> {
        let ProgramSpec::Uwsgi { binary, options } = &spec.app.program else { return None };
        let named = options.iter().filter(|(key, _)| NAMING.contains(&key.as_str())).map(|(_, value)| value.as_str());
        // A uwsgi called uwsgi_python3 loads that plugin by itself.
        let by_its_name = binary.rsplit('/').next().and_then(|name| name.strip_prefix("uwsgi_"));
        let named = named.flat_map(|value| value.split(',')).chain(by_its_name).collect();
        let are_all_known = !options.iter().any(|(key, _)| ELSEWHERE.contains(&key.as_str()));
        Some(Self { options, named, are_all_known })
    }

    fn lack(&self, plugin: &'static str, serves: impl Fn(&str) -> bool) -> Option<&'static str> {
        (self.are_all_known && !self.named.iter().any(|name| serves(name))).then_some(plugin)
    }
}

/// The first option of a uwsgi's file that asks for an app. One that lacks its plugin comes before the others.
#[must_use]
pub fn app_option(spec: &VassalSpec) -> Option<Served<'_>> {
    let plugins = Plugins::of(spec)?;
    let apps = plugins.options.iter().filter_map(|(key, value)| {
        let (_, plugin, served_by) = APPS.iter().find(|(keys, ..)| keys.contains(&key.as_str()))?;
        let lacks = plugins.lack(plugin, |name| served_by.iter().any(|part| name.contains(part)));
        Some(Served { key, value, lacks })
    });
    apps.min_by_key(|app| app.lacks.is_none()) // the first of them
}

/// The first option of a uwsgi's file that asks for a router whose plugin no line names.
#[must_use]
pub fn router_without_plugin(spec: &VassalSpec) -> Option<Served<'_>> {
    let plugins = Plugins::of(spec)?;
    plugins.options.iter().find_map(|(key, value)| {
        let (_, plugin) = ROUTERS.iter().find(|(keys, _)| keys.contains(&key.as_str()))?;
        // Not `router_http`, which is another one.
        let is_it =
            |name: &str| name.trim().rsplit('/').next().is_some_and(|name| name.trim_end_matches("_plugin.so") == *plugin);
        Some(Served { key, value, lacks: Some(plugins.lack(plugin, is_it)?) })
    })
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
