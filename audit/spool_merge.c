/* audit/spool_merge.c - see spool_merge.h. */
#include "audit/spool_merge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The lowest segment of the slot from `from` on, or 0. */
static uint64_t find_segment(const struct spool_merge *m, unsigned slot, uint64_t from)
{
    struct spool_file *files = NULL;
    size_t n = 0;
    uint64_t found = 0;

    if (spool_list(m->dirfd, &files, &n, NULL) != GW_OK)
        return 0;
    for (size_t i = 0; i < n && found == 0; i++)
        if (files[i].slot == slot && files[i].segno >= from)
            found = files[i].segno;
    free(files);
    return found;
}

/* Opens the source's next segment. False when there is none that can be read now. */
static bool open_next(struct spool_merge *m, struct spool_source *s)
{
    for (;;) {
        struct gw_err why;
        enum gw_status st;
        uint64_t segno = find_segment(m, s->slot, s->next_segno);

        if (segno == 0)
            return false;
        st = spool_reader_open(&s->r, m->dirfd, s->slot, segno, &why);
        if (st == GW_EUNSUPPORTED) {
            m->st = gw_fail(m->err, st, "%s", why.text);
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
static void refill(struct spool_merge *m, struct spool_source *s)
{
    bool last_look = false;

    while (!s->has && m->st == GW_OK) {
        if (s->r.fd < 0 && !open_next(m, s))
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
            if (find_segment(m, s->slot, s->next_segno) == 0)
                return;
            if (last_look) {
                last_look = false;
                if (!open_next(m, s))
                    return;
            } else {
                last_look = true;
            }
            break;
        }
    }
}

void spool_merge_look(struct spool_merge *m)
{
    struct spool_file *files = NULL;
    size_t n = 0;

    if (spool_list(m->dirfd, &files, &n, NULL) != GW_OK)
        return;
    for (size_t i = 0; i < n; i++) {
        struct spool_source *p;
        bool known = false;

        for (size_t k = 0; k < m->n_sources; k++)
            known = known || m->sources[k].slot == files[i].slot;
        if (known)
            continue;
        p = realloc(m->sources, (m->n_sources + 1) * sizeof(*p));
        if (p == NULL) {
            m->st = gw_fail(m->err, GW_ENOMEM, "audit spool: out of memory");
            break;
        }
        m->sources = p;
        m->sources[m->n_sources++] =
            (struct spool_source){.slot = files[i].slot, .r = SPOOL_READER_CLOSED, .next_segno = 1};
    }
    free(files);
}

/* How many records the segment holds. */
static size_t count_records(const struct spool_merge *m, unsigned slot, uint64_t segno)
{
    struct spool_reader r = SPOOL_READER_CLOSED;
    struct spool_rec rec;
    size_t n = 0;

    if (spool_reader_open(&r, m->dirfd, slot, segno, NULL) == GW_OK)
        while (spool_reader_next(&r, &rec) == SPOOL_READ_REC)
            n++;
    spool_reader_fini(&r);
    return n;
}

void spool_merge_skip_to_last(struct spool_merge *m, size_t n)
{
    struct spool_file *files = NULL;
    size_t n_files = 0;

    if (spool_list(m->dirfd, &files, &n_files, NULL) != GW_OK)
        return;
    for (size_t k = 0; k < m->n_sources; k++) {
        size_t have = 0;

        for (size_t i = n_files; i-- > 0 && have < n;) {
            if (files[i].slot != m->sources[k].slot)
                continue;
            have += count_records(m, files[i].slot, files[i].segno);
            m->sources[k].next_segno = files[i].segno;
        }
    }
    free(files);
}

const struct spool_rec *spool_merge_next(struct spool_merge *m)
{
    struct spool_source *best = NULL;

    for (size_t i = 0; i < m->n_sources; i++) {
        struct spool_source *s = &m->sources[i];

        refill(m, s);
        if (s->has && (best == NULL || s->rec.time_ms < best->rec.time_ms))
            best = s;
    }
    if (best == NULL || m->st != GW_OK)
        return NULL;
    best->has = false; /* its reader keeps the bytes until it reads on */
    return &best->rec;
}

enum gw_status spool_merge_open(struct spool_merge *m, const char *spool_dir, struct gw_err *err)
{
    *m = (struct spool_merge){.err = err, .st = GW_OK};
    m->dirfd = open(spool_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (m->dirfd < 0)
        return gw_fail(err, errno == ENOENT ? GW_ENOENT : GW_EIO, "audit spool %s: %s", spool_dir,
                       strerrordesc_np(errno));
    spool_merge_look(m);
    if (m->st == GW_OK)
        return GW_OK;
    spool_merge_fini(m);
    return m->st;
}

void spool_merge_fini(struct spool_merge *m)
{
    for (size_t i = 0; i < m->n_sources; i++)
        spool_reader_fini(&m->sources[i].r);
    free(m->sources);
    (void)close(m->dirfd);
}
