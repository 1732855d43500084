package hosttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// lent tells whether a program of this computer runs on the box's disk. They
// take every path as an argument and run no other programs (split runs its
// filter, which gets no path).
func lent(name string) bool {
	return slices.Contains([]string{
		"[", "awk", "base64", "basename", "cat", "chmod", "cksum", "cmp", "comm", "cp", "cut", "date", "dd", "df", "diff", "dirname",
		"du", "echo", "expr", "false", "find", "fold", "getconf", "grep", "gzip", "gunzip", "head", "install", "join", "ln", "ls",
		"md5sum", "mkdir", "mktemp", "mv", "nl", "od", "paste", "printf", "pwd", "readlink", "realpath", "rm", "rmdir", "sed", "seq",
		"sha256sum", "sleep", "sort", "split", "stat", "sync", "tac", "tail", "tar", "tee", "test", "touch", "tr", "true", "truncate",
		"uniq", "unlink", "wc", "yes", "zcat", "zstd",
	}, name)
}

// streams are the programs whose output is content, which is passed on as it
// comes and is never searched for paths.
func streams(name string) bool {
	return slices.Contains([]string{"cat", "dd", "head", "tail", "tee", "base64", "gzip", "gunzip", "zcat", "zstd", "tar", "yes", "cut", "tr"}, name)
}

func changes(name string) bool {
	return slices.Contains([]string{
		"chmod", "cp", "install", "ln", "mkdir", "mv", "rm", "rmdir", "tee", "touch", "truncate", "unlink",
	}, name)
}

// real runs a program of this computer with its paths moved onto the box's
// disk, and its messages moved back. What it wrote is read to the end, as by a
// shell, however late that is: a limit to that wait (exec.Cmd's WaitDelay) makes
// a starved computer lose outputs of programs that succeeded. A power cut kills
// the program, and what it had started finds its pipes closed.
func (s *shell) real(c *Call, name string) int {
	if name == "find" && (c.Has("-exec") || c.Has("-execdir") || c.Has("-ok")) {
		s.box.fail("find -exec is not modelled: %q", c.Args)
		return 127
	}
	if changes(name) && !s.mayChange(c) {
		return c.Errorf("%s: Permission denied", name)
	}
	file, found := s.box.lend(name)
	if !found {
		s.box.fail("this computer has no %s to lend to the box", name)
		return 127
	}
	cmd := exec.CommandContext(c.Ctx, file, s.rewrite(name, c.Args[1:])...)
	cmd.Dir = s.box.Path(c.Dir)
	cmd.Env = append(slices.DeleteFunc(slices.Clone(c.env), func(v string) bool { return strings.HasPrefix(v, "PATH=") }),
		"PATH="+os.Getenv("PATH"))
	cmd.Stdin = c.Stdin
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if streams(name) {
		cmd.Stdout = c.Stdout
	}
	err := cmd.Run()
	_, _ = c.Stdout.Write(s.toBox(out.Bytes()))
	_, _ = c.Stderr.Write(s.toBox(errs.Bytes()))
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode()
	case c.Ctx.Err() == nil:
		fmt.Fprintln(c.Stderr, err)
	}
	return 126
}

// lend finds a program of this computer, once.
func (b *Box) lend(name string) (string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, asked := b.lends[name]; !asked {
		b.lends[name], _ = exec.LookPath(name)
	}
	return b.lends[name], b.lends[name] != ""
}

func (s *shell) mayChange(c *Call) bool {
	for _, a := range c.Args[1:] {
		if strings.HasPrefix(a, "/") && !s.mayWrite(a) {
			return false
		}
	}
	return true
}

// toBox takes this computer's paths out of a program's output.
func (s *shell) toBox(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte(s.box.root+"/"), []byte("/"))
	return bytes.ReplaceAll(text, []byte(s.box.root), []byte("/"))
}

// rewrite moves absolute paths onto the box's disk, alone or as the value of
// an option or operand (if=/x, --target=/x). The first operand of programs
// that take a pattern or a script stays.
func (s *shell) rewrite(name string, args []string) []string {
	pattern := slices.Contains([]string{"sed", "grep", "awk"}, name)
	keep := slices.Contains([]string{"tr", "echo", "printf", "basename", "dirname", "expr", "seq"}, name)
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = a
		key, value, assigned := assignment(a)
		switch {
		case keep:
		case pattern && !strings.HasPrefix(a, "-"):
			pattern = false
		case assigned:
			out[i] = key + s.onDisk(value)
		case strings.HasPrefix(a, "/"):
			out[i] = s.onDisk(a)
		}
	}
	if name == "install" {
		out = withoutOwner(out)
	}
	return out
}

// assignment splits --option=/path and operand=/path before the path.
func assignment(a string) (key, path string, ok bool) {
	name, path, ok := strings.Cut(a, "=")
	name = strings.TrimPrefix(strings.TrimPrefix(name, "-"), "-")
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	if !ok || !strings.HasPrefix(path, "/") || strings.Trim(name, letters+"-") != "" || strings.HasPrefix(name, "-") || name == "" {
		return "", "", false
	}
	return a[:len(a)-len(path)], path, true
}

func (s *shell) onDisk(p string) string {
	if isDevice(p) || strings.HasPrefix(p, s.box.root) {
		return p
	}
	trailing := ""
	if strings.HasSuffix(p, "/") && p != "/" {
		trailing = "/"
	}
	return s.box.Path(p) + trailing
}

// withoutOwner drops -o and -g, for which a test would have to be root.
func withoutOwner(args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		if args[i] == "-o" || args[i] == "-g" {
			i++
			continue
		}
		out = append(out, args[i])
	}
	return out
}

// models are the programs that every box has and that need a machine of their
// own, or that run other programs.
func (b *Box) models() {
	shell := func(c *Call) int { return c.runShell() }
	for _, name := range []string{"sh", "bash", "dash"} {
		b.Command(name, shell)
	}
	b.Command("sudo", sudoModel)
	b.Command("flock", flockModel)
	b.Command("which", whichModel)
	for _, name := range []string{"env", "nice", "ionice", "nohup", "setsid", "timeout"} {
		b.Command(name, wrapperModel)
	}
	nothing := func(*Call) int { return 0 }
	for _, name := range []string{"chown", "chgrp", "kill", "udevadm"} {
		b.Command(name, nothing)
	}
	say := func(text string) func(*Call) int {
		return func(c *Call) int { c.Printf("%s\n", text); return 0 }
	}
	b.Command("hostname", say("oldpc"))
	b.Command("nproc", say("2"))
	b.Command("id", idModel)
	b.Command("whoami", func(c *Call) int { c.Printf("%s\n", c.user()); return 0 })
	b.Command("uname", unameModel)
	b.Command("systemctl", b.Systemd.systemctl)
	b.Command("systemd-run", b.Systemd.run)
	b.Command("journalctl", nothing)
}

func (c *Call) user() string {
	if c.Root {
		return "root"
	}
	return c.Box.cfg.User
}

// runShell runs sh -c SCRIPT [NAME [ARG…]], sh -s or sh FILE.
func (c *Call) runShell() int {
	args := c.Args[1:]
	options := ""
	for len(args) > 0 && strings.HasPrefix(args[0], "-") && args[0] != "--" {
		options += args[0][1:]
		args = args[1:]
	}
	prefix := ""
	if strings.Contains(options, "e") {
		prefix += "set -e\n"
	}
	if strings.Contains(options, "u") {
		prefix += "set -u\n"
	}
	switch {
	case strings.Contains(options, "c") && len(args) > 0:
		return c.shell.run(c.Ctx, prefix+args[0], c.env, c.Stdin, c.Stdout, c.Stderr, args[1:]...)
	case strings.Contains(options, "s") || len(args) == 0:
		script, err := io.ReadAll(c.Stdin)
		if err != nil {
			return c.Errorf("sh: %v", err)
		}
		return c.shell.run(c.Ctx, prefix+string(script), c.env, nil, c.Stdout, c.Stderr, append([]string{"sh"}, args...)...)
	}
	script, err := os.ReadFile(c.Box.Path(c.abs(args[0])))
	if err != nil {
		c.Errorf("sh: 0: cannot open %s: No such file", args[0])
		return 2
	}
	return c.shell.run(c.Ctx, prefix+string(script), c.env, c.Stdin, c.Stdout, c.Stderr, args...)
}

// wrapperModel runs the program after a wrapper's own options.
func wrapperModel(c *Call) int {
	args := c.Args[1:]
	for len(args) > 0 {
		switch a := args[0]; {
		case c.Args[0] == "env" && strings.Contains(a, "=") && !strings.HasPrefix(a, "-"):
			c.env = append(slices.Clone(c.env), a)
		case slices.Contains([]string{"-n", "-c", "-s", "-k"}, a) && len(args) > 1:
			args = args[1:]
		case strings.HasPrefix(a, "-"):
		default:
			if c.Args[0] == "timeout" {
				return timeoutModel(c, a, args[1:])
			}
			return c.Exec(args)
		}
		args = args[1:]
	}
	return 0
}

func whichModel(c *Call) int {
	status := 0
	for _, name := range c.Args[1:] {
		if path, ok := c.Box.lookPath(name); ok {
			c.Printf("%s\n", path)
		} else {
			status = 1
		}
	}
	return status
}

// lookPath finds a program: on the disk, or modelled, or lent.
func (b *Box) lookPath(name string) (string, bool) {
	if strings.HasPrefix(name, "/") {
		return name, b.Exists(name)
	}
	for _, d := range []string{"/usr/local/sbin/", "/usr/local/bin/", "/usr/sbin/", "/usr/bin/"} {
		if b.Exists(d + name) {
			return d + name, true
		}
	}
	return "/usr/bin/" + name, b.model(name) != nil || lent(name)
}

func idModel(c *Call) int {
	id, name := "0", "root"
	if !c.Root {
		id, name = "1000", c.Box.cfg.User
	}
	switch {
	case c.Has("-un"):
		c.Printf("%s\n", name)
	case c.Has("-u"), c.Has("-g"):
		c.Printf("%s\n", id)
	default:
		c.Printf("uid=%s(%s) gid=%s(%s) groups=%s(%s)\n", id, name, id, name, id, name)
	}
	return 0
}

func unameModel(c *Call) int {
	switch {
	case c.Has("-m"):
		c.Printf("x86_64\n")
	case c.Has("-r"):
		c.Printf("6.12.48+deb13-amd64\n")
	case c.Has("-n"):
		c.Printf("oldpc\n")
	default:
		c.Printf("Linux\n")
	}
	return 0
}
