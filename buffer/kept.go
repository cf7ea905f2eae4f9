package buffer

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/linekeeper/linekeeper/call"
)

// Limits of what is kept for others.
const (
	maxName  = 16      // bytes of a name: it stands in the directory in place of a call
	maxValue = 8 << 10 // bytes
)

// kept is a value that the ring keeps for somebody, and where the note that holds it stands.
type kept struct {
	value []byte // as it was appended
	at    place
}

// Keep keeps a value under a name of up to 16 bytes, in place of the one before, for as long as the ring lives: for what
// must survive a cut and belongs to no call. It is durable after the next Sync. Names are few, and values small: up to
// 8 KiB, which are written again whenever their segment is emptied. No value is nil.
func (r *Ring) Keep(name string, value []byte) error {
	if name == "" || len(name) > maxName || len(value) > maxValue {
		return fmt.Errorf("keep %d bytes under %q: at most %d, under a name of 1 to %d bytes", len(value), name, maxValue, maxName)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.table.kept[name]; k != nil && bytes.Equal(k.value, value) {
		return nil
	}
	it := noteItem(note{Op: opKept, Name: name, Value: value})
	if err := r.admit(it, 0); err != nil {
		return fmt.Errorf("keep %q: %w", name, err)
	}
	r.table.keep(name).value = bytes.Clone(value)
	r.queue.put(it)
	return nil
}

// Kept gives what Keep was last given under a name; nil: nothing. The caller may change it.
func (r *Ring) Kept(name string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.table.kept[name]; k != nil {
		return bytes.Clone(k.value)
	}
	return nil
}

// keep gives the place of a value, made where there is none.
func (t *table) keep(name string) *kept {
	if t.kept[name] == nil {
		t.kept[name] = new(kept)
	}
	return t.kept[name]
}

// moveTo notes where the value stands now.
func (k *kept) moveTo(at place) {
	k.at.count(-1)
	k.at = at
	at.count(1)
}

// name is that of a kept value, of which the row's note is.
func (s smallRow) name() string { return strings.TrimRight(string(s.call[:]), "\x00") }

// renew brings a note that is carried up to date: what it says may have been replaced since it was read, by a note that
// waits before it.
func (t *table) renew(it *item) {
	switch n := it.note; {
	case n == nil:
		return
	case n.Op == opCall && t.calls[*n.Call] != nil:
		n.callState = t.calls[*n.Call].state()
	case n.Op == opKept:
		n.Value = t.kept[n.Name].value
	default:
		return
	}
	it.encode()
}

// recallKept takes over the values that are kept.
func (l *loader) recallKept() {
	for name, at := range l.kept {
		n := at.note
		if n == nil {
			read, err := l.r.disk.readNote(at.place)
			if err != nil {
				l.damage(at.seg.number, call.ID{}, fmt.Sprintf("what was kept under %q: %v", name, err))
				continue
			}
			n = &read
		}
		k := l.r.table.keep(name)
		k.value = n.Value
		k.moveTo(at.place)
	}
}
