//! Names to numbers, by the passwd and group files of the root init is in.
//!
//! A few lines of a parser instead of the name service: that would load libraries of a customer's root into pid 1. What is read
//! is a customer's text, so it is bounded, a line that is none is passed over, and no name in it makes anybody root: `root` or 0 in
//! the configuration does, which the operator wrote, and which comes here as the number.

use liege_plan::{Account, AccountRecord, Identity, Names};

/// More supplementary groups than anybody has; the kernel's own limit is 65536.
const MOST_GROUPS: usize = 4096;

/// The files of one root. None: it has no such file.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) passwd: Option<Vec<u8>>,
    pub(crate) group: Option<Vec<u8>>,
}

/// The whole identity of these names.
///
/// # Errors
/// One sentence: nobody has this name, or it would be root.
pub(crate) fn find(names: &Names, files: &Files) -> Result<Identity, String> {
    let (uid, user) = match &names.user {
        Account::Number(uid) => (*uid, files.users().find(|user| user.uid == *uid).map(|user| user.name)),
        Account::Name(name) => {
            let found = files.users().find(|user| user.name == name.as_bytes());
            let user = found.ok_or_else(|| files.nobody("user", name, "/etc/passwd", files.passwd.is_some()))?;
            (not_root("user", name, "/etc/passwd", user.uid)?, Some(user.name))
        }
    };
    let gid = files.number_of(&names.group)?;
    let mut groups = names.more.iter().map(|group| files.number_of(group)).collect::<Result<Vec<_>, _>>()?;
    if names.initgroups {
        groups.push(gid);
        for group in files.groups().filter(|group| user.is_some_and(|user| group.has(user))) {
            if uid != 0 {
                not_root("group", &String::from_utf8_lossy(group.name), "/etc/group", group.gid)?; // root gains nothing by it
            }
            groups.push(group.gid);
        }
    }
    groups.sort_unstable();
    groups.dedup();
    if groups.len() > MOST_GROUPS {
        return Err(format!("/etc/group of this root gives more than {MOST_GROUPS} groups"));
    }
    Ok(Identity { uid, gid, groups })
}

fn not_root(kind: &str, name: &str, file: &str, number: u32) -> Result<u32, String> {
    if number == 0 {
        return Err(format!(
            "{kind} {name} has the number 0 in {file} of this root: a name from there makes nobody root; write root, or 0, where root is meant"
        ));
    }
    Ok(number)
}

/// No home and no shell of a line that means something is longer.
const LONGEST: usize = 1024;

impl Files {
    /// What a user's line says besides its numbers: it is a tenant's text, so a word that is none or is endless counts as missing.
    pub(crate) fn account(&self, uid: u32) -> Option<AccountRecord> {
        let line = lines(self.passwd.as_deref()).find(|line| fields(line).is_some_and(|[.., id]| number(id) == Some(uid)))?;
        let word = |at: usize| {
            let word = line.split(|&b| b == b':').nth(at).filter(|word| !word.is_empty() && word.len() <= LONGEST)?;
            std::str::from_utf8(word).ok().filter(|word| !word.contains(char::is_control)).map(str::to_owned)
        };
        Some(AccountRecord {
            name: word(0)?,
            home: word(5).unwrap_or_else(|| "/".into()),
            shell: word(6).unwrap_or_else(|| "/bin/sh".into()),
        })
    }

    fn number_of(&self, group: &Account) -> Result<u32, String> {
        match group {
            Account::Number(gid) => Ok(*gid),
            Account::Name(name) => {
                let found = self.groups().find(|group| group.name == name.as_bytes());
                let group = found.ok_or_else(|| self.nobody("group", name, "/etc/group", self.group.is_some()))?;
                not_root("group", name, "/etc/group", group.gid)
            }
        }
    }

    fn nobody(&self, kind: &str, name: &str, file: &str, is_there: bool) -> String {
        if is_there {
            format!("there is no {kind} \"{name}\" in {file} of this root, where names count once the root has changed")
        } else {
            format!("this root has no {file} to find {kind} \"{name}\" in; write its number")
        }
    }

    fn users(&self) -> impl Iterator<Item = User<'_>> {
        lines(self.passwd.as_deref()).filter_map(|line| {
            let [name, _, uid] = fields(line)?;
            Some(User { name, uid: number(uid)? })
        })
    }

    fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        lines(self.group.as_deref()).filter_map(|line| {
            let [name, _, gid] = fields(line)?;
            let members = line.split(|&b| b == b':').nth(3).unwrap_or_default();
            Some(Group { name, gid: number(gid)?, members })
        })
    }
}

/// `NAME:PASSWORD:UID:...`
struct User<'a> {
    name: &'a [u8],
    uid: u32,
}

/// `NAME:PASSWORD:GID:MEMBER,MEMBER`
struct Group<'a> {
    name: &'a [u8],
    gid: u32,
    members: &'a [u8],
}

impl Group<'_> {
    fn has(&self, user: &[u8]) -> bool {
        self.members.split(|&b| b == b',').any(|member| member.trim_ascii() == user)
    }
}

fn lines(file: Option<&[u8]>) -> impl Iterator<Item = &[u8]> {
    file.unwrap_or_default().split(|&b| b == b'\n')
}

fn fields(line: &[u8]) -> Option<[&[u8]; 3]> {
    let mut fields = line.split(|&b| b == b':');
    let three = [fields.next()?, fields.next()?, fields.next()?];
    (!three[0].is_empty()).then_some(three)
}

/// A uid or gid. The highest number means "leave it as it is" to the kernel, so it is nobody's.
fn number(text: &[u8]) -> Option<u32> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number = if digits { std::str::from_utf8(text).ok()?.parse().ok() } else { None };
    number.filter(|number| *number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        let passwd = "root:x:0:0::/:/bin/sh\nbroken\n:x:9:9::\nshop:x:1001:1002::/:/bin/sh\nadmin:x:0:5::/:/bin/sh\n\
                      odd:x:4294967295:5::/:\nminus:x:-1:5::/:\nshop:x:0:0::/:/bin/sh\n";
        let group = "root:x:0:\nshop:x:1002:\nweb:x:44:shop,other\nmany:x:45: other , shop\nwheel:x:0:boss\nzero:x:00:\n";
        Files { passwd: Some(passwd.into()), group: Some(group.into()) }
    }

    fn named(user: &str, group: &str) -> Names {
        let account = |text: &str| text.parse().map_or_else(|_| Account::Name(text.into()), Account::Number);
        Names { user: account(user), group: account(group), more: Vec::new(), initgroups: true }
    }

    #[test]
    fn the_first_line_of_a_name_counts_and_its_groups_are_collected() {
        let shop = Identity { uid: 1001, gid: 1002, groups: vec![44, 45, 1002] };
        assert_eq!(find(&named("shop", "shop"), &files()), Ok(shop.clone()));
        assert_eq!(find(&named("1001", "1002"), &files()), Ok(shop.clone()), "a number has its name's groups");
        assert_eq!(find(&Names { initgroups: false, ..named("shop", "7") }, &files()).unwrap().groups, []);
        let more = vec![Account::Name("web".into()), Account::Number(9)];
        let listed = Names { more, initgroups: false, ..named("shop", "shop") };
        assert_eq!(find(&listed, &files()), Ok(Identity { groups: vec![9, 44], ..shop }));
    }

    #[test]
    fn a_users_line_tells_home_and_shell_and_nothing_else_is_taken_from_it() {
        let passwd = "shop:x:7:7:gecos:/home/shop:/bin/bash\nbare:x:8:8\nodd:x:9:9::/a\tb:\n";
        let files = Files { passwd: Some(passwd.into()), group: None };
        let record = |name: &str, home: &str, shell: &str| {
            Some(AccountRecord { name: name.into(), home: home.into(), shell: shell.into() })
        };
        assert_eq!(files.account(7), record("shop", "/home/shop", "/bin/bash"));
        assert_eq!(files.account(8), record("bare", "/", "/bin/sh"));
        assert_eq!(files.account(9), record("odd", "/", "/bin/sh"));
        assert_eq!(files.account(10), None);
    }

    #[test]
    fn no_name_makes_root() {
        for (user, group, said) in [
            ("root", "shop", "user root has the number 0"),
            ("admin", "shop", "user admin has the number 0"),
            ("shop", "root", "group root has the number 0"),
            ("shop", "zero", "group zero has the number 0"),
            ("boss", "7", "no user \"boss\""),
        ] {
            let why = find(&named(user, group), &files()).unwrap_err();
            assert!(why.contains(said), "{user} {group}: {why}");
        }
        let mut files = files();
        files.passwd = Some(b"boss:x:8:8::/:".into());
        assert!(find(&named("boss", "7"), &files).unwrap_err().contains("group wheel"), "nor does a membership");
        files.group = Some(b"root:x:0:root\n".into());
        let root = find(&named("0", "0"), &Files { passwd: Some(b"root:x:0:0::/:\n".into()), ..files });
        assert_eq!(
            root,
            Ok(Identity { uid: 0, gid: 0, groups: vec![0] }),
            "the operator's own number does, and is a member of its group"
        );
    }

    #[test]
    fn who_is_not_there_is_named_with_the_file() {
        for user in ["odd", "minus", "nobodyknows", "broken"] {
            assert!(find(&named(user, "7"), &files()).unwrap_err().contains("/etc/passwd"), "{user}");
        }
        let none = Files::default();
        assert!(find(&named("shop", "7"), &none).unwrap_err().contains("has no /etc/passwd"));
        assert_eq!(find(&named("5", "7"), &none), Ok(Identity { uid: 5, gid: 7, groups: vec![7] }), "numbers need no file");
    }
}
