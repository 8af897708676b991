#include "support/actor.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <ostler/mixin.h>

static const struct ostler_mixin *const mixins[] = {
    [FIBERS] = &ostler_fibers, [THREADING] = &ostler_threading, [FORKING] = &ostler_forking,
};

/* Once it has ended the actor may be gone. */
static int play(struct actor *a)
{
    int result;

    harness_raise(&a->began);
    a->result = result = a->play(a);
    harness_raise(&a->ended);
    return result;
}

/* The client says which actor it is. */
static int handle(struct ostler_stream *stream)
{
    struct actor *a;
    int result;

    if (ostler_stream_read_exactly(stream, &a, sizeof(a)) != sizeof(a))
        return 0;
    a->stream = stream;
    a->id = ostler_request_id(stream->request);
    result = play(a);
    return result < 0 ? result : 0;
}

static const struct ostler_stream_handler handler = { .handle = handle };

static void *run(void *arg)
{
    play(arg);
    return NULL;
}

void stage_open(struct stage *stage, int way, const struct ostler_server_options *more)
{
    struct ostler_server_options options = more ? *more : (struct ostler_server_options){ 0 };

    stage->way = way;
    if (way == THREAD)
        return;
    options.address = harness_address();
    options.stream = &handler;
    options.mixin = mixins[way];
    harness_start(&stage->h, &options);
}

int stage_close(struct stage *stage)
{
    return stage->way == THREAD ? 0 : harness_stop(&stage->h);
}

static bool call_up(struct actor *a)
{
    if (a->stage->way == THREAD)
        return pthread_create(&a->thread, NULL, run, a) == 0;
    a->client = harness_connect(a->stage->h.server);
    return a->client >= 0 && harness_send(a->client, &a, sizeof(a));
}

struct actor *actor_start(struct stage *stage, int (*function)(struct actor *self), void *arg)
{
    struct actor *a = harness_share(sizeof(*a));

    if (!a)
        return NULL;
    *a = (struct actor){ .play = function, .arg = arg, .stage = stage, .client = -1 };
    harness_event_init(&a->began);
    harness_event_init(&a->noted);
    harness_event_init(&a->ended);
    if (call_up(a) && harness_wait(&a->began, stage->way == INLINE ? 0 : 1))
        return a;
    harness_unshare(a, sizeof(*a));
    return NULL;
}

int actor_join(struct actor *a)
{
    bool over = harness_wait(&a->ended, 1);
    int result = over ? a->result : -ETIME;

    if (a->stage->way == THREAD)
        pthread_join(a->thread, NULL);
    if (a->client >= 0)
        close(a->client);
    if (over)
        harness_unshare(a, sizeof(*a));
    return result;
}
