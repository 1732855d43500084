package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Query runs one query.
func (c *Client) Query(ctx context.Context, q Command) ([]byte, error) {
	answers, err := c.QueryMany(ctx, []Command{q})
	if err != nil {
		return nil, err
	}
	return answers[0].Out, answers[0].Err
}

// Run runs a command that may change the box.
func (c *Client) Run(ctx context.Context, cmd Command) ([]byte, error) {
	if len(cmd.Argv) == 0 {
		return nil, errors.New("run: there is no command")
	}
	if err := c.mayChange(ctx); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	s := script{body: `exec "$@"`, args: cmd.argv(), root: cmd.Root, stdout: &out, label: cmd.String(), changes: true}
	if len(cmd.Stdin) > 0 {
		s.stdin = bytes.NewReader(cmd.Stdin)
	}
	_, err := c.once(ctx, s)
	return out.Bytes(), err
}

// maxScript bounds a batch's script: Linux takes 128 KiB as one argument, and
// quoting makes it longer.
const maxScript = 48 << 10

// QueryMany runs queries in one round trip, or a few when they are very many.
// Root's, the login user's and those aside go side by side.
func (c *Client) QueryMany(ctx context.Context, cs []Command) ([]Answer, error) {
	answers := make([]Answer, len(cs))
	batches, err := split(cs)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(batches))
	var wg sync.WaitGroup
	for i, b := range batches {
		wg.Go(func() { errs[i] = c.batch(ctx, cs, b, answers) })
	}
	wg.Wait()
	for _, err := range errs {
		// The first will do: they share the connection.
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// split groups the queries' numbers by session and into scripts of bearable size.
func split(cs []Command) ([][]int, error) {
	type session struct{ root, aside bool }
	var batches [][]int
	for _, s := range []session{{false, false}, {true, false}, {false, true}, {true, true}} {
		var batch []int
		size := 0
		for i, q := range cs {
			if s != (session{q.Root, q.Aside}) {
				continue
			}
			if len(q.Argv) == 0 {
				return nil, errors.New("query: there is no command")
			}
			n := len(quoteAll(q.argv()))
			if size+n > maxScript && len(batch) > 0 {
				batches = append(batches, batch)
				batch, size = nil, 0
			}
			batch = append(batch, i)
			size += n
		}
		if len(batch) > 0 {
			batches = append(batches, batch)
		}
	}
	return batches, nil
}

func (c *Client) batch(ctx context.Context, cs []Command, numbers []int, answers []Answer) error {
	mark := newNonce()
	body, stdin := batchScript(cs, numbers)
	var out bytes.Buffer
	label := "query " + cs[numbers[0]].String()
	stderr, err := c.again(ctx, func() script {
		out.Reset()
		s := script{body: body, args: []string{mark.a, mark.b}, root: cs[numbers[0]].Root, stdout: &out, label: label}
		if len(stdin) > 0 {
			s.stdin = bytes.NewReader(stdin)
		}
		return s
	})
	if err != nil {
		return err
	}
	frames, err := splitFrames(mark.joined(), len(numbers), out.Bytes(), stderr)
	if err != nil {
		return failed(fmt.Sprintf("%s: %v", label, err), 1, stderr)
	}
	for i, f := range frames {
		n := numbers[i]
		answers[n] = Answer{Out: f.out}
		if f.status != 0 {
			answers[n].Err = failed(cs[n].String(), f.status, f.err)
		}
	}
	return nil
}

// batchScript runs each query by itself, so that none can see or change what
// the others are. Their inputs follow each other on stdin, of which each takes
// exactly its part: on a command line everybody could read them.
func batchScript(cs []Command, numbers []int) (body string, stdin []byte) {
	var b strings.Builder
	b.WriteString(`m=$1$2; f() { printf '\n%s %s %s\n' "$m" "$1" "$2"; printf '\n%s %s\n' "$m" "$1" >&2; }` + "\n")
	for i, number := range numbers {
		q := cs[number]
		if len(q.Stdin) > 0 {
			fmt.Fprintf(&b, "head -c %d | ( %s )", len(q.Stdin), program(q.argv()))
			stdin = append(stdin, q.Stdin...)
		} else {
			fmt.Fprintf(&b, "( %s ) </dev/null", program(q.argv()))
		}
		fmt.Fprintf(&b, "; f %d $?\n", i)
	}
	return b.String(), stdin
}

// program runs one command in a subshell: a program takes its place, a script
// is read by the shell that is there already. Starting another shell for it
// takes an old CPU 20 ms, ten times as long as the fork. The mark is taken
// away first, it is not for scripts to know.
func program(argv []string) string {
	const name = 3
	if len(argv) <= name || argv[0] != "sh" || argv[1] != "-c" {
		return "exec " + quoteAll(argv)
	}
	return "unset -f f; unset m; set -- " + quoteAll(argv[name+1:]) + "; eval " + quote(argv[2])
}
