/* audit/ledger_scan.c - see ledger_scan.h. Owns its threads and their results. */
#include "audit/ledger_scan.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_THREADS = 8, SLOTS = MAX_THREADS + 2, MAX_GAPS = 10000 };

struct ledger_scanner {
    int dirfd;
    const struct spool_file *files;
    size_t n_files;
    pthread_t threads[MAX_THREADS];
    unsigned n_threads;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    struct slot {
        struct ledger_scan scan;
        bool done;
    } slots[SLOTS];
    size_t begun, taken; /* segments; begun < taken + SLOTS */
    bool stop;
};

/* ---- one segment -------------------------------------------------------------------------------- */

static bool add_record(struct ledger_scan *s, const struct spool_rec *rec)
{
    struct ledger_scan_rec *r;

    if (s->n == s->cap) {
        size_t cap = s->cap == 0 ? 4096 : s->cap * 2;
        void *p = realloc(s->recs, cap * sizeof(*s->recs));

        if (p == NULL)
            return false;
        s->recs = p;
        s->cap = cap;
    }
    r = &s->recs[s->n++];
    r->seq = rec->seq;
    r->linked = (unsigned char)spool_link_read(rec->payload, r->before);
    spool_print(rec->payload, r->print.bytes);
    return true;
}

static bool add_gap(struct ledger_scan *s, struct gw_span record)
{
    struct ledger_gap g, *p;

    if (s->n_gaps == MAX_GAPS || !ledger_gap_read(record, &g))
        return true;
    p = realloc(s->gaps, (s->n_gaps + 1) * sizeof(*p));
    if (p == NULL)
        return false;
    s->gaps = p;
    s->gaps[s->n_gaps++] = g;
    return true;
}

static void scan_records(struct spool_reader *r, struct ledger_scan *s)
{
    struct spool_rec rec;

    for (;;) {
        switch (spool_reader_next(r, &rec)) {
        case SPOOL_READ_REC:
            if (!add_record(s, &rec) ||
                (rec.kind == SPOOL_KIND_LIFECYCLE && !add_gap(s, rec.payload))) {
                s->st = gw_fail(&s->err, GW_ENOMEM, "out of memory");
                return;
            }
            break;
        case SPOOL_READ_END:
            return;
        case SPOOL_READ_EIO:
            s->unreadable = true;
            return;
        case SPOOL_READ_TORN:
        case SPOOL_READ_BAD: {
            const uint64_t skipped = spool_reader_resync(r);

            if (skipped == 0)
                return;
            s->bad_bytes += skipped;
            break;
        }
        }
    }
}

/* Makes s what the file holds; its memory is used again. */
static void scan_segment(const struct ledger_scanner *sc, const struct spool_file *f,
                         struct spool_reader *r, struct ledger_scan *s)
{
    free(s->gaps);
    leaf_file_fini(&s->leaf);
    *s = (struct ledger_scan){.recs = s->recs, .cap = s->cap};
    s->leaf_st = leaf_read(sc->dirfd, f->slot, f->segno, &s->leaf);
    s->st = spool_reader_open(r, sc->dirfd, f->slot, f->segno, &s->err);
    s->header = r->header;
    if (s->st == GW_OK || s->st == GW_ECORRUPT)
        scan_records(r, s);
}

/* ---- threads ------------------------------------------------------------------------------------ */

static bool may_begin(const struct ledger_scanner *sc)
{
    return sc->begun < sc->n_files && sc->begun < sc->taken + SLOTS - 1;
}

static void *scan_run(void *arg)
{
    struct spool_reader r = SPOOL_READER_CLOSED;
    struct ledger_scanner *sc = arg;

    (void)pthread_mutex_lock(&sc->lock);
    while (!sc->stop && sc->begun < sc->n_files) {
        size_t i;

        if (!may_begin(sc)) {
            (void)pthread_cond_wait(&sc->changed, &sc->lock);
            continue;
        }
        i = sc->begun++;
        (void)pthread_mutex_unlock(&sc->lock);
        scan_segment(sc, &sc->files[i], &r, &sc->slots[i % SLOTS].scan);
        (void)pthread_mutex_lock(&sc->lock);
        sc->slots[i % SLOTS].done = true;
        (void)pthread_cond_broadcast(&sc->changed);
    }
    (void)pthread_mutex_unlock(&sc->lock);
    spool_reader_fini(&r);
    return NULL;
}

struct ledger_scanner *ledger_scanner_new(int dirfd, const struct spool_file *files, size_t n)
{
    struct ledger_scanner *sc = calloc(1, sizeof(*sc));
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t want = cpus < 1 ? 1 : (size_t)cpus;

    if (sc == NULL)
        return NULL;
    sc->dirfd = dirfd;
    sc->files = files;
    sc->n_files = n;
    (void)pthread_mutex_init(&sc->lock, NULL);
    (void)pthread_cond_init(&sc->changed, NULL);
    want = want > MAX_THREADS ? MAX_THREADS : want;
    want = want > n ? n : want;
    while (sc->n_threads < want &&
           pthread_create(&sc->threads[sc->n_threads], NULL, scan_run, sc) == 0)
        sc->n_threads++;
    return sc;
}

const struct ledger_scan *ledger_scanner_take(struct ledger_scanner *sc)
{
    const size_t i = sc->taken;
    struct slot *slot = &sc->slots[i % SLOTS];

    if (sc->n_threads == 0) { /* the system gives none: here and now */
        struct spool_reader r = SPOOL_READER_CLOSED;

        scan_segment(sc, &sc->files[i], &r, &slot->scan);
        spool_reader_fini(&r);
        sc->taken++;
        return &slot->scan;
    }
    (void)pthread_mutex_lock(&sc->lock);
    while (!slot->done)
        (void)pthread_cond_wait(&sc->changed, &sc->lock);
    slot->done = false;
    sc->taken++; /* one slot more than may be begun: this one stays until the next call */
    (void)pthread_cond_broadcast(&sc->changed);
    (void)pthread_mutex_unlock(&sc->lock);
    return &slot->scan;
}

void ledger_scanner_free(struct ledger_scanner *sc)
{
    if (sc == NULL)
        return;
    (void)pthread_mutex_lock(&sc->lock);
    sc->stop = true;
    (void)pthread_cond_broadcast(&sc->changed);
    (void)pthread_mutex_unlock(&sc->lock);
    for (unsigned i = 0; i < sc->n_threads; i++)
        (void)pthread_join(sc->threads[i], NULL);
    for (size_t i = 0; i < SLOTS; i++) {
        free(sc->slots[i].scan.recs);
        free(sc->slots[i].scan.gaps);
        leaf_file_fini(&sc->slots[i].scan.leaf);
    }
    (void)pthread_cond_destroy(&sc->changed);
    (void)pthread_mutex_destroy(&sc->lock);
    free(sc);
}
