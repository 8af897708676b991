/* Whether the socket behind a file is alive is asked by connect(2) with a datagram socket:
 * the kernel answers ECONNREFUSED when no socket is bound to the file, EPROTOTYPE when one
 * of another type is, and neither listener nor datagram socket sees anything of it. */
#include "net/unix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/socket.h"

enum { TRIES = 100, SUFFIX = 12 };

static const char suffix[] = ".ost%08x"; /* SUFFIX bytes long */

/* The directory that address lies in, open; and its name there. */
struct place {
    int directory;
    const char *name;
    char path[OST_UNIX_NAME]; /* of the directory, with its last slash */
};

static void find_place(struct place *p, const struct ostler_address *address, int directory)
{
    const char *path = address->as.un.sun_path, *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) + 1 : 0;

    memcpy(p->path, path, n);
    p->path[n] = '\0';
    p->name = path + n;
    p->directory = directory;
}

static int open_place(struct place *p, const struct ostler_address *address)
{
    find_place(p, address, -1);
    if (!*p->name)
        return -EISDIR;
    p->directory = open(*p->path ? p->path : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return p->directory < 0 ? -errno : 0;
}

/* The address of name in the place. One that makes the path too long is reached through
 * the directory's descriptor (proc(5)). False: even so it is too long. */
static bool address_in(struct ostler_address *out, const struct place *p, const char *name)
{
    char *path = out->as.un.sun_path;

    *out = (struct ostler_address){ .kind = OST_UNIX_DATAGRAM, .as.un.sun_family = AF_UNIX };
    out->length = sizeof(out->as.un);
    return snprintf(path, OST_UNIX_NAME, "%s%s", p->path, name) < OST_UNIX_NAME ||
           snprintf(path, OST_UNIX_NAME, "/proc/self/fd/%d/%s", p->directory, name) < OST_UNIX_NAME;
}

/* A name for a file that is moved away: .NAME.ostNUMBER, without the first part when that
 * would make the path too long. */
static int spare_name(const struct place *p, char name[OST_UNIX_NAME])
{
    bool fits = strlen(p->path) + 1 + strlen(p->name) + SUFFIX < OST_UNIX_NAME;
    uint32_t number;
    int n;

    if (getrandom(&number, sizeof(number), 0) != sizeof(number))
        return -errno;
    n = fits ? snprintf(name, OST_UNIX_NAME, ".%s", p->name) : 0;
    snprintf(name + n, OST_UNIX_NAME - (size_t)n, suffix, (unsigned)number);
    return 0;
}

/* 0 when the socket of the file is dead; -EADDRINUSE when it is not; or another -errno. */
static int check_dead(const struct ostler_address *address)
{
    struct ostler_address probe = *address;
    int fd, error;

    probe.kind = OST_UNIX_DATAGRAM;
    error = ost_socket_connect(&fd, &probe);
    if (error == 0)
        close(fd);
    switch (error) {
    case -ECONNREFUSED:
        return 0;
    case -EACCES:
    case -ENOENT:
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
        return error;
    default:
        return -EADDRINUSE;
    }
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Is it the file of a dead socket that has the name? Then 0, and *out is that file. */
static int find_dead(struct stat *out, const struct place *p, const struct ostler_address *address)
{
    if (fstatat(p->directory, p->name, out, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return S_ISSOCK(out->st_mode) ? check_dead(address) : -EEXIST;
}

/* Is what was moved away the file that was found dead, and dead still? Its number alone does
 * not say so: bind(2) makes the file first, and lets the socket be found by it a moment later
 * (before a rename in that directory can happen, though). */
static bool is_dead_still(const struct place *p, const char *away, const struct stat *dead)
{
    struct ostler_address address;
    struct stat moved;

    return fstatat(p->directory, away, &moved, AT_SYMLINK_NOFOLLOW) == 0 && is_same(&moved, dead) &&
           address_in(&address, p, away) && check_dead(&address) == 0;
}

/* Let it have its name again. If somebody else has that by now, its owner will not remove it. */
static void put_back(const struct place *p, const char *away)
{
    int r = renameat2(p->directory, away, p->directory, p->name, RENAME_NOREPLACE);

    if (r == 0)
        return;
    if (errno == EINVAL) /* the filesystem cannot do that */
        r = linkat(p->directory, away, p->directory, p->name, 0);
    if (r == 0 || errno == EEXIST)
        unlinkat(p->directory, away, 0);
}

/* Remove the file of a dead socket. It is moved away first: what was moved is then looked
 * at, since somebody may have come first. */
static int clear(const struct place *p, const struct ostler_address *address)
{
    struct stat dead;
    char away[OST_UNIX_NAME];
    int error = find_dead(&dead, p, address);

    if (error == 0)
        error = spare_name(p, away);
    if (error == 0 && renameat(p->directory, p->name, p->directory, away) < 0)
        error = -errno;
    if (error < 0)
        return error == -ENOENT ? 0 : error; /* it has gone meanwhile */
    if (is_dead_still(p, away, &dead))
        return unlinkat(p->directory, away, 0) < 0 ? -errno : 0;
    put_back(p, away);
    return -EADDRINUSE;
}

static int bind_name(const struct place *p, int fd, const struct ostler_address *address)
{
    int error = ost_socket_bind_to(fd, address), cleared = 0;

    for (int i = 0; i < TRIES && error == -EADDRINUSE && cleared == 0; i++) {
        cleared = clear(p, address);
        if (cleared == 0)
            error = ost_socket_bind_to(fd, address);
    }
    return cleared < 0 ? cleared : error;
}

static void remove_file(const struct ost_unix_file *file, const struct place *p)
{
    struct stat ours = { .st_dev = file->device, .st_ino = file->inode }, there;

    if (fstatat(p->directory, p->name, &there, AT_SYMLINK_NOFOLLOW) == 0 && is_same(&there, &ours))
        unlinkat(p->directory, p->name, 0);
}

/* Give it the bits of mode that the umask took, and remember which file it is. */
static int finish(struct ost_unix_file *file, const struct place *p, unsigned mode)
{
    struct stat made;
    int error;

    if (fstatat(p->directory, p->name, &made, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    file->device = made.st_dev;
    file->inode = made.st_ino;
    if (!mode || (made.st_mode & 0777) == mode || fchmodat(p->directory, p->name, mode, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    error = -errno;
    remove_file(file, p);
    return error;
}

static int bind_file(struct ost_unix_file *file, const struct place *p, int fd, const struct ostler_address *address,
                     unsigned mode)
{
    int error = mode && fchmod(fd, mode) < 0 ? -errno : bind_name(p, fd, address);

    return error < 0 ? error : finish(file, p, mode);
}

/* A new socket, or -errno. */
static int bind_socket(struct ost_unix_file *file, const struct place *p, const struct ostler_address *address,
                       unsigned mode)
{
    int fd = ost_socket_open(address, 0), error = fd < 0 ? fd : bind_file(file, p, fd, address, mode);

    if (error < 0 && fd >= 0)
        close(fd);
    return error < 0 ? error : fd;
}

/* One that had found a dead socket's file may have moved ours away instead (see clear()): it gives
 * up, and may put it back too late for us. So it is us who begin anew. */
int ost_unix_bind(struct ost_unix_file *file, const struct ostler_address *address, unsigned mode)
{
    struct place place;
    int fd, error = open_place(&place, address);

    if (error < 0)
        return error;
    fd = bind_socket(file, &place, address, mode);
    for (int i = 0; i < TRIES && fd == -ENOENT; i++)
        fd = bind_socket(file, &place, address, mode);
    if (fd < 0) {
        close(place.directory);
        return fd;
    }
    file->directory = place.directory;
    file->maker = getpid();
    return fd;
}

void ost_unix_remove(struct ost_unix_file *file, const struct ostler_address *address)
{
    struct place place;

    if (!file->maker)
        return;
    find_place(&place, address, file->directory);
    if (file->maker == getpid())
        remove_file(file, &place);
    close(file->directory);
    file->maker = 0;
}
