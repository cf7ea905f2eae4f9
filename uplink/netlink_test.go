package uplink

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// news is a message of the kernel's, as in linux/netlink.h.
func news(kind uint16, data ...byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(data)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, make([]byte, unix.SizeofNlMsghdr-len(b))...) // flags, sequence, sender
	return append(b, data...)
}

// linkNews is struct ifinfomsg with flags.
func linkNews(flags uint32) []byte {
	data := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(data[8:], flags)
	return data
}

func TestComesUp(t *testing.T) {
	for name, tc := range map[string]struct {
		message []byte
		want    bool
	}{
		"an address":                 {news(unix.RTM_NEWADDR, make([]byte, unix.SizeofIfAddrmsg)...), true},
		"a route":                    {news(unix.RTM_NEWROUTE, make([]byte, unix.SizeofRtMsg)...), true},
		"a carrier":                  {news(unix.RTM_NEWLINK, linkNews(unix.IFF_UP|unix.IFF_LOWER_UP)...), true},
		"a device without a carrier": {news(unix.RTM_NEWLINK, linkNews(unix.IFF_UP)...), false},
		"a device that goes":         {news(unix.RTM_DELLINK, linkNews(unix.IFF_UP|unix.IFF_LOWER_UP)...), false},
		"an address that goes":       {news(unix.RTM_DELADDR, make([]byte, unix.SizeofIfAddrmsg)...), false},
		"two, of which one matters":  {append(news(unix.RTM_DELADDR, make([]byte, unix.SizeofIfAddrmsg)...), news(unix.RTM_NEWROUTE, make([]byte, unix.SizeofRtMsg)...)...), true},
		"a short link":               {news(unix.RTM_NEWLINK, 1, 2, 3, 4), false},
		"nothing":                    {nil, false},
		"a length beyond the end":    {news(unix.RTM_DELADDR, make([]byte, unix.SizeofIfAddrmsg)...)[:20], true}, // an attempt too many costs little
	} {
		t.Run(name, func(t *testing.T) {
			if got := comesUp(tc.message); got != tc.want {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

func FuzzComesUp(f *testing.F) {
	f.Add(news(unix.RTM_NEWLINK, linkNews(unix.IFF_LOWER_UP)...))
	f.Add(news(unix.RTM_NEWLINK, 1))
	f.Add(append(news(unix.RTM_DELROUTE), news(unix.RTM_NEWADDR)...))
	f.Fuzz(func(_ *testing.T, b []byte) { comesUp(b) })
}
