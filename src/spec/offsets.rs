//! Where in its file each byte of a substituted text came from.
//!
//! Kept as runs: what was taken over as it stood is one run, however long, so the way back costs nothing where a file has no magic
//! variables, and a few bytes for each of those it has.

/// For each byte of a text its offset in the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offsets {
    runs: Vec<Run>,
    length: usize,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    /// Where it begins in the text.
    at: u32,
    /// Where that is in the file.
    from: u32,
    /// Its bytes stand in the file as here; else all of them came from one place.
    is_straight: bool,
}

impl Offsets {
    /// Of a text that is the file.
    pub(crate) fn of_file(length: usize) -> Self {
        let mut offsets = Self::default();
        offsets.straight(length, 0);
        offsets
    }

    /// The next `count` bytes stand in the file from this offset on.
    pub(crate) fn straight(&mut self, count: usize, from: usize) {
        self.push(count, from, true);
    }

    /// The next `count` bytes were all made of what stands at this offset.
    pub(crate) fn made(&mut self, count: usize, from: usize) {
        self.push(count, from, count == 1);
    }

    fn push(&mut self, count: usize, from: usize, is_straight: bool) {
        if count == 0 {
            return;
        }
        // A text is bounded by the budget, far below 4 GiB.
        let [at, from] = [self.length, from].map(|offset| u32::try_from(offset).unwrap_or(u32::MAX));
        let goes_on = |run: &Run| run.is_straight && is_straight && run.from.wrapping_add(at - run.at) == from;
        if !self.runs.last().is_some_and(goes_on) {
            self.runs.push(Run { at, from, is_straight });
        }
        self.length += count;
    }

    /// The offset in the file of one byte; None: the text is not that long.
    pub(crate) fn get(&self, index: usize) -> Option<usize> {
        let run = self.runs.partition_point(|run| run.at as usize <= index).checked_sub(1)?;
        let Run { at, from, is_straight } = self.runs[run];
        let further = if is_straight { index - at as usize } else { 0 };
        (index < self.length).then_some(from as usize + further)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_has_its_offset_and_what_follows_itself_is_one_run() {
        let mut offsets = Offsets::default();
        offsets.straight(2, 0);
        offsets.straight(1, 2);
        offsets.made(3, 3);
        offsets.made(1, 5);
        offsets.straight(2, 6);
        let found: Vec<_> = (0..10).map_while(|index| offsets.get(index)).collect();
        assert_eq!((found, offsets.runs.len()), (vec![0, 1, 2, 3, 3, 3, 5, 6, 7], 3));
        assert_eq!([Offsets::of_file(5).get(4), Offsets::of_file(5).get(5), Offsets::default().get(0)], [Some(4), None, None]);
    }
}
