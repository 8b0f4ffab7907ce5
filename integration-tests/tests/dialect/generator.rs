//! Files that stress every corner of the dialect, one for each seed.
//!
//! Keys are numbered `k0`..`k9` (with odd relatives), and a value refers to lower numbers only, so nothing can grow without
//! end. `k0` refers to nothing.

/// A small generator of pseudo-random numbers (splitmix64): the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % bound as u64).unwrap_or(0)
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// The file of a seed.
pub(crate) fn file(seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed);
    let mut text = Vec::new();
    if dice.one_in(8) {
        pair(&mut dice, &mut text, false);
    }
    header(&mut dice, &mut text);
    // Some files close every block they open, so that uWSGI does not stop at the first nested one.
    let tidy = !dice.one_in(3);
    let mut open = false;
    for _ in 0..dice.below(24) + 3 {
        indent(&mut dice, &mut text);
        match dice.below(40) {
            0..=1 => header(&mut dice, &mut text),
            2..=4 => comment(&mut dice, &mut text),
            5..=9 if !(tidy && open) => {
                logic(&mut dice, &mut text);
                open = true;
            }
            5..=14 if open => {
                text.extend_from_slice(dice.pick(&["endif =", "end", "end-if = x", "endfor", "end-for ="]).as_bytes());
                open = false;
            }
            10..=14 => set(&mut dice, &mut text),
            15..=17 => load(&mut dice, &mut text),
            18 => odd(&mut dice, &mut text),
            _ => pair(&mut dice, &mut text, open),
        }
        text.extend_from_slice(dice.pick(&["\n", "\n", "\n", "\n", "\r\n", " \n", "\n\n", "\t\r\n"]).as_bytes());
    }
    if dice.one_in(4) {
        // No line end at the end.
        while text.last().is_some_and(|byte| b"\n\r\t ".contains(byte)) {
            text.pop();
        }
    }
    if text.last() == Some(&b'%') {
        text.push(b'.');
    }
    text
}

fn header(dice: &mut Dice, text: &mut Vec<u8>) {
    let odd = [
        "[other]",
        "[uwsgi] ; remark",
        "[uwsgi",
        "[",
        "[]",
        "[ uwsgi ]",
        "[uwsgi]]",
        "[uwsgi].",
        "[vassal]",
        "[UWSGI]",
        "[web]",
        "[a]b]",
        "[uwsgi:x]",
        "[%n]",
    ];
    let name = if dice.below(5) > 0 { dice.pick(&["[uwsgi]", "[uwsgi]", " [uwsgi]\t", "[uwsgi]\r"]) } else { dice.pick(&odd) };
    text.extend_from_slice(name.as_bytes());
    text.push(b'\n');
}

fn indent(dice: &mut Dice, text: &mut Vec<u8>) {
    text.extend_from_slice(dice.pick(&["", "", "", "  ", "\t", " \t ", "\r "]).as_bytes());
}

fn comment(dice: &mut Dice, text: &mut Vec<u8>) {
    text.extend_from_slice(dice.pick(&["; ", "# ", ";", "#k1 = ", "; [uwsgi] %d %Y "]).as_bytes());
    value(dice, text, 10);
}

/// A key and its number.
fn key(dice: &mut Dice, text: &mut Vec<u8>) -> usize {
    let number = dice.below(10);
    let odd =
        ["a:b", "a b", "ключ", "k.x", "a;b", "a#b", "\"q\"", "a\\", "a]", "-", "k\tt", "a%%b", "x%Yy", "%n", "k\u{b}", "a'"];
    if dice.one_in(6) {
        text.extend_from_slice(dice.pick(&odd).as_bytes());
        // Nothing refers to the odd ones, so they may refer to all.
        return 10;
    }
    text.extend_from_slice(format!("k{number}").as_bytes());
    number
}

fn pair(dice: &mut Dice, text: &mut Vec<u8>, in_logic: bool) {
    // `%(_)` may bring in any option's raw value, so it goes to keys nothing refers to.
    if in_logic && dice.one_in(2) {
        text.extend_from_slice(dice.pick(&["in-logic", "in:logic", "if", "\"for\""]).as_bytes());
        text.extend_from_slice(dice.pick(&[" = %(_)", "=<%(_)>", " = %(_)%(_)", "=%(_", " =% (_) "]).as_bytes());
        return value(dice, text, 10);
    }
    // uWSGI does not expand the values of options that act at once: this one acts harmlessly.
    let number = if dice.one_in(20) {
        text.extend_from_slice(b"plugins-dir");
        10
    } else if dice.one_in(60) {
        0 // no key at all
    } else {
        key(dice, text)
    };
    if dice.one_in(12) {
        return;
    }
    text.extend_from_slice(dice.pick(&[" = ", "=", " =", "= ", "\t=\t", " == ", "\r=\r"]).as_bytes());
    value(dice, text, number);
}

/// A value that refers to keys below `number` only.
fn value(dice: &mut Dice, text: &mut Vec<u8>, number: usize) {
    for _ in 0..dice.below(5) {
        match dice.below(16) {
            0..=3 => text.extend_from_slice(dice.pick(&["x", "word", "12", "7", "0", "-3", "/a/b", "é", "日本"]).as_bytes()),
            4 => text
                .extend_from_slice(dice.pick(&[" ; no", " # no", "\"q q\"", "'", "\\", "\\n", "\\\\", "\\x41", "="]).as_bytes()),
            5 => text.extend_from_slice(
                dice.pick(&[":", "[x]", "]", "a:b", "~", "`", "|", "&&", "{}", "$", "@", "(", ")"]).as_bytes(),
            ),
            6 => text.extend_from_slice(
                dice.pick(&[" ", "  ", "\t", "\r", "\u{b}", "\u{c}", "\u{1b}", "\u{85}", "\u{a0}"]).as_bytes(),
            ),
            7..=8 => magic(dice, text),
            9..=12 => reference(dice, text, number),
            13 => text.extend_from_slice(
                dice.pick(&[
                    "$(A_ENV)",
                    "$(EMPTY_ENV)",
                    "$(NOPE)",
                    "$(NUM)",
                    "$(A_ENV",
                    "$()",
                    "$ (A_ENV)",
                    "$((A_ENV))",
                    "$$(NUM)",
                ])
                .as_bytes(),
            ),
            14 => {
                let files = ["@(word.txt)", "@(two.txt)", "@(empty.txt)", "@(sub/a.txt)", "@()", "@(", "a@b", "@@(word.txt)"];
                text.extend_from_slice(dice.pick(&files).as_bytes());
                if dice.one_in(30) {
                    text.extend_from_slice(b"@(missing.txt)");
                }
            }
            _ if dice.one_in(6) => {
                text.extend_from_slice(dice.pick::<[u8]>(&[b"\xff", b"\xc3", b"\x80\x81", b"\x01", b"\0", b"\x7f"]))
            }
            _ => text.extend_from_slice(b" two words"),
        }
    }
}

/// Every magic variable but those of the clock.
fn magic(dice: &mut Dice, text: &mut Vec<u8>) {
    let odd = ["%%", "%%%%", "%Y", "%m", "%q", "% ", "%)", "%%(k0)", "%é", "%\n", "%;", "%=", "%", "%%Y"];
    if dice.one_in(3) {
        return text.extend_from_slice(dice.pick(&odd).as_bytes());
    }
    let names = b"vVhoOpPsSdDeEnNcCxXiI0123456789[kuUgGjJb";
    text.extend_from_slice(&[b'%', names[dice.below(names.len())]]);
}

fn reference(dice: &mut Dice, text: &mut Vec<u8>, number: usize) {
    if number == 0 || dice.one_in(8) {
        let odd =
            ["%(nope)", "%()", "%(", "%( )", "%(+)", "%((x))", "%(nope nope)", "%(3 + 4)", "%(ini)", "%(9223372036854775807 ++)"];
        return text.extend_from_slice(dice.pick(&odd).as_bytes());
    }
    let (first, second) = (dice.below(number), dice.below(number));
    let form = match dice.below(12) {
        0..=4 => format!("%(k{first})"),
        5 => format!("%(k{first} k{second})"),
        6 => format!("%(k{first} {} k{second})", dice.pick(&["+", "-", "*", "/"])),
        7 => format!("%(k{first} {} {})", dice.pick(&["+", "-", "*", "/"]), dice.below(20)),
        8 => format!("%(k{first} {})", dice.pick(&["++", "--"])),
        9 => format!("%({} k{first} {} {} k{second} 2)", dice.below(9), dice.pick(&["+", "-", "*"]), dice.pick(&["", "/", "++"])),
        10 => format!("%(nope%(k{first}))"),
        _ => format!("%(k{first}"),
    };
    text.extend_from_slice(form.as_bytes());
}

fn logic(dice: &mut Dice, text: &mut Vec<u8>) {
    let lines = [
        "if-env = A_ENV",
        "if-env = A_ENV=env-value",
        "if-env = A_ENV=other",
        "if-env = NOPE",
        "if-env = EMPTY_ENV=",
        "if-env =",
        "if-env",
        "ifenv = NUM",
        "if-not-env = NOPE",
        "if-not-env = A_ENV",
        "if-not-env = A_ENV=other",
        "if-env = UWSGI_RELOADS",
        "if-env = $(A_ENV)",
        "if-exists = word.txt",
        "ifexists = sub",
        "if-not-exists = missing",
        "if-file = word.txt",
        "if-file = sub",
        "if-not-file = sub",
        "if-dir = sub",
        "if-directory = sub/dir",
        "ifdir = word.txt",
        "if-not-dir = missing",
        "if-not-directory = sub",
        "if-opt = k1",
        "if-opt = k2=x",
        "if-opt = k3=12",
        "if-opt = ini",
        "if-not-opt = k1",
        "if-not-opt = k2=x",
        "if-not-opt = nope",
        "if-reload =",
        "if-reload",
        "if-not-reload = x",
        "if-plugin = nosuchplugin",
        "if-not-plugin = nosuchplugin",
        "if-hostname = %h",
        "if-hostname = elsewhere",
        "if-not-hostname = elsewhere",
        "if-unknown = x",
        "for = a b  c",
        "for = %n",
        "for =",
        "for = é \u{b} x",
        "for-times = 3",
        "for-times = 0",
        "for-times = 2x",
        "for-times = -1",
        "for-glob = sub/*.txt",
        "for-glob = sub/*",
        "for-glob = sub/none*",
        "for-readline = lines.txt",
        "for-readline = missing.txt",
        "for-readline = empty.txt",
    ];
    text.extend_from_slice(dice.pick(&lines).as_bytes());
}

fn set(dice: &mut Dice, text: &mut Vec<u8>) {
    let kind = dice.pick(&["set", "set-placeholder", "set-ph"]);
    text.extend_from_slice(format!("{kind} = ").as_bytes());
    if dice.one_in(25) {
        // uWSGI ends here: no `=`.
        return text.extend_from_slice(b"nothing");
    }
    let number = key(dice, text);
    text.extend_from_slice(dice.pick(&["=", "=", "= ", " = "]).as_bytes());
    value(dice, text, number);
}

fn load(dice: &mut Dice, text: &mut Vec<u8>) {
    let lines = [
        "include = inc.ini",
        "include = inc.ini",
        "include = inc-logic.ini",
        "include = inc-none.ini",
        "include = link.ini",
        "include = %dinc.ini",
        "inherit = inherit.ini",
        "inherit = inherit.ini",
        "inherit = %(k9).ini",
        "ini = sections.ini",
        "ini = sections.ini:web",
        "ini = sections.ini:x:y",
        "ini = sections.ini:",
        "ini = :web",
        "ini = link.ini:other",
    ];
    let rare = ["include = inc-open.ini", "include = missing.ini", "include = inc.ini:other", "inherit = missing.ini", "ini ="];
    let line = if dice.one_in(12) { dice.pick(&rare) } else { dice.pick(&lines) };
    text.extend_from_slice(line.as_bytes());
}

/// Lines that end uWSGI, or are nearly something.
fn odd(dice: &mut Dice, text: &mut Vec<u8>) {
    let lines = [
        "= no key",
        "=",
        "==",
        "blacklist = k8 K9",
        "end-blacklist",
        "whitelist = k0 k1 k2 k3 k4 k5 k6 k7 k8 k9 end-whitelist",
        "end-whitelist =",
        "declare-option = mine=k5=$1;k6=$2",
        "mine = a b",
        "set-placeholder = socket=x",
        "resolve = nothing",
        "strict = false",
        "strict",
        "endif2",
        "iff-env = x",
    ];
    text.extend_from_slice(dice.pick(&lines).as_bytes());
}
