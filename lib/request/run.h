/* Running a stream's handler: the two halves of ostler_request_run(), for mix-ins that
 * have the handler run in one process and its end told in another. */
#ifndef OST_REQUEST_RUN_H
#define OST_REQUEST_RUN_H

#include "request/stream.h"

/* finish_request, and handle_error if it fails. 0, -errno or OSTLER_PARK: the handler has
 * returned for the time being, and waits for more input. Thread: the handler's. */
int ost_request_perform(struct ost_stream *stream);

/* Nothing could perform it to the end: say why, and call handle_error. Thread: any, in
 * the handler's place. */
void ost_request_fail(struct ost_stream *stream, int error);

/* Its handler will not return, and that is no failure of the server's (error 0); or it does not
 * even begin. Thread: any, in the handler's place. */
void ost_request_abandon(struct ost_stream *stream, int error);

/* Tell the reactor that the handler has returned result. From here on the request is the
 * reactor's. Thread: any. */
void ost_request_report(struct ost_stream *stream, int result);

#endif
