//! The seed's second half: one root for many customers, a writable layer each, and the seed's own vassal file with only its names,
//! paths and port altered.
//!
//! The roots of a story are hard links to the one of `make rootfs`, so they lie beside it and cost a tenth of a second. Nothing of
//! a story writes to a linked file: what it adds is new, and what a vassal writes is to land in its layer.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::http::{free_port, get, get_ok};
use crate::story::Host;
use crate::tools;

/// The accounts of two customers: every Debian has them, with the same numbers on the host and in a new root.
pub const USERS: [&str; 2] = ["www-data", "backup"];

/// The seed's vassal file as it stands in the tutorial.
pub const SEED: &str = "\
[uwsgi]
; choose the approach that best suit for you here (plugins loading)
; this will be used for the first run ...
plugins-dir = /ns/precise/opt/uwsgi/plugins
; and this after a reload (where our rootfs is already /ns/precise)
plugins-dir = /opt/uwsgi/plugins
plugin = psgi

; drop privileges
uid = user001
gid = user001

; chdir to / for avoiding problems after pivot_root
hook-pre-jail = callret:chdir /
; run unionfs-fuse using chroot (it is required for avoiding deadlocks) and cow (we mount it under /ufs)
hook-pre-jail = exec:unionfs-fuse -ocow,chroot=/ns,default_permissions,allow_other /precise=RO:/cow/%(uid)=RW /ufs

; change the rootfs to the unionfs one
; the .old_root directory is where the old rootfs is still available
pivot_root = /ufs /ufs/.old_root

; now we are in the new rootfs and in 'as-root' phase
; remount the /proc filesystem
hook-as-root = mount:proc none /proc
; bind mount the original /dev in the new rootfs (simplify things a lot)
hook-as-root = mount:none /.old_root/dev /dev bind
; recursively un-mount the old rootfs
hook-as-root = umount:/.old_root rec,detach

; common bind
http-socket = :9090

; load the app (fix it with your requirements)
psgi = /var/www/myapp.pl

; constantly check for the rootfs (seems odd but is is very useful)
mountpoint-check = /
";

/// The seed's `/ns` and `/ufs`, in places of the story's own.
#[derive(Clone, Debug)]
pub struct Ns {
    /// `/ns`: the roots, and `cow/` with the layers.
    pub dir: PathBuf,
    /// `/ufs`, where each vassal mounts its union.
    pub ufs: PathBuf,
}

impl Ns {
    /// An empty one.
    ///
    /// # Panics
    /// When something it stands on is not installed or not made.
    #[must_use]
    pub fn new(host: &Host) -> Self {
        tools::need("unionfs-fuse");
        let (dir, ufs) = (host.dir_beside(&tools::rootfs()), host.path("ufs"));
        fs::create_dir(&ufs).expect("mkdir in our own directory");
        fs::create_dir(dir.join("cow")).expect("mkdir in our own directory");
        Self { dir, ufs }
    }

    /// A root to be shared, with an app that answers its name.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn rootfs(&self, name: &str) -> PathBuf {
        let root = self.dir.join(name);
        let status = Command::new("cp").arg("-al").arg(tools::rootfs()).arg(&root).status().expect("cp");
        assert!(status.success(), "cp -al {} {}: {status}", tools::rootfs().display(), root.display());
        fs::write(root.join("var/www/myapp.pl"), PSGI).expect("write in our own directory");
        fs::write(root.join("var/www/page.txt"), format!("page of {name}\n")).expect("write in our own directory");
        let data = root.join("srv/data");
        fs::create_dir(&data).expect("mkdir in our own directory");
        for name in ["shared.txt", "doomed.txt"] {
            fs::write(data.join(name), "from the root\n").expect("write in our own directory");
            fs::set_permissions(data.join(name), fs::Permissions::from_mode(0o666)).expect("chmod of our own file");
        }
        // Not sticky: a protected_regular kernel lets nobody open another's file there for appending.
        fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).expect("chmod of our own directory");
        root
    }

    /// A customer on one of the roots, with an empty layer.
    ///
    /// # Panics
    /// When the layer cannot be made.
    #[must_use]
    pub fn customer(&self, rootfs: &str, user: &'static str) -> Customer {
        let layer = self.dir.join("cow").join(user);
        fs::create_dir_all(&layer).expect("mkdir in our own directory");
        Customer { ns: self.clone(), rootfs: rootfs.into(), user, layer, port: free_port() }
    }
}

/// One customer: a root, a user, a layer, a port.
#[derive(Clone, Debug)]
pub struct Customer {
    ns: Ns,
    rootfs: String,
    /// Who it runs as; the layer has the same name.
    pub user: &'static str,
    /// The writable layer: what is in here is everything it ever wrote.
    pub layer: PathBuf,
    /// Where it shall listen, on the loopback interface.
    pub port: u16,
}

impl Customer {
    /// The seed's vassal file with names, paths and the port replaced, and nothing else.
    #[must_use]
    pub fn vassal(&self) -> String {
        let (ns, ufs) = (self.ns.dir.display().to_string(), self.ns.ufs.display().to_string());
        SEED.replace("/ns/precise", "<root>")
            .replace("/precise=", &format!("/{}=", self.rootfs))
            .replace("chroot=/ns,", &format!("chroot={ns},"))
            .replace("/ufs", &ufs)
            .replace("<root>", &format!("{ns}/{}", self.rootfs))
            .replace("user001", self.user)
            .replace(":9090", &format!("127.0.0.1:{}", self.port))
    }

    /// The same with the layer before the root, so that unionfs-fuse also changes what the root has.
    #[must_use]
    pub fn layer_first(&self) -> String {
        let root = format!("/{}=RO", self.rootfs);
        self.vassal().replace(&format!("{root}:/cow/%(uid)=RW"), &format!("/cow/%(uid)=RW:{root}"))
    }

    /// What the app says to `path`, if it says 200.
    #[must_use]
    pub fn ask(&self, path: &str) -> Option<String> {
        get_ok(self.port, path)
    }

    /// What the app says to `path`.
    ///
    /// # Panics
    /// When it says anything but 200.
    #[track_caller]
    pub fn tell(&self, path: &str) -> String {
        match get(self.port, path) {
            Ok((200, body)) => body,
            other => panic!("{} to GET {path}: {other:?}", self.user),
        }
    }

    /// The files of its layer, without directories and without the union's own book-keeping.
    #[must_use]
    pub fn written(&self) -> Vec<String> {
        let files = tree(&self.layer).into_iter().filter(|(_, entry)| !entry.is_dir).map(|(path, _)| path);
        files.filter(|path| !path.starts_with(".unionfs-fuse")).map(|path| path.display().to_string()).collect()
    }
}

/// A PSGI app that reads its page from the disk for every request, so a dead root is a 503, and that writes where it is told to.
const PSGI: &str = r#"
sub text { [shift, ['Content-Type' => 'text/plain'], [@_]] }
sub slurp { my $path = shift; open(my $file, '<', $path) or return text(503, "$path: $!\n"); local $/; text(200, <$file> // '') }
my $app = sub {
    my (undef, $verb, @rest) = split m{/}, shift->{PATH_INFO};
    my $path = join '/', '', @rest;
    return slurp('/var/www/page.txt') if !$verb;
    return slurp($path) if $verb eq 'read';
    return text(200, $ENV{$rest[0]} // 'unset') if $verb eq 'env';
    return text(200, map { local ($/, @ARGV) = (undef, $_); (my $line = <> // '') =~ tr/\0/ /; "$line\n" } glob '/proc/[0-9]*/cmdline') if $verb eq 'processes';
    if ($verb eq 'append') {
        open(my $file, '>>', $path) or return text(503, "$path: $!\n");
        print $file "by uid $<\n";
        return text(close($file) ? 200 : 503, "$path\n");
    }
    return text(unlink($path) ? 200 : 503, "$path\n") if $verb eq 'unlink';
    return text(404, "no $verb\n");
};
"#;

/// What can be seen of a file without opening it. Not its ctime: a hard link made elsewhere changes that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    is_dir: bool,
    inode: u64,
    mode: u32,
    owner: (u32, u32),
    size: u64,
    modified: (i64, i64),
}

/// Everything below a directory, to be compared later.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn tree(top: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut found = BTreeMap::new();
    let mut look = vec![top.to_owned()];
    while let Some(dir) = look.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            let path = entry.expect("an entry of our own directory").path();
            let meta = fs::symlink_metadata(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let entry = Entry {
                is_dir: meta.is_dir(),
                inode: meta.ino(),
                mode: meta.mode(),
                owner: (meta.uid(), meta.gid()),
                size: meta.len(),
                modified: (meta.mtime(), meta.mtime_nsec()),
            };
            if meta.is_dir() {
                look.push(path.clone());
            }
            found.insert(path.strip_prefix(top).expect("it lies below").to_owned(), entry);
        }
    }
    found
}
