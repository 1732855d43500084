package hosttest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

func digest(data []byte) [32]byte { return sha256.Sum256(data) }

// shell runs command lines on the box as one user.
type shell struct {
	box  *Box
	root bool
}

func (b *Box) shell(root bool) *shell { return &shell{box: b, root: root} }

const boxPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func (s *shell) home() string {
	if s.root {
		return "/root"
	}
	return "/home/" + s.box.cfg.User
}

// run interprets a script. env is the environment; nil stands for a fresh
// login.
func (s *shell) run(ctx context.Context, script string, env []string, stdin io.Reader, stdout, stderr io.Writer, params ...string) int {
	file, err := syntax.NewParser().Parse(strings.NewReader(script), "")
	if err != nil {
		fmt.Fprintln(stderr, "sh:", err)
		return 2
	}
	if env == nil {
		env = []string{boxPath, "HOME=" + s.home(), "USER=" + s.box.cfg.User}
	}
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	name, args := "sh", params
	if len(params) > 0 {
		name, args = params[0], params[1:]
	}
	r, err := interp.New(
		interp.Dir("/"),
		interp.Env(expand.ListEnviron(env...)),
		interp.StdIO(stdin, stdout, stderr),
		interp.Params(append([]string{"--"}, args...)...),
		interp.CallHandler(s.call),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return s.execHandler }),
		interp.OpenHandler(s.open),
		interp.StatHandler(s.stat),
		interp.AccessHandler(s.access),
		interp.ReadDirHandler2(s.readDir),
	)
	if err != nil {
		s.box.fail("make a shell: %v", err)
		return 255
	}
	file.Name = name
	err = r.Run(ctx, file)
	if status, ok := interp.IsExitStatus(err); ok {
		return int(status)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(stderr, err)
		return 255
	}
	if err != nil {
		return 137
	}
	return 0
}

// call sends `command -v` to the box's own search path, and takes out umask,
// which the interpreter has not got: modes are what chmod says.
func (s *shell) call(_ context.Context, args []string) ([]string, error) {
	if len(args) > 2 && args[0] == "command" && args[1] == "-v" {
		return append([]string{"which"}, args[2:]...), nil
	}
	if args[0] == "umask" {
		return []string{"true"}, nil
	}
	return args, nil
}

func (s *shell) execHandler(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	var env []string
	for name, v := range hc.Env.Each {
		if v.Exported && v.Kind == expand.String {
			env = append(env, name+"="+v.Str)
		}
	}
	status := s.exec(ctx, &Call{
		Box: s.box, Ctx: ctx, Root: s.root, Dir: hc.Dir, env: env,
		Stdin: hc.Stdin, Stdout: hc.Stdout, Stderr: hc.Stderr, shell: s,
	}, args)
	if err := ctx.Err(); err != nil {
		return err
	}
	if status != 0 {
		return interp.ExitStatus(status)
	}
	return nil
}

// exec runs one program for the caller c.
func (s *shell) exec(ctx context.Context, c *Call, argv []string) int {
	if len(argv) == 0 {
		return 0
	}
	s.box.note(argv, s.root)
	call := *c
	call.Args, call.Root, call.Ctx, call.shell = argv, s.root, ctx, s
	name := path.Base(argv[0])
	if model := s.box.model(name); model != nil {
		return model(&call)
	}
	if strings.Contains(argv[0], "/") && !systemPath(argv[0]) {
		return s.execFile(&call)
	}
	if lent(name) {
		return s.real(&call, name)
	}
	fmt.Fprintf(c.Stderr, "sh: 1: %s: not found\n", argv[0])
	s.box.fail("the box has no model of the command %q", strings.Join(argv, " "))
	return 127
}

// systemPath tells whether a program named by its path is one of the system's.
func systemPath(p string) bool {
	switch path.Dir(p) {
	case "/bin", "/usr/bin", "/sbin", "/usr/sbin":
		return true
	}
	return false
}

// execFile runs a script of the box's disk.
func (s *shell) execFile(c *Call) int {
	data, err := os.ReadFile(s.box.Path(c.abs(c.Args[0])))
	if err != nil {
		fmt.Fprintf(c.Stderr, "sh: 1: %s: not found\n", c.Args[0])
		return 127
	}
	if !strings.HasPrefix(string(data), "#!") {
		s.box.fail("%s on the box is no script and has no model", c.Args[0])
		return 126
	}
	return s.run(c.Ctx, string(data), c.env, c.Stdin, c.Stdout, c.Stderr, c.Args...)
}

func (c *Call) abs(p string) string {
	if path.IsAbs(p) {
		return p
	}
	return path.Join(c.Dir, p)
}

func isDevice(p string) bool {
	switch p {
	case "/dev/null", "/dev/zero", "/dev/urandom", "/dev/full", "/dev/stdin", "/dev/stdout", "/dev/stderr":
		return true
	}
	return false
}

func (s *shell) real2box(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return &fs.PathError{Op: p.Op, Path: strings.TrimPrefix(p.Path, s.box.root), Err: p.Err}
	}
	return err
}

// mayWrite tells whether the user may change a path: a model of permissions
// that catches commands that forgot to ask for root.
func (s *shell) mayWrite(p string) bool {
	return s.root || isDevice(p) || strings.HasPrefix(p, "/tmp/") || strings.HasPrefix(p, s.home()+"/")
}

func (s *shell) open(ctx context.Context, p string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	if !path.IsAbs(p) {
		p = path.Join(interp.HandlerCtx(ctx).Dir, p)
	}
	if isDevice(p) {
		return os.OpenFile(p, flag, perm)
	}
	if flag&(os.O_WRONLY|os.O_RDWR) != 0 && !s.mayWrite(p) {
		return nil, &fs.PathError{Op: "open", Path: p, Err: fs.ErrPermission}
	}
	f, err := os.OpenFile(s.box.Path(p), flag, perm)
	if err != nil {
		return nil, s.real2box(err)
	}
	return f, nil
}

func (s *shell) stat(ctx context.Context, p string, follow bool) (fs.FileInfo, error) {
	if !path.IsAbs(p) {
		p = path.Join(interp.HandlerCtx(ctx).Dir, p)
	}
	if isDevice(p) {
		return os.Stat(p)
	}
	if follow {
		info, err := os.Stat(s.box.Path(p))
		return info, s.real2box(err)
	}
	info, err := os.Lstat(s.box.Path(p))
	return info, s.real2box(err)
}

func (s *shell) access(ctx context.Context, p string, mode interp.AccessMode) error {
	info, err := s.stat(ctx, p, true)
	if err != nil {
		return err
	}
	if mode&interp.AccessExec != 0 && info.Mode().Perm()&0o111 == 0 {
		return fs.ErrPermission
	}
	if mode&interp.AccessWrite != 0 && !s.mayWrite(p) {
		return fs.ErrPermission
	}
	return nil
}

func (s *shell) readDir(ctx context.Context, p string) ([]fs.DirEntry, error) {
	if !path.IsAbs(p) {
		p = path.Join(interp.HandlerCtx(ctx).Dir, p)
	}
	entries, err := os.ReadDir(filepath.Clean(s.box.Path(p)))
	return entries, s.real2box(err)
}
