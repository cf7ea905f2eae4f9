// The thread with which a card is read, made before the card is opened. miniaudio (0.11) opens the card first, and where
// its thread then cannot start, for want of memory or because a sandbox refuses the scheduler that it insists on, it
// leaves the card open: busy for ever.

// thread_make makes the thread, which waits; the next thread that the calling thread creates becomes it, with the
// attributes that every thread has. It returns 0, or an errno.
int thread_make(void);

// thread_forget ends it where nothing became of it.
void thread_forget(void);
