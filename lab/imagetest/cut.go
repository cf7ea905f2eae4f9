package imagetest

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/linekeeper/linekeeper/lab/powercut"
)

// CutAt brings a card that holds the image to where a power cut leaves it after the first n entries of a log: with every
// write that a flush has covered, and none of those after.
func CutAt(card, log string, n uint64) (err error) {
	f, err := os.Open(log)
	if err != nil {
		return err
	}
	defer f.Close()
	entries, err := powercut.NewReader(f)
	if err != nil {
		return err
	}
	disk, err := os.OpenFile(card, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	var pending []powercut.Entry
	for i := range n {
		e, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("cut after entry %d: the log has %d", n, i)
		}
		if err != nil {
			return err
		}
		if e.Flags&powercut.Flush != 0 {
			for _, p := range pending {
				if err := apply(disk, p); err != nil {
					return err
				}
			}
			pending = pending[:0]
		}
		if e.Flags&powercut.Mark == 0 && e.Length > 0 {
			pending = append(pending, e)
		}
	}
	return nil
}

func apply(disk *os.File, e powercut.Entry) error {
	data := e.Data
	if e.Flags&powercut.Discard != 0 {
		data = make([]byte, e.Length)
	}
	_, err := disk.WriteAt(data, e.Offset)
	return err
}
