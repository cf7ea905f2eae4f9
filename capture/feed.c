#include "feed.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct feed *feed_new(void)
{
	struct feed *f = calloc(1, sizeof(*f));
	if (f) {
		f->event = -1;
		pthread_mutex_init(&f->lock, NULL);
	}
	return f;
}

int feed_size(struct feed *f, uint32_t slots, uint32_t capacity, uint32_t channels)
{
	f->slots = slots;
	f->capacity = capacity;
	f->channels = channels;
	f->slot = calloc(slots, sizeof(*f->slot));
	f->samples = calloc((size_t)slots * capacity, sizeof(*f->samples));
	f->order = calloc(slots, sizeof(*f->order));
	f->free = calloc(slots, sizeof(*f->free));
	if (!f->slot || !f->samples || !f->order || !f->free)
		return 0;
	while (f->frees < slots) {
		f->free[f->frees] = slots - 1 - f->frees;
		f->frees++;
	}
	return 1;
}

void feed_free(struct feed *f)
{
	free(f->slot);
	free(f->samples);
	free(f->order);
	free(f->free);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static void hand_over(struct feed *f)
{
	uint64_t one = 1;
	f->filling = 0;
	f->order[f->written % f->slots] = f->current;
	__atomic_store_n(&f->written, f->written + 1, __ATOMIC_RELEASE);
	if (f->event >= 0 && write(f->event, &one, sizeof(one)) < 0) {
		// It holds so many events already that the reader cannot have missed them.
	}
}

// take makes a free slot the current one, and says whether there was one.
static int take(struct feed *f)
{
	pthread_mutex_lock(&f->lock);
	int some = f->frees > 0;
	if (some)
		f->current = f->free[--f->frees];
	pthread_mutex_unlock(&f->lock);
	return some;
}

uint32_t feed_next(struct feed *f) { return f->order[f->read % f->slots]; }

void feed_release(struct feed *f)
{
	uint32_t slot = feed_next(f);
	__atomic_store_n(&f->read, f->read + 1, __ATOMIC_RELEASE);
	pthread_mutex_lock(&f->lock);
	f->free[f->frees++] = slot;
	pthread_mutex_unlock(&f->lock);
}

void feed_write(struct feed *f, const int16_t *samples, uint32_t n, int64_t at)
{
	while (n > 0) {
		if (!f->filling && !take(f)) {
			f->loss = FEED_FULL;
			return;
		}
		uint32_t i = f->current;
		struct feed_slot *s = &f->slot[i];
		if (!f->filling) {
			s->used = 0;
			s->loss = f->loss;
			f->filling = 1;
			f->loss = FEED_NO_LOSS;
		}
		uint32_t fits = f->capacity - s->used < n ? f->capacity - s->used : n;
		memcpy(f->samples + (size_t)i * f->capacity + s->used, samples, fits * sizeof(*samples));
		s->used += fits;
		s->at = at;
		samples += fits;
		n -= fits;
		if (s->used == f->capacity)
			hand_over(f);
	}
}

void feed_break(struct feed *f)
{
	feed_flush(f);
	f->loss = FEED_BREAK;
}

void feed_flush(struct feed *f)
{
	if (f->filling)
		hand_over(f);
}

// What is used of miniaudio's ma_device_notification and ma_device (0.11). malgo keeps them to itself.
struct device {
	void *context;
	int type;
	uint32_t rate;
	uint32_t state;
	void (*data)(struct device *d, void *out, const void *in, uint32_t frames);
	void (*notification)(const struct feed_notification *n);
	void (*stopped)(struct device *d);
	void *user;
};

struct feed_notification {
	struct device *device;
	int type; // 0: started
};

static int64_t boot_time(const struct feed *f)
{
	struct timespec t;
	if (f->clock)
		return __atomic_load_n(f->clock, __ATOMIC_ACQUIRE);
	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void data(struct device *d, void *out, const void *in, uint32_t frames)
{
	(void)out;
	struct feed *f = d->user;
	int64_t at = boot_time(f);
	long more = f->avail ? f->avail(f->pcm) : 0;
	if (more > 0)
		at -= more * 1000000000LL / f->rate;
	if (at > f->last) // the card counts in bursts
		f->last = at;
	feed_write(f, in, frames * f->channels, f->last);
}

void feed_attach(const struct feed_notification *n)
{
	struct device *d = n->device;
	if (n->type != 0 || d->notification != feed_attach)
		return;
	struct feed *f = d->user;
	d->data = data;
	f->attached = 1;
}
