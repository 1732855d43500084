package report

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// Bytes formats a size in decimal units with at most three digits: 81 MB.
func Bytes(n int64) string {
	f, units := float64(n), []string{"B", "kB", "MB", "GB", "TB", "PB"}
	i := 0
	for ; f >= 999.5 && i < len(units)-1; i++ {
		f /= 1000
	}
	return digits(f, i) + " " + units[i]
}

// MemoryBytes formats a size in binary units, as memory is sold: 4 GiB.
func MemoryBytes(n int64) string {
	f, units := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	i := 0
	for ; f >= 1023.5 && i < len(units)-1; i++ {
		f /= 1024
	}
	return digits(f, i) + " " + units[i]
}

func digits(f float64, unit int) string {
	if unit == 0 || f >= 9.95 {
		return fmt.Sprintf("%.0f", f)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0")
}

// Rate formats bytes a second: 250 kB/s.
func Rate(perSecond float64) string { return Bytes(int64(perSecond)) + "/s" }

// Duration formats a time with at most two units: 3 min 20 s.
func Duration(d time.Duration) string {
	switch {
	case d <= 0:
		return "0 s"
	case d < 950*time.Microsecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 950*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	case d < 9950*time.Millisecond:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
	}
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return two(s/60, "min", s%60, "s")
	}
	m := (s + 30) / 60
	if m < 48*60 {
		return two(m/60, "h", m%60, "min")
	}
	h := (m + 30) / 60
	return two(h/24, "d", h%24, "h")
}

// Count is a number of things with their noun, in the plural where it is not one.
func Count[N int | int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func two(a int64, unitA string, b int64, unitB string) string {
	if b == 0 {
		return fmt.Sprintf("%d %s", a, unitA)
	}
	return fmt.Sprintf("%d %s %d %s", a, unitA, b, unitB)
}

// About formats an estimate, rounded so that it does not pretend precision.
func About(d time.Duration) string {
	switch {
	case d < 5*time.Second:
		return "a few seconds"
	case d < time.Minute:
		return "about " + Duration(d.Round(5*time.Second))
	case d < 10*time.Minute:
		return "about " + Duration(d.Round(10*time.Second))
	}
	return "about " + Duration(d.Round(time.Minute))
}

// Clean makes text that came from elsewhere safe to print: control
// characters, with which a box could rewrite the terminal, become visible.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case unicode.IsControl(r) || !unicode.IsPrint(r) && !unicode.IsSpace(r):
			return '�'
		}
		return r
	}, strings.ReplaceAll(s, "\r\n", "\n"))
}

func percent(done, total int64) int64 {
	if total <= 0 {
		return 0
	}
	return min(100, done*100/total)
}
