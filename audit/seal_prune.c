/* audit/seal_prune.c - see seal_prune.h. */
#include "audit/seal_prune.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/leaf_file.h"
#include "audit/note.h"
#include "audit/seal.h"
#include "audit/seal_key.h"
#include "audit/spool_read.h"

#define MAX_NOTES_BYTES ((size_t)1 << 30)

/* A tree of which records are in the spool. */
struct tree {
    char origin[NOTE_ORIGIN_BYTES];
    uint64_t gone; /* so many of its records are not, from the first on */
};

struct prune {
    int dirfd;
    struct tree *trees;
    size_t n_trees;
    int64_t oldest_ms; /* when the oldest segment was begun; 0: there is none */
};

void seal_pruned_read(struct gw_span text, struct seal_pruned *out)
{
    static const char word[] = "pruned ";
    char line[SEAL_PRUNED_BYTES + 1] = "";
    unsigned long long offset, carried;
    char *end;

    *out = (struct seal_pruned){.offset = 0};
    if (text.len < SEAL_PRUNED_BYTES || memcmp(text.ptr, word, sizeof(word) - 1) != 0)
        return;
    memcpy(line, text.ptr, SEAL_PRUNED_BYTES);
    offset = strtoull(line + sizeof(word) - 1, &end, 10);
    carried = strtoull(end, &end, 10);
    if (strcmp(end, "\n\n") != 0)
        return;
    *out = (struct seal_pruned){offset, SEAL_PRUNED_BYTES, (size_t)carried};
}

/* ---- what is there --------------------------------------------------------------------------- */

static struct tree *find(const struct prune *p, struct gw_span origin)
{
    for (size_t i = 0; i < p->n_trees; i++)
        if (gw_span_is(origin, p->trees[i].origin))
            return &p->trees[i];
    return NULL;
}

/* A segment whose hashes carry the tree on. Segments come in their order, so the first of a tree says what is gone. */
static bool add_tree(struct prune *p, const struct leaf_head *head)
{
    char origin[NOTE_ORIGIN_BYTES];
    struct tree *grown;

    seal_origin(head->chain, head->first_seq, origin, sizeof(origin));
    if (find(p, gw_span_str(origin)) != NULL)
        return true;
    grown = realloc(p->trees, (p->n_trees + 1) * sizeof(*grown));
    if (grown == NULL)
        return false;
    p->trees = grown;
    grown = &p->trees[p->n_trees++];
    memcpy(grown->origin, origin, sizeof(origin));
    grown->gone = head->base.size;
    return true;
}

/* False: not all is known of what is there. newest: of its slot; it may have no hashes yet. */
static bool look_at(struct prune *p, const struct spool_file *f, struct spool_reader *r,
                    bool newest)
{
    struct leaf_head head;
    enum gw_status st = spool_reader_open(r, p->dirfd, f->slot, f->segno, NULL);

    if (st == GW_ENOENT)
        return true; /* retention took it */
    if (st != GW_OK)
        return false;
    if (p->oldest_ms == 0 || r->header.created_ms < p->oldest_ms)
        p->oldest_ms = r->header.created_ms;
    st = leaf_read_head(p->dirfd, f->slot, f->segno, &head);
    if (st == GW_OK)
        return add_tree(p, &head);
    return st == GW_ENOENT && newest;
}

static bool look_around(struct prune *p)
{
    struct spool_reader r = SPOOL_READER_CLOSED;
    struct spool_file *files = NULL;
    size_t n = 0;
    bool ok = spool_list(p->dirfd, &files, &n, NULL) == GW_OK;

    for (size_t i = 0; i < n && ok; i++)
        ok = look_at(p, &files[i], &r, i + 1 == n || files[i + 1].slot != files[i].slot);
    spool_reader_fini(&r);
    free(files);
    return ok && p->oldest_ms != 0;
}

/* The rules by which verify passes over a checkpoint. */
static bool is_worthless(const struct prune *p, const struct note *n)
{
    const struct tree *t = find(p, n->origin);

    if (t != NULL)
        return n->size < t->gone;
    return n->time_ms != 0 && n->time_ms + 1000 < p->oldest_ms;
}

/* ---- the file ---------------------------------------------------------------------------------- */

/* The next note of *text, which moves behind it; junk in front of it is passed over. False: there is none any more. */
static bool next_note(struct gw_span *text, struct note *out)
{
    for (;;) {
        const enum gw_status st = note_read(text, out);
        const char *gap;

        if (st == GW_OK)
            return true;
        gap = st == GW_ENOENT ? NULL : memmem(text->ptr, text->len, "\n\n", 2);
        if (gap == NULL)
            return false;
        *text = gw_span_from(*text, (size_t)(gap - text->ptr) + 2);
    }
}

/* Behind the last checkpoint that is worth nothing; 0: there is none. */
static size_t find_cut(const struct prune *p, struct gw_span all)
{
    struct gw_span text = all;
    struct note note;
    size_t cut = 0;

    while (next_note(&text, &note))
        if (is_worthless(p, &note))
            cut = all.len - text.len;
    return cut;
}

/* What is worth keeping in front of the cut. */
static void carry(const struct prune *p, struct gw_span text, struct gw_buf *out)
{
    struct note note;

    while (next_note(&text, &note)) {
        if (is_worthless(p, &note))
            continue;
        gw_buf_add(out, note.text);
        gw_buf_addc(out, '\n');
    }
}

static bool replace(int dirfd, struct gw_span head, struct gw_span rest)
{
    static const char fresh[] = SEAL_CHECKPOINTS ".tmp";
    int fd = openat(dirfd, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool ok = fd >= 0 && write(fd, head.ptr, head.len) == (ssize_t)head.len &&
              write(fd, rest.ptr, rest.len) == (ssize_t)rest.len && fdatasync(fd) == 0;

    if (fd >= 0)
        (void)close(fd);
    ok = ok && renameat(dirfd, fresh, dirfd, SEAL_CHECKPOINTS) == 0;
    if (!ok)
        (void)unlinkat(dirfd, fresh, 0);
    (void)fsync(dirfd); /* what it says is in vain: the file has its new name */
    return ok;
}

static bool rewrite(const struct prune *p, struct gw_span all)
{
    const size_t cut = find_cut(p, all);
    struct seal_pruned was;
    struct gw_buf carried = {0}, head = {0};
    bool ok = false;

    seal_pruned_read(all, &was);
    carry(p, (struct gw_span){all.ptr, cut}, &carried);
    if (cut > SEAL_PRUNED_BYTES + carried.len && gw_buf_ok(&carried)) {
        const uint64_t offset = was.offset + cut - carried.len - SEAL_PRUNED_BYTES;

        gw_buf_printf(&head, "pruned %020" PRIu64 " %010zu\n\n", offset, carried.len);
        gw_buf_add(&head, gw_buf_span(&carried));
        ok = gw_buf_ok(&head) && replace(p->dirfd, gw_buf_span(&head), gw_span_from(all, cut));
    }
    gw_buf_fini(&carried);
    gw_buf_fini(&head);
    return ok;
}

bool seal_prune(int dirfd)
{
    struct prune p = {.dirfd = dirfd};
    struct gw_buf all = {0};
    bool ok = look_around(&p) &&
              seal_read_file(dirfd, SEAL_CHECKPOINTS, MAX_NOTES_BYTES, &all) == GW_OK &&
              rewrite(&p, gw_buf_span(&all));

    gw_buf_fini(&all);
    free(p.trees);
    return ok;
}
