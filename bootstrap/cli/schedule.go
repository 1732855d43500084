package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/atomicfile"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// The timer is this computer's: it holds the key that verifies a backup, and
// the box would need a login here or a copy of the key to push. What it costs
// is that this computer must be on; Persistent makes up for a night it was not.
const (
	timerText = `[Unit]
Description=Backup of %[1]s by ssg-bootstrap

[Timer]
OnCalendar=%[2]s
RandomizedDelaySec=10min
Persistent=true

[Install]
WantedBy=timers.target
`
	// A password for sudo, where one is needed, is read from a file that only
	// its owner may read; it is never written by us.
	serviceText = `[Unit]
Description=Backup of %[1]s by ssg-bootstrap

[Service]
Type=oneshot
%[5]sEnvironmentFile=-%[2]s
ExecStart=%[3]s
ExecStartPost=%[4]s
`
	scheduleOff = "off"
)

// ScheduleData is what was scheduled, as programs get it.
type ScheduleData struct {
	Host        string `json:"host"`
	Timer       string `json:"timer"`
	When        string `json:"when"`
	Environment string `json:"environment"`
}

// schedule makes this computer take backups by itself, or no more.
func (a *app) schedule(ctx context.Context, host, when string) error {
	cfg, err := a.loadConfig()
	if err != nil {
		return err
	}
	name, err := chooseHost(cfg, host)
	if err != nil {
		return err
	}
	if strings.ContainsAny(when, "\n%") {
		return fault.New(fault.Usage, "use daily, weekly, hourly, a time like 03:30, or off", "%q is not a time for a timer", when)
	}
	unit := "ssg-bootstrap-backup-" + unitName(name)
	dir := a.userUnits()
	d := ScheduleData{Host: name, Timer: unit + ".timer", When: when, Environment: filepath.Join(a.configDir(), unitName(name)+".env")}
	if when == scheduleOff {
		return a.unschedule(ctx, d, dir, unit)
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	run := func(words ...string) string {
		if cfg.Path != "" {
			words = append(words, "--config", cfg.Path)
		}
		return unitLine(append([]string{program}, append(words, "--host", name, "-o", "plain")...))
	}
	service := fmt.Sprintf(serviceText, name, d.Environment, run("backup"), run("backup", "prune"), a.foldersForUnit())
	for file, text := range map[string]string{unit + ".timer": fmt.Sprintf(timerText, name, when), unit + ".service": service} {
		if err := atomicfile.Write(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, args := range [][]string{{"daemon-reload"}, {"enable", "--now", unit + ".timer"}} {
		if err := a.systemctl(ctx, args...); err != nil {
			return err
		}
	}
	a.answer(d, func(w io.Writer) {
		fmt.Fprintf(w, "Backups of %s are taken %s by %s on this computer.\nIf sudo on the box asks for a password, put SSG_SUDO_PASSWORD=… into %s (chmod 600).\nIt runs while you are logged in; `loginctl enable-linger` lets it run always.\n", name, when, d.Timer, d.Environment)
	})
	return nil
}

// foldersForUnit hands on where this computer keeps what it knows: systemd starts
// the unit without the shell's variables, and the backups would lie elsewhere,
// under an age identity of their own.
func (a *app) foldersForUnit() string {
	var out strings.Builder
	for _, name := range []string{"XDG_CONFIG_HOME", "XDG_STATE_HOME"} {
		if value := a.env.Getenv(name); filepath.IsAbs(value) {
			// Only a command's line has variables, where $ is written twice.
			fmt.Fprintf(&out, "Environment=%s\n", strings.ReplaceAll(unitLine([]string{name + "=" + value}), "$$", "$"))
		}
	}
	return out.String()
}

func (a *app) unschedule(ctx context.Context, d ScheduleData, dir, unit string) error {
	if _, err := os.Stat(filepath.Join(dir, d.Timer)); errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.Usage, "schedule them with `ssg-bootstrap backup --schedule daily --host HOST`", "no backups of %s are scheduled", d.Host)
	}
	if err := a.systemctl(ctx, "disable", "--now", d.Timer); err != nil {
		return err
	}
	for _, file := range []string{d.Timer, unit + ".service"} {
		if err := os.Remove(filepath.Join(dir, file)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the timer: %w", err)
		}
	}
	a.answer(d, func(w io.Writer) { fmt.Fprintf(w, "Backups of %s are no longer taken by themselves.\n", d.Host) })
	return a.systemctl(ctx, "daemon-reload")
}

func (a *app) userUnits() string {
	base := a.env.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(base) {
		base = filepath.Join(a.env.Home, ".config")
	}
	return filepath.Join(base, "systemd", "user")
}

func (a *app) systemctl(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "systemctl", append([]string{"--user"}, args...)...).CombinedOutput()
	if err == nil {
		return nil
	}
	return &fault.Error{
		Code: fault.CommandFailed, Op: "systemctl --user " + strings.Join(args, " "), Err: err, Evidence: strings.TrimSpace(string(out)),
		Next: "on a computer without systemd, let cron run `ssg-bootstrap backup --host HOST`",
	}
}

// unitName keeps what may be in a unit's name.
func unitName(host string) string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, host)
}

// unitLine quotes words for a unit file.
func unitLine(words []string) string {
	var out []string
	for _, w := range words {
		w = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`, `$`, `$$`).Replace(w)
		out = append(out, `"`+w+`"`)
	}
	return strings.Join(out, " ")
}
