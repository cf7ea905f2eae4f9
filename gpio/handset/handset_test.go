package handset

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is a machine into which handsets are plugged, and the handset of a place that is listened to.
type desk struct {
	t     *testing.T
	sys   string
	begin time.Time
	log   bytes.Buffer
	*Handset

	mu      sync.Mutex
	streams map[string]*fakeStream // by path; nil: may not be opened
	changes []string
}

// fakeStream is a node that is read. What is written into it is delivered, each write by one Read.
type fakeStream struct {
	*io.PipeReader
	in    *io.PipeWriter
	state []byte // nil: it does not say
}

func (s *fakeStream) State() ([]byte, error) {
	if s.state == nil {
		return nil, errors.New("broken pipe")
	}
	return s.state, nil
}

// atDesk runs a handset in a bubble of fake time while during is called.
func atDesk(t *testing.T, at Place, during func(d *desk)) {
	synctest.Test(t, func(t *testing.T) {
		d := &desk{t: t, sys: t.TempDir(), begin: time.Now(), streams: map[string]*fakeStream{}}
		d.Handset = New(at, func() time.Duration { return time.Since(d.begin) }, slog.New(slog.NewTextHandler(&d.log, nil)))
		d.Handset.sys = os.DirFS(d.sys)
		d.open = func(n node) (stream, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if s := d.streams[n.path]; s != nil {
				return s, nil
			}
			return nil, errors.New("permission denied")
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			d.Run(ctx, func(c Change) {
				d.mu.Lock()
				defer d.mu.Unlock()
				d.changes = append(d.changes, map[bool]string{true: "lifted ", false: "back "}[c.Lifted]+c.At.String())
			})
		}()
		time.Sleep(lookAgain / 2) // so that nothing happens at the same time as it looks
		during(d)
		cancel()
		<-done
	})
}

func (d *desk) write(file, content string) {
	d.t.Helper()
	file = filepath.Join(d.sys, file)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
		d.t.Fatal(err)
	}
}

// plug puts a node into sysfs; with a stream that says a state when it is asked, or, denied, that may not be opened.
func (d *desk) plug(path, folder string, state []byte, denied bool) *fakeStream {
	d.t.Helper()
	name := filepath.Base(path)
	class := filepath.Join(d.sys, "class", map[bool]string{true: "hidraw", false: "input"}[strings.HasPrefix(name, "hidraw")])
	if err := errors.Join(os.MkdirAll(class, 0o755), os.MkdirAll(filepath.Join(d.sys, folder, name), 0o755),
		os.Symlink("../../"+folder+"/"+name, filepath.Join(class, name))); err != nil {
		d.t.Fatal(err)
	}
	s := &fakeStream{state: state}
	s.PipeReader, s.in = io.Pipe()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.streams[path] = s; denied {
		d.streams[path] = nil
	}
	return s
}

// pull takes it out.
func (d *desk) pull(path string, s *fakeStream) {
	d.t.Helper()
	class := map[bool]string{true: "class/hidraw/", false: "class/input/"}[strings.HasPrefix(path, "hidraw")]
	if err := errors.Join(os.Remove(filepath.Join(d.sys, class+filepath.Base(path))), s.in.CloseWithError(errors.New("no such device"))); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) send(s *fakeStream, data ...byte) {
	d.t.Helper()
	if _, err := s.in.Write(data); err != nil {
		d.t.Fatal(err)
	}
}

// wants compares what was told so far.
func (d *desk) wants(want ...string) {
	d.t.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.changes, want) {
		d.t.Errorf("told %q, want %q", d.changes, want)
	}
	d.changes = nil
}

// logged is what the log says so far.
func (d *desk) logged() string {
	synctest.Wait()
	return d.log.String()
}

const (
	usb     = "devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.2/1-1.2:1.3/0003:0B0E:1017.0001"
	other   = "devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.3/1-1.3:1.3/0003:0B0E:1017.0002"
	builtIn = "devices/platform/handset/input/input0"
)

func TestHandsetByItsReports(t *testing.T) {
	atDesk(t, Place{Port: "usbe23b_1_2"}, func(d *desk) {
		time.Sleep(time.Second)
		if d.Present() {
			t.Error("it is there before it is")
		}
		for _, device := range []string{usb, other} {
			d.write(device+"/report_descriptor", string(deskHandset))
			d.write(device+"/input/input4/capabilities/key", phoneKey)
		}
		d.plug("hidraw0", other+"/hidraw", nil, true)
		d.plug("input/event1", usb+"/input/input4", nil, false)
		s := d.plug("hidraw1", usb+"/hidraw", nil, false)
		time.Sleep(time.Second)
		d.wants()
		d.send(s, 2, 4)
		time.Sleep(time.Second)
		d.send(s, 1, 2) // louder
		d.send(s, 2, 6) // mute: lifted as before
		time.Sleep(time.Second)
		d.send(s, 2, 0)
		d.wants("lifted 2.25s", "back 4.25s")
		if log := d.logged(); !d.Present() || strings.Count(log, "msg=") != 1 {
			t.Errorf("another node than the handset's was tried; log: %s", log)
		}
	})
}

// TestUnpluggedAndPutBack: what it said last holds while it is away, and it is asked when it is back.
func TestUnpluggedAndPutBack(t *testing.T) {
	for _, tt := range []struct {
		name  string
		away  time.Duration
		state []byte // when it is back
		want  []string
	}{
		{"still lifted", 10 * time.Second, []byte{2, 4}, nil},
		{"put back meanwhile", 10 * time.Second, []byte{2, 0}, []string{"back 12.5s"}},
		{"does not say", 10 * time.Second, nil, nil},
		{"away too long", 40 * time.Second, []byte{2, 4}, []string{"back 32.5s", "lifted 42.5s"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			atDesk(t, Place{Port: "usbe23b_1_2"}, func(d *desk) {
				d.write(usb+"/report_descriptor", string(deskHandset))
				s := d.plug("hidraw1", usb+"/hidraw", []byte{2, 4}, false)
				time.Sleep(2 * time.Second)
				d.wants("lifted 500ms")
				d.pull("hidraw1", s)
				time.Sleep(tt.away)
				if d.Present() {
					t.Error("it is there while it is away")
				}
				d.plug("hidraw1", usb+"/hidraw", tt.state, false)
				time.Sleep(time.Second)
				d.wants(tt.want...)
				if !d.Present() {
					t.Error("it is away while it is there")
				}
			})
		})
	}
}

func TestHandsetByItsKeys(t *testing.T) {
	atDesk(t, Place{Name: "Wall phone"}, func(d *desk) {
		d.write(builtIn+"/name", "Wall phone\n")
		d.write(builtIn+"/capabilities/key", phoneKey)
		down := make([]byte, keyCount/8)
		down[keyPhone/8] = 1 << (keyPhone % 8)
		s := d.plug("input/event0", builtIn, down, false)
		time.Sleep(time.Second)
		d.send(s, bytesOf(event{700 * time.Millisecond, eventKey, keyPhone, 0}, event{0, eventSync, 0, 0})...)
		d.wants("lifted 500ms", "back 700ms")
		d.send(s, bytesOf(event{0, eventSync, syncDropped, 0})...) // in which it was lifted
		d.wants("lifted 1.25s")
	})
}

// TestKeyboardInThePort: a keyboard is not even opened, and nothing else that cannot say where its hook is.
func TestKeyboardInThePort(t *testing.T) {
	atDesk(t, Place{Port: "usbe23b_1_2"}, func(d *desk) {
		d.write(usb+"/report_descriptor", string(keyboard))
		d.write(usb+"/input/input4/capabilities/key", "e080ffdf01cfffff fffffffffffffffe")
		d.plug("hidraw1", usb+"/hidraw", nil, true)
		d.plug("input/event1", usb+"/input/input4", nil, true)
		time.Sleep(10 * time.Second)
		if d.Present() || d.logged() != "" {
			t.Errorf("log: %s", d.logged())
		}
	})
}

// TestMayNotBeRead: that is said once, and tried again; where raw HID may not be read the keys are.
func TestMayNotBeRead(t *testing.T) {
	atDesk(t, Place{Port: "usbe23b_1_2"}, func(d *desk) {
		d.write(usb+"/report_descriptor", string(deskHandset))
		d.write(usb+"/input/input4/capabilities/key", phoneKey)
		s := d.plug("hidraw1", usb+"/hidraw", nil, true)
		time.Sleep(10 * time.Second)
		if n := strings.Count(d.logged(), "permission denied"); n != 1 || d.Present() {
			t.Errorf("said %d times: %s", n, d.logged())
		}
		d.mu.Lock()
		d.streams["hidraw1"] = s
		d.mu.Unlock()
		time.Sleep(time.Second)
		if !d.Present() {
			t.Errorf("it is not read: %s", d.logged())
		}
	})
}
