package recorder

import "github.com/linekeeper/linekeeper/call"

// recording is a call that is being recorded.
type recording struct {
	header  call.Header
	file    File
	encoder Encoder
	emit    func(Chunk) error
	start   int64 // position of its first frame
	until   int64 // where it ended
	emitted int64 // frames that its chunks cover
	stored  int64 // the same, of those that are in the ring
	gaps    []call.Gap
	end     call.End // when it is in the ring
}

// mark puts a mark, at a position of the line, into the call.
func (r *recording) mark(m call.Mark, out *outbox) {
	m.Position = max(0, m.Position-r.start)
	out.put(item{of: r, kind: call.KindMark, mark: m})
}

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
	rec, first, err := l.open(at)
	if l.out.err = err; err != nil {
		return
	}
	rec.emit = func(c Chunk) error {
		rec.emitted += c.Frames
		l.out.put(item{of: rec, kind: call.KindChunk, chunk: c})
		return nil
	}
	l.miss(at)
	l.giveUp(at)
	l.rec, l.at, l.spare = rec, at, nil
	l.calls++
	for _, record := range first {
		l.out.put(item{of: rec, kind: call.KindHeader, made: record})
	}
	l.cfg.Observer.CallBegan(rec.header, rec.header.Began)
	for _, m := range l.held {
		rec.mark(m, &l.out)
	}
	l.held = l.held[:0]
}

// open stores the begin entry of a call and gives its first records. The call file is begun while the entry is stored,
// as it needs its number, and no entry may speak of a call that cannot be.
func (l *Line) open(at int64) (rec *recording, first []call.Record, err error) {
	rec = &recording{header: l.cfg.header(&l.LineConfig, l.spareID, l.wanted.reason, l.anchor(at)), encoder: l.spare, start: at}
	_, err = l.cfg.Ledger.Add(call.Entry{
		Type: call.EntryBegin, Anchor: rec.header.Anchor, Call: &rec.header.Call, Line: l.Name, Reason: rec.header.Began,
	}, func(number uint64, jws []byte) (err error) {
		rec.header.Number = number
		if rec.file, first, err = l.cfg.Seal(rec.header); err != nil {
			return err
		}
		return l.cfg.storeEntry(number, jws)
	})
	return rec, first, err
}

// header is that of a call of a line; its number is still open.
func (c *Config) header(l *LineConfig, id call.ID, began call.Reason, anchor call.Anchor) call.Header {
	return call.Header{
		Call: id, Device: c.Device, Epoch: c.Epoch, Began: began, Line: l.Name, Codec: l.Codec,
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
			l.finish(call.EndedCardLost, false)
		default:
			l.gap(n, cause)
		}
	}
}

// gap puts lost frames into the call.
func (l *Line) gap(frames int64, cause string) {
	g := call.Gap{Position: l.at - l.rec.start, Frames: frames, Cause: cause}
	l.rec.gaps = append(l.rec.gaps, g)
	l.rec.mark(call.Mark{Kind: call.MarkGap, Position: l.at, Frames: frames, Value: cause}, &l.out)
	l.cfg.Observer.Gap(l.Name, true, g)
	for left := frames; left > 0 && l.rec != nil; {
		n := min(left, int64(l.Format.Rate))
		l.write(l.silence[:n*int64(l.Format.Channels)])
		left -= n
	}
	l.time.claim(l.at)
	if l.rec != nil && len(l.rec.gaps) >= maxGaps {
		l.finish(call.EndedLongest, false)
	}
}

// write encodes samples. An encoder that fails ends the call; the next one gets another.
func (l *Line) write(samples []int16) {
	if err := l.rec.encoder.Write(samples, l.rec.emit); err != nil {
		l.cfg.Log.Error("encoding failed: the call is ended", "line", l.Name, "call", l.rec.header.Call, "error", err)
		l.finish(call.EndedStopped, false)
		l.wanted.on = false
		return
	}
	l.at += int64(len(samples) / l.Format.Channels)
}

// finish ends the recording where it stands. Should the detector not agree that the call is over, what follows is wanted
// as its continuation.
func (l *Line) finish(why call.Reason, short bool) {
	rec := l.rec
	err := rec.encoder.Close(rec.emit)
	if covered := l.at - rec.start; err != nil || rec.emitted != covered {
		l.cfg.Log.Error("a call's media is not whole", "line", l.Name, "call", rec.header.Call,
			"frames", covered, "encoded", rec.emitted, "error", err)
	}
	l.end(why, short)
}

// end puts the end of the recording into the outbox.
func (l *Line) end(why call.Reason, short bool) {
	rec := l.rec
	rec.until = l.at
	l.rec, l.last = nil, rec
	l.wanted.from, l.wanted.reason = l.at, call.BeganContinued
	l.out.put(item{of: rec, kind: call.KindEnd, why: why, short: short})
	l.out.put(item{of: rec, kind: call.KindEntry})
}

// abandon gives up what has waited too long, and ends its call after what is stored of it. The rest is lost.
func (l *Line) abandon() {
	if l.rec != nil {
		_ = l.rec.encoder.Close(discard) // its rest is given up too
		l.out.drop()
		l.end(call.EndedRingFull, false)
	} else {
		l.out.drop()
		l.out.put(item{of: l.last, kind: call.KindEnd, why: call.EndedRingFull})
		l.out.put(item{of: l.last, kind: call.KindEntry})
	}
	rec := l.last
	from := rec.start + rec.stored
	left := rec.until - from
	for _, g := range rec.gaps {
		if n := rec.start + g.Position + g.Frames - max(from, rec.start+g.Position); n > 0 {
			l.losses.add(call.Gap{Position: from, Frames: n, Cause: g.Cause})
			left -= n
		}
	}
	if left > 0 {
		l.losses.add(call.Gap{Position: from, Frames: left, Cause: call.CauseOverflow})
	}
}
