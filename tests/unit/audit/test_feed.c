/* What a sink is given around writes that fail: never a record that the ledger calls lost, though it stood in the file when the sink
 * read there; each other one once. */
#include <errno.h>

#include "audit/kafka_feed.h"
#include "audit/spool.h"
#include "audit/spool_recover.h"
#include "tests/unit/audit/util.h"

enum { ROOM = 100 }; /* bytes of a record without what is filled in */

struct lab {
    struct spool *sp;
    struct spool_slot *s;
    struct feed f, late; /* reads all the time; reads once all is done */
};

static int fail_writes, fail_syncs; /* calls from now on */

static ssize_t faulty_write(int fd, const void *bytes, size_t n)
{
    if (fail_writes == 0)
        return write(fd, bytes, n);
    fail_writes--;
    errno = ENOSPC;
    return n > 1 && write(fd, bytes, n / 2) < 0 ? -2 : -1;
}

static int faulty_sync(int fd)
{
    if (fail_syncs == 0)
        return fdatasync(fd);
    fail_syncs--;
    errno = EIO;
    return -1;
}

static struct lab lab_new(bool process)
{
    const struct spool_sink_config sink = {.name = ""};
    const struct spool_config cfg = {.dir = scratch,
                                     .instance = "gw-test",
                                     .max_bytes = 64 << 20,
                                     .n_slots = 1,
                                     .retain_seconds = 3600,
                                     .process = process,
                                     .sinks = &sink,
                                     .n_sinks = 1};
    struct spool_recovery rec = {NULL, 0, 0, 0};
    struct gw_err err = {GW_OK, ""};
    struct lab l = {NULL, NULL, {0}, {0}};

    if (!CHECK(spool_open(&cfg, &l.sp, &err) == GW_OK &&
               spool_recover(l.sp, &rec, &err) == GW_OK)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    spool_recovery_fini(&rec);
    l.s = &l.sp->slots[0];
    feed_init(&l.f, l.s, 0);
    feed_init(&l.late, l.s, FEED_NO_SINK);
    spool_io = (struct spool_io){faulty_write, faulty_sync, NULL};
    return l;
}

static void lab_end(struct lab *l)
{
    feed_fini(&l->f);
    feed_fini(&l->late);
    spool_close(l->sp);
    spool_io = (struct spool_io){write, fdatasync, fallocate};
    fail_writes = fail_syncs = 0;
}

static enum gw_status put(struct lab *l)
{
    static const char zeros[SPOOL_FRAME_BYTES];
    const struct spool_entry e = {.kind = SPOOL_KIND_LIFECYCLE, .time_ms = 1};
    struct gw_buf buf = {NULL, 0, 0, false};
    enum gw_status st;

    gw_buf_add(&buf, (struct gw_span){zeros, sizeof(zeros)});
    gw_buf_printf(&buf, "{\"text\":\"%0*d\",\"unmapped\":{\"sequence\":", ROOM, 7);
    CHECK(spool_reserve(l->sp, buf.len + SPOOL_TAIL_BYTES, SPOOL_ROOM_LIFE));
    st = spool_put(l->s, &buf, &e);
    spool_settle(l->s);
    gw_buf_fini(&buf);
    return st;
}

/* The next one's sequence, or 0. */
static uint64_t next(struct feed *f)
{
    struct spool_rec rec;

    return feed_next(f, &rec) ? rec.seq : 0;
}

static void wait_out(struct lab *l)
{
    TEST_UNTIL(!spool_failing(l->s));
}

/* Puts the bytes of a lost record back behind what is good, as if cutting the file had failed. */
static void put_back(struct lab *l, const char *name, uint64_t at, const char *bytes, size_t n)
{
    int fd = openat(l->sp->dirfd, name, O_RDWR);

    CHECK(fd >= 0 && pwrite(fd, bytes, n, (off_t)at) == (ssize_t)n);
    (void)close(fd);
}

static void test_lost(bool cut)
{
    struct lab l = lab_new(false);
    char name[SPOOL_NAME_BYTES], tail[2 * ROOM + 200];
    uint64_t lost = 0, from = 0, good, end;
    int64_t since = 0;

    CHECK(put(&l) == GW_OK && spool_flush(l.s, true) == GW_OK);
    good = l.s->written;
    spool_name(name, 0, l.s->segno);
    CHECK(put(&l) == GW_OK && spool_flush(l.s, false) == GW_OK); /* in the file, not durable */
    end = l.s->written;
    CHECK(next(&l.f) == 1 && next(&l.f) == 0);
    CHECK(end - good < sizeof(tail) &&
          pread(l.f.r.fd, tail, end - good, (off_t)good) == (ssize_t)(end - good));
    CHECK(put(&l) == GW_OK);
    fail_writes = 2;
    CHECK(spool_flush(l.s, true) == GW_EIO && fail_writes == 0);
    if (!cut)
        put_back(&l, name, good, tail, end - good);
    CHECK(next(&l.f) == 0);
    wait_out(&l);
    CHECK(put(&l) == GW_OK && spool_flush(l.s, true) == GW_OK);
    CHECK(spool_recovered(l.s, &lost, &from, &since) && lost == 2 && from == 2);
    CHECK(next(&l.f) == 4 && next(&l.f) == 0);
    CHECK(next(&l.late) == 1 && next(&l.late) == 4 && next(&l.late) == 0);
    CHECK(atomic_load(&l.sp->sinks[0].undelivered) == 2);
    lab_end(&l);
    remove_tree(scratch);
}

/* The second try works: nothing is lost, nothing comes twice. */
static void test_again(bool sync)
{
    struct lab l = lab_new(false);
    uint64_t lost, from;
    int64_t since;

    CHECK(put(&l) == GW_OK && spool_flush(l.s, true) == GW_OK);
    CHECK(put(&l) == GW_OK && spool_flush(l.s, false) == GW_OK);
    CHECK(next(&l.f) == 1 && next(&l.f) == 0);
    CHECK(put(&l) == GW_OK);
    fail_writes = sync ? 0 : 1;
    fail_syncs = sync ? 1 : 0;
    CHECK(spool_flush(l.s, true) == GW_OK);
    CHECK(!spool_recovered(l.s, &lost, &from, &since));
    for (uint64_t seq = 2; seq <= 3; seq++)
        CHECK(next(&l.f) == seq);
    CHECK(next(&l.f) == 0);
    for (uint64_t seq = 1; seq <= 3; seq++)
        CHECK(next(&l.late) == seq);
    CHECK(next(&l.late) == 0);
    lab_end(&l);
    remove_tree(scratch);
}

/* process: a write is durable or was refused; half of one is nobody's. */
static void test_refused(void)
{
    struct lab l = lab_new(true);

    CHECK(put(&l) == GW_OK && next(&l.f) == 1 && next(&l.f) == 0);
    fail_writes = 2;
    CHECK(put(&l) == GW_EIO && next(&l.f) == 0);
    wait_out(&l);
    CHECK(put(&l) == GW_OK && next(&l.f) == 3 && next(&l.f) == 0);
    CHECK(next(&l.late) == 1 && next(&l.late) == 3 && next(&l.late) == 0);
    lab_end(&l);
    remove_tree(scratch);
}

/* What failing calls of any kind and place leave: sinks get what is not lost, once and in order. */
static void test_drawn(void)
{
    struct lab l = lab_new(false);
    uint64_t given = 0, n_given = 0, n_lost = 0, lost, from, seq, rnd = 42;
    int64_t since;

    for (unsigned i = 0; i < 3000; i++) {
        rnd = rnd * 6364136223846793005u + 1442695040888963407u;
        switch (rnd >> 60) {
        case 0:
            fail_writes = (int)(rnd >> 40 & 3);
            break;
        case 1:
            fail_syncs = (int)(rnd >> 40 & 3);
            break;
        case 2:
        case 3:
        case 4:
            (void)spool_flush(l.s, (rnd >> 40 & 1) != 0);
            break;
        case 5:
            if (spool_flush(l.s, true) == GW_OK)
                spool_roll(l.s);
            break;
        default:
            if (spool_wants_flush(l.s, 2 * ROOM + 200))
                (void)spool_flush(l.s, true);
            (void)put(&l);
        }
        if (spool_failing(l.s))
            l.s->retry_ns = 1; /* not a wait each time */
        if (spool_recovered(l.s, &lost, &from, &since))
            n_lost += lost;
        while ((seq = next(&l.f)) != 0) {
            CHECK(seq > given);
            given = seq;
            n_given++;
        }
    }
    fail_writes = fail_syncs = 0;
    CHECK(put(&l) == GW_OK && spool_flush(l.s, true) == GW_OK);
    if (spool_recovered(l.s, &lost, &from, &since))
        n_lost += lost;
    while (next(&l.f) != 0)
        n_given++;
    CHECK(n_lost > 50 && n_given > 500);
    CHECK(n_given + n_lost == l.s->next_seq - 1);
    CHECK(n_given == atomic_load(&l.sp->sinks[0].undelivered));
    lab_end(&l);
    remove_tree(scratch);
}

int main(void)
{
    scratch_new();
    test_lost(true);
    test_lost(false);
    test_again(false);
    test_again(true);
    test_refused();
    test_drawn();
    return test_done();
}
