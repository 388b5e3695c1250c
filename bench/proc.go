package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// server is a process under test.
type server struct {
	name  string
	addr  string
	proto proto
	kind  sending // how events are published on it
	cmd   *exec.Cmd
	out   bytes.Buffer
	done  chan struct{}
}

// start runs a server and waits until it listens.
func start(name string, env []string, program string, args ...string) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	_ = l.Close()
	s := &server{name: name, addr: addr, done: make(chan struct{})}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "{addr}", addr)
	}
	s.cmd = exec.Command(program, args...)
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.done)
	}()
	for until := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", addr); err == nil {
			_ = c.Close()
			return s, nil
		}
		select {
		case <-s.done:
			return nil, fmt.Errorf("%s ended: %s", name, s.out.String())
		default:
		}
		if time.Now().After(until) {
			s.stop()
			return nil, fmt.Errorf("%s does not listen: %s", name, s.out.String())
		}
	}
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(3 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

// cpu is the time that the process has used, in user and kernel mode.
func (s *server) cpu() time.Duration {
	const sched = 2 // CPUCLOCK_SCHED: see clock_getcpuclockid(3)
	var t unix.Timespec
	if unix.ClockGettime(int32(^s.cmd.Process.Pid<<3|sched), &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// quiet waits until the server has done what is left to do, such as seeing to connections that were closed.
func (s *server) quiet() {
	const look = 50 * time.Millisecond
	for last, until := s.cpu(), time.Now().Add(10*time.Second); time.Now().Before(until); {
		time.Sleep(look)
		now := s.cpu()
		if now-last < look/20 {
			return
		}
		last = now
	}
}

// resident is the process's resident memory in bytes.
func (s *server) resident() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// threadCPU is the time that the calling thread has used.
func threadCPU() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_THREAD, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// mostFiles is how many files can be open.
func mostFiles() (int, error) {
	var l unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l)
	if err == nil && l.Max < 1<<17 { // root may
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 17, Max: 1 << 17})
		err = unix.Getrlimit(unix.RLIMIT_NOFILE, &l)
	}
	return int(min(l.Max, 1<<20)), err //nolint:gosec // bounded
}

// needFiles sees to it that n files can be open.
func needFiles(n uint64) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	if l.Max < n && unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}) != nil { // root may
		return errors.New("too few file descriptors: ulimit -n must allow " + strconv.FormatUint(n, 10))
	}
	return nil
}
