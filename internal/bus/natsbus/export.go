package natsbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-chat/parley/internal/bus"
	"github.com/parley-chat/parley/internal/chat"
)

// Log is where the events come from.
type Log interface {
	// After returns up to limit events after a position, in order and without a gap. CURSOR_EXPIRED when the log does not
	// reach back to it.
	After(ctx context.Context, after chat.Position, limit int) ([]*chat.Event, error)
	// Bounds tells where the log ends, and up to where it has been trimmed.
	Bounds(ctx context.Context) (epoch chat.Epoch, head, trimmed chat.Position, err error)
	// Applied is the newest position that After knows of.
	Applied() chat.Position
	// Grown is closed when Applied grows again.
	Grown() <-chan struct{}
}

// ExportConfig says what goes where. Log, Stream, Subject and MaxAge are required.
type ExportConfig struct {
	Log     Log
	Stream  string
	Subject string        // of the events, before their type
	MaxAge  time.Duration // of what the stream keeps, where it has to be made
	Watch   time.Duration // how often one that stands by looks; 0 means 1 s
}

// Exporter writes the log to a stream of JetStream, each event once and in order.
//
// Every node has one, and none trusts in being the only one: each message says which one must be the stream's last,
// and the server refuses it elsewhere. So whoever is late, was stopped for a while or has missed an answer can do nothing wrong.
// One that is refused stands by, and takes over when the stream no longer grows although the log does. Where to go on is
// always read from the stream: its last message, or, where that is gone, how its sequence and the positions relate, which is
// kept in the stream's metadata.
type Exporter struct {
	cfg    ExportConfig
	bus    *Bus
	js     jetstream.JetStream
	said   string // last, so that it is said once
	wake   chan struct{}
	cancel context.CancelFunc
	done   chan struct{}

	// Where the stream stands, as far as is known.
	epoch    chat.Epoch
	sequence uint64
	position chat.Position
	seen     bool          // there was one
	skipped  chat.Position // events before the next one that the log no longer has

	known, waiting, exported, missed atomic.Int64
	refused                          atomic.Bool
}

// ExportStats says how far the stream is.
type ExportStats struct {
	Position chat.Position // of the newest event in the stream; -1: there is no stream of this log
	Waiting  time.Time     // when the oldest event that it does not have happened; zero: it has all
	Exported int64         // by this node
	Missed   int64         // that the log had lost before they could be exported
	Refused  bool          // the stream belongs to another log
}

const (
	// How many events are on their way at once.
	exportWindow = 512
	// How long the server may take to confirm them.
	exportTimeout = 5 * time.Second
	// For whatever needs an operator: JetStream is off, or the stream is somebody else's.
	retries = 10

	headerMissed = "Parley-Missed"
	metaEpoch    = "parley_epoch"
	metaOffset   = "parley_offset" // position minus sequence
)

// overtaken are the answers to a message whose predecessor is not the stream's last.
var overtaken = map[jetstream.ErrorCode]bool{
	10070: true, // another id
	jetstream.JSErrCodeStreamWrongLastSequence:         true,
	jetstream.JSErrCodeStreamWrongLastSequenceConstant: true,
}

var (
	errOvertaken = errors.New("another node exports")
	errForeign   = errors.New("the stream does not belong to this log; nothing is exported until it is deleted, or this installation gets a PARLEY_CLUSTER of its own")
	errDeleted   = errors.New("the stream was deleted; it is made anew if nobody else does") // the server needs a moment between the two
)

// NewExporter prepares an exporter. It comes before the bus is started, and Start after that.
func NewExporter(b *Bus, c ExportConfig) *Exporter {
	if c.Watch == 0 {
		c.Watch = time.Second
	}
	x := &Exporter{cfg: c, bus: b, wake: make(chan struct{}, 1)}
	x.known.Store(-1)
	b.OnConnect(func() {
		select {
		case x.wake <- struct{}{}:
		default:
		}
	})
	return x
}

// Start begins to export. Nothing that goes wrong later ends it.
func (x *Exporter) Start() (err error) {
	if x.js, err = jetstream.New(x.bus.conn, jetstream.WithPublishAsyncTimeout(exportTimeout)); err != nil {
		return fmt.Errorf("export to JetStream: %w", err)
	}
	var ctx context.Context
	ctx, x.cancel = context.WithCancel(context.Background())
	x.done = make(chan struct{})
	go x.run(ctx)
	return nil
}

// Stop ends the export before the bus is stopped; another node, or the next start, goes on. It may be called twice, and
// without Start.
func (x *Exporter) Stop() {
	if x.cancel != nil {
		x.cancel()
		<-x.done
	}
}

// Stats says how far the stream is.
func (x *Exporter) Stats() ExportStats {
	s := ExportStats{Position: chat.Position(x.known.Load()), Exported: x.exported.Load(), Missed: x.missed.Load(), Refused: x.refused.Load()}
	if at := x.waiting.Load(); at != 0 {
		s.Waiting = time.UnixMicro(at)
	}
	return s
}

func (x *Exporter) run(ctx context.Context) {
	defer close(x.done)
	for ctx.Err() == nil {
		err := x.export(ctx)
		for errors.Is(err, errOvertaken) {
			err = x.standBy(ctx)
		}
		if ctx.Err() != nil || err == nil {
			continue
		}
		pause := x.cfg.Watch
		switch {
		case errors.Is(err, errForeign):
			x.refused.Store(true)
			x.say(slog.LevelError, "the events for other services cannot be exported", err)
			x.known.Store(-1) // the position is not of this log
			x.waiting.Store(0)
			pause *= retries
		case errors.Is(err, errDeleted):
			x.say(slog.LevelWarn, "the events for other services wait", err)
			pause *= retries
		case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
			x.say(slog.LevelInfo, "NATS has no JetStream: there are no events for other services", nil)
			pause *= retries
		case x.bus.Connected(): // who has lost the connection has said so
			x.say(slog.LevelWarn, "the events for other services wait", err)
			x.waiting.CompareAndSwap(0, time.Now().UnixMicro())
			if errors.Is(err, context.DeadlineExceeded) { // nobody answers, as where permissions are missing
				pause *= retries
			}
		default:
			x.waiting.CompareAndSwap(0, time.Now().UnixMicro())
		}
		x.behind(ctx)
		x.sleep(ctx, pause)
	}
}

// say logs what has changed.
func (x *Exporter) say(level slog.Level, text string, err error) {
	args := []any{"stream", x.cfg.Stream}
	said := text
	if err != nil {
		args, said = append(args, "error", err), text+err.Error()
	}
	if said != x.said {
		x.said = said
		x.bus.cfg.Log.Log(context.Background(), level, text, args...)
	}
}

func (x *Exporter) sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-x.wake:
	case <-ctx.Done():
	}
}

// export looks where the stream stands and goes on from there, until something is in the way.
func (x *Exporter) export(ctx context.Context) error {
	if err := x.look(ctx); err != nil {
		return err
	}
	x.refused.Store(false)
	x.moved(x.position)
	x.say(slog.LevelInfo, "events go to JetStream for other services", nil)
	window := 1 // first: where it is refused the server says why, and not that its predecessor is missing
	for {
		grown := x.cfg.Log.Grown()
		events, err := x.cfg.Log.After(ctx, x.position, window)
		switch {
		case errors.Is(err, chat.ErrCursorExpired):
			err = x.skip(ctx)
		case err == nil && len(events) > 0:
			x.waiting.Store(events[0].At.UnixMicro())
			err = x.publish(ctx, events)
			window = exportWindow
		case err == nil:
			x.waiting.Store(0)
			select {
			case <-grown:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err != nil {
			return err
		}
	}
}

// standBy watches another node's work, and returns when nobody does it any more.
func (x *Exporter) standBy(ctx context.Context) error {
	for stalled := 0; stalled < 2; {
		x.sleep(ctx, x.cfg.Watch)
		s, err := x.js.Stream(ctx, x.cfg.Stream)
		if err != nil {
			return err
		}
		before := x.sequence
		x.at(s.CachedInfo())
		if x.behind(ctx); x.sequence == before && x.waiting.Load() != 0 {
			stalled++
		} else {
			stalled = 0
		}
	}
	return nil
}

// behind finds out for how long the oldest event that the stream lacks has been waiting.
func (x *Exporter) behind(ctx context.Context) {
	if x.known.Load() < 0 {
		return
	}
	switch events, err := x.cfg.Log.After(ctx, x.position, 1); {
	case errors.Is(err, chat.ErrCursorExpired): // long
		x.waiting.CompareAndSwap(0, time.Now().UnixMicro())
	case err == nil && len(events) > 0:
		x.waiting.Store(events[0].At.UnixMicro())
	case err == nil:
		x.waiting.Store(0)
	}
}

// at takes over where a stream stands by its sequence alone, and says whether that is known.
func (x *Exporter) at(info *jetstream.StreamInfo) bool {
	x.sequence = info.State.LastSeq
	offset, err := strconv.ParseInt(info.Config.Metadata[metaOffset], 10, 64)
	if err == nil {
		x.moved(chat.Position(int64(x.sequence) + offset)) //nolint:gosec // counts messages
	}
	return err == nil
}

func (x *Exporter) moved(to chat.Position) {
	x.position = to
	if !x.refused.Load() {
		x.known.Store(int64(to))
	}
}

// look finds where the stream stands, makes it where there is none, and refuses one that tells of another log.
func (x *Exporter) look(ctx context.Context) error {
	s, err := x.js.Stream(ctx, x.cfg.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) && x.seen {
		x.seen = false
		return errDeleted
	} else if errors.Is(err, jetstream.ErrStreamNotFound) {
		s, err = x.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: x.cfg.Stream, Description: "Parley's events, in order", Subjects: []string{x.cfg.Subject + ".*"}, MaxAge: x.cfg.MaxAge,
		})
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // by now
			s, err = x.js.Stream(ctx, x.cfg.Stream)
		}
	}
	if err != nil {
		return err
	}
	x.seen = true
	info := s.CachedInfo()
	var last *bus.Event
	if info.State.Msgs > 0 {
		m, err := s.GetMsg(ctx, info.State.LastSeq)
		switch {
		case err == nil:
			last = &bus.Event{}
			if err := json.Unmarshal(m.Data, last); err != nil || last.Position == 0 {
				return fmt.Errorf("%w: message %d is no event", errForeign, m.Sequence)
			}
		case !errors.Is(err, jetstream.ErrMsgNotFound): // taken by a consumer, or not everywhere yet
			return err
		}
	}
	// After the stream: the log may be longer by now, not shorter.
	epoch, head, trimmed, err := x.cfg.Log.Bounds(ctx)
	if err != nil {
		return err
	}
	x.epoch, x.skipped = epoch, 0
	known, of := x.at(info), info.Config.Metadata[metaEpoch]
	switch {
	case last != nil:
		x.moved(last.Position)
		of = strconv.Itoa(int(last.Epoch))
	case !known: // it has never held anything of ours
		x.moved(trimmed)
		of = strconv.Itoa(int(epoch))
	}
	if of != strconv.Itoa(int(epoch)) {
		return fmt.Errorf("%w: it holds epoch %s, the log is %d", errForeign, of, epoch)
	}
	if x.position > head {
		return fmt.Errorf("%w: it holds position %d, the log ends at %d", errForeign, x.position, head)
	}
	if last != nil && last.Position > trimmed {
		if err := x.compare(ctx, last); err != nil {
			return err
		}
	}
	return x.note(ctx, info.Config)
}

// compare refuses a stream whose last event is not the one that the log has at that position: the log was restored from a
// backup, and has grown differently since.
func (x *Exporter) compare(ctx context.Context, last *bus.Event) error {
	events, err := x.cfg.Log.After(ctx, last.Position-1, 1)
	if errors.Is(err, chat.ErrCursorExpired) || err == nil && len(events) == 0 {
		return nil // trimmed just now, or not applied here yet
	}
	if err != nil {
		return err
	}
	if e := events[0]; e.Type != last.Type || e.Subject != last.SubjectID || !e.At.Equal(last.At) {
		return fmt.Errorf("%w: position %d is another event in it", errForeign, last.Position)
	}
	return nil
}

// note keeps how positions and sequences relate with the stream: its messages may all be gone when it is looked at next.
func (x *Exporter) note(ctx context.Context, c jetstream.StreamConfig) error {
	epoch, offset := strconv.Itoa(int(x.epoch)), strconv.FormatInt(int64(x.position)-int64(x.sequence), 10) //nolint:gosec // counts messages
	if c.Metadata[metaEpoch] == epoch && c.Metadata[metaOffset] == offset {
		return nil
	}
	c.Metadata = maps.Clone(c.Metadata)
	if c.Metadata == nil {
		c.Metadata = map[string]string{}
	}
	c.Metadata[metaEpoch], c.Metadata[metaOffset] = epoch, offset
	_, err := x.js.UpdateStream(ctx, c)
	return err
}

// skip goes on with the oldest event that the log has: those after the stream's last are gone.
func (x *Exporter) skip(ctx context.Context) error {
	s, err := x.js.Stream(ctx, x.cfg.Stream)
	if err != nil {
		return err
	}
	_, _, trimmed, err := x.cfg.Log.Bounds(ctx)
	if err != nil {
		return err
	}
	n := trimmed - x.position
	if n <= 0 || s.CachedInfo().State.LastSeq != x.sequence {
		return errOvertaken
	}
	x.bus.cfg.Log.Error("events for other services are lost: the log was trimmed before they could be exported",
		"stream", x.cfg.Stream, "after", x.position, "lost", n)
	x.missed.Add(int64(n))
	x.skipped += n
	x.moved(trimmed)
	return x.note(ctx, s.CachedInfo().Config)
}

// publish sends events, and returns when the server has confirmed the last, which it does not take without those before it:
// each message names its predecessor, by the sequence it got and by its position. The sequence alone would let the second in
// where somebody else has been faster with the first.
func (x *Exporter) publish(ctx context.Context, events []*chat.Event) error {
	var m *nats.Msg
	for i, e := range events {
		m = &nats.Msg{Subject: x.cfg.Subject + "." + string(e.Type), Data: bus.NewEvent(x.epoch, e).JSON(), Header: nats.Header{
			jetstream.MsgIDHeader:           {positionText(e.Position)},
			jetstream.ExpectedStreamHeader:  {x.cfg.Stream},
			jetstream.ExpectedLastSeqHeader: {strconv.FormatUint(x.sequence+uint64(i), 10)}, //nolint:gosec // an index
		}}
		switch {
		case i > 0:
			m.Header[jetstream.ExpectedLastMsgIDHeader] = []string{positionText(e.Position - 1)}
		case x.skipped > 0:
			m.Header[headerMissed] = []string{positionText(x.skipped)}
		}
		if i == len(events)-1 {
			break
		}
		if err := x.bus.conn.PublishMsg(m); err != nil {
			return err
		}
	}
	confirmed, err := x.js.PublishMsgAsync(m, jetstream.WithRetryAttempts(0)) // which, unlike PublishMsg, notices a lost connection
	if err != nil {
		return err
	}
	var ack *jetstream.PubAck
	select {
	case ack = <-confirmed.Ok():
	case err = <-confirmed.Err():
	case <-ctx.Done():
		return ctx.Err()
	}
	if api := (*jetstream.APIError)(nil); errors.As(err, &api) && overtaken[api.ErrorCode] || err == nil && ack.Duplicate { // several servers look at the id first
		return errOvertaken
	}
	if err != nil {
		return err
	}
	if x.sequence += uint64(len(events)); ack.Sequence != x.sequence {
		return fmt.Errorf("the server has put message %d at %d", x.sequence, ack.Sequence)
	}
	x.skipped = 0
	x.moved(events[len(events)-1].Position)
	x.exported.Add(int64(len(events)))
	return nil
}

func positionText(p chat.Position) string { return strconv.FormatInt(int64(p), 10) }
