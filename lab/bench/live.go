package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/linekeeper/linekeeper/lab/bench/figures"
	"github.com/linekeeper/linekeeper/lab/bench/onefile"
	"github.com/linekeeper/linekeeper/lab/bench/talk"
	"github.com/linekeeper/linekeeper/lab/linesim"
)

// target is what quality.md asks of a number of live lines.
type target struct {
	name      string
	lines     int
	cpu       float64 // of arecord | opusenc
	memory    float64 // MiB
	files     float64 // of the bytes of one file a call
	filesOnce float64 // those bytes a second, where they were once measured
}

var targets = map[string]target{
	"one":   {name: "one live line", lines: 1, cpu: 0.8, memory: 25, files: 1. / 4, filesOnce: 20e3},
	"eight": {name: "eight live lines", lines: 8, cpu: 0.5, memory: 40, files: 1. / 8, filesOnce: 176e3},
}

const pagesOverFloor = 1.2

// lineUp makes the simulated cards: eight of one channel for the others, four stereo ones with the same audio for us.
// All of them speak without an end.
func (b *bench) lineUp(ctx context.Context) error {
	const lines, loop = 8, 10 * time.Minute
	b.say("making %v of talk for the simulated cards", loop)
	people := b.speaker.Talk(0, loop)
	b.talk = int64(len(people))
	var cards []linesim.Card
	channels := make([][]int16, lines)
	for i := range channels {
		channels[i] = talk.Rotate(people, i*len(people)/lines)
		file := filepath.Join(b.dir, fmt.Sprintf("mono%d.raw", i))
		if err := linesim.WriteSamples(file, channels[i]); err != nil {
			return err
		}
		cards = append(cards, linesim.Card{Name: monoCard(i), File: file, Rate: rate, Channels: 1, Loop: true})
	}
	for i := range lines / 2 {
		file := filepath.Join(b.dir, fmt.Sprintf("stereo%d.raw", i))
		both := make([]int16, 0, 2*len(people))
		for at, left := range channels[2*i] {
			both = append(both, left, channels[2*i+1][at])
		}
		if err := linesim.WriteSamples(file, both); err != nil {
			return err
		}
		cards = append(cards, linesim.Card{Name: stereoCard(i), File: file, Rate: rate, Channels: 2, Loop: true})
	}
	var err error
	b.sim, err = linesim.Install(ctx, filepath.Join(b.dir, "cards"), cards...)
	return err
}

func monoCard(i int) string   { return fmt.Sprintf("mono%d", i) }
func stereoCard(i int) string { return fmt.Sprintf("stereo%d", i) }

// live is one run in real time: we, twice where the file systems differ, and the others beside us.
type live struct {
	own, plain        *office // plain is on a file system as mounted by default; nil where none can be made
	pipelines, ffmpeg []*other
	files             *onefile.Writer
	filesOn           *disk
}

// sample is what had been used at a moment.
type sample struct {
	at                             time.Time
	own, pipelines, ffmpeg         time.Duration
	ownRSS, ffmpegRSS              int64
	media                          int64 // bytes of the calls in progress, on the card
	ownBytes, plainBytes, oneAFile int64 // written
}

// measureLive records so many lines in real time, beside others that hear the same.
func (b *bench) measureLive(ctx context.Context, name string) error {
	t := targets[name]
	if b.sim == nil {
		if err := b.prepareLive(ctx); err != nil {
			return err
		}
	}
	l := &live{}
	err := b.startLive(ctx, l, t.lines)
	var begin, end sample
	if err == nil {
		b.say("%s: settling for %v, then measuring for %v", t.name, b.settle, b.live)
		begin, end, err = b.watch(ctx, l)
	}
	if err := errors.Join(err, l.stop()); err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	if err := l.eachOffice(func(o *office) error { return o.recordedAll(t.lines) }); err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	b.report(t, l, begin, end)
	return nil
}

// prepareLive makes what both live runs need: cards, a ring whose segments were all used, and the floor.
func (b *bench) prepareLive(ctx context.Context) error {
	if err := b.lineUp(ctx); err != nil {
		return err
	}
	if err := b.warmRing(ctx); err != nil {
		return err
	}
	var floor []time.Duration
	for range b.runs {
		cost, err := b.bare.encode(ctx, filepath.Join(b.dir, "mono0.raw"), b.talk)
		if err != nil {
			return err
		}
		floor = append(floor, cost)
	}
	b.floor = figures.Median(floor)
	return nil
}

func (b *bench) startLive(ctx context.Context, l *live, lines int) (err error) {
	if l.own, err = b.openOffice(ctx, fmt.Sprintf("own%d", lines), mountRing, lines); err != nil {
		return err
	}
	if l.own.disk != nil {
		if l.plain, err = b.openOffice(ctx, fmt.Sprintf("plain%d", lines), mountPlain, lines); err != nil {
			return err
		}
		if l.filesOn, err = newDisk(ctx, b.dir, fmt.Sprintf("files%d", lines), mountPlain); err != nil {
			return err
		}
		if l.files, err = onefile.Start(l.filesOn.dir, lines, bits/8); err != nil {
			return err
		}
	}
	for i := range lines {
		out := filepath.Join(b.dir, fmt.Sprintf("%d-%d", lines, i))
		p, err := startPipeline(b.sim.Env(), monoCard(i), out+".opusenc.opus")
		if err != nil {
			return err
		}
		l.pipelines = append(l.pipelines, p)
		if p, err = startFFmpeg(b.sim.Env(), monoCard(i), out+".ffmpeg.opus"); err != nil {
			return err
		}
		l.ffmpeg = append(l.ffmpeg, p)
	}
	return l.eachOffice(func(o *office) error { return o.inCalls(ctx, lines) })
}

func (l *live) eachOffice(do func(*office) error) (err error) {
	for _, o := range []*office{l.own, l.plain} {
		if o != nil {
			err = errors.Join(err, do(o))
		}
	}
	return err
}

// watch looks at everything, lets it run, and looks again. Start-up and what follows it is over before the first look.
func (b *bench) watch(ctx context.Context, l *live) (begin, end sample, err error) {
	if err = wait(ctx, b.settle); err != nil {
		return begin, end, err
	}
	if begin, err = l.look(ctx); err != nil {
		return begin, end, err
	}
	if err = wait(ctx, b.live); err != nil {
		return begin, end, err
	}
	end, err = l.look(ctx)
	return begin, end, err
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// look takes a sample. Asking the recorder for its calls comes last, since the question costs it something.
func (l *live) look(ctx context.Context) (s sample, err error) {
	note := func(n int64, e error) int64 { err = errors.Join(err, e); return n }
	s.at = time.Now()
	if s.own, err = cpuTime(l.own.pid()); err != nil {
		return s, err
	}
	for i := range l.pipelines {
		pipeline, _, e1 := l.pipelines[i].used()
		ffmpeg, resident, e2 := l.ffmpeg[i].used()
		s.pipelines, s.ffmpeg, s.ffmpegRSS = s.pipelines+pipeline, s.ffmpeg+ffmpeg, s.ffmpegRSS+resident
		err = errors.Join(err, e1, e2)
	}
	s.ownRSS = note(memory(l.own.pid(), "VmRSS"))
	s.ownBytes = note(l.own.written())
	if l.plain != nil {
		s.plainBytes = note(l.plain.written())
		s.oneAFile = note(l.filesOn.written())
	}
	s.media = note(l.own.media(ctx))
	return s, err
}

// stop ends everything that was started.
func (l *live) stop() (err error) {
	for _, o := range append(l.pipelines, l.ffmpeg...) {
		o.stop()
	}
	if l.files != nil {
		err = l.files.Close()
	}
	if l.filesOn != nil {
		err = errors.Join(err, l.filesOn.close())
	}
	return errors.Join(err, l.eachOffice((*office).close))
}

// report makes the rows of a live run.
func (b *bench) report(t target, l *live, begin, end sample) {
	took := end.at.Sub(begin.at)
	b.note("%s: measured for %v, from %v after all lines were in a call. The call files grew by %s a second. Resident at the "+
		"beginning of the measurement: %s.", t.name, took.Round(time.Second), b.settle,
		figures.KB(float64(end.media-begin.media)/took.Seconds()), figures.MiB(begin.ownRSS))
	b.reportCost(t, begin, end)
	b.reportBytes(t, l.plain != nil, begin, end)
}

func (b *bench) reportCost(t target, begin, end sample) {
	cpu := func(from, to time.Duration) time.Duration { return figures.PerHour(to-from, end.at.Sub(begin.at)) }
	own := cpu(begin.own, end.own)
	beside := func(peer string, cost time.Duration, limit float64) {
		b.row(figures.Row{What: t.name + ": CPU s an hour", Peer: peer + " " + figures.Seconds(cost), Ours: figures.Seconds(own), Ratio: figures.Ratio(own, cost), Limit: limit})
	}
	beside("arecord, opusenc", cpu(begin.pipelines, end.pipelines), t.cpu)
	beside("ffmpeg", cpu(begin.ffmpeg, end.ffmpeg), 0)
	beside("bare libopus", b.floor*time.Duration(t.lines), 0)
	b.row(figures.Row{What: fmt.Sprintf("%s: resident after %v", t.name, (b.settle + b.live).Round(time.Second)), Peer: "ffmpeg " + figures.MiB(end.ffmpegRSS),
		Ours: figures.MiB(end.ownRSS), Ratio: float64(end.ownRSS) / float64(end.ffmpegRSS), Value: float64(end.ownRSS) / (1 << 20), Unit: "MiB", Limit: t.memory})
}

// reportBytes tells what was written a second. Without disks of our own that is what was handed to write calls, which is
// not what a device gets, and what others write is what was once measured (flash-wear.md of the design).
func (b *bench) reportBytes(t target, disks bool, begin, end sample) {
	rate := func(from, to int64) float64 { return float64(to-from) / end.at.Sub(begin.at).Seconds() }
	pages, files := figures.PageFloor(rate(begin.media, end.media), time.Second), rate(begin.oneAFile, end.oneAFile)
	beside := func(how string, own float64, peer string, than, limit float64) {
		b.row(figures.Row{What: fmt.Sprintf("%s: written a second, %s", t.name, how), Peer: peer + " " + figures.KB(than),
			Ours: figures.KB(own), Ratio: own / than, Limit: limit})
	}
	own, plain := rate(begin.ownBytes, end.ownBytes), rate(begin.plainBytes, end.plainBytes)
	if !disks {
		beside("to write calls", own, "the pages", pages, 0)
		beside("to write calls", own, "a file a call, measured elsewhere", t.filesOnce, 0)
		return
	}
	beside(mountRing, own, "the pages", pages, pagesOverFloor)
	beside(mountRing, own, "a file a call", files, t.files)
	beside(mountPlain, plain, "the pages", pages, pagesOverFloor)
	beside(mountPlain, plain, "a file a call", files, t.files)
}
