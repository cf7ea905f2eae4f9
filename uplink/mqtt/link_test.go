package mqtt

import (
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

func TestWindowFollowsTheLink(t *testing.T) {
	for _, tt := range []struct {
		weak bool
		rate uint64 // bytes a second
		want int
	}{{false, 0, 3}, {false, 1200, 3}, {false, 8000, 3}, {false, 10_240, 5}, {false, 32_000, 8}, {false, 1 << 40, 8}, {true, 32_000, 3}} {
		if got := window(tt.weak, tt.rate); got != tt.want {
			t.Errorf("weak %v, %d bytes a second: %d, want %d", tt.weak, tt.rate, got, tt.want)
		}
	}
}

// FuzzDispatch gives a link what a hostile or broken broker might send.
func FuzzDispatch(f *testing.F) {
	f.Add("$file-response/ABCDEFGH", []byte(`{"vsn":"0.1","topic":"t","packet_id":1,"reason_code":0,"reason_description":"success"}`))
	f.Add("linekeeper/ABCDEFGH/receipt", []byte(`{"receipt":"e30.eyJmaXJzdCI6MX0.e30"}`))
	f.Add("linekeeper/ABCDEFGH/had", []byte(`{"entries":1}`))
	f.Add("linekeeper/ABCDEFGH/receipt", []byte(`{"receipt":"..."}`))
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		l := &link{inboxes: make(map[*inbox]struct{})}
		in := l.listen(func(m any) bool {
			if a, ok := m.(wire.ReceiptAnswer); ok {
				_, err := peek[call.Receipt](a.Receipt)
				return err == nil
			}
			return true
		})
		defer in.close()
		for range 2 * inboxSize { // more than it holds: it must not wait
			l.dispatch(topic, payload)
		}
		if n := len(in.messages); n != 0 && n != inboxSize {
			t.Errorf("%d messages kept", n)
		}
	})
}

// FuzzLoad gives a transfer a state that the card may have damaged.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"attempt":"0123abcd","init":"e30=","acked":"AA=="}`), 3)
	f.Add([]byte(`{"attempt":"","init":null,"acked":""}`), 0)
	f.Fuzz(func(t *testing.T, kept []byte, segments int) {
		if segments < 0 || segments > 1<<20 {
			return
		}
		tr := &transfer{t: &Transport{device: "ABCDEFGH"}, segments: segments}
		tr.f.State = kept
		tr.load()
		if tr.state.Attempt == "" {
			return
		}
		for i := range segments {
			_ = tr.state.Acked.has(i)
		}
		id := wire.FileID{Device: "ABCDEFGH", Attempt: tr.state.Attempt}
		if _, err := wire.ParseFileID(id.String()); err != nil {
			t.Error(err)
		}
	})
}
