package mqtt_test

import (
	"bufio"
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/linekeeper/linekeeper/uplink/mqtt"
	"github.com/linekeeper/linekeeper/wire"
)

// dumb is a broker that does what a test says with the first connection.
func dumb(t *testing.T, do func(net.Conn)) *mqtt.Transport {
	t.Helper()
	cfg := serverTLS()
	l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		do(c)
	}()
	t.Cleanup(func() { _ = l.Close(); <-ended })
	tr, err := mqtt.New("mqtts://"+l.Addr().String(), trust(t, cfg), device, mqtt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tr.Close() })
	return tr
}

// A recorder sends CONNECT, SUBSCRIBE, its status and what follows before the broker has answered anything.
func TestNothingWaitsForTheBroker(t *testing.T) {
	var kinds []string
	tr := dumb(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for len(kinds) < 4 {
			p, err := packets.ReadPacket(r)
			if err != nil {
				return
			}
			switch p := p.(type) {
			case *packets.PublishPacket:
				kinds = append(kinds, p.TopicName)
			default:
				kinds = append(kinds, strings.Fields(p.String())[0])
			}
		}
	})
	standing := make(chan struct{})
	asked := make(chan error, 1)
	go func() {
		<-standing
		_, err := tr.Have(t.Context(), wire.HaveQuestion{})
		asked <- err
	}()
	if err := tr.Open(t.Context(), wire.Status{Device: device, Online: true}, func() { close(standing) }); err == nil {
		t.Error("a broker that hangs up has taken the status")
	}
	if err := <-asked; err == nil {
		t.Error("a broker that hangs up has answered")
	}
	if got := strings.Join(kinds, " "); got != "CONNECT: SUBSCRIBE: linekeeper/ABCDEFGH/status linekeeper/ABCDEFGH/have" {
		t.Errorf("the broker heard %s", got)
	}
}

func TestBrokersThatRefuse(t *testing.T) {
	for name, tc := range map[string]struct {
		answer []byte
		want   string
	}{
		"not authorized":  {[]byte{0x20, 2, 0, 5}, "Authorized"},
		"busy":            {[]byte{0x20, 2, 0, 3}, "Unavailable"},
		"an unknown code": {[]byte{0x20, 2, 0, 77}, "code 77"},
		"no CONNACK":      {[]byte{0x30, 2, 0, 0}, "no CONNACK"},
		"not MQTT":        {[]byte("HTTP/1.1 400 Bad Request\r\n"), "no CONNACK"},
		"a long CONNACK":  {[]byte{0x20, 3, 0, 0, 0}, "no CONNACK"},
		"no subscription": {[]byte{0x20, 2, 0, 0, 0x90, 6, 0, 1, 0x80, 0x80, 0x80, 0x80}, "refuses"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := dumb(t, func(c net.Conn) {
				r := bufio.NewReader(c)
				for range 2 { // CONNECT, SUBSCRIBE
					if _, err := packets.ReadPacket(r); err != nil {
						return
					}
				}
				for _, b := range tc.answer { // byte by byte
					if _, err := c.Write([]byte{b}); err != nil {
						return
					}
				}
				for {
					if _, err := packets.ReadPacket(r); err != nil {
						return
					}
				}
			})
			err := tr.Status(t.Context(), wire.Status{Device: device, Online: true})
			if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(tc.want)) {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}
