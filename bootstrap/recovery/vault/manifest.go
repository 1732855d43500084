package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	formatVersion = 1
	mostManifest  = 4 << 20
)

// Manifest is what one backup holds.
type Manifest struct {
	Format int    `json:"format"`
	ID     string `json:"id"`
	Host   string `json:"host"`
	// Taken is by this computer's clock, which may be wrong: the ID orders.
	Taken time.Time `json:"taken"`
	Parts []Part    `json:"parts"`
	// Partial says that it holds only what a restore was about to replace. No
	// host can be made of it, so it is never the latest.
	Partial bool `json:"partial,omitempty"`
	// About is the maker's own.
	About json.RawMessage `json:"about,omitempty"`
}

// Part is one thing that was backed up, such as a database.
type Part struct {
	Name string `json:"name"`
	// Index is the piece that lists the part's pieces.
	Index Sum `json:"index"`
	// Pieces and Bytes are what the list adds up to.
	Pieces int   `json:"pieces"`
	Bytes  int64 `json:"bytes"`
}

// Part returns the part with a name.
func (m Manifest) Part(name string) (Part, bool) {
	for _, p := range m.Parts {
		if p.Name == name {
			return p, true
		}
	}
	return Part{}, false
}

func (m Manifest) encode() ([]byte, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("write the manifest: %w", err)
	}
	if len(text) > mostManifest {
		return nil, fmt.Errorf("the manifest has %d bytes, too many", len(text))
	}
	return text, nil
}

func decodeManifest(text []byte) (Manifest, error) {
	var m Manifest
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return m, errDamaged
	}
	if version.Format != formatVersion {
		return m, fmt.Errorf("it has the format %d, which another version of ssg-bootstrap made", version.Format)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil || d.More() {
		return m, errDamaged
	}
	seen := map[string]bool{}
	for _, p := range m.Parts {
		if p.Name == "" || seen[p.Name] || p.Pieces < 0 || p.Bytes < 0 {
			return m, errDamaged
		}
		seen[p.Name] = true
	}
	return m, nil
}

// Piece is one piece of a part.
type Piece struct {
	Sum  Sum
	Size int64
	// Rows is how many rows of a table it holds.
	Rows int64
	// Table and Key say what it is a piece of and where in it, so that the
	// same place of another backup can be found. Both may be empty.
	Table, Key string
}

// Index lists the pieces of a part in their order.
type Index []Piece

// Bytes is what all pieces have together.
func (x Index) Bytes() (n int64) {
	for _, p := range x {
		n += p.Size
	}
	return n
}

// Encode writes the list, a line for each piece.
func (x Index) Encode() []byte {
	var b bytes.Buffer
	for _, p := range x {
		fmt.Fprintf(&b, "%s %d %d %s %s\n", p.Sum, p.Size, p.Rows, strconv.QuoteToASCII(p.Table), strconv.QuoteToASCII(p.Key))
	}
	return b.Bytes()
}

// DecodeIndex reads what Encode wrote and nothing else.
func DecodeIndex(text []byte) (Index, error) {
	var out Index
	for n := 1; len(text) > 0; n++ {
		line, rest, ok := bytes.Cut(text, []byte("\n"))
		p, err := decodePiece(string(line))
		if !ok {
			err = errors.New("the line does not end")
		}
		if err != nil {
			return nil, fmt.Errorf("line %d of the list of pieces: %w", n, err)
		}
		out = append(out, p)
		text = rest
	}
	return out, nil
}

func decodePiece(line string) (Piece, error) {
	var p Piece
	f := strings.SplitN(line, " ", 4)
	if len(f) != 4 {
		return p, errors.New("it has too few fields")
	}
	sum, err1 := ParseSum(f[0])
	size, err2 := decimal(f[1])
	rows, err3 := decimal(f[2])
	table, err4 := strconv.QuotedPrefix(f[3])
	key, found := strings.CutPrefix(f[3][len(table):], " ")
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return p, err
	}
	if !found || size > MostPiece {
		return p, errors.New("it is no piece")
	}
	p = Piece{Sum: sum, Size: size, Rows: rows}
	var err error
	if p.Table, err = unquote(table); err != nil {
		return p, err
	}
	p.Key, err = unquote(key)
	return p, err
}

func decimal(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, errors.New("not a number")
	}
	return n, nil
}

func unquote(text string) (string, error) {
	s, err := strconv.Unquote(text)
	if err != nil || strconv.QuoteToASCII(s) != text {
		return "", errors.New("not a quoted text")
	}
	return s, nil
}
