//! Whether a block device works: the kernel counts what each has completed, and asking for it waits for no device.

use std::fs;

/// Requests the device of this number has completed so far, reads and writes. None: there is none of this number; a file system of the
/// network, of memory or of FUSE has one that belongs to no device.
#[must_use]
pub fn completed((major, minor): (u32, u32)) -> Option<u64> {
    let text = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).ok()?;
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<u64>);
    let (reads, writes) = (numbers.next()?.ok()?, numbers.nth(3)?.ok()?);
    Some(reads.saturating_add(writes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_block_device_completes_anything() {
        assert_eq!(completed((0, 1)), None);
        let disk = fs::read_dir("/sys/dev/block").into_iter().flatten().flatten().next().expect("some disk, loop or ram device");
        let name = disk.file_name().into_string().unwrap();
        let (major, minor) = name.split_once(':').unwrap();
        assert!(completed((major.parse().unwrap(), minor.parse().unwrap())).is_some(), "{name}");
    }
}
