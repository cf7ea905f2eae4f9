package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/hex"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/line/callerid"
	"github.com/linekeeper/linekeeper/line/dtmf"
	"github.com/linekeeper/linekeeper/pcm"
)

const rate = 8000

// contender is a program that hears digits and caller IDs in samples at 8000 a second. What it does not do at all it
// answers with ok false.
type contender interface {
	digits(samples []int16) (heard []string, err error)
	// callers are "date/number/name" each.
	callers(samples []int16, modem string) (heard []string, err error)
}

//go:embed peer.c
var peerSource string

type spandsp struct {
	ctx     context.Context
	program string
}

func compileSpandsp(ctx context.Context, dir string) (spandsp, error) {
	s := spandsp{ctx, filepath.Join(dir, "peer")}
	cmd := exec.CommandContext(ctx, "gcc", "-O2", "-Wall", "-x", "c", "-o", s.program, "-", "-lspandsp")
	cmd.Stdin = strings.NewReader(peerSource)
	if out, err := cmd.CombinedOutput(); err != nil {
		return s, fmt.Errorf("compile spandsp's receivers (it needs gcc and libspandsp-dev: lab/need.sh bench): %w\n%s", err, out)
	}
	return s, nil
}

func (s spandsp) digits(samples []int16) ([]string, error) {
	out, err := pipe(exec.CommandContext(s.ctx, s.program, "digits"), samples)
	return strings.Split(strings.ReplaceAll(out, "\n", ""), ""), err
}

func (s spandsp) callers(samples []int16, modem string) (heard []string, err error) {
	out, err := pipe(exec.CommandContext(s.ctx, s.program, modem), samples)
	for line := range strings.Lines(out) {
		raw, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("read what spandsp prints: %w", err)
		}
		heard = append(heard, fields(raw))
	}
	return heard, err
}

// fields reads date, number and name of an MDMF message without its checksum, which spandsp has looked at.
func fields(raw []byte) string {
	var texts [256]string
	for at := 2; at+2 <= len(raw) && at+2+int(raw[at+1]) <= len(raw); at += 2 + int(raw[at+1]) {
		texts[raw[at]] = string(raw[at+2 : at+2+int(raw[at+1])])
	}
	return texts[1] + "/" + texts[2] + "/" + texts[7]
}

type multimon struct{ ctx context.Context }

func (m multimon) run(samples []int16, demodulator string) (string, error) {
	const rate22 = 22050
	return pipe(exec.CommandContext(m.ctx, "multimon-ng", "-q", "-t", "raw", "-a", demodulator, "-"), phone.Resample(samples, rate, rate22))
}

func (m multimon) digits(samples []int16) (heard []string, err error) {
	out, err := m.run(samples, "DTMF")
	for line := range strings.Lines(out) {
		if digit, ok := strings.CutPrefix(strings.TrimSpace(line), "DTMF: "); ok {
			heard = append(heard, digit)
		}
	}
	return heard, err
}

func (m multimon) callers(samples []int16, _ string) (heard []string, err error) {
	out, err := m.run(samples, "CLIPFSK")
	for line := range strings.Lines(out) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), "DATE=")
		date, rest, _ := strings.Cut(rest, " CID=")
		number, name, _ := strings.Cut(rest, " CNT=")
		heard = append(heard, date+"/"+number+"/"+name)
	}
	return heard, err
}

// pipe runs a program on samples.
func pipe(cmd *exec.Cmd, samples []int16) (string, error) {
	cmd.Stdin = bytes.NewReader(pcm.AppendBytes(nil, samples))
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("run %s: %w: %s", filepath.Base(cmd.Path), err, errors.String())
	}
	return string(out), err
}

type ours struct{}

func (ours) digits(samples []int16) (heard []string, err error) {
	r := dtmf.NewReceiver(rate)
	for part := range periods(samples) {
		for _, d := range r.Feed(part) {
			heard = append(heard, string(rune(d.Key)))
		}
	}
	return heard, nil
}

func (ours) callers(samples []int16, _ string) (heard []string, err error) {
	r := callerid.NewReceiver(rate)
	for part := range periods(samples) {
		for _, m := range r.Feed(part) {
			if m.Intact { // the others show nothing that could be wrong
				heard = append(heard, m.When+"/"+m.Number+"/"+m.Name)
			}
		}
	}
	return heard, nil
}

// periods are samples in periods of 100 ms.
func periods(samples []int16) func(func([]int16) bool) {
	return func(yield func([]int16) bool) {
		for len(samples) > 0 {
			n := min(len(samples), rate/10)
			if !yield(samples[:n]) {
				return
			}
			samples = samples[n:]
		}
	}
}
