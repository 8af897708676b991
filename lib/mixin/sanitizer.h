/* What the sanitizers are told of fibers; nothing in an ordinary build.
 *
 *   resumer: enter ─> (switch) ─> fiber: entered … leave ─> (switch) ─> resumer: left
 */
#ifndef OST_MIXIN_SANITIZER_H
#define OST_MIXIN_SANITIZER_H

#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OST_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define OST_TSAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define OST_ASAN 1
#endif
#ifdef __SANITIZE_THREAD__
#define OST_TSAN 1
#endif

#if defined(OST_ASAN)

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

struct ost_sanitizer {
    const void *bottom, *outer_bottom;
    size_t size, outer_size;
    void *fake, *outer_fake; /* fake stacks, for use after return */
};

static inline void ost_sanitizer_open(struct ost_sanitizer *s, const void *bottom, size_t size)
{
    s->bottom = bottom;
    s->size = size;
}

static inline void ost_sanitizer_close(struct ost_sanitizer *s)
{
    (void)s;
}

static inline void ost_sanitizer_enter(struct ost_sanitizer *s)
{
    __sanitizer_start_switch_fiber(&s->outer_fake, s->bottom, s->size);
}

static inline void ost_sanitizer_entered(struct ost_sanitizer *s)
{
    __sanitizer_finish_switch_fiber(s->fake, &s->outer_bottom, &s->outer_size);
}

static inline void ost_sanitizer_leave(struct ost_sanitizer *s)
{
    __sanitizer_start_switch_fiber(&s->fake, s->outer_bottom, s->outer_size);
}

static inline void ost_sanitizer_left(struct ost_sanitizer *s)
{
    __sanitizer_finish_switch_fiber(s->outer_fake, NULL, NULL);
}

/* Frames that never return leave their red zones on the stack. */
static inline void ost_sanitizer_wipe(void *bottom, size_t size)
{
    ASAN_UNPOISON_MEMORY_REGION(bottom, size);
}

#elif defined(OST_TSAN)

#include <pthread.h>
#include <signal.h>

#include <sanitizer/tsan_interface.h>

struct ost_sanitizer {
    void *fiber, *outer;
};

/* It puts a signal off until the fiber that ran then makes the next call it knows; and one that has left
 * may never make one. So none comes in between. */
static inline void ost_sanitizer_switch(void *fiber)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    __tsan_switch_to_fiber(fiber, 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static inline void ost_sanitizer_open(struct ost_sanitizer *s, const void *bottom, size_t size)
{
    (void)bottom;
    (void)size;
    s->fiber = __tsan_create_fiber(0);
}

static inline void ost_sanitizer_close(struct ost_sanitizer *s)
{
    __tsan_destroy_fiber(s->fiber);
}

static inline void ost_sanitizer_enter(struct ost_sanitizer *s)
{
    s->outer = __tsan_get_current_fiber();
    ost_sanitizer_switch(s->fiber);
}

static inline void ost_sanitizer_entered(struct ost_sanitizer *s)
{
    (void)s;
}

static inline void ost_sanitizer_leave(struct ost_sanitizer *s)
{
    ost_sanitizer_switch(s->outer);
}

static inline void ost_sanitizer_left(struct ost_sanitizer *s)
{
    (void)s;
}

static inline void ost_sanitizer_wipe(void *bottom, size_t size)
{
    (void)bottom;
    (void)size;
}

#else

struct ost_sanitizer {
    char unused;
};

#define ost_sanitizer_open(s, bottom, size) ((void)(s), (void)(bottom), (void)(size))
#define ost_sanitizer_close(s) ((void)(s))
#define ost_sanitizer_enter(s) ((void)(s))
#define ost_sanitizer_entered(s) ((void)(s))
#define ost_sanitizer_leave(s) ((void)(s))
#define ost_sanitizer_left(s) ((void)(s))
#define ost_sanitizer_wipe(bottom, size) ((void)(bottom), (void)(size))

#endif

#endif
