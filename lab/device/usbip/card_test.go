package usbip

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// driver is the near side of the protocol, as vhci-hcd speaks it.
type driver struct {
	t    *testing.T
	conn net.Conn
	out  chan []byte // a pipe holds nothing, unlike a socket
	seq  uint32
}

// plug puts a card into a driver; both end with the test.
func plug(t *testing.T, k Kind, w *Wire) (*driver, *Card) {
	t.Helper()
	if err := k.Check(); err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	card := NewCard(k, w)
	ended := make(chan error)
	go func() { ended <- card.Serve(far) }()
	d := &driver{t: t, conn: near, out: make(chan []byte, 100)}
	go func() {
		for data := range d.out {
			_, _ = near.Write(data)
		}
	}()
	t.Cleanup(func() {
		close(d.out)
		_ = near.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return d, card
}

// request is a command with its fields in the protocol's order, and what follows it.
func request(kind, seq, direction, endpoint uint32, words []uint32, setup [8]byte, more ...uint32) []byte {
	var out []byte
	for _, word := range slices.Concat([]uint32{kind, seq, 1, direction, endpoint}, words) {
		out = binary.BigEndian.AppendUint32(out, word)
	}
	out = append(out, setup[:]...)
	out = append(out, make([]byte, max(0, headerSize-len(out)))...)
	for _, word := range more {
		out = binary.BigEndian.AppendUint32(out, word)
	}
	return out
}

// answer is the next one's words, of the header.
func (d *driver) answer() (words [12]uint32) {
	d.t.Helper()
	if err := binary.Read(d.conn, binary.BigEndian, &words); err != nil {
		d.t.Fatal(err)
	}
	return words
}

func (d *driver) bytes(n uint32) []byte {
	d.t.Helper()
	data := make([]byte, n)
	if _, err := io.ReadFull(d.conn, data); err != nil {
		d.t.Fatal(err)
	}
	return data
}

// ask makes a request on endpoint 0 for data, and gives it and the result.
func (d *driver) ask(setup [8]byte) ([]byte, int32) {
	d.t.Helper()
	d.seq++
	length := uint32(setup[6]) | uint32(setup[7])<<8
	d.out <- request(cmdSubmit, d.seq, uint32(setup[0]>>7), 0, []uint32{0, length, 0, 0, 0}, setup)
	a := d.answer()
	if a[0] != retSubmit || a[1] != d.seq {
		d.t.Fatalf("an answer of kind %d to %d", a[0], a[1])
	}
	return d.bytes(a[6]), int32(a[5])
}

// listen asks for one packet of 1000 bytes, not yet waiting for it.
func (d *driver) listen() {
	d.t.Helper()
	d.seq++
	d.out <- request(cmdSubmit, d.seq, 1, soundEndpoint, []uint32{0, 1000, 0, 1, 1}, [8]byte{}, 0, 1000, 0, 0)
}

// packet is the next packet's data and result.
func (d *driver) packet() (seq uint32, data []byte, status int32) {
	d.t.Helper()
	a := d.answer()
	if a[0] != retSubmit || a[8] != 1 {
		d.t.Fatalf("an answer of kind %d with %d packets", a[0], a[8])
	}
	data = d.bytes(a[6])
	var p [4]uint32
	if err := binary.Read(d.conn, binary.BigEndian, &p); err != nil {
		d.t.Fatal(err)
	}
	if p[2] != a[6] {
		d.t.Errorf("a packet says that it has %d bytes of %d", p[2], a[6])
	}
	return a[1], data, int32(p[3])
}

func TestDescriptors(t *testing.T) {
	d, card := plug(t, Kind{Rate: 44100, Channels: 2}, NewWire())
	config, status := d.ask([8]byte{0x80, getDescriptor, 0, 2, 0, 0, 0xff, 0})
	if status != done || int(binary.LittleEndian.Uint16(config[2:])) != len(config) {
		t.Fatalf("a configuration of %d bytes that says %d, result %d", len(config), binary.LittleEndian.Uint16(config[2:]), status)
	}
	for at := 0; at < len(config); at += int(config[at]) { // each part says how long it is
		if config[at] == 0 || at+int(config[at]) > len(config) {
			t.Fatalf("a part of %d bytes at %d of %d", config[at], at, len(config))
		}
	}
	if !bytes.Contains(config, []byte{11, 0x24, 2, 1, 2, 2, 16, 1, 0x44, 0xac, 0}) {
		t.Error("no stereo format of 16 bits at 44100 Hz")
	}
	if head, _ := d.ask([8]byte{0x80, getDescriptor, 0, 2, 0, 0, 9, 0}); !bytes.Equal(head, config[:9]) {
		t.Errorf("asked for 9 bytes of it: % x", head)
	}
	if whole, _ := d.ask([8]byte{0x80, getDescriptor, 0, 1, 0, 0, 18, 0}); len(whole) != 18 || whole[16] != 0 {
		t.Errorf("a card has a serial number, or no descriptor: % x", whole)
	}
	if name, _ := d.ask([8]byte{0x80, getDescriptor, 2, 3, 9, 4, 0xff, 0}); len(name) != 18 || name[2] != 'L' {
		t.Errorf("a name: % x", name)
	}
	if rate, _ := d.ask([8]byte{0xa2, audioGetCurrent, 0, 1, 0x81, 0, 3, 0}); !bytes.Equal(rate, []byte{0x44, 0xac, 0}) {
		t.Errorf("a rate: % x", rate)
	}
	if _, status := d.ask([8]byte{0x80, getDescriptor, 0, 6, 0, 0, 10, 0}); status != stalled {
		t.Errorf("asked for how it is at another speed: %d", status)
	}
	begin := [8]byte{0x01, setInterface, 1, 0, 1, 0, 0, 0}
	if _, status := d.ask(begin); status != done {
		t.Errorf("told to begin: %d", status)
	}
	card.SetFault(Refuses)
	if _, status := d.ask(begin); status != stalled {
		t.Errorf("told to begin, and it refuses: %d", status)
	}
}

// ramp is samples that say where they stand.
func ramp(n int) []int16 {
	out := make([]int16, n)
	for i := range out {
		out[i] = int16(i + 1)
	}
	return out
}

func TestPace(t *testing.T) {
	for _, tt := range []struct {
		name string
		kind Kind
		each time.Duration
		want int // frames in 30 packets
	}{
		{"8 kHz", Kind{Rate: 8000, Channels: 1}, 8 * time.Millisecond, 1920},
		{"11.025 kHz", Kind{Rate: 11025, Channels: 1}, 8 * time.Millisecond, 2646},
		{"48 kHz, stereo", Kind{Rate: 48000, Channels: 2}, 5 * time.Millisecond, 7200},
		{"too slow", Kind{Rate: 8000, Channels: 1, Delivers: 7000}, 8 * time.Millisecond, 1680},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wire := NewWire()
				d, _ := plug(t, tt.kind, wire)
				go func() { _ = wire.Play(t.Context(), tt.kind.Rate, tt.kind.Channels, ramp(32000)) }()
				synctest.Wait()
				begin := time.Now()
				for range 10 {
					d.listen()
				}
				var heard []byte
				for i := range uint32(30) {
					seq, data, status := d.packet()
					if seq != i+1 || status != done {
						t.Fatalf("packet %d came as number %d, result %d", seq, i+1, status)
					}
					passed := time.Since(begin)
					if due := time.Duration(i+1) * tt.each; passed != due {
						t.Errorf("packet %d came after %v", seq, passed)
					}
					heard = append(heard, data...)
					d.listen()
				}
				if got := len(heard) / 2 / tt.kind.Channels; got != tt.want {
					t.Errorf("%d frames in 30 packets, want %d", got, tt.want)
				}
				for i := range len(heard) / 2 {
					if got := int(binary.LittleEndian.Uint16(heard[2*i:])); got != i+1 {
						t.Fatalf("sample %d of the sound stands at %d", got, i+1)
					}
				}
			})
		})
	}
}

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire := NewWire()
		d, card := plug(t, Kind{Rate: 8000, Channels: 1}, wire)
		go func() { _ = wire.Play(t.Context(), 8000, 1, ramp(32000)) }()
		synctest.Wait()
		hear := func() (bool, int32) {
			d.listen()
			_, data, status := d.packet()
			return bytes.ContainsFunc(data, func(r rune) bool { return r != 0 }), status
		}
		for _, tt := range []struct {
			fault  Fault
			heard  bool
			status int32
		}{{Healthy, true, done}, {Silent, false, done}, {Broken, false, stalled}, {Healthy, true, done}} {
			card.SetFault(tt.fault)
			if heard, status := hear(); heard != tt.heard || status != tt.status {
				t.Errorf("%q: heard %t, result %d", tt.fault, heard, status)
			}
		}
		card.SetFault(Hanging)
		d.listen()
		d.listen()
		_ = d.conn.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := d.conn.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("hanging, it delivered %d bytes, %v", n, err)
		}
		_ = d.conn.SetReadDeadline(time.Time{})
		d.out <- request(cmdUnlink, 1000, 0, 0, []uint32{d.seq}, [8]byte{})
		if a := d.answer(); a[0] != retUnlink || a[1] != 1000 || int32(a[5]) != unasked {
			t.Errorf("a transfer that waits, taken back: kind %d, number %d, result %d", a[0], a[1], int32(a[5]))
		}
		card.SetFault(Healthy)
		if seq, _, status := d.packet(); seq != d.seq-1 || status != done {
			t.Errorf("healthy again, what waited: number %d, want %d, result %d", seq, d.seq-1, status)
		}
	})
}

// TestPulled is the sound going on where the wire goes into another card.
func TestPulled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wire, kind := NewWire(), Kind{Rate: 8000, Channels: 1}
		played := make(chan time.Duration)
		begin := time.Now()
		go func() {
			_ = wire.Play(t.Context(), 8000, 1, ramp(16000))
			played <- time.Since(begin)
		}()
		synctest.Wait()
		first := func() int {
			d, _ := plug(t, kind, wire)
			d.listen()
			_, data, _ := d.packet()
			_ = d.conn.Close()
			return int(binary.LittleEndian.Uint16(data))
		}
		if got := first(); got != 1 {
			t.Errorf("the sound begins with sample %d", got)
		}
		time.Sleep(time.Second - time.Since(begin))
		if got := first(); got != 8001 {
			t.Errorf("after a second, another card hears sample %d", got)
		}
		if took := <-played; took != 2*time.Second {
			t.Errorf("two seconds were played in %v", took)
		}
	})
}

func TestKind(t *testing.T) {
	for _, k := range []Kind{{}, {Rate: 8000}, {Rate: 8000, Channels: 3}, {Rate: 500, Channels: 1}, {Rate: 600000, Channels: 1}} {
		if k.Check() == nil {
			t.Errorf("there is a card like %+v", k)
		}
	}
}

// FuzzServe holds that no driver, however odd, makes a card do worse than hang up.
func FuzzServe(f *testing.F) {
	f.Add(request(cmdSubmit, 1, 1, 0, []uint32{0, 18, 0, 0, 0}, [8]byte{0x80, 6, 0, 1, 0, 0, 18, 0}))
	f.Add(request(cmdSubmit, 1, 1, 1, []uint32{0, 16, 0, 1, 1}, [8]byte{}, 0, 16, 0, 0))
	f.Add(request(cmdUnlink, 2, 0, 0, []uint32{1}, [8]byte{}))
	f.Add(request(cmdSubmit, 1, 0, 0, []uint32{0, 1 << 30, 0, 1 << 30, 1}, [8]byte{}))
	f.Fuzz(func(_ *testing.T, said []byte) {
		_ = NewCard(Kind{Rate: 8000, Channels: 1}, NewWire()).Serve(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(said), io.Discard})
	})
}
