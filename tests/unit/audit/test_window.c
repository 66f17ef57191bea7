/* Tests of room that is allocated and mapped ahead of a slot's records. */
#include <errno.h>

#include "tests/unit/audit/seal_lab.h"

enum { REC = 2000 };

/* A file with a header's worth of bytes, and its window. */
struct lab {
    int dirfd, fd;
    struct spool_window w;
};

static struct lab lab_new(void)
{
    struct lab l = {.fd = -1};

    setup();
    memset(&l.w, 0, sizeof(l.w));
    l.dirfd = open(scratch, O_RDONLY | O_DIRECTORY);
    l.fd = openat(l.dirfd, "seg", O_RDWR | O_CREAT, 0600);
    CHECK(l.fd >= 0 && pwrite(l.fd, "head", 4, SPOOL_HEADER_BYTES - 4) == 4);
    return l;
}

static void lab_end(struct lab *l)
{
    spool_window_fini(&l->w);
    (void)close(l->fd);
    (void)close(l->dirfd);
    teardown();
}

static uint64_t length_of(int fd)
{
    struct stat st;

    return CHECK(fstat(fd, &st) == 0) ? (uint64_t)st.st_size : 0;
}

/* What the keeper does. */
static void keep(struct lab *l)
{
    uint64_t segno = 0;

    if (spool_window_wanted(&l->w, &segno))
        spool_window_make(&l->w, l->dirfd, "seg", segno);
}

/* Records of many lengths, to the end of the segment: those that no window holds are the caller's. */
static void test_records(void)
{
    const uint64_t max = 3 * SPOOL_WINDOW_BYTES + 1000;
    struct lab l = lab_new();
    uint64_t at = SPOOL_HEADER_BYTES, by_write = 0, n = 0;
    char *all = calloc(1, max + REC), *back = calloc(1, max + REC);
    bool failed = false;

    spool_window_init(&l.w);
    for (size_t i = 0; i < max; i++)
        all[i] = (char)('a' + i % 23);
    while (at + REC < max) {
        const size_t len = 100 + (size_t)(at * 7919 % (REC - 100));

        if (!spool_window_put(&l.w, at, all + at, len, &failed)) {
            CHECK(!failed && pwrite(l.fd, all + at, len, (off_t)at) == (ssize_t)len);
            by_write++;
        }
        at += len;
        n++;
        spool_window_ask(&l.w, 1, at, max);
        if (spool_window_news(&l.w))
            keep(&l);
    }
    CHECK(n > 500 && by_write >= 2 && by_write <= 5); /* the first, and one across each border */
    CHECK(length_of(l.fd) >= at && length_of(l.fd) <= max + (uint64_t)sysconf(_SC_PAGESIZE));
    CHECK(spool_window_drop(&l.w) == length_of(l.fd));
    CHECK(pread(l.fd, back, at, 0) == (ssize_t)at &&
          memcmp(all + SPOOL_HEADER_BYTES, back + SPOOL_HEADER_BYTES, at - SPOOL_HEADER_BYTES) ==
              0);
    CHECK(!spool_window_put(&l.w, at - REC, all, REC, &failed) && !failed);
    free(all);
    free(back);
    lab_end(&l);
}

/* Pages that are gone when they are written to: a failed write, and the process goes on. */
static void test_lost_pages(void)
{
    struct lab l = lab_new();
    char rec[REC] = "a record";
    bool failed = false;

    spool_window_init(&l.w);
    spool_window_ask(&l.w, 1, SPOOL_HEADER_BYTES, 1 << 20);
    keep(&l);
    CHECK(spool_window_put(&l.w, SPOOL_HEADER_BYTES, rec, REC, &failed) && !failed);
    CHECK(ftruncate(l.fd, 0) == 0);
    for (uint64_t at = 8192; at < 20000; at += 8192) {
        failed = false;
        CHECK(!spool_window_put(&l.w, at, rec, REC, &failed) && failed);
    }
    CHECK(length_of(l.fd) == 0);
    lab_end(&l);
}

static int no_room(int fd, int mode, off_t from, off_t n)
{
    (void)fd, (void)mode, (void)from, (void)n;
    errno = ENOSPC;
    return -1;
}

/* A disk that is full is asked once a segment; one that closes meanwhile is not lengthened. */
static void test_no_room(void)
{
    const struct spool_io real = spool_io;
    struct lab l = lab_new();
    char rec[REC] = "a record";
    uint64_t segno = 0;
    bool failed = false;

    spool_window_init(&l.w);
    spool_io.allocate = no_room;
    spool_window_ask(&l.w, 1, SPOOL_HEADER_BYTES, 1 << 20);
    CHECK(spool_window_news(&l.w) && !spool_window_news(&l.w));
    keep(&l);
    CHECK(!spool_window_put(&l.w, SPOOL_HEADER_BYTES, rec, REC, &failed) && !failed);
    spool_window_ask(&l.w, 1, SPOOL_HEADER_BYTES, 1 << 20);
    CHECK(!spool_window_news(&l.w) && !spool_window_wanted(&l.w, &segno));
    CHECK(spool_window_drop(&l.w) == 0 && length_of(l.fd) == SPOOL_HEADER_BYTES);
    spool_io = real;
    spool_window_ask(&l.w, 2, SPOOL_HEADER_BYTES, 1 << 20);
    CHECK(spool_window_wanted(&l.w, &segno) && segno == 2);
    CHECK(spool_window_drop(&l.w) == 0);
    spool_window_make(&l.w, l.dirfd, "seg", segno);
    CHECK(length_of(l.fd) == SPOOL_HEADER_BYTES);
    lab_end(&l);
}

static uint64_t spool_length(unsigned *n_files)
{
    struct spool_file *files = NULL;
    uint64_t bytes = 0;
    size_t n = 0;
    int fd = open(scratch, O_RDONLY | O_DIRECTORY);

    CHECK(fd >= 0 && spool_list(fd, &files, &n, NULL) == GW_OK);
    for (size_t i = 0; i < n; i++)
        bytes += files[i].bytes;
    *n_files = (unsigned)n;
    free(files);
    (void)close(fd);
    return bytes;
}

/* As a kill leaves it, while the ledger's threads go on: what tells of segments is copied before them, and again if a file
 * was put in another's place meanwhile. */
static bool live_copy(void)
{
    char command[1600];

    remove_tree(copy);
    (void)snprintf(command, sizeof(command),
                   "mkdir '%s' && cd '%s' && find . -maxdepth 1 -type f ! -name '*.seg' ! -name "
                   "'*.tmp' -exec cp -a -t '%s' {} + && cp -a ./*.seg '%s'",
                   copy, scratch, copy, copy);
    return system(command) == 0; /* NOLINT: the test's own directories */
}

/* A whole ledger: what is allocated ahead shows in no record, no verdict and no length of a closed file. */
static void test_ledger(void)
{
    struct audit_config cfg = sealed_config(AUDIT_DURABILITY_PROCESS);
    struct results res = {0, 0, 0};
    struct audit_chan *ch = NULL;
    struct audit *a = NULL;
    struct audit_stats st;
    struct read_back rb;
    bool ahead = false, copied = false;
    unsigned n_files;

    setup();
    cfg.segment_bytes = 400 << 10;
    CHECK(audit_open(&cfg, &a, NULL) == GW_OK && audit_chan_open(a, &ch, NULL) == GW_OK);
    for (unsigned i = 0; i < 1000; i++) {
        struct audit_event ev = decided_of("r");

        CHECK(audit_emit(ch, &ev, on_done, &res) == GW_OK && res.ok == i + 1);
        ev.kind = AUDIT_COMPLETED;
        CHECK(audit_emit(ch, &ev, NULL, NULL) == GW_OK);
        if (i % 50 == 0) {
            (void)usleep(3000); /* the keeper's turn */
            audit_stats(a, &st);
            ahead = ahead || spool_length(&n_files) > st.spool_bytes + SPOOL_WINDOW_BYTES / 4;
        }
        if (i == 500 || i == 990)
            EXPECT(scratch, AUDIT_INTACT);
    }
    rb = read_spool(scratch);
    CHECK(ahead && rb.bad == 0 && count_of(&rb, "ai.request.decided", NULL) == 1000);
    read_back_free(&rb);
    audit_chan_close(ch);
    TEST_UNTIL(copied = live_copy());
    CHECK(copied);
    audit_close(a, 0);
    rb = read_spool(scratch);
    CHECK(rb.bad == 0 && rb.n > 2000);
    read_back_free(&rb);
    EXPECT(scratch, AUDIT_INTACT);
    EXPECT(copy, AUDIT_INTACT);
    for (unsigned i = 0; i < 2; i++) { /* closed by us; found by a start */
        uint64_t bytes;

        CHECK(audit_open(&cfg, &a, NULL) == GW_OK);
        audit_stats(a, &st);
        bytes = spool_length(&n_files);
        if (!CHECK(st.spool_bytes == bytes))
            fprintf(stderr, "%" PRIu64 " counted, %" PRIu64 " there\n", st.spool_bytes, bytes);
        audit_close(a, 0);
        rb = read_spool(scratch);
        CHECK(rb.bad == 0 && count_of(&rb, "sluice.gap", NULL) == 0);
        read_back_free(&rb);
        EXPECT(scratch, AUDIT_INTACT);
        remove_tree(scratch);
        CHECK(i == 1 || rename(copy, scratch) == 0);
    }
    teardown();
}

int main(void)
{
    test_records();
    test_lost_pages();
    test_no_room();
    test_ledger();
    return test_done();
}
