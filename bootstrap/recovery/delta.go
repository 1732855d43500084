package recovery

import (
	"bytes"
	"errors"
	"strconv"
)

var errDelta = errors.New("the difference does not fit the piece")

// patch applies what `diff -n` wrote to the piece that it was made against.
// The commands are "dLINE COUNT" and "aLINE COUNT" with COUNT lines behind,
// lines counted in the old piece from 1.
func patch(old, delta []byte) ([]byte, error) {
	lines := bytes.SplitAfter(old, []byte("\n"))
	if n := len(lines); n > 0 && len(lines[n-1]) == 0 {
		lines = lines[:n-1]
	}
	var out []byte
	at := 0 // how many of the old lines are done with
	for len(delta) > 0 {
		command, rest, ok := bytes.Cut(delta, []byte("\n"))
		if !ok {
			return nil, errDelta
		}
		delta = rest
		verb, line, count, err := readCommand(command)
		if err != nil {
			return nil, err
		}
		keep := line
		if verb == 'd' {
			keep--
		}
		if keep < at || keep > len(lines) || verb == 'd' && count > len(lines)-keep {
			return nil, errDelta
		}
		for ; at < keep; at++ {
			out = append(out, lines[at]...)
		}
		if verb == 'd' {
			at += count
			continue
		}
		for range count {
			end := bytes.IndexByte(delta, '\n') + 1
			if end == 0 {
				return nil, errDelta
			}
			out = append(out, delta[:end]...)
			delta = delta[end:]
		}
	}
	for ; at < len(lines); at++ {
		out = append(out, lines[at]...)
	}
	return out, nil
}

func readCommand(text []byte) (verb byte, line, count int, err error) {
	if len(text) < 4 || text[0] != 'a' && text[0] != 'd' {
		return 0, 0, 0, errDelta
	}
	a, b, ok := bytes.Cut(text[1:], []byte(" "))
	line, err1 := strconv.Atoi(string(a))
	count, err2 := strconv.Atoi(string(b))
	if !ok || err1 != nil || err2 != nil || line < 0 || count < 1 || text[0] == 'd' && line == 0 {
		return 0, 0, 0, errDelta
	}
	return text[0], line, count, nil
}
