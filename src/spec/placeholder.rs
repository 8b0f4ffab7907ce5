//! The three passes over all values: `$(ENV)`, `@(source)`, `%(placeholder)`.
//!
//! One scanner serves all three, and it has uWSGI's habits: after a replacement it starts again at the *second* character of
//! the value (so what a placeholder brought in is expanded too, unless it stands at the very front), and a name it cannot
//! resolve stays as it is. Of a [`Text`] only what is no data is scanned: what comes from outside is not expanded again.

use crate::budget::Budget;
use crate::text::{Mark, Text};

/// More replacements than this in one value mean that it refers to itself; uWSGI would grow it until memory ends.
const REPLACEMENTS: usize = 1024;
/// And so does a value longer than this.
const LENGTH: usize = 1 << 20;

/// The value grows without end, or the budget has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Endless;

/// Expands every `symbol(name)` in a value for which `resolve` has an answer.
pub(crate) fn expand(
    value: &mut Text,
    symbol: u8,
    budget: &Budget<'_>,
    mut resolve: impl FnMut(&Text) -> Option<Text>,
) -> Result<(), Endless> {
    // 0: outside, 1: the symbol was just seen, 2 and more: inside, so many characters of the name (and two) were seen.
    let mut state = 0usize;
    let mut depth = 0usize;
    let mut name_at = 0usize;
    let mut replaced = 0usize;
    let mut at = 0usize;
    if !budget.work(value.len()) {
        return Err(Endless);
    }
    while at < value.len() {
        if value.is_sign(at, symbol) {
            state = 1;
        } else if state == 1 && value.is_sign(at, b'(') {
            state = 2;
            depth = 0;
            name_at = at + 1;
        } else if state > 1 {
            match value.is_sign(at, b')') {
                true if depth > 0 => {
                    state += 1;
                    depth -= 1;
                }
                true => {
                    let name = value.slice(name_at..name_at + state - 2);
                    let found = if name.is_empty() { None } else { resolve(&name) };
                    if let Some(found) = found {
                        let made = found.len();
                        value.replace(name_at - 2..name_at + state - 1, found);
                        replaced += 1;
                        // The scan starts again.
                        let spent = !budget.make(made) || !budget.work(value.len());
                        if replaced > REPLACEMENTS || value.len() > LENGTH || spent {
                            return Err(Endless);
                        }
                        at = 0;
                    }
                    state = 0;
                }
                false => {
                    state += 1;
                    if value.is_sign(at, b'(') {
                        depth += 1;
                    }
                }
            }
        } else {
            state = 0;
        }
        at += 1;
    }
    Ok(())
}

/// A placeholder's value: one name, or words with blanks between, a pipeline from left to right.
pub(crate) fn pipeline(name: &[u8], budget: &Budget<'_>, option: impl Fn(&[u8]) -> Option<Text>) -> Option<Text> {
    if !name.contains(&b' ') {
        return option(name);
    }
    let written = |number: i64| Text::new(number.to_string(), Mark::ROOTS);
    let mut current: Option<Text> = None;
    let mut operator: Option<u8> = None;
    for word in name.split(|byte| *byte == b' ').filter(|word| !word.is_empty()) {
        match word {
            b"+" | b"-" | b"*" | b"/" => operator = Some(word[0]),
            b"++" | b"--" => {
                let step = if word == b"++" { 1 } else { -1 };
                current = current.map(|value| written(number(value.bytes()).wrapping_add(step)));
                operator = None;
            }
            _ => {
                let is_number = word.iter().all(u8::is_ascii_digit);
                let value = if is_number { Text::new(word, Mark::ROOTS) } else { option(word).unwrap_or_default() };
                let mut left = current.take().unwrap_or_default();
                // What is put together grows with each word.
                if !budget.work(left.len() + value.len()) {
                    return None;
                }
                current = Some(match operator.take() {
                    None => {
                        left.append(&value);
                        left
                    }
                    Some(operator) => written(compute(number(left.bytes()), operator, number(value.bytes()))),
                });
            }
        }
    }
    current
}

fn compute(left: i64, operator: u8, right: i64) -> i64 {
    match operator {
        b'+' => left.wrapping_add(right),
        b'-' => left.wrapping_sub(right),
        b'*' => left.wrapping_mul(right),
        _ if right == 0 => 0,
        _ => left.wrapping_div(right),
    }
}

/// C's `strtoll`: leading white space, a sign, digits; what follows is ignored, what is too large is the largest.
pub(crate) fn number(text: &[u8]) -> i64 {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
    let text = &text[text.iter().take_while(|byte| space(byte)).count()..];
    let (negative, digits) = match text.first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let mut value = 0i64;
    for digit in digits.iter().take_while(|byte| byte.is_ascii_digit()) {
        let digit = i64::from(digit - b'0');
        value = value.saturating_mul(10);
        value = if negative { value.saturating_sub(digit) } else { value.saturating_add(digit) };
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TableLookup;

    fn option(name: &[u8]) -> Option<Text> {
        let value: &[u8] = match name {
            b"x" => b"7",
            b"text" => b"abc",
            b"empty" => b"",
            b"nest" => b"a%(x)",
            b"front" => b"%(x)",
            b"loop" => b"-%(loop)",
            b"(x)" => b"paren",
            b"data" => b"%(x)",
            _ => return None,
        };
        Some(Text::new(value, if name == b"data" { Mark::DATA } else { Mark::ROOTS }))
    }

    #[test]
    fn placeholders() {
        for (value, meant) in [
            ("%(x)", "7"),
            ("a%(x)b%(x)", "a7b7"),
            ("%(nope)", "%(nope)"),
            ("%(nope) %(x)", "%(nope) 7"),
            ("%()", "%()"),
            ("%(x", "%(x"),
            ("% (x)", "% (x)"),
            ("%(nest)", "a7"),
            ("%(front)", "%(x)"),
            (" %(front)", " 7"),
            ("%(empty)%(x)", "%(x)"),
            ("%((x))", "paren"),
            ("%(a%(x))", "%(a7)"),
            ("%%(x)", "%7"),
            ("%(x + 1)", "8"),
            ("%(x 1 + 2)", "73"),
            ("%(x ++)", "8"),
            ("%(x --)", "6"),
            ("%(x * x - 9)", "40"),
            ("%(x / 0)", "0"),
            ("%(x nope text)", "7abc"),
            ("%(+ -)", "%(+ -)"),
            ("%( )", "%( )"),
            ("%(text + 1)", "1"),
            ("%(x -5)", "7"),
            ("-%(data)%(x)", "-%(x)7"),
            ("-%(x data)", "-7%(x)"),
        ] {
            let mut text = Text::new(value, Mark::ROOTS);
            let world = TableLookup::default();
            let budget = Budget::new(&world);
            expand(&mut text, b'%', &budget, |name| pipeline(name.bytes(), &budget, option)).unwrap();
            assert_eq!(text.lossy(), meant, "{value}");
        }
    }

    #[test]
    fn a_value_that_contains_itself_is_found() {
        let world = TableLookup::default();
        let budget = Budget::new(&world);
        let mut value = Text::new(" %(loop)", Mark::ROOTS);
        assert_eq!(expand(&mut value, b'%', &budget, |name| pipeline(name.bytes(), &budget, option)), Err(Endless));
        assert!(!budget.is_over(), "it is the value that is wrong");
    }

    #[test]
    fn numbers_are_c_numbers() {
        for (text, meant) in [("12x", 12), (" -3", -3), ("+4", 4), ("", 0), ("x", 0), ("99999999999999999999", i64::MAX)] {
            assert_eq!(number(text.as_bytes()), meant, "{text:?}");
        }
    }
}
