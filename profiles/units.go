package profiles

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/invopop/jsonschema"
)

// ByteSize is a number of bytes, written as 512MiB, 4GiB or 20GB.
type ByteSize int64

type byteUnit struct {
	name  string
	bytes int64
}

// byteUnits returns the units, the largest first.
func byteUnits() []byteUnit {
	return []byteUnit{
		{"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9},
		{"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3}, {"B", 1},
	}
}

const byteSizePattern = `^[0-9]+(\.[0-9]+)?(B|kB|KiB|MB|MiB|GB|GiB|TB|TiB)$`

// UnmarshalText reads a size; the unit is required, because 4 may be anything.
// A profile has dozens of them, so it takes no pattern to be compiled.
func (b *ByteSize) UnmarshalText(text []byte) error {
	for _, u := range byteUnits() {
		digits, ok := strings.CutSuffix(string(text), u.name)
		if !ok || !isDecimal(digits) {
			continue
		}
		number, err := strconv.ParseFloat(digits, 64)
		if err != nil {
			return fmt.Errorf("read size %q: %w", text, err)
		}
		if n := number * float64(u.bytes); n < math.MaxInt64 {
			*b = ByteSize(n)
			return nil
		}
		return fmt.Errorf("%q is too large a size", text)
	}
	return fmt.Errorf("%q is not a size; write it like 512MiB or 4GiB", text)
}

// isDecimal tells whether s is digits, with a point between some of them or not.
func isDecimal(s string) bool {
	whole, fraction, point := strings.Cut(s, ".")
	const digits = "0123456789"
	return whole != "" && strings.Trim(whole+fraction, digits) == "" && point == (fraction != "")
}

// MarshalText writes the size as it is read.
func (b ByteSize) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// String writes the size in the largest unit in which it is a whole number.
func (b ByteSize) String() string {
	for _, u := range byteUnits() {
		if b != 0 && int64(b)%u.bytes == 0 {
			return strconv.FormatInt(int64(b)/u.bytes, 10) + u.name
		}
	}
	return "0B"
}

// JSONSchema describes the text form.
func (ByteSize) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: byteSizePattern, Examples: []any{"512MiB", "4GiB"}}
}

// Duration is a length of time, written as 90s, 10m or 1h30m.
type Duration time.Duration

// Std returns the duration as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// UnmarshalText reads a duration that is not negative.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a duration; write it like 90s, 10m or 1h30m", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes the duration as it is read.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String writes the duration without zero parts: 10m, not 10m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// JSONSchema describes the text form.
func (Duration) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$`, Examples: []any{"90s", "10m"}}
}
