package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	_ "embed"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
)

//go:embed onbox/restore.sh
var restoreScript []byte

// restoreStall is how long the services may be silent: a large table's index
// is made without a word.
const restoreStall = time.Hour

// Restorer brings a backup back.
type Restorer struct {
	Box      Box
	Vault    *vault.Vault
	Note     func(text string)
	Progress func(done, total int64)
	// Services are brought back by this computer, by the part's name.
	Services map[string]Service
}

// Restored is what a restore did.
type Restored struct {
	// Bytes crossed the link, of Total that the part holds.
	Bytes, Total int64
	Tables       []Table
	Queues       []Queue
	// Beside are tables that are on the box and not in the backup; they were
	// left alone.
	Beside []string
}

// Check reads a backup back before anything on the box is changed for it.
func (r Restorer) Check(ctx context.Context, e vault.Entry) (vault.Manifest, About, error) {
	m, err := r.Vault.Verify(ctx, e, r.Progress)
	if err != nil {
		return m, About{}, err
	}
	a, err := ReadAbout(m)
	return m, a, err
}

// send brings the pieces of a part onto the box that are not there.
func (r Restorer) send(ctx context.Context, e vault.Entry, p vault.Part) (vault.Index, int64, error) {
	x, err := r.Vault.Index(e, p)
	if err != nil {
		return nil, 0, err
	}
	missing, err := r.Box.missing(ctx, x)
	if err != nil {
		return nil, 0, err
	}
	var sent, done int64
	var batch [][]byte
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		n, err := r.Box.bring(ctx, batch)
		batch, size, sent = nil, 0, sent+n
		return err
	}
	for _, piece := range x {
		if missing[piece.Sum] {
			delete(missing, piece.Sum)
			data, err := r.Vault.Get(e, piece.Sum)
			if err != nil {
				return nil, sent, err
			}
			batch, size = append(batch, data), size+len(data)
			if size >= perTrip {
				if err := flush(); err != nil {
					return nil, sent, fmt.Errorf("send pieces of %s: %w", p.Name, err)
				}
			}
		}
		if done += piece.Size; r.Progress != nil {
			r.Progress(done, p.Bytes)
		}
	}
	if err := flush(); err != nil {
		return nil, sent, fmt.Errorf("send pieces of %s: %w", p.Name, err)
	}
	return x, sent, r.Box.order(ctx, p.Name, x)
}

func (r Restorer) job(ctx context.Context, what string) error {
	if err := r.Box.Host.Put(ctx, host.File{Path: r.Box.at("restore.sh"), Mode: 0o600, Content: restoreScript}); err != nil {
		return fmt.Errorf("bring the tools for restoring: %w", err)
	}
	return r.Box.Host.Job(ctx, host.Job{
		Name:  "restore",
		Argv:  []string{"sh", r.Box.at("restore.sh"), what, r.Box.folder(), r.Box.Namespace, r.Box.Release, r.Box.Root, once()},
		Stall: restoreStall,
	}, r.Note)
}

// mysql makes the databases of a backup what they were. Whoever writes is
// stopped, the pieces are on the box, and every table is compared afterwards.
func (r Restorer) mysql(ctx context.Context, x vault.Index, out Restored) (Restored, error) {
	r.Note("putting the databases back")
	if err := r.job(ctx, MySQL); err != nil {
		return out, unfinished(MySQL, err)
	}
	return out, r.compare(ctx, x, &out)
}

func unfinished(part string, err error) error {
	return &fault.Error{Code: fault.RestoreFailed, Op: "restore " + part, Err: err, Evidence: fault.EvidenceOf(err)}
}

// compare reads the databases as a backup would and holds every table to what
// was taken.
func (r Restorer) compare(ctx context.Context, want vault.Index, out *Restored) error {
	r.Note("comparing every table with the backup")
	if err := r.Box.snapshot(ctx, check, []string{MySQL}, r.Note); err != nil {
		return unfinished(MySQL, err)
	}
	got, err := r.Box.list(ctx, check, MySQL)
	if err != nil {
		return unfinished(MySQL, err)
	}
	there := Tables(got)
	out.Tables = Tables(want)
	var wrong []string
	for _, t := range out.Tables {
		i := slices.IndexFunc(there, func(o Table) bool { return o.Name == t.Name })
		switch {
		case i < 0:
			wrong = append(wrong, t.Name+": not there")
		case there[i] != t:
			wrong = append(wrong, fmt.Sprintf("%s: %d rows, %d in the backup, or other contents", t.Name, there[i].Rows, t.Rows))
		}
	}
	for _, t := range there {
		if !slices.ContainsFunc(out.Tables, func(o Table) bool { return o.Name == t.Name }) {
			out.Beside = append(out.Beside, t.Name)
		}
	}
	if len(wrong) > 0 {
		return &fault.Error{
			Code: fault.RestoreFailed, Op: "compare the databases with the backup",
			Err: fmt.Errorf("%d of %d tables differ", len(wrong), len(out.Tables)), Evidence: strings.Join(wrong, "\n"),
		}
	}
	return r.Box.keepAsBase(ctx, check)
}

// Restorable are the parts that go into a running box.
func Restorable() []string { return []string{MySQL, RabbitMQ} }

// CheckParts refuses what cannot be restored into a running box.
func CheckParts(only []string) error {
	if len(only) == 0 {
		return fault.New(fault.Usage, "add --only "+Restorable()[0], "what is to be restored? %s can be", strings.Join(Restorable(), " and "))
	}
	for _, name := range only {
		if err := part(name, Restorable()); err != nil {
			return err
		}
	}
	return nil
}

// Holds refuses parts that a backup does not hold.
func Holds(m vault.Manifest, only []string) error {
	for _, name := range only {
		if _, ok := m.Part(name); !ok {
			return fault.New(fault.RestoreRefused, "see what it holds with `ssg-bootstrap backup show "+m.ID+" --host HOST`", "backup %s holds no %s", m.ID, name)
		}
	}
	return nil
}

// Service is one that this computer talks to itself. Whoever writes to it is
// stopped. next returns the pieces in their order and nil at the end.
type Service func(ctx context.Context, next func() ([]byte, error)) (Restored, error)

// Around is what a restore into a running box does between its own parts. Either
// may be nil.
type Around struct {
	// Before runs when whoever writes is stopped and nothing was replaced yet:
	// what it reads is all that there ever was.
	Before func(ctx context.Context) error
	// Proven runs when all is back and compared, before anybody writes again: from
	// then on nothing may be replaced once more.
	Proven func(ctx context.Context) error
	// Done is told of each part.
	Done func(part string, out Restored)
}

// Into restores parts into a running box, one after the other. What must cross
// the link does so first, while the application serves. Up to the moment when
// the note of what is restored is written, a run that breaks off has replaced
// nothing; from the moment on when it is gone, nothing is replaced again.
func (r Restorer) Into(ctx context.Context, e vault.Entry, m vault.Manifest, only []string, around Around) error {
	sent, err := r.sendAll(ctx, e, m, only)
	if err != nil {
		return err
	}
	if err := r.job(ctx, "pause"); err != nil {
		return unfinished("the application", err)
	}
	if around.Before != nil {
		if err := around.Before(ctx); err != nil {
			return errors.Join(err, r.serveAgain(ctx))
		}
	}
	note := host.File{Path: r.Box.restoringPath(), Mode: 0o600, Content: []byte(e.ID + "\n")}
	if err := r.Box.Host.Put(ctx, note); err != nil {
		return fmt.Errorf("note what is restored: %w", err)
	}
	for _, name := range only {
		p, _ := m.Part(name)
		out, err := r.one(ctx, e, p, sent)
		if err != nil {
			return err
		}
		around.Done(name, out)
	}
	if around.Proven != nil {
		if err := around.Proven(ctx); err != nil {
			return err
		}
	}
	return r.Finish(ctx)
}

// Finish lets the application write again after all is back. It may be repeated.
func (r Restorer) Finish(ctx context.Context) error {
	// Without the note first, a run that breaks off here would have what users
	// write from now on replaced by the next.
	if err := r.Box.sh(ctx, `rm -rf "$1" && sync -f "$2"`, r.Box.at(in), r.Box.folder()); err != nil {
		return fmt.Errorf("forget what was restored: %w", err)
	}
	if err := r.job(ctx, "resume"); err != nil {
		return unfinished("the application", err)
	}
	return nil
}

// serveAgain starts the application although the restore did not begin. Ctrl-C
// is no reason to leave it stopped.
func (r Restorer) serveAgain(ctx context.Context) error {
	const patience = 2 * time.Minute
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := r.job(ctx, "resume"); err != nil {
		return unfinished("the application", err)
	}
	return nil
}

// arrived is what is on the box of a part.
type arrived struct {
	index vault.Index
	bytes int64
}

// sendAll brings what the box itself puts back.
func (r Restorer) sendAll(ctx context.Context, e vault.Entry, m vault.Manifest, only []string) (map[string]arrived, error) {
	out := map[string]arrived{}
	if err := r.Box.ready(ctx); err != nil {
		return nil, err
	}
	for _, name := range only {
		p, _ := m.Part(name)
		if !OnBox(name) {
			continue
		}
		r.Note("sending " + name)
		x, sent, err := r.send(ctx, e, p)
		if err != nil {
			return nil, err
		}
		out[name] = arrived{x, sent}
	}
	return out, nil
}

func (r Restorer) one(ctx context.Context, e vault.Entry, p vault.Part, sent map[string]arrived) (Restored, error) {
	if p.Name == MySQL {
		return r.mysql(ctx, sent[MySQL].index, Restored{Bytes: sent[MySQL].bytes, Total: p.Bytes})
	}
	service := r.Services[p.Name]
	if service == nil {
		return Restored{}, fault.New(fault.RestoreRefused, "", "%s does not go into a running box", p.Name)
	}
	x, err := r.Vault.Index(e, p)
	if err != nil {
		return Restored{}, err
	}
	if err := r.job(ctx, "await-"+p.Name); err != nil {
		return Restored{}, unfinished(p.Name, err)
	}
	r.Note("putting " + p.Name + " back")
	out, err := service(ctx, func() ([]byte, error) {
		if len(x) == 0 {
			return nil, nil
		}
		sum := x[0].Sum
		x = x[1:]
		return r.Vault.Get(e, sum)
	})
	if err != nil {
		return out, unfinished(p.Name, err)
	}
	return out, nil
}

// String says what a restore did, for people.
func (r Restored) String() string {
	var rows int64
	for _, t := range r.Tables {
		rows += t.Rows
	}
	if r.Tables != nil {
		return fmt.Sprintf("%s with %s, each compared", report.Count(len(r.Tables), "table"), report.Count(rows, "row"))
	}
	n := 0
	for _, q := range r.Queues {
		n += q.Messages
	}
	return fmt.Sprintf("%s in %s, each confirmed", report.Count(n, "message"), report.Count(len(r.Queues), "queue"))
}
