#include "endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

_Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

static _Noreturn void refuse(const char *text)
{
    errno = EINVAL;
    fail(text);
}

static void parse_internet(struct endpoint *out, const char *text)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&out->address;
    const char *colon = strrchr(text, ':');
    char host[INET_ADDRSTRLEN] = "";

    if (!colon || (size_t)(colon - text) >= sizeof(host))
        refuse(text);
    memcpy(host, text, (size_t)(colon - text));
    if (inet_pton(AF_INET, host, &in->sin_addr) != 1)
        refuse(text);
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    out->length = sizeof(*in);
}

static void parse_unix(struct endpoint *out, const char *text)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&out->address;
    size_t length = strlen(text);

    if (length == 0 || length >= sizeof(un->sun_path))
        refuse(text);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, text, length);
    if (text[0] == '@')
        un->sun_path[0] = '\0';
    out->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

void endpoint_parse(struct endpoint *out, const char *text)
{
    memset(out, 0, sizeof(*out));
    out->type = strncmp(text, "udp:", 4) == 0 ? SOCK_DGRAM : SOCK_STREAM;
    if (strncmp(text, "tcp:", 4) == 0 || strncmp(text, "udp:", 4) == 0)
        parse_internet(out, text + 4);
    else if (strncmp(text, "unix:", 5) == 0)
        parse_unix(out, text + 5);
    else
        refuse(text);
}
