/* audit/ledger.c - reads a spool for the auditor's commands. One thread. */
#include "audit/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/event_read.h"
#include "audit/ledger_scan.h"
#include "audit/seal.h"
#include "audit/seal_key.h"
#include "audit/seal_prune.h"

enum { MAX_PROBLEMS = 1000, MAX_GAPS = 10000, LOOK_AHEAD = 4096, MAX_LATE = 256 };
#define MAX_NOTES_BYTES ((size_t)1 << 30)

/* A record behind one with a higher sequence. */
struct late {
    struct merkle_hash hash;
    uint64_t seq;
    bool twin;   /* another record has its sequence */
    bool sealed; /* found among what was sealed */
};

/* A segment being compared with its leaf file. */
struct reading {
    struct ledger *l;
    ledger_record_fn each;
    void *ctx;
    struct ledger_tree *tree;
    uint64_t segno;
    struct spool_header header;
    const struct leaf_file *leaf; /* of the scan */
    bool has_leaf, newest;        /* newest: of its slot */
    struct merkle_hash *read;     /* hashes of the records read in this segment */
    uint64_t *seqs;
    size_t n_read, cap;
    struct late late[MAX_LATE];
    size_t n_late;
    bool told; /* something was wrong with the segment before */
    bool
        behind; /* retention took segments while we read: what is missing in front of this one may be honest */
    enum gw_status st;
};

static bool grow(void **p, size_t *cap, size_t n, size_t item)
{
    size_t more = *cap == 0 ? 64 : *cap * 2;
    void *q;

    if (n < *cap)
        return true;
    q = realloc(*p, more * item);
    if (q == NULL)
        return false;
    *p = q;
    *cap = more;
    return true;
}

static void problem(struct reading *rd, enum ledger_problem_kind kind, uint64_t seq,
                    uint64_t records)
{
    struct ledger *l = rd->l;
    struct ledger_problem *p;

    if (l->n_problems >= MAX_PROBLEMS)
        return;
    p = &l->problems[l->n_problems++];
    *p = (struct ledger_problem){.kind = kind, .segno = rd->segno, .seq = seq, .records = records};
    if (rd->tree == NULL)
        return;
    p->slot = rd->tree->slot;
    p->before_segno = rd->tree->last_segno;
    p->before_seq = rd->tree->last_seq;
    memcpy(p->chain, rd->tree->chain, sizeof(p->chain));
}

/* ---- trees ------------------------------------------------------------------------------- */

static struct ledger_tree *new_tree(struct reading *rd, unsigned slot, uint64_t first_seq)
{
    struct ledger *l = rd->l;
    struct ledger_tree *p = realloc(l->trees, (l->n_trees + 1) * sizeof(*p));

    if (p == NULL) {
        rd->st = GW_ENOMEM;
        return NULL;
    }
    l->trees = p;
    p = &l->trees[l->n_trees++];
    *p = (struct ledger_tree){.slot = slot, .first_seq = first_seq};
    memcpy(p->chain, rd->header.chain, sizeof(p->chain));
    return p;
}

static bool add_leaf(struct reading *rd, const struct merkle_hash *h)
{
    struct ledger_tree *t = rd->tree;

    if (!grow((void **)&t->leaves, &t->cap, t->n, sizeof(*h))) {
        rd->st = GW_ENOMEM;
        return false;
    }
    t->leaves[t->n++] = *h;
    return true;
}

/* The tree that the segment at hand goes on with; last: that of the segment before in the slot, or NULL. */
static void place(struct reading *rd, struct ledger_tree *last, unsigned slot)
{
    const struct leaf_head *h = &rd->leaf->head;
    const bool same = last != NULL && strcmp(last->chain, rd->header.chain) == 0;

    rd->tree = last;
    if (!rd->has_leaf) {
        if (!same)
            rd->tree = new_tree(rd, slot, rd->header.first_seq);
        return;
    }
    if (!same || h->first_seq != last->first_seq) {
        rd->tree = new_tree(rd, slot, h->first_seq);
        if (rd->tree != NULL) {
            rd->tree->base = h->base;
            rd->tree->last_seq = h->before;
        }
        return;
    }
    if (h->base.size != last->base.size + last->n) {
        const uint64_t have = last->base.size + last->n;

        if (!rd->behind)
            problem(rd, LEDGER_SEGMENT_MISSING, last->last_seq + 1,
                    h->base.size > have ? h->base.size - have : 0);
        /* The rest is judged from here on. */
        free(last->leaves);
        last->leaves = NULL;
        last->n = last->cap = 0;
        last->base = h->base;
        last->last_seq = h->before;
        last->has_last = false;
    }
}

/* ---- records ------------------------------------------------------------------------------- */

bool ledger_gap_read(struct gw_span record, struct ledger_gap *out)
{
    char code[32];
    struct gw_span s;

    if (!gw_span_is(event_str(record, "event_code", code, sizeof(code)), "sluice.gap"))
        return false;
    *out = (struct ledger_gap){.records = 0};
    s = event_str(record, "sluice.segment", out->segment, sizeof(out->segment) - 1);
    out->segment[s.len] = '\0';
    s = event_str(record, "sluice.cause", out->cause, sizeof(out->cause) - 1);
    out->cause[s.len] = '\0';
    s = event_str(record, "sluice.chain", out->chain, sizeof(out->chain) - 1);
    out->chain[s.len] = '\0';
    (void)event_num(record, "sluice.records", &out->records);
    (void)event_num(record, "sluice.from_sequence", &out->from_seq);
    (void)event_num(record, "sluice.to_sequence", &out->to_seq);
    return true;
}

static void take_gaps(struct reading *rd, const struct ledger_scan *scan)
{
    struct ledger *l = rd->l;
    struct ledger_gap *p;

    if (scan->n_gaps == 0 || l->n_gaps + scan->n_gaps > MAX_GAPS)
        return;
    p = realloc(l->gaps, (l->n_gaps + scan->n_gaps) * sizeof(*p));
    if (p == NULL) {
        rd->st = GW_ENOMEM;
        return;
    }
    memcpy(p + l->n_gaps, scan->gaps, scan->n_gaps * sizeof(*p));
    l->gaps = p;
    l->n_gaps += scan->n_gaps;
}

/* A record whose sequence is not above the one before: written again around a failed write, or not where it was. */
static void take_late(struct reading *rd, const struct ledger_scan_rec *rec)
{
    struct late *e = &rd->late[rd->n_late];
    size_t low = 0, high = rd->n_read;

    if (rd->n_read == 0 || rec->seq < rd->seqs[0])
        return; /* stands in the segment before */
    while (low < high) {
        const size_t mid = low + (high - low) / 2;

        if (rd->seqs[mid] < rec->seq)
            low = mid + 1;
        else
            high = mid;
    }
    if (rd->n_late == MAX_LATE)
        return;
    *e = (struct late){.hash = rec->print, .seq = rec->seq};
    e->twin = rd->seqs[low] == rec->seq;
    if (!e->twin || memcmp(&rd->read[low], &e->hash, sizeof(e->hash)) != 0)
        rd->n_late++;
}

/* Does the record name the one that we have read before it? */
static void check_link(struct reading *rd, const struct ledger_scan_rec *rec)
{
    const struct ledger_tree *t = rd->tree;

    if (!t->has_last || rec->linked == SPOOL_LINKED_NONE ||
        (rec->linked == SPOOL_LINKED_TO &&
         memcmp(rec->before, t->last.bytes, sizeof(rec->before)) == 0))
        return;
    problem(rd, rec->seq > t->last_seq + 1 ? LEDGER_LINK_MISSING : LEDGER_LINK_BROKEN, rec->seq,
            rec->seq - t->last_seq - 1);
}

static void take_record(struct reading *rd, const struct ledger_scan_rec *rec)
{
    struct ledger_tree *t = rd->tree;
    size_t cap = rd->cap;

    if (rec->seq <= t->last_seq) {
        take_late(rd, rec);
        return;
    }
    check_link(rd, rec);
    if (!grow((void **)&rd->read, &cap, rd->n_read, sizeof(*rd->read)) ||
        !grow((void **)&rd->seqs, &rd->cap, rd->n_read, sizeof(*rd->seqs))) {
        rd->st = GW_ENOMEM;
        return;
    }
    t->last_seq = rec->seq;
    t->last = rec->print;
    t->last_segno = rd->segno;
    t->has_last = true;
    rd->read[rd->n_read] = rec->print;
    rd->seqs[rd->n_read++] = rec->seq;
    rd->l->n_records++;
}

/* Reads the records of the segment once more, for whoever wants their bytes: those behind the sequence `before`, as many as were
 * counted. */
static void show_records(struct reading *rd, unsigned slot, uint64_t before)
{
    const size_t tree = (size_t)(rd->tree - rd->l->trees);
    struct spool_reader r = SPOOL_READER_CLOSED;
    enum gw_status st = spool_reader_open(&r, rd->l->dirfd, slot, rd->segno, NULL);
    enum spool_read got = SPOOL_READ_REC;
    struct spool_rec rec;

    for (size_t i = 0; (st == GW_OK || st == GW_ECORRUPT) && i < rd->n_read;) {
        got = spool_reader_next(&r, &rec);
        if (got == SPOOL_READ_REC && rec.seq > before) {
            before = rec.seq;
            rd->each(rd->ctx, tree, rd->tree->base.size + rd->tree->n + i++, &rec);
        } else if (got == SPOOL_READ_END || got == SPOOL_READ_EIO ||
                   (got != SPOOL_READ_REC && spool_reader_resync(&r) == 0)) {
            break;
        }
    }
    spool_reader_fini(&r);
}

static void take_records(struct reading *rd, const struct ledger_scan *scan)
{
    const uint64_t before = rd->tree->last_seq;

    for (size_t i = 0; i < scan->n && rd->st == GW_OK; i++)
        take_record(rd, &scan->recs[i]);
    take_gaps(rd, scan);
    rd->l->bad_bytes += scan->bad_bytes;
    if (scan->unreadable)
        problem(rd, LEDGER_UNREADABLE, 0, 0);
    if (rd->each != NULL && rd->st == GW_OK)
        show_records(rd, rd->tree->slot, before);
}

/* Where hash stands in list from `from` on, or SIZE_MAX. */
static size_t find_hash(const struct merkle_hash *list, size_t n, size_t from,
                        const struct merkle_hash *hash)
{
    const size_t end = n - from < LOOK_AHEAD ? n : from + LOOK_AHEAD;

    for (size_t i = from; i < end; i++)
        if (memcmp(&list[i], hash, sizeof(*hash)) == 0)
            return i;
    return SIZE_MAX;
}

/* Sealed hashes [from, to) are not in their place: are they in another? */
static enum ledger_problem_kind moved_or_removed(struct reading *rd, size_t from, size_t to)
{
    size_t n = 0;

    for (size_t k = 0; k < rd->n_late; k++)
        for (size_t i = from; i < to && !rd->late[k].sealed; i++)
            if (memcmp(&rd->leaf->leaves[i], &rd->late[k].hash, sizeof(struct merkle_hash)) == 0) {
                rd->late[k].sealed = true;
                n++;
            }
    return n == to - from ? LEDGER_RECORDS_MOVED : LEDGER_RECORDS_REMOVED;
}

/* Says in which way the records differ from what was sealed. Returns where the records that nothing was sealed of begin. */
static size_t compare_sealed(struct reading *rd)
{
    const struct merkle_hash *want = rd->leaf->leaves;
    const size_t n_want = rd->has_leaf ? rd->leaf->n : 0;
    size_t i = 0, k = 0; /* of sealed, of read */

    while (i < n_want && k < rd->n_read) {
        size_t there, here;

        if (memcmp(&want[i], &rd->read[k], sizeof(*want)) == 0) {
            i++, k++;
            continue;
        }
        there = find_hash(want, n_want, i + 1, &rd->read[k]);
        here = find_hash(rd->read, rd->n_read, k + 1, &want[i]);
        if (there != SIZE_MAX) {
            problem(rd, moved_or_removed(rd, i, there), k == 0 ? 0 : rd->seqs[k - 1] + 1,
                    there - i);
            i = there;
        } else if (here != SIZE_MAX) {
            problem(rd, LEDGER_RECORDS_INSERTED, rd->seqs[k], here - k);
            k = here;
        } else {
            problem(rd, LEDGER_RECORD_CHANGED, rd->seqs[k], 1);
            i++, k++;
        }
    }
    if (i < n_want)
        problem(rd, rd->newest ? LEDGER_TAIL_MISSING : LEDGER_RECORDS_REMOVED,
                rd->n_read == 0 ? 0 : rd->seqs[rd->n_read - 1] + 1, n_want - i);
    return k;
}

/* Broken links tell of what was never sealed; of the rest compare_sealed() has told better. from: the first of this segment's
 * problems. */
static void drop_links(struct reading *rd, size_t from, size_t to)
{
    struct ledger *l = rd->l;
    size_t n = from;

    for (size_t i = from; i < l->n_problems; i++) {
        const struct ledger_problem *p = &l->problems[i];
        const bool first = rd->n_read != 0 && p->seq == rd->seqs[0];

        if (i < to && (l->n_problems > to || (first && (rd->told || rd->behind))))
            continue;
        l->problems[n++] = *p;
    }
    l->n_problems = n;
}

/* The tree gets the sealed hashes, and those of what is not sealed yet. problems: how many there were before this segment. */
static void compare(struct reading *rd, size_t problems)
{
    const size_t n_want = rd->has_leaf ? rd->leaf->n : 0, links = rd->l->n_problems;
    size_t k = compare_sealed(rd);

    for (size_t i = 0; i < rd->n_late; i++)
        if (!rd->late[i].sealed)
            problem(rd, rd->late[i].twin ? LEDGER_RECORDS_INSERTED : LEDGER_RECORDS_MOVED,
                    rd->late[i].seq, 1);
    drop_links(rd, problems, links);
    rd->told = rd->l->n_problems > problems;
    for (size_t m = 0; m < n_want && rd->st == GW_OK; m++)
        (void)add_leaf(rd, &rd->leaf->leaves[m]);
    for (; k < rd->n_read && rd->st == GW_OK; k++)
        (void)add_leaf(rd, &rd->read[k]);
}

/* ---- segments ------------------------------------------------------------------------------- */

static struct ledger_tree *read_segment(struct reading *rd, struct ledger_tree *last,
                                        const struct spool_file *f, const struct ledger_scan *scan,
                                        struct gw_err *err)
{
    const size_t problems = rd->l->n_problems;

    rd->n_read = rd->n_late = 0;
    if (scan->st == GW_ENOENT) {
        rd->behind = true; /* retention was faster */
        return last;
    }
    rd->segno = f->segno;
    rd->header = scan->header;
    if (scan->st == GW_ECORRUPT && last != NULL)
        memcpy(rd->header.chain, last->chain, sizeof(last->chain));
    if (scan->st != GW_OK && scan->st != GW_ECORRUPT) {
        rd->st = gw_fail(err, scan->st, "%s", scan->err.text);
        return last;
    }
    if (scan->leaf_st == GW_ENOMEM || scan->leaf_st == GW_EUNSUPPORTED) {
        rd->st = gw_fail(err, scan->leaf_st,
                         "the leaf file of slot %u, segment %" PRIu64 " cannot be read", f->slot,
                         f->segno);
        return last;
    }
    /* A crash can leave half a leaf file; without one the records speak for themselves. */
    rd->leaf = &scan->leaf;
    rd->has_leaf = scan->leaf_st == GW_OK && (strcmp(scan->leaf.head.chain, rd->header.chain) == 0);
    rd->l->n_segments++;
    if (rd->l->oldest_ms == 0 || rd->header.created_ms < rd->l->oldest_ms)
        rd->l->oldest_ms = rd->header.created_ms;
    place(rd, last, f->slot);
    if (rd->tree == NULL)
        return NULL;
    rd->tree->n_segments++;
    take_records(rd, scan);
    if (rd->st == GW_OK)
        compare(rd, problems);
    rd->behind = false;
    return rd->tree;
}

static void judge_segments(struct reading *rd, const struct spool_file *files, size_t n,
                           struct ledger_scanner *scanner, struct gw_err *err)
{
    size_t last = SIZE_MAX; /* index of the tree of the segment before, in the same slot */

    for (size_t i = 0; i < n && rd->st == GW_OK; i++) {
        struct ledger_tree *t;

        if (i > 0 && files[i].slot != files[i - 1].slot) {
            last = SIZE_MAX;
            rd->told = rd->behind = false;
        }
        rd->newest = i + 1 == n || files[i + 1].slot != files[i].slot;
        t = read_segment(rd, last == SIZE_MAX ? NULL : &rd->l->trees[last], &files[i],
                         ledger_scanner_take(scanner), err);
        last = t == NULL ? SIZE_MAX : (size_t)(t - rd->l->trees);
    }
}

static enum gw_status read_segments(struct reading *rd, struct gw_err *err)
{
    struct ledger_scanner *scanner;
    struct spool_file *files = NULL;
    size_t n = 0;

    GW_TRY(spool_list(rd->l->dirfd, &files, &n, err));
    scanner = ledger_scanner_new(rd->l->dirfd, files, n);
    if (scanner == NULL)
        rd->st = GW_ENOMEM;
    else
        judge_segments(rd, files, n, scanner, err);
    ledger_scanner_free(scanner);
    free(files);
    return rd->st == GW_ENOMEM ? gw_fail(err, GW_ENOMEM, "out of memory") : rd->st;
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

enum gw_status ledger_notes(struct gw_span text, struct note **out, size_t *n, size_t *torn)
{
    struct note *notes = NULL, one;
    size_t cap = 0, got = 0;
    enum gw_status st;

    *torn = 0;
    while ((st = note_read(&text, &one)) != GW_ENOENT) {
        if (st == GW_OK) {
            if (!grow((void **)&notes, &cap, got, sizeof(one))) {
                free(notes);
                return GW_ENOMEM;
            }
            notes[got++] = one;
            continue;
        }
        /* Half a note: the next one begins behind an empty line. */
        {
            const char *p = memmem(text.ptr, text.len, "\n\n", 2);

            *torn += 1;
            if (p == NULL)
                break;
            text = gw_span_from(text, (size_t)(p - text.ptr) + 2);
        }
    }
    *out = notes;
    *n = got;
    return GW_OK;
}

static enum gw_status read_notes(struct ledger *l, struct gw_err *err)
{
    enum gw_status st = seal_read_file(l->dirfd, SEAL_CHECKPOINTS, MAX_NOTES_BYTES, &l->notes_text);

    struct seal_pruned pruned;

    seal_pruned_read(gw_buf_span(&l->notes_text), &pruned);
    if (st == GW_OK)
        st = ledger_notes(gw_span_from(gw_buf_span(&l->notes_text), pruned.line), &l->notes,
                          &l->n_notes, &l->torn_notes);
    if (st == GW_OK || st == GW_ENOENT)
        return GW_OK;
    return gw_fail(err, st, "the file %s in the spool cannot be read", SEAL_CHECKPOINTS);
}

/* ---- the whole ---------------------------------------------------------------------------------- */

enum gw_status ledger_read(const char *spool_dir, ledger_record_fn each, void *ctx,
                           struct ledger *out, struct gw_err *err)
{
    struct ledger l = {.dirfd = open(spool_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    struct reading rd = {.l = &l, .each = each, .ctx = ctx};
    enum gw_status st;

    if (l.dirfd < 0)
        return gw_fail(err, errno == ENOENT ? GW_ENOENT : GW_EIO, "%s: %s", spool_dir,
                       strerrordesc_np(errno));
    l.problems = calloc(MAX_PROBLEMS, sizeof(*l.problems));
    st = l.problems == NULL ? gw_fail(err, GW_ENOMEM, "out of memory") : GW_OK;
    /* First the checkpoints: what they name was written before them. */
    if (st == GW_OK)
        st = read_notes(&l, err);
    if (st == GW_OK)
        st = read_segments(&rd, err);
    free(rd.read);
    free(rd.seqs);
    if (st != GW_OK) {
        ledger_fini(&l);
        return st;
    }
    *out = l;
    return GW_OK;
}

void ledger_fini(struct ledger *l)
{
    for (size_t i = 0; i < l->n_trees; i++)
        free(l->trees[i].leaves);
    free(l->trees);
    free(l->problems);
    free(l->gaps);
    free(l->notes);
    gw_buf_fini(&l->notes_text);
    if (l->dirfd >= 0)
        (void)close(l->dirfd);
    *l = (struct ledger){.dirfd = -1};
}

const struct ledger_tree *ledger_find(const struct ledger *l, struct gw_span origin)
{
    for (size_t i = 0; i < l->n_trees; i++) {
        char name[NOTE_ORIGIN_BYTES];

        seal_origin(l->trees[i].chain, l->trees[i].first_seq, name, sizeof(name));
        if (gw_span_is(origin, name))
            return &l->trees[i];
    }
    return NULL;
}
