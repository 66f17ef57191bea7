/* proxy/limits/ledger.c - see ledger.h: a hash table under one mutex, and the writer's thread.
 *
 * A chained table of fixed size: nothing is ever rehashed while a worker waits. Names come from clients (models) and are
 * hashed with a secret key. The writer takes changed counters off a list in small batches and commits them outside the
 * lock. */
#include "proxy/limits/ledger.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/siphash.h"
#include "proxy/limits/ledger_name.h"
#include "proxy/store/limits_db.h"

enum {
    BUCKETS = 16384,
    BATCH = 128,         /* counters written, or buckets swept, with the lock held once */
    SWEEP_EVERY = 16,    /* flushes between two sweeps of BATCH buckets */
    FORGET_EVERY = 3000, /* flushes between two removals of old rows: ten minutes */
    KEEP_MS =
        3600 * 1000, /* a row whose window is over stays that long, for `sluice budgets list` */
};

struct ledger_entry {
    struct ledger_entry *next;  /* of the bucket */
    struct ledger_entry *dirty; /* next of the list of those to be written */
    struct router_counter counter;
    int64_t end_ms;
    uint64_t others; /* held by other gateways, as last seen */
    uint64_t base;   /* while the store is away: used and held when it went */
    uint64_t unsent; /* used while the store was away */
    uint64_t told;   /* of that, said without an answer yet */
    unsigned refs;
    uint32_t apart_no, doubt_no; /* of ledger, when base was taken; that the store answered */
    bool is_dirty;
    char key[];
};

struct ledger {
    pthread_mutex_t lock; /* guards everything but db, path and the thread */
    pthread_cond_t wake;
    struct ledger_entry **buckets;
    struct ledger_entry *dirty;
    uint64_t seed[2];
    uint64_t n, failures, full;
    unsigned share, sweep_at;
    uint32_t apart_no, doubt_no;
    bool stop;
    struct limits_db *db; /* the writer's, after open */
    pthread_t thread;
    bool thread_runs;
};

static struct ledger_entry **bucket_of(struct ledger *l, struct gw_span key)
{
    struct gw_sip sip = gw_sip_start(l->seed);

    gw_sip_add(&sip, key);
    return &l->buckets[gw_sip_end(&sip) % BUCKETS];
}

/* ---- entries; with the lock ---------------------------------------------------------------- */

static struct ledger_entry *find(struct ledger *l, const char *key, size_t len, bool make)
{
    size_t n = len + 1;
    struct ledger_entry **bucket = bucket_of(l, (struct gw_span){key, len}), *e = *bucket;

    while (e != NULL && strcmp(e->key, key) != 0)
        e = e->next;
    if (e != NULL || !make)
        return e;
    if (l->n >= LEDGER_MAX) {
        l->full++;
        return NULL;
    }
    e = calloc(1, sizeof(*e) + n);
    if (e == NULL)
        return NULL;
    memcpy(e->key, key, n);
    e->doubt_no = l->doubt_no;
    e->apart_no = l->apart_no;
    e->next = *bucket;
    *bucket = e;
    l->n++;
    return e;
}

static void mark(struct ledger *l, struct ledger_entry *e)
{
    if (e->is_dirty || e->counter.start_ms == 0) /* concurrency is nothing for a disk */
        return;
    e->is_dirty = true;
    e->dirty = l->dirty;
    l->dirty = e;
}

static bool is_over(const struct ledger_entry *e, int64_t now_ms)
{
    return e->refs == 0 && !e->is_dirty && e->counter.held == 0 && e->end_ms <= now_ms;
}

static void sweep_bucket(struct ledger *l, struct ledger_entry **at, int64_t now_ms)
{
    while (*at != NULL) {
        struct ledger_entry *e = *at;

        if (is_over(e, now_ms)) {
            *at = e->next;
            l->n--;
            free(e);
        } else {
            at = &e->next;
        }
    }
}

struct ledger_entry *ledger_get(struct ledger *l, const struct router_budget *b,
                                enum router_budget_kind kind, struct gw_span owner)
{
    struct ledger_name name;
    struct ledger_entry *e;

    ledger_name_of(b, kind, owner, &name);
    (void)pthread_mutex_lock(&l->lock);
    e = find(l, name.text, name.len, true);
    if (e != NULL)
        e->refs++;
    (void)pthread_mutex_unlock(&l->lock);
    return e;
}

void ledger_ref(struct ledger *l, struct ledger_entry *e)
{
    (void)pthread_mutex_lock(&l->lock);
    e->refs++;
    (void)pthread_mutex_unlock(&l->lock);
}

void ledger_put(struct ledger *l, struct ledger_entry *e)
{
    ledger_put_all(l, &e, 1);
}

void ledger_put_all(struct ledger *l, struct ledger_entry *const *entries, unsigned n)
{
    (void)pthread_mutex_lock(&l->lock);
    for (unsigned i = 0; i < n; i++)
        entries[i]->refs--;
    (void)pthread_mutex_unlock(&l->lock);
}

const char *ledger_key(const struct ledger_entry *e)
{
    return e->key;
}

/* ---- changes ---------------------------------------------------------------------------- */

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* What this gateway may use of the limit on its own. */
static uint64_t own_limit(const struct ledger *l, struct ledger_entry *e, uint64_t limit,
                          enum ledger_mode mode)
{
    uint64_t room;

    limit = less(limit, e->others);
    if (mode != LEDGER_APART || l->share <= 1)
        return limit;
    if (e->apart_no != l->apart_no) {
        e->apart_no = l->apart_no;
        e->base = e->counter.used + e->counter.held;
    }
    room = less(limit, e->base);
    return less(limit, room - room / l->share);
}

/* A window that has begun: what belonged to the last one goes with it. */
static void begin_window(struct ledger_entry *e, int64_t start_ms)
{
    if (e->counter.start_ms >= start_ms)
        return;
    e->base = 0;
    e->unsent = 0;
    e->told = 0;
    e->others = 0;
}

static void note_change(struct ledger *l, struct ledger_change *c, enum ledger_mode mode)
{
    struct ledger_entry *e = c->entry;

    if (e->counter.start_ms == c->claim.start_ms) {
        e->end_ms = c->end_ms;
        if (mode == LEDGER_APART && c->claim.use > 0)
            e->unsent += (uint64_t)c->claim.use;
        else if (mode == LEDGER_APART)
            e->unsent = less(e->unsent, (uint64_t)-c->claim.use);
    }
    if (c->claim.use != 0)
        mark(l, e);
    c->left = less(router_budget_left(&e->counter, c->claim.limit), e->others);
}

bool ledger_apply(struct ledger *l, struct ledger_change *changes, unsigned n,
                  enum ledger_mode mode, unsigned *refused)
{
    enum { MAX = ROUTER_MAX_BUDGETS * ROUTER_BUDGET_KINDS };
    struct router_claim claims[MAX];
    bool ok;

    n = n < MAX ? n : MAX;
    (void)pthread_mutex_lock(&l->lock);
    for (unsigned i = 0; i < n; i++) {
        claims[i] = changes[i].claim;
        claims[i].counter = &changes[i].entry->counter;
        claims[i].forced |= mode == LEDGER_NOTED;
        begin_window(changes[i].entry, claims[i].start_ms);
        claims[i].limit = own_limit(l, changes[i].entry, claims[i].limit, mode);
    }
    ok = router_budget_apply(claims, n, refused);
    for (unsigned i = 0; i < n; i++) {
        changes[i].claim.start_ms = claims[i].start_ms;
        if (ok)
            note_change(l, &changes[i], mode);
        else
            changes[i].left =
                less(router_budget_left(&changes[i].entry->counter, changes[i].claim.limit),
                     changes[i].entry->others);
    }
    (void)pthread_mutex_unlock(&l->lock);
    return ok;
}

void ledger_note(struct ledger *l, struct ledger_entry *e, int64_t start_ms, int64_t end_ms,
                 uint64_t used, uint64_t others)
{
    (void)pthread_mutex_lock(&l->lock);
    if (e->counter.start_ms <= start_ms) {
        begin_window(e, start_ms);
        if (e->counter.start_ms < start_ms)
            e->counter = (struct router_counter){.start_ms = start_ms};
        if (e->counter.used != used) {
            e->counter.used = used;
            mark(l, e);
        }
        e->others = others;
        e->end_ms = end_ms;
    }
    (void)pthread_mutex_unlock(&l->lock);
}

void ledger_owed(struct ledger *l, struct ledger_change *c, uint64_t *seen, uint64_t *add)
{
    struct ledger_entry *e = c->entry;

    *seen = *add = 0;
    (void)pthread_mutex_lock(&l->lock);
    if (e->counter.start_ms == c->claim.start_ms) {
        *add = e->unsent;
        if (e->doubt_no != l->doubt_no)
            *seen = less(e->counter.used, e->unsent + e->told);
        e->told += e->unsent;
        e->unsent = 0;
    }
    c->told = *add;
    c->doubt_no = l->doubt_no;
    (void)pthread_mutex_unlock(&l->lock);
}

void ledger_told(struct ledger *l, const struct ledger_change *c)
{
    struct ledger_entry *e = c->entry;

    (void)pthread_mutex_lock(&l->lock);
    if (e->counter.start_ms == c->claim.start_ms) {
        e->told = less(e->told, c->told);
        if ((int32_t)(c->doubt_no - e->doubt_no) > 0)
            e->doubt_no = c->doubt_no;
    }
    (void)pthread_mutex_unlock(&l->lock);
}

void ledger_untold(struct ledger *l, struct ledger_change *c)
{
    struct ledger_entry *e = c->entry;

    (void)pthread_mutex_lock(&l->lock);
    if (e->counter.start_ms == c->claim.start_ms) {
        e->told = less(e->told, c->told);
        e->unsent += c->told;
    }
    c->told = 0;
    (void)pthread_mutex_unlock(&l->lock);
}

void ledger_doubt(struct ledger *l)
{
    (void)pthread_mutex_lock(&l->lock);
    l->doubt_no++;
    (void)pthread_mutex_unlock(&l->lock);
}

void ledger_lost(struct ledger *l, unsigned share)
{
    (void)pthread_mutex_lock(&l->lock);
    l->apart_no++;
    l->share = share;
    (void)pthread_mutex_unlock(&l->lock);
}

void ledger_stats(struct ledger *l, struct ledger_stats *out)
{
    (void)pthread_mutex_lock(&l->lock);
    *out = (struct ledger_stats){l->n, l->failures, l->full};
    (void)pthread_mutex_unlock(&l->lock);
}

void ledger_each(struct ledger *l,
                 void (*each)(void *ctx, const char *key, const struct router_counter *c,
                              int64_t end_ms),
                 void *ctx)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        (void)pthread_mutex_lock(&l->lock);
        for (const struct ledger_entry *e = l->buckets[i]; e != NULL; e = e->next)
            each(ctx, e->key, &e->counter, e->end_ms);
        (void)pthread_mutex_unlock(&l->lock);
    }
}

/* ---- the writer --------------------------------------------------------------------------- */

struct line {
    struct ledger_entry *entry;
    struct limits_row row;
};

/* Takes counters off the list. They are referenced until they are written, so that their names stay. */
static unsigned take_dirty(struct ledger *l, struct line lines[BATCH])
{
    unsigned n = 0;

    (void)pthread_mutex_lock(&l->lock);
    while (n < BATCH && l->dirty != NULL) {
        struct ledger_entry *e = l->dirty;

        l->dirty = e->dirty;
        e->is_dirty = false;
        e->refs++;
        lines[n].entry = e;
        lines[n++].row =
            (struct limits_row){e->key, e->counter.start_ms, e->end_ms, e->counter.used};
    }
    (void)pthread_mutex_unlock(&l->lock);
    return n;
}

/* Gives them back; what could not be written goes on the list again. */
static void give_back(struct ledger *l, const struct line lines[BATCH], unsigned n, bool written)
{
    (void)pthread_mutex_lock(&l->lock);
    for (unsigned i = 0; i < n; i++) {
        lines[i].entry->refs--;
        if (!written)
            mark(l, lines[i].entry);
    }
    if (!written)
        l->failures++;
    (void)pthread_mutex_unlock(&l->lock);
}

static enum gw_status write_batch(struct ledger *l, const struct line lines[BATCH], unsigned n,
                                  struct gw_err *err)
{
    enum gw_status st = limits_db_begin(l->db, err);

    for (unsigned i = 0; i < n && st == GW_OK; i++)
        st = limits_db_put(l->db, &lines[i].row, err);
    if (st == GW_OK)
        return limits_db_commit(l->db, err);
    limits_db_rollback(l->db);
    return st;
}

static enum gw_status flush(struct ledger *l, struct gw_err *err)
{
    struct line lines[BATCH];
    unsigned n;

    while ((n = take_dirty(l, lines)) != 0) {
        enum gw_status st = write_batch(l, lines, n, err);

        give_back(l, lines, n, st == GW_OK);
        if (st != GW_OK)
            return st;
    }
    return GW_OK;
}

static void on_reset(void *ctx, const char *prefix)
{
    struct ledger *l = ctx;
    size_t n = strlen(prefix);

    for (unsigned i = 0; i < BUCKETS; i++) {
        (void)pthread_mutex_lock(&l->lock);
        for (struct ledger_entry *e = l->buckets[i]; e != NULL; e = e->next) {
            if (strncmp(e->key, prefix, n) != 0)
                continue;
            e->counter.used = 0;
            e->unsent = 0;
            mark(l, e);
        }
        (void)pthread_mutex_unlock(&l->lock);
    }
    gw_log(GW_LOG_INFO, "budget_reset", "prefix=%.200s", prefix);
}

static void sweep(struct ledger *l)
{
    int64_t now_ms = gw_clock_wall_ms();

    (void)pthread_mutex_lock(&l->lock);
    for (unsigned i = 0; i < BATCH; i++, l->sweep_at = (l->sweep_at + 1) % BUCKETS)
        sweep_bucket(l, &l->buckets[l->sweep_at], now_ms);
    (void)pthread_mutex_unlock(&l->lock);
}

static bool wait_a_little(struct ledger *l)
{
    struct timespec until;
    bool stop;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)LEDGER_FLUSH_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_mutex_lock(&l->lock);
    while (!l->stop && pthread_cond_timedwait(&l->wake, &l->lock, &until) == 0)
        continue;
    stop = l->stop;
    (void)pthread_mutex_unlock(&l->lock);
    return !stop;
}

static void *writer(void *ctx)
{
    struct ledger *l = ctx;
    bool failing = false;

    for (unsigned turn = 1;; turn++) {
        bool go_on = wait_a_little(l);
        struct gw_err err = {0};
        enum gw_status st = limits_db_resets(l->db, on_reset, l, &err);

        if (st == GW_OK)
            st = flush(l, &err);
        if (st == GW_OK && turn % FORGET_EVERY == 1)
            st = limits_db_forget(l->db, gw_clock_wall_ms() - KEEP_MS, &err);
        if (st != GW_OK && !failing) /* once, not five times a second */
            gw_log(GW_LOG_ERROR, "limits_not_written", "error=\"%s\"", err.text);
        failing = st != GW_OK;
        if (turn % SWEEP_EVERY == 0)
            sweep(l);
        if (!go_on)
            return NULL;
    }
}

/* ---- life ------------------------------------------------------------------------------- */

static enum gw_status load_row(void *ctx, const struct limits_row *row)
{
    struct ledger *l = ctx;
    struct ledger_entry *e;

    /* A window that has not begun was written while the clock was wrong. */
    if (strlen(row->key) >= LEDGER_KEY_BYTES || row->start_ms <= 0 ||
        row->start_ms > gw_clock_wall_ms())
        return GW_OK;
    e = find(l, row->key, strlen(row->key), true);
    if (e == NULL)
        return GW_ENOMEM;
    e->counter = (struct router_counter){.start_ms = row->start_ms, .used = row->used};
    e->end_ms = row->end_ms;
    return GW_OK;
}

static void drop_reset(void *ctx, const char *prefix)
{
    (void)ctx; /* the rows are 0 already */
    (void)prefix;
}

static enum gw_status start(struct ledger *l, struct gw_err *err)
{
    int64_t now_ms = gw_clock_wall_ms();
    pthread_condattr_t attr;
    enum gw_status st;
    int rc;

    GW_TRY(limits_db_resets(l->db, drop_reset, NULL, err));
    st = limits_db_each(l->db, now_ms, load_row, l, err);
    if (st != GW_OK)
        return st == GW_ENOMEM ? gw_fail(err, st, "limits: out of memory") : st;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&l->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    rc = pthread_create(&l->thread, NULL, writer, l);
    if (rc != 0)
        return gw_fail(err, GW_EIO, "cannot start the writer of limits: %s", strerrordesc_np(rc));
    l->thread_runs = true;
    return GW_OK;
}

enum gw_status ledger_open(const char *path, struct ledger **out, struct gw_err *err)
{
    struct ledger *l = calloc(1, sizeof(*l));
    enum gw_status st;

    if (l == NULL)
        return gw_fail(err, GW_ENOMEM, "limits: out of memory");
    (void)pthread_mutex_init(&l->lock, NULL);
    gw_random(l->seed, sizeof(l->seed));
    l->buckets = calloc(BUCKETS, sizeof(struct ledger_entry *));
    st = l->buckets == NULL ? gw_fail(err, GW_ENOMEM, "limits: out of memory")
                            : limits_db_open(path, true, &l->db, err);
    if (st == GW_OK)
        st = start(l, err);
    if (st != GW_OK) {
        ledger_close(l);
        return st;
    }
    *out = l;
    return GW_OK;
}

void ledger_close(struct ledger *l)
{
    if (l == NULL)
        return;
    if (l->thread_runs) {
        (void)pthread_mutex_lock(&l->lock);
        l->stop = true;
        (void)pthread_cond_signal(&l->wake);
        (void)pthread_mutex_unlock(&l->lock);
        (void)pthread_join(l->thread, NULL);
        (void)pthread_cond_destroy(&l->wake);
    }
    for (unsigned i = 0; l->buckets != NULL && i < BUCKETS; i++) {
        while (l->buckets[i] != NULL) {
            struct ledger_entry *e = l->buckets[i];

            l->buckets[i] = e->next;
            free(e);
        }
    }
    free(l->buckets);
    limits_db_close(l->db);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}
