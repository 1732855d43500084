package recovery

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery/vault"
)

// squeeze compresses on the box with the best that is there; the first bytes
// tell which it was. A link of 2 Mbit/s is slower than either.
const squeeze = `if command -v zstd >/dev/null; then exec zstd -q -9 -c; else exec gzip -c; fi`

// expand is the way back, for at most so many bytes.
func expand(packed []byte, most int64) ([]byte, error) {
	var r io.Reader
	if bytes.HasPrefix(packed, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, fmt.Errorf("decompress: %w", err)
		}
		r = z
	} else {
		z, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(32<<20))
		if err != nil {
			return nil, fmt.Errorf("decompress: %w", err)
		}
		defer z.Close()
		r = z
	}
	var out bytes.Buffer
	n, err := io.Copy(&out, io.LimitReader(r, most+1))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if n > most {
		return nil, errors.New("the box sent more than was asked for")
	}
	return out.Bytes(), nil
}

func pack(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	_, err = z.Write(plain)
	if err := errors.Join(err, z.Close()); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return out.Bytes(), nil
}

// frame is one answer of the box: a piece as it is, or how it differs.
type frame struct {
	delta bool
	data  []byte
}

// readFrames reads exactly the answers that were asked for.
func readFrames(text []byte, want int) ([]frame, error) {
	out := make([]frame, 0, want)
	for range want {
		head, rest, ok := bytes.Cut(text, []byte("\n"))
		kind, length, spaced := strings.Cut(string(head), " ")
		n, err := strconv.Atoi(length)
		if !ok || !spaced || err != nil || n < 0 || n > len(rest) || kind != "w" && kind != "d" {
			return nil, errors.New("the box's answer broke off")
		}
		out = append(out, frame{delta: kind == "d", data: rest[:n]})
		text = rest[n:]
	}
	if len(text) > 0 {
		return nil, errors.New("the box answered more than was asked for")
	}
	return out, nil
}

// readList reads the list that the box made of a part: "SUM SIZE ROWS .TABLE
// .KEY", the last two in hexadecimal.
func readList(text []byte) (vault.Index, error) {
	var out vault.Index
	for line := range strings.Lines(string(text)) {
		p, err := readListed(strings.TrimSuffix(line, "\n"))
		if err != nil || !strings.HasSuffix(line, "\n") {
			return nil, fmt.Errorf("line %d of the box's list of pieces cannot be read: %w", len(out)+1, errors.Join(err))
		}
		out = append(out, p)
	}
	if len(out) == 0 {
		return nil, errors.New("the box's list of pieces is empty")
	}
	return out, nil
}

func readListed(line string) (vault.Piece, error) {
	f := strings.Split(line, " ")
	const fields = 5
	if len(f) != fields || !strings.HasPrefix(f[3], ".") || !strings.HasPrefix(f[4], ".") {
		return vault.Piece{}, errors.New("it has other fields")
	}
	sum, err1 := vault.ParseSum(f[0])
	size, err2 := strconv.ParseInt(f[1], 10, 64)
	rows, err3 := strconv.ParseInt(f[2], 10, 64)
	table, err4 := hex.DecodeString(f[3][1:])
	key, err5 := hex.DecodeString(f[4][1:])
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return vault.Piece{}, err
	}
	if size > vault.MostPiece {
		return vault.Piece{}, fmt.Errorf("a row of %q takes %d bytes in the dump, and %d is the most that fits into a piece", table, size, vault.MostPiece)
	}
	if size < 1 || rows < 0 {
		return vault.Piece{}, errors.New("its size is impossible")
	}
	return vault.Piece{Sum: sum, Size: size, Rows: rows, Table: string(table), Key: string(key)}, nil
}
