package courier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/stick"
	"github.com/linekeeper/linekeeper/wire"
)

// Carry makes one visit: what there is to take out goes onto the stick, as far as there is room. Its error is of the stick
// as a whole, or of the recorder; what single calls it could not take, and why, is in Done. Progress is called from this
// goroutine and may be nil. A visit that ends early, for whatever reason, is made up for by the next.
func Carry(ctx context.Context, s *stick.Stick, r Recorder, progress func(Progress)) (Done, error) {
	if progress == nil {
		progress = func(Progress) {}
	}
	v := &visit{
		stick: s, recorder: r, progress: progress, meant: map[call.ID]string{},
		done: Done{Accepted: Accepted{Calls: []call.ID{}, Refused: []string{}}, Left: []Left{}},
	}
	err := v.make(ctx)
	return v.done, err
}

// visit is one visit of a stick.
type visit struct {
	stick    *stick.Stick
	recorder Recorder
	progress func(Progress)
	folder   string // of the recorder, on the stick
	jws      string
	index    wire.CourierIndex
	stand    map[call.ID]int64  // call files on the stick, and their sizes
	meant    map[call.ID]string // SHA-256 that they were to have
	again    map[call.ID]bool   // arrived damaged at headquarters
	newest   int                // number of the newest index
	outdated []string           // names of indexes that nobody needs any more
	done     Done
}

func (v *visit) make(ctx context.Context) (err error) {
	if v.jws, err = v.recorder.Index(ctx); err != nil {
		return err
	}
	if v.index, err = wire.ReadCourierIndex(v.jws); err != nil {
		return err
	}
	v.done.Device = v.index.Device
	v.folder = path.Join(wire.CourierFolder, string(v.index.Device))
	if err := v.tidy(); err != nil {
		return err
	}
	if v.stand, err = v.callFiles(); err != nil {
		return err
	}
	released, err := v.handOver(ctx)
	if err != nil {
		return err
	}
	if released { // what was released waits no more
		if v.jws, err = v.recorder.Index(ctx); err != nil {
			return err
		}
		if v.index, err = wire.ReadCourierIndex(v.jws); err != nil {
			return err
		}
	}
	v.done.Waiting = len(v.index.Calls) + v.index.More
	if err := v.readIndexes(); err != nil {
		return err
	}
	if err := v.putIndex(); err != nil {
		return err
	}
	if err := v.putEntries(ctx); err != nil {
		return err
	}
	return v.putCalls(ctx)
}

func (v *visit) in(names ...string) string {
	return path.Join(append([]string{v.folder}, names...)...)
}

// tidy removes what an earlier visit was writing when the stick was pulled.
func (v *visit) tidy() error {
	for folder, most := range map[string]int{
		v.folder: 64, v.in(wire.CourierIndexes): 2 * wire.MaxCourierIndexes, v.in(wire.CourierEntries): 2 * wire.MaxCourierEpochs,
		v.in(wire.CourierCalls): 2 * wire.MaxCourierFiles,
	} {
		if err := v.stick.Tidy(folder, most); err != nil {
			return err
		}
	}
	return nil
}

// callFiles lists the call files that stand on the stick, with their sizes.
func (v *visit) callFiles() (map[call.ID]int64, error) {
	files, err := v.list(wire.CourierCalls, wire.MaxCourierFiles)
	stand := make(map[call.ID]int64, len(files))
	for _, f := range files {
		if id, err := wire.ParseCourierCallFile(f.Name); err == nil && !f.Folder {
			stand[id] = f.Size
		}
	}
	return stand, err
}

// list lists one of the recorder's folders, which may not be there yet.
func (v *visit) list(folder string, most int) ([]stick.Entry, error) {
	files, err := v.stick.List(v.in(folder), most)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return files, err
}

// handOver gives the receipts on the stick to the recorder, and takes away the call files that are released.
func (v *visit) handOver(ctx context.Context) (released bool, err error) {
	text, err := v.read(wire.CourierAgain, int64(27*wire.MaxCourierFiles))
	if err != nil {
		return false, err
	}
	v.again = map[call.ID]bool{}
	for _, line := range strings.Fields(text) {
		if id, err := call.ParseID(line); err == nil {
			v.again[id] = true
		}
	}
	if text, err = v.read(wire.CourierReceipts, wire.MaxCourierReceipts); err != nil || text == "" {
		return false, err
	}
	if v.done.Accepted, err = v.recorder.Accept(ctx, strings.Fields(text)); err != nil {
		return false, err
	}
	for _, id := range v.done.Accepted.Calls {
		if _, stands := v.stand[id]; !stands {
			continue
		}
		if err := v.stick.Remove(v.in(wire.CourierCalls, wire.CourierCallFile(id))); err != nil {
			return false, err
		}
		delete(v.stand, id)
		v.done.Cleared++
	}
	// Last, so that a visit that is cut short hands them over again.
	return true, v.stick.Remove(v.in(wire.CourierReceipts))
}

// read gives a text file of headquarters'; empty where there is none.
func (v *visit) read(name string, most int64) (string, error) {
	b, err := v.stick.Read(v.in(name), most)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(b), err
}

// readIndexes reads what earlier visits have left: which bytes the call files on the stick are to have, and which indexes
// speak of a call file that the new one does not list.
func (v *visit) readIndexes() error {
	files, err := v.list(wire.CourierIndexes, 2*wire.MaxCourierIndexes)
	if err != nil {
		return err
	}
	waits := make(map[call.ID]bool, len(v.index.Calls))
	for _, c := range v.index.Calls {
		waits[c.Call] = true
	}
	slices.SortFunc(files, func(a, b stick.Entry) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range files {
		n, err := wire.ParseCourierIndexFile(f.Name)
		if err != nil {
			continue // not one of ours
		}
		old, err := v.readIndex(f.Name)
		if err != nil {
			return err
		}
		useful := false
		for _, c := range old.Calls {
			if _, stands := v.stand[c.Call]; stands {
				v.meant[c.Call] = c.SHA256
				useful = useful || !waits[c.Call]
			}
		}
		v.newest = max(v.newest, n)
		if !useful {
			v.outdated = append(v.outdated, f.Name)
		}
	}
	if useful := len(files) - len(v.outdated); useful >= wire.MaxCourierIndexes {
		return fmt.Errorf("%d visits of recorder %s lie on the stick and have not been imported: have headquarters import it first", useful, v.index.Device)
	}
	return nil
}

// readIndex reads an index of an earlier visit; one that is damaged, which nobody could use, is empty.
func (v *visit) readIndex(name string) (old wire.CourierIndex, err error) {
	b, err := v.stick.Read(v.in(wire.CourierIndexes, name), wire.MaxCourierIndex)
	if errors.Is(err, stick.ErrHostile) {
		return old, nil
	}
	if err != nil {
		return old, err
	}
	if old, err = wire.ReadCourierIndex(string(b)); err != nil {
		return wire.CourierIndex{}, nil
	}
	return old, nil
}

// putIndex puts down the new index, and then takes away those that are outdated.
func (v *visit) putIndex() error {
	name := wire.CourierIndexFile(v.newest + 1)
	if err := v.stick.Publish(v.in(wire.CourierIndexes, name), func(w io.Writer) error {
		_, err := io.WriteString(w, v.jws)
		return err
	}); err != nil {
		return err
	}
	for _, name := range v.outdated {
		if err := v.stick.Remove(v.in(wire.CourierIndexes, name)); err != nil {
			return err
		}
	}
	return nil
}

// putEntries puts down all waiting entries of this ring.
func (v *visit) putEntries(ctx context.Context) error {
	if v.index.First == 0 {
		return nil
	}
	return v.stick.Publish(v.in(wire.CourierEntries, wire.CourierEntriesFile(v.index.Epoch)), func(w io.Writer) error {
		written := int64(0)
		for after := uint64(0); ; {
			run, err := v.recorder.Entries(ctx, after)
			if err != nil || run.Last == 0 {
				return err
			}
			text := strings.Join(run.Entries, "\n") + "\n"
			if written += int64(len(text)); written > wire.MaxCourierEntries {
				return nil // the rest another time
			}
			if _, err := io.WriteString(w, text); err != nil {
				return err
			}
			v.done.Entries += len(run.Entries)
			after = run.Last
		}
	})
}
