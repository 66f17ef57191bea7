/* Tests of the sinks' thread: what a receiver that takes, waits, refuses, fails and dies gets from it. The receiver is a list of
 * answers; what it took is compared with the spool. */
#include <pthread.h>

#include "audit/sink.h"
#include "tests/unit/audit/util.h"

enum { MAX_TAKEN = 20000, MOST_PAIRS = 2500, UID = SINK_UID_BYTES };

/* A receiver. Written by the sink's thread, read under the lock. */
struct script {
    pthread_mutex_t lock;
    enum sink_end end;    /* of every call; DONE: by the records */
    bool only_whole;      /* a batch with a bad record is refused as a whole, as brokers do */
    const char *bad;      /* records that hold it are refused for ever; "": all */
    unsigned waits;       /* every n-th record is to come again, once; 0: none */
    unsigned calls, most; /* most: records in a call */
    char (*taken)[UID];
    unsigned n;
    unsigned wait_seen;
    bool closed;
};

static bool is_bad(const struct script *s, const struct sink_record *r)
{
    return s->bad != NULL &&
           (s->bad[0] == '\0' || memmem(r->json.ptr, r->json.len, s->bad, strlen(s->bad)) != NULL);
}

static void answer_one(struct script *s, struct sink_record *r)
{
    if (is_bad(s, r)) {
        r->fate = SINK_REFUSES;
        return;
    }
    if (s->waits != 0 && ++s->wait_seen % s->waits == 0)
        return;
    r->fate = SINK_TAKEN;
    if (s->n < MAX_TAKEN)
        memcpy(s->taken[s->n++], r->uid, UID);
}

static enum sink_end script_deliver(void *self, struct sink_call *call)
{
    struct script *s = self;
    enum sink_end end;
    bool bad = false;

    (void)pthread_mutex_lock(&s->lock);
    s->calls++;
    s->most = call->n > s->most ? call->n : s->most;
    end = s->end;
    for (unsigned i = 0; i < call->n; i++)
        bad = bad || is_bad(s, &call->records[i]);
    if (end == SINK_DONE && s->only_whole && bad)
        end = SINK_REFUSED;
    for (unsigned i = 0; end == SINK_DONE && i < call->n; i++)
        answer_one(s, &call->records[i]);
    if (end != SINK_DONE)
        (void)snprintf(call->why, sizeof(call->why), "as told");
    (void)pthread_mutex_unlock(&s->lock);
    return end;
}

static void script_close(void *self)
{
    struct script *s = self;

    s->closed = true; /* the test's */
}

static const struct sink_ops ops = {script_deliver, NULL, script_close};

static struct script script_new(void)
{
    struct script s = {.lock = PTHREAD_MUTEX_INITIALIZER};

    s.taken = calloc(MAX_TAKEN, sizeof(*s.taken));
    return s;
}

static void set_end(struct script *s, enum sink_end end)
{
    (void)pthread_mutex_lock(&s->lock);
    s->end = end;
    (void)pthread_mutex_unlock(&s->lock);
}

static unsigned calls_of(struct script *s)
{
    unsigned n;

    (void)pthread_mutex_lock(&s->lock);
    n = s->calls;
    (void)pthread_mutex_unlock(&s->lock);
    return n;
}

static struct audit_sink sink_of(struct script *s, const char *name)
{
    return (struct audit_sink){.name = name,
                               .kind = "script",
                               .classes = AUDIT_CLASS_ALL,
                               .batch_bytes = 1 << 20,
                               .batch_records = 64,
                               .batch_ms = 1,
                               .ops = &ops,
                               .self = s};
}

static struct audit *open_with(struct audit_config *cfg, struct audit_sink *list, unsigned n)
{
    struct audit *a = NULL;
    struct gw_err err = {0};

    cfg->sinks = list;
    cfg->n_sinks = n;
    if (!CHECK(audit_open(cfg, &a, &err) == GW_OK))
        fprintf(stderr, "%s\n", err.text);
    return a;
}

/* Emits pairs of records, with the spool's answer to each. */
static void emit_pairs(struct audit *a, unsigned from, unsigned n)
{
    struct audit_chan *ch = NULL;
    struct results res = {0, 0, 0};

    CHECK(audit_chan_open(a, &ch, NULL) == GW_OK);
    for (unsigned i = from; i < from + n; i++) {
        char id[32];
        struct audit_event ev;

        (void)snprintf(id, sizeof(id), "r-%u", i);
        ev = decided_of(id);
        CHECK(audit_emit(ch, &ev, on_done, &res) == GW_OK);
        ev = completed_of(id);
        CHECK(audit_emit(ch, &ev, on_done, &res) == GW_OK);
    }
    CHECK(wait_for(ch, &res, 2 * n) && res.ok == 2 * n);
    audit_chan_close(ch);
}

static struct audit_sink_stats stats_of(struct audit *a, unsigned i)
{
    struct audit_sink_stats rows[4] = {0};

    CHECK(audit_sink_stats(a, rows, 4) > i);
    return rows[i];
}

static bool wait_all(struct audit *a, unsigned i)
{
    TEST_UNTIL(stats_of(a, i).undelivered == 0);
    return stats_of(a, i).undelivered == 0;
}

static bool wait_failed(struct audit *a, enum sink_end why, unsigned n)
{
    TEST_UNTIL(stats_of(a, 0).failures[why] >= n);
    return stats_of(a, 0).failures[why] >= n;
}

/* Where the receiver first had it, or n. */
static unsigned first_of(const struct script *s, const char *uid)
{
    unsigned k = 0;

    while (k < s->n && strcmp(s->taken[k], uid) != 0)
        k++;
    return k;
}

/* The spool's records of these kinds (bits), each at least once, the first times in the order of each chain; how many came
 * twice. */
static void compare(const struct script *s, unsigned kinds, const char *but, unsigned most_twice)
{
    struct read_back rb = read_spool(scratch);
    unsigned missing = 0, wanted = 0, inverted = 0, last = 0, slot = 0;

    for (size_t i = 0; i < rb.n; i++) {
        struct gw_span json = {rb.recs[i].json, rb.recs[i].len};
        char uid[UID] = "";
        unsigned at;

        (void)event_str(json, "metadata.uid", uid, sizeof(uid) - 1);
        if ((kinds >> (rb.recs[i].kind - 1) & 1) == 0 ||
            (but != NULL && memmem(json.ptr, json.len, but, strlen(but)) != NULL))
            continue;
        wanted++;
        at = first_of(s, uid);
        missing += at == s->n;
        inverted += rb.recs[i].slot == slot && at < last;
        last = at;
        slot = rb.recs[i].slot;
    }
    CHECK(missing == 0);
    CHECK(inverted == 0);
    CHECK(s->n >= wanted && s->n - wanted <= most_twice);
    read_back_free(&rb);
}

/* ---- what is tested ------------------------------------------------------------------------------ */

static void test_delivers(enum audit_durability d)
{
    struct audit_config cfg = config_of(d);
    struct script s = script_new();
    struct audit_sink k = sink_of(&s, "all");
    struct audit *a;

    scratch_new();
    a = open_with(&cfg, &k, 1);
    emit_pairs(a, 0, 300);
    CHECK(wait_all(a, 0));
    CHECK(stats_of(a, 0).up && stats_of(a, 0).delivered == 601);
    audit_close(a, 5000);
    CHECK(s.closed && s.most > 1 && s.most <= 64);
    /* The second start goes on where the first one ended. */
    a = open_with(&cfg, &k, 1);
    emit_pairs(a, 300, 10);
    CHECK(wait_all(a, 0));
    audit_close(a, 5000);
    compare(&s, AUDIT_CLASS_ALL, NULL, 0);
    free(s.taken);
    scratch_end();
}

/* Away at first: nothing is lost, nothing is held in memory but a batch; and the ledger says that it was away. */
static void test_away(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_PROCESS);
    struct script s = script_new();
    struct audit_sink k = sink_of(&s, "away");
    struct read_back rb;
    struct audit *a;

    scratch_new();
    s.end = SINK_DENIED;
    a = open_with(&cfg, &k, 1);
    CHECK(wait_failed(a, SINK_DENIED, 1));
    emit_pairs(a, 0, 500);
    CHECK(!stats_of(a, 0).up && stats_of(a, 0).undelivered >= 1001 &&
          stats_of(a, 0).delivered == 0);
    CHECK(calls_of(&s) == 1); /* half a minute apart */
    set_end(&s, SINK_DONE);
    audit_reopen_sinks(a); /* a person says: now */
    CHECK(wait_all(a, 0) && s.most <= 64);
    audit_close(a, 5000);
    compare(&s, AUDIT_CLASS_ALL, NULL, 0);
    rb = read_spool(scratch);
    CHECK(count_of(&rb, "sluice.degraded", NULL) == 1 &&
          count_of(&rb, "sluice.recovered", NULL) == 1);
    read_back_free(&rb);
    free(s.taken);
    scratch_end();
}

/* Ends while the receiver is away: in time, and the next start goes on. */
static void test_ends_in_time(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_DISK);
    struct script s = script_new();
    struct audit_sink k = sink_of(&s, "gone");
    struct audit *a;

    scratch_new();
    s.end = SINK_CONNECT;
    a = open_with(&cfg, &k, 1);
    emit_pairs(a, 0, 50);
    audit_close(a, 100); /* does not hang */
    CHECK(s.n == 0);
    s.end = SINK_DONE;
    a = open_with(&cfg, &k, 1);
    CHECK(wait_all(a, 0));
    audit_close(a, 5000);
    compare(&s, AUDIT_CLASS_ALL, NULL, 0);
    free(s.taken);
    scratch_end();
}

static unsigned count_lines(const char *name)
{
    char path[600];
    unsigned n = 0;
    FILE *f;
    int c;

    (void)snprintf(path, sizeof(path), "%s/%s", scratch, name);
    f = fopen(path, "re");
    while (f != NULL && (c = fgetc(f)) != EOF)
        n += c == '\n';
    if (f != NULL)
        (void)fclose(f);
    return n;
}

/* One bad record among many: it goes to the dead letters, whoever tells which one it is. */
static void test_poison(bool only_whole)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_DISK);
    struct script s = script_new();
    struct audit_sink k = sink_of(&s, "picky");
    struct audit *a;

    scratch_new();
    s.only_whole = only_whole;
    s.bad = "\"r-77\"";
    a = open_with(&cfg, &k, 1);
    emit_pairs(a, 0, 100);
    CHECK(wait_all(a, 0));
    CHECK(stats_of(a, 0).dead_letters == 2 && stats_of(a, 0).delivered == 199);
    audit_close(a, 5000);
    CHECK(count_lines("dead-letter.picky.jsonl") == 2);
    compare(&s, AUDIT_CLASS_ALL, "\"r-77\"", 0);
    free(s.taken);
    scratch_end();
}

/* Everything is refused: that is no fault of the records. */
static void test_all_refused(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_DISK);
    struct script s = script_new();
    struct audit_sink k = sink_of(&s, "deaf");
    struct audit *a;

    scratch_new();
    s.bad = "";
    a = open_with(&cfg, &k, 1);
    emit_pairs(a, 0, 100);
    CHECK(wait_failed(a, SINK_DENIED, 1));
    CHECK(stats_of(a, 0).dead_letters == 64 && stats_of(a, 0).undelivered >= 100);
    audit_close(a, 0);
    CHECK(count_lines("dead-letter.deaf.jsonl") == 64);
    free(s.taken);
    scratch_end();
}

/* Some of each batch are told to come again. */
static void test_partial(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_DISK);
    struct script s = script_new();
    struct audit_sink k = sink_of(&s, "slow");
    struct audit *a;

    scratch_new();
    s.waits = 60;
    a = open_with(&cfg, &k, 1);
    emit_pairs(a, 0, 60);
    CHECK(wait_all(a, 0) && stats_of(a, 0).up && stats_of(a, 0).failures[SINK_BUSY] > 0);
    CHECK(stats_of(a, 0).delivered == 121);
    audit_close(a, 5000);
    free(s.taken);
    scratch_end();
}

/* Only what is wanted; the rest does not hold anything up. */
static void test_filter(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_PROCESS);
    struct script s = script_new();
    struct audit_sink k = sink_of(&s, "decided");
    struct audit *a;

    scratch_new();
    k.classes = AUDIT_CLASS_DECIDED;
    a = open_with(&cfg, &k, 1);
    emit_pairs(a, 0, 100);
    CHECK(wait_all(a, 0));
    CHECK(stats_of(a, 0).delivered == 100 && stats_of(a, 0).left_out == 101);
    audit_close(a, 5000);
    compare(&s, AUDIT_CLASS_DECIDED, NULL, 0);
    free(s.taken);
    scratch_end();
}

/* Each has a cursor of its own, and one that is lost costs repetitions of its own. */
static void test_cursors(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_DISK);
    struct script one = script_new(), two = script_new();
    struct audit_sink k[2] = {sink_of(&one, "one"), sink_of(&two, "two")};
    char path[600];
    unsigned n;
    struct audit *a;

    scratch_new();
    a = open_with(&cfg, k, 2);
    emit_pairs(a, 0, 50);
    CHECK(wait_all(a, 0) && wait_all(a, 1));
    audit_close(a, 5000);
    n = two.n;
    CHECK(n >= 101 && one.n == n);
    (void)snprintf(path, sizeof(path), "%s/cursor.two", scratch);
    CHECK(unlink(path) == 0);
    a = open_with(&cfg, k, 2);
    CHECK(wait_all(a, 0) && wait_all(a, 1));
    audit_close(a, 5000);
    CHECK(two.n >= 2 * n && one.n < n + 10);
    compare(&one, AUDIT_CLASS_ALL, NULL, 0);
    compare(&two, AUDIT_CLASS_ALL, NULL, n);
    free(one.taken);
    free(two.taken);
    scratch_end();
}

/* Fills the spool with what `slow` does not take. Returns how many pairs went in before one waited in vain. */
static unsigned fill(struct audit *a, unsigned patience_ms)
{
    static char long_text[3000];
    struct audit_chan *ch = NULL;
    struct results res = {0, 0, 0};
    enum gw_status st;
    unsigned n = 0;

    memset(long_text, 'x', sizeof(long_text) - 1);
    CHECK(audit_chan_open(a, &ch, NULL) == GW_OK);
    for (; n < MOST_PAIRS; n++) {
        struct audit_event ev = decided_of("r");

        ev.reason_text = gw_span_str(long_text);
        for (unsigned ms = 0;
             (st = audit_emit(ch, &ev, on_done, &res)) != GW_OK && ms < patience_ms; ms++)
            (void)usleep(1000);
        if (st != GW_OK)
            break;
        ev = completed_of("r");
        CHECK(audit_emit(ch, &ev, on_done, &res) == GW_OK);
        CHECK(wait_for(ch, &res, 2 * n + 2));
    }
    audit_chan_close(ch);
    return n;
}

/* A sink that holds stops the requests when the spool is full; one that yields loses records, and says how many. */
static void test_full(bool yields)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_PROCESS);
    struct script slow = script_new(), quick = script_new();
    struct audit_sink k[2] = {sink_of(&slow, "slow"), sink_of(&quick, "quick")};
    struct audit_sink_stats st;
    struct read_back rb;
    struct audit *a;
    unsigned n;

    scratch_new();
    cfg.max_spool_bytes = 8 << 20;
    cfg.segment_bytes = 256 << 10;
    cfg.retain_seconds = 0;
    slow.end = SINK_DENIED;
    k[0].yields = yields;
    a = open_with(&cfg, k, 2);
    n = fill(a, yields ? 30000 : 0);
    CHECK(wait_all(a, 1));
    CHECK(yields ? n == MOST_PAIRS : n < MOST_PAIRS);
    set_end(&slow, SINK_DONE);
    audit_reopen_sinks(a);
    CHECK(wait_all(a, 0));
    st = stats_of(a, 0);
    CHECK(yields ? st.skipped > 0 : st.skipped == 0);
    CHECK(st.delivered + st.skipped >= 2 * (uint64_t)n);
    audit_close(a, 5000);
    rb = read_spool(scratch);
    /* Denied, and in one case the gap. */
    CHECK(!yields || count_of(&rb, "sluice.degraded", NULL) >= 1);
    CHECK(count_of(&rb, "sluice.gap", NULL) == 0);
    read_back_free(&rb);
    free(slow.taken);
    free(quick.taken);
    scratch_end();
}

int main(void)
{
    test_delivers(AUDIT_DURABILITY_DISK);
    test_delivers(AUDIT_DURABILITY_PROCESS);
    test_away();
    test_ends_in_time();
    test_poison(false);
    test_poison(true);
    test_all_refused();
    test_partial();
    test_filter();
    test_cursors();
    test_full(false);
    test_full(true);
    return test_done();
}
