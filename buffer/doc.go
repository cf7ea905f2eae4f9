// Package buffer is the ring on the card: where a recorder keeps its calls and its ledger until headquarters has them.
//
//	ring, found, err := buffer.Open(buffer.Options{Dir: "/var/lib/linekeeper/ring", SizeBytes: 4 << 30, ...})
//	go ring.Run(ctx)                      // one sync an interval, for all lines
//	err = ring.Append(record)             // never waits for the card
//	calls, err := ring.Calls()            // what is synced, and only that
//	file, err := ring.OpenCall(id)        // a call's bytes, as they are uploaded and hashed
//	err = ring.Accept(receipt, jws)       // headquarters has it: its room is free
//
// What Open found has to be acted upon: calls without an end are closed by the recorder (see Recovered).
//
// # How it works
//
// A folder holds segment files of one size, whose blocks are written once and then overwritten in place; they are used
// in the order in which they become free. Records wait in a bounded queue. Each sync writes what has gathered, for all
// lines together, from a fresh 4 KiB page on, with one fdatasync; only then do readers see it. A full segment ends in a
// directory, which names the run of each call in it, and each entry and note; opening the ring reads the directories,
// and the records of the open segment only. docs/format-ring.md has the bytes.
//
// Everything live (calls, waiting entries) stands in one table in memory, some hundred bytes a call, which follows from
// the records alone. The table changes when a sync has succeeded, never before.
//
// Everything the ring must remember is a record: receipts, parked calls, holds, damage, where the ledger stands, and the
// few values that others have it keep (Ring.Keep). A note
// that releases a call names the segments in which its records stand, and outlives them.
//
// # How room is made
//
// A segment in which nothing is needed any more is free. When free segments get few, the one with the least in it that is
// needed is emptied: records of live calls, waiting entries and notes are written again into the open segment
// ("carried"), a bounded number of bytes at each Sync. So one call that is on hold, or not delivered, keeps no more room
// than its own; the parts of a call come to stand in any order. The old place is given up when the copies and a note
// behind them are synced. What is full of live calls to more than three quarters is left alone. If that does not help, and
// Options.WhenFull says so, the oldest calls are given up, each with a tombstone that Options.GiveUp signs, but never one
// on hold.
//
// # Damage
//
// A record that was synced and does not read back leaves a hole in its call, of its size, noticed by whoever reads it
// first: Open, where it scans; a reader; or the carrying. Its bytes are kept in the folder "damaged" beside the segments,
// a note remembers the hole, and the caller is told (Options.Damaged, Recovered.Holed) so that it signs an amendment.
// Until that is stored the call counts as parked. A damaged entry is missing from then on, and listed in
// Recovered.LostEntries at the next Open until an entry says that it is lost. A card that cannot be reached at all is no
// damage.
//
// # The index
//
// index.db (SQLite) is a convenience: copies of the directories, so that opening a large ring reads one file instead of
// the end of each segment, and the resume state of uploads, which stands nowhere else and whose loss costs bytes on the
// link. It is written when a segment is closed and when an upload saves its state, never for a record. Damaged, deleted
// or of another ring, it is set aside and rebuilt by Open.
//
// # Limits
//
// One process has a ring at a time. A record is at most 1 MiB, and a quarter of a segment; a call file 4 GiB. In what was
// written by the last sync before a cut, damage cannot be told from what was never synced, and counts as that.
package buffer
