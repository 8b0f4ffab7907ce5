#!/usr/bin/env python3
"""The seed's vassal under liege and under the real uWSGI Emperor: kill -9 of fuse-zip, how long until the page is there again.

Both run side by side with the same file (but for the port). A round kills the one's FUSE daemon, asks for the page every millisecond
until it is a 200, then does the same to the other; the page is read from the mount for every request, so a worker that lives on
without its mount does not count. Root; needs what deps.sh installs; leaves nothing."""
import argparse, http.client, os, pwd, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

APP = """my ($dir) = __FILE__ =~ m{(.*)/};
my $app = sub {
    open(my $file, '<', "$dir/page.txt") or return [503, [], ["$!\\n"]];
    my $page = do { local $/; <$file> };
    return [defined $page ? 200 : 503, ['Content-Type' => 'text/plain'], [$page // '']];
};
"""
SEED = """[uwsgi]
uid = user001
gid = user001

; mount fuse filesystem under /app (but only if it is not a reload)
if-not-reload =
  exec-as-user = fuse-zip -r /var/www/app001.zip /app
endif =

http-socket = :9090
psgi = /app/myapp.pl

mountpoint-check = /app
"""
USER = "www-data"
# Debian keeps psgi in a plugin; this makes the real uwsgi find it, for both.
ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "UWSGI_PLUGIN": "psgi"}


class Side:
    """One supervisor with one vassal."""

    def __init__(self, name, root):
        self.name, self.times = name, []
        self.dir = os.path.join(root, name)
        self.vassals = os.path.join(self.dir, "vassals")
        app = os.path.join(self.dir, "app")
        for path in (self.vassals, app):
            os.makedirs(path)
        account = pwd.getpwnam(USER)
        os.chown(app, account.pw_uid, account.pw_gid)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        for file, text in (("myapp.pl", APP), ("page.txt", "page\n")):
            with open(os.path.join(self.dir, file), "w") as f:
                f.write(text)
        subprocess.run(["zip", "-q", "app.zip", "myapp.pl", "page.txt"], cwd=self.dir, check=True)
        text = SEED.replace("/var/www/app001.zip", "<zip>").replace("/app", app).replace("<zip>", os.path.join(self.dir, "app.zip"))
        self.text = text.replace("user001", USER).replace(":9090", "127.0.0.1:%d" % self.port)
        self.log = open(os.path.join(self.dir, "log"), "wb")
        self.process = subprocess.Popen(self.argv(), env=ENV, cwd=self.dir, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)

    def add(self):
        staged = os.path.join(self.dir, "app001.ini")
        with open(staged, "w") as f:
            f.write(self.text)
        os.rename(staged, os.path.join(self.vassals, "app001.ini"))

    def served(self):
        try:
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            c.request("GET", "/")
            return c.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            c.close()

    def until_served(self, limit=30.0):
        """Asks every millisecond; the moment of the first 200."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            began = time.monotonic()
            if self.served():
                return time.monotonic()
            time.sleep(max(0.0, 0.001 - (time.monotonic() - began)))
        raise SystemExit("%s: no page within %d s\n%s" % (self.name, limit, open(self.log.name).read()))

    def descendants(self):
        found, look = [], [self.process.pid]
        while look:
            for child in children(look.pop()):
                found.append(child)
                look.append(child)
        return found

    def daemon(self):
        for pid in self.descendants():
            try:
                with open("/proc/%d/comm" % pid) as f:
                    if f.read().strip() == "fuse-zip":
                        return pid
            except OSError:
                pass
        raise SystemExit("%s: no fuse-zip below it" % self.name)

    def round(self):
        victim = self.daemon()
        start = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        took = self.until_served() - start
        if self.daemon() == victim:
            raise SystemExit("%s: the old daemon is still there" % self.name)
        self.times.append(took)
        return took

    def end(self):
        below = self.descendants()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in below:  # what a supervisor left behind is still ours to end
            try:
                with open("/proc/%d/environ" % pid, "rb") as f:
                    ours = b"UWSGI_PLUGIN=psgi" in f.read()
                if ours:
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.log.close()


def children(pid):
    try:
        tasks = os.listdir("/proc/%d/task" % pid)
    except OSError:
        return []
    found = []
    for task in tasks:
        try:
            with open("/proc/%d/task/%s/children" % (pid, task)) as f:
                found += [int(word) for word in f.read().split()]
        except OSError:
            pass
    return found


class Liege(Side):
    def argv(self):
        return [os.environ["LIEGE"], "run", "--emperor", self.vassals, "--emperor-use-clone", "fs,pid",
                "--emperor-state-dir", self.dir + "/state", "--emperor-control", self.dir + "/control.sock"]


class Uwsgi(Side):
    def argv(self):
        # fs,pid as in the seed; / is not shared in the namespace this script runs in, so its mounts stay with the vassal too.
        return ["uwsgi", "--emperor", self.vassals, "--emperor-use-clone", "fs,pid"]


def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--rounds", type=int, default=20)
    ask.add_argument("--settle", type=float, default=4.0, help="seconds of quiet life before each kill")
    ask.add_argument("--at-least", type=float, default=0.0, help="fail when the ratio of the medians is lower")
    args = ask.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("needs root")
    if not os.environ.get("RECOVER_IN_NAMESPACE"):
        os.environ["RECOVER_IN_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable] + sys.argv)
    root = tempfile.mkdtemp(prefix="liege-recover-")
    os.chmod(root, 0o755)
    sides = []
    try:
        for kind, name in ((Liege, "liege"), (Uwsgi, "uwsgi")):
            sides.append(kind(name, root))
        for side in sides:
            side.add()
        for side in sides:
            side.until_served()
        print("kill -9 of fuse-zip -> served again, milliseconds (%d paired rounds, %g s of quiet before each)" % (args.rounds, args.settle))
        for number in range(1, args.rounds + 1):
            time.sleep(args.settle)
            took = [side.round() for side in sides]
            print("round %2d   liege %8.1f   uwsgi %8.1f" % (number, took[0] * 1000, took[1] * 1000), flush=True)
    finally:
        for side in sides:
            side.end()
        shutil.rmtree(root, ignore_errors=True)
    medians = [statistics.median(side.times) for side in sides]
    for side, median in zip(sides, medians):
        print("%-6s median %8.1f ms   best %8.1f   worst %8.1f" % (side.name, median * 1000, min(side.times) * 1000, max(side.times) * 1000))
    ratio = medians[1] / medians[0]
    print("ratio of the medians: liege is %.1f times as fast" % ratio)
    if ratio < args.at_least:
        raise SystemExit("less than the %g wanted" % args.at_least)


if __name__ == "__main__":
    main()
