package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/capture"
	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/recorder"
	"github.com/linekeeper/linekeeper/seal"
)

// replayOptions are the flags of `linekeeper replay`.
type replayOptions struct {
	*options
	out, codec, country  string
	sides, paced, inRing bool
	deliver              bool
}

func replayCommand(o *options) *cobra.Command {
	r := replayOptions{options: o}
	cmd := &cobra.Command{
		Use:   "replay FILE.wav",
		Short: "Record a WAV file as if it had been heard",
		Long: `Records a WAV file (16-bit PCM) as if it had been heard, faster than real time, through the same path as a live
line, and prints the calls it found. Each channel of the file is a line; with --sides two channels are the two sides of
one line.

Without more the calls go into a ring of their own that is thrown away: --out keeps their media. With --keep they go
into the ring of the settings file, whose recorder must not be running, and with --deliver on to headquarters.`,
		Args: command.Exactly(1, "a WAV file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := r.replay(cmd, args[0])
			if err != nil {
				return err
			}
			if o.JSON {
				return command.PrintJSON(cmd.OutOrStdout(), found)
			}
			printFound(cmd.OutOrStdout(), found)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.out, "out", "", "folder to write each call's media to")
	f.StringVar(&r.codec, "codec", "", "opus, mp3 or flac, in place of the settings'")
	f.StringVar(&r.country, "country", "", "whose exchange's tones are heard, two letters such as za; empty: none")
	f.BoolVar(&r.sides, "sides", false, "two channels are the two sides of one line: agent, caller")
	f.BoolVar(&r.paced, "paced", false, "at the speed of the sound")
	f.BoolVar(&r.inRing, "keep", false, "keep the calls in the ring of the settings file")
	f.BoolVar(&r.deliver, "deliver", false, "deliver them to the headquarters of the settings file, and wait until it has them")
	o.AddJSON(cmd)
	return cmd
}

// foundCall is a call of a replay.
type foundCall struct {
	Call     call.ID       `json:"call"`
	Line     string        `json:"line"`
	Start    time.Duration `json:"start_ns"` // from the beginning of the file
	Manifest call.Manifest `json:"manifest"`
	Marks    int           `json:"marks"`           // what they say is sealed
	Media    string        `json:"media,omitempty"` // file, with --out
}

func (r replayOptions) replay(cmd *cobra.Command, file string) ([]foundCall, error) {
	cfg, log, clean, err := r.settings(cmd)
	if err != nil {
		return nil, err
	}
	defer clean()
	wav, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	defer wav.Close()
	sound, err := pcm.NewWAVReader(bufio.NewReaderSize(wav, 1<<16))
	if err != nil {
		return nil, fmt.Errorf("replay %s: %w", file, err)
	}
	cfg.Lines = r.lines(file, sound.Format.Channels)
	if err := errors.Join(append(cfg.checkLines(), cfg.checkDetectors()...)...); err != nil {
		return nil, fmt.Errorf("replay %s: %w", file, err)
	}
	id, keys, err := r.identity(cfg)
	if err != nil {
		return nil, err
	}
	system, err := newSystemClock()
	if err != nil {
		return nil, err
	}
	clock := &replayClock{start: system.Anchor()}
	heard := &collector{clock: clock}
	d, err := openDevice(cfg, id, clock, heard, log)
	if err != nil {
		return nil, err
	}
	err = r.hear(cmd.Context(), d, capture.NewReplay(sound, cfg.cards()[file], cfg.Capture.LineRate, r.paced), clock)
	if err == nil {
		err = heard.countMarks(d)
	}
	if err == nil && r.out != "" {
		err = heard.writeMedia(d, keys, r.out)
	}
	if err == nil && r.deliver {
		err = deliverAll(cmd.Context(), d, log)
	}
	return heard.calls, errors.Join(err, d.ring.Close())
}

// settings are those of the file where the calls are to be kept, and otherwise the defaults over a folder to throw away.
func (r replayOptions) settings(cmd *cobra.Command) (cfg config, log *slog.Logger, clean func(), err error) {
	log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	clean = func() {}
	cfg = newConfig()
	if r.inRing || r.deliver || cmd.Flags().Changed("config") {
		if cfg, err = loadConfig(r.Config); err != nil {
			return cfg, log, clean, err
		}
	}
	if r.codec != "" {
		cfg.Encoder.Codec = r.codec
	}
	if r.inRing || r.deliver {
		return cfg, log, clean, cfg.check()
	}
	dir, err := os.MkdirTemp("", "linekeeper-replay-")
	if err != nil {
		return cfg, log, clean, fmt.Errorf("replay: %w", err)
	}
	cfg.Data, cfg.Uplink = dir, uplinkConfig{Receiver: receiverHeadquarters}
	cfg.Ring.WhenFull = "stop"
	return cfg, log, func() { _ = os.RemoveAll(dir) }, cfg.check()
}

// identity is that of the settings; of a ring that is thrown away, one for it alone, with the key that opens its calls.
func (r replayOptions) identity(cfg config) (identity, seal.Keys, error) {
	if r.inRing || r.deliver {
		if r.out != "" && !cfg.Seal.Clear {
			return identity{}, nil, command.Usage("--out does not go with --keep or --deliver: their calls are sealed to headquarters, and nobody can open them here")
		}
		id, err := loadIdentity(cfg.identityDir(), r.deliver, cfg.Uplink.HTTPS)
		return id, nil, err
	}
	id, err := loadIdentity(cfg.identityDir(), false, "")
	if err != nil {
		return identity{}, nil, err
	}
	key, _, err := seal.NewKey()
	if err != nil {
		return identity{}, nil, fmt.Errorf("make a key for the calls: %w", err)
	}
	id.recipients.to = seal.Recipients{key.Recipient()}
	return id, seal.Keys{key}, nil
}

func (r replayOptions) lines(file string, channels int) []lineConfig {
	if r.sides && channels == 2 {
		return []lineConfig{{Name: "line 1", Device: file, Channels: []int{0, 1}, Sides: []string{"agent", "caller"}, Country: r.country}}
	}
	var lines []lineConfig
	for c := range channels {
		lines = append(lines, lineConfig{Name: fmt.Sprintf("line %d", c+1), Device: file, Channels: []int{c}, Country: r.country})
	}
	return lines
}

// hear plays the file into the lines. The ring is synced once an interval of the sound, as it would be live.
func (r replayOptions) hear(ctx context.Context, d *device, sound *capture.Replay, clock *replayClock) error {
	var next time.Duration
	var syncErr error
	interval := time.Duration(d.cfg.Ring.SyncInterval)
	err := sound.Run(ctx, func(i int, p pcm.Period) {
		clock.hear(p)
		d.lines[i].Heard(p)
		if clock.now >= next && i == len(d.lines)-1 {
			syncErr = errors.Join(syncErr, d.ring.Sync())
			next = clock.now + interval
		}
	})
	return errors.Join(err, d.recorder.Stop(), syncErr, d.ring.Sync())
}

// replayClock tells the time at which the sound would have been heard, had it begun when the replay did.
type replayClock struct {
	start call.Anchor   // of the first frame
	now   time.Duration // since then
	begun bool
}

func (c *replayClock) hear(p pcm.Period) {
	c.now = p.Format.Duration(p.Position + int64(p.Frames()))
	if !c.begun {
		c.begun = true
		c.start.BootTime = p.At - c.now
	}
}

// Anchor implements recorder.Clock.
func (c *replayClock) Anchor() call.Anchor {
	a := c.start
	a.BootTime += c.now
	a.Wall = a.Wall.Add(c.now)
	return a
}

// collector notes the calls that were found.
type collector struct {
	clock *replayClock
	calls []foundCall
}

// CallBegan implements recorder.Observer.
func (c *collector) CallBegan(call.Header, call.Reason) {}

// CallEnded implements recorder.Observer. Calls of earlier runs, which are closed first, are not of this file.
func (c *collector) CallEnded(h call.Header, m call.Manifest) {
	if start := h.Anchor.BootTime - c.clock.start.BootTime; h.Anchor.BootID == c.clock.start.BootID && start >= 0 {
		c.calls = append(c.calls, foundCall{Call: h.Call, Line: h.Line, Start: start, Manifest: m})
	}
}

// Gap implements recorder.Observer.
func (c *collector) Gap(string, bool, call.Gap) {}

// Alarm implements recorder.Observer.
func (c *collector) Alarm(string, string) {}

var _ recorder.Observer = (*collector)(nil)

// countMarks counts the marks of each call.
func (c *collector) countMarks(d *device) error {
	for i := range c.calls {
		found := &c.calls[i]
		n, err := countMarks(d, found.Call)
		if err != nil {
			return fmt.Errorf("count the marks of %s: %w", found.Call, err)
		}
		found.Marks = n
	}
	return nil
}

func countMarks(d *device, id call.ID) (n int, err error) {
	stored, err := d.ring.ReadCall(id)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stored.Close()) }()
	for records := seal.NewReader(stored); ; {
		switch record, err := records.Next(); {
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return 0, err
		case record.Kind == call.KindMark:
			n++
		}
	}
}

// writeMedia writes each call's media to a folder.
func (c *collector) writeMedia(d *device, keys seal.Keys, folder string) error {
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return fmt.Errorf("write media: %w", err)
	}
	for i := range c.calls {
		found := &c.calls[i]
		found.Media = filepath.Join(folder, fmt.Sprintf("%s.%s", found.Call, found.Manifest.Codec))
		if err := writeMedia(d, keys, found.Call, found.Media); err != nil {
			return fmt.Errorf("write media of %s: %w", found.Call, err)
		}
	}
	return nil
}

func writeMedia(d *device, keys seal.Keys, id call.ID, name string) (err error) {
	stored, err := d.ring.ReadCall(id)
	if err != nil {
		return err
	}
	defer stored.Close()
	_, media, err := seal.OpenMedia(stored, keys)
	if err != nil {
		return err
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = io.Copy(file, media)
	return err
}

// deliverAll runs the uplink until headquarters has receipted every call and entry.
func deliverAll(ctx context.Context, d *device, log *slog.Logger) error {
	k, err := newKeeper(d, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- k.up.Run(ctx) }()
	tick := time.NewTicker(keeperEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
		}
		if s := d.ring.Status(); s.WaitingCalls == s.Parked && s.WaitingEntries == 0 {
			cancel()
			if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			if s.Parked > 0 {
				return fmt.Errorf("headquarters refused %d calls: they stay in the ring", s.Parked)
			}
			return nil
		}
	}
}

func printFound(w io.Writer, found []foundCall) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "CALL\tLINE\tAT\tLENGTH\tBEGAN BY\tENDED BY\tMARKS\tSIZE\tMEDIA")
	for _, f := range found {
		length := time.Duration(f.Manifest.Duration * float64(time.Second))
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", f.Call, f.Line, f.Start.Round(10*time.Millisecond), length.Round(10*time.Millisecond),
			f.Manifest.Began, f.Manifest.Ended, f.Marks, bytesText(f.Manifest.Size), f.Media)
	}
	_ = t.Flush()
	fmt.Fprintf(w, "%d calls\n", len(found))
}
