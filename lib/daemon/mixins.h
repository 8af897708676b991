/* The words that `mixin = …` takes. */
#ifndef OST_DAEMON_MIXINS_H
#define OST_DAEMON_MIXINS_H

#include <stdbool.h>

#include <ostler/daemon.h>

struct ost_mixin_word {
    const char *word;
    enum { OST_FACE_STREAM, OST_FACE_CONN } face; /* of the handler that it runs */
    const struct ostler_mixin *mixin;             /* for struct ostler_server_options */
    const char *doc;
};

/* Ends with { 0 }. */
extern const struct ost_mixin_word ost_mixin_words[];

const struct ost_mixin_word *ost_mixin_word_find(const char *word); /* NULL: there is none */

/* For a handler whose service in the file says nothing. */
const struct ost_mixin_word *ost_mixin_word_default(const struct ostler_service *handler);

bool ost_mixin_word_suits(const struct ost_mixin_word *word, const struct ostler_service *handler);

enum { OST_MIXIN_LIST = 128 };

/* The words that suit handler (NULL: all), for a sentence: "inline, threading". */
void ost_mixin_word_list(const struct ostler_service *handler, char list[OST_MIXIN_LIST]);

#endif
