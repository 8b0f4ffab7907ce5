//! Requests and answers as bytes: `struct fuse_in_header` and friends of linux/fuse.h, protocol 7.31, in the machine's order.

use nix::libc;

use crate::tree::{self, Node};

/// Which requests are understood; the numbers are the kernel's.
pub(crate) const INIT: u32 = 26;
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
pub(crate) const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const OPENDIR: u32 = 27;
const READDIR: u32 = 28;
const RELEASEDIR: u32 = 29;
const ACCESS: u32 = 34;
const INTERRUPT: u32 = 36;
const DESTROY: u32 = 38;
const BATCH_FORGET: u32 = 42;

/// Bytes of `struct fuse_in_header`.
const HEADER: usize = 40;
/// `FOPEN_DIRECT_IO`: every read is a request, none is answered from the page cache.
const DIRECT_IO: u32 = 1;

/// One request.
#[derive(Debug)]
pub(crate) struct Request<'b> {
    pub(crate) opcode: u32,
    unique: u64,
    node: u64,
    body: &'b [u8],
}

impl<'b> Request<'b> {
    pub(crate) fn parse(bytes: &'b [u8]) -> Option<Self> {
        Some(Self { opcode: u32_at(bytes, 4)?, unique: u64_at(bytes, 8)?, node: u64_at(bytes, 16)?, body: bytes.get(HEADER..)? })
    }

    /// Nobody waits for an answer.
    pub(crate) fn is_oneway(&self) -> bool {
        matches!(self.opcode, FORGET | BATCH_FORGET | INTERRUPT | DESTROY)
    }

    /// The answer of a healthy server.
    pub(crate) fn answer(&self) -> Vec<u8> {
        match self.honest() {
            Ok(body) => self.framed(0, &body),
            Err(errno) => self.error(errno),
        }
    }

    /// An errno as the answer.
    pub(crate) fn error(&self, errno: i32) -> Vec<u8> {
        self.framed(-errno, &[])
    }

    fn framed(&self, error: i32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(16 + body.len()).expect("answers are small");
        [&length.to_ne_bytes()[..], &error.to_ne_bytes(), &self.unique.to_ne_bytes(), body].concat()
    }

    fn honest(&self) -> Result<Vec<u8>, i32> {
        let node = || tree::node(self.node).ok_or(libc::ENOENT);
        match self.opcode {
            INIT => Ok(init()),
            LOOKUP => {
                let name = self.body.split(|byte| *byte == 0).next().unwrap_or_default();
                tree::child(self.node, name).map(entry).ok_or(libc::ENOENT)
            }
            // Attributes hold for no time, as names do: every look is a request.
            GETATTR => node().map(|node| [&[0; 16][..], &attributes(node)].concat()),
            OPEN | OPENDIR => node().map(|_| [&0u64.to_ne_bytes()[..], &DIRECT_IO.to_ne_bytes(), &[0; 4]].concat()),
            READ => node().and_then(|node| node.text.ok_or(libc::EISDIR)).map(|text| self.slice(text.as_bytes())),
            READDIR => node().map(|node| self.entries(node)),
            STATFS => Ok(figures()),
            RELEASE | RELEASEDIR | FLUSH | ACCESS => Ok(Vec::new()),
            _ => Err(libc::ENOSYS),
        }
    }

    /// `struct fuse_read_in`: offset and size of what is wanted.
    fn slice(&self, text: &[u8]) -> Vec<u8> {
        let offset = usize::try_from(u64_at(self.body, 8).unwrap_or(0)).unwrap_or(usize::MAX);
        let size = u32_at(self.body, 16).unwrap_or(0) as usize;
        text.iter().skip(offset).take(size).copied().collect()
    }

    /// `struct fuse_dirent` for each entry; all of them fit into one answer.
    fn entries(&self, directory: &Node) -> Vec<u8> {
        let seen = usize::try_from(u64_at(self.body, 8).unwrap_or(0)).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        for (number, node) in tree::children(directory.inode).enumerate().skip(seen) {
            let length = u32::try_from(node.name.len()).expect("names are short");
            bytes.extend(node.inode.to_ne_bytes());
            bytes.extend((number as u64 + 1).to_ne_bytes()); // where the next look goes on
            bytes.extend(length.to_ne_bytes());
            bytes.extend((mode(node) >> 12).to_ne_bytes());
            bytes.extend(node.name.as_bytes());
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        bytes
    }
}

/// `struct fuse_init_out`: version 7.31, nothing optional.
fn init() -> Vec<u8> {
    let words: [u32; 7] = [7, 31, 0, 0, 0, 4096, 1]; // major, minor, readahead, flags, background, max_write, time_gran
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    bytes.resize(64, 0);
    bytes
}

/// `struct fuse_entry_out`: node, generation, no time of validity, attributes.
fn entry(node: &'static Node) -> Vec<u8> {
    [&node.inode.to_ne_bytes()[..], &[0; 32], &attributes(node)].concat()
}

/// `struct fuse_attr`.
fn attributes(node: &Node) -> Vec<u8> {
    let size = node.text.map_or(0, str::len) as u64;
    let links = if node.text.is_none() { 2 } else { 1 };
    let mut bytes: Vec<u8> = [node.inode, size, 1, 0, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
    bytes.extend([0, 0, 0, mode(node), links, 0, 0, 0, 512, 0u32].iter().flat_map(|word| word.to_ne_bytes()));
    bytes
}

fn mode(node: &Node) -> u32 {
    if node.text.is_none() { libc::S_IFDIR | 0o755 } else { libc::S_IFREG | 0o444 }
}

/// `struct fuse_kstatfs`: anything but zeroes, which are what the kernel fakes for strangers.
fn figures() -> Vec<u8> {
    let mut bytes: Vec<u8> = [1000u64, 900, 800, 5, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
    bytes.extend([512u32, 255, 512].iter().flat_map(|word| word.to_ne_bytes()));
    bytes.resize(80, 0);
    bytes
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_ne_bytes)
}
