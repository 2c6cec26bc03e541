package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ownCPU returns the processor time that this process has used.
func ownCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// processCPU is the processor time of another process.
func processCPU(pid int) (time.Duration, error) {
	p, err := readProcess(pid)
	return p.used, err
}

// familyCPU is the processor time of a process with its children, those too that have ended.
func familyCPU(pid int) (time.Duration, error) {
	parent, err := readProcess(pid)
	if err != nil {
		return 0, err
	}
	used := parent.used + parent.children
	others, err := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range others {
		other, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if p, err := readProcess(other); err == nil && p.parent == pid { // it may have ended
			used += p.used + p.children
		}
	}
	return used, err
}

// processTimes is what proc(5) says in stat: fields 4, 14 and 15, and 16 and 17, which count
// ticks of 10 ms.
type processTimes struct {
	parent   int
	used     time.Duration
	children time.Duration // that have ended
}

func readProcess(pid int) (p processTimes, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name before may have spaces
	var ticks [4]int
	var state string
	var skipped int
	if _, err := fmt.Sscan(rest, &state, &p.parent, &skipped, &skipped, &skipped, &skipped, &skipped, &skipped, &skipped, &skipped, &skipped,
		&ticks[0], &ticks[1], &ticks[2], &ticks[3]); err != nil {
		return p, fmt.Errorf("unreadable /proc/%d/stat: %w", pid, err)
	}
	p.used, p.children = ofTicks(ticks[0]+ticks[1]), ofTicks(ticks[2]+ticks[3])
	return p, nil
}

func ofTicks(n int) time.Duration {
	const tick = 10 * time.Millisecond
	return time.Duration(n) * tick
}
