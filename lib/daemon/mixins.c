/* Mix-ins by name. "evented" and "inline" are the library's ways to do without one;
 * to a file they are words like the others. A new mix-in adds a line.
 *
 * A word and the kind of an address together say which face of a handler is needed:
 * "evented" runs conn for connections and datagram for datagrams, all others run
 * stream for both. */
#include "daemon/mixins.h"

#include <stdio.h>
#include <string.h>

#include <ostler/mixin.h>

const struct ost_mixin_word ost_mixin_words[] = {
    { "evented", true, NULL, "all requests interleaved on the reactor" },
    { "inline", false, NULL, "one request at a time, the others wait" },
    { "threading", false, &ostler_threading, "a thread for each request" },
    { "forking", false, &ostler_forking, "a child process for each request, of a worker process" },
    { "fibers", false, &ostler_fibers, "a coroutine for each request, on the reactor" },
    { 0 },
};

const struct ost_mixin_word *ost_mixin_word_find(const char *word)
{
    for (const struct ost_mixin_word *w = ost_mixin_words; w->word; w++)
        if (strcmp(w->word, word) == 0)
            return w;
    return NULL;
}

/* The kinds for which handler has an evented face. */
static unsigned evented_kinds(const struct ostler_service *handler)
{
    return (handler->conn ? OST_KIND_CONNECTIONS : 0u) | (handler->datagram ? OST_KIND_DATAGRAMS : 0u);
}

const struct ost_mixin_word *ost_mixin_word_default(const struct ostler_service *handler, unsigned kinds)
{
    unsigned evented = evented_kinds(handler);

    return ost_mixin_word_find(!handler->stream || (evented && !(kinds & ~evented)) ? "evented" : "threading");
}

bool ost_mixin_word_suits(const struct ost_mixin_word *word, const struct ostler_service *handler, unsigned kinds)
{
    return word->is_evented ? (kinds & evented_kinds(handler)) != 0 : handler->stream != NULL;
}

const char *ost_mixin_word_faces(const struct ost_mixin_word *word)
{
    return word->is_evented ? "conn, datagram" : "stream";
}

void ost_mixin_word_list(const struct ostler_service *handler, unsigned kinds, char list[OST_MIXIN_LIST])
{
    size_t have = 0;

    list[0] = '\0';
    for (const struct ost_mixin_word *w = ost_mixin_words; w->word && have < OST_MIXIN_LIST; w++)
        if (!handler || ost_mixin_word_suits(w, handler, kinds))
            have += (size_t)snprintf(list + have, OST_MIXIN_LIST - have, have ? ", %s" : "%s", w->word);
}
