package tus_test

import (
	"crypto/ed25519"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/uplink/cuttest"
	"github.com/linekeeper/linekeeper/uplink/tus"
)

// receiving is the headquarters of these tests as the suite of cuts wants it.
type receiving struct{ *headquarters }

func (r receiving) Address() string        { return r.server.Listener.Addr().String() }
func (r receiving) Key() ed25519.PublicKey { return r.key.Public().(ed25519.PublicKey) }

func (r receiving) Transport(t *testing.T, address string) uplink.Transport {
	tr, err := tus.New("https://"+address, r.tls(), tus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func (r receiving) Copies(id call.ID) [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.copies[id.String()]
}

func TestWhatACutDoes(t *testing.T) {
	bothHTTP(t, func(t *testing.T, http2 bool) {
		cuttest.Run(t, func(t *testing.T) cuttest.Receiver { return receiving{newHeadquarters(t, http2)} })
	})
}
