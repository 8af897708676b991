#ifndef OST_MIXIN_INLINE_H
#define OST_MIXIN_INLINE_H

#include <ostler/mixin.h>

/* What a .stream handler without a mix-in runs under. */
extern const struct ostler_mixin ost_inline;

#endif
