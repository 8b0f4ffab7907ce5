# anybody.pl UID GID COMMAND...: as root, runs COMMAND as this user in a new user namespace in which all ids mean what they mean outside.
use strict;
my ($uid, $gid, @command) = @ARGV;
my $unshare = `uname -m` =~ /aarch64/ ? 97 : 272;
pipe(my $asked, my $asks) && pipe(my $told, my $tells) or die $!;
my $child = fork // die $!;
if (!$child) {
    syscall($unshare, 0x10000000) == 0 or die "unshare: $!";
    syswrite $asks, 'x';
    sysread $told, my $word, 1;
    $) = "$gid $gid";
    $( = $gid;
    ($<, $>) = ($uid, $uid);
    exec @command or die "$command[0]: $!";
}
sysread $asked, my $word, 1;
for my $map (qw(uid_map gid_map)) {
    open(my $file, '>', "/proc/$child/$map") or die "$map: $!";
    print $file "0 0 100000\n";
    close $file or die "$map: $!";
}
syswrite $tells, 'x';
waitpid $child, 0;
exit $? >> 8;
