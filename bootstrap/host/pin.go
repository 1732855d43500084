package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/atomicfile"
)

// readKnownHosts reads those of the files that exist. Lines that the library
// cannot read are left out, as ssh does: a key type of the future must not
// keep the user from every other host. names maps the files that were read to
// the user's.
func readKnownHosts(files []string, o Options) (db *knownhosts.HostKeyDB, names map[string]string, err error) {
	names = make(map[string]string)
	var read []string
	for i, file := range files {
		data, err := readIfThere(file)
		if err != nil {
			return nil, nil, err
		}
		if len(data) == 0 {
			continue
		}
		source := file
		if _, err := knownhosts.NewDB(file); err != nil {
			dir, tempErr := os.MkdirTemp("", "known-hosts-")
			if tempErr != nil {
				return nil, nil, tempErr
			}
			defer os.RemoveAll(dir)
			source = filepath.Join(dir, fmt.Sprint(i))
			if err := writeReadable(source, data); err != nil {
				return nil, nil, err
			}
			o.Logger.Warn("known hosts: lines that cannot be read are left out", "first", err)
		}
		names[source] = file
		read = append(read, source)
	}
	db, err = knownhosts.NewDB(read...)
	return db, names, err
}

// writeReadable writes data to path and empties one line after the other of
// those that the library names as unreadable, so that the others keep their
// numbers.
func writeReadable(path string, data []byte) error {
	lines := bytes.SplitAfter(data, []byte("\n"))
	named := regexp.MustCompile(regexp.QuoteMeta(path) + `:(\d+): `)
	for range len(lines) + 1 {
		if err := os.WriteFile(path, bytes.Join(lines, nil), 0o600); err != nil {
			return err
		}
		_, err := knownhosts.NewDB(path)
		if err == nil {
			return nil
		}
		m := named.FindStringSubmatch(err.Error())
		if m == nil {
			return err
		}
		n, _ := strconv.Atoi(m[1])
		if n < 1 || n > len(lines) {
			return err
		}
		lines[n-1] = []byte("\n")
	}
	return errors.New("known hosts cannot be read")
}

// remember appends the key to the user's first known_hosts file.
func (k *keyCheck) remember(key ssh.PublicKey) error {
	if len(k.target.KnownHostsFiles) == 0 {
		return nil
	}
	path := k.target.KnownHostsFiles[0]
	old, err := readIfThere(path)
	if err != nil {
		return fmt.Errorf("remember host key: %w", err)
	}
	if err := writeKnownHosts(path, appendLine(old, k.line(key, old))); err != nil {
		return fmt.Errorf("remember host key: %w", err)
	}
	k.opts.Events(fmt.Sprintf("the key of %s is now known (%s)", k.target.Name, path))
	return nil
}

// repin puts the vouched key in the place of the old ones. Lines that also
// speak for other hosts keep those.
func (k *keyCheck) repin(key ssh.PublicKey, old []xknownhosts.KnownKey) error {
	stale := make(map[string][]int)
	for _, w := range old {
		stale[w.Filename] = append(stale[w.Filename], w.Line)
	}
	for file, lines := range stale {
		before, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("replace host key: %w", err)
		}
		after, err := dropHost(before, lines, knownhosts.Normalize(k.target.keyAddress()))
		if err != nil {
			return fmt.Errorf("replace host key in %s: %w", file, err)
		}
		if err := writeKnownHosts(file+".old", before); err != nil {
			return fmt.Errorf("keep the old known hosts: %w", err)
		}
		if err := writeKnownHosts(file, after); err != nil {
			return fmt.Errorf("replace host key: %w", err)
		}
	}
	return k.remember(key)
}

func (k *keyCheck) line(key ssh.PublicKey, existing []byte) string {
	address := k.target.keyAddress()
	if k.target.HashKnownHosts || mostlyHashed(existing) {
		return xknownhosts.HashHostname(knownhosts.Normalize(address)) + " " +
			strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	}
	return knownhosts.Line([]string{address}, key)
}

// mostlyHashed tells whether the user hides host names in this file.
func mostlyHashed(known []byte) bool {
	hashed, all := 0, 0
	for line := range bytes.Lines(known) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		all++
		if bytes.HasPrefix(line, []byte("|1|")) {
			hashed++
		}
	}
	return 2*hashed > all
}

// dropHost removes host from the given lines (counted from 1) of a
// known_hosts file.
func dropHost(known []byte, lines []int, host string) ([]byte, error) {
	var out bytes.Buffer
	n := 0
	for line := range bytes.Lines(known) {
		n++
		if !slices.Contains(lines, n) {
			out.Write(line)
			continue
		}
		rest, err := dropName(string(line), host)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		out.WriteString(rest)
	}
	return out.Bytes(), nil
}

// dropName removes one name from a line's list of names; "" when none is left.
func dropName(line, host string) (string, error) {
	trimmed := strings.TrimLeft(line, " \t")
	if strings.HasPrefix(trimmed, "@") {
		return "", errors.New("it is a certificate authority's; change it by hand")
	}
	names, rest, _ := strings.Cut(trimmed, " ")
	if strings.HasPrefix(names, "|1|") {
		return "", nil
	}
	var keep []string
	for name := range strings.SplitSeq(names, ",") {
		if strings.ContainsAny(name, "*?!") {
			return "", fmt.Errorf("the pattern %s speaks for several hosts; change it by hand", name)
		}
		if knownhosts.Normalize(name) != host {
			keep = append(keep, name)
		}
	}
	if len(keep) == 0 {
		return "", nil
	}
	return strings.Join(keep, ",") + " " + rest, nil
}

func appendLine(old []byte, line string) []byte {
	if len(old) > 0 && old[len(old)-1] != '\n' {
		old = append(old, '\n')
	}
	return append(old, line+"\n"...)
}

func readIfThere(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// writeKnownHosts replaces a file and leaves its permissions as they are.
func writeKnownHosts(path string, data []byte) error {
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	return atomicfile.Write(path, data, mode)
}
