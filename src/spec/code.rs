//! The short names of mistakes: what an editor filters by, and what does not change when a sentence is put better.

use serde::{Deserialize, Serialize};

/// What kind of mistake it is. A name that was published stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// A value that cannot be understood.
    BadValue,
    /// A byte order mark in front of the first section.
    ByteOrderMark,
    /// The reading was given up before its end.
    Cancelled,
    /// Every line is fine, but no start can be made of them.
    CannotStart,
    /// Something that is said twice, where one counts.
    Duplicate,
    /// A `%c` that is no magic variable vanishes.
    EatenPercent,
    /// A value that refers to itself.
    Endless,
    /// A blacklist or whitelist of the file forbids it.
    Forbidden,
    /// A uid without a gid.
    GroupStays,
    /// Text behind a value that was meant as a remark.
    InlineRemark,
    /// A line without an equals sign.
    MissingEqual,
    /// What is needed to read the file is used up on this host, or in the daemon: the file may be right.
    Lacking,
    /// A layer of the root that ends with the old root.
    LayerTakenAway,
    /// A value is missing.
    MissingValue,
    /// An if or for inside another one.
    NestedLogic,
    /// It does nothing here.
    NoEffect,
    /// A uwsgi has an app or a router, and no line names the plugin for it.
    NoPlugin,
    /// The vassal's processes see no `/proc` of their own.
    NoProc,
    /// No option stands in a section that counts.
    NoSection,
    /// A sign or a word for a shell where none runs.
    NoShell,
    /// An emperor's file, or a directory, that names no vassals.
    NoVassals,
    /// A mountpoint-check of a path where nothing is mounted.
    NothingMounted,
    /// Bytes that are no UTF-8.
    NotUtf8,
    /// uWSGI has it, or mount has it, and liege refuses it.
    NotSupported,
    /// A backslash at the end of a line, which goes on nowhere.
    NotContinued,
    /// A mount whose owner is not who uses it.
    OthersMount,
    /// Text that others than root choose, where it could do more than be a value, or where that it is theirs may be overlooked.
    OthersText,
    /// A path that depends on the directory.
    RelativePath,
    /// The vassal stays root.
    RunsAsRoot,
    /// A section header that names another section than it seems to.
    SectionName,
    /// Vassals share the host's mount table.
    SharedMounts,
    /// A closer or an else without its if.
    StrayLogic,
    /// A list of capabilities that leaves out what vassals need.
    TooFewCapabilities,
    /// More than any configuration needs.
    TooMuch,
    /// Two ways to say what runs.
    TwoCommands,
    /// An if or for that is never closed.
    UnclosedLogic,
    /// A placeholder where none is expanded.
    UnexpandedPlaceholder,
    /// No capability has this name.
    UnknownCapability,
    /// No flag of a mount has this name.
    UnknownFlag,
    /// No group has this name.
    UnknownGroup,
    /// No namespace has this name.
    UnknownNamespace,
    /// No option has this name.
    UnknownOption,
    /// Nothing has the name a placeholder asks for.
    UnknownPlaceholder,
    /// No user has this name.
    UnknownUser,
    /// No hook verb has this name.
    UnknownVerb,
    /// An at-exit hook that unmounts what only a first start mounts.
    UnmountedOnReload,
    /// A file that cannot be read.
    Unreadable,
    /// An option of the other kind of file.
    WrongFile,
}

impl std::fmt::Display for Code {
    /// As in `--json`: the variant's words in lower case, a hyphen between them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}
