package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/linekeeper/linekeeper/buffer"
	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/uplink/mqtt"
	"github.com/linekeeper/linekeeper/uplink/tus"
	"github.com/linekeeper/linekeeper/wire"
)

func runCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Record the lines of the settings file, and deliver their calls",
		Long: `Records the lines of the settings file until it is stopped (Ctrl-C, SIGTERM), and delivers their calls to
headquarters. What a crash or a power cut left open is closed and delivered first.`,
		Args: command.Exactly(0, "no arguments"),
	}
	newLog := command.LogFlag(cmd)
	var wait bool
	cmd.Flags().BoolVar(&wait, "wait", false, "where the settings name neither a line nor headquarters, wait for a stick with a bundle")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log, err := newLog()
		if err != nil {
			return err
		}
		if wait {
			if err := resetIfAsked(cmd.Context(), o.Config, log); err != nil {
				return err
			}
		}
		cfg, err := loadConfig(o.Config)
		if err != nil {
			return err
		}
		if wait && cfg.isBare() {
			return waitForBundle(cmd.Context(), cfg, log)
		}
		if len(cfg.Lines) == 0 {
			return cfg.wrong("line", 0, "there is none: add a [[line]] with a name and a device; `linekeeper inputs` lists the devices")
		}
		return runRecorder(cmd.Context(), cfg, log)
	}
	return cmd
}

// memoryLimit is what Go's part of the program takes before its collector works harder: far more than it needs, but for a
// backlog of a hundred thousand calls, of which the ring knows where they stand (`go run ./lab/backlog`).
const memoryLimit = 30 << 20

// runRecorder runs everything until ctx ends.
func runRecorder(ctx context.Context, cfg config, log *slog.Logger) (err error) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	id, err := loadIdentity(cfg.identityDir(), cfg.hasUplink(), cfg.Uplink.HTTPS)
	if err != nil {
		return err
	}
	clock, err := newSystemClock()
	if err != nil {
		return err
	}
	d, err := openDevice(cfg, id, clock, observer{log}, log)
	if err != nil {
		return err
	}
	debug.FreeOSMemory() // what opening a large ring took
	defer func() { err = errors.Join(err, d.ring.Close()) }()
	if d.time, err = d.newTimekeeper(clock, log); err != nil {
		return err
	}
	d.board = openBoard(cfg.Data, cfg.ringDir(), log)
	k, err := newKeeper(d, log)
	if err != nil {
		return err
	}
	log.Info("ready", "device", id.device, "lines", len(d.lines), "version", version)

	// What writes outlives what is heard, so that the last seconds of the calls in progress are kept.
	writing, stopWriting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWriting()
	written := make(chan error, 1)
	go func() { written <- d.ring.Run(writing) }()

	all, ctx := errgroup.WithContext(ctx)
	for _, c := range k.cards {
		all.Go(func() error { return c.run(ctx, k.pumped) })
	}
	if k.up != nil {
		all.Go(func() error { return k.up.Run(ctx) })
		all.Go(func() error {
			if err := uplink.WatchNetwork(ctx, k.up.Retry); ctx.Err() == nil {
				log.Warn("it will not be noticed at once when the network comes back", "error", err)
			}
			return nil
		})
	}
	all.Go(func() error { return k.run(ctx) })
	all.Go(func() error { return serveControl(ctx, cfg.Control, k.control(), log) })
	err = all.Wait()
	if errors.Is(err, errNewSettings) {
		log.Info("ends", "reason", err.Error())
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, errNewSettings) {
		err = nil
	}
	err = errors.Join(err, d.recorder.Stop())
	stopWriting()
	return errors.Join(err, <-written)
}

// newTimekeeper goes on from what the ring has of the clock.
func (d *device) newTimekeeper(clock systemClock, log *slog.Logger) (*timekeeper, error) {
	floor := buildTime()
	if d.id.enroller != nil { // whose certificate, where it has one yet, was made at headquarters' time
		cert, err := d.id.enroller.Certificate(nil)
		if err == nil && cert.Leaf != nil && cert.Leaf.NotBefore.After(floor) {
			floor = cert.Leaf.NotBefore
		}
	}
	t, err := newTimekeeper(clock.Anchor, d.ring.Kept(keptClock), floor)
	if err != nil {
		return nil, err
	}
	t.correct, t.log = d.recorder.Correct, log
	t.keep = func(value []byte) error { return d.ring.Keep(keptClock, value) }
	return t, nil
}

// newUplink connects the ring to headquarters, over the protocols of the settings; nil where there is none.
func newUplink(d *device, status func() wire.Status, log *slog.Logger) (*uplink.Uplink, error) {
	if !d.cfg.hasUplink() {
		return nil, nil
	}
	policy, err := d.cfg.linkPolicy()
	if err != nil {
		return nil, err
	}
	d.id.tls.Time, d.id.tls.VerifyConnection = d.time.Judge, d.time.shown
	d.id.enroller.GoBy(func() (now time.Time, known bool) {
		_, known = d.time.Clock()
		return d.time.Judge(), known
	})
	traffic := uplink.NewTraffic(int64(d.cfg.Uplink.Policy.Rate))
	transports, err := newTransports(d.cfg.Uplink, d.id, traffic)
	if err != nil {
		return nil, err
	}
	return uplink.New(store{d.ring, d.time}, transports, uplink.Config{
		Device: d.id.device, Epoch: d.ring.State().Epoch, ReceiptKey: d.id.receipt, Status: status, Observer: observer{log}, Log: log,
		Priority:   d.cfg.Uplink.Priority,
		Recipients: d.id.recipients.Told,
		Health:     d.board,
		Ready:      func(ctx context.Context) error { return d.id.enroller.Ready(ctx, log) },
		Command:    func(c wire.Command) error { return obey(d.ring, c) }, Memory: d.ring,
		Policy: policy, Traffic: traffic, Clock: d.time.Clock, Time: d.time.Told,
	})
}

// newTransports makes the ways to the receiver, in the order of the settings.
func newTransports(c uplinkConfig, id identity, traffic *uplink.Traffic) (all []uplink.Transport, err error) {
	switch c.Receiver {
	case receiverTus:
		t, err := tus.NewStock(c.HTTPS, id.tls, tus.Options{Traffic: traffic})
		return []uplink.Transport{t}, err
	case receiverEMQX:
		t, err := mqtt.NewEMQX(c.MQTT, id.tls, id.device, mqtt.Options{Traffic: traffic})
		return []uplink.Transport{t}, err
	}
	for _, name := range c.Order {
		var t uplink.Transport
		switch {
		case name == "https" && c.HTTPS != "":
			t, err = tus.New(c.HTTPS, id.tls, tus.Options{Traffic: traffic})
		case name == "mqtt" && c.MQTT != "":
			t, err = mqtt.New(c.MQTT, id.tls, id.device, mqtt.Options{Traffic: traffic})
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

// observer writes what happens into the log.
type observer struct{ log *slog.Logger }

func (o observer) CallBegan(h call.Header, why call.Reason) {
	o.log.Info("call began", "call", h.Call, "line", h.Line, "reason", why)
}

func (o observer) CallEnded(h call.Header, m call.Manifest) {
	length := time.Duration(m.Duration * float64(time.Second)).Round(100 * time.Millisecond)
	o.log.Info("call ended", "call", h.Call, "line", h.Line, "reason", m.Ended, "duration", length.String(), "sha256", m.SHA256)
}

func (o observer) Gap(line string, inCall bool, g call.Gap) {
	o.log.Warn("audio was lost", "line", line, "in_call", inCall, "frames", g.Frames, "cause", g.Cause)
}

func (o observer) Alarm(string, string) {} // the recorder's own log has it

func (o observer) Connected(transport string) { o.log.Info("connected", "via", transport) }

func (o observer) Disconnected(transport string, err error) {
	level := slog.LevelWarn
	if errors.Is(err, context.Canceled) {
		level = slog.LevelInfo // we are stopping
	}
	o.log.Log(context.Background(), level, "disconnected", "via", transport, "error", err)
}

func (o observer) Delivered(id call.ID) { o.log.Info("delivered", "call", id) }

func (o observer) Parked(id call.ID, reason string) {
	o.log.Error("headquarters refused a call; it is kept and not sent again", "call", id, "reason", reason)
}

// store is the ring as the uplink wants it.
type store struct {
	*buffer.Ring
	time *timekeeper
}

// Accept keeps a receipt that was checked, and its time.
func (s store) Accept(r call.Receipt, jws string) error {
	err := s.Ring.Accept(r, jws)
	if err == nil && r.Weak == "" { // else nobody has signed it
		s.time.Receipted(r.Time)
	}
	return err
}

func (s store) OpenCall(id call.ID) (uplink.CallFile, error) { return s.Ring.OpenCall(id) }
