# prowl.pl PID REPORT: as a root hook inside a vassal, tries all that /proc and the kernel offer against the process PID (init), and against
# the descriptors it was started with. Writes a line "NAME: got in" or "NAME: ERROR" for each attempt, and "done".
use strict;
use Errno;
my ($pid, $report) = @ARGV;
my $is_arm = `uname -m` =~ /aarch64/;
my %number = $is_arm
    ? (ptrace => 117, process_vm_readv => 270, prlimit => 261)
    : (ptrace => 101, process_vm_readv => 310, prlimit => 302);
my ($pidfd_open, $pidfd_getfd) = (434, 438);
my @lines;
sub tried { my ($name, $got) = @_; push @lines, "$name: " . ($got ? 'got in' : $!) }

for my $link (qw(exe cwd root)) { tried("readlink $link", readlink "/proc/$pid/$link") }
for my $file (qw(exe mem environ maps auxv stack)) {
    my ($in, $byte);
    # Nothing of one's memory is mapped at 0, so a read that fails with EIO was let in.
    my $got = open($in, '<', "/proc/$pid/$file") && (defined sysread($in, $byte, 1) || $!{EIO});
    tried("open $file", $got);
}
tried('write exe', open(my $out, '>>', "/proc/$pid/exe"));
# The sticky bit: it shows that the mode can be changed and harms nobody.
tried('chmod exe', chmod(01755, "/proc/$pid/exe"));
tried('look into root', opendir(my $root, "/proc/$pid/root"));
tried('look into cwd', opendir(my $cwd, "/proc/$pid/cwd"));
for my $fd (0 .. 40) {
    next unless -l "/proc/$pid/fd/$fd" || readlink("/proc/$pid/fd/$fd");
    tried("open fd $fd", readlink "/proc/$pid/fd/$fd");
}
for my $ns (qw(mnt user net)) { tried("ns $ns", readlink "/proc/$pid/ns/$ns") }
for my $map (glob("/proc/$pid/map_files/*")) { tried("map $map", readlink $map) }

my $pidfd = syscall($pidfd_open, $pid + 0, 0);
for my $fd (0 .. 9) {
    my $copy = syscall($pidfd_getfd, $pidfd, $fd, 0);
    next if $copy < 0 && $!{EBADF};
    tried("take fd $fd", $copy >= 0);
}
my ($buffer, $there) = ("\0" x 8, 0x400000);
my $local = pack('QQ', unpack('Q', pack('p', $buffer)), 8);
my $remote = pack('QQ', $there, 8);
my $read = syscall($number{process_vm_readv}, $pid + 0, $local, 1, $remote, 1, 0);
tried('read memory', $read >= 0 || $!{EFAULT});
# PTRACE_SEIZE stops nobody.
tried('trace', syscall($number{ptrace}, 0x4206, $pid + 0, 0, 0) == 0);

# What this hook was itself given.
for my $fd (0 .. 2) { tried("own fd $fd", chmod(01666, "/proc/self/fd/$fd")) }

open(my $to, '>', "$report.new") or die "$report.new: $!";
print $to map { "$_\n" } @lines, 'done';
close $to;
rename "$report.new", $report;
