/* engine/gguf_split.c - a model in several files: the first has the metadata, each has some of the tensors.
 *
 * The first says how many there are (split.count); their names differ in a number only. All are opened and their
 * tensors go into one list; the files stay open with the first. Thread: any, one at a time. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gguf_private.h"

enum { MAX_PARTS = 1000, MAX_ALL_TENSORS = 65536 };

/* Reads an optional number. */
static enum gw_status read_number(const struct gguf *g, const char *key, uint64_t max,
                                  uint64_t *out, struct gw_err *err)
{
    return gguf_has(g, key) ? gguf_uint(g, key, max, out, err) : GW_OK;
}

/* The name of part i (from 0): the digits of "-00001-of-00003.gguf" at the end of path are replaced. */
static enum gw_status part_path(const char *path, unsigned i, unsigned n, char out[PATH_MAX],
                                struct gw_err *err)
{
    char tail[48], first[48];
    const size_t len = strlen(path);
    size_t stem;
    int tail_len = snprintf(tail, sizeof(tail), "-%05u-of-%05u.gguf", i + 1, n);

    (void)snprintf(first, sizeof(first), "-%05u-of-%05u.gguf", 1u, n);
    stem = len - (len < strlen(first) ? len : strlen(first));
    if (strcmp(path + stem, first) != 0)
        return gw_fail(err, GW_EPARSE,
                       "this is the first of %u parts of a model: its name must end with %s, as "
                       "those of the others do with their numbers",
                       n, first);
    if (stem + (size_t)tail_len >= PATH_MAX)
        return gw_fail(err, GW_ELIMIT, "the path is too long");
    memcpy(out, path, stem);
    memcpy(out + stem, tail, (size_t)tail_len + 1);
    return GW_OK;
}

/* Is g really part i of n? */
static enum gw_status check_part(const struct gguf *g, unsigned i, unsigned n, struct gw_err *err)
{
    uint64_t no = UINT64_MAX, count = 0;

    GW_TRY(gguf_uint(g, "split.no", MAX_PARTS, &no, err));
    GW_TRY(gguf_uint(g, "split.count", MAX_PARTS, &count, err));
    if (no != i || count != n)
        return gw_fail(err, GW_EPARSE, "GGUF: it is part %llu of %llu, not %u of %u",
                       (unsigned long long)no + 1, (unsigned long long)count, i + 1, n);
    return GW_OK;
}

static enum gw_status add_tensors(struct gguf *g, const struct gguf *part, struct gw_err *err)
{
    const size_t n = g->n_tensors + part->n_tensors;
    struct gguf_tensor *all;

    if (n > MAX_ALL_TENSORS)
        return gw_fail(err, GW_ELIMIT, "GGUF: the parts have more than %d tensors",
                       MAX_ALL_TENSORS);
    all = reallocarray(g->tensors, n + 1, sizeof(*all));
    if (all == NULL)
        return gw_fail(err, GW_ENOMEM, "GGUF: out of memory for %zu tensors", n);
    g->tensors = all;
    memcpy(all + g->n_tensors, part->tensors, part->n_tensors * sizeof(*all));
    g->n_tensors = n;
    return GW_OK;
}

static enum gw_status open_part(struct gguf *g, const char *first, unsigned i, unsigned n,
                                struct gw_err *err)
{
    struct gguf *part = NULL;
    char path[PATH_MAX];
    enum gw_status st;

    GW_TRY(part_path(first, i, n, path, err));
    GW_TRY(gguf_open_one(path, &part, err));
    st = check_part(part, i, n, err);
    if (st == GW_OK)
        st = add_tensors(g, part, err);
    if (st != GW_OK) {
        gguf_close(part);
        return st == GW_ENOENT ? GW_EPARSE : st;
    }
    g->parts[g->n_parts++] = part;
    return GW_OK;
}

static enum gw_status open_parts(struct gguf *g, const char *first, unsigned n, struct gw_err *err)
{
    g->parts = calloc(n, sizeof(struct gguf *));
    if (g->parts == NULL)
        return gw_fail(err, GW_ENOMEM, "GGUF: out of memory");
    for (unsigned i = 1; i < n; i++)
        GW_TRY(open_part(g, first, i, n, err));
    return GW_OK;
}

static enum gw_status index_all(struct gguf *g, struct gw_err *err)
{
    GW_TRY(gguf_index_reset(g, g->n_tensors, err));
    for (size_t i = 0; i < g->n_tensors; i++)
        GW_TRY(gguf_index_tensor(g, i, err));
    return GW_OK;
}

enum gw_status gguf_join(struct gguf *g, const char *path, struct gw_err *err)
{
    uint64_t count = 0, no = 0, said = 0;

    GW_TRY(read_number(g, "split.count", MAX_PARTS, &count, err));
    if (count < 2)
        return GW_OK;
    GW_TRY(read_number(g, "split.no", MAX_PARTS, &no, err));
    if (no != 0)
        return gw_fail(err, GW_EINVAL,
                       "this is part %llu of a model of %llu: name its first part, ...-00001-of-"
                       "%05llu.gguf",
                       (unsigned long long)no + 1, (unsigned long long)count,
                       (unsigned long long)count);
    GW_TRY(open_parts(g, path, (unsigned)count, err));
    GW_TRY(read_number(g, "split.tensors.count", UINT32_MAX, &said, err));
    if (said != 0 && said != g->n_tensors)
        return gw_fail(err, GW_EPARSE, "GGUF: the %llu parts have %zu tensors, not %llu",
                       (unsigned long long)count, g->n_tensors, (unsigned long long)said);
    return index_all(g, err);
}
