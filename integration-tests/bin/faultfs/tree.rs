//! The tree that is served, and nothing about the protocol: a root with two files and a directory with a third one.

/// One file or directory.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) inode: u64,
    pub(crate) parent: u64,
    pub(crate) name: &'static str,
    /// None: a directory.
    pub(crate) text: Option<&'static str>,
}

/// The root's inode, by the protocol.
pub(crate) const ROOT: u64 = 1;

const NODES: [Node; 5] = [
    Node { inode: ROOT, parent: ROOT, name: "", text: None },
    Node { inode: 2, parent: ROOT, name: "hello", text: Some("hello from faultfs\n") },
    Node { inode: 3, parent: ROOT, name: "page.txt", text: Some("a page of faultfs\n") },
    // Empty but for one file, so that another mount can stand on it.
    Node { inode: 4, parent: ROOT, name: "sub", text: None },
    Node { inode: 5, parent: 4, name: "inner", text: Some("the inner file\n") },
];

/// By its number.
pub(crate) fn node(inode: u64) -> Option<&'static Node> {
    NODES.iter().find(|node| node.inode == inode)
}

/// By its name in a directory.
pub(crate) fn child(parent: u64, name: &[u8]) -> Option<&'static Node> {
    children(parent).find(|node| node.name.as_bytes() == name)
}

/// All entries of a directory.
pub(crate) fn children(parent: u64) -> impl Iterator<Item = &'static Node> {
    NODES.iter().filter(move |node| node.parent == parent && node.inode != ROOT)
}
