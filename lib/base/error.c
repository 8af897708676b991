#include <ostler/error.h>

#include <limits.h>
#include <string.h>

const char *ostler_strerror(int error)
{
    const char *text;

    if (error == INT_MIN)
        return "Unknown error";
    /* Unlike strerror(3) this is thread-safe, and unlike strerror_r(3) static. */
    text = strerrordesc_np(error < 0 ? -error : error);
    return text ? text : "Unknown error";
}
