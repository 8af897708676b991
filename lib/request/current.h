/* What the calling thread does just now: whose handler it runs, and from where that has
 * called us. A fiber that waits takes both along, and gets them back (wait.c). */
#ifndef OST_REQUEST_CURRENT_H
#define OST_REQUEST_CURRENT_H

#include <ostler/request.h>

/* The request that the calling thread or fiber runs the handler of, or NULL. */
struct ostler_request *ost_request_current(void);
void ost_request_set_current(struct ostler_request *request);

/* The place of the call that is being made: static text, or NULL. */
const char *ost_here(void);

#endif
