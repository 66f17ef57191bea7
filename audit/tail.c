/* audit/tail.c - prints the records of a spool, also of one that is being written.
 *
 * Takes no lock and writes nothing. Thread: the caller's. */
#include "audit/tail.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "audit/query_filter.h"
#include "audit/spool_merge.h"

enum { FOLLOW_MS = 100, MAX_LAST = 1000000 };

struct tail {
    const struct audit_tail *t;
    uint32_t given; /* conditions */
    struct spool_merge merge;
    FILE *out;
    struct gw_buf line;
    /* the last records of a finished merge, as lines */
    char **ring;
    size_t ring_at, ring_len;
    enum gw_status st; /* GW_ENOMEM, GW_EIO: ends it */
    struct gw_err *err;
};

static bool stopped(const struct tail *tl)
{
    return tl->st != GW_OK || tl->merge.st != GW_OK || (tl->t->stop != NULL && *tl->t->stop != 0);
}

/* ---- printing ---------------------------------------------------------------------------------- */

static bool wanted(const struct tail *tl, const struct spool_rec *rec)
{
    return tl->given == 0 || query_held(&tl->t->filter, rec, false) == tl->given;
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
    const struct spool_rec *rec;

    while (!stopped(tl) && (rec = spool_merge_next(&tl->merge)) != NULL) {
        if (!wanted(tl, rec))
            continue;
        format(tl, rec);
        if (tl->st == GW_OK && tl->ring != NULL)
            keep(tl);
        else if (tl->st == GW_OK)
            print(tl);
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
        spool_merge_look(&tl->merge);
        pass(tl);
    }
}

enum gw_status audit_tail(const struct audit_tail *t, FILE *out, struct gw_err *err)
{
    struct tail tl = {
        .t = t, .given = query_given(&t->filter), .out = out, .err = err, .st = GW_OK};

    if (t->last > MAX_LAST)
        return gw_fail(err, GW_EINVAL, "audit tail: at most the last %d records", MAX_LAST);
    GW_TRY(spool_merge_open(&tl.merge, t->spool_dir, err));
    if (t->last != 0) {
        tl.ring = calloc(t->last, sizeof(*tl.ring));
        if (tl.ring == NULL)
            tl.st = gw_fail(err, GW_ENOMEM, "audit tail: out of memory");
    }
    if (!t->json && t->color && tl.st == GW_OK) {
        tail_heading(t->color, &tl.line);
        print(&tl);
    }
    if (t->last != 0 && tl.given == 0)
        spool_merge_skip_to_last(&tl.merge, t->last);
    pass(&tl);
    if (tl.ring != NULL)
        print_kept(&tl);
    if (t->follow)
        follow(&tl);
    (void)fflush(out);
    gw_buf_fini(&tl.line);
    spool_merge_fini(&tl.merge);
    return tl.st != GW_OK ? tl.st : tl.merge.st;
}
