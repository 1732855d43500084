# Watches containers of one namespace and says when each first serves.
#
# Runs on the box with what every Debian has (perl-base). It reads what the
# runtime wrote about its containers, asks the ports by themselves and prints a
# JSON object per moment. Times are seconds since the box booted, suspended
# time included: no clock that somebody sets moves them.
#
#   perl observer.pl NAMESPACE SECONDS TASKS RULE...
#
# TASKS is the folder where the runtime keeps the bundles of what runs; a RULE
# is NAME=POD=CONTAINER=KIND=WHERE, POD being a part of the pod's name. KINDs
# are mysql, amqp, redis and http (WHERE is PORT or PORT/PATH: a greeting, or
# 200), file (WHERE is a path in the container) and peer (WHERE is a port to
# which the process has a connection).
use strict;
use warnings;
use Errno qw(EINPROGRESS EAGAIN EWOULDBLOCK EINTR);
use Fcntl;
use POSIX ();
use Socket;

my ($namespace, $seconds, $tasks, @rules) = @ARGV;
$| = 1;
$SIG{PIPE} = 'IGNORE';

# How often is looked, in seconds: while nothing is awaited, which the kernel
# ends when a container is made; while something is; and at what is about to
# begin, whose moment passes quickly.
my ($calm, $open, $close) = (1, 0.1, 0.02);
# How long an open connection may say nothing before it is made anew.
my $patience = 10;

# System calls go by number: perl-base has no modules for them. x86-64 only, as
# are the boxes. This one is clock_gettime.
sub clock {
	my $t = pack 'q2', 0, 0;
	syscall(228, $_[0], $t) == 0 or die "clock: $!\n";
	my ($s, $n) = unpack 'q2', $t;
	return $s + $n / 1e9;
}
sub now { clock(7) }

sub slurp {
	open my $f, '<', $_[0] or return undef;
	local $/;
	return scalar <$f>;
}

# moment prints one moment; texts come from names that Kubernetes has checked.
sub moment {
	my ($what, %more) = @_;
	my @out = sprintf '"what":"%s","at":%.3f,"wall":%.3f', $what, $more{at} // now(), clock(0);
	delete $more{at};
	for my $k (sort keys %more) {
		my $v = $more{$k} // '';
		if ($v =~ /^-?\d+(\.\d+)?$/) { push @out, sprintf '"%s":%s', $k, $v }
		else { $v =~ s/[^\w.:\/@ -]/?/g; push @out, qq("$k":"$v") }
	}
	print '{', join(',', @out), "}\n";
}

# rest is how busy the box was until now.
sub rest {
	my ($load) = split ' ', slurp('/proc/loadavg') // '0';
	my @cpu = split ' ', (slurp('/proc/stat') // '') =~ /^cpu\s+(.*)$/m ? $1 : '';
	my $all = 0;
	$all += $_ for @cpu[0 .. ($#cpu < 7 ? $#cpu : 7)];
	my ($in) = (slurp('/proc/vmstat') // '') =~ /^pswpin (\d+)/m;
	my ($out) = (slurp('/proc/vmstat') // '') =~ /^pswpout (\d+)/m;
	my $hot = 0;
	$hot += $_ + 0 for map { slurp($_) // 0 } glob '/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count';
	my ($user, $system) = times;
	return (load => $load, jiffies => $all, steal => $cpu[7] // 0, swapIn => $in // 0, swapOut => $out // 0,
		throttled => $hot, own => sprintf('%.2f', $user + $system));
}

my $self = readlink '/proc/self/ns/net';

# address is the container's, read in its network namespace without entering it.
sub address {
	my $pid = shift;
	my $net = readlink "/proc/$pid/ns/net";
	return '127.0.0.1' if defined $net && defined $self && $net eq $self;
	my ($at, $ip) = ('', undef);
	for (split /\n/, slurp("/proc/$pid/net/fib_trie") // '') {
		if (/\|-- (\S+)/) { $at = $1 }
		elsif (m{/32 host LOCAL} && $at !~ /^127\./) { $ip = $at }
	}
	return $ip;
}

# ask begins a connection; answer judges what came back: 1 serves, 0 not yet,
# undef goes on reading.
sub ask {
	my ($c, $r) = @_;
	my $ip = $c->{ip} //= address($c->{pid});
	return unless defined $ip;
	my ($port) = $r->{where} =~ /^(\d+)/;
	# O_NONBLOCK is SOCK_NONBLOCK too, and saves two calls each time.
	socket my $s, PF_INET, SOCK_STREAM | O_NONBLOCK, 0 or return;
	$r->{began} = now();
	return if !connect($s, pack_sockaddr_in($port, inet_aton($ip))) && $! != EINPROGRESS;
	@$r{qw(socket sent got)} = ($s, 0, '');
}

sub request {
	my $r = shift;
	return "AMQP\0\0\x09\x01" if $r->{kind} eq 'amqp';
	return "PING\r\n" if $r->{kind} eq 'redis';
	return '' if $r->{kind} eq 'mysql';
	my ($path) = $r->{where} =~ m{^\d+(/.*)$};
	# The address is from a range for documents: the application counts requests
	# by it, and this one is nobody's.
	return 'GET ' . ($path // '/') . " HTTP/1.0\r\nHost: bench\r\nX-Forwarded-For: 192.0.2.2\r\nConnection: close\r\n\r\n";
}

sub answer {
	my $r = shift;
	my $got = $r->{got};
	if ($r->{kind} eq 'mysql') { return length $got < 5 ? undef : ord(substr $got, 4, 1) == 10 }
	if ($r->{kind} eq 'amqp') { return length $got < 1 ? undef : ord($got) == 1 }
	if ($r->{kind} eq 'redis') { return length $got < 5 ? undef : $got =~ /^\+PONG/ }
	return length $got < 12 ? undef : $got =~ m{^HTTP/\d\.\d 200};
}

# drop ends an attempt that came to nothing: until it began, nobody served.
sub drop {
	my $r = shift;
	$r->{checked} = $r->{began};
	close $r->{socket} if $r->{socket};
	delete $r->{socket};
}

sub serves {
	my ($c, $r) = @_;
	my $at = now();
	moment 'serves', at => $at, id => $c->{id}, pod => $c->{pod}, container => $c->{name}, rule => $r->{name},
		error => sprintf('%.3f', $at - ($r->{checked} // $c->{startedAt})), rest();
	drop($r);
	$r->{done} = 1;
}

# turn goes on with a connection that moved.
sub turn {
	my ($c, $r) = @_;
	if (!$r->{sent}) {
		my $error = getsockopt $r->{socket}, SOL_SOCKET, SO_ERROR;
		return drop($r) if !defined $error || unpack 'i', $error;
		my $text = request($r);
		syswrite $r->{socket}, $text if length $text;
		$r->{sent} = 1;
		return;
	}
	my $n = sysread $r->{socket}, my $more, 512;
	return if !defined $n && ($! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR);
	return drop($r) unless $n;
	$r->{got} .= $more;
	my $verdict = answer($r);
	return unless defined $verdict;
	$verdict ? serves($c, $r) : drop($r);
}

# look asks what needs no connection.
sub look {
	my ($c, $r) = @_;
	my $yes;
	my $began = now();
	if ($r->{kind} eq 'file') { $yes = -e "/proc/$c->{pid}/root$r->{where}" }
	else {
		my $port = sprintf '%04X', $r->{where};
		for my $table ('tcp', 'tcp6') {
			$yes ||= (slurp("/proc/$c->{pid}/net/$table") // '') =~ /^\s*\d+: \S+ \S+:$port 01 /m;
		}
	}
	$yes ? serves($c, $r) : ($r->{checked} = $began);
}

# $scanned is when the folder was looked at the time before: what is new now
# came after it.
my (%known, %containers, $scanned);

sub bundles {
	opendir my $d, $tasks or return ();
	return grep { !/^\./ } readdir $d;
}

# $news is where the kernel tells what is made in the folder, if it can, so that
# a box with nothing to watch is left alone.
my $news;

# attend asks to be told: inotify_init1, not inherited and never waited for, and
# inotify_add_watch for what is made in the folder or moved there. The folder may
# not be there yet.
sub attend {
	my $fd = syscall 294, 0x80800;
	return if $fd < 0;
	open my $told, '<&=', $fd or return;
	my $folder = $tasks;
	$news = $told if syscall(254, $fd, $folder, 0x180) >= 0;
}

# hear tells whether there may be something new in the folder. One that was
# removed is not told of any more, which is the last that is told of it.
sub hear {
	attend() unless $news;
	return 1 unless $news;
	my $heard = 0;
	while (sysread $news, my $told, 65536) {
		$heard = 1;
		for (my $at = 0; $at + 16 <= length $told;) {
			my (undef, $mask, undef, $length) = unpack 'lLLL', substr $told, $at, 16;
			$at += 16 + $length;
			if ($mask & 0x8000) { undef $news; return 1 }
		}
	}
	return $heard;
}

# scan meets what is new, and tells whether something new could not be read yet.
sub scan {
	my @new = grep { !$known{$_} } bundles();
	meet($_) for @new;
	return scalar grep { !$known{$_} } @new;
}

# meet reads what a new bundle is for. The runtime writes it after it made the
# folder, so that what is not there yet is looked for again.
sub meet {
	my $id = shift;
	my $text = slurp("$tasks/$id/config.json") // return;
	my %note = $text =~ /"io\.kubernetes\.cri\.(sandbox-namespace|sandbox-name|container-name|container-type)"\s*:\s*"([^"]*)"/g;
	return unless $note{'container-type'} || $text =~ /\}\s*$/;
	$known{$id} = 1;
	return if ($note{'sandbox-namespace'} // '') ne $namespace;
	my $c = {id => $id, pod => $note{'sandbox-name'} // '', name => $note{'container-name'} // ''};
	if (($note{'container-type'} // '') eq 'sandbox') {
		moment 'sandbox', id => $id, pod => $c->{pod};
		return;
	}
	for (@rules) {
		my ($name, $pod, $container, $kind, $where) = split /=/, $_, 5;
		next if $container ne $c->{name} || index($c->{pod}, $pod) < 0;
		push @{$c->{rules}}, {name => $name, kind => $kind, where => $where};
	}
	moment 'created', id => $id, pod => $c->{pod}, container => $c->{name};
	$containers{$id} = $c;
}

# begin notices when the container's own program has taken the place of the
# runtime's, in the same process.
sub begin {
	my $c = shift;
	my $last = $c->{looked} // $scanned;
	$c->{looked} = now();
	$c->{pid} //= (slurp("$tasks/$c->{id}/init.pid") // '') =~ /^(\d+)/ ? $1 : undef;
	return delete $containers{$c->{id}} unless $c->{pid} || -d "$tasks/$c->{id}";
	return unless $c->{pid};
	my $comm = slurp("/proc/$c->{pid}/comm");
	return if defined $comm && $comm =~ /^runc/;
	$c->{startedAt} = $c->{looked};
	moment 'started', at => $c->{startedAt}, id => $c->{id}, pod => $c->{pod}, container => $c->{name},
		error => sprintf('%.3f', $c->{startedAt} - $last), rest();
}

sub ended {
	my $c = shift;
	return if -d "/proc/$c->{pid}";
	moment 'ended', id => $c->{id}, pod => $c->{pod}, container => $c->{name};
	drop($_) for grep { $_->{socket} } @{$c->{rules}};
	delete $containers{$c->{id}};
}

# wait until the next look is due, going on with what moves meanwhile.
sub linger {
	my $until = shift;
	while (1) {
		my $left = $until - now();
		my ($in, $out, %by) = ('', '');
		vec($in, fileno $news, 1) = 1 if $news;
		for my $c (values %containers) {
			for my $r (grep { $_->{socket} } @{$c->{rules}}) {
				if (now() - $r->{began} > $patience) { drop($r); next }
				vec($r->{sent} ? $in : $out, fileno $r->{socket}, 1) = 1;
				$by{fileno $r->{socket}} = [$c, $r];
			}
		}
		return if $left <= 0;
		my ($readable, $writable) = ($in, $out);
		my $n = select $readable, $writable, undef, $left;
		return if $n <= 0;
		return if $news && vec $readable, fileno $news, 1;
		for my $fd (keys %by) {
			turn(@{$by{$fd}}) if vec($readable, $fd, 1) || vec($writable, $fd, 1);
		}
	}
}

# follow goes on with each container and tells how soon it must be looked at
# again.
sub follow {
	my $step = $calm;
	my $within = sub { $step = $_[0] if $_[0] < $step };
	for my $c (values %containers) {
		if (!$c->{startedAt}) { begin($c); $within->($c->{startedAt} ? 0 : $close); next }
		ended($c);
		for my $r (grep { !$_->{done} } @{$c->{rules}}) {
			$within->($open);
			next if $r->{socket};
			$r->{kind} =~ /^(file|peer)$/ ? look($c, $r) : ask($c, $r);
		}
	}
	return $step;
}

my $end = now() + $seconds;
attend();
$known{$_} = 1 for bundles();
my ($boot) = (slurp('/proc/sys/kernel/random/boot_id') // '') =~ /^(\S+)/;
moment 'ready', boot => $boot, pid => $$, rest();
my $alive = my $read = $scanned = now();
my $unread = 0;
while ((my $t = now()) < $end) {
	# Heard comes first: what is made while the folder is read is heard next time.
	if (hear() || $unread || $t - $read >= $calm) { $unread = scan(); $read = $t }
	my $step = follow();
	# Without news the folder is read each time, and soon again.
	$step = $open if $step > $open && ($unread || !$news);
	$scanned = $t;
	if ($t - $alive > 30) { moment 'alive', rest(); $alive = $t }
	linger($t + $step);
}
moment 'end', rest();
