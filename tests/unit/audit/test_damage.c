/* Damaged spools: a flipped byte anywhere, cut files, other versions. A start always succeeds (but for a
 * newer format), says what is missing, keeps every sound record, and tells it once. */
#include <errno.h>

#include "audit/spool.h"
#include "base/clock.h"
#include "base/digest.h"
#include "tests/unit/audit/util.h"

enum { PAIRS = 6 };

static char template_dir[256];
static char victim[300]; /* the segment that holds the request records, in the template */

/* A finished spool of PAIRS pairs in one segment of slot 1. */
static void make_template(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_PROCESS);
    struct audit_chan *ch = NULL;
    struct audit *a = NULL;

    scratch_new();
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK && audit_chan_open(a, &ch, NULL) == GW_OK);
    for (int i = 0; i < PAIRS; i++) {
        char id[32];
        struct audit_event ev;

        (void)snprintf(id, sizeof(id), "r-%d", i);
        ev = decided_of(id);
        CHECK(audit_emit(ch, &ev, NULL, NULL) == GW_OK);
        ev = completed_of(id);
        CHECK(audit_emit(ch, &ev, NULL, NULL) == GW_OK);
    }
    audit_chan_close(ch);
    audit_close(a, 0);
    (void)snprintf(template_dir, sizeof(template_dir), "%s", scratch);
    (void)snprintf(victim, sizeof(victim), "%s/s001-0000000001.seg", template_dir);
}

static void copy_template(void)
{
    char command[700];

    scratch_new();
    (void)snprintf(command, sizeof(command), "cp -p %s/* %s/", template_dir, scratch);
    CHECK(system(command) == 0); /* NOLINT: a test's own directory */
}

static unsigned char *load(const char *path, size_t *n)
{
    unsigned char *p = malloc(1 << 20);
    FILE *f = fopen(path, "rb");

    *n = fread(p, 1, 1 << 20, f);
    fclose(f);
    return p;
}

static void store(const unsigned char *p, size_t n)
{
    char path[300];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/s001-0000000001.seg", scratch);
    f = fopen(path, "wb");
    CHECK(fwrite(p, 1, n, f) == n);
    fclose(f);
}

struct outcome {
    size_t decided, completed, lost, gaps;
    unsigned bad;
};

/* Starts and stops twice on the scratch spool, and looks. */
static struct outcome start_twice(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_PROCESS);
    struct outcome o;
    struct read_back rb;

    for (int i = 0; i < 2; i++) {
        struct audit *a = NULL;
        struct gw_err err = {GW_OK, ""};

        if (!CHECK(audit_open(&cfg, &a, &err) == GW_OK))
            fprintf(stderr, "%s\n", err.text);
        audit_close(a, 0);
    }
    rb = read_spool(scratch);
    o.decided = count_of(&rb, "ai.request.decided", NULL);
    o.completed = count_of(&rb, "ai.request.completed", NULL);
    o.lost = count_end(&rb, NULL, "gateway_lost");
    o.gaps = count_of(&rb, "sluice.gap", NULL);
    o.bad = rb.bad;
    read_back_free(&rb);
    return o;
}

static void test_flips(void)
{
    size_t n;
    unsigned char *bytes = load(victim, &n);
    /* The header, the first two frames with the beginnings of their payloads, and a walk to the end. */
    for (size_t at = 0; at < n; at += at < SPOOL_HEADER_BYTES + 64 ? 1 : 97) {
        struct outcome o;
        bool header = at < SPOOL_HEADER_BYTES;

        copy_template();
        bytes[at] ^= 0x20;
        store(bytes, n);
        bytes[at] ^= 0x20;
        o = start_twice();
        /* One record at most is lost, and a decided one that lost its end gets another. */
        if (!CHECK(o.bad == 0 && o.gaps == 1) ||
            !CHECK(header ? o.decided == PAIRS && o.completed == PAIRS && o.lost == 0
                          : o.decided + o.completed - o.lost == 2 * PAIRS - 1))
            fprintf(stderr, "byte %zu: %zu decided, %zu completed, %zu lost, %zu gaps, %u bad\n",
                    at, o.decided, o.completed, o.lost, o.gaps, o.bad);
        scratch_end();
    }
    free(bytes);
}

static void test_cuts(void)
{
    size_t n;
    unsigned char *bytes = load(victim, &n);

    for (size_t len = 0; len < n; len += len < SPOOL_HEADER_BYTES + 40 ? 13 : 149) {
        struct outcome o;

        copy_template();
        store(bytes, len);
        o = start_twice();
        /* An empty file is a start that was killed, and a cut between records cannot be seen here. */
        CHECK(o.bad == 0 && o.gaps <= 1 && o.decided == o.completed);
        scratch_end();
    }
    free(bytes);
}

enum { MORE = 5000 };

/* What stands behind the records; true: something may be missing. */
static bool zeroes(unsigned char *file, unsigned char *behind)
{
    (void)file;
    (void)behind;
    return false; /* room for more */
}

static bool zeroes_of_another_boot(unsigned char *file, unsigned char *behind)
{
    struct spool_header h;
    uint32_t version;

    (void)behind;
    CHECK(spool_header_decode(file, SPOOL_HEADER_BYTES, &h, &version) == GW_OK);
    h.boot[0] ^= 1;
    spool_header_encode(&h, file);
    return true;
}

static bool without_process_flag(unsigned char *file, unsigned char *behind)
{
    struct spool_header h;
    uint32_t version;

    (void)behind;
    CHECK(spool_header_decode(file, SPOOL_HEADER_BYTES, &h, &version) == GW_OK);
    h.flags = 0; /* nothing is allocated ahead there */
    spool_header_encode(&h, file);
    return true;
}

static size_t cut_at;

/* Killed while it stored a record: all of it but its magic is there. */
static bool unfinished_record(unsigned char *file, unsigned char *behind)
{
    memcpy(behind + 4, file + SPOOL_HEADER_BYTES + 4, 600);
    return false;
}

/* Killed while write() copied it into the room: its beginning is there. */
static bool cut_record(unsigned char *file, unsigned char *behind)
{
    memcpy(behind, file + SPOOL_HEADER_BYTES, cut_at);
    return false;
}

/* A record that was whole and is damaged: its end is there. */
static bool damaged_record(unsigned char *file, unsigned char *behind)
{
    size_t n = spool_frame_claims(file + SPOOL_HEADER_BYTES);

    memcpy(behind, file + SPOOL_HEADER_BYTES, n);
    behind[n - 10] ^= 1;
    return true;
}

static bool record_behind_room(unsigned char *file, unsigned char *behind)
{
    memcpy(behind + 1000, file + SPOOL_HEADER_BYTES, 900);
    return true;
}

static bool garbage(unsigned char *file, unsigned char *behind)
{
    (void)file;
    gw_random(behind, MORE);
    return true;
}

static void test_behind(bool (*fill)(unsigned char *file, unsigned char *behind))
{
    size_t n;
    unsigned char *bytes = load(victim, &n), *longer = calloc(1, n + MORE);
    struct outcome o;
    bool missing;

    memcpy(longer, bytes, n);
    missing = fill(longer, longer + n);
    copy_template();
    store(longer, n + MORE);
    o = start_twice();
    CHECK(o.bad == 0 && o.gaps == (missing ? 1 : 0) && o.decided == PAIRS && o.completed == PAIRS);
    scratch_end();
    free(longer);
    free(bytes);
}

/* The bytes that were taken out lie in quarantine/. */
static void test_quarantine(void)
{
    size_t n;
    unsigned char *bytes = load(victim, &n);
    char command[400];

    copy_template();
    memset(bytes + SPOOL_HEADER_BYTES + 100, 'Q', 50);
    store(bytes, n);
    (void)start_twice();
    (void)snprintf(command, sizeof(command), "grep -q QQQQQQQQQQ %s/quarantine/*", scratch);
    CHECK(system(command) == 0); /* NOLINT: a test's own directory */
    scratch_end();
    free(bytes);
}

/* A format that is not ours to read: refused, with words, and nothing touched. */
static void test_version(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_PROCESS);
    struct gw_err err = {GW_OK, ""};
    struct audit *a = NULL;
    size_t n, m;
    unsigned char *bytes = load(victim, &n), *after;
    char path[300];
    uint32_t crc;

    bytes[8] = 2;
    crc = gw_crc32c(0, (struct gw_span){(const char *)bytes, 12});
    for (unsigned i = 0; i < 4; i++)
        bytes[12 + i] = (unsigned char)(crc >> (8 * i));
    copy_template();
    store(bytes, n);
    CHECK(audit_open(&cfg, &a, &err) == GW_EUNSUPPORTED && a == NULL);
    CHECK(strstr(err.text, "version 2") != NULL && strstr(err.text, "s001-0000000001.seg") != NULL);
    (void)snprintf(path, sizeof(path), "%s/s001-0000000001.seg", scratch);
    after = load(path, &m);
    CHECK(m == n && memcmp(after, bytes, n) == 0);
    free(after);
    free(bytes);
    scratch_end();
}

/* A whole damaged segment in the middle: the next ones are read on. */
static void test_middle(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_PROCESS);
    struct audit_chan *ch = NULL;
    struct audit *a = NULL;
    char command[600];
    struct outcome o;

    scratch_new();
    cfg.segment_bytes = 4096;
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK && audit_chan_open(a, &ch, NULL) == GW_OK);
    for (int i = 0; i < 30; i++) {
        char id[32];
        struct audit_event ev;

        (void)snprintf(id, sizeof(id), "r-%d", i);
        ev = completed_of(id);
        CHECK(audit_emit(ch, &ev, NULL, NULL) == GW_OK);
    }
    audit_chan_close(ch);
    audit_close(a, 0);
    (void)snprintf(command, sizeof(command), "head -c 3000 /dev/zero > %s/s001-0000000003.seg",
                   scratch);
    CHECK(system(command) == 0); /* NOLINT: a test's own directory */
    o = start_twice();
    CHECK(o.bad == 0 && o.gaps == 1 && o.completed >= 24 && o.completed < 30);
    scratch_end();
}

/* Files that are not ours do not matter. */
static void test_strangers(void)
{
    char command[900];
    struct outcome o;

    copy_template();
    (void)snprintf(
        command, sizeof(command),
        "cd %s && echo x > s1-1.seg && echo x > s001-0000000001.seg.tmp && echo x > notes && "
        "mkdir s001-0000000009.seg && ln -s /etc/passwd s001-0000000008.seg",
        scratch);
    CHECK(system(command) == 0); /* NOLINT: a test's own directory */
    o = start_twice();
    CHECK(o.bad == 0 && o.gaps == 0 && o.decided == PAIRS);
    scratch_end();
}

int main(void)
{
    make_template();
    test_flips();
    test_cuts();
    test_behind(zeroes);
    test_behind(zeroes_of_another_boot);
    test_behind(without_process_flag);
    test_behind(unfinished_record);
    for (cut_at = 1; cut_at < 600; cut_at += cut_at < 40 ? 1 : 97)
        test_behind(cut_record);
    test_behind(damaged_record);
    test_behind(record_behind_room);
    test_behind(garbage);
    test_quarantine();
    test_version();
    test_middle();
    test_strangers();
    remove_tree(template_dir);
    return test_done();
}
