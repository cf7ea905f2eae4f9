//go:build e2e || qemu

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"testing"
	"time"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/encoder"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/library"
	"github.com/linekeeper/linekeeper/lab/phone"
	"github.com/linekeeper/linekeeper/lab/station"
	"github.com/linekeeper/linekeeper/pcm"
	"github.com/linekeeper/linekeeper/seal"
)

// lineRate is that of a telephone line.
const lineRate = 8000

// root is the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// program is one of those that `make build` made.
func program(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(root(t), "bin", name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `make build` first, or `make e2e`", err)
	}
	return path
}

// folder is a new folder for a test, kept where the test failed.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "linekeeper-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what it left is in %s", dir)
			return
		}
		_ = os.RemoveAll(dir)
	})
	return dir
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), d, fmt.Errorf("nothing more for %v", d))
	t.Cleanup(cancel)
	return ctx
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func headquarters(t *testing.T, dir string, broker *station.Broker) *station.Headquarters {
	t.Helper()
	return must(station.NewHeadquarters(program(t, "linekeeper-hq"), filepath.Join(dir, "hq"), "", "", "", broker))(t)
}

func recorder(t *testing.T, dir string, head *station.Headquarters, o station.RecorderOptions) *station.Recorder {
	t.Helper()
	return must(station.NewRecorder(program(t, "linekeeper"), filepath.Join(dir, "recorder"), "Test office", head, o))(t)
}

// start starts a program, and ends it with the test.
func start(t *testing.T, run func(context.Context, func(station.Event)) (*station.Process, error)) *station.Process {
	t.Helper()
	p := must(run(within(t, 30*time.Second), nil))(t)
	t.Cleanup(func() {
		if p.Err() == nil {
			p.Kill()
		}
	})
	return p
}

// await waits for so many messages of a program.
func await(t *testing.T, p *station.Process, count int, message string, patience time.Duration) []station.Event {
	t.Helper()
	return must(p.Await(within(t, patience), count, station.Message(message)))(t)
}

// library is what headquarters knows, read beside it.
func calls(t *testing.T, head *station.Headquarters) []hq.Call {
	t.Helper()
	lib := must(library.Open(filepath.Join(head.Dir, "library.db"), time.Now))(t)
	defer lib.Close()
	found, _, err := lib.Calls(t.Context(), hq.Query{Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	sort.Slice(found, func(i, j int) bool { return found[i].Began.Before(found[j].Began) })
	return found
}

// callFile is a call's file at headquarters.
func callFile(t *testing.T, head *station.Headquarters, id call.ID) []byte {
	t.Helper()
	return must(os.ReadFile(filepath.Join(head.Dir, "calls", id.String()[:2], id.String()+".lkc")))(t)
}

// decoded is the audio of a call file, one channel a side.
func decoded(t *testing.T, head *station.Headquarters, file []byte) (pcm.Format, [][]int16) {
	t.Helper()
	header, media, err := seal.OpenMedia(bytes.NewReader(file), must(head.CallKeys())(t))
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, must(encoder.NewDecoder(string(header.Codec), media))(t))
}

func decode(t *testing.T, d encoder.Decoder) (pcm.Format, [][]int16) {
	t.Helper()
	f := d.Format()
	var all []int16
	for buf := make([]int16, 8192*f.Channels); ; {
		n, err := d.Read(buf)
		all = append(all, buf[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	sides := make([][]int16, f.Channels)
	for c := range sides {
		sides[c] = pcm.Pick(nil, all, f.Channels, c)
	}
	return f, sides
}

// side is one channel of rendered audio at a rate.
func side(a phone.Audio, channel, rate int) []int16 {
	return phone.Resample(pcm.Pick(nil, a.Samples, a.Format.Channels, channel), a.Format.Rate, rate)
}
