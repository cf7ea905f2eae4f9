package recorder

import "github.com/linekeeper/linekeeper/call"

// pump gives the call that goes on what was heard up to a position, and begins it where it is not recorded yet.
func (l *Line) pump(to int64) {
	for {
		l.begin(min(to, l.time.audio))
		if l.rec == nil {
			return
		}
		if l.advance(to); l.rec != nil {
			return
		}
	}
}

// begin begins to record the call that is wanted, if it is not recorded yet, there is audio of it before a position, and
// all of the call before is stored. A call does not begin with a loss.
func (l *Line) begin(before int64) {
	if l.rec != nil || !l.wanted.on || !l.out.empty() {
		return
	}
	at := max(l.wanted.from, l.time.start)
	for at < before {
		n, cause := l.time.next(at, before)
		if cause == "" {
			break
		}
		at += n
	}
	if at >= before {
		return
	}
	if l.spare == nil {
		id := call.NewID()
		encoder, err := l.NewEncoder(id)
		if err != nil {
			l.cfg.Log.Error("a call is not recorded: there is no encoder for it", "line", l.Name, "error", err)
			l.wanted.on = false
			return
		}
		l.spare, l.spareID = encoder, id
	}
	rec, header, err := l.open(at)
	if l.out.err = err; err != nil {
		return
	}
	l.miss(at)
	l.giveUp(at)
	l.rec, l.at, l.spare = rec, at, nil
	l.calls++
	l.out.put(item{record: header})
	l.observer.CallBegan(rec.header, rec.header.Began)
	for _, m := range l.held {
		l.mark(m)
	}
	l.held = l.held[:0]
}

// open stores the begin entry of a call and gives its header record. The call file is begun while the entry is stored,
// as it needs its number, and no entry may speak of a call that cannot be.
func (l *Line) open(at int64) (*recording, call.Record, error) {
	rec := &recording{header: l.header(l.spareID, l.wanted.reason, l.anchor(at)), encoder: l.spare, start: at}
	var header call.Record
	_, err := l.cfg.Ledger.Add(call.Entry{
		Type: call.EntryBegin, Anchor: rec.header.Anchor, Call: &rec.header.Call, Line: l.Name, Reason: rec.header.Began,
	}, func(number uint64, jws []byte) (err error) {
		rec.header.Number = number
		if rec.file, header, err = l.cfg.Seal(rec.header); err != nil {
			return err
		}
		return l.cfg.storeEntry(number, jws)
	})
	return rec, header, err
}

func (l *Line) header(id call.ID, began call.Reason, anchor call.Anchor) call.Header {
	return call.Header{
		Call: id, Device: l.cfg.Device, Epoch: l.cfg.Epoch, Began: began, Line: l.Name, Codec: l.Codec,
		Channels: l.Format.Channels, Sides: l.Sides, Rate: l.Format.Rate, Anchor: anchor,
	}
}

// anchor is the moment of a position: so much before the end of the timeline was delivered.
func (l *Line) anchor(position int64) call.Anchor {
	a := l.cfg.Clock.Anchor()
	end := l.heardAt
	if end == 0 {
		end = a.BootTime // whoever delivers does not say when
	}
	moment := end - l.Format.Duration(l.time.end-position)
	a.Wall = a.Wall.Add(moment - a.BootTime)
	a.BootTime = moment
	return a
}

// advance gives the call the line's audio up to a position, silence where it was lost. A loss that is too long ends it.
func (l *Line) advance(to int64) {
	for l.rec != nil && l.at < to {
		n, cause := l.time.next(l.at, to)
		switch {
		case cause == "":
			l.write(l.time.samples(l.at, l.at+n))
		case n > l.maxLoss:
			l.finish(l.whyLost())
		default:
			l.gap(n, cause)
		}
	}
}

// gap puts lost frames into the call.
func (l *Line) gap(frames int64, cause string) {
	g := call.Gap{Position: l.at - l.rec.start, Frames: frames, Cause: cause}
	l.rec.gaps = append(l.rec.gaps, g)
	l.putMark(call.Mark{Kind: call.MarkGap, Position: g.Position, Frames: frames, Value: cause})
	l.observer.Gap(l.Name, true, g)
	for left := frames; left > 0 && l.rec != nil; {
		n := min(left, int64(l.Format.Rate))
		l.write(l.silence[:n*int64(l.Format.Channels)])
		left -= n
	}
	l.time.claim(l.at)
	if l.rec != nil && len(l.rec.gaps) >= maxGaps {
		l.finish(call.EndedLongest)
	}
}

// write encodes samples. An encoder that fails ends the call; the next one gets another.
func (l *Line) write(samples []int16) {
	if err := l.rec.encoder.Write(samples, l.emit); err != nil {
		l.cfg.Log.Error("encoding failed: the call is ended", "line", l.Name, "call", l.rec.header.Call, "error", err)
		l.finish(call.EndedStopped)
		l.wanted.on = false
		return
	}
	l.at += int64(len(samples) / l.Format.Channels)
}

// chunk takes what the encoder emits.
func (l *Line) chunk(c Chunk) error {
	rec, err := l.rec.file.Chunk(l.rec.stored, uint32(c.Frames), c.Data)
	if err != nil {
		return err
	}
	l.rec.stored += c.Frames
	l.out.put(item{record: rec})
	return nil
}

// mark puts a mark at a position of the line into the call.
func (l *Line) mark(m call.Mark) {
	m.Position = max(0, m.Position-l.rec.start)
	l.putMark(m)
}

func (l *Line) putMark(m call.Mark) {
	rec, err := l.rec.file.Mark(m)
	if err != nil {
		l.cfg.Log.Error("mark cannot be written", "line", l.Name, "call", l.rec.header.Call, "kind", m.Kind, "error", err)
		return
	}
	l.out.put(item{record: rec})
}

// finish ends the recording where it stands. Should the detector not agree that the call is over, what follows is wanted
// as its continuation.
func (l *Line) finish(why call.Reason) {
	rec := l.rec
	closing := rec.encoder.Close(l.emit)
	l.rec = nil
	l.wanted.from, l.wanted.reason = l.at, call.BeganContinued
	if covered := l.at - rec.start; closing != nil || rec.stored != covered {
		l.cfg.Log.Error("a call's media is not whole", "line", l.Name, "call", rec.header.Call,
			"frames", covered, "encoded", rec.stored, "error", closing)
	}
	end := call.End{Reason: why, Frames: rec.stored, Gaps: within(rec.gaps, rec.stored)}
	last, err := rec.file.End(end)
	if err != nil {
		l.cfg.Log.Error("a call cannot be ended", "line", l.Name, "call", rec.header.Call, "error", err)
		return
	}
	l.out.put(item{record: last})
	l.out.put(item{end: &ending{header: rec.header, manifest: l.cfg.manifest(rec.header, end, rec.file)}})
}

// within leaves of the gaps what the frames hold: all, unless the encoder failed.
func within(gaps []call.Gap, frames int64) []call.Gap {
	for i, g := range gaps {
		if g.Position >= frames {
			return gaps[:i]
		}
		gaps[i].Frames = min(g.Frames, frames-g.Position)
	}
	return gaps
}

// store is how the outbox stores.
func (l *Line) store(it item) error {
	if it.end != nil {
		return l.cfg.addEnd(it.end.header, it.end.manifest)
	}
	return l.cfg.Ring.Append(it.record)
}
