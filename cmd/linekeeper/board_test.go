package main

import (
	"log/slog"
	"testing"

	"github.com/linekeeper/linekeeper/wire"
)

// TestBoard: this machine's health is read and kept, headquarters is told each line once, and a new card's log begins anew.
func TestBoardHealth(t *testing.T) {
	folder := t.TempDir()
	b := openBoard(folder, folder, slog.New(slog.DiscardHandler))
	now := b.now()
	if now.Time.IsZero() || now.Boots != 1 || now.Uptime <= 0 || now.Boot == "" {
		t.Fatalf("this machine: %+v", now)
	}
	b.read = b.read.Add(-2 * readHealthEvery)
	b.look(b.now)
	b.read = b.read.Add(-2 * readHealthEvery)
	b.look(b.now) // not again within the hour
	lines := b.After(wire.MaxHealth)
	if len(lines) != 1 || lines[0].Number != 1 {
		t.Fatalf("kept %+v", lines)
	}
	b.Told(7) // of another card
	if len(b.After(wire.MaxHealth)) != 1 {
		t.Error("a line was never told")
	}
	b.Told(1)
	if lines := b.After(wire.MaxHealth); len(lines) != 0 {
		t.Errorf("told again: %+v", lines)
	}
	b.stop(now)
	again := openBoard(folder, folder, slog.New(slog.DiscardHandler))
	if h := again.now(); h.Boots != 1 || len(again.After(wire.MaxHealth)) != 2 {
		t.Errorf("opened again in the same boot: %+v", h)
	}
}
