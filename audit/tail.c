/* audit/tail.c - prints the records of a spool, also of one that is being written.
 *
 * Takes no lock and writes nothing. The slots are merged by the records' times. Thread: the caller's. */
#include "audit/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/event_read.h"
#include "audit/spool_read.h"

enum { FOLLOW_MS = 100, MAX_LAST = 1000000 };

/* One slot being read. */
struct source {
    unsigned slot;
    struct spool_reader r; /* r.segno: where reading goes on; fd -1: not opened yet */
    uint64_t next_segno;   /* to open when fd is -1 */
    struct spool_rec rec;  /* the next record, when there is one */
    bool has;
};

struct tail {
    const struct audit_tail *t;
    int dirfd;
    struct source *sources;
    size_t n_sources;
    FILE *out;
    struct gw_buf line;
    /* the last records of a finished merge, as lines */
    char **ring;
    size_t ring_at, ring_len;
    enum gw_status st; /* GW_EUNSUPPORTED, GW_ENOMEM: ends it */
    struct gw_err *err;
};

static bool stopped(const struct tail *tl)
{
    return tl->st != GW_OK || (tl->t->stop != NULL && *tl->t->stop != 0);
}

/* ---- reading ----------------------------------------------------------------------------------- */

/* The lowest segment of the slot from `from` on, or 0. */
static uint64_t find_segment(const struct tail *tl, unsigned slot, uint64_t from)
{
    struct spool_file *files = NULL;
    size_t n = 0;
    uint64_t found = 0;

    if (spool_list(tl->dirfd, &files, &n, NULL) != GW_OK)
        return 0;
    for (size_t i = 0; i < n && found == 0; i++)
        if (files[i].slot == slot && files[i].segno >= from)
            found = files[i].segno;
    free(files);
    return found;
}

/* Opens the source's next segment. False when there is none that can be read now. */
static bool open_next(struct tail *tl, struct source *s)
{
    for (;;) {
        struct gw_err why;
        enum gw_status st;
        uint64_t segno = find_segment(tl, s->slot, s->next_segno);

        if (segno == 0)
            return false;
        st = spool_reader_open(&s->r, tl->dirfd, s->slot, segno, &why);
        if (st == GW_EUNSUPPORTED) {
            tl->st = gw_fail(tl->err, st, "%s", why.text);
            return false;
        }
        if (st == GW_OK || st == GW_ECORRUPT) {
            s->next_segno = segno + 1;
            return true;
        }
        s->next_segno = segno + 1; /* deleted meanwhile, or not readable */
    }
}

/* Makes s->rec the next record of the slot, if there is one now. */
static void refill(struct tail *tl, struct source *s)
{
    bool last_look = false;

    while (!s->has && !stopped(tl)) {
        if (s->r.fd < 0 && !open_next(tl, s))
            return;
        switch (spool_reader_next(&s->r, &s->rec)) {
        case SPOOL_READ_REC:
            s->has = true;
            return;
        case SPOOL_READ_BAD:
            if (spool_reader_resync(&s->r) == 0)
                return;
            break;
        case SPOOL_READ_EIO:
            return;
        case SPOOL_READ_TORN:
        case SPOOL_READ_END:
            /* The end for now. With a newer segment there this one is finished, but it may have grown
             * between the two looks. */
            if (find_segment(tl, s->slot, s->next_segno) == 0)
                return;
            if (last_look) {
                last_look = false;
                if (!open_next(tl, s))
                    return;
            } else {
                last_look = true;
            }
            break;
        }
    }
}

/* Adds sources for slots that are new. */
static void find_sources(struct tail *tl)
{
    struct spool_file *files = NULL;
    size_t n = 0;

    if (spool_list(tl->dirfd, &files, &n, NULL) != GW_OK)
        return;
    for (size_t i = 0; i < n; i++) {
        struct source *p;
        bool known = false;

        for (size_t k = 0; k < tl->n_sources; k++)
            known = known || tl->sources[k].slot == files[i].slot;
        if (known)
            continue;
        p = realloc(tl->sources, (tl->n_sources + 1) * sizeof(*p));
        if (p == NULL) {
            tl->st = gw_fail(tl->err, GW_ENOMEM, "audit tail: out of memory");
            break;
        }
        tl->sources = p;
        tl->sources[tl->n_sources++] =
            (struct source){.slot = files[i].slot, .r = SPOOL_READER_CLOSED, .next_segno = 1};
    }
    free(files);
}

/* How many records the segment holds. */
static size_t count_records(const struct tail *tl, unsigned slot, uint64_t segno)
{
    struct spool_reader r = SPOOL_READER_CLOSED;
    struct spool_rec rec;
    size_t n = 0;

    if (spool_reader_open(&r, tl->dirfd, slot, segno, NULL) == GW_OK)
        while (spool_reader_next(&r, &rec) == SPOOL_READ_REC)
            n++;
    spool_reader_fini(&r);
    return n;
}

/* Lets every source begin at a segment behind which the last records certainly are. */
static void skip_to_last(struct tail *tl)
{
    struct spool_file *files = NULL;
    size_t n = 0;

    if (tl->t->last == 0 || tl->t->request_id != NULL ||
        spool_list(tl->dirfd, &files, &n, NULL) != GW_OK)
        return;
    for (size_t k = 0; k < tl->n_sources; k++) {
        size_t have = 0;

        for (size_t i = n; i-- > 0 && have < tl->t->last;) {
            if (files[i].slot != tl->sources[k].slot)
                continue;
            have += count_records(tl, files[i].slot, files[i].segno);
            tl->sources[k].next_segno = files[i].segno;
        }
    }
    free(files);
}

/* The source with the earliest record, or NULL when all are at their end. */
static struct source *earliest(struct tail *tl)
{
    struct source *best = NULL;

    for (size_t i = 0; i < tl->n_sources; i++) {
        struct source *s = &tl->sources[i];

        refill(tl, s);
        if (s->has && (best == NULL || s->rec.time_ms < best->rec.time_ms))
            best = s;
    }
    return best;
}

/* ---- printing ---------------------------------------------------------------------------------- */

static bool wanted(const struct tail *tl, const struct spool_rec *rec)
{
    char id[EVENT_ID_BYTES];

    return tl->t->request_id == NULL ||
           gw_span_is(event_request_id(rec->payload, id), tl->t->request_id);
}

static void format(struct tail *tl, const struct spool_rec *rec)
{
    gw_buf_clear(&tl->line);
    if (tl->t->json) {
        gw_buf_add(&tl->line, rec->payload);
        gw_buf_addc(&tl->line, '\n');
    } else {
        tail_line(rec, tl->t->color, &tl->line);
    }
    if (!gw_buf_ok(&tl->line))
        tl->st = gw_fail(tl->err, GW_ENOMEM, "audit tail: out of memory");
}

static void print(struct tail *tl)
{
    if (fwrite(tl->line.ptr, 1, tl->line.len, tl->out) != tl->line.len)
        tl->st = gw_fail(tl->err, GW_EIO, "audit tail: cannot write the output: %s",
                         strerrordesc_np(errno));
}

/* Keeps the line as one of the last ones. */
static void keep(struct tail *tl)
{
    char *line = strdup(tl->line.ptr);

    if (line == NULL) {
        tl->st = gw_fail(tl->err, GW_ENOMEM, "audit tail: out of memory");
        return;
    }
    free(tl->ring[tl->ring_at]);
    tl->ring[tl->ring_at] = line;
    tl->ring_at = (tl->ring_at + 1) % tl->t->last;
    if (tl->ring_len < tl->t->last)
        tl->ring_len++;
}

/* Goes through what there is now. */
static void pass(struct tail *tl)
{
    struct source *s;

    while (!stopped(tl) && (s = earliest(tl)) != NULL) {
        if (wanted(tl, &s->rec)) {
            format(tl, &s->rec);
            if (tl->st == GW_OK && tl->ring != NULL)
                keep(tl);
            else if (tl->st == GW_OK)
                print(tl);
        }
        s->has = false;
    }
}

static void print_kept(struct tail *tl)
{
    for (size_t i = 0; i < tl->ring_len && tl->st == GW_OK; i++) {
        size_t at = (tl->ring_at + tl->t->last - tl->ring_len + i) % tl->t->last;

        gw_buf_clear(&tl->line);
        gw_buf_adds(&tl->line, tl->ring[at]);
        print(tl);
    }
    for (size_t i = 0; i < tl->ring_len; i++)
        free(tl->ring[i]);
    free((void *)tl->ring);
    tl->ring = NULL;
}

static void follow(struct tail *tl)
{
    while (!stopped(tl)) {
        (void)fflush(tl->out);
        (void)poll(NULL, 0, FOLLOW_MS);
        find_sources(tl);
        pass(tl);
    }
}

enum gw_status audit_tail(const struct audit_tail *t, FILE *out, struct gw_err *err)
{
    struct tail tl = {.t = t, .out = out, .err = err, .st = GW_OK};

    if (t->last > MAX_LAST)
        return gw_fail(err, GW_EINVAL, "audit tail: at most the last %d records", MAX_LAST);
    tl.dirfd = open(t->spool_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (tl.dirfd < 0)
        return gw_fail(err, errno == ENOENT ? GW_ENOENT : GW_EIO, "audit spool %s: %s",
                       t->spool_dir, strerrordesc_np(errno));
    if (t->last != 0) {
        tl.ring = calloc(t->last, sizeof(*tl.ring));
        if (tl.ring == NULL)
            tl.st = gw_fail(err, GW_ENOMEM, "audit tail: out of memory");
    }
    if (!t->json && t->color && tl.st == GW_OK) {
        tail_heading(t->color, &tl.line);
        print(&tl);
    }
    find_sources(&tl);
    skip_to_last(&tl);
    pass(&tl);
    if (tl.ring != NULL)
        print_kept(&tl);
    if (t->follow)
        follow(&tl);
    (void)fflush(out);
    for (size_t i = 0; i < tl.n_sources; i++)
        spool_reader_fini(&tl.sources[i].r);
    free(tl.sources);
    gw_buf_fini(&tl.line);
    (void)close(tl.dirfd);
    return tl.st;
}
