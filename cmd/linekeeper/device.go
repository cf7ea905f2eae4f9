package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/buffer"
	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/capture"
	"github.com/linekeeper/linekeeper/encoder"
	"github.com/linekeeper/linekeeper/ledger"
	"github.com/linekeeper/linekeeper/line"
	"github.com/linekeeper/linekeeper/line/tone"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/recorder"
	"github.com/linekeeper/linekeeper/seal"
)

// device is the recorder put together, from the lines to the ring.
type device struct {
	cfg      config
	id       identity
	ring     *buffer.Ring
	beside   bool // the ring is not on its own file system
	recorder *recorder.Recorder
	lines    []*recorder.Line // in the order of the settings
	hooks    map[string]*hook // of lines that have one, by name
	tones    tone.Table       // of all countries
	hours    recorder.Hours
	time     *timekeeper // nil where nothing is delivered: replay
	board    *board      // likewise
}

// openDevice opens the ring, closes what a crash left open, and makes the lines.
func openDevice(cfg config, id identity, clock recorder.Clock, observer recorder.Observer, log *slog.Logger) (*device, error) {
	begin, err := id.recipients.sealTo(cfg)
	if err != nil {
		return nil, err
	}
	size, err := cfg.ringBytes()
	if err != nil {
		return nil, err
	}
	d := &device{cfg: cfg, id: id, beside: cfg.ringIsBeside(), hooks: openHooks(cfg.Lines, log)}
	if d.beside {
		log.Error(ringBeside, "ring", cfg.ringDir(), "MiB", size>>20)
	}
	ring, found, err := buffer.Open(buffer.Options{
		Dir:          cfg.ringDir(),
		Index:        cfg.indexFile(),
		SizeBytes:    size,
		SyncInterval: time.Duration(cfg.Ring.SyncInterval),
		WhenFull:     buffer.Policy(cfg.Ring.WhenFull),
		GiveUp: func(c call.Stored) error {
			return d.recorder.Bury(c.Header.Call, c.Header.Line, call.EndedRingFull)
		},
		Damaged: func(id call.ID, holes []call.Hole) { d.amend(buffer.Holed{Call: id, Holes: holes}, log) },
		Hole:    seal.Hole,
		Header:  seal.ParseHeader,
		Entry:   ledger.Parse,
		Log:     log,
	})
	if err != nil {
		return nil, err
	}
	d.ring = ring
	state := ring.State()
	next := ledger.State{Device: id.device, Epoch: state.Epoch, Next: state.Last + 1}
	if state.JWS != nil {
		next.Previous = ledger.Hash(state.JWS)
	}
	d.recorder = recorder.New(recorder.Config{
		Device: id.device, Epoch: state.Epoch, Software: version,
		Ledger: ledger.New(next, id.key), Ring: ring, Seal: beginFile(begin), Clock: clock, Observer: observer, Log: log,
	})
	if err := d.begin(state, found, log); err != nil {
		return nil, errors.Join(err, ring.Close())
	}
	return d, nil
}

// begin brings the ring into order and makes the lines.
func (d *device) begin(state buffer.State, found buffer.Recovered, log *slog.Logger) error {
	if state.Last == 0 {
		if err := d.recorder.BeginEpoch(nil); err != nil {
			return fmt.Errorf("begin the ledger: %w", err)
		}
	}
	reportRecovery(found, log)
	for _, e := range found.Announced {
		if err := d.recorder.Bury(*e.Call, e.Line, call.EndedPowerLost); err != nil {
			return err
		}
	}
	for _, run := range runs(found.LostEntries) {
		if err := d.recorder.Lose(run.First, run.Last); err != nil {
			return err
		}
	}
	open := slices.Concat(found.Interrupted, found.Unsigned)
	if err := d.recorder.CloseInterrupted(open, d.ring.ReadCall, resumeFile); err != nil {
		log.Error("a call of the last run cannot be closed", "error", err)
	}
	for _, h := range found.Holed {
		d.amend(h, log)
	}
	if err := d.ring.Sync(); err != nil {
		return err
	}
	return d.makeLines()
}

func (d *device) makeLines() (err error) {
	if d.tones, err = d.cfg.tones(); err != nil {
		return err
	}
	if d.hours, err = d.cfg.businessHours(); err != nil {
		return err
	}
	for i := range d.cfg.Lines {
		l, err := d.recorder.Line(d.lineConfig(i))
		if err != nil {
			return err
		}
		d.lines = append(d.lines, l)
	}
	return nil
}

// amend signs what a call's file is after records of it were found damaged. Until that succeeds, which is tried again at the
// next start, the ring keeps the call from being sent.
func (d *device) amend(h buffer.Holed, log *slog.Logger) {
	err := buffer.ErrUnknownCall
	found := d.ring.EachCall(func(c call.Stored) bool {
		if c.Header.Call != h.Call {
			return true
		}
		if err = nil; c.Manifest != nil {
			err = d.recorder.Amend(c, h.Holes, d.ring.ReadCall, resumeFile)
		}
		return false
	})
	if err = errors.Join(err, found); err != nil {
		log.Error("a call that was damaged on the card is not amended", "call", h.Call, "error", err)
		return
	}
	log.Error("records of a call were damaged on the card: it is sent with holes in their place", "call", h.Call, "holes", len(h.Holes))
}

// runs joins numbers, which are in order, to runs without a hole.
func runs(numbers []uint64) (all []call.Lost) {
	for _, n := range numbers {
		if last := len(all) - 1; last >= 0 && all[last].Last+1 == n {
			all[last].Last = n
		} else {
			all = append(all, call.Lost{First: n, Last: n})
		}
	}
	return all
}

func reportRecovery(found buffer.Recovered, log *slog.Logger) {
	if n := len(found.Interrupted) + len(found.Unsigned); n > 0 {
		log.Info("calls of the last run were cut short", "calls", n)
	}
	for _, x := range found.Damaged {
		log.Error("a part of the ring is damaged", "error", x)
	}
	if found.IndexSetAside != "" {
		log.Warn("the index was damaged and was made anew from the ring", "set_aside", found.IndexSetAside)
	}
}

// lineConfig is the i-th line of the settings.
func (d *device) lineConfig(i int) recorder.LineConfig {
	c := d.cfg
	format := pcm.Format{Rate: c.Capture.LineRate, Channels: len(c.channels(i))}
	detect := c.lineDetector(i, format, d.tones)
	if h := d.hooks[c.Lines[i].Name]; h != nil {
		detect.Detectors.Hook = h
	}
	return recorder.LineConfig{
		Name: c.Lines[i].Name, Format: format, Codec: call.Codec(c.Encoder.Codec), Sides: c.Lines[i].Sides,
		Detector:   line.New(detect, format),
		NewEncoder: c.newEncoder(format),
		History:    detect.LookBack() + 2*time.Duration(c.Capture.Period) + time.Second,
		MaxLoss:    detect.MaxLoss,
		MaxPause:   time.Duration(c.Pause.Longest),
		Hours:      d.hours,
		Quiet:      time.Duration(c.Alarms.Quiet),
	}
}

func (c config) newEncoder(f pcm.Format) func(call.ID) (recorder.Encoder, error) {
	complexity := c.Encoder.Complexity
	if complexity == 0 {
		complexity = -1
	}
	return func(id call.ID) (recorder.Encoder, error) {
		e, err := encoder.New(encoder.Config{
			Codec: c.Encoder.Codec, Rate: f.Rate, Channels: f.Channels, BitsPerSecond: c.Encoder.BitsPerSecond, Complexity: complexity,
			Serial: binary.LittleEndian.Uint32(id[:]), Title: id.String(),
		})
		return chunks{e}, err
	}
}

// chunks is an encoder.Encoder as the recorder wants it.
type chunks struct{ e encoder.Encoder }

func (c chunks) Write(samples []int16, emit func(recorder.Chunk) error) error {
	return c.e.Write(samples, func(x encoder.Chunk) error { return emit(recorder.Chunk(x)) })
}

func (c chunks) Close(emit func(recorder.Chunk) error) error {
	return c.e.Close(func(x encoder.Chunk) error { return emit(recorder.Chunk(x)) })
}

// beginFile is what begins a call file, as the recorder wants it.
func beginFile(begin func(call.Header) (*seal.Writer, []call.Record, error)) func(call.Header) (recorder.File, []call.Record, error) {
	return func(h call.Header) (recorder.File, []call.Record, error) { return begin(h) }
}

func resumeFile(stored io.Reader) (recorder.Ending, call.End, bool, error) {
	return seal.ResumeWriter(stored)
}

// card is a sound card, and which of the device's lines are its.
type card struct {
	*capture.Card
	device string
	lines  []*recorder.Line
	health []*hearing // of the lines
	hooks  []*hook    // of those that have one
	log    *slog.Logger
}

// hearing is what is wrong with what is heard on a line, whatever is said on it.
type hearing struct {
	judge *capture.Health
	hook  func() string // what is wrong with it; empty: nothing

	mu     sync.Mutex
	alarms []string
}

func (h *hearing) hear(p pcm.Period) {
	if !h.judge.Hear(p) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.alarms = h.alarms[:0]
	for _, a := range h.judge.Alarms() {
		if a.Fault != capture.FaultNoFrames { // the recorder's own alarm says that
			h.alarms = append(h.alarms, a.String())
		}
	}
}

func (h *hearing) wrong() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	alarms := slices.Clone(h.alarms)
	if wrong := h.hook(); wrong != "" {
		alarms = append(alarms, wrong)
	}
	return alarms
}

// cards groups the lines of the settings by the card that hears them.
func (c *config) cards() map[string][]capture.LineConfig {
	cards := map[string][]capture.LineConfig{}
	for i, l := range c.Lines {
		cards[l.Device] = append(cards[l.Device], capture.LineConfig{Name: l.Name, Channels: c.channels(i)})
	}
	return cards
}

func (c *config) captureConfig() capture.Config {
	return capture.Config{
		LineRate: c.Capture.LineRate,
		Period:   time.Duration(c.Capture.Period),
		Buffer:   time.Duration(c.Capture.Buffer),
		Watchdog: time.Duration(c.Capture.Watchdog),
	}
}

// makeCards makes the cards that the lines need; nothing is opened yet.
func (d *device) makeCards(log *slog.Logger) []card {
	var cards []card
	for name, lines := range d.cfg.cards() {
		cfg := d.cfg.captureConfig()
		cfg.Device, cfg.Lines, cfg.Port = name, lines, d.cfg.port(name)
		c := card{Card: capture.New(cfg, log), device: name, log: log}
		for _, l := range lines {
			c.lines = append(c.lines, d.line(l.Name))
			if h := d.hooks[l.Name]; h != nil {
				c.hooks = append(c.hooks, h)
			}
			c.health = append(c.health, &hearing{judge: capture.NewHealth(pcm.Format{Rate: d.cfg.Capture.LineRate, Channels: len(l.Channels)}), hook: d.hookAlarm(l.Name)})
		}
		cards = append(cards, c)
	}
	return cards
}

func (d *device) line(name string) *recorder.Line {
	for _, l := range d.lines {
		if l.Name == name {
			return l
		}
	}
	return nil
}

// run hears the card until ctx ends. The log has when it is first heard: from then on its lines are recorded.
func (c card) run(ctx context.Context, heard func()) error {
	defer watchHooks(ctx, c.hooks)()
	first := sync.OnceFunc(func() { c.log.Info("first audio", "device", c.device) })
	return c.Run(ctx, func(i int, p pcm.Period) {
		c.lines[i].Heard(p)
		c.health[i].hear(p)
		if len(p.Samples) > 0 {
			first()
		}
		heard()
	})
}
