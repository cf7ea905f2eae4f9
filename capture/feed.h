// A feed carries audio from the sound library's thread to the capture's goroutine: slots that are made beforehand, with
// one writer and one reader. What finds all slots full is dropped, and marked as a loss.
//
// There are many slots, since a machine that is held up (by a slow memory card, say, off which the program's next page
// has to be read) may hold up all of a Go program for seconds, while this thread still runs. The one that was given back
// last is used first, so that slots that are never needed never take memory.
//
// It is in C because the writer is: a Go function that is called from the sound library's thread leaves a processor of
// the Go scheduler behind each time, and its monitor then spins for 10 ms to get it back. At five calls a second that
// was two thirds of all the CPU that capturing took.

#include <pthread.h>
#include <stdint.h>

// Why frames were lost before the first of a slot.
enum {
	FEED_NO_LOSS,
	FEED_BREAK, // feed_break said so
	FEED_FULL,  // no slot was free
};

struct feed_slot {
	int64_t at;    // CLOCK_BOOTTIME, in ns, at which the card had the last frame
	uint32_t used; // samples
	uint32_t loss;
};

struct feed {
	uint64_t written;  // slots handed to the reader, ever; written by the writer, atomically
	uint64_t read;     // slots given back, ever; written by the reader, atomically
	uint32_t slots;    // how many there are
	uint32_t capacity; // samples in each
	uint32_t channels; // samples in a frame
	int event;         // eventfd that is added to for each slot handed over
	uint32_t filling;  // the writer's: slot `current` has samples
	uint32_t current;
	uint32_t loss;     // the writer's: why frames were lost before the next one
	uint32_t attached; // the sound library's thread writes by itself
	int64_t last;      // the writer's: `at` of the last slot

	const int64_t *clock; // CLOCK_BOOTTIME of a trial, whose time is its own; NULL: the machine's

	// How many frames the card has that were not read yet; NULL: not known. A thread that comes late finds as many more.
	long (*avail)(void *pcm);
	void *pcm;
	uint32_t rate; // of the card, frames a second
	struct feed_slot *slot;
	int16_t *samples;
	uint32_t *order; // the slots that were handed over: number n is order[n % slots]

	pthread_mutex_t lock; // of what follows
	uint32_t *free;       // slots that have nothing in them, the next one last
	uint32_t frees;
};

// feed_new gives a feed without slots, or NULL without memory; feed_size makes them, and returns 0 without memory.
struct feed *feed_new(void);
int feed_size(struct feed *f, uint32_t slots, uint32_t capacity, uint32_t channels);
void feed_free(struct feed *f);

// Of the writer: feed_write copies samples in, feed_break says that frames were lost between what was written and what
// will be, feed_flush hands over a slot that is not full.
void feed_write(struct feed *f, const int16_t *samples, uint32_t n, int64_t at);
void feed_break(struct feed *f);
void feed_flush(struct feed *f);

// Of the reader: feed_next is the slot at `read`, which was handed over; feed_release gives it back.
uint32_t feed_next(struct feed *f);
void feed_release(struct feed *f);

// feed_attach is a notification callback for miniaudio (ma_device_config), with the feed as the user data. When the
// device starts it makes feed_write the device's data callback, in place of malgo's, which is a Go function. Where
// miniaudio's device does not look as expected, nothing is changed, and malgo's is called as ever.
struct feed_notification;
void feed_attach(const struct feed_notification *n);
