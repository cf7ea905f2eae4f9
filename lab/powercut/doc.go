// Package powercut cuts the power of a card, thousands of times, and looks at what is left.
//
// A card is an ext4 file system on a block device of QEMU whose every write and flush goes into a log (the blklogwrites
// driver). A workload records on it and says, over a channel that outlives the card, what it was promised: each claim is
// noted with the length that the log had then. Afterwards, and without any of that running, the log is replayed to any
// point, and there the power fails:
//
//	log, err := powercut.NewReader(file)
//	replay := powercut.NewReplay(log, powercut.ReadImage(base, size))
//	err = replay.Advance(n)                 // to after the first n entries of the log
//	image, cut := replay.Cut(rand)          // one of the images that a cut there may leave
//	err = checker.Check(ctx, image, claims.Promises().At(n))
//
// # What a cut leaves
//
// A card has a cache that loses power too. What a flush covered is there, and so is what was written with FUA. Of the
// rest a cut keeps nothing, or all, or the first so many, or any; and the last that it keeps may be torn, between
// sectors or within one. A card never gives back an older write than one that it kept of the same sectors.
//
// A flush counts from where it stands in the log, which QEMU writes when the flush has ended. A write that came while the
// flush went on, and ended before it, is taken for covered: that is the only way in which the replay is kinder than a
// card may be.
//
// # Order of claims
//
// The guest cannot write marks into the log, so the host orders: a claim gets the length of the log when it arrives, which
// is after what it speaks of; and the workload does nothing until the claim is answered, so that it is before what it
// announces. What the kernel writes on its own meanwhile only makes the claim count later than it might.
//
// # Checking a card
//
// e2fsck repairs the file system as it would at boot, debugfs takes the ring out of it (no mount, no root), the real
// recovery opens it, the calls that were cut short are closed as the recorder does it, and everything is compared with
// the claims: see Check.
//
// # The card without a guest
//
// Bed makes such a card on this machine: qemu-storage-daemon exports the logged device as a file through FUSE, and this
// machine's kernel mounts it through a loop device. That takes root, /dev/fuse, loop devices and ext4, a second to start,
// and shows the kernel's real ext4 at work; lab/device gives the same log with Debian's kernel.
//
//	go test -tags lab -v ./lab/powercut -cuts 10000   # as root
//
// runs both, goes on recording where cuts have left cards, and has a control: a recorder that does not sync must be
// found out.
package powercut
