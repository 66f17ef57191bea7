/* tests/fault/inject.c - makes system calls and allocations of the real gateway fail at random.
 *
 * Linked with the gateway's own objects into build/.../sluice-fault and nothing else. The allocator is replaced with the
 * linker's --wrap, which reaches the gateway's calls and, since it gives libevent its memory, libevent's; calls on sockets and
 * files are replaced by functions of the same name, which reach every library too, because the program comes first in the
 * dynamic linker's search. Both ways sanitizers keep working: what they define is called from here.
 *
 * $SLUICE_FAULT names a file with a struct fault_plan. It is mapped shared, so that a test turns faults on and off, and reads
 * how many there were, while the gateway runs. Thread: any; each has its own sequence of random numbers. */
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Little endian on disk, as tests/e2e/storm.py writes it. */
struct fault_plan {
    _Atomic uint32_t alloc, net, file; /* one call in so many fails; 0: none */
    uint32_t seed;
    _Atomic uint64_t n_alloc, n_net, n_file; /* faults so far */
};

enum { MAX_FDS = 65536 };

static struct fault_plan *plan;
static _Atomic uint32_t n_threads;
static __thread uint64_t state;
static unsigned char is_socket[MAX_FDS];

#define EXPORT __attribute__((visibility("default")))

/* ---- chance ----------------------------------------------------------------------------- */

static uint64_t next_random(void)
{
    if (state == 0)
        state = ((uint64_t)plan->seed << 20) +
                0x9E3779B97F4A7C15u * (atomic_fetch_add(&n_threads, 1) + 1);
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static bool strikes(_Atomic uint32_t *one_in, _Atomic uint64_t *count)
{
    uint32_t n = atomic_load_explicit(one_in, memory_order_relaxed);

    if (n == 0 || next_random() % n != 0)
        return false;
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    return true;
}

static bool alloc_fails(void)
{
    if (plan == NULL || !strikes(&plan->alloc, &plan->n_alloc))
        return false;
    errno = ENOMEM;
    return true;
}

static bool on_socket(int fd)
{
    return fd >= 0 && fd < MAX_FDS && is_socket[fd] != 0;
}

static bool net_fails(int fd)
{
    return plan != NULL && on_socket(fd) && strikes(&plan->net, &plan->n_net);
}

/* ---- memory ----------------------------------------------------------------------------- */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

void *__wrap_malloc(size_t n)
{
    return alloc_fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return alloc_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return alloc_fails() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
    return alloc_fails() ? NULL : __real_strdup(s);
}

/* ---- sockets ---------------------------------------------------------------------------- */

/* The next definition of a function: the sanitizer's or libc's. */
static void *next_of(const char *name)
{
    void *fn = dlsym(RTLD_NEXT, name);

    if (fn == NULL)
        _exit(86); /* the test's own mistake */
    return fn;
}

/* A function pointer out of dlsym()'s void *, as POSIX wants it done. */
#define NEXT(name)                                                                                 \
    static __typeof__(name) *fn;                                                                   \
    if (fn == NULL) {                                                                              \
        void *p = next_of(#name);                                                                  \
        memcpy(&fn, &p, sizeof(fn));                                                               \
    }

enum verdict { GO_ON, SHORT, FAIL };

/* What happens to a transfer that was struck. Broken, interrupted, not ready, or only one byte of it. */
static enum verdict strike_transfer(int broken)
{
    switch (next_random() % 4) {
    case 0:
        errno = broken;
        return FAIL;
    case 1:
        errno = EINTR;
        return FAIL;
    case 2:
        errno = EAGAIN;
        return FAIL;
    default:
        return SHORT;
    }
}

static enum verdict before_read(int fd)
{
    return net_fails(fd) ? strike_transfer(ECONNRESET) : GO_ON;
}

static enum verdict before_write(int fd)
{
    return net_fails(fd) ? strike_transfer(EPIPE) : GO_ON;
}

static bool is_regular(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* Files: the disk is full or broken. */
static bool file_fails(int fd)
{
    if (plan == NULL || atomic_load_explicit(&plan->file, memory_order_relaxed) == 0 ||
        on_socket(fd) || !is_regular(fd) || !strikes(&plan->file, &plan->n_file))
        return false;
    errno = next_random() % 2 == 0 ? ENOSPC : EIO;
    return true;
}

EXPORT ssize_t read(int fd, void *out, size_t n)
{
    NEXT(read)
    enum verdict v = before_read(fd);

    return v == FAIL ? -1 : fn(fd, out, v == SHORT && n > 1 ? 1 : n);
}

EXPORT ssize_t recv(int fd, void *out, size_t n, int flags)
{
    NEXT(recv)
    enum verdict v = before_read(fd);

    return v == FAIL ? -1 : fn(fd, out, v == SHORT && n > 1 ? 1 : n, flags);
}

EXPORT ssize_t readv(int fd, const struct iovec *v, int n)
{
    NEXT(readv)
    enum verdict verdict = before_read(fd);

    return verdict == FAIL ? -1 : fn(fd, v, verdict == SHORT && n > 1 ? 1 : n);
}

EXPORT ssize_t write(int fd, const void *bytes, size_t n)
{
    NEXT(write)
    enum verdict v = before_write(fd);

    if (file_fails(fd))
        return -1;
    return v == FAIL ? -1 : fn(fd, bytes, v == SHORT && n > 1 ? 1 : n);
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    NEXT(pwrite)
    return file_fails(fd) ? -1 : fn(fd, bytes, n, at);
}

EXPORT ssize_t send(int fd, const void *bytes, size_t n, int flags)
{
    NEXT(send)
    enum verdict v = before_write(fd);

    return v == FAIL ? -1 : fn(fd, bytes, v == SHORT && n > 1 ? 1 : n, flags);
}

EXPORT ssize_t writev(int fd, const struct iovec *v, int n)
{
    NEXT(writev)
    enum verdict verdict = before_write(fd);

    if (file_fails(fd))
        return -1;
    return verdict == FAIL ? -1 : fn(fd, v, verdict == SHORT && n > 1 ? 1 : n);
}

EXPORT int fsync(int fd)
{
    NEXT(fsync)
    return file_fails(fd) ? -1 : fn(fd);
}

EXPORT int fdatasync(int fd)
{
    NEXT(fdatasync)
    return file_fails(fd) ? -1 : fn(fd);
}

EXPORT int socket(int domain, int type, int protocol)
{
    NEXT(socket)
    int fd;

    if (plan != NULL && strikes(&plan->net, &plan->n_net)) {
        errno = EMFILE;
        return -1;
    }
    fd = fn(domain, type, protocol);
    if (fd >= 0 && fd < MAX_FDS)
        is_socket[fd] = 1;
    return fd;
}

EXPORT int accept4(int listener, __SOCKADDR_ARG sa, socklen_t *restrict len, int flags)
{
    NEXT(accept4)
    static const int errors[] = {EMFILE, ECONNABORTED, EINTR, ENOBUFS};
    int fd;

    if (net_fails(listener)) {
        errno = errors[next_random() % 4];
        return -1;
    }
    fd = fn(listener, sa, len, flags);
    if (fd >= 0 && fd < MAX_FDS)
        is_socket[fd] = 1;
    return fd;
}

EXPORT int connect(int fd, __CONST_SOCKADDR_ARG sa, socklen_t len)
{
    NEXT(connect)
    static const int errors[] = {ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL, ETIMEDOUT};

    if (net_fails(fd)) {
        errno = errors[next_random() % 4];
        return -1;
    }
    return fn(fd, sa, len);
}

EXPORT int close(int fd)
{
    NEXT(close)
    if (fd >= 0 && fd < MAX_FDS)
        is_socket[fd] = 0;
    return fn(fd);
}

EXPORT int epoll_wait(int fd, struct epoll_event *events, int n, int ms)
{
    NEXT(epoll_wait)
    if (plan != NULL && strikes(&plan->net, &plan->n_net)) {
        errno = EINTR;
        return -1;
    }
    return fn(fd, events, n, ms);
}

/* Only what was to be watched anew fails: the kernel's limit on watches. */
EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    NEXT(epoll_ctl)
    if (op == EPOLL_CTL_ADD && net_fails(fd)) {
        errno = ENOSPC;
        return -1;
    }
    return fn(epfd, op, fd, event);
}

/* ---- start ------------------------------------------------------------------------------ */

__attribute__((constructor)) static void set_up(void)
{
    const char *name = getenv("SLUICE_FAULT");
    int fd = name == NULL ? -1 : open(name, O_RDWR | O_CLOEXEC);
    void *at = MAP_FAILED;

    if (name == NULL)
        return;
    if (fd >= 0)
        at = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        _exit(86);
    (void)close(fd);
    plan = at;
}
