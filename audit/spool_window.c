/* audit/spool_window.c - see spool_window.h. Owns the mappings and the process' handler of SIGBUS. */
#include "audit/spool_window.h"

#include <sys/mman.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "audit/spool.h"

/* ---- storing ----------------------------------------------------------------------------------- */

/* Where a thread stores right now, and where it goes on when a page cannot be had. */
static _Thread_local struct {
    const char *from, *to; /* NULL: it stores nothing */
    sigjmp_buf out;
} store_guard;
static struct sigaction bus_before;
static pthread_once_t bus_once = PTHREAD_ONCE_INIT;

static void on_bus(int sig, siginfo_t *info, void *context)
{
    const ucontext_t *interrupted = context;
    const char *at = info->si_addr;

    if (store_guard.from != NULL && at >= store_guard.from && at < store_guard.to) {
        store_guard.from = NULL;
        /* Nobody returns from here: the signals that are blocked meanwhile would stay so. */
        (void)pthread_sigmask(SIG_SETMASK, &interrupted->uc_sigmask, NULL);
        siglongjmp(store_guard.out, 1);
    }
    /* Not ours: as it was before, and once more. */
    (void)sigaction(sig, &bus_before, NULL);
}

static void catch_bus(void)
{
    struct sigaction sa = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};

    (void)sigemptyset(&sa.sa_mask);
    (void)sigaction(SIGBUS, &sa, &bus_before);
}

/* The magic last: until then there is no record. */
static __attribute__((noinline)) bool store(char *to, const char *record, size_t n)
{
    enum { MAGIC = 4 };

    store_guard.to = to + n;
    if (sigsetjmp(store_guard.out, 0) != 0)
        return false;
    atomic_signal_fence(memory_order_seq_cst);
    store_guard.from = to;
    atomic_signal_fence(memory_order_seq_cst);
    memcpy(to + MAGIC, record + MAGIC, n - MAGIC);
    atomic_thread_fence(memory_order_release);
    memcpy(to, record, MAGIC);
    atomic_signal_fence(memory_order_seq_cst);
    store_guard.from = NULL;
    return true;
}

/* ---- the writing thread ------------------------------------------------------------------------- */

static void unmap(struct spool_map *m)
{
    if (m->ptr != NULL)
        (void)munmap(m->ptr, (size_t)(m->to - m->from));
    *m = (struct spool_map){NULL, 0, 0};
}

void spool_window_init(struct spool_window *w)
{
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_once(&bus_once, catch_bus);
}

void spool_window_fini(struct spool_window *w)
{
    (void)spool_window_drop(w);
    (void)pthread_mutex_destroy(&w->lock);
}

/* Goes over to the next window, if it is ready. */
static void next(struct spool_window *w)
{
    if (pthread_mutex_trylock(&w->lock) != 0)
        return;
    if (atomic_load(&w->state) == SPOOL_WINDOW_READY) {
        unmap(&w->past); /* the keeper has not come by since */
        w->past = w->now;
        w->now = w->next;
        w->next = (struct spool_map){NULL, 0, 0};
        atomic_store(&w->state, SPOOL_WINDOW_NONE);
    }
    (void)pthread_mutex_unlock(&w->lock);
}

static bool holds(const struct spool_map *m, uint64_t at, size_t n)
{
    return m->ptr != NULL && at >= m->from && at < m->to && n <= m->to - at;
}

bool spool_window_put(struct spool_window *w, uint64_t at, const char *record, size_t n,
                      bool *failed)
{
    if (!holds(&w->now, at, n) && atomic_load(&w->state) == SPOOL_WINDOW_READY)
        next(w);
    if (!holds(&w->now, at, n))
        return false;
    *failed = !store(w->now.ptr + (at - w->now.from), record, n);
    return !*failed;
}

void spool_window_ask(struct spool_window *w, uint64_t segno, uint64_t at, uint64_t max)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t from = at & ~(page - 1);

    if (spool_io.allocate == NULL || atomic_load(&w->state) != SPOOL_WINDOW_NONE)
        return;
    if (w->now.ptr != NULL && at < w->now.to) {
        if (w->now.to - at > SPOOL_WINDOW_BYTES / 2)
            return;
        from = w->now.to;
    }
    if (from >= max || pthread_mutex_trylock(&w->lock) != 0)
        return;
    w->segno = segno;
    w->from = from;
    w->max = (max + page - 1) & ~(page - 1);
    atomic_store(&w->state, SPOOL_WINDOW_ASKED);
    (void)pthread_mutex_unlock(&w->lock);
    w->news = true;
}

bool spool_window_news(struct spool_window *w)
{
    bool news = w->news;

    w->news = false;
    return news;
}

uint64_t spool_window_drop(struct spool_window *w)
{
    uint64_t allocated;

    (void)pthread_mutex_lock(&w->lock);
    allocated = w->allocated;
    w->allocated = 0;
    unmap(&w->now);
    unmap(&w->next);
    unmap(&w->past);
    atomic_store(&w->state, SPOOL_WINDOW_NONE);
    (void)pthread_mutex_unlock(&w->lock);
    return allocated;
}

/* ---- the keeper --------------------------------------------------------------------------------- */

bool spool_window_wanted(struct spool_window *w, uint64_t *segno)
{
    bool wanted = false;

    if (atomic_load(&w->state) != SPOOL_WINDOW_ASKED)
        return false;
    (void)pthread_mutex_lock(&w->lock);
    if (atomic_load(&w->state) == SPOOL_WINDOW_ASKED) {
        *segno = w->segno;
        wanted = true;
    }
    unmap(&w->past);
    (void)pthread_mutex_unlock(&w->lock);
    return wanted;
}

/* The file gets its room (W1). */
static bool allocate(struct spool_window *w, int fd, uint64_t segno, struct spool_map *m)
{
    bool ok = false;

    (void)pthread_mutex_lock(&w->lock);
    if (atomic_load(&w->state) == SPOOL_WINDOW_ASKED && w->segno == segno) {
        m->from = w->from;
        m->to = m->from + SPOOL_WINDOW_BYTES < w->max ? m->from + SPOOL_WINDOW_BYTES : w->max;
        ok = spool_io.allocate(fd, 0, (off_t)m->from, (off_t)(m->to - m->from)) == 0;
        if (ok && m->to > w->allocated)
            w->allocated = m->to;
    }
    (void)pthread_mutex_unlock(&w->lock);
    return ok;
}

/* Maps it, and has its pages made: the writing thread shall find them. */
static bool map(int fd, struct spool_map *m)
{
    const size_t n = (size_t)(m->to - m->from);
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)m->from);

    if (p == MAP_FAILED)
        return false;
    m->ptr = p;
    if (madvise(p, n, MADV_POPULATE_WRITE) == 0 || errno == EINVAL) /* before Linux 5.14 */
        return true;
    unmap(m);
    return false;
}

void spool_window_make(struct spool_window *w, int dirfd, const char *name, uint64_t segno)
{
    int fd = openat(dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct spool_map m = {NULL, 0, 0};
    bool ok = fd >= 0 && allocate(w, fd, segno, &m) && map(fd, &m);

    if (fd >= 0)
        (void)close(fd);
    (void)pthread_mutex_lock(&w->lock);
    if (atomic_load(&w->state) == SPOOL_WINDOW_ASKED && w->segno == segno) {
        if (ok) {
            w->next = m;
            m.ptr = NULL;
        }
        atomic_store(&w->state, ok ? SPOOL_WINDOW_READY : SPOOL_WINDOW_FAILED);
    }
    (void)pthread_mutex_unlock(&w->lock);
    unmap(&m);
}
