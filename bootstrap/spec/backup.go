package spec

import (
	"fmt"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// Backup says where backups go, who can read them and how many are kept.
type Backup struct {
	Folder string `yaml:"folder,omitempty" json:"folder,omitempty" jsonschema_description:"Where the backups of all hosts go, a folder for each; default: ~/.local/state/ssg-bootstrap/backups."`
	// Recipients are read beside this computer's own identity, never instead
	// of it: a backup that cannot be read back is none.
	Recipients []string   `yaml:"recipients,omitempty" json:"recipients,omitempty" jsonschema_description:"Further age public keys (age1…) that can read the backups, such as one whose identity lies in a safe."`
	Identities []string   `yaml:"identities,omitempty" json:"identities,omitempty" jsonschema_description:"Files with further age identities, to read backups of another computer."`
	Keep       BackupKeep `yaml:"keep,omitempty" json:"keep,omitzero" jsonschema_description:"Which backups prune leaves; default: the last 7, and the newest of 7 days, 4 weeks and 6 months."`
	WarnAfter  string     `yaml:"warnAfter,omitempty" json:"warnAfter,omitempty" jsonschema:"pattern=^[0-9]+h$" jsonschema_description:"From which age on the last backup is called old, in hours: 72h; default: 72h."`
}

// BackupKeep is how many backups are kept; what is not said is the default's.
type BackupKeep struct {
	Last    *int `yaml:"last,omitempty" json:"last,omitempty" jsonschema:"minimum=1" jsonschema_description:"The last so many."`
	Daily   *int `yaml:"daily,omitempty" json:"daily,omitempty" jsonschema:"minimum=0" jsonschema_description:"The newest of each of so many days."`
	Weekly  *int `yaml:"weekly,omitempty" json:"weekly,omitempty" jsonschema:"minimum=0" jsonschema_description:"The newest of each of so many weeks."`
	Monthly *int `yaml:"monthly,omitempty" json:"monthly,omitempty" jsonschema:"minimum=0" jsonschema_description:"The newest of each of so many months."`
}

const defaultWarnAfter = 72 * time.Hour

// Old is the age from which on the last backup is called old.
func (b Backup) Old() time.Duration {
	d, err := time.ParseDuration(b.WarnAfter)
	if err != nil {
		return defaultWarnAfter
	}
	return d
}

// Numbers are how many backups are kept, with the defaults.
func (k BackupKeep) Numbers() (last, daily, weekly, monthly int) {
	or := func(n *int, fallback int) int {
		if n == nil {
			return fallback
		}
		return *n
	}
	return or(k.Last, 7), or(k.Daily, 7), or(k.Weekly, 4), or(k.Monthly, 6)
}

func (b Backup) located(locate func(string) string) Backup {
	b.Folder = locate(b.Folder)
	var files []string
	for _, f := range b.Identities {
		files = append(files, locate(f))
	}
	b.Identities = files
	return b
}

func (k checker) backup(b Backup) {
	for i, text := range b.Recipients {
		if _, err := secrets.ParseRecipient(text); err != nil {
			k.doc.Refuse(at("backup", "recipients", index(i)), "%v", err)
		}
	}
	for i, f := range b.Identities {
		if f == "" {
			k.doc.Refuse(at("backup", "identities", index(i)), "an empty path")
		}
	}
	if b.WarnAfter != "" && !matches(`^[0-9]{1,5}h$`, b.WarnAfter) {
		k.doc.Refuse(at("backup", "warnAfter"), "%q is not a number of hours like 72h", b.WarnAfter)
	}
	for _, n := range []struct {
		name  string
		value *int
		least int
	}{{"last", b.Keep.Last, 1}, {"daily", b.Keep.Daily, 0}, {"weekly", b.Keep.Weekly, 0}, {"monthly", b.Keep.Monthly, 0}} {
		if n.value != nil && *n.value < n.least {
			k.doc.Refuse(at("backup", "keep", n.name), "%s", fmt.Sprintf("%d is too few; at least %d", *n.value, n.least))
		}
	}
}
