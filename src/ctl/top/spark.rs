//! A row of little bars.

use std::collections::VecDeque;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// From so many microseconds on the bar is one higher: the scale is the same for all, so that two of them can be compared.
const MICROS: [u64; 7] = [100, 300, 1_000, 10_000, 100_000, 1_000_000, 5_000_000];

/// The newest checks that fit; nothing where no mount was looked at.
pub(crate) fn latency(slots: &VecDeque<Option<u64>>, width: usize) -> String {
    newest(slots, width).map(|micros| micros.map_or(' ', |micros| BARS[MICROS.partition_point(|from| *from <= micros)])).collect()
}

/// The newest ends that fit; a dot where there were none.
pub(crate) fn ends(slots: &VecDeque<u64>, width: usize) -> String {
    let bar = |count: u64| usize::try_from(count).unwrap_or(usize::MAX).min(BARS.len() - 1);
    newest(slots, width).map(|count| if count == 0 { '·' } else { BARS[bar(count)] }).collect()
}

fn newest<T: Copy>(slots: &VecDeque<T>, width: usize) -> impl Iterator<Item = T> {
    slots.iter().skip(slots.len().saturating_sub(width)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slower_is_higher_and_the_newest_is_last() {
        let slots = [None, Some(0), Some(100), Some(2_000), Some(60_000_000)].into();
        assert_eq!(latency(&slots, 10), " ▁▂▄█");
        assert_eq!(latency(&slots, 2), "▄█");
        assert_eq!(ends(&[0, 1, 3, 0, 99].into(), 4), "▂▄·█");
    }
}
