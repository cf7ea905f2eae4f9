package powercut

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
)

// Replay goes through a log once, from its beginning, and cuts where it is told to.
type Replay struct {
	log     *Reader
	durable *Image  // what the card holds whatever happens
	pending []Entry // what it may still lose, in order
	at      uint64
}

// NewReplay begins before the first entry, with what the card held then; the image is the replay's from now on.
func NewReplay(log *Reader, card *Image) *Replay { return &Replay{log: log, durable: card} }

// Advance goes on to after the first n entries of the log.
func (r *Replay) Advance(n uint64) error {
	if n < r.at {
		return fmt.Errorf("replay stands at entry %d, and cannot go back to %d", r.at, n)
	}
	for r.at < n {
		e, err := r.log.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("replay to entry %d: the log has %d", n, r.at)
		}
		if err != nil {
			return err
		}
		if err := r.take(e); err != nil {
			return fmt.Errorf("replay entry %d: %w", r.at, err)
		}
		r.at++
	}
	return nil
}

func (r *Replay) take(e Entry) error {
	if e.Flags&Flush != 0 { // of what came before; what the same entry writes is not covered
		for _, p := range r.pending {
			if err := p.apply(r.durable); err != nil {
				return err
			}
		}
		r.pending = r.pending[:0]
	}
	if e.Flags&Mark == 0 && e.Length > 0 {
		r.pending = append(r.pending, e)
	}
	return nil
}

// apply does to the card what the entry says.
func (e Entry) apply(m *Image) error {
	if e.Flags&Discard != 0 {
		return m.Zero(e.Offset, e.Length)
	}
	return m.Write(e.Offset, e.Data)
}

// Cut is what a cut did.
type Cut struct {
	At      uint64 // entries of the log before it
	Pending int    // writes that no flush had covered
	Kept    int    // of them
	How     string // in words
}

func (c Cut) String() string {
	return fmt.Sprintf("cut after entry %d: kept %d of %d unflushed writes, %s", c.At, c.Kept, c.Pending, c.How)
}

// Cut gives the card as it may be when power fails here, one of many ways. The image is the caller's; the replay can go
// on, or cut again.
func (r *Replay) Cut(random *rand.Rand) (*Image, Cut, error) {
	cut := Cut{At: r.at, Pending: len(r.pending)}
	keep := make([]bool, len(r.pending))
	cut.How = choose(random, keep)
	last := -1 // kept, though the card need not have
	for i, e := range r.pending {
		if e.Flags&FUA != 0 {
			keep[i] = true
		} else if keep[i] {
			last = i
		}
	}
	torn := last >= 0 && r.pending[last].Data != nil && random.IntN(2) == 0
	m := r.durable.Clone()
	for i, e := range r.pending {
		if !keep[i] {
			continue
		}
		cut.Kept++
		var err error
		if torn && i == last {
			var how string
			how, err = tear(random, m, e)
			cut.How += how
		} else {
			err = e.apply(m)
		}
		if err != nil {
			return nil, cut, err
		}
	}
	return m, cut, nil
}

// choose draws which writes the card keeps.
func choose(random *rand.Rand, keep []bool) string {
	switch random.IntN(8) {
	case 0:
		return "none"
	case 1:
		for i := range keep {
			keep[i] = true
		}
		return "all"
	case 2, 3, 4:
		for i := range random.IntN(len(keep) + 1) {
			keep[i] = true
		}
		return "in order"
	default:
		share := random.Float64()
		for i := range keep {
			keep[i] = random.Float64() < share
		}
		return "in any order"
	}
}

// sector is what a card writes as one, or says it does.
const sector = 512

// tear writes a part of an entry's data: its first sectors, any of its sectors, or its first bytes, to within a sector.
func tear(random *rand.Rand, m *Image, e Entry) (string, error) {
	sectors := (len(e.Data) + sector - 1) / sector
	switch random.IntN(3) {
	case 0:
		n := random.IntN(sectors) * sector
		return fmt.Sprintf(", the last cut off after %d bytes", n), m.Write(e.Offset, e.Data[:n])
	case 1:
		for i, data := range slices.Collect(slices.Chunk(e.Data, sector)) {
			if random.IntN(2) == 0 {
				continue
			}
			if err := m.Write(e.Offset+int64(i*sector), data); err != nil {
				return "", err
			}
		}
		return ", of the last some sectors", nil
	default:
		n := random.IntN(len(e.Data))
		return fmt.Sprintf(", the last cut off within a sector, after %d bytes", n), m.Write(e.Offset, e.Data[:n])
	}
}
