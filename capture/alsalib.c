#include "alsalib.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void (*handler)(const char *file, int line, const char *function, int err, const char *format, ...);

// The first message of a failed call names the cause; those that follow only say what failed because of it.
static __thread char message[256];

static void keep(const char *file, int line, const char *function, int err, const char *format, ...)
{
	(void)file, (void)line, (void)function, (void)err;
	if (message[0])
		return;
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
}

void *__real_dlsym(void *lib, const char *name);

static void *symbol(const char *name)
{
	void *lib = dlopen("libasound.so.2", RTLD_NOW); // the same handle each time, never closed
	return lib ? __real_dlsym(lib, name) : NULL;
}

int alsa_listen(void)
{
	int (*set_handler)(handler) = (int (*)(handler))symbol("snd_lib_error_set_handler");
	return set_handler && set_handler(keep) == 0;
}

void alsa_forget(void)
{
	int (*forget)(void) = (int (*)(void))symbol("snd_config_update_free_global");
	if (forget)
		forget();
}

const char *alsa_message(void) { return message; }

void alsa_clear(void) { message[0] = 0; }

// What this thread opened, through the two functions that miniaudio is given for those of its names. It opens a card a
// second time to ask for its name, so only the first counts.
static __thread void *opened;

static int open_card(void **pcm, const char *name, int stream, int mode)
{
	int (*real)(void **, const char *, int, int) = (int (*)(void **, const char *, int, int))symbol("snd_pcm_open");
	int err = real(pcm, name, stream, mode);
	if (err >= 0 && !opened)
		opened = *pcm;
	return err;
}

static int close_card(void *pcm)
{
	int (*real)(void *) = (int (*)(void *))symbol("snd_pcm_close");
	if (opened == pcm)
		opened = NULL;
	return real(pcm);
}

// The linker gives this to all of the program that calls dlsym (-Wl,--wrap); miniaudio is all there is.
void *__wrap_dlsym(void *lib, const char *name)
{
	void *found = __real_dlsym(lib, name);
	if (found && !strcmp(name, "snd_pcm_open"))
		return (void *)open_card;
	if (found && !strcmp(name, "snd_pcm_close"))
		return (void *)close_card;
	return found;
}

void alsa_begin(void) { opened = NULL; }

void alsa_close(void)
{
	if (opened)
		close_card(opened);
}

void alsa_opened(int *card, unsigned long *buffer)
{
	*card = -1, *buffer = 0;
	int (*get_params)(void *, unsigned long *, unsigned long *) = (int (*)(void *, unsigned long *, unsigned long *))symbol("snd_pcm_get_params");
	size_t (*size)(void) = (size_t(*)(void))symbol("snd_pcm_info_sizeof");
	int (*get_info)(void *, void *) = (int (*)(void *, void *))symbol("snd_pcm_info");
	int (*get_card)(const void *) = (int (*)(const void *))symbol("snd_pcm_info_get_card");
	unsigned long period;
	if (!opened || !get_params || !size || !get_info || !get_card)
		return;
	if (get_params(opened, buffer, &period) < 0)
		*buffer = 0;
	void *info = calloc(1, size());
	if (info && get_info(opened, info) == 0)
		*card = get_card(info);
	free(info);
}

void *alsa_pcm(void) { return opened; }

long alsa_avail(void *pcm)
{
	static long (*avail)(void *);
	if (!avail)
		avail = (long (*)(void *))symbol("snd_pcm_avail");
	return avail ? avail(pcm) : 0;
}
