package main

import (
	"log/slog"
	"sync"
	"time"

	"github.com/linekeeper/linekeeper/buffer"
	"github.com/linekeeper/linekeeper/health"
	"github.com/linekeeper/linekeeper/wire"
)

const (
	keepHealthEvery = time.Hour
	readHealthEvery = 10 * time.Second
)

// board is how the recorder's board is, and the log of that. Its methods may be called from any goroutine.
type board struct {
	log *slog.Logger

	mu     sync.Mutex
	health *health.Health // nil: its log cannot be opened
	read   time.Time
	last   wire.Health // read then
	kept   time.Time
	weak   bool   // the supply, as kept last
	told   uint64 // headquarters has the lines up to this one
}

// openBoard never keeps the recorder from running: a log that cannot be opened is said, and left.
func openBoard(folder, card string, log *slog.Logger) *board {
	b := &board{log: log}
	var err error
	if b.health, err = health.Open(folder, health.Board{Root: "/", Card: card}); err != nil {
		log.Error("how the board is will not be kept", "error", err)
	}
	return b
}

func (b *board) now() wire.Health {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.health != nil && time.Since(b.read) >= readHealthEvery {
		b.read, b.last = time.Now(), b.health.Read()
	}
	return b.last
}

// look keeps a line each hour, and whenever the supply becomes too weak or well again.
func (b *board) look(now func() wire.Health) {
	b.mu.Lock()
	due := b.health != nil && time.Since(b.read) >= readHealthEvery
	b.mu.Unlock()
	if !due {
		return
	}
	h := now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.kept) < keepHealthEvery && h.UnderVoltage == b.weak {
		return
	}
	b.kept, b.weak = time.Now(), h.UnderVoltage // once, also where the card does not take it
	if err := b.health.Keep(h); err != nil {
		b.log.Error("how the board is was not kept", "error", err)
	}
}

// stop keeps that the program was told to stop.
func (b *board) stop(h wire.Health) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.health == nil {
		return
	}
	if err := b.health.Stop(h); err != nil {
		b.log.Error("how the board is was not kept", "error", err)
	}
}

// After implements uplink.HealthLog.
func (b *board) After(limit int) []wire.Health {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.health == nil {
		return nil
	}
	return b.health.After(b.told, limit)
}

// Told implements uplink.HealthLog. A number that the log has not reached is of another card's.
func (b *board) Told(number uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.health != nil && number <= b.health.Last() {
		b.told = number
	}
}

// boardHealth adds what the recorder knows to what the board tells.
func (k *keeper) boardHealth(ring buffer.Status) *wire.Health {
	h := k.board.now()
	if h.Time.IsZero() {
		h.Time = k.time.Now().UTC()
	}
	h.Clock, h.FreeHours = k.time.Grade(k.clock.Grade()), k.hours(ring.FreeBytes)
	for _, c := range k.cards {
		s := c.Status()
		h.Reopened += s.Reopened
		h.Overruns += s.Overruns
	}
	return &h
}
