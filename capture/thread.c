#include "thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct spare {
	pthread_t id;
	pthread_mutex_t lock;
	pthread_cond_t decided;
	int done; // it is known what becomes of it
	void *(*run)(void *);
	void *with;
};

static __thread struct spare *spare;

int __real_pthread_create(pthread_t *id, const pthread_attr_t *attr, void *(*run)(void *), void *with);

static void *wait_and_run(void *p)
{
	struct spare s, *waiting = p;
	pthread_mutex_lock(&waiting->lock);
	while (!waiting->done)
		pthread_cond_wait(&waiting->decided, &waiting->lock);
	s = *waiting;
	pthread_mutex_unlock(&waiting->lock);
	free(waiting);
	return s.run ? s.run(s.with) : NULL;
}

int thread_make(void)
{
	struct spare *s = calloc(1, sizeof(*s));
	if (!s)
		return ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->decided, NULL);
	int err = __real_pthread_create(&s->id, NULL, wait_and_run, s);
	if (err)
		free(s);
	else
		spare = s;
	return err;
}

static pthread_t decide(void *(*run)(void *), void *with)
{
	struct spare *s = spare;
	pthread_t id = s->id;
	spare = NULL;
	pthread_mutex_lock(&s->lock);
	s->run = run, s->with = with, s->done = 1;
	pthread_cond_signal(&s->decided);
	pthread_mutex_unlock(&s->lock);
	return id;
}

void thread_forget(void)
{
	if (spare)
		pthread_join(decide(NULL, NULL), NULL);
}

// The linker gives this to all of the program that creates threads in C (-Wl,--wrap).
int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *attr, void *(*run)(void *), void *with)
{
	if (!spare)
		return __real_pthread_create(id, attr, run, with);
	*id = decide(run, with);
	return 0;
}
