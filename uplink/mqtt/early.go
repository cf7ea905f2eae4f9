package mqtt

import (
	"fmt"
	"net"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// early is a connection on which nobody waits for CONNACK: "Clients are allowed to send further Control Packets
// immediately after sending a CONNECT Packet" (MQTT 3.1.1, section 3.1.4), and a broker that refuses processes none of
// them. paho waits all the same, so it is given a CONNACK at once, and the broker's own is taken out of what comes.
type early struct {
	net.Conn
	refuse func(error) // told why the broker refuses, before Read says so

	ours   []byte // of the CONNACK in the place of the broker's, not read yet
	theirs []byte // of the broker's
}

func newEarly(c net.Conn, refuse func(error)) *early {
	return &early{Conn: c, refuse: refuse, ours: []byte{packets.Connack << 4, 2, 0, packets.Accepted}}
}

// Read implements net.Conn.
func (e *early) Read(p []byte) (int, error) {
	if len(e.ours) > 0 {
		n := copy(p, e.ours)
		e.ours = e.ours[n:]
		return n, nil
	}
	const length = 4
	for len(e.theirs) < length {
		b := make([]byte, length-len(e.theirs))
		n, err := e.Conn.Read(b)
		if e.theirs = append(e.theirs, b[:n]...); err != nil {
			return 0, err
		}
		if err := e.check(); err != nil {
			e.refuse(err)
			return 0, err
		}
	}
	return e.Conn.Read(p)
}

// check looks at the broker's CONNACK, as far as it has come.
func (e *early) check() error {
	for i, want := range []byte{packets.Connack << 4, 2} {
		if i < len(e.theirs) && e.theirs[i] != want {
			return fmt.Errorf("the broker answers CONNECT with % x, which is no CONNACK", e.theirs)
		}
	}
	const code = 3
	if len(e.theirs) <= code || e.theirs[code] == packets.Accepted {
		return nil
	}
	if err := packets.ConnErrors[e.theirs[code]]; err != nil {
		return fmt.Errorf("the broker refuses the connection: %w", err)
	}
	return fmt.Errorf("the broker refuses the connection: code %d", e.theirs[code])
}
