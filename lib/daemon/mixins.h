/* The words that `mixin = …` takes, and which handlers suit them. */
#ifndef OST_DAEMON_MIXINS_H
#define OST_DAEMON_MIXINS_H

#include <stdbool.h>

#include <ostler/daemon.h>

/* What addresses bring; a set of both for one of which it is not known (fd:N). */
enum ost_kind { OST_KIND_CONNECTIONS = 1, OST_KIND_DATAGRAMS = 2 };

struct ost_mixin_word {
    const char *word;
    bool is_evented;                  /* runs conn and datagram faces, and else stream faces */
    const struct ostler_mixin *mixin; /* for struct ostler_server_options */
    const char *doc;
};

/* Ends with { 0 }. */
extern const struct ost_mixin_word ost_mixin_words[];

const struct ost_mixin_word *ost_mixin_word_find(const char *word); /* NULL: there is none */

/* For a handler whose service in the file says nothing, with addresses of these kinds. */
const struct ost_mixin_word *ost_mixin_word_default(const struct ostler_service *handler, unsigned kinds);

/* Has handler a face that word runs, for one of kinds at least? */
bool ost_mixin_word_suits(const struct ost_mixin_word *word, const struct ostler_service *handler, unsigned kinds);

/* The faces that word runs, for a sentence. */
const char *ost_mixin_word_faces(const struct ost_mixin_word *word);

enum { OST_MIXIN_LIST = 128 };

/* The words that suit handler (NULL: all) for one of kinds, for a sentence: "inline,
 * threading"; empty when there is none. */
void ost_mixin_word_list(const struct ostler_service *handler, unsigned kinds, char list[OST_MIXIN_LIST]);

#endif
