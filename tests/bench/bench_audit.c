/* tests/bench/bench_audit.c - what the ledger costs: a decision, a record, an outage, catching up.
 *
 * usage: bench_audit decided SPOOL disk|process SECONDS PER_SECOND [SCAN_US]
 *        bench_audit spool   SPOOL disk|process RECORDS [BROKERS TOPIC]
 *        bench_audit deliver SPOOL disk|process BROKERS TOPIC
 *
 * Each prints one JSON object; tests/bench/audit.py runs them and says what they mean. Records are requests' own
 * (decided, completed in turn), of 2 KB in the spool, sealed every 10 s as a gateway does by default. `decided` is open loop: what a request waits from audit_emit() to the
 * answer on its own thread, beside the fdatasync calls of the same file in the same run. With SCAN_US it is announced so long before
 * (audit_expect()), as a gateway does when it begins to scan a request; without, it comes as a surprise. Printed beside it are the
 * steps of a wait: from audit_emit() to the write, the write, the sync, and from its end to the answer. `spool` writes as fast as it goes,
 * with brokers that nobody needs to reach. `deliver` opens what lies there and waits until all of it is acknowledged. */
#include <sys/resource.h>

#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/spool.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"

enum { RECORD_BYTES = 2048, MAX_SAMPLES = 1 << 17 };

static void die(const char *why)
{
    (void)fprintf(stderr, "bench_audit: %s\n", why);
    exit(1);
}

/* Times of one kind, in microseconds. */
struct samples {
    float us[MAX_SAMPLES];
    unsigned n;
};
static struct samples waits, syncs, befores, writes, backs;
static atomic_uint_fast64_t emitted_ns, synced_ns; /* of the request that waits */

static void sample(struct samples *s, uint64_t since_ns)
{
    if (s->n < MAX_SAMPLES)
        s->us[s->n++] = (float)(gw_clock_ns() - since_ns) / 1000;
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return x < y ? -1 : x > y;
}

static double percentile(struct samples *s, double p)
{
    if (s->n == 0)
        return 0;
    qsort(s->us, s->n, sizeof(s->us[0]), by_size);
    return s->us[(unsigned)(p * (s->n - 1))];
}

static int timed_sync(int fd)
{
    uint64_t began = gw_clock_ns();
    int rc = fdatasync(fd);

    sample(&syncs,
           began); /* one thread syncs at a time: the writer, or the keeper that it also is */
    atomic_store(&synced_ns, gw_clock_ns());
    return rc;
}

static ssize_t timed_write(int fd, const void *bytes, size_t n)
{
    uint64_t began = gw_clock_ns(), emitted = atomic_exchange(&emitted_ns, 0);
    ssize_t done = write(fd, bytes, n);

    if (emitted == 0) /* not what a request waits for */
        return done;
    sample(&writes, began);
    if (befores.n < MAX_SAMPLES)
        befores.us[befores.n++] = (float)(began - emitted) / 1000;
    return done;
}

/* Processor time of the process and of the calling thread, seconds. */
static double cpu_of(int who)
{
    struct rusage u;

    (void)getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static unsigned long rss_kb(void)
{
    char text[80] = "";
    const char *second = NULL;
    FILE *f = fopen("/proc/self/statm", "r");

    if (f != NULL && fgets(text, sizeof(text), f) != NULL)
        second = strchr(text, ' ');
    if (f != NULL)
        (void)fclose(f);
    return second == NULL ? 0
                          : strtoul(second, NULL, 10) * (unsigned long)sysconf(_SC_PAGESIZE) / 1024;
}

/* ---- records ------------------------------------------------------------------------------------ */

/* The reason of a decision and of a failure make a record as long as it shall be; no two are alike, or compression would
 * flatter. */
enum { NOISE_BYTES = 4 << 20 };
static char noise[NOISE_BYTES];
static size_t pad_decided, pad_completed;

static void make_noise(void)
{
    static const char digits[] = "0123456789abcdef";

    (void)gw_random(noise, sizeof(noise));
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = digits[noise[i] & 15];
}

static struct gw_span padding(size_t n)
{
    static size_t at;

    at = at + n < NOISE_BYTES - RECORD_BYTES ? at + n : 0;
    return (struct gw_span){noise + at, n};
}

static struct audit_event decided_of(const char *id)
{
    static const struct gw_span groups[] = {{"staff", 5}, {"engineering", 11}};

    return (struct audit_event){.kind = AUDIT_DECIDED,
                                .request_id = {id, GW_ULID_BYTES - 1},
                                .tenant = GW_SPAN("acme"),
                                .user = GW_SPAN("anna.berger@acme.example"),
                                .credential_id = GW_SPAN("key-01J9ZK3V7D"),
                                .groups = groups,
                                .n_groups = 2,
                                .client_ip = GW_SPAN("10.20.30.40"),
                                .client_port = 51234,
                                .user_agent = GW_SPAN("openai-python/1.99.1"),
                                .operation = GW_SPAN("chat.completions"),
                                .http_method = GW_SPAN("POST"),
                                .http_path = GW_SPAN("/v1/chat/completions"),
                                .host = GW_SPAN("gateway.acme.example"),
                                .model = GW_SPAN("auto"),
                                .body_bytes = 3120,
                                .target = GW_SPAN("openai"),
                                .target_zone = GW_SPAN("approved"),
                                .target_model = GW_SPAN("gpt-4o"),
                                .route_reason = GW_SPAN("rule"),
                                .reason_text = padding(pad_decided)};
}

static struct audit_event completed_of(const char *id)
{
    struct audit_event ev = decided_of(id);

    ev.kind = AUDIT_COMPLETED;
    ev.ends_decided = true;
    ev.end = AUDIT_END_COMPLETE;
    ev.http_status = 200;
    ev.duration_us = 812000;
    ev.prompt_tokens = 812;
    ev.completion_tokens = 240;
    ev.reason_text = (struct gw_span){NULL, 0};
    ev.error_text = padding(pad_completed);
    return ev;
}

static void on_padded(void *ctx, enum gw_status st)
{
    *(bool *)ctx = st == GW_OK;
}

/* Emits one record and waits for its answer. */
static bool emit_and_wait(struct audit_chan *ch, const struct audit_event *ev)
{
    struct pollfd p = {audit_chan_fd(ch), POLLIN, 0};
    bool done = false;

    if (audit_emit(ch, ev, on_padded, &done) != GW_OK)
        return false;
    while (!done && poll(&p, 1, 5000) > 0)
        audit_chan_dispatch(ch);
    return done;
}

/* Emits one record and says how many bytes it has in the spool. */
static size_t measured(struct audit *a, struct audit_chan *ch, const struct audit_event *ev)
{
    struct audit_stats before, after;

    audit_stats(a, &before);
    if (!emit_and_wait(ch, ev))
        die("cannot write");
    audit_stats(a, &after);
    return after.bytes - before.bytes;
}

/* Makes both paddings such that a record is RECORD_BYTES long with its frame. */
static void pad(struct audit *a, struct audit_chan *ch)
{
    struct audit_event ev;
    char id[GW_ULID_BYTES];
    size_t n;

    pad_decided = pad_completed = 1; /* an empty text is left out with its name */
    gw_ulid(id);
    ev = decided_of(id);
    (void)measured(a, ch, &ev); /* the first of a chain is shorter: it names none before */
    ev = completed_of(id);
    (void)measured(a, ch, &ev);
    ev = decided_of(id);
    n = measured(a, ch, &ev);
    pad_decided += n < RECORD_BYTES ? RECORD_BYTES - n : 0;
    ev = completed_of(id);
    n = measured(a, ch, &ev);
    pad_completed += n < RECORD_BYTES ? RECORD_BYTES - n : 0;
}

/* ---- the three measurements ----------------------------------------------------------------------- */

struct bench {
    struct audit_config cfg;
    struct audit *a;
    struct audit_chan *ch;
};

static void start(struct bench *b)
{
    struct gw_err err = {GW_OK, ""};

    if (audit_open(&b->cfg, &b->a, &err) != GW_OK || audit_chan_open(b->a, &b->ch, &err) != GW_OK)
        die(err.text);
}

static void stop(struct bench *b)
{
    audit_chan_close(b->ch);
    audit_close(b->a, 0);
}

struct waiting {
    uint64_t since_ns;
    unsigned *outstanding;
};

static void on_decided(void *ctx, enum gw_status st)
{
    struct waiting *w = ctx;

    if (st != GW_OK)
        die("a record was not durable");
    sample(&waits, w->since_ns);
    if (atomic_load(&synced_ns) != 0)
        sample(&backs, atomic_exchange(&synced_ns, 0));
    --*w->outstanding;
    w->since_ns = 0;
}

static void serve(struct audit_chan *ch, uint64_t until_ns)
{
    struct pollfd p = {audit_chan_fd(ch), POLLIN, 0};
    uint64_t now = gw_clock_ns();
    struct timespec left = {0, now < until_ns ? (long)(until_ns - now) : 0};

    if (ppoll(&p, 1, &left, NULL) > 0)
        audit_chan_dispatch(ch);
}

/* What a request does between its announcement and its decision. */
static void scan(struct audit_chan *ch, unsigned us)
{
    uint64_t until = gw_clock_ns() + us * 1000ull;

    if (us == 0)
        return;
    audit_expect(ch);
    while (gw_clock_ns() < until)
        continue;
}

static void run_decided(struct bench *b, double seconds, unsigned per_second, unsigned scan_us)
{
    enum { RING = 8192 };
    static struct waiting ring[RING];
    static char ids[RING][GW_ULID_BYTES];
    unsigned n = (unsigned)(seconds * per_second), outstanding = 0;
    uint64_t began;
    start(b);
    pad(b->a, b->ch);
    began = gw_clock_ns();
    waits.n = syncs.n = befores.n = writes.n = backs.n = 0;
    for (unsigned i = 0; i < n; i++) {
        uint64_t due = began + (uint64_t)i * GW_NS_PER_SEC / per_second;
        struct waiting *w = &ring[i % RING];
        struct audit_event ev;

        while (gw_clock_ns() < due)
            serve(b->ch, due);
        if (w->since_ns != 0)
            die("the disk does not follow");
        gw_ulid(ids[i % RING]);
        ev = decided_of(ids[i % RING]);
        scan(b->ch, scan_us);
        *w = (struct waiting){gw_clock_ns(), &outstanding};
        atomic_store(&emitted_ns, w->since_ns);
        outstanding++;
        if (audit_emit(b->ch, &ev, on_decided, w) != GW_OK)
            die("a record was refused");
        if (i >= per_second / 10) { /* the request of a tenth of a second ago ends */
            ev = completed_of(ids[(i - per_second / 10) % RING]);
            (void)audit_emit(b->ch, &ev, NULL, NULL);
        }
    }
    while (outstanding != 0)
        serve(b->ch, gw_clock_ns() + GW_NS_PER_MS);
    stop(b);
    printf("{\"requests\":%u,\"p50_us\":%.1f,\"p99_us\":%.1f,\"syncs\":%u,\"sync_p50_us\":%.1f,"
           "\"to_write_us\":%.1f,\"write_us\":%.1f,\"back_us\":%.1f}\n",
           n, percentile(&waits, 0.5), percentile(&waits, 0.99), syncs.n, percentile(&syncs, 0.5),
           percentile(&befores, 0.5), percentile(&writes, 0.5), percentile(&backs, 0.5));
}

static void run_spool(struct bench *b, uint64_t records)
{
    uint64_t began, emitted = 0;
    unsigned long rss_first = 0, rss_most = 0;
    struct audit_stats st, before;
    double wall, cpu;

    start(b);
    pad(b->a, b->ch);
    audit_stats(b->a, &before);
    cpu = cpu_of(RUSAGE_SELF);
    began = gw_clock_ns();
    while (emitted < records) {
        char id[GW_ULID_BYTES];
        struct audit_event ev;
        enum gw_status got;

        gw_ulid(id);
        ev = decided_of(id);
        while ((got = audit_emit(b->ch, &ev, NULL, NULL)) == GW_EAGAIN)
            (void)usleep(200);
        if (got != GW_OK)
            die(gw_status_name(got));
        ev = completed_of(id);
        if (audit_emit(b->ch, &ev, NULL, NULL) != GW_OK)
            die("the end of a request was refused");
        emitted += 2;
        if (emitted % (records / 32 * 2) == 0) {
            unsigned long now = rss_kb();

            rss_first = rss_first == 0 ? now : rss_first;
            rss_most = now > rss_most ? now : rss_most;
        }
    }
    do
        audit_stats(b->a, &st);
    while (st.records - before.records < emitted && usleep(500) == 0);
    if (emitted == 0)
        die("no records were asked for");
    wall = (double)(gw_clock_ns() - began) / 1e9;
    cpu = cpu_of(RUSAGE_SELF) - cpu;
    stop(b);
    printf("{\"records\":%" PRIu64 ",\"bytes\":%" PRIu64
           ",\"records_per_s\":%.0f,\"cpu_us\":%.2f,\"syncs\":%" PRIu64 ",\"rss_first_kb\":%lu,"
           "\"rss_most_kb\":%lu,\"undelivered\":%" PRIu64 "}\n",
           emitted, (st.bytes - before.bytes) / emitted, (double)emitted / wall,
           cpu * 1e6 / (double)emitted, st.syncs - before.syncs, rss_first, rss_most,
           st.undelivered);
}

static void run_deliver(struct bench *b)
{
    uint64_t began, opened = gw_clock_ns(), first = 0;
    unsigned long rss_most = 0;
    struct audit_stats st;
    double wall, cpu;

    start(b);
    opened = gw_clock_ns() - opened;
    cpu = cpu_of(RUSAGE_SELF);
    began = gw_clock_ns();
    do { /* the clock runs from the first record that arrived: connecting is not catching up */
        unsigned long now = rss_kb();

        (void)usleep(2000);
        audit_stats(b->a, &st);
        if (first == 0 && st.delivered != 0) {
            first = st.delivered;
            began = gw_clock_ns();
            cpu = cpu_of(RUSAGE_SELF);
        }
        rss_most = now > rss_most ? now : rss_most;
    } while (st.undelivered != 0);
    wall = (double)(gw_clock_ns() - began) / 1e9;
    cpu = cpu_of(RUSAGE_SELF) - cpu;
    stop(b);
    printf("{\"records\":%" PRIu64 ",\"records_per_s\":%.0f,\"cpu_us\":%.2f,\"open_ms\":%.0f,"
           "\"rss_most_kb\":%lu,\"restarts\":%" PRIu64 "}\n",
           st.delivered, (double)(st.delivered - first) / wall,
           cpu * 1e6 / (double)(st.delivered - first), (double)opened / 1e6, rss_most,
           st.producer_restarts);
}

int main(int argc, char **argv)
{
    struct bench b = {.cfg = {.instance = "gw-bench",
                              .version = "0",
                              .config_digest = "sha256:c0",
                              .rules_digest = "sha256:d0",
                              .max_spool_bytes = 64ull << 30,
                              .retain_seconds = 3600,
                              .n_channels = 1}};
    const char *brokers = NULL;
    char *key;

    if (argc < 5)
        die("usage: bench_audit decided|spool|deliver SPOOL disk|process ...");
    b.cfg.spool_dir = argv[2];
    b.cfg.durability =
        strcmp(argv[3], "disk") == 0 ? AUDIT_DURABILITY_DISK : AUDIT_DURABILITY_PROCESS;
    gw_log_set_level(GW_LOG_ERROR);
    make_noise();
    if (asprintf(&key, "%s.key", argv[2]) < 0)
        die("out of memory");
    b.cfg.seal_key = key;
    spool_io.fdatasync = timed_sync;
    spool_io.write = timed_write;
    if (strcmp(argv[1], "deliver") == 0)
        brokers = argv[4];
    else if (strcmp(argv[1], "spool") == 0 && argc > 6)
        brokers = argv[5];
    b.cfg.kafka_brokers = brokers;
    b.cfg.kafka_topic = argv[argc - 1];
    if (strcmp(argv[1], "decided") == 0 && (argc == 6 || argc == 7))
        run_decided(&b, strtod(argv[4], NULL), (unsigned)strtoul(argv[5], NULL, 10),
                    argc == 7 ? (unsigned)strtoul(argv[6], NULL, 10) : 0);
    else if (strcmp(argv[1], "spool") == 0)
        run_spool(&b, strtoull(argv[4], NULL, 10));
    else if (strcmp(argv[1], "deliver") == 0 && argc == 6)
        run_deliver(&b);
    else
        die("usage: bench_audit decided|spool|deliver SPOOL disk|process ...");
    free(key);
    return 0;
}
