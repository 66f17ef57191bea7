/* audit/witness.c - see witness.h. Owns the thread and the file of cosigned checkpoints. */
#include "audit/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "audit/leaf_file.h"
#include "audit/ledger.h"
#include "audit/outbox.h"
#include "audit/seal.h"
#include "audit/seal_key.h"
#include "audit/spool_read.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"

enum {
    TICK_MS = 1000,
    MIN_BACKOFF_MS = 5000,
    MAX_BACKOFF_MS = 300000,
    MAX_HEADS = 4096,
    MAX_WITNESSED_BYTES = 64 << 20,
};

/* The newest checkpoint of one tree. */
struct head {
    char origin[NOTE_ORIGIN_BYTES];
    struct gw_buf note; /* its text */
    uint64_t size;
    uint64_t old;       /* what the witness has signed */
    uint64_t witnessed; /* what we have his signature under */
    struct gw_buf signed_note;
};

struct witness {
    struct spool *sp;
    const struct audit_witness *cfg;
    struct outbox box;
    struct head *heads;
    size_t n_heads;
    unsigned backoff_ms;
    uint64_t retry_ns;
    pthread_t thread;
    atomic_bool stopping, failing;
    atomic_uint_fast64_t cosigned;
    atomic_int_fast64_t last_ms;
};

static bool is_stopping(void *ctx)
{
    const struct witness *w = ctx;

    return atomic_load(&w->stopping);
}

/* ---- heads -------------------------------------------------------------------------------------- */

static struct head *head_of(struct witness *w, struct gw_span origin)
{
    struct head *p;

    for (size_t i = 0; i < w->n_heads; i++)
        if (gw_span_is(origin, w->heads[i].origin))
            return &w->heads[i];
    if (w->n_heads == MAX_HEADS || (p = realloc(w->heads, (w->n_heads + 1) * sizeof(*p))) == NULL)
        return NULL;
    w->heads = p;
    p = &w->heads[w->n_heads++];
    *p = (struct head){.size = 0};
    memcpy(p->origin, origin.ptr, origin.len);
    return p;
}

static void read_new_notes(struct witness *w)
{
    const uint64_t end = outbox_end(&w->box);
    struct note note;

    while (outbox_next(&w->box, end, &note)) {
        struct head *h = head_of(w, note.origin);

        if (h == NULL || note.size <= h->size)
            continue;
        h->size = note.size;
        gw_buf_clear(&h->note);
        gw_buf_add(&h->note, note.text);
    }
}

/* What the witness has signed before. */
static void read_witnessed(struct witness *w)
{
    struct gw_buf text = {0};
    struct note *notes = NULL;
    size_t n = 0, torn = 0;

    if (seal_read_file(w->sp->dirfd, WITNESS_FILE, MAX_WITNESSED_BYTES, &text) == GW_OK &&
        ledger_notes(gw_buf_span(&text), &notes, &n, &torn) == GW_OK)
        for (size_t i = 0; i < n; i++) {
            struct head *h = head_of(w, notes[i].origin);

            if (h == NULL || notes[i].size < h->witnessed)
                continue;
            h->size = h->old = h->witnessed = notes[i].size;
            gw_buf_clear(&h->signed_note);
            gw_buf_add(&h->signed_note, notes[i].text);
        }
    free(notes);
    gw_buf_fini(&text);
}

static bool write_witnessed(struct witness *w)
{
    struct gw_buf text = {0};
    bool ok;
    int fd;

    for (size_t i = 0; i < w->n_heads; i++) {
        gw_buf_add(&text, gw_buf_span(&w->heads[i].signed_note));
        if (w->heads[i].signed_note.len != 0)
            gw_buf_addc(&text, '\n');
    }
    fd = openat(w->sp->dirfd, WITNESS_FILE ".tmp",
                O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    ok = gw_buf_ok(&text) && fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len &&
         fdatasync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    gw_buf_fini(&text);
    return ok && renameat(w->sp->dirfd, WITNESS_FILE ".tmp", w->sp->dirfd, WITNESS_FILE) == 0;
}

/* ---- the proof ---------------------------------------------------------------------------------- */

static bool is_of(const struct leaf_file *f, const struct head *h)
{
    char origin[NOTE_ORIGIN_BYTES];

    seal_origin(f->head.chain, f->head.first_seq, origin, sizeof(origin));
    return strcmp(origin, h->origin) == 0;
}

/* Leaves of a tree, from base.size on. */
struct leaves {
    struct merkle base;
    struct merkle_hash *all;
    uint64_t n;
};

/* Puts the leaves of f, as far as they are in front of `to`, before those that are there. */
static bool put_in_front(struct leaves *l, const struct leaf_file *f, uint64_t to)
{
    const uint64_t begin = f->head.base.size, end = l->all == NULL ? to : l->base.size;
    struct merkle_hash *grown;
    uint64_t n;

    if (begin >= end)
        return true; /* wholly behind it */
    n = end - begin;
    if (n > f->n)
        return false; /* a hole */
    grown = realloc(l->all, (l->n + n) * sizeof(*grown));
    if (grown == NULL)
        return false;
    l->all = grown;
    memmove(grown + n, grown, l->n * sizeof(*grown));
    memcpy(grown, f->leaves, n * sizeof(*grown));
    l->n += n;
    l->base = f->head.base;
    return true;
}

/* The leaves of the tree from `from`, or before, up to `to`, out of the leaf files, newest first. The caller frees them, also on
 * failure. */
static bool load_leaves(struct witness *w, const struct head *h, uint64_t from, uint64_t to,
                        struct leaves *out)
{
    struct spool_file *files = NULL;
    size_t n = 0;
    bool ok = spool_list(w->sp->dirfd, &files, &n, NULL) == GW_OK, done = false;

    for (size_t i = n; i-- > 0 && ok && !done;) {
        struct leaf_file f = {0};

        if (leaf_read(w->sp->dirfd, files[i].slot, files[i].segno, &f) == GW_OK && is_of(&f, h)) {
            ok = put_in_front(out, &f, to);
            done = ok && out->all != NULL && out->base.size <= from;
        }
        leaf_file_fini(&f);
    }
    free(files);
    return done;
}

static bool add_proof(struct witness *w, const struct head *h, struct gw_buf *out)
{
    struct merkle_hash proof[MERKLE_MAX_PROOF];
    struct leaves l = {.all = NULL};
    int n = -1;

    if (h->old == 0 || h->old == h->size)
        return true;
    if (load_leaves(w, h, h->old, h->size, &l)) {
        const struct merkle_part part = {l.base, l.all, l.n};

        n = merkle_prove_consistency(&part, h->old, h->size, proof);
    }
    free(l.all);
    for (int i = 0; i < n; i++) {
        gw_base64(out, (struct gw_span){(const char *)proof[i].bytes, MERKLE_BYTES});
        gw_buf_addc(out, '\n');
    }
    return n >= 0;
}

/* ---- asking ------------------------------------------------------------------------------------- */

/* The lines of the answer become the last lines of the note. False: none is a signature. */
static bool keep_signatures(struct head *h, struct gw_span answer)
{
    struct gw_buf all = {0};
    struct gw_span text;
    struct note before, after;
    bool ok;

    gw_buf_add(&all, gw_buf_span(&h->note));
    text = gw_buf_span(&all);
    ok = gw_buf_ok(&all) && note_read(&text, &before) == GW_OK && answer.len < NOTE_MAX_BYTES / 2;
    if (ok) {
        const unsigned had = before.n_sigs;

        gw_buf_add(&all, answer);
        text = gw_buf_span(&all);
        ok = gw_buf_ok(&all) && note_read(&text, &after) == GW_OK && after.n_sigs > had &&
             after.text.len == all.len;
    }
    if (!ok) {
        gw_buf_fini(&all);
        return false;
    }
    gw_buf_fini(&h->signed_note);
    h->signed_note = all;
    h->old = h->witnessed = h->size;
    return true;
}

static bool read_size(struct gw_span text, uint64_t *out)
{
    uint64_t n = 0;
    size_t i = 0;

    for (; i < text.len && i < 19 && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
        n = n * 10 + (uint64_t)(text.ptr[i] - '0');
    *out = n;
    return i != 0;
}

static void complain(struct witness *w, const struct head *h, const char *why)
{
    if (!atomic_exchange(&w->failing, true))
        gw_log(GW_LOG_WARN, "audit_witness_failed", "origin=%s size=%" PRIu64 " why=\"%s\"",
               h->origin, h->size, why);
}

/* One submission. Returns true when it was cosigned; *again: the size that was thought to be his has been corrected. */
static bool submit(struct witness *w, struct head *h, bool *again)
{
    struct gw_buf body = {0};
    struct audit_post post = {.stopped = is_stopping, .stopped_ctx = w};
    bool ok = false;
    uint64_t his;

    gw_buf_printf(&body, "old %" PRIu64 "\n", h->old);
    if (!add_proof(w, h, &body)) {
        complain(w, h, "the hashes from his last checkpoint on are past retention");
        gw_buf_fini(&body);
        return false;
    }
    gw_buf_addc(&body, '\n');
    gw_buf_add(&body, gw_buf_span(&h->note));
    post.body = gw_buf_span(&body);
    if (gw_buf_ok(&body))
        w->cfg->post(w->cfg->ctx, &post);
    if (post.status == 200) {
        ok = keep_signatures(h, gw_buf_span(&post.answer));
        if (!ok)
            complain(w, h, "his answer holds no signature");
    } else if (post.status == 409 && read_size(gw_buf_span(&post.answer), &his) && his <= h->size &&
               his != h->old) {
        h->old = his;
        *again = true;
    } else if (post.status == 409) {
        complain(w, h, "he has signed more than there is here: was the spool put back?");
    } else if (post.status != 0) {
        char why[64];

        (void)snprintf(why, sizeof(why), "he answered with status %ld", post.status);
        complain(w, h, why);
    } else {
        complain(w, h, post.why);
    }
    gw_buf_fini(&post.answer);
    gw_buf_fini(&body);
    return ok;
}

static void turn(struct witness *w)
{
    const uint64_t now = gw_clock_ns();
    bool all = true, some = false;

    read_new_notes(w);
    if (now < w->retry_ns)
        return;
    for (size_t i = 0; i < w->n_heads && all && !is_stopping(w); i++) {
        struct head *h = &w->heads[i];
        bool again = false;

        if (h->witnessed >= h->size || h->note.len == 0)
            continue;
        all = submit(w, h, &again) || (again && submit(w, h, &again));
        some = some || all;
        if (all)
            atomic_fetch_add(&w->cosigned, 1);
    }
    if (some) {
        all = write_witnessed(w) && all;
        atomic_store(&w->last_ms, gw_clock_wall_ms());
    }
    if (all) {
        w->backoff_ms = 0;
        w->retry_ns = 0;
        atomic_store(&w->failing, false);
        if (w->box.at != w->box.done)
            (void)outbox_done(&w->box);
        return;
    }
    w->backoff_ms = w->backoff_ms == 0 ? MIN_BACKOFF_MS : w->backoff_ms * 2;
    if (w->backoff_ms > MAX_BACKOFF_MS)
        w->backoff_ms = MAX_BACKOFF_MS;
    w->retry_ns = gw_clock_ns() + w->backoff_ms * GW_NS_PER_MS;
}

static void *witness_run(void *arg)
{
    const struct timespec step = {0, 50 * 1000000L};
    struct witness *w = arg;

    while (!is_stopping(w)) {
        turn(w);
        for (unsigned ms = 0; ms < TICK_MS && !is_stopping(w); ms += 50)
            (void)nanosleep(&step, NULL);
    }
    return NULL;
}

/* ---- life --------------------------------------------------------------------------------------- */

static void witness_free(struct witness *w)
{
    for (size_t i = 0; i < w->n_heads; i++) {
        gw_buf_fini(&w->heads[i].note);
        gw_buf_fini(&w->heads[i].signed_note);
    }
    free(w->heads);
    outbox_fini(&w->box);
    free(w);
}

enum gw_status witness_open(struct spool *sp, const struct audit_witness *cfg, struct witness **out,
                            struct gw_err *err)
{
    struct witness *w = calloc(1, sizeof(*w));
    enum gw_status st;

    if (w == NULL)
        return gw_fail(err, GW_ENOMEM, "audit: out of memory");
    w->sp = sp;
    w->cfg = cfg;
    w->box.fd = -1;
    st = outbox_open(&w->box, sp->dirfd, SEAL_CHECKPOINTS ".witness", false, err);
    if (st == GW_OK) {
        read_witnessed(w);
        if (pthread_create(&w->thread, NULL, witness_run, w) != 0)
            st = gw_fail(err, GW_EIO, "audit: cannot start the witness's thread");
    }
    if (st != GW_OK) {
        witness_free(w);
        return st;
    }
    *out = w;
    return GW_OK;
}

void witness_close(struct witness *w)
{
    if (w == NULL)
        return;
    atomic_store(&w->stopping, true);
    (void)pthread_join(w->thread, NULL);
    witness_free(w);
}

void witness_stats(const struct witness *w, struct audit_stats *out)
{
    if (w == NULL)
        return;
    out->witness_configured = true;
    out->cosigned = atomic_load(&w->cosigned);
    out->last_cosigned_ms = atomic_load(&w->last_ms);
    out->witness_failing = atomic_load(&w->failing);
}
