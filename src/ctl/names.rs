//! Names as people type them: `app1` is `app1.ini`, and the last part of a path is enough, as long as only one can be meant.
//!
//! Deliberately not here: prefixes. `liege stop shop` must never hit `shop-archive.ini`.

use liege_core::Name;

use crate::Failure;

/// The whole name.
///
/// # Errors
/// Nobody is called so, or several could be meant.
pub fn resolve<'a>(typed: &str, known: impl Iterator<Item = &'a Name> + Clone) -> Result<Name, Failure> {
    if let Some(name) = known.clone().find(|name| ***name == *typed) {
        return Ok(name.clone());
    }
    let meant: Vec<&Name> = known.filter(|name| is_meant(typed, name)).collect();
    match meant.as_slice() {
        [] => Err(Failure::NoSuchVassal { name: typed.to_owned() }),
        [name] => Ok((*name).clone()),
        several => {
            Err(Failure::Ambiguous { name: typed.to_owned(), meant: several.iter().map(|name| name.to_string()).collect() })
        }
    }
}

fn is_meant(typed: &str, name: &str) -> bool {
    let stem = |name: &str| name.rsplit_once('.').map_or_else(String::new, |(stem, _)| stem.to_owned());
    let last = name.rsplit('/').next().unwrap_or(name);
    !typed.is_empty() && [stem(name), last.to_owned(), stem(last)].iter().any(|short| short == typed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(typed: &str, known: &[&str]) -> String {
        let known: Vec<Name> = known.iter().map(|name| Name::from(*name)).collect();
        resolve(typed, known.iter()).map_or_else(|failure| failure.to_string(), |name| name.to_string())
    }

    #[test]
    fn the_short_form_of_one_is_enough() {
        let known = ["app1.ini", "app10.ini", "/etc/a/shop.ini", "/etc/b/blog.ini", "/etc/a/blog.ini", "app1"];
        assert_eq!(resolved("app10", &known), "app10.ini");
        assert_eq!(resolved("shop", &known), "/etc/a/shop.ini");
        assert_eq!(resolved("/etc/b/blog", &known), "/etc/b/blog.ini");
        assert_eq!(resolved("app1", &known), "app1", "the whole name comes first");
        assert_eq!(resolved("blog", &known), "several could be meant by blog: /etc/b/blog.ini, /etc/a/blog.ini");
        for none in ["app", "", "etc", "ini"] {
            assert_eq!(resolved(none, &known), format!("no vassal is called {none}"));
        }
    }
}
