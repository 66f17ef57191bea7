/* The index of whole segments: a start that uses it finds what one without it finds; where it is lost, garbled or no longer true,
 * segments are read. */
#include <sys/time.h>

#include "audit/spool.h"
#include "audit/spool_index.h"
#include "audit/spool_recover.h"
#include "tests/unit/audit/util.h"

enum { REQUESTS = 400 };

/* What a start finds. */
struct found {
    uint64_t records, undelivered, n_open, used_bytes, next_seq[2];
    size_t segments, damages, lost;
};

static struct found look(void)
{
    const struct spool_config cfg = {.dir = scratch,
                                     .instance = "gw-test",
                                     .max_bytes = 64 << 20,
                                     .segment_bytes = 16 << 10,
                                     .n_slots = 2,
                                     .retain_seconds = 3600,
                                     .process = true};
    struct spool_recovery rec;
    struct spool *sp = NULL;
    struct found f = {0};

    if (!CHECK(spool_open(&cfg, &sp, NULL) == GW_OK && spool_recover(sp, &rec, NULL) == GW_OK))
        return f;
    f.records = rec.n_records;
    f.damages = rec.n_damages;
    f.n_open = atomic_load(&sp->n_open);
    f.used_bytes = atomic_load(&sp->used_bytes);
    for (unsigned i = 0; i < 2; i++) {
        f.segments += sp->slots[i].n_segs;
        f.next_seq[i] = sp->slots[i].next_seq;
    }
    spool_recovery_fini(&rec);
    spool_close(sp);
    return f;
}

static struct spool_index load(void)
{
    struct spool_index index;
    int fd = open(scratch, O_RDONLY | O_DIRECTORY);

    spool_index_load(fd, &index);
    (void)close(fd);
    return index;
}

/* Many small segments; a request that began in an early one stays open. */
static void fill(enum audit_durability d)
{
    struct audit_config cfg = config_of(d);
    struct audit_chan *ch = NULL;
    struct audit *a = NULL;

    scratch_new();
    cfg.segment_bytes = 16 << 10;
    cfg.n_channels = 1;
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK && audit_chan_open(a, &ch, NULL) == GW_OK);
    for (int i = 0; i < REQUESTS; i++) {
        char id[32];
        struct audit_event ev;

        (void)snprintf(id, sizeof(id), "r-%d", i);
        ev = decided_of(id);
        CHECK(audit_emit(ch, &ev, NULL, NULL) == GW_OK);
        if (i == REQUESTS / 2)
            continue;
        ev = completed_of(id);
        CHECK(audit_emit(ch, &ev, NULL, NULL) == GW_OK);
    }
    audit_chan_close(ch);
    audit_close(a, 0);
    /* Starting writes the index, and ends what is open; what is left of the test looks at a copy that has it open no more. */
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK);
    audit_close(a, 0);
}

static bool same(const struct found *a, const struct found *b)
{
    return a->records == b->records && a->segments == b->segments && a->damages == b->damages &&
           a->n_open == b->n_open && a->used_bytes == b->used_bytes &&
           a->next_seq[0] == b->next_seq[0];
}

static void test_same(enum audit_durability d)
{
    static const char *const damage[] = {"rm", "truncate -s 0", "truncate -s -9",
                                         "head -c 300 /dev/urandom >"};
    struct spool_index index;
    struct found with, without;
    char command[400];

    fill(d);
    index = load();
    with = look();
    CHECK(index.n + 6 > with.segments && index.n + 1 < with.segments + 1 && with.segments > 20);
    CHECK(with.records >= 2 * REQUESTS + 2 && with.n_open == 0);
    spool_index_fini(&index);
    for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
        (void)snprintf(command, sizeof(command), "%s %s/index", damage[i], scratch);
        CHECK(system(command) == 0); /* NOLINT: a test's own directory */
        index = load();
        CHECK(index.n == 0);
        without = look();
        CHECK(same(&with, &without));
        (void)snprintf(command, sizeof(command), "touch %s/index", scratch);
        CHECK(system(command) == 0); /* NOLINT: a test's own directory */
    }
    scratch_end();
}

/* A segment that was touched is read again: its damage is found. What was changed behind the system's back is for `verify`. */
static void test_touched(void)
{
    struct timeval times[2];
    char path[400];
    unsigned char byte;
    struct stat st;
    int fd;

    fill(AUDIT_DURABILITY_DISK);
    (void)snprintf(path, sizeof(path), "%s/s000-0000000003.seg", scratch);
    CHECK(stat(path, &st) == 0 && look().damages == 0);
    fd = open(path, O_RDWR);
    CHECK(pread(fd, &byte, 1, 5000) == 1);
    byte ^= 0x20;
    CHECK(pwrite(fd, &byte, 1, 5000) == 1);
    (void)close(fd);
    CHECK(look().damages == 1);
    TIMESPEC_TO_TIMEVAL(&times[0], &st.st_atim);
    TIMESPEC_TO_TIMEVAL(&times[1], &st.st_mtim);
    CHECK(utimes(path, times) == 0);
    CHECK(look().damages == (st.st_mtim.tv_nsec % 1000 == 0 ? 0 : 1));
    scratch_end();
}

/* A request that began in a segment keeps it, and what follows, out of what is skipped until it ended. */
static void test_open_request(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_DISK);
    struct audit_chan *ch = NULL;
    struct audit *a = NULL;
    struct spool_index index;
    struct read_back rb;
    struct audit_event ev;

    scratch_new();
    cfg.segment_bytes = 16 << 10;
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK && audit_chan_open(a, &ch, NULL) == GW_OK);
    ev = decided_of("long");
    CHECK(audit_emit(ch, &ev, NULL, NULL) == GW_OK);
    for (int i = 0; i < 200; i++) {
        ev = completed_of("x");
        ev.end = AUDIT_END_REFUSED;
        CHECK(audit_emit(ch, &ev, NULL, NULL) == GW_OK);
    }
    ev = completed_of("long");
    CHECK(audit_emit(ch, &ev, NULL, NULL) == GW_OK);
    audit_chan_close(ch);
    audit_close(a, 0);
    for (int i = 0; i < 2; i++) { /* the first start has read all, the second trusts the index */
        CHECK(audit_open(&cfg, &a, NULL) == GW_OK);
        audit_close(a, 0);
    }
    index = load();
    CHECK(index.n > 5);
    spool_index_fini(&index);
    rb = read_spool(scratch);
    CHECK(count_end(&rb, "long", "complete") == 1 && count_end(&rb, NULL, "gateway_lost") == 0);
    read_back_free(&rb);
    scratch_end();
}

int main(void)
{
    test_same(AUDIT_DURABILITY_DISK);
    test_same(AUDIT_DURABILITY_PROCESS);
    test_touched();
    test_open_request();
    return test_done();
}
