package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a program that can be ended and started again with the same arguments.
type Process struct {
	Name string
	Log  string // file that it writes to
	path string
	args []string
	env  []string
	attr syscall.SysProcAttr
	died func(pid int, how string) // told when the program ends that was ready, and nobody has ended it; may be nil

	mu   sync.Mutex // guards what follows
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
	up   bool          // it was ready, and is to stay
}

var errRunning = errors.New("it runs already")

func (p *Process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.runs() {
		return fmt.Errorf("%s: %w", p.Name, errRunning)
	}
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644) //nolint:gosec // for people to read
	if err != nil {
		return err
	}
	defer log.Close()
	cmd, attr := exec.Command(p.path, p.args...), p.attr
	if attr.Pdeathsig == 0 {
		attr.Pdeathsig = syscall.SIGKILL
	}
	attr.Setpgid = true // Ctrl-C is for who started it
	cmd.SysProcAttr, cmd.Env, cmd.Dir = &attr, append(os.Environ(), p.env...), "/"
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	done := make(chan struct{})
	p.cmd, p.done, p.up = cmd, done, false
	go func() {
		defer close(done)
		_ = cmd.Wait()
		p.mu.Lock()
		up := p.up
		p.mu.Unlock()
		if up && p.died != nil {
			p.died(cmd.Process.Pid, cmd.ProcessState.String())
		}
	}()
	return nil
}

// stays says whether the program, which runs, is to go on.
func (p *Process) stays(up bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.runs() {
		p.up = up
	}
}

// runs says whether the program has been started and has not ended. p.mu is held.
func (p *Process) runs() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Runs says whether the program has been started and has not ended.
func (p *Process) Runs() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.runs()
}

// PID is the process's id; 0 before the first start.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Wait waits until the program has ended.
func (p *Process) Wait() { p.wait(0) }

// Signal sends a signal, unless the program has ended.
func (p *Process) Signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.runs() {
		_ = p.cmd.Process.Signal(sig)
	}
}

// Pause keeps the program from running until Resume.
func (p *Process) Pause() { p.Signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (p *Process) Resume() { p.Signal(syscall.SIGCONT) }

// Kill ends the program as a crash does, and waits for the end.
func (p *Process) Kill() {
	p.stays(false)
	p.Signal(syscall.SIGKILL)
	p.wait(0)
}

// Terminate asks the program to end, and says whether it has within a time; otherwise it is killed.
func (p *Process) Terminate(within time.Duration) bool {
	p.stays(false)
	p.Resume()
	p.Signal(syscall.SIGTERM)
	if p.wait(within) {
		return true
	}
	p.Kill()
	return false
}

// wait waits for the end; 0 means without limit.
func (p *Process) wait(within time.Duration) bool {
	p.mu.Lock()
	done := p.done
	p.mu.Unlock()
	if done == nil {
		return true
	}
	var late <-chan time.Time
	if within > 0 {
		late = time.After(within)
	}
	select {
	case <-done:
		return true
	case <-late:
		return false
	}
}

// until tries again and again whether the program is ready, as long as it runs.
func (p *Process) until(within time.Duration, try func() error) error {
	for end := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		err := try()
		if err == nil {
			p.stays(true)
			return nil
		}
		if !p.Runs() {
			return fmt.Errorf("%s ended: %s", p.Name, tail(p.Log))
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is not ready: %w: %s", p.Name, err, tail(p.Log))
		}
	}
}

// tail is the end of a log.
func tail(file string) string {
	b, _ := os.ReadFile(file)
	return string(b[max(0, len(b)-2000):])
}

// children lists the processes that a process has started, and waits for none.
func children(pid int) (found []int) {
	all, _ := os.ReadDir("/proc")
	for _, e := range all {
		id, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, _ := os.ReadFile("/proc/" + e.Name() + "/stat")
		// proc(5): the second field is a name in parentheses, the fourth the parent.
		rest := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(rest) > 1 && rest[1] == strconv.Itoa(pid) {
			found = append(found, id)
		}
	}
	return found
}

// freeAddr finds a loopback address that will still be free when a process is started again: none that the kernel hands
// out to outgoing connections, as it does from 32768 on.
func freeAddr() (string, error) {
	var err error
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(10000+rand.IntN(22000)))
		var l net.Listener
		if l, err = net.Listen("tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", err
}
