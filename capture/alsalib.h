// What of libasound is used directly, beside miniaudio: its error messages, which it would print; its cached
// configuration, which has to be read again before a card that was plugged in later is known by all its names; and the
// cards that miniaudio opens.
//
// The library is opened at run time, as miniaudio opens it, so that the program also starts where it is missing.

// alsa_listen keeps libasound's error messages off standard error. It returns 0 if libasound is not there.
int alsa_listen(void);

// alsa_forget drops the cached configuration.
void alsa_forget(void);

// alsa_message is the first error message of the calling thread since the last alsa_clear; "" if there was none.
const char *alsa_message(void);
void alsa_clear(void);

// The card that miniaudio has opened in the calling thread since alsa_begin and has not closed: where miniaudio fails
// after it has opened one (0.11: it does not undo that), alsa_close closes it, or it would be busy for ever.
void alsa_begin(void);
void alsa_close(void);

// alsa_opened says which card that is (its number; -1: none, or not one of the kernel's) and how many frames its buffer
// holds (0: not known).
void alsa_opened(int *card, unsigned long *buffer);

// alsa_pcm is that card, for alsa_avail, which says how many frames it has that were not read yet; less than 0: an error.
void *alsa_pcm(void);
long alsa_avail(void *pcm);
