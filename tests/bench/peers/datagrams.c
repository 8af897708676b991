/* Datagrams one by one, with recvfrom and sendto; with "batch" by recvmmsg and sendmmsg. It blocks. */
#include <netinet/in.h>
#include <string.h>

#include "peer.h"

enum { BATCH = 32, SIZE = 2048 };

static void serve_one(int fd)
{
    static char buffer[PEER_BUFFER];
    struct sockaddr_in from;
    socklen_t length = sizeof(from);
    ssize_t n = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &length);

    if (n >= 0)
        sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&from, length);
}

static void serve_batch(int fd)
{
    static char buffers[BATCH][SIZE];
    struct sockaddr_in from[BATCH];
    struct mmsghdr messages[BATCH] = { 0 };
    struct iovec vectors[BATCH];
    int n;

    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){ buffers[i], SIZE };
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &from[i], .msg_namelen = sizeof(from[i]), .msg_iov = &vectors[i], .msg_iovlen = 1
        };
    }
    n = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
    for (int i = 0; i < n; i++)
        vectors[i].iov_len = messages[i].msg_len;
    if (n > 0)
        sendmmsg(fd, messages, (unsigned)n, 0);
}

int main(int argc, char **argv)
{
    int fd = peer_listen(argc, argv, 0);
    bool batch = peer_variant(argc, argv, "batch");

    for (;;)
        if (batch)
            serve_batch(fd);
        else
            serve_one(fd);
}
