package mqtt_test

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/uplink"
	"github.com/linekeeper/linekeeper/uplink/cuttest"
	"github.com/linekeeper/linekeeper/uplink/mqtt"
)

// receiving is the receiver of these tests as the suite of cuts wants it.
type receiving struct{ *receiver }

func (r receiving) Address() string        { return r.address }
func (r receiving) Key() ed25519.PublicKey { return r.key.Public().(ed25519.PublicKey) }

func (r receiving) Transport(t *testing.T, address string) uplink.Transport {
	leaf, err := x509.ParseCertificate(r.receiver.tls.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	tr, err := mqtt.New("mqtts://"+address, &tls.Config{RootCAs: pool}, device, mqtt.Options{})
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
	cuttest.Run(t, func(t *testing.T) cuttest.Receiver {
		r := newReceiver(t)
		r.tells = true
		return receiving{r}
	})
}
