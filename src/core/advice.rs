//! What to do about a failure, as far as its own words tell: the advice an experienced operator would give.

/// What helps against what a mounting program said last. `owner`: the uid it ran as, where it was the vassal's.
pub(crate) fn for_mounting(said: &str, owner: Option<u32>) -> Option<String> {
    let said = said.to_lowercase();
    let has = |words: &str| said.contains(words);
    if has("no write access to mountpoint") {
        let to = owner.map_or_else(|| "the user who mounts".to_owned(), |uid| format!("uid {uid}"));
        return Some(format!("chown the mount point to {to}: only who owns it may mount there"));
    }
    if !has("mount point") && !has("mountpoint") {
        return None;
    }
    if has("transport endpoint is not connected") {
        return Some("a dead mount is there from before: umount -l it on the host".to_owned());
    }
    has("no such file").then(|| "mkdir the mount point".to_owned())
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

#[cfg(test)]
mod tests {
    use super::{for_foreground, for_mounting};

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
