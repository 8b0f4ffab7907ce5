#!/usr/bin/env python3
"""The seed's vassal under liege and under the real uWSGI Emperor: kill -9 of fuse-zip, how long until the page is there again; then
SIGSTOP of it, once, and the same question.

Both run side by side with the same file (but for the port). A round kills the one's FUSE daemon, asks for the page every millisecond
until it is a 200, then does the same to the other; the page is read from the mount for every request, so a worker that lives on
without its mount does not count. Root; needs what deps.sh installs; leaves nothing."""
import argparse, os, pwd, subprocess, sys

sys.dont_write_bytecode = True
import side

APP = """my ($dir) = __FILE__ =~ m{(.*)/};
my $app = sub {
    open(my $file, '<', "$dir/page.txt") or return [503, ['Content-Type' => 'text/plain'], ["$!\\n"]];
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


class Zip(side.Side):
    daemon_name = "fuse-zip"
    # Debian keeps psgi in a plugin; this makes the real uwsgi find it, for both.
    env = {"UWSGI_PLUGIN": "psgi"}

    def prepare(self):
        app = os.path.join(self.dir, "app")
        os.mkdir(app)
        account = pwd.getpwnam(side.USER)
        os.chown(app, account.pw_uid, account.pw_gid)
        for file, text in (("myapp.pl", APP), ("page.txt", "page\n")):
            with open(os.path.join(self.dir, file), "w") as f:
                f.write(text)
        subprocess.run(["zip", "-q", "app.zip", "myapp.pl", "page.txt"], cwd=self.dir, check=True)
        text = SEED.replace("/var/www/app001.zip", "<zip>").replace("/app", app).replace("<zip>", os.path.join(self.dir, "app.zip"))
        self.text = text.replace("user001", side.USER).replace(":9090", "127.0.0.1:%d" % self.port)


def main():
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--rounds", type=int, default=20)
    ask.add_argument("--settle", type=float, default=4.0, help="seconds of quiet life before each kill")
    ask.add_argument("--patience", type=float, default=30.0, help="seconds a stopped daemon is waited for")
    ask.add_argument("--at-least", type=float, default=0.0, help="fail when the ratio of the medians is lower")
    args = ask.parse_args()

    def run(sides):
        side.kill_rounds(sides, args.rounds, args.settle, args.at_least)
        print()
        side.stop_rounds(sides, args.patience)

    side.both(Zip, run)


if __name__ == "__main__":
    main()
