//! What the world has answered while a file was gone through once, for when it is gone through again: a vassal's file is read as for a
//! first start and as for a reload. So both are made of the same answers, and no command of it runs twice.

use std::{cell::RefCell, collections::HashMap};

use crate::NoAnswer;

type Answer = Result<Vec<u8>, NoAnswer>;

/// By source, in the order they came: a command that stands twice in a file may answer differently.
#[derive(Debug, Default)]
pub(crate) struct Heard(RefCell<HashMap<String, Vec<Answer>>>);

/// How often each source was asked while the file is gone through.
#[derive(Debug)]
pub(crate) struct Hearing<'a> {
    heard: &'a Heard,
    asked: RefCell<HashMap<String, usize>>,
}

impl<'a> Hearing<'a> {
    pub(crate) fn new(heard: &'a Heard) -> Self {
        Self { heard, asked: RefCell::default() }
    }

    /// Asks the world only where that was not asked as often before.
    pub(crate) fn read(&self, source: &str, most: usize, ask: impl FnOnce() -> Answer) -> Answer {
        let mut asked = self.asked.borrow_mut();
        let asked = asked.entry(source.to_owned()).or_default();
        let before = *asked;
        *asked += 1;
        if let Some(answer) = self.heard.0.borrow().get(source).and_then(|answers| answers.get(before)) {
            return answer.clone().and_then(|bytes| if bytes.len() > most { Err(NoAnswer::TooMuch) } else { Ok(bytes) });
        }
        let answer = ask();
        self.heard.0.borrow_mut().entry(source.to_owned()).or_default().push(answer.clone());
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_was_answered_once_is_not_asked_again() {
        let (heard, asked) = (Heard::default(), Cell::new(0_u8));
        let ask = |hearing: &Hearing<'_>, source, most| {
            hearing.read(source, most, || {
                asked.set(asked.get() + 1);
                Ok(vec![asked.get()])
            })
        };
        let first = Hearing::new(&heard);
        assert_eq!([ask(&first, "a", 9), ask(&first, "a", 9), ask(&first, "b", 9)], [Ok(vec![1]), Ok(vec![2]), Ok(vec![3])]);
        let second = Hearing::new(&heard);
        assert_eq!(
            [ask(&second, "b", 9), ask(&second, "a", 9), ask(&second, "a", 0)],
            [Ok(vec![3]), Ok(vec![1]), Err(NoAnswer::TooMuch)]
        );
        assert_eq!(ask(&second, "a", 9), Ok(vec![4]), "it stands there once more");
    }
}
