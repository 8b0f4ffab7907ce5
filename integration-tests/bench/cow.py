#!/usr/bin/env python3
"""The seed's copy-on-write vassal under liege and under the real uWSGI Emperor, side by side, with the same file (but for the port) and
a root of hard links to the one of `make rootfs` each.

First: kill -9 of unionfs-fuse, how long until the page is there again (it is read from the root for every request). Then: an `env`
line is changed while a client asks every 10 ms: the longest time between two answers, how many requests failed, when the new value
came, and whether the union is still the old one. It fails where liege loses a request or the union, and where uWSGI loses neither: then
README's line about it is no longer true. Root; needs what deps.sh installs and ROOTFS_CACHE; leaves nothing."""
import argparse, os, statistics, subprocess, sys, time

sys.dont_write_bytecode = True
import side

APP = """my $app = sub {
    open(my $file, '<', '/var/www/page.txt') or return [503, ['Content-Type' => 'text/plain'], ["$!\\n"]];
    my $page = do { local $/; <$file> };
    return [defined $page ? 200 : 503, ['Content-Type' => 'text/plain'], [$ENV{ROUND} // 'none']];
};
"""
SEED = """[uwsgi]
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
"""
CACHE = os.environ.get("ROOTFS_CACHE") or sys.exit("ROOTFS_CACHE is not set: run this through make bench")


class Union(side.Side):
    daemon_name = "unionfs-fuse"

    def prepare(self):
        ns, ufs = self.make_dir(beside=CACHE), os.path.join(self.dir, "ufs")
        os.makedirs(os.path.join(ns, "cow", side.USER))
        os.mkdir(ufs)
        subprocess.run(["cp", "-al", os.path.join(CACHE, "debian"), os.path.join(ns, "precise")], check=True)
        for file, text in (("myapp.pl", APP), ("page.txt", "page\n")):
            with open(os.path.join(ns, "precise/var/www", file), "w") as f:
                f.write(text)
        text = SEED.replace("/ns/precise", "<root>").replace("chroot=/ns,", "chroot=%s," % ns).replace("/ufs", ufs)
        text = text.replace("<root>", ns + "/precise").replace("user001", side.USER)
        self.text = text.replace(":9090", "127.0.0.1:%d" % self.port)
        self.outages = []

    def edit(self, value, limit=30.0):
        """Changes the env line; the longest seconds between two answers, requests that failed, seconds to the new value, same union."""
        union, (longest, failed, new) = self.daemon(), (0.0, 0, None)
        self.put(self.text + "env = ROUND=%s\n" % value)
        start = answered = time.monotonic()
        # Until the new value has been there for a second: an outage may come after it.
        while new is None or time.monotonic() - new < 1.0:
            began = time.monotonic()
            if began - start > limit:
                raise self.failure("the new value was not served within %d s" % limit)
            body = self.get()
            now = time.monotonic()
            if body is None:
                failed += 1
            else:
                longest, answered = max(longest, now - answered), now
                if new is None and body == value:
                    new = now
            time.sleep(max(0.0, 0.010 - (now - began)))
        self.outages.append(longest)
        return longest, failed, new - start, self.daemon() == union


def edits(sides, rounds, settle):
    print("a changed env line, the client asks every 10 ms (%d paired rounds)" % rounds)
    for number in range(1, rounds + 1):
        time.sleep(settle)
        for one in sides:
            longest, failed, new, same = one.edit("round%d" % number)
            print("round %2d   %-6s longest wait %7.1f ms, %4d requests failed, new value after %7.1f ms, union %s"
                  % (number, one.name, longest * 1000, failed, new * 1000, "kept" if same else "rebuilt"), flush=True)
            if one.name == "liege" and (failed or not same):
                raise one.failure("a changed env line must lose no request and no union")
            if one.name == "uwsgi" and (not failed or same):
                raise one.failure("README says that a changed env line is an outage here, and that the union is made anew")
    for one in sides:
        print("%-6s longest wait: median %8.1f ms   worst %8.1f"
              % (one.name, statistics.median(one.outages) * 1000, max(one.outages) * 1000))


def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--rounds", type=int, default=10)
    ask.add_argument("--edits", type=int, default=3)
    ask.add_argument("--settle", type=float, default=4.0, help="seconds of quiet life before each round")
    ask.add_argument("--at-least", type=float, default=0.0, help="fail when the ratio of the medians is lower")
    args = ask.parse_args()

    def run(sides):
        side.kill_rounds(sides, args.rounds, args.settle, args.at_least)
        print()
        edits(sides, args.edits, args.settle)

    side.both(Union, run)


if __name__ == "__main__":
    main()
