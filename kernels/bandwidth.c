/* kernels/bandwidth.c - measures how fast the machine reads memory, as the limit of decode.
 *
 * Owns its threads and buffers for the length of the call. Each thread sums its own buffer, larger than
 * any share of a cache, several times; a pass counts when all threads ran it together. */
#include <sys/mman.h>

#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "kernels/kernels.h"

enum {
    MAX_THREADS = 64,
    PASSES = 6,
    TOTAL_BYTES = 512 << 20, /* of all threads together */
    UNIT_BYTES = 2 << 20,
};

struct probe {
    pthread_mutex_t gate; /* held until all threads exist, or one could not be made */
    bool called_off;      /* written under gate */
    pthread_barrier_t barrier;
    unsigned n_threads;
    size_t bytes;                                        /* of each thread's buffer */
    uint64_t start_ns[MAX_THREADS], end_ns[MAX_THREADS]; /* of this pass */
    uint64_t best_ns;                                    /* shortest pass; written by thread 0 */
};

struct probe_thread {
    struct probe *p;
    const uint64_t *data;
    unsigned id;
    uint64_t sum; /* kept, so that the reads are not optimised away */
};

/* Eight independent sums: enough loads in flight for one core's share of the memory. */
static uint64_t sum_words(const uint64_t *data, size_t n)
{
    uint64_t s[8] = {0}, all = 0;

    for (size_t i = 0; i + 8 <= n; i += 8)
        for (unsigned j = 0; j < 8; j++)
            s[j] += data[i + j];
    for (unsigned j = 0; j < 8; j++)
        all += s[j];
    return all;
}

/* From the first thread's start to the last one's end: a thread that wakes up late must not make the pass
 * look shorter. */
static uint64_t pass_ns(const struct probe *p)
{
    uint64_t start = p->start_ns[0], end = p->end_ns[0];

    for (unsigned i = 1; i < p->n_threads; i++) {
        start = p->start_ns[i] < start ? p->start_ns[i] : start;
        end = p->end_ns[i] > end ? p->end_ns[i] : end;
    }
    return end - start;
}

static void run_passes(struct probe_thread *t)
{
    struct probe *p = t->p;

    for (unsigned i = 0; i < PASSES; i++) {
        (void)pthread_barrier_wait(&p->barrier);
        p->start_ns[t->id] = gw_clock_ns();
        t->sum += sum_words(t->data, p->bytes / sizeof(*t->data));
        p->end_ns[t->id] = gw_clock_ns();
        (void)pthread_barrier_wait(&p->barrier);
        if (t->id == 0 && pass_ns(p) < p->best_ns)
            p->best_ns = pass_ns(p);
        (void)pthread_barrier_wait(&p->barrier); /* before the times are written again */
    }
}

static void *probe_main(void *arg)
{
    struct probe_thread *t = arg;

    pthread_mutex_lock(&t->p->gate);
    bool run = !t->p->called_off;
    pthread_mutex_unlock(&t->p->gate);
    if (run)
        run_passes(t);
    return NULL;
}

/* Reserves bytes for each of n threads, in one mapping, backed by memory of its own: untouched pages all
 * alias one page of zeros and would be read from a cache. */
static char *map_buffers(size_t bytes, unsigned n)
{
    char *mem = mmap(NULL, bytes * n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (mem == MAP_FAILED)
        return NULL;
    (void)madvise(mem, bytes * n, MADV_HUGEPAGE);
    for (size_t i = 0; i < bytes * n; i += 4096)
        mem[i] = (char)i;
    return mem;
}

static size_t bytes_per_thread(unsigned threads)
{
    long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t total = TOTAL_BYTES;

    if (pages > 0 && page > 0 && (size_t)pages < total / (size_t)page * 2)
        total = (size_t)pages * (size_t)page / 2;
    return total / threads / UNIT_BYTES * UNIT_BYTES;
}

/* Starts threads 1 .. n - 1 behind the gate; returns how many exist, n when all do. */
static unsigned start_threads(struct probe_thread *t, pthread_t *ids, unsigned n)
{
    unsigned i = 1;

    while (i < n && pthread_create(&ids[i], NULL, probe_main, &t[i]) == 0)
        i++;
    return i;
}

double kern_read_bandwidth(unsigned threads)
{
    unsigned n = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    struct probe p = {.n_threads = n, .bytes = bytes_per_thread(n), .best_ns = UINT64_MAX};
    struct probe_thread t[MAX_THREADS];
    pthread_t ids[MAX_THREADS];
    char *mem = p.bytes > 0 ? map_buffers(p.bytes, n) : NULL;

    if (mem == NULL)
        return 0;
    for (unsigned i = 0; i < n; i++)
        t[i] = (struct probe_thread){
            .p = &p,
            .data = (const uint64_t *)(const void *)(mem + i * p.bytes),
            .id = i,
        };
    pthread_mutex_init(&p.gate, NULL);
    pthread_barrier_init(&p.barrier, NULL, n);
    pthread_mutex_lock(&p.gate);
    unsigned started = start_threads(t, ids, n);

    p.called_off = started < n;
    pthread_mutex_unlock(&p.gate);
    if (!p.called_off)
        run_passes(&t[0]);
    for (unsigned i = 1; i < started; i++)
        (void)pthread_join(ids[i], NULL);
    pthread_barrier_destroy(&p.barrier);
    pthread_mutex_destroy(&p.gate);
    (void)munmap(mem, p.bytes * n);
    return p.called_off || p.best_ns == 0 ? 0 : (double)p.bytes * n / (double)p.best_ns;
}
