#!/usr/bin/perl
# Managed by ssg-bootstrap. Cuts what is backed up into pieces, hands them over
# and takes them back. It needs nothing but perl-base, coreutils and diffutils,
# which every Debian has, and keeps no more than one piece in memory.
use strict;
use warnings;
binmode STDIN;
binmode STDOUT;
$| = 1;

# A piece is cut where its content says so, not where it is long enough: what
# is put in or taken out moves the cuts beside it and no others.
my $LEAST = 128 << 10;
my $MOST  = 1 << 20;
my $SAY   = 64 << 20;

my $STATEMENT = 256 << 10;

my %commands = (
	lines   => \&lines,      # a dump, a row a line: DIR PART
	blocks  => \&blocks,     # an archive: DIR PART
	deliver => \&deliver,    # requests on stdin: FOLDER…
	missing => \&missing,    # sums on stdin: FOLDER…
	receive => \&receive,    # pieces on stdin: FOLDER
	keep    => \&keep,       # sums on stdin: FOLDER FROM…
	join    => \&join_pieces,    # sums on stdin: FOLDER…
	feed    => \&feed,       # sums of a dump's pieces on stdin: FOLDER…
	hold    => \&hold,       # a SQLite database: FILE COMMAND…
);
my $command = shift @ARGV // '';
my $sub = $commands{$command} or die "no such command: $command\n";
$sub->(@ARGV);
exit 0;

my ($dir, $part, $count, $buffer, $rows, $table, $key, $total, $said, @pieces);

sub begin {
	($dir, $part) = @_;
	($count, $buffer, $rows, $table, $key, $total, $said) = (0, '', 0, '', '', 0, 0);
	@pieces = ();
	-d "$dir/pieces" or mkdir "$dir/pieces" or die "make $dir/pieces: $!\n";
}

sub write_file {
	my ($path, $data) = @_;
	open my $f, '>:raw', $path or die "write $path: $!\n";
	(print {$f} $data) && close $f or die "write $path: $!\n";
}

sub cut {
	return if $buffer eq '';
	write_file("$dir/new.$part.$count", $buffer);
	push @pieces, [length $buffer, $rows, unpack('H*', $table), unpack('H*', $key)];
	$total += length $buffer;
	if ($total - $said >= $SAY) {
		$said = $total;
		print STDERR "$part: $total bytes\n";
	}
	($count, $buffer, $rows, $key) = ($count + 1, '', 0, '');
}

# finish names the pieces by their sums, which sha256sum makes in few runs, and
# writes the list last.
sub finish {
	cut();
	open my $list, '>:raw', "$dir/$part.list.new" or die "write $dir/$part.list: $!\n";
	for (my $i = 0; $i < $count; $i += 500) {
		my $last = $i + 499 < $count ? $i + 499 : $count - 1;
		my @sums = sums(map { "$dir/new.$part.$_" } $i .. $last);
		for my $n ($i .. $last) {
			my $sum = $sums[$n - $i];
			rename "$dir/new.$part.$n", "$dir/pieces/$sum" or die "rename a piece: $!\n";
			my ($size, $r, $t, $k) = @{ $pieces[$n] };
			print {$list} "$sum $size $r .$t .$k\n" or die "write $dir/$part.list: $!\n";
		}
	}
	close $list or die "write $dir/$part.list: $!\n";
	rename "$dir/$part.list.new", "$dir/$part.list" or die "write $dir/$part.list: $!\n";
	print STDERR "$part: $total bytes in $count pieces\n";
}

sub sums {
	my @files = @_;
	return () unless @files;
	open my $p, '-|', 'sha256sum', '--', @files or die "sha256sum: $!\n";
	my @out = map { /^\\?([0-9a-f]{64}) / ? $1 : die "sha256sum says $_" } <$p>;
	close $p && @out == @files or die "sha256sum failed\n";
	return @out;
}

# mixed makes of a text a number in which neighbours are far apart.
sub mixed {
	my $h = 5381;
	$h = ($h * 33 + $_) & 0xffffffff for unpack 'C*', $_[0];
	return (($h * 2654435761) & 0xffffffff) >> 16;
}

# arrived tells who waits for it at descriptor 9, if anybody, that the last line
# is here.
sub arrived {
	open my $to, '>&=', 9 or return;
	syswrite $to, "\n";
}

# Whoever waits must not wait for one that gave up.
END { local $?; arrived() }

# lines cuts by the rows' first column, which stays when the rest of the row
# changes: the same place of two dumps is then a piece of the same name.
sub lines {
	begin(@_);
	my ($database, $last) = ('', '');
	while (my $l = <STDIN>) {
		if ($l =~ /^INSERT INTO `/) {
			my $at = index $l, ' VALUES (';
			my ($first) = substr($l, $at + 9, 40) =~ /^([^,)]*)/;
			if (length $buffer >= $LEAST && (mixed($first) & 255) == 0
				|| length $buffer >= $MOST / 2 && (mixed(substr $l, 0, 400) & 63) == 0
				|| length($buffer) + length($l) > $MOST) {
				cut();
			}
			$key = $first if $key eq '';
			$rows++;
		}
		elsif ($l =~ /^-- Current Database: `(.*)`$/) { cut(); $database = $1; $table = '' }
		elsif ($l =~ /^-- (?:Table structure for table|Temporary table structure for view) `(.*)`$/) { cut(); $table = "$database.$1" }
		elsif ($l =~ /^-- (?:Dumping (?:routines|events)|Final view structure) /) { cut(); $table = '' }
		# What follows holds the position in the binary log, which always differs.
		elsif ($l =~ m{^-- Preferably use GTID|^-- SET GLOBAL gtid_slave_pos|^/\*!40103 SET TIME_ZONE=\@OLD_TIME_ZONE}) { cut() if $table ne ''; $table = '' }
		$buffer .= $l;
		$last = $l;
		arrived() if $l =~ /^-- Dump completed/;
	}
	$last =~ /^-- Dump completed/ or die "the dump broke off before its end\n";
	finish();
}

# blocks cuts between the 512-byte blocks of a tar archive.
sub blocks {
	begin(@_);
	my $block;
	while (my $n = read STDIN, $block, 512) {
		if (length $buffer >= $LEAST && ((unpack('%32N*', $block) * 2654435761 & 0xffffffff) >> 16 & 511) == 0 || length($buffer) + $n > $MOST) {
			cut();
		}
		$buffer .= $block;
	}
	$total + length $buffer > 0 or die "the archive is empty\n";
	finish();
}

sub sum_of {
	my $text = shift // '';
	$text =~ /^([0-9a-f]{64})$/ or die "not a sum: $text\n";
	return $1;
}

sub find {
	my ($sum, @folders) = @_;
	for my $f (@folders) { return "$f/$sum" if -f "$f/$sum" }
	return undef;
}

sub slurp {
	my $path = shift;
	open my $f, '<:raw', $path or die "read $path: $!\n";
	local $/;
	my $data = <$f>;
	defined $data && close $f or die "read $path: $!\n";
	return $data;
}

# deliver answers "w SUM" with the piece and "d SUM BASE" with what differs
# from the piece BASE, if that is there and it is worth it.
sub deliver {
	my @folders = @_;
	while (my $line = <STDIN>) {
		chomp $line;
		my ($how, $sum, $base) = split / /, $line;
		my $new = find(sum_of($sum), @folders) // die "the piece $sum is gone\n";
		my $data = slurp($new);
		my $old = $how eq 'd' ? find(sum_of($base), @folders) : undef;
		my $delta = defined $old ? difference($old, $new) : undef;
		if (defined $delta && length $delta < 0.7 * length $data) {
			print 'd ', length $delta, "\n", $delta or die "print: $!\n";
			next;
		}
		print 'w ', length $data, "\n", $data or die "print: $!\n";
	}
}

sub difference {
	open my $p, '-|', 'diff', '-n', '-a', '--', @_ or return undef;
	local $/;
	my $text = <$p>;
	close $p;
	return $? >> 8 == 1 && defined $text ? $text : undef;
}

# missing says which pieces are not here as they were sent: after a power cut a
# file may have its name and not its content.
sub missing {
	my @folders = @_;
	my @asked = map { chomp; sum_of($_) } <STDIN>;
	for (my $i = 0; $i < @asked; $i += 500) {
		my $last = $i + 499 < $#asked ? $i + 499 : $#asked;
		my %at = map { my $path = find($_, @folders); defined $path ? ($_ => $path) : () } @asked[$i .. $last];
		my @there = sort keys %at;
		my %is;
		@is{@there} = sums(@at{@there});
		for my $sum (@asked[$i .. $last]) {
			print "$sum\n" unless defined $is{$sum} && $is{$sum} eq $sum;
		}
	}
}

# receive takes "SUM LENGTH" and so many bytes, again and again, and keeps
# what has its sum. It is on the disk before it has its name.
sub receive {
	my ($folder) = @_;
	-d $folder or mkdir $folder or die "make $folder: $!\n";
	my @got;
	while (my $head = <STDIN>) {
		my ($sum, $length) = $head =~ /^([0-9a-f]{64}) ([0-9]{1,9})$/ or die "not a piece\n";
		my $data = '';
		while (length $data < $length) {
			read(STDIN, $data, $length - length $data, length $data) or die "the pieces arrived incomplete\n";
		}
		write_file("$folder/new.$sum", $data);
		push @got, $sum;
	}
	my @new = map { "$folder/new.$_" } @got;
	my @sums = sums(@new);
	!@new or system('sync', '--', @new) == 0 or die "the pieces do not come to the disk\n";
	for my $i (0 .. $#got) {
		$sums[$i] eq $got[$i] or die "a piece arrived damaged\n";
		rename "$folder/new.$got[$i]", "$folder/$got[$i]" or die "rename a piece: $!\n";
	}
}

# keep makes a folder hold every piece that is asked for, by a second name of
# the same file where another folder has it: what happens to that folder then is
# its own affair.
sub keep {
	my ($folder, @from) = @_;
	-d $folder or mkdir $folder or die "make $folder: $!\n";
	while (my $line = <STDIN>) {
		chomp $line;
		my $path = find(sum_of($line), $folder, @from) // die "the piece $line is gone\n";
		$path eq "$folder/$line" or link $path, "$folder/$line" or die "keep a piece: $!\n";
	}
}

sub join_pieces {
	while (my $line = <STDIN>) {
		chomp $line;
		my $path = find(sum_of($line), @_) // die "the piece $line is gone\n";
		print slurp($path) or die "print: $!\n";
	}
}

# feed puts a dump together as a server takes it in fastest. The dump has a
# statement for each row, so that a changed row changes one line and no more; a
# server reads, plans and logs each statement anew, which costs an old processor
# more than the row. Rows of one table that follow each other become one statement
# of up to $STATEMENT bytes, far below what any server's max_allowed_packet allows.
sub feed {
	my @folders = @_;
	# $data says that what is read are rows, and not the body of a trigger or a
	# routine, which must stay as its author wrote it.
	my ($data, $body, $head, $values) = (0, 0, '', '');
	my $flush = sub {
		print $head, $values, ";\n" or die "print: $!\n" if $values ne '';
		($head, $values) = ('', '');
	};
	while (my $line = <STDIN>) {
		chomp $line;
		my $path = find(sum_of($line), @folders) // die "the piece $line is gone\n";
		open my $piece, '<:raw', $path or die "read $path: $!\n";
		while (my $l = <$piece>) {
			my $form = $data && !$body && substr($l, -3) eq ");\n" ? form_of($l, $head) : '';
			if ($form ne '') {
				my $row = substr $l, length $form, -2;
				$flush->() if $form ne $head || length($values) + length($row) > $STATEMENT;
				$head = $form;
				$values .= $values eq '' ? $row : ",$row";
				next;
			}
			$flush->();
			if ($l =~ /^DELIMITER (.*)/) { $body = $1 ne ';' }
			# Below the heading of a table's rows stands their order.
			elsif (!$body && $l =~ /^-- (?!ORDER BY:)./) { $data = $l =~ /^-- Dumping data for table `/ }
			print $l or die "print: $!\n";
		}
		close $piece or die "read $path: $!\n";
	}
	$flush->();
}

# form_of returns what stands before a row's values, and nothing for another
# line. The one of the row before is tried first: it nearly always fits.
sub form_of {
	my ($l, $last) = @_;
	return $last if $last ne '' && substr($l, 0, length($last) + 1) eq "$last(";
	my $name = qr/`(?:[^`]|``)*`/;
	return $l =~ /^(INSERT INTO $name(?: \($name(?:, ?$name)*\))? VALUES )\(/ ? $1 : '';
}

# hold runs a command while a SQLite database in WAL mode keeps still: nobody
# can carry the log over into the database (the checkpoint's lock, byte 121 of
# the shared memory) nor begin the log anew (a reader's lock, byte 127). What is
# appended to the log meanwhile is either whole with its checksum or ignored.
# Writers and readers go on.
sub hold {
	my ($file, @argv) = @_;
	my $header = '';
	open my $db, '<:raw', $file or die "read $file: $!\n";
	read $db, $header, 100;
	substr($header, 0, 15) eq 'SQLite format 3' or die "$file is no SQLite database\n";
	unpack('x18C', $header) == 2 or die "$file keeps no write-ahead log; it cannot be copied while it is used\n";
	my $shm;
	if (open $shm, '+<:raw', "$file-shm") {
		# F_SETLKW is 7; F_WRLCK is 1, F_RDLCK is 0.
		local $SIG{ALRM} = sub { die "$file stays locked by a checkpoint\n" };
		alarm 120;
		for my $wanted ([1, 121], [0, 127]) {
			my $lock = pack 's s x4 q q i x4', $wanted->[0], 0, $wanted->[1], 1, 0;
			fcntl $shm, 7, $lock or die "lock $file: $!\n";
		}
		alarm 0;
	}
	system { $argv[0] } @argv;
	exit($? >> 8 || ($? ? 1 : 0));
}
