/* tests/unit/audit/util.h - what the audit tests share: a scratch spool and a way to read it back. */
#ifndef TESTS_AUDIT_UTIL_H
#define TESTS_AUDIT_UTIL_H

#include <sys/stat.h>

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/event_read.h"
#include "audit/spool_read.h"
#include "base/clock.h"
#include "tests/files.h"
#include "tests/test.h"

static char scratch[256];

/* A fresh empty directory; scratch holds its name. */
static inline void scratch_new(void)
{
    const char *base = getenv("TMPDIR");

    (void)snprintf(scratch, sizeof(scratch), "%s/sluice-audit-XXXXXX",
                   base != NULL ? base : "/tmp");
    CHECK(mkdtemp(scratch) != NULL);
}

static inline void remove_tree(const char *path)
{
    if (!test_remove_tree(path))
        fprintf(stderr, "cannot remove %s\n", path);
}

static inline void scratch_end(void)
{
    remove_tree(scratch);
}

static inline struct audit_config config_of(enum audit_durability d)
{
    return (struct audit_config){.spool_dir = scratch,
                                 .instance = "gw-test",
                                 .version = "0.0.1",
                                 .config_digest = "sha256:c0",
                                 .rules_digest = "sha256:d0",
                                 .durability = d,
                                 .max_spool_bytes = 64 << 20,
                                 .retain_seconds = 3600,
                                 .n_channels = 2};
}

/* All records of a spool, copied out. */
struct read_back {
    struct one {
        enum spool_kind kind;
        uint64_t seq, segno;
        unsigned slot;
        char chain[SPOOL_CHAIN_BYTES];
        char *json;
        size_t len;
    } * recs;
    size_t n, cap;
    unsigned bad; /* places that are not records */
};

static inline void read_back_free(struct read_back *rb)
{
    for (size_t i = 0; i < rb->n; i++)
        free(rb->recs[i].json);
    free(rb->recs);
    memset(rb, 0, sizeof(*rb));
}

static inline void read_back_add(struct read_back *rb, const struct spool_reader *r, unsigned slot,
                                 const struct spool_rec *rec)
{
    struct one *o;

    if (rb->n == rb->cap) {
        rb->cap = rb->cap == 0 ? 256 : rb->cap * 2;
        rb->recs = realloc(rb->recs, rb->cap * sizeof(*rb->recs));
    }
    o = &rb->recs[rb->n++];
    o->kind = rec->kind;
    o->seq = rec->seq;
    o->segno = r->segno;
    o->slot = slot;
    memcpy(o->chain, r->header.chain, sizeof(o->chain));
    o->json = malloc(rec->payload.len + 1);
    memcpy(o->json, rec->payload.ptr, rec->payload.len);
    o->json[rec->payload.len] = '\0';
    o->len = rec->payload.len;
}

static inline struct read_back read_spool(const char *dir)
{
    struct read_back rb = {NULL, 0, 0, 0};
    struct spool_reader r = SPOOL_READER_CLOSED;
    struct spool_file *files = NULL;
    size_t n = 0;
    int fd = open(dir, O_RDONLY | O_DIRECTORY);

    CHECK(fd >= 0 && spool_list(fd, &files, &n, NULL) == GW_OK);
    for (size_t i = 0; i < n; i++) {
        struct spool_rec rec;
        enum spool_read got;

        if (spool_reader_open(&r, fd, files[i].slot, files[i].segno, NULL) != GW_OK)
            rb.bad++;
        while (r.fd >= 0 && (got = spool_reader_next(&r, &rec)) != SPOOL_READ_END) {
            if (got == SPOOL_READ_EIO)
                break;
            if (got == SPOOL_READ_REC) {
                read_back_add(&rb, &r, files[i].slot, &rec);
                continue;
            }
            rb.bad++;
            (void)spool_reader_resync(&r);
        }
    }
    spool_reader_fini(&r);
    free(files);
    (void)close(fd);
    return rb;
}

/* How many records have that event code, and, unless id is NULL, that request id. */
static inline size_t count_of(const struct read_back *rb, const char *code, const char *id)
{
    size_t n = 0;

    for (size_t i = 0; i < rb->n; i++) {
        struct gw_span json = {rb->recs[i].json, rb->recs[i].len};
        char a[64], b[EVENT_ID_BYTES];

        if (!gw_span_is(event_str(json, "event_code", a, sizeof(a)), code))
            continue;
        if (id == NULL || gw_span_is(event_request_id(json, b), id))
            n++;
    }
    return n;
}

static inline size_t count_end(const struct read_back *rb, const char *id, const char *end)
{
    size_t n = 0;

    for (size_t i = 0; i < rb->n; i++) {
        struct gw_span json = {rb->recs[i].json, rb->recs[i].len};
        char a[64], b[EVENT_ID_BYTES];

        if (rb->recs[i].kind == SPOOL_KIND_COMPLETED &&
            gw_span_is(event_str(json, "sluice.end", a, sizeof(a)), end) &&
            (id == NULL || gw_span_is(event_request_id(json, b), id)))
            n++;
    }
    return n;
}

static inline struct audit_event decided_of(const char *id)
{
    return (struct audit_event){.kind = AUDIT_DECIDED,
                                .request_id = gw_span_str(id),
                                .tenant = GW_SPAN("acme"),
                                .user = GW_SPAN("u-1"),
                                .client_ip = GW_SPAN("127.0.0.1"),
                                .operation = GW_SPAN("chat.completions"),
                                .http_method = GW_SPAN("POST"),
                                .http_path = GW_SPAN("/v1/chat/completions"),
                                .model = GW_SPAN("auto"),
                                .target = GW_SPAN("local"),
                                .target_zone = GW_SPAN("process"),
                                .target_model = GW_SPAN("smollm2")};
}

static inline struct audit_event completed_of(const char *id)
{
    struct audit_event ev = decided_of(id);

    ev.kind = AUDIT_COMPLETED;
    ev.end = AUDIT_END_COMPLETE;
    ev.http_status = 200;
    ev.duration_us = 1234567;
    return ev;
}

/* Counts what came back from audit_emit. */
struct results {
    unsigned n, ok, failed;
};

static inline void on_done(void *ctx, enum gw_status st)
{
    struct results *res = ctx;

    res->n++;
    if (st == GW_OK)
        res->ok++;
    else
        res->failed++;
}

/* Serves the channel until res->n is n. */
static inline bool wait_for(struct audit_chan *ch, const struct results *res, unsigned n)
{
    /* However many pieces the results come in; the end is only against hanging. */
    for (int i = 0; i < TEST_TURNS && res->n < n; i++) {
        struct pollfd p = {audit_chan_fd(ch), POLLIN, 0};

        if (poll(&p, 1, 10) > 0)
            audit_chan_dispatch(ch);
    }
    return res->n == n;
}

#endif
