/* Mix-ins by name. "evented" and "inline" are the library's ways to do without one;
 * to a file they are words like the others. A new mix-in adds a line. */
#include "daemon/mixins.h"

#include <stdio.h>
#include <string.h>

#include <ostler/mixin.h>

const struct ost_mixin_word ost_mixin_words[] = {
    { "evented", OST_FACE_CONN, NULL, "all connections interleaved on the reactor" },
    { "inline", OST_FACE_STREAM, NULL, "one connection at a time, the others wait" },
    { "threading", OST_FACE_STREAM, &ostler_threading, "a thread for each connection" },
    { "fibers", OST_FACE_STREAM, &ostler_fibers, "a coroutine for each connection, on the reactor" },
    { 0 },
};

const struct ost_mixin_word *ost_mixin_word_find(const char *word)
{
    for (const struct ost_mixin_word *w = ost_mixin_words; w->word; w++)
        if (strcmp(w->word, word) == 0)
            return w;
    return NULL;
}

const struct ost_mixin_word *ost_mixin_word_default(const struct ostler_service *handler)
{
    return ost_mixin_word_find(handler->conn ? "evented" : "threading");
}

bool ost_mixin_word_suits(const struct ost_mixin_word *word, const struct ostler_service *handler)
{
    return word->face == OST_FACE_CONN ? handler->conn != NULL : handler->stream != NULL;
}

void ost_mixin_word_list(const struct ostler_service *handler, char list[OST_MIXIN_LIST])
{
    size_t have = 0;

    list[0] = '\0';
    for (const struct ost_mixin_word *w = ost_mixin_words; w->word && have < OST_MIXIN_LIST; w++)
        if (!handler || ost_mixin_word_suits(w, handler))
            have += (size_t)snprintf(list + have, OST_MIXIN_LIST - have, have ? ", %s" : "%s", w->word);
}
