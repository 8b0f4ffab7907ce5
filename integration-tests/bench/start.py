#!/usr/bin/env python3
"""Start-up side by side, the same trivial service under each: liege, uWSGI's Emperor with clone, and a floor.

hot add   a file is renamed into the watched directory -> the service's first instruction
restart   SIGKILL of the service after a settled run   -> its successor's first instruction
cold N    the supervisor starts with N files in place  -> the last service's first instruction
The floor is no supervisor: util-linux's unshare makes the same namespaces and executes the service, asked by this script itself, so it
shows what the machine allows. Root; leaves nothing."""
import argparse, os, random, shutil, signal, statistics, subprocess, sys, tempfile, time

ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
STAMP = os.environ["STAMP"]


class Stamps:
    """The file the services write to, read as it grows."""

    def __init__(self, path):
        self.path, self.seen = path, []
        open(path, "w").close()
        self.file = open(path)

    def wait(self, name, after, limit):
        """The first stamp of `name` not older than `after`, in ns; None when it does not come."""
        end = time.monotonic() + limit
        while True:
            self.seen += [line.split() for line in self.file.read().splitlines()]
            for stamp, who in self.seen:
                if who == name and int(stamp) >= after:
                    return int(stamp)
            if time.monotonic() > end:
                return None
            time.sleep(0.0005)

    def names(self):
        self.seen += [line.split() for line in self.file.read().splitlines()]
        return {who: int(stamp) for stamp, who in self.seen}


class Supervisor:
    def __init__(self, root):
        self.dir = os.path.join(root, self.name.replace(":", "-"))
        self.vassals = os.path.join(self.dir, "vassals")
        os.makedirs(self.vassals)
        self.stamps = Stamps(os.path.join(self.dir, "stamps"))
        self.process = None

    def start(self):
        log = open(os.path.join(self.dir, "log"), "ab")
        self.process = subprocess.Popen(self.argv(), env=ENV, cwd=self.dir, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()

    def add(self, name):
        staged = os.path.join(self.dir, name + ".tmp")
        with open(staged, "w") as f:
            f.write(self.file(name))
        now = time.time_ns()
        os.rename(staged, os.path.join(self.vassals, name + ".ini"))
        return now

    def service(self, name):
        for pid in tree(self.process.pid):
            try:
                with open("/proc/%d/cmdline" % pid, "rb") as f:
                    words = f.read().split(b"\0")
            except OSError:
                continue
            if os.path.basename(words[0]) == b"stamp" and words[-2] == name.encode():
                return pid
        return None

    def end(self):
        if not self.process:
            return
        below = tree(self.process.pid)
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in below:  # only those that are still the service
            try:
                with open("/proc/%d/cmdline" % pid, "rb") as f:
                    if self.stamps.path.encode() in f.read():
                        os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.process = None


class Liege(Supervisor):
    name = "liege"

    def argv(self):
        return [os.environ["LIEGE"], "run", "--emperor", self.vassals, "--emperor-use-clone", "fs,pid",
                "--emperor-state-dir", self.dir + "/state", "--emperor-control", self.dir + "/control.sock"]

    def file(self, name):
        return "[vassal]\nuid = root\ncommand = %s %s %s\n" % (STAMP, self.stamps.path, name)


class Uwsgi(Supervisor):
    name = "uwsgi:clone"

    def argv(self):
        return ["uwsgi", "--emperor", self.vassals, "--emperor-use-clone", "fs,pid", "--emperor-no-blacklist", "--reload-mercy", "1"]

    def file(self, name):
        return "[uwsgi]\nmaster = true\nunprivileged-binary-patch-arg = exec %s %s %s\n" % (STAMP, self.stamps.path, name)


class Floor(Supervisor):
    name = "floor"

    def start(self):
        self.children = {}
        for entry in sorted(os.listdir(self.vassals)):
            self.run(entry[:-4])

    def run(self, name):
        self.children[name] = subprocess.Popen(["unshare", "--mount", "--pid", "--fork", "--kill-child", STAMP, self.stamps.path, name], env=ENV,
                                               stderr=subprocess.DEVNULL)

    def add(self, name):
        open(os.path.join(self.vassals, name + ".ini"), "w").close()
        now = time.time_ns()
        self.run(name)
        return now

    def service(self, name):
        below = tree(self.children[name].pid)
        return below[0] if below else None

    def restarted(self, name):
        self.children[name].wait()
        self.run(name)

    def end(self):
        for child in getattr(self, "children", {}).values():
            child.kill()
            child.wait()


def tree(pid):
    found, look = [], [pid]
    while look:
        parent = look.pop()
        try:
            tasks = os.listdir("/proc/%d/task" % parent)
        except OSError:
            continue
        for task in tasks:
            try:
                with open("/proc/%d/task/%s/children" % (parent, task)) as f:
                    kids = [int(word) for word in f.read().split()]
            except OSError:
                continue
            found += kids
            look += kids
    return found


def measure(kind, root, rounds, settle, cold):
    one = kind(os.path.join(root, "lat"))
    adds, restarts = [], []
    try:
        one.start()
        time.sleep(1)
        for number in range(rounds):
            time.sleep(random.random() * 0.2)
            name = "add%d" % number
            start = one.add(name)
            stamp = one.stamps.wait(name, start, 20)
            adds.append((stamp - start) / 1e6 if stamp else float("inf"))
        for number in range(rounds):
            name = "add%d" % number  # each once: the first death after a settled run is everybody's best case
            if number == 0:
                time.sleep(settle)
            pid = one.service(name)
            if not pid:
                restarts.append(float("inf"))
                continue
            start = time.time_ns()
            os.kill(pid, signal.SIGKILL)
            if hasattr(one, "restarted"):
                one.restarted(name)
            stamp = one.stamps.wait(name, start, 20)
            restarts.append((stamp - start) / 1e6 if stamp else float("inf"))
    finally:
        one.end()
    many = kind(os.path.join(root, "cold"))
    try:
        for number in range(cold):
            with open(os.path.join(many.vassals, "cold%d.ini" % number), "w") as f:
                f.write(many.file("cold%d" % number) if hasattr(many, "file") else "")
        start = time.time_ns()
        many.start()
        end = time.monotonic() + 120
        while len(many.stamps.names()) < cold and time.monotonic() < end:
            time.sleep(0.005)
        names = many.stamps.names()
        whole = (max(names.values()) - start) / 1e6 if len(names) == cold else float("inf")
    finally:
        many.end()
    return adds, restarts, whole


def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--rounds", type=int, default=20)
    ask.add_argument("--settle", type=float, default=3.0)
    ask.add_argument("--cold", type=int, default=100)
    args = ask.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("needs root")
    if not os.environ.get("START_IN_NAMESPACE"):
        os.environ["START_IN_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable] + sys.argv)
    root = tempfile.mkdtemp(prefix="liege-start-")
    os.chmod(root, 0o755)
    try:
        print("%-12s %24s %24s %18s" % ("", "hot add, ms", "restart, ms", "cold start of %d" % args.cold))
        print("%-12s %12s%12s %12s%12s %18s" % ("", "median", "worst", "median", "worst", "ms"))
        for kind in (Liege, Uwsgi, Floor):
            adds, restarts, whole = measure(kind, os.path.join(root, kind.name.replace(":", "-")), args.rounds, args.settle, args.cold)
            row = (statistics.median(adds), max(adds), statistics.median(restarts), max(restarts), whole)
            print("%-12s %12.1f%12.1f %12.1f%12.1f %18.0f" % ((kind.name,) + row), flush=True)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
