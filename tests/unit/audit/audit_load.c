/* audit_load - a gateway's auditing without the gateway: emits requests and says which are durable.
 *
 *   audit_load SPOOL disk|process BROKERS TOPIC PAIRS PER_SECOND DRAIN_MS [NAME=VALUE...]
 *
 * Not a test by itself: tests/e2e/kafka/test_kafka.sh runs it, kills it and looks at the topic. Prints a
 * request id a line when its decided record is durable, and at the end the figures of audit_stats().
 * SIGTERM ends it early, as the gateway would. PAIRS 0: only opens, drains and closes. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/clock.h"
#include "base/digest.h"

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
    (void)sig;
    stop = 1;
}

struct request {
    char id[GW_ULID_BYTES];
    unsigned *outstanding;
};

static void on_done(void *ctx, enum gw_status st)
{
    struct request *req = ctx;

    --*req->outstanding;
    /* One write(2) a line: what was printed survives a kill -9. */
    req->id[GW_ULID_BYTES - 1] = '\n';
    if (st == GW_OK && write(STDOUT_FILENO, req->id, GW_ULID_BYTES) < 0)
        stop = 1;
    free(req);
}

static void emit_pair(struct audit_chan *ch, unsigned *outstanding)
{
    struct request *req = calloc(1, sizeof(*req));
    struct audit_event ev = {.kind = AUDIT_DECIDED,
                             .tenant = GW_SPAN("acme"),
                             .user = GW_SPAN("u-1"),
                             .client_ip = GW_SPAN("127.0.0.1"),
                             .operation = GW_SPAN("chat.completions"),
                             .http_method = GW_SPAN("POST"),
                             .http_path = GW_SPAN("/v1/chat/completions"),
                             .model = GW_SPAN("auto"),
                             .target = GW_SPAN("local")};
    char id[GW_ULID_BYTES];

    if (req == NULL)
        return;
    gw_ulid(req->id);
    memcpy(id, req->id, sizeof(id)); /* on_done may free req before audit_emit returns */
    req->outstanding = outstanding;
    ev.request_id = (struct gw_span){id, GW_ULID_BYTES - 1};
    ++*outstanding;
    if (audit_emit(ch, &ev, on_done, req) != GW_OK) {
        --*outstanding;
        free(req);
        return;
    }
    ev.kind = AUDIT_COMPLETED;
    ev.end = AUDIT_END_COMPLETE;
    ev.http_status = 200;
    (void)audit_emit(ch, &ev, NULL, NULL);
}

static void serve(struct audit_chan *ch, int timeout_ms)
{
    struct pollfd p = {audit_chan_fd(ch), POLLIN, 0};

    if (poll(&p, 1, timeout_ms) > 0)
        audit_chan_dispatch(ch);
}

static void run(struct audit_chan *ch, unsigned long pairs, unsigned long per_second)
{
    uint64_t began = gw_clock_ns();
    unsigned outstanding = 0;

    for (unsigned long i = 0; i < pairs && !stop; i++) {
        uint64_t due = began + i * GW_NS_PER_SEC / per_second;

        while (!stop && gw_clock_ns() < due)
            serve(ch, 1);
        emit_pair(ch, &outstanding);
        serve(ch, 0);
    }
    for (int i = 0; i < 500 && outstanding != 0; i++)
        serve(ch, 10);
}

int main(int argc, char **argv)
{
    struct audit_config cfg = {.instance = "gw-load",
                               .version = "0",
                               .max_spool_bytes = 512ull << 20,
                               .segment_bytes = 1 << 20,
                               .retain_seconds = 3600,
                               .n_channels = 1,
                               .kafka_partitions = 1};
    struct sigaction sa = {.sa_handler = on_term};
    struct audit_chan *ch = NULL;
    struct audit_stats st;
    struct audit *a = NULL;
    struct gw_err err;
    unsigned long pairs;

    if (argc < 8) {
        fprintf(stderr,
                "usage: audit_load SPOOL disk|process BROKERS TOPIC PAIRS PER_SECOND DRAIN_MS "
                "[NAME=VALUE...]\n");
        return 2;
    }
    cfg.spool_dir = argv[1];
    cfg.durability =
        strcmp(argv[2], "disk") == 0 ? AUDIT_DURABILITY_DISK : AUDIT_DURABILITY_PROCESS;
    cfg.kafka_brokers = argv[3];
    cfg.kafka_topic = argv[4];
    pairs = strtoul(argv[5], NULL, 10);
    cfg.kafka_properties = (const char *const *)(argv + 8);
    (void)sigaction(SIGTERM, &sa, NULL);
    if (audit_open(&cfg, &a, &err) != GW_OK || audit_chan_open(a, &ch, &err) != GW_OK) {
        fprintf(stderr, "audit_load: %s\n", err.text);
        audit_close(a, 0);
        return 1;
    }
    run(ch, pairs, strtoul(argv[6], NULL, 10));
    audit_chan_close(ch);
    audit_stats(a, &st);
    fprintf(stderr,
            "records=%" PRIu64 " delivered=%" PRIu64 " undelivered=%" PRIu64 " restarts=%" PRIu64
            "\n",
            st.records, st.delivered, st.undelivered, st.producer_restarts);
    audit_close(a, (int)strtol(argv[7], NULL, 10));
    return 0;
}
