// Command figures measures a built program: its size, and how long it takes to
// start. It keeps the promise that the figures in docs/performance.md about the
// program itself are printed by a command, and fails when a goal is missed.
//
//	figures PROGRAM
package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"
)

const (
	runs    = 41
	maxTime = 50 * time.Millisecond
	maxSize = 80e6
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "figures:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: figures PROGRAM")
	}
	info, err := os.Stat(args[0])
	if err != nil {
		return err
	}
	clock, cpu, err := starts(args[0])
	if err != nil {
		return err
	}
	fmt.Printf("figure: size of the program: %.1f MB (goal: under %.0f)\n", float64(info.Size())/1e6, maxSize/1e6)
	fmt.Printf("figure: start of `version`: median %s by the clock, %s of processor time, of %d (goal: under %s)\n",
		ms(median(clock)), ms(median(cpu)), runs, maxTime)
	switch {
	case info.Size() > maxSize:
		return fmt.Errorf("the program is larger than the goal")
	case median(cpu) > maxTime:
		// The clock counts other people's work as well, where there is any.
		return fmt.Errorf("a start takes longer than the goal")
	}
	return nil
}

// starts runs the program's cheapest command again and again; the first time,
// which reads it from the disk, does not count.
func starts(program string) (clock, cpu []time.Duration, err error) {
	for i := range runs + 1 {
		cmd := exec.Command(program, "version")
		start := time.Now()
		if said, err := cmd.CombinedOutput(); err != nil {
			return nil, nil, fmt.Errorf("run %s version: %w\n%s", program, err, said)
		}
		if i > 0 {
			clock = append(clock, time.Since(start))
			cpu = append(cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
		}
	}
	return clock, cpu, nil
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond)) }
