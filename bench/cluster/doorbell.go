package cluster

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Mischief is what happens to messages, each with a probability. The first that hits is done.
type Mischief struct {
	Drop, Double, Delay, Reorder float64
	// Late is the longest delay.
	Late time.Duration
}

// Counts is what has happened to messages since the start.
type Counts struct{ Passed, Dropped, Doubled, Delayed, Reordered int64 }

// Doorbells is a way to NATS on which the messages of one subject, to the server and from it, can meet with mischief.
// Everything else passes.
type Doorbells struct {
	*Proxy
	subject []byte

	mu       sync.Mutex // guards what follows
	random   *rand.Rand
	mischief Mischief

	passed, dropped, doubled, delayed, reordered atomic.Int64
}

// ListenDoorbells starts the way to a NATS server.
func ListenDoorbells(addr, server, subject string, r *rand.Rand) (d *Doorbells, err error) {
	d = &Doorbells{subject: []byte(subject), random: r}
	d.Proxy, err = listen(addr, func() []string { return []string{server} }, d.pass)
	return d, err
}

// Set says what happens from now on; the zero Mischief is none.
func (d *Doorbells) Set(m Mischief) {
	d.mu.Lock()
	d.mischief = m
	d.mu.Unlock()
}

// Counts tells what has happened so far.
func (d *Doorbells) Counts() Counts {
	return Counts{d.passed.Load(), d.dropped.Load(), d.doubled.Load(), d.delayed.Load(), d.reordered.Load()}
}

// pass relays one direction of a connection, message by message: see docs.nats.io, "Client Protocol".
func (d *Doorbells) pass(dst io.Writer, src io.Reader) error {
	w := &way{dst: dst}
	r := bufio.NewReaderSize(src, 64<<10)
	for {
		frame, err := r.ReadBytes('\n')
		if err != nil {
			return err
		}
		subject, size, err := message(frame)
		if err != nil {
			return err
		}
		if subject == nil {
			if err := w.write(frame); err != nil {
				return err
			}
			continue
		}
		ours := bytes.Equal(subject, d.subject)
		line := len(frame)
		frame = append(frame, make([]byte, size+len("\r\n"))...)
		if _, err := io.ReadFull(r, frame[line:]); err != nil {
			return err
		}
		if ours {
			err = d.play(w, frame)
		} else {
			err = w.write(frame)
		}
		if err != nil {
			return err
		}
	}
}

// message reads the first line of a message: the subject, and how much follows. Other lines have no subject.
func message(line []byte) (subject []byte, size int, err error) {
	f := bytes.Fields(line)
	if len(f) < 3 {
		return nil, 0, nil
	}
	switch string(bytes.ToUpper(f[0])) {
	case "PUB", "HPUB", "MSG", "HMSG":
		// The last number is the size of all that follows but the end of the line.
		if size, err = strconv.Atoi(string(f[len(f)-1])); err != nil || size < 0 || size > 64<<20 {
			return nil, 0, fmt.Errorf("a line of NATS without a size: %q", line)
		}
		return f[1], size, nil
	}
	return nil, 0, nil
}

func (d *Doorbells) play(w *way, frame []byte) error {
	d.mu.Lock()
	m, x := d.mischief, d.random.Float64()
	late := time.Duration(d.random.Float64() * float64(m.Late))
	d.mu.Unlock()
	switch {
	case x < m.Drop:
		d.dropped.Add(1)
		return nil
	case x < m.Drop+m.Double:
		d.doubled.Add(1)
		time.AfterFunc(late, func() { _ = w.write(frame) })
		return w.write(frame)
	case x < m.Drop+m.Double+m.Delay:
		d.delayed.Add(1)
		time.AfterFunc(late, func() { _ = w.write(frame) })
		return nil
	case x < m.Drop+m.Double+m.Delay+m.Reorder:
		d.reordered.Add(1)
		w.hold(frame)
		return nil
	}
	d.passed.Add(1)
	return w.write(frame)
}

// way is one direction of a connection.
type way struct {
	mu   sync.Mutex // guards what follows
	dst  io.Writer
	held []byte // comes after the next message
}

func (w *way) write(frame []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err := w.dst.Write(frame)
	if err == nil && w.held != nil && isMessage(frame) {
		_, err = w.dst.Write(w.held)
		w.held = nil
	}
	return err
}

// hold lets a frame go after the next message, which perhaps never comes: then it is lost.
func (w *way) hold(frame []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held != nil {
		frame = append(frame, w.held...)
	}
	w.held = frame
}

func isMessage(frame []byte) bool {
	subject, _, _ := message(frame[:bytes.IndexByte(frame, '\n')+1])
	return subject != nil
}
