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

static const char suffix[] = ".ost%08x"; /* of temporary names, SUFFIX bytes long */

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

/* Bind fd to name in the place. A name that makes the path too long is reached through
 * the directory's descriptor (proc(5)). */
static int bind_in(const struct place *p, int fd, const char *name)
{
    struct ostler_address a = { .kind = OST_UNIX_STREAM, .as.un.sun_family = AF_UNIX };
    int n = snprintf(a.as.un.sun_path, sizeof(a.as.un.sun_path), "%s%s", p->path, name);

    if (n >= OST_UNIX_NAME)
        n = snprintf(a.as.un.sun_path, sizeof(a.as.un.sun_path), "/proc/self/fd/%d/%s", p->directory, name);
    if (n >= OST_UNIX_NAME)
        return -ENAMETOOLONG;
    a.length = sizeof(a.as.un);
    return ost_socket_bind_to(fd, &a);
}

/* .NAME.ostNUMBER; without the first part when that would make the path too long. */
static int temporary_name(const struct place *p, char name[OST_UNIX_NAME])
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

/* Is name one of temporary_name()'s first form? */
static bool is_temporary(const char *name)
{
    size_t n = strlen(name);

    return *name == '.' && n > SUFFIX + 1 && strncmp(name + n - SUFFIX, ".ost", 4) == 0 &&
           strspn(name + n - 8, "0123456789abcdef") == 8;
}

void ost_unix_restore_name(struct ostler_address *address)
{
    char *path = address->as.un.sun_path, *slash, *name;
    size_t n;

    if (!ost_address_has_file(address))
        return;
    path[sizeof(address->as.un.sun_path) - 1] = '\0';
    slash = strrchr(path, '/');
    name = slash ? slash + 1 : path;
    if (!is_temporary(name))
        return;
    n = strlen(name) - 1 - SUFFIX;
    memmove(name, name + 1, n);
    name[n] = '\0';
    address->length = (unsigned char)(offsetof(struct sockaddr_un, sun_path) + (size_t)(name - path) + n + 1);
}

static int bind_temporary(struct ost_unix_file *file, const struct place *p, int fd)
{
    int error = -EADDRINUSE;

    for (int i = 0; i < TRIES && error == -EADDRINUSE; i++) {
        error = temporary_name(p, file->temporary);
        if (error == 0)
            error = bind_in(p, fd, file->temporary);
    }
    if (error < 0)
        file->temporary[0] = '\0';
    return error;
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
    if (error == -ECONNREFUSED)
        return 0;
    return error == -EACCES || error == -ENOENT ? error : -EADDRINUSE;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Change places with the dead file, and look what it was: somebody may have come first. */
static int replace(const char *temporary, const struct place *p, const struct stat *dead)
{
    struct stat taken;

    if (renameat2(p->directory, temporary, p->directory, p->name, RENAME_EXCHANGE) < 0) {
        if (errno != EINVAL) /* the filesystem cannot exchange */
            return -errno;
        return renameat(p->directory, temporary, p->directory, p->name) < 0 ? -errno : 0;
    }
    if (fstatat(p->directory, temporary, &taken, AT_SYMLINK_NOFOLLOW) == 0 && is_same(&taken, dead))
        return unlinkat(p->directory, temporary, 0) < 0 ? -errno : 0;
    if (renameat2(p->directory, temporary, p->directory, p->name, RENAME_EXCHANGE) < 0)
        return -errno;
    return -EADDRINUSE;
}

/* Is it the file of a dead socket that has the name? Then 0, and *out is that file. */
static int find_dead(struct stat *out, const struct place *p, const struct ostler_address *address)
{
    if (fstatat(p->directory, p->name, out, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return S_ISSOCK(out->st_mode) ? check_dead(address) : -EEXIST;
}

/* Something has the name already. */
static int take_over(const char *temporary, const struct place *p, const struct ostler_address *address)
{
    struct stat dead;
    int error = find_dead(&dead, p, address);

    return error < 0 ? error : replace(temporary, p, &dead);
}

/* Take the name if nothing has it. */
static int take_free(const char *temporary, const struct place *p)
{
    if (renameat2(p->directory, temporary, p->directory, p->name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL) /* the filesystem cannot do that */
        return -errno;
    if (linkat(p->directory, temporary, p->directory, p->name, 0) < 0)
        return -errno;
    return unlinkat(p->directory, temporary, 0) < 0 ? -errno : 0;
}

static int take_name(const char *temporary, const struct place *p, const struct ostler_address *address)
{
    int error = -ENOENT;

    for (int i = 0; i < TRIES && error == -ENOENT; i++) { /* what was there has gone meanwhile */
        error = take_free(temporary, p);
        if (error == -EEXIST)
            error = take_over(temporary, p, address);
    }
    return error;
}

/* Remove the file of a dead socket. It is moved away first: what was moved is then looked
 * at, since somebody may have come first. */
static int clear(const struct place *p, const struct ostler_address *address)
{
    struct stat dead, moved;
    char away[OST_UNIX_NAME];
    int error = find_dead(&dead, p, address);

    if (error < 0)
        return error == -ENOENT ? 0 : error;
    error = temporary_name(p, away);
    if (error == 0 && renameat(p->directory, p->name, p->directory, away) < 0)
        error = -errno;
    if (error < 0)
        return error == -ENOENT ? 0 : error;
    if (fstatat(p->directory, away, &moved, AT_SYMLINK_NOFOLLOW) == 0 && is_same(&moved, &dead))
        return unlinkat(p->directory, away, 0) < 0 ? -errno : 0;
    if (linkat(p->directory, away, p->directory, p->name, 0) == 0) /* back, unless somebody came again */
        unlinkat(p->directory, away, 0);
    return -EADDRINUSE;
}

/* Set the mode and remember which file it is. */
static int finish(struct ost_unix_file *file, const struct place *p, const char *name, unsigned mode)
{
    struct stat made;

    if (mode && fchmodat(p->directory, name, mode, 0) < 0)
        return -errno;
    if (fstatat(p->directory, name, &made, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    file->device = made.st_dev;
    file->inode = made.st_ino;
    return 0;
}

static int bind_stream(struct ost_unix_file *file, const struct place *p, int fd, unsigned mode)
{
    int error = bind_temporary(file, p, fd);

    if (error < 0)
        return error;
    error = finish(file, p, file->temporary, mode);
    if (error < 0)
        unlinkat(p->directory, file->temporary, 0);
    return error;
}

static int bind_datagram(struct ost_unix_file *file, const struct place *p, int fd,
                         const struct ostler_address *address, unsigned mode)
{
    int error = mode && fchmod(fd, mode) < 0 ? -errno : ost_socket_bind_to(fd, address);

    for (int i = 0; i < TRIES && error == -EADDRINUSE; i++) {
        error = clear(p, address);
        if (error == 0)
            error = ost_socket_bind_to(fd, address);
        else if (error == -EADDRINUSE)
            return error;
    }
    if (error < 0)
        return error;
    error = finish(file, p, p->name, mode);
    if (error < 0)
        unlinkat(p->directory, p->name, 0);
    return error;
}

static int bind_file(struct ost_unix_file *file, const struct place *p, int fd, const struct ostler_address *address,
                     unsigned mode)
{
    if (address->kind == OST_UNIX_DATAGRAM)
        return bind_datagram(file, p, fd, address, mode);
    return bind_stream(file, p, fd, mode);
}

int ost_unix_bind(struct ost_unix_file *file, const struct ostler_address *address, unsigned mode)
{
    struct place place;
    int fd, error = open_place(&place, address);

    if (error < 0)
        return error;
    fd = ost_socket_open(address, 0);
    error = fd < 0 ? fd : bind_file(file, &place, fd, address, mode);
    if (error < 0) {
        close(place.directory);
        if (fd >= 0)
            close(fd);
        return error;
    }
    file->directory = place.directory;
    file->maker = getpid();
    return fd;
}

int ost_unix_publish(struct ost_unix_file *file, const struct ostler_address *address)
{
    struct place place;
    int error;

    if (!file->temporary[0])
        return 0;
    find_place(&place, address, file->directory);
    error = take_name(file->temporary, &place, address);
    if (error == 0)
        file->temporary[0] = '\0';
    return error;
}

static void remove_file(const struct ost_unix_file *file, const struct place *p)
{
    const char *name = file->temporary[0] ? file->temporary : p->name;
    struct stat ours = { .st_dev = file->device, .st_ino = file->inode }, there;

    if (fstatat(p->directory, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && is_same(&there, &ours))
        unlinkat(p->directory, name, 0);
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
