package powercut

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

// written is a log as QEMU would write it.
func written(entries ...Entry) []byte {
	b := make([]byte, sector)
	binary.LittleEndian.PutUint64(b, logMagic)
	binary.LittleEndian.PutUint64(b[8:], logVersion)
	binary.LittleEndian.PutUint64(b[16:], uint64(len(entries)))
	binary.LittleEndian.PutUint32(b[24:], sector)
	for _, e := range entries {
		head := make([]byte, sector)
		binary.LittleEndian.PutUint64(head, uint64(e.Offset/sector))
		binary.LittleEndian.PutUint64(head[8:], uint64(e.Length/sector))
		binary.LittleEndian.PutUint64(head[16:], uint64(e.Flags))
		if e.Flags&Mark != 0 {
			binary.LittleEndian.PutUint64(head[24:], uint64(len(e.Data)))
			copy(head[entryHeadSize:], e.Data)
			b = append(b, head...)
			continue
		}
		b = append(append(b, head...), e.Data...)
	}
	return b
}

func write(at int64, flags Flags, fill byte, length int) Entry {
	return Entry{Offset: at, Length: int64(length), Flags: flags, Data: bytes.Repeat([]byte{fill}, length)}
}

var example = []Entry{
	write(0, 0, 1, 4096),
	{Flags: Flush},
	write(512, FUA, 2, 512),
	{Offset: 1 << 20, Length: 1 << 20, Flags: Discard},
	{Flags: Mark, Data: []byte("here")},
	write(8192, Flush|FUA, 3, 96<<10),
}

func readAll(b []byte) (all []Entry, err error) {
	l, err := NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	for {
		e, err := l.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
}

func TestReader(t *testing.T) {
	b := written(example...)
	got, err := readAll(b)
	if err != nil || !reflect.DeepEqual(got, example) {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	if n, err := Count(bytes.NewReader(b)); err != nil || n != uint64(len(example)) {
		t.Fatalf("count %d, %v", n, err)
	}
}

func TestReaderOfDamagedLogs(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(b []byte) []byte
		want   string
		read   int // entries before it
	}{
		"empty":         {func(b []byte) []byte { return nil }, "ends in the superblock", 0},
		"short":         {func(b []byte) []byte { return b[:100] }, "ends in the superblock", 0},
		"magic":         {func(b []byte) []byte { b[0]++; return b }, "magic number", 0},
		"version":       {func(b []byte) []byte { b[8]++; return b }, "version 2", 0},
		"sector size":   {func(b []byte) []byte { b[24]++; return b }, "sectors of 513 bytes", 0},
		"no sectors":    {func(b []byte) []byte { b[25] = 0; return b }, "sectors of 0 bytes", 0},
		"cut in a head": {func(b []byte) []byte { return b[:sector+100] }, "ends in the head", 0},
		"cut in data":   {func(b []byte) []byte { return b[:sector+sector+100] }, "ends in the data", 0},
		"cut at once":   {func(b []byte) []byte { return b[:len(b)-(96<<10)] }, "ends in the data", 5},
		"flags":         {func(b []byte) []byte { b[sector+17] = 1; return b }, "flags 0x100", 0},
		"too far":       {func(b []byte) []byte { b[sector+7] = 0xff; return b }, "sectors at sector", 0},
		"too long":      {func(b []byte) []byte { b[sector+12] = 1; return b }, "a write of", 0},
		"count":         {func(b []byte) []byte { b[16]++; return b }, "ends in the head", 6},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readAll(c.damage(written(example...)))
			var wrong *LogError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want) || len(got) != c.read {
				t.Fatalf("%d entries, %v", len(got), err)
			}
		})
	}
}

func FuzzReader(f *testing.F) {
	f.Add(written(example[:5]...))
	f.Add(written())
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := readAll(b)
		var wrong *LogError
		if err != nil && !errors.As(err, &wrong) {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Offset < 0 || e.Length < 0 || e.Offset+e.Length < 0 || len(e.Data) > len(b) {
				t.Fatalf("entry at %d of %d bytes, %d of data", e.Offset, e.Length, len(e.Data))
			}
		}
	})
}
