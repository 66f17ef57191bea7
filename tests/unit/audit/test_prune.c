/* Tests of the file of checkpoints when retention takes segments: what nothing can be compared with any more goes, what can stays, and
 * who reads the file finds his place again. */
#include "audit/leaf_file.h"
#include "audit/note.h"
#include "audit/outbox.h"
#include "audit/seal.h"
#include "audit/seal_key.h"
#include "audit/seal_prune.h"
#include "audit/spool_read.h"
#include "base/log.h"
#include "tests/unit/audit/seal_lab.h"

/* The checkpoints in the spool, as "ORIGIN SIZE" lines. */
static char *list_notes(size_t *n_notes)
{
    size_t n;
    char *text = slurp(scratch, SEAL_CHECKPOINTS, &n);
    struct gw_span rest = {text, n};
    struct gw_buf out = {0};
    struct note note;

    *n_notes = 0;
    gw_buf_adds(&out, "\n");
    while (rest.len != 0) {
        const char *gap;

        if (note_read(&rest, &note) == GW_OK) {
            gw_buf_printf(&out, "%.*s %llu\n", (int)note.origin.len, note.origin.ptr,
                          (unsigned long long)note.size);
            *n_notes += 1;
            continue;
        }
        gap = memmem(rest.ptr, rest.len, "\n\n", 2);
        rest = gap == NULL ? NONE : gw_span_from(rest, (size_t)(gap - rest.ptr) + 2);
    }
    free(text);
    return out.ptr;
}

static size_t drain(struct outbox *o, uint64_t *newest)
{
    struct note note;
    size_t n = 0;

    for (const uint64_t end = outbox_end(o); outbox_next(o, end, &note); n++)
        *newest = note.size;
    return n;
}

/* Writes requests; then takes every segment but the newest of each slot, as retention does. */
static void write_and_retire(const struct audit_config *cfg, const char *prefix, int n)
{
    struct spool_file *files = NULL;
    size_t n_files = 0;
    int dir;

    write_requests(cfg, prefix, n, NULL);
    dir = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(spool_list(dir, &files, &n_files, NULL) == GW_OK);
    for (size_t i = 0; i + 1 < n_files; i++) {
        char name[SPOOL_NAME_BYTES];

        if (files[i].slot != files[i + 1].slot)
            continue;
        spool_name(name, files[i].slot, files[i].segno);
        CHECK(unlinkat(dir, name, 0) == 0);
        leaf_name(name, files[i].slot, files[i].segno);
        CHECK(unlinkat(dir, name, 0) == 0);
    }
    free(files);
    (void)close(dir);
}

static int open_dir(void)
{
    return open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Nothing has gone: nothing goes. */
static void test_nothing(void)
{
    const struct audit_config cfg = sealed_config(AUDIT_DURABILITY_DISK);
    size_t n, more;
    char *before, *after;
    int dir;

    setup();
    write_requests(&cfg, "r", 200, NULL);
    dir = open_dir();
    before = list_notes(&n);
    CHECK(!seal_prune(dir));
    after = list_notes(&more);
    CHECK(n > 2 && strcmp(before, after) == 0);
    EXPECT(scratch, AUDIT_INTACT);
    free(before);
    free(after);
    (void)close(dir);
    teardown();
}

/* Old segments are gone, again and again: the file stays short, and verify says what it has said before. */
static void test_retention(void)
{
    const struct audit_config cfg = sealed_config(AUDIT_DURABILITY_PROCESS);
    static char head[16 << 10];
    struct outbox ahead, behind;
    uint64_t newest = 0, last = 0;
    size_t first_size = 0, n;
    FILE *out;
    int dir;

    setup();
    write_requests(&cfg, "begin", 20, NULL);
    dir = open_dir();
    CHECK(outbox_open(&behind, dir, "state.behind", false, NULL) == GW_OK);
    CHECK(outbox_open(&ahead, dir, "state.ahead", false, NULL) == GW_OK);
    out = fmemopen(head, sizeof(head) - 1, "w");
    CHECK(audit_head(scratch, out, NULL) == GW_OK);
    (void)fclose(out);
    for (int round = 0; round < 6; round++) {
        char prefix[16], *was, *is;
        size_t had, has;

        (void)snprintf(prefix, sizeof(prefix), "r%d", round);
        write_and_retire(&cfg, prefix, 150);
        (void)drain(&ahead, &newest);
        CHECK(outbox_done(&ahead));
        was = list_notes(&had);
        CHECK(seal_prune(dir));
        is = list_notes(&has);
        CHECK(has < had && has > 0);
        CHECK(!seal_prune(dir)); /* that was all */
        /* The one who was at the end is still there, across a restart too. */
        CHECK(drain(&ahead, &newest) == 0);
        if (round % 2 == 0) {
            outbox_fini(&ahead);
            CHECK(outbox_open(&ahead, dir, "state.ahead", false, NULL) == GW_OK);
            CHECK(drain(&ahead, &newest) == 0);
        }
        EXPECT(scratch, AUDIT_INTACT);
        CHECK(verdict_of(scratch, NONE, gw_span_str(head)) == AUDIT_INTACT);
        {
            char *text = slurp(scratch, SEAL_CHECKPOINTS, &n);

            CHECK(strncmp(text, "pruned ", 7) == 0);
            if (round == 1)
                first_size = n;
            CHECK(round < 2 || n < first_size * 3);
            free(text);
        }
        free(was);
        free(is);
    }
    /* The one who has read nothing gets what is left, the newest last. */
    n = drain(&behind, &last);
    {
        size_t left;
        char *list = list_notes(&left);

        CHECK(n == left && last == newest);
        free(list);
    }
    CHECK(outbox_done(&behind));
    outbox_rewind(&behind);
    CHECK(drain(&behind, &last) == 0);
    /* Cut off from what is left, the ledger is accused as ever. */
    fresh_copy();
    {
        char *text = slurp(copy, SEAL_CHECKPOINTS, &n);
        char *p = memmem(text, n, "\ntime 2", 7);

        CHECK(p != NULL);
        if (p != NULL)
            p[-5] = p[-5] == 'A' ? 'B' : 'A'; /* in its root */
        dump(copy, SEAL_CHECKPOINTS, text, n);
        free(text);
    }
    EXPECT(copy, AUDIT_ALTERED);
    outbox_fini(&ahead);
    outbox_fini(&behind);
    (void)close(dir);
    teardown();
}

/* A reader in the middle, and one whose place is taken away under it. */
static void test_places(void)
{
    const struct audit_config cfg = sealed_config(AUDIT_DURABILITY_PROCESS);
    struct outbox o;
    struct note note;
    uint64_t size = 0;
    size_t left;
    char *list;
    int dir;

    setup();
    write_requests(&cfg, "begin", 20, NULL);
    dir = open_dir();
    CHECK(outbox_open(&o, dir, "state", false, NULL) == GW_OK);
    CHECK(outbox_next(&o, outbox_end(&o), &note));
    CHECK(outbox_done(&o));
    write_and_retire(&cfg, "more", 300);
    (void)drain(&o, &size);
    CHECK(seal_prune(dir));
    outbox_rewind(&o); /* to a place that is gone */
    list = list_notes(&left);
    CHECK(drain(&o, &size) == left && left > 0);
    free(list);
    /* Not a pruned file, whatever it says. */
    {
        struct seal_pruned p;

        seal_pruned_read(GW_SPAN("pruned 1 2\n\n"), &p);
        CHECK(p.line == 0);
        seal_pruned_read(GW_SPAN("pruned 00000000000000000012 0000000003\n\n"), &p);
        CHECK(p.line == SEAL_PRUNED_BYTES && p.offset == 12 && p.carried == 3);
        seal_pruned_read(GW_SPAN("pruned 0000000000000000001x 0000000003\n\n"), &p);
        CHECK(p.line == 0);
        seal_pruned_read(NONE, &p);
        CHECK(p.line == 0);
    }
    outbox_fini(&o);
    (void)close(dir);
    teardown();
}

/* The sealing thread does it by itself, and signs into the new file. */
static void test_by_itself(void)
{
    const struct audit_config cfg = sealed_config(AUDIT_DURABILITY_DISK);
    size_t n;
    char *text;

    setup();
    seal_prune_bytes = 2048;
    for (int round = 0; round < 3; round++)
        write_and_retire(&cfg, round == 0 ? "a" : round == 1 ? "b" : "c", 150);
    text = slurp(scratch, SEAL_CHECKPOINTS, &n);
    CHECK(strncmp(text, "pruned ", 7) == 0);
    free(text);
    EXPECT(scratch, AUDIT_INTACT);
    CHECK(strstr(said, " 0 younger") != NULL);
    seal_prune_bytes = 4 << 20;
    teardown();
}

int main(void)
{
    gw_log_set_level(GW_LOG_ERROR);
    test_nothing();
    test_retention();
    test_places();
    test_by_itself();
    return test_done();
}
