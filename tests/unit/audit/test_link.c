/* Tests of the links between records: what a record says of the one before, through failed writes, rolls and restarts; and what verify
 * says, on links alone, of records that no checkpoint covers. */
#include <errno.h>

#include "audit/spool.h"
#include "audit/spool_link.h"
#include "tests/unit/audit/tamper_lab.h"

static const char made[] =
    "{\"unmapped\":{\"sluice\":{\"text\":\"{,\\\"metadata\\\":{\"}},\"metadata\":{\"version\":"
    "\"1.8.0\",\"product\":{\"name\":\"x\"},\"uid\":\"01J0\",\"sequence\":";

static void test_put_and_read(void)
{
    struct spool_link first = {.any = false}, next = {.any = false};
    unsigned char print[SPOOL_PRINT_BYTES], again[SPOOL_PRINT_BYTES];
    struct gw_buf b = {0};
    char evil[SPOOL_CHAIN_BYTES];

    gw_buf_adds(&b, made);
    CHECK(spool_link_read(gw_buf_span(&b), print) == SPOOL_LINKED_NONE);
    CHECK(spool_link_put(&b, "gw/1.0", &first));
    gw_buf_adds(&b, "1}}");
    CHECK(strstr(b.ptr, "{\"}},") == NULL &&
          strstr(b.ptr, "\"chain_uid\":\"gw/1.0\"}},\"metadata\":{") != NULL);
    CHECK(spool_link_read(gw_buf_span(&b), print) == SPOOL_LINKED_FIRST);
    spool_link_of(gw_buf_span(&b), &next);
    CHECK(next.any && strcmp(next.uid, "01J0") == 0);
    gw_buf_clear(&b);
    gw_buf_adds(&b, made);
    CHECK(spool_link_put(&b, "gw/1.0", &next));
    gw_buf_adds(&b, "2}}");
    CHECK(spool_link_read(gw_buf_span(&b), print) == SPOOL_LINKED_TO);
    CHECK(memcmp(print, next.print, sizeof(print)) == 0);
    for (size_t n = 0; n < b.len;
         n++) /* no piece of it is read beyond its end, or as something else */
        if (spool_link_read((struct gw_span){b.ptr, n}, again) == SPOOL_LINKED_TO)
            CHECK(memcmp(again, print, sizeof(print)) == 0);

    /* A chain id of control characters, as long as they come. */
    memset(evil, 1, sizeof(evil) - 1);
    evil[sizeof(evil) - 1] = '\0';
    gw_buf_clear(&b);
    gw_buf_adds(&b, made);
    {
        const size_t before = b.len;

        CHECK(spool_link_put(&b, evil, &next) && b.len - before <= SPOOL_LINK_BYTES);
    }
    CHECK(spool_link_read(gw_buf_span(&b), print) == SPOOL_LINKED_TO);

    /* What is no record of ours stays as it is. */
    gw_buf_clear(&b);
    gw_buf_adds(&b, "{\"a\":1,\"metadata\":{\"sequence\":");
    CHECK(spool_link_put(&b, "gw/1.0", &next) &&
          strcmp(b.ptr, "{\"a\":1,\"metadata\":{\"sequence\":") == 0);
    CHECK(spool_link_read((struct gw_span){NULL, 0}, print) == SPOOL_LINKED_NONE);
    gw_buf_fini(&b);
}

/* Every record of a spool names the one before it in its chain; the first names none. */
static void check_chains(const char *dir, bool old)
{
    struct read_back rb = read_spool(dir);
    const struct one *last = NULL;

    CHECK(rb.n > 2);
    for (size_t i = 0; i < rb.n; i++) {
        const struct one *r = &rb.recs[i];
        struct gw_span json = {r->json, r->len};
        unsigned char print[SPOOL_PRINT_BYTES], want[SPOOL_PRINT_BYTES];
        enum spool_linked linked = spool_link_read(json, print);

        if (old && linked == SPOOL_LINKED_NONE) {
            last = r;
            continue;
        }
        if (last == NULL || strcmp(last->chain, r->chain) != 0) {
            CHECK(linked == SPOOL_LINKED_FIRST);
        } else {
            char uid[64], named[64];

            spool_print((struct gw_span){last->json, last->len}, want);
            CHECK(linked == SPOOL_LINKED_TO && memcmp(print, want, sizeof(want)) == 0);
            CHECK(gw_span_eq(event_str((struct gw_span){last->json, last->len}, "metadata.uid", uid,
                                       sizeof(uid)),
                             event_str(json, "prev_event.uid", named, sizeof(named))));
        }
        last = r;
    }
    read_back_free(&rb);
}

static void test_chain(enum audit_durability d)
{
    struct audit_config cfg = sealed_config(d);

    setup();
    cfg.seal_key = NULL;
    cfg.segment_bytes = 32 << 10;
    write_requests(&cfg, "r", 60, NULL);
    check_chains(scratch, false);
    write_requests(&cfg, "s", 60, NULL); /* goes on where the last run ended */
    check_chains(scratch, false);
    EXPECT(scratch, AUDIT_INTACT);
    teardown();
}

/* A write that fails twice loses records; the next one names the last that is there. */
static unsigned fail_writes;

static ssize_t failing_write(int fd, const void *bytes, size_t n)
{
    if (fail_writes != 0) {
        fail_writes--;
        errno = ENOSPC;
        return -1;
    }
    return write(fd, bytes, n);
}

static void test_lost_write(enum audit_durability d)
{
    struct audit_config cfg = sealed_config(d);
    const struct spool_io real = spool_io;
    struct results res = {0, 0, 0};
    struct audit_chan *ch = NULL;
    struct audit *a = NULL;
    unsigned n = 0;

    setup();
    spool_io.allocate = NULL; /* every record is written with a system call */
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK && audit_chan_open(a, &ch, NULL) == GW_OK);
    for (unsigned i = 0; i < 40; i++) {
        struct audit_event ev = decided_of("r");

        if (i == 10 || i == 20) { /* once: written again; twice: lost */
            spool_io.write = failing_write;
            fail_writes = i == 10 ? 1 : 2;
        }
        if (i == 21)
            (void)usleep(300 * 1000); /* it waits after a failure */
        if (audit_emit(ch, &ev, on_done, &res) == GW_OK)
            CHECK(wait_for(ch, &res, ++n));
    }
    audit_chan_close(ch);
    audit_close(a, 0);
    spool_io = real;
    check_chains(scratch, false);
    EXPECT(scratch, AUDIT_GAP);
    teardown();
}

/* Records of a version that knew no links: they are not accused, and the first new one names the last of them. */
static void test_old_records(void)
{
    struct audit_config cfg = sealed_config(AUDIT_DURABILITY_PROCESS);
    struct names names;

    setup();
    cfg.seal_key = NULL;
    write_requests(&cfg, "r", 20, NULL);
    (void)snprintf(copy, sizeof(copy), "%s", scratch); /* change the spool itself */
    for (unsigned slot = 0; slot < 2; slot++) {
        names = segments(slot);
        for (size_t i = 0; i < names.n; i++) {
            struct segment s = load(names.seg[i]);

            unlink_records(&s);
            store(&s, names.seg[i]);
        }
    }
    (void)snprintf(copy, sizeof(copy), "%s.copy", scratch);
    EXPECT(scratch, AUDIT_INTACT);
    write_requests(&cfg, "s", 20, NULL);
    check_chains(scratch, true);
    EXPECT(scratch, AUDIT_INTACT);
    teardown();
}

/* Nothing was ever sealed: the links alone tell that something was done, and to which record. */
static void test_tampering(enum audit_durability d)
{
    struct audit_config cfg = sealed_config(d);
    const unsigned slot = d == AUDIT_DURABILITY_PROCESS ? 1 : 0;
    struct names names;
    struct segment s;

    setup();
    cfg.seal_key = NULL;
    write_requests(&cfg, "r", 200, NULL);
    EXPECT(scratch, AUDIT_INTACT);
    fresh_copy();
    names = segments(slot);
    CHECK(names.n >= 4);

    s = load(names.seg[1]);
    change_record(&s, 5, true);
    store(&s, names.seg[1]);
    EXPECT(copy, AUDIT_ALTERED);
    CHECK(strstr(said, "names another record before it") != NULL &&
          strstr(said, names.seg[1]) != NULL);

    fresh_copy();
    s = load(names.seg[1]);
    remove_record(&s, 5);
    store(&s, names.seg[1]);
    EXPECT(copy, AUDIT_ALTERED);
    CHECK(strstr(said, "(1 missing)") != NULL);

    fresh_copy();
    s = load(names.seg[2]);
    swap_records(&s, 3);
    store(&s, names.seg[2]);
    EXPECT(copy, AUDIT_ALTERED);
    CHECK(strstr(said, "do not stand in their place") != NULL);

    fresh_copy();
    s = load(names.seg[1]);
    insert_record(&s, 7);
    store(&s, names.seg[1]);
    EXPECT(copy, AUDIT_ALTERED);

    /* The last record of a segment, and a whole one in the middle: the next segment tells. */
    fresh_copy();
    s = load(names.seg[1]);
    s.n = s.at[s.n_recs - 1];
    store(&s, names.seg[1]);
    EXPECT(copy, AUDIT_ALTERED);
    CHECK(strstr(said, names.seg[2]) != NULL);
    fresh_copy();
    delete_in_copy(names.seg[2]);
    EXPECT(copy, AUDIT_ALTERED);

    /* Retention takes the oldest. */
    fresh_copy();
    delete_in_copy(names.seg[0]);
    EXPECT(copy, AUDIT_INTACT);
    teardown();
}

int main(void)
{
    static const enum audit_durability both[] = {AUDIT_DURABILITY_DISK, AUDIT_DURABILITY_PROCESS};

    test_put_and_read();
    for (size_t i = 0; i < 2; i++) {
        test_chain(both[i]);
        test_lost_write(both[i]);
        test_tampering(both[i]);
    }
    test_old_records();
    return test_done();
}
