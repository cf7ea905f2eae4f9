//go:build ignore

/*
 * linesim: an ALSA capture card that is a file. It plays the file (signed 16 bits, little-endian, interleaved) in real
 * time, drifts, overruns, and is pulled out and put back as a USB card is. An external I/O plugin of alsa-lib; the
 * package comment of linesim.go is its manual, and the options stand in struct options below.
 *
 * Time. The line's position is the real time since the card was first started, in frames: what is not read in time is
 * lost, and a card that comes back goes on where the line now is. With `control` that first start is kept in the file
 * CONTROL.started, across openings and processes; without it each opening starts at the file's first frame.
 *
 * A clock of its own. With `clock` time is what stands in that file: two numbers of 64 bits, the time now, and that of the
 * last audio that has been taken out of the reader's hands. Time then goes on to the next period whenever the reader waits
 * for it, as fast as it can, but not more than some seconds ahead of what was taken.
 *
 * Waking. As a card interrupts once a period, frames arrive a period at a time. A timer is set for the period that
 * makes the reader's avail_min frames whole, so that the simulator costs no wake-ups of its own.
 */
#define _GNU_SOURCE
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define CLOCK_BYTES (2 * sizeof(uint64_t))
#define AHEAD_NS 5000000000u /* that a clock of its own may be ahead of what was taken */

struct options {
	const char *file;    /* the audio */
	const char *control; /* prefix of the control files; none: no control */
	const char *clock;   /* file of a clock of its own; none: CLOCK_BOOTTIME */
	long rate, channels;
	long ppm;       /* how much faster than the clock the card runs */
	long loop;      /* 1: play the file again and again; 0: silence after its end */
	long unplug_at; /* frame at which the card is pulled out; 0: never */
	long replug_at; /* frame at which it is there again; 0: never */
	long most;      /* frames that its ring holds at most; 0: as many as 4 MiB have */
};

struct sim {
	snd_pcm_ioplug_t io;
	int file, timer, lock; /* lock: of the card, which one program has at a time; -1: without control */
	char *control;
	double frames_per_ns;
	uint64_t *clock; /* now, and taken; NULL: CLOCK_BOOTTIME */
	long loop;
	uint64_t file_frames, unplug_at, replug_at;
	uint64_t start;     /* time at the line's frame 0, in ns; 0: not started yet */
	uint64_t begin;     /* line position at which this stream was started */
	uint64_t next;      /* line position of the next frame to be read */
	uint64_t avail_min; /* the reader wants to be woken for so many frames */
	int running, dead;
};

static uint64_t now_ns(struct sim *s)
{
	struct timespec t;
	if (s->clock)
		return __atomic_load_n(&s->clock[0], __ATOMIC_ACQUIRE);
	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint64_t position(struct sim *s)
{
	return s->start ? (uint64_t)((double)(now_ns(s) - s->start) * s->frames_per_ns) : 0;
}

/* The line position up to which whole periods have arrived. */
static uint64_t arrived(struct sim *s)
{
	uint64_t since = position(s) - s->begin;
	return s->begin + since - since % s->io.period_size;
}

static void control_path(struct sim *s, const char *what, char *path)
{
	snprintf(path, PATH_MAX, "%s.%s", s->control, what);
}

/* The number in a control file, 0 where there is none; the file is removed if asked for. */
static unsigned long long read_control(struct sim *s, const char *what, int remove)
{
	char path[PATH_MAX];
	unsigned long long n = 0;
	if (!s->control)
		return 0;
	control_path(s, what, path);
	FILE *f = fopen(path, "r");
	if (!f)
		return 0;
	if (fscanf(f, "%llu", &n) != 1)
		n = 0;
	fclose(f);
	if (remove)
		unlink(path);
	return n;
}

/* As a card's hardware, one opening at a time: the lock goes with the file. */
static int take(struct sim *s)
{
	char path[PATH_MAX];
	if (!s->control)
		return 0;
	control_path(s, "lock", path);
	s->lock = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
	return s->lock < 0 ? -errno : flock(s->lock, LOCK_EX | LOCK_NB) < 0 ? -EBUSY : 0;
}

/* Maps the clock, where there is one. */
static int take_clock(struct sim *s, const char *path)
{
	if (!path)
		return 0;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	void *at = mmap(NULL, CLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	int err = at == MAP_FAILED ? -errno : 0;
	close(fd);
	if (!err)
		s->clock = at;
	return err;
}

static void save_start(struct sim *s)
{
	char path[PATH_MAX];
	if (!s->control)
		return;
	control_path(s, "started", path);
	FILE *f = fopen(path, "w");
	if (f) {
		fprintf(f, "%llu\n", (unsigned long long)s->start);
		fclose(f);
	}
}

/* Is the card pulled out? */
static int gone(struct sim *s)
{
	uint64_t at = position(s);
	if (s->unplug_at && at >= s->unplug_at && (!s->replug_at || at < s->replug_at))
		return 1;
	if (!s->control)
		return 0;
	char path[PATH_MAX];
	control_path(s, "unplugged", path);
	return access(path, F_OK) == 0;
}

static void set_timer(struct sim *s, uint64_t first_ns, uint64_t every_ns)
{
	struct itimerspec t = {
		.it_value = {first_ns / 1000000000, first_ns % 1000000000},
		.it_interval = {every_ns / 1000000000, every_ns % 1000000000},
	};
	timerfd_settime(s->timer, TFD_TIMER_ABSTIME, &t, NULL);
}

/* The time at which the reader has what it waits for. */
static uint64_t ready_at(struct sim *s)
{
	uint64_t period = s->io.period_size;
	uint64_t periods = (s->next + s->avail_min - s->begin + period - 1) / period;
	double frames = (double)(s->begin + periods * period) + 0.5; /* half a frame: position() rounds down */
	return s->start + (uint64_t)(frames / s->frames_per_ns);
}

static void wake_when_ready(struct sim *s)
{
	if (s->clock) /* it goes on when the reader asks */
		set_timer(s, 1, 1);
	else
		set_timer(s, ready_at(s), 0);
}

/* With a clock of its own: what the reader waits for is there, unless what it has read before is still to be taken. */
static void go_on(struct sim *s)
{
	uint64_t at = ready_at(s);
	if (at > __atomic_load_n(&s->clock[1], __ATOMIC_ACQUIRE) + AHEAD_NS)
		usleep(50);
	else if (at > now_ns(s))
		__atomic_store_n(&s->clock[0], at, __ATOMIC_RELEASE);
}

/* From now on the stream behaves as that of a pulled USB card, or one that slept: poll never waits again. */
static void die(struct sim *s, snd_pcm_state_t state)
{
	s->dead = 1;
	s->running = 0;
	snd_pcm_ioplug_set_state(&s->io, state);
	set_timer(s, 1, 1);
}

static int sim_prepare(snd_pcm_ioplug_t *io)
{
	struct sim *s = io->private_data;
	return s->dead || gone(s) ? -ENODEV : 0;
}

static int sim_start(snd_pcm_ioplug_t *io)
{
	struct sim *s = io->private_data;
	if (s->dead || gone(s))
		return -ENODEV;
	if (s->start) {
		s->begin = s->next = position(s);
	} else {
		s->start = now_ns(s);
		save_start(s);
	}
	s->running = 1;
	wake_when_ready(s);
	return 0;
}

static int sim_stop(snd_pcm_ioplug_t *io)
{
	struct sim *s = io->private_data;
	s->running = 0;
	if (s->dead)
		return -ENODEV;
	set_timer(s, 0, 0);
	return 0;
}

/* The place in the card's ring to which the "hardware" has written; -EPIPE once it has overtaken the reader. */
static snd_pcm_sframes_t sim_pointer(snd_pcm_ioplug_t *io)
{
	struct sim *s = io->private_data;
	if (s->dead)
		return -ENODEV;
	if (!s->running)
		return 0;
	uint64_t at = arrived(s);
	if (at - s->next >= io->buffer_size)
		return -EPIPE;
	return (at - s->begin) % io->buffer_size;
}

/* Copies n frames of the line, from position s->next on. */
static snd_pcm_sframes_t sim_transfer(snd_pcm_ioplug_t *io, const snd_pcm_channel_area_t *areas,
				      snd_pcm_uframes_t offset, snd_pcm_uframes_t n)
{
	struct sim *s = io->private_data;
	size_t frame = io->channels * sizeof(int16_t);
	char *to = (char *)areas[0].addr + (areas[0].first + areas[0].step * offset) / 8;
	if (s->dead)
		return -ENODEV;
	for (snd_pcm_uframes_t done = 0; done < n;) {
		uint64_t at = s->next + done;
		uint64_t want = n - done;
		if (s->loop && s->file_frames) {
			at %= s->file_frames;
			if (want > s->file_frames - at)
				want = s->file_frames - at;
		}
		ssize_t got = pread(s->file, to + done * frame, want * frame, at * frame);
		if (got < 0)
			got = 0;
		memset(to + done * frame + got, 0, want * frame - got);
		done += want;
	}
	s->next += n;
	wake_when_ready(s);
	return n;
}

static int sim_revents(snd_pcm_ioplug_t *io, struct pollfd *fd, unsigned int fds, unsigned short *revents)
{
	struct sim *s = io->private_data;
	usleep(read_control(s, "stall", 1) * 1000); /* holds up the reader's thread for so many ms, once */
	*revents = 0;
	if (!s->dead && gone(s))
		die(s, SND_PCM_STATE_DISCONNECTED);
	if (!s->dead && read_control(s, "sleep", 1))
		die(s, SND_PCM_STATE_SUSPENDED);
	if (s->clock && s->running && !s->dead)
		go_on(s);
	if (s->dead)
		*revents = POLLERR;
	else if (s->running && arrived(s) - s->next >= s->avail_min)
		*revents = POLLIN;
	else if (s->running)
		wake_when_ready(s);
	return 0;
}

static int sim_sw_params(snd_pcm_ioplug_t *io, snd_pcm_sw_params_t *params)
{
	struct sim *s = io->private_data;
	snd_pcm_uframes_t frames = 0;
	snd_pcm_sw_params_get_avail_min(params, &frames);
	s->avail_min = frames ? frames : io->period_size;
	return 0;
}

static void sim_free(struct sim *s)
{
	if (s->file >= 0)
		close(s->file);
	if (s->timer >= 0)
		close(s->timer);
	if (s->lock >= 0)
		close(s->lock);
	if (s->clock)
		munmap(s->clock, CLOCK_BYTES);
	free(s->control);
	free(s);
}

static int sim_close(snd_pcm_ioplug_t *io)
{
	sim_free(io->private_data);
	return 0;
}

static const snd_pcm_ioplug_callback_t callbacks = {
	.prepare = sim_prepare,
	.start = sim_start,
	.stop = sim_stop,
	.pointer = sim_pointer,
	.transfer = sim_transfer,
	.poll_revents = sim_revents,
	.sw_params = sim_sw_params,
	.close = sim_close,
};

static int read_options(snd_config_t *conf, struct options *o)
{
	struct {
		const char *id, **text;
		long *number;
	} known[] = {
		{"file", &o->file, NULL}, {"control", &o->control, NULL}, {"clock", &o->clock, NULL}, {"rate", NULL, &o->rate},
		{"channels", NULL, &o->channels}, {"ppm", NULL, &o->ppm}, {"loop", NULL, &o->loop},
		{"unplug_at", NULL, &o->unplug_at}, {"replug_at", NULL, &o->replug_at}, {"most", NULL, &o->most},
	};
	snd_config_iterator_t i, next;
	snd_config_for_each(i, next, conf) {
		snd_config_t *n = snd_config_iterator_entry(i);
		const char *id;
		int err = -EINVAL;
		if (snd_config_get_id(n, &id) < 0 || !strcmp(id, "comment") || !strcmp(id, "type") || !strcmp(id, "hint"))
			continue;
		for (size_t k = 0; k < sizeof(known) / sizeof(*known); k++)
			if (!strcmp(id, known[k].id))
				err = known[k].text ? snd_config_get_string(n, known[k].text)
						    : snd_config_get_integer(n, known[k].number);
		if (err < 0) {
			SNDERR("linesim: option %s is unknown or has a value of the wrong type", id);
			return -EINVAL;
		}
	}
	return o->file ? 0 : -EINVAL;
}

/* What the card can do: one rate, one number of channels, 16 bits, a ring of at most 4 MiB. */
static int set_limits(snd_pcm_ioplug_t *io, const struct options *o)
{
	static const unsigned int access[] = {SND_PCM_ACCESS_RW_INTERLEAVED, SND_PCM_ACCESS_MMAP_INTERLEAVED};
	static const unsigned int format[] = {SND_PCM_FORMAT_S16_LE};
	const struct {
		int type;
		unsigned int min, max;
	} ranges[] = {
		{SND_PCM_IOPLUG_HW_RATE, o->rate, o->rate},
		{SND_PCM_IOPLUG_HW_CHANNELS, o->channels, o->channels},
		{SND_PCM_IOPLUG_HW_PERIODS, 2, 64},
		{SND_PCM_IOPLUG_HW_PERIOD_BYTES, 64, 1 << 20},
		{SND_PCM_IOPLUG_HW_BUFFER_BYTES, 256, o->most ? o->most * o->channels * sizeof(int16_t) : 4 << 20},
	};
	int err = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_ACCESS, 2, access);
	if (!err)
		err = snd_pcm_ioplug_set_param_list(io, SND_PCM_IOPLUG_HW_FORMAT, 1, format);
	for (size_t i = 0; !err && i < sizeof(ranges) / sizeof(*ranges); i++)
		err = snd_pcm_ioplug_set_param_minmax(io, ranges[i].type, ranges[i].min, ranges[i].max);
	return err;
}

SND_PCM_PLUGIN_DEFINE_FUNC(linesim)
{
	struct options o = {.rate = 8000, .channels = 1};
	int err = read_options(conf, &o);
	if (err < 0 || stream != SND_PCM_STREAM_CAPTURE)
		return -EINVAL;
	struct sim *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->control = o.control ? strdup(o.control) : NULL;
	s->frames_per_ns = o.rate * (1 + o.ppm / 1e6) / 1e9;
	s->loop = o.loop;
	s->unplug_at = o.unplug_at;
	s->replug_at = o.replug_at;
	s->lock = s->file = s->timer = -1;
	err = take_clock(s, o.clock);
	if (err < 0) {
		sim_free(s);
		return err;
	}
	s->start = read_control(s, "started", 0);
	if (s->start > now_ns(s)) /* of an earlier boot */
		s->start = 0;
	s->file = open(o.file, O_RDONLY | O_CLOEXEC);
	s->timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	struct stat st;
	err = gone(s) ? -ENODEV : s->file < 0 || s->timer < 0 || fstat(s->file, &st) < 0 ? -errno : take(s);
	if (err < 0) {
		sim_free(s);
		return err;
	}
	s->file_frames = st.st_size / (o.channels * sizeof(int16_t));
	s->io.version = SND_PCM_IOPLUG_VERSION;
	s->io.name = "Line simulator";
	s->io.poll_fd = s->timer;
	s->io.poll_events = POLLIN;
	s->io.callback = &callbacks;
	s->io.private_data = s;
	err = snd_pcm_ioplug_create(&s->io, name, stream, mode);
	if (err < 0) {
		sim_free(s);
		return err;
	}
	err = set_limits(&s->io, &o);
	if (err < 0) {
		snd_pcm_ioplug_delete(&s->io);
		return err;
	}
	*pcmp = s->io.pcm;
	return 0;
}
SND_PCM_PLUGIN_SYMBOL(linesim);
