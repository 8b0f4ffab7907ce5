"""Two supervisors side by side, each with one vassal: starting them, asking, killing a FUSE daemon, ending them. Shared by recover.py
and cow.py, which say what the vassal is."""
import datetime, http.client, os, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

USER = "www-data"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Side:
    """One supervisor with one vassal. A subclass prepares `self.text`, the vassal's file, and names the FUSE daemon."""

    daemon_name = None
    env = {}

    def __init__(self, name, root):
        self.name, self.times, self.known, self.elsewhere = name, [], [], []
        self.dir = os.path.join(root, name)
        self.vassals = os.path.join(self.dir, "vassals")
        os.makedirs(self.vassals)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.prepare()
        self.log = open(os.path.join(self.dir, "log"), "wb")
        # The mark finds what a supervisor leaves behind.
        env = {"PATH": PATH, "LANG": "C.UTF-8", "BENCH_OF": root, **self.env}
        self.process = subprocess.Popen(self.argv(), env=env, cwd=self.dir, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)

    def argv(self):
        if self.name == "liege":
            return [os.environ["LIEGE"], "run", "--emperor", self.vassals, "--emperor-use-clone", "fs,pid",
                    "--emperor-flapping-failures", "0",  # twenty kills in two minutes are ours, and not what is measured
                    "--emperor-state-dir", self.dir + "/state", "--emperor-control", self.dir + "/control.sock"]
        # fs,pid as in the seed; / is not shared in the namespace this script runs in, so its mounts stay with the vassal too.
        return ["uwsgi", "--emperor", self.vassals, "--emperor-use-clone", "fs,pid"]

    def make_dir(self, beside):
        """A directory on another file system, which goes with the side. Not `self.dir`: a socket's path must be short."""
        path = tempfile.mkdtemp(prefix="bench-", dir=beside)
        self.elsewhere.append(path)
        return path

    def put(self, text):
        """The vassal's file, moved in whole."""
        staged = os.path.join(self.dir, "app001.ini")
        with open(staged, "w") as f:
            f.write(text)
        os.rename(staged, os.path.join(self.vassals, "app001.ini"))

    def get(self, path="/"):
        """The body of a 200, else None."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            c.request("GET", path)
            answer = c.getresponse()
            body = answer.read().decode()
            return body if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            c.close()

    def until_served(self, limit=30.0):
        """Asks every millisecond; the moment of the first 200."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            began = time.monotonic()
            if self.get() is not None:
                return time.monotonic()
            time.sleep(max(0.0, 0.001 - (time.monotonic() - began)))
        raise self.failure("no page within %d s" % limit)

    def failure(self, what):
        return SystemExit("%s: %s\n%s" % (self.name, what, open(self.log.name, errors="replace").read()[-8000:]))

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
                    if f.read().strip() == self.daemon_name:
                        return pid
            except OSError:
                pass
        raise self.failure("no %s below it" % self.daemon_name)

    def kill_round(self):
        """kill -9 of the FUSE daemon; the seconds until the page is there again, from another daemon."""
        victim, mark = self.daemon(), os.path.getsize(self.log.name)
        start, moment = time.monotonic(), time.time()
        os.kill(victim, signal.SIGKILL)
        took = self.until_served() - start
        if self.daemon() == victim:
            raise self.failure("the old daemon is still there")
        self.times.append(took)
        if self.name == "liege":
            self.known.append(self.decided(mark) - moment)
        if self.name == "liege" and took > 1.0:  # it should be explained
            with open(self.log.name, errors="replace") as f:
                f.seek(mark)
                print("".join("    " + line for line in f if " health: " not in line), flush=True)
        return took

    def decided(self, mark):
        """When liege's log, from `mark` on, says that it destroys the vassal; seconds since 1970."""
        with open(self.log.name, errors="replace") as f:
            f.seek(mark)
            for line in f:
                if "destroying: " in line:
                    return datetime.datetime.fromisoformat(line.split()[0].replace("Z", "+00:00")).timestamp()
        raise self.failure("it never said that it destroys the vassal")

    def stop_round(self, patience):
        """SIGSTOP of the FUSE daemon; the seconds until the page is there again, from another daemon. None: not within `patience`."""
        victim = self.daemon()
        start = time.monotonic()
        os.kill(victim, signal.SIGSTOP)
        while time.monotonic() - start < patience:
            # The stopped one may have answered a last time while it was on its way to stop.
            if self.get() is not None and self.is_replaced(victim):
                return time.monotonic() - start
            time.sleep(0.001)
        return None

    def is_replaced(self, victim):
        try:
            with open("/proc/%d/stat" % victim) as f:
                return f.read().rsplit(")", 1)[1].split()[0] in "ZX"
        except OSError:
            return True

    def end(self):
        below = self.descendants()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        mark = ("BENCH_OF=" + os.path.dirname(self.dir)).encode()
        for pid in below:  # what a supervisor left behind is still ours to end
            try:
                with open("/proc/%d/environ" % pid, "rb") as f:
                    ours = mark in f.read().split(b"\0")
                if ours:
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.log.close()
        for path in self.elsewhere:
            shutil.rmtree(path, ignore_errors=True)


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


def both(kind, run):
    """Starts a `kind` for liege and one for uwsgi in a mount namespace of our own, serves both, and gives them to `run`."""
    if os.geteuid() != 0:
        raise SystemExit("needs root")
    if not os.environ.get("BENCH_IN_NAMESPACE"):
        os.environ["BENCH_IN_NAMESPACE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable] + sys.argv)
    root = tempfile.mkdtemp(prefix="liege-bench-")
    os.chmod(root, 0o755)
    sides = []
    try:
        for name in ("liege", "uwsgi"):
            sides.append(kind(name, root))
        for side in sides:
            start = time.monotonic()
            side.put(side.text)
            side.birth = side.until_served() - start
        run(sides)
    finally:
        for side in sides:
            side.end()
        shutil.rmtree(root, ignore_errors=True)


def kill_rounds(sides, rounds, settle, at_least):
    """Paired rounds of `kill_round`, each side's summary, and the ratio of the medians, which must reach `at_least`."""
    print("kill -9 of %s -> served again, milliseconds (%d paired rounds, %g s of quiet before each)" % (sides[0].daemon_name, rounds, settle))
    for number in range(1, rounds + 1):
        time.sleep(settle)
        took = [side.kill_round() for side in sides]
        print("round %2d   liege %8.1f   uwsgi %8.1f" % (number, took[0] * 1000, took[1] * 1000), flush=True)
    medians = [statistics.median(side.times) for side in sides]
    for side, median in zip(sides, medians):
        print("%-6s median %8.1f ms   best %8.1f   worst %8.1f" % (side.name, median * 1000, min(side.times) * 1000, max(side.times) * 1000))
    liege = sides[0]
    known = statistics.median(liege.known)
    print("liege  knew of it after %.1f ms (median); its whole first start took %.1f ms: served again in %.2f times that"
          % (known * 1000, liege.birth * 1000, medians[0] / liege.birth))
    ratio = medians[1] / medians[0]
    print("ratio of the medians: liege is %.1f times as fast" % ratio)
    if ratio < at_least:
        raise SystemExit("less than the %g wanted" % at_least)


def stop_rounds(sides, patience):
    """One round of `stop_round` each. The real Emperor's does not end by itself: it is shown for so long, then its side is ended."""
    print("SIGSTOP of %s -> served again (looked at for %g s)" % (sides[0].daemon_name, patience))
    for one in sides:
        took = one.stop_round(patience)
        print("%-6s %s" % (one.name, "not within %g s" % patience if took is None else "%8.1f ms" % (took * 1000)), flush=True)
        if one.name == "liege" and took is None:
            raise one.failure("a stopped daemon was never replaced")
