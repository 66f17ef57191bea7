/* Tests of the spool through the public interface, in both durabilities. */
#include <sys/wait.h>

#include <errno.h>
#include <pthread.h>

#include "audit/spool.h"
#include "base/clock.h"
#include "tests/unit/audit/util.h"

static const enum audit_durability both[] = {AUDIT_DURABILITY_DISK, AUDIT_DURABILITY_PROCESS};

static struct audit *must_open(const struct audit_config *cfg)
{
    struct audit *a = NULL;
    struct gw_err err = {GW_OK, ""};

    if (!CHECK(audit_open(cfg, &a, &err) == GW_OK))
        fprintf(stderr, "%s\n", err.text);
    return a;
}

static void test_round_trip(enum audit_durability d)
{
    struct audit_config cfg = config_of(d);
    struct audit_chan *ch = NULL;
    struct results res = {0, 0, 0};
    struct audit_stats st;
    struct read_back rb;
    struct audit *a;

    scratch_new();
    a = must_open(&cfg);
    CHECK(audit_chan_open(a, &ch, NULL) == GW_OK);
    for (int i = 0; i < 100; i++) {
        char id[32];
        struct audit_event ev;

        (void)snprintf(id, sizeof(id), "r-%d", i);
        ev = decided_of(id);
        CHECK(audit_emit(ch, &ev, on_done, &res) == GW_OK);
        ev = completed_of(id);
        CHECK(audit_emit(ch, &ev, NULL, NULL) == GW_OK);
    }
    CHECK(wait_for(ch, &res, 100) && res.ok == 100);
    audit_stats(a, &st);
    CHECK(st.writable && !st.kafka_configured && st.rejected == 0 && st.records >= 100);
    audit_chan_close(ch);
    audit_close(a, 0);
    rb = read_spool(scratch);
    CHECK(rb.bad == 0 && rb.n == 202);
    CHECK(count_of(&rb, "sluice.started", NULL) == 1 && count_of(&rb, "sluice.stopped", NULL) == 1);
    CHECK(count_of(&rb, "ai.request.decided", NULL) == 100);
    CHECK(count_of(&rb, "ai.request.completed", "r-7") == 1);
    /* Sequences of a chain go up by one. */
    for (size_t i = 1; i < rb.n; i++)
        if (strcmp(rb.recs[i].chain, rb.recs[i - 1].chain) == 0)
            CHECK(rb.recs[i].seq == rb.recs[i - 1].seq + 1);
    read_back_free(&rb);
    scratch_end();
}

/* A buffer that a crowd has filled gives its memory back when nothing comes for a second, and goes on. */
static void test_rest_after_a_crowd(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_DISK);
    struct audit_chan *ch = NULL;
    struct results res = {0, 0, 0};
    struct read_back rb;
    struct audit *a;

    scratch_new();
    a = must_open(&cfg);
    CHECK(audit_chan_open(a, &ch, NULL) == GW_OK);
    for (int i = 0; i < 400; i++) {
        char id[32];
        struct audit_event ev;

        (void)snprintf(id, sizeof(id), "r-%d", i);
        ev = decided_of(id);
        CHECK(audit_emit(ch, &ev, on_done, &res) == GW_OK);
        ev = completed_of(id);
        CHECK(audit_emit(ch, &ev, NULL, NULL) == GW_OK);
        if (i == 299) {
            CHECK(wait_for(ch, &res, 300) && res.ok == 300);
            (void)usleep(1300000);
        }
    }
    CHECK(wait_for(ch, &res, 400) && res.ok == 400);
    audit_chan_close(ch);
    audit_close(a, 0);
    rb = read_spool(scratch);
    CHECK(rb.bad == 0 && rb.n == 802);
    for (int i = 0; i < 400; i += 37) {
        char id[32];

        (void)snprintf(id, sizeof(id), "r-%d", i);
        CHECK(count_of(&rb, "ai.request.completed", id) == 1);
    }
    read_back_free(&rb);
    scratch_end();
}

/* A second start continues the chain and writes gateway_lost exactly once. */
static void test_lost_once(enum audit_durability d)
{
    struct audit_config cfg = config_of(d);
    struct audit_event ev;
    struct read_back rb;
    int status;
    pid_t pid;

    scratch_new();
    pid = fork();
    if (pid == 0) {
        struct audit_chan *ch = NULL;
        struct results res = {0, 0, 0};
        struct audit *a = NULL;

        if (audit_open(&cfg, &a, NULL) != GW_OK || audit_chan_open(a, &ch, NULL) != GW_OK)
            _exit(1);
        ev = decided_of("left-open \"\x01\xff");
        (void)audit_emit(ch, &ev, on_done, &res);
        ev = decided_of("ended");
        (void)audit_emit(ch, &ev, on_done, &res);
        ev = completed_of("ended");
        (void)audit_emit(ch, &ev, on_done, &res);
        ev = completed_of("refused");
        ev.end = AUDIT_END_REFUSED;
        (void)audit_emit(ch, &ev, on_done, &res);
        _exit(wait_for(ch, &res, 4) ? 0 : 1); /* no audit_close: like kill -9 */
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    for (int i = 0; i < 3; i++)
        audit_close(must_open(&cfg), 0);
    rb = read_spool(scratch);
    CHECK(rb.bad == 0);
    CHECK(count_end(&rb, NULL, "gateway_lost") == 1);
    CHECK(count_end(&rb, "left-open \"\x01\xEF\xBF\xBD", "gateway_lost") == 1);
    CHECK(count_of(&rb, "sluice.started", NULL) == 4 && count_of(&rb, "sluice.gap", NULL) == 0);
    for (size_t i = 0; i < rb.n; i++) {
        char user[32];
        struct gw_span json = {rb.recs[i].json, rb.recs[i].len};

        CHECK(rb.recs[i].slot != 0 || strcmp(rb.recs[i].chain, rb.recs[0].chain) == 0);
        if (strstr(rb.recs[i].json, "gateway_lost") != NULL)
            CHECK(gw_span_is(event_str(json, "user.uid", user, sizeof(user)), "u-1"));
    }
    read_back_free(&rb);
    scratch_end();
}

static void test_lock(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_PROCESS);
    struct audit *a, *b = NULL;
    struct gw_err err = {GW_OK, ""};
    int status;
    pid_t pid;

    scratch_new();
    a = must_open(&cfg);
    CHECK(audit_open(&cfg, &b, &err) == GW_EEXIST && b == NULL);
    CHECK(strstr(err.text, "another process") != NULL);
    pid = fork();
    if (pid == 0)
        _exit(audit_open(&cfg, &b, &err) == GW_EEXIST ? 0 : 1);
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 0);
    audit_close(a, 0);
    audit_close(must_open(&cfg), 0);
    scratch_end();
}

/* Nearly full: sealed texts are left out, which the record says, and requests go on. */
static void test_first_mark(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_PROCESS);
    static char text[20000];
    struct audit_event ev;
    struct audit_stats st;
    struct read_back rb;
    size_t with = 0, cut = 0;
    struct audit_chan *ch = NULL;
    struct audit *a = NULL;

    scratch_new();
    cfg.max_spool_bytes = 8 << 20;
    memset(text, 'x', sizeof(text));
    text[0] = text[sizeof(text) - 1] = '"';
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK && audit_chan_open(a, &ch, NULL) == GW_OK);
    do {
        ev = completed_of("x");
        ev.end = AUDIT_END_REFUSED;
        ev.payload = (struct gw_span){text, sizeof(text)};
        if (!CHECK(audit_emit(ch, &ev, NULL, NULL) == GW_OK))
            break;
        audit_stats(a, &st);
    } while (st.spool_bytes < cfg.max_spool_bytes / 100 * 96);
    audit_chan_close(ch);
    audit_close(a, 0);
    rb = read_spool(scratch);
    for (size_t i = 0; i < rb.n; i++) {
        with += strstr(rb.recs[i].json, "\"payload\":\"xxx") != NULL;
        cut += strstr(rb.recs[i].json, "\"is_truncated\":true") != NULL;
        CHECK(rb.recs[i].len < 16000 || strstr(rb.recs[i].json, "\"payload\":") != NULL);
    }
    CHECK(with > 300 && with < 420 && cut > 10);
    read_back_free(&rb);
    scratch_end();
}

int main(void)
{
    for (size_t i = 0; i < 2; i++) {
        test_round_trip(both[i]);
        test_lost_once(both[i]);
    }
    test_lock();
    test_rest_after_a_crowd();
    test_first_mark();
    return test_done();
}
