package capture

// #cgo LDFLAGS: -ldl -Wl,--wrap=dlsym -Wl,--wrap=pthread_create
// #include "alsalib.h"
// #include "feed.h"
// #include "thread.h"
import "C"

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/gen2brain/malgo"
	"golang.org/x/sys/unix"

	"github.com/linekeeper/linekeeper/pcm"
)

const (
	maxDeviceName = len(malgo.DeviceID{}) - 1
	closeDeadline = 3 * time.Second
	queueTime     = 30 * time.Second // that the program may be behind the card; what is not used takes no memory
)

// bootTime is CLOCK_BOOTTIME: it counts on while the machine sleeps, and nobody sets it.
func bootTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) // never fails with a clock that exists
	return time.Duration(t.Nano())
}

// alsaOpener opens one device through miniaudio, again and again, one at a time. Its context is made once and lives as
// long as the program, since each one that malgo makes leaks a little. Only a device that does not close keeps it to
// itself, with what it goes on logging.
type alsaOpener struct {
	cfg     Config
	clock   *int64          // CLOCK_BOOTTIME of a trial, in ns, in memory that is not Go's; nil: the machine's
	id      *malgo.DeviceID // on its own, so that it can be pinned
	context *malgo.AllocatedContext
}

// alsaDevice is a device that was opened. Its log and data callbacks come from miniaudio's thread.
type alsaDevice struct {
	opener  *alsaOpener
	dev     *malgo.Device
	audio   *queue
	event   *os.File // the feed's eventfd
	until   time.Time
	native  conversion
	place   opened
	gone    atomic.Bool
	opening atomic.Bool
}

// conversion is what miniaudio says that it makes of the card's audio; anything but the same is a fault of ours.
type conversion struct {
	rate, rateGiven, channels, channelsGiven int
}

func (c conversion) isNone() bool { return c.rate == c.rateGiven && c.channels == c.channelsGiven }

func (o *alsaOpener) open() (device, error) {
	// ALSA's messages are kept for each thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if C.alsa_listen() == 0 {
		return nil, errors.New("open sound card: ALSA's library libasound.so.2 is missing; install it with: apt-get install libasound2")
	}
	C.alsa_forget()
	if o.context == nil {
		ctx, err := malgo.InitContext([]malgo.Backend{malgo.BackendAlsa}, malgo.ContextConfig{}, nil)
		if err != nil {
			return nil, fmt.Errorf("start ALSA: %w", err)
		}
		o.context, o.id = ctx, new(malgo.DeviceID)
		copy(o.id[:], o.cfg.Device)
	}
	want := conversion{rate: o.cfg.Rate}
	if n := o.cfg.channelsNeeded(); n > 2 {
		want.channels = n
	}
	d, err := o.start(want)
	if err == nil && !d.native.isNone() {
		// The card cannot do what was asked: take what it has, for only miniaudio's conversion is bad.
		native := d.native
		if err := d.abandon(); err != nil {
			return nil, fmt.Errorf("open sound card %s again at its own rate: %w", o.cfg.Device, err)
		}
		d, err = o.start(conversion{rate: native.rate, channels: native.channels})
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// start opens the device with a rate and a number of channels, 0 for what it likes best, and lets it deliver.
func (o *alsaOpener) start(want conversion) (*alsaDevice, error) {
	audio, err := newQueue(bootTime)
	if err != nil {
		return nil, err
	}
	audio.feed.clock = (*C.int64_t)(unsafe.Pointer(o.clock))
	d := &alsaDevice{opener: o, audio: audio}
	if err := d.init(d.ask(want)); err != nil {
		audio.free()
		return nil, o.explain("open", err)
	}
	period := int(d.place.format.Frames(o.cfg.Period)) * d.native.channelsGiven
	err = audio.size(int(queueTime/o.cfg.Period), period, d.native.channelsGiven)
	if err == nil {
		err = d.makeEvent()
	}
	if err == nil {
		C.alsa_clear()
		err = d.dev.Start()
	}
	if err != nil {
		return nil, errors.Join(o.explain("start", err), d.abandon())
	}
	return d, nil
}

// ask is what miniaudio is asked for.
func (d *alsaDevice) ask(want conversion) malgo.DeviceConfig {
	c := d.opener.cfg
	cfg := malgo.DefaultDeviceConfig(malgo.Capture)
	cfg.SampleRate = uint32(want.rate)
	cfg.PeriodSizeInMilliseconds = uint32(c.Period.Milliseconds())
	cfg.Periods = uint32((c.Buffer + c.Period - 1) / c.Period)
	cfg.NoFixedSizedCallback = 1 // a fixed size costs another copy, and a period of silence at the start
	cfg.Capture.DeviceID = unsafe.Pointer(d.opener.id)
	cfg.Capture.Format = malgo.FormatS16
	cfg.Capture.Channels = uint32(want.channels)
	cfg.Alsa.NoAutoResample, cfg.Alsa.NoAutoChannels = 1, 1
	cfg.NotificationCallback = (*[0]byte)(C.feed_attach)
	cfg.PUserData = (*byte)(unsafe.Pointer(d.audio.feed))
	return cfg
}

// init opens the device, without starting it. Where it fails, nothing stays open.
func (d *alsaDevice) init(cfg malgo.DeviceConfig) error {
	var pin runtime.Pinner // miniaudio copies the name
	defer pin.Unpin()
	pin.Pin(d.opener.id)
	d.opening.Store(true)
	defer d.opening.Store(false)
	d.opener.context.SetLogProc(d.log)
	C.alsa_clear()
	C.alsa_begin()
	if errno := C.thread_make(); errno != 0 {
		return fmt.Errorf("start a thread: %w", syscall.Errno(errno))
	}
	dev, err := malgo.InitDevice(d.opener.context.Context, cfg, malgo.DeviceCallbacks{Data: d.data})
	C.thread_forget()
	if err != nil {
		C.alsa_close()
		return err
	}
	d.dev = dev
	d.fillIn()
	return nil
}

// explain says what was attempted, on what, why it failed, and what to do.
func (o *alsaOpener) explain(what string, err error) error {
	advice := "run `linekeeper inputs` for the cards there are"
	if errors.Is(err, malgo.ErrBusy) {
		advice = "another program has it: find it with `fuser -v /dev/snd/*`"
	} else if errors.Is(err, malgo.ErrAccessDenied) {
		advice = "the user that runs this must be in the group audio"
	}
	why := strings.TrimPrefix(err.Error(), "miniaudio: ")
	if m := C.GoString(C.alsa_message()); m != "" {
		why += " (ALSA: " + strings.TrimSpace(m) + ")"
	}
	return fmt.Errorf("%s sound card %s: %s; %s", what, o.cfg.Device, why, advice)
}

func (d *alsaDevice) opened() opened { return d.place }

func (d *alsaDevice) queue() *queue { return d.audio }

// makeEvent makes the eventfd with which the feed wakes its reader. The reader waits in the Go runtime's poller.
func (d *alsaDevice) makeEvent() error {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make an eventfd: %w", err)
	}
	d.audio.feed.event = C.int(fd)
	d.event = os.NewFile(uintptr(fd), "eventfd")
	return nil
}

func (d *alsaDevice) wait(until time.Time) error {
	if d.until != until { // setting it costs, and it is the same for many periods
		d.until = until
		if err := d.event.SetReadDeadline(until); err != nil {
			return fmt.Errorf("wait for audio: %w", err)
		}
	}
	var count [8]byte
	if _, err := d.event.Read(count[:]); err != nil {
		return fmt.Errorf("wait for audio: %w", err)
	}
	if d.gone.Load() {
		return errors.New("it is gone: it was pulled out, the machine slept, or its driver failed")
	}
	return nil
}

// wake adds to the eventfd. It never waits: that takes more events than can be.
func (d *alsaDevice) wake() {
	_, _ = d.event.Write([]byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// fillIn takes from the device itself what its log should have said.
func (d *alsaDevice) fillIn() {
	d.native.rateGiven, d.native.channelsGiven = int(d.dev.SampleRate()), int(d.dev.CaptureChannels())
	if d.native.rate == 0 {
		d.native.rate = d.native.rateGiven
	}
	if d.native.channels == 0 {
		d.native.channels = d.native.channelsGiven
	}
	var card C.int
	var frames C.ulong
	C.alsa_opened(&card, &frames)
	d.place = opened{
		format: pcm.Format{Rate: d.native.rateGiven, Channels: d.native.channelsGiven},
		port:   usbPort(os.DirFS("/sys"), int(card)),
	}
	d.place.buffer = d.place.format.Duration(int64(frames))
	d.audio.feed.pcm, d.audio.feed.rate = C.alsa_pcm(), C.uint32_t(d.native.rateGiven)
	if d.audio.feed.pcm != nil {
		d.audio.feed.avail = (*[0]byte)(C.alsa_avail)
	}
}

// data is called by miniaudio's thread with what the card delivered, where feed_attach did not make that C's work.
func (d *alsaDevice) data(_, in []byte, _ uint32) {
	if len(in) > 1 {
		d.audio.write(unsafe.Slice((*int16)(unsafe.Pointer(&in[0])), len(in)/2))
	}
}

// log is called with each message of miniaudio. While a card is gone that is a million a second.
func (d *alsaDevice) log(message string) {
	switch {
	case d.opening.Load():
		var from, to int
		if _, err := fmt.Sscanf(message, " Sample Rate: %d -> %d", &from, &to); err == nil {
			d.native.rate = from
		} else if _, err := fmt.Sscanf(message, " Channels: %d -> %d", &from, &to); err == nil {
			d.native.channels = from
		}
	case strings.HasPrefix(message, "EPIPE (read)"): // from the thread that calls data
		d.audio.breakHere()
	case strings.HasPrefix(message, "[ALSA] POLLERR detected."): // disconnected, suspended, or whatever: not an overrun
		if d.gone.CompareAndSwap(false, true) {
			d.wake()
		}
	}
}

// close stops the device. Stop has been seen to hang (miniaudio issue 291): then the device is left as it is, with its
// memory.
func (d *alsaDevice) close() error {
	d.opener.context.SetLogProc(nil) // first: a card that is gone floods it
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = d.dev.Stop() // what it says of a card that is gone is of no use
		d.dev.Uninit()
	}()
	deadline := time.NewTimer(closeDeadline)
	defer deadline.Stop()
	select {
	case <-done:
		d.audio.feed.event = -1
		if d.event != nil {
			_ = d.event.Close()
		}
		d.audio.flush()
		return nil
	case <-deadline.C:
		d.opener.context = nil
		return fmt.Errorf("%w within %v", errStuck, closeDeadline)
	}
}

// abandon closes a device of which nothing will be read.
func (d *alsaDevice) abandon() error {
	err := d.close()
	if err == nil {
		d.audio.free()
	}
	return err
}
