/* Tests of `sluice audit verify` on spools that somebody has changed: every kind of tampering is found and named, also by a forger who
 * knows the format; what retention does is no offence. */
#include "tests/unit/audit/tamper_lab.h"

static const enum audit_durability both[] = {AUDIT_DURABILITY_DISK, AUDIT_DURABILITY_PROCESS};

static void test_tampering(enum audit_durability d)
{
    const struct audit_config cfg = sealed_config(d);
    const unsigned slot = d == AUDIT_DURABILITY_PROCESS ? 1 : 0;
    struct names names;
    struct segment s;
    char *text;
    size_t n;

    setup();
    write_requests(&cfg, "r", 200, NULL);
    EXPECT(scratch, AUDIT_INTACT);
    fresh_copy();
    names = segments(slot);
    CHECK(names.n >= 4);

    for (int fix = 0; fix < 2; fix++) {
        fresh_copy();
        s = load(names.seg[1]);
        change_record(&s, 5, fix == 1);
        store(&s, names.seg[1]);
        EXPECT(copy, AUDIT_ALTERED);
        CHECK(strstr(said, names.seg[1]) != NULL);
    }
    fresh_copy();
    s = load(names.seg[1]);
    remove_record(&s, 5);
    store(&s, names.seg[1]);
    EXPECT(copy, AUDIT_ALTERED);
    CHECK(strstr(said, "1 sealed records are not there") != NULL);

    fresh_copy();
    s = load(names.seg[2]);
    swap_records(&s, 3);
    store(&s, names.seg[2]);
    EXPECT(copy, AUDIT_ALTERED);
    CHECK(strstr(said, "1 records do not stand in their place") != NULL);

    fresh_copy();
    s = load(names.seg[1]);
    insert_record(&s, 7);
    store(&s, names.seg[1]);
    EXPECT(copy, AUDIT_ALTERED);

    /* A forger who also mends the leaf file meets the signed root. */
    fresh_copy();
    s = load(names.seg[1]);
    change_record(&s, 5, true);
    {
        struct spool_rec rec;
        struct merkle_hash h;
        size_t used, need, at;

        CHECK(spool_frame_decode((unsigned char *)s.bytes + s.at[5], s.at[6] - s.at[5], &rec, &used,
                                 &need) == SPOOL_FRAME_OK);
        spool_print(rec.payload, h.bytes);
        text = slurp(copy, names.leaf[1], &n);
        at = n - s.n_recs * MERKLE_BYTES + 5 * MERKLE_BYTES;
        CHECK(at + MERKLE_BYTES <= n);
        memcpy(text + at, h.bytes, MERKLE_BYTES);
        dump(copy, names.leaf[1], text, n);
        free(text);
    }
    store(&s, names.seg[1]);
    EXPECT(copy, AUDIT_ALTERED);
    CHECK(strstr(said, "are not those it has signed") != NULL);

    fresh_copy();
    s = load(names.seg[names.n - 1]);
    s.n = s.at[s.n_recs - 1];
    store(&s, names.seg[names.n - 1]);
    EXPECT(copy, AUDIT_TRUNCATED);

    fresh_copy();
    delete_in_copy(names.seg[names.n - 1]);
    delete_in_copy(names.leaf[names.n - 1]);
    EXPECT(copy, AUDIT_TRUNCATED);

    fresh_copy();
    delete_in_copy(names.seg[2]);
    delete_in_copy(names.leaf[2]);
    EXPECT(copy, AUDIT_ALTERED);

    /* What retention does is no offence, and leaf files are a help, not the proof. */
    fresh_copy();
    delete_in_copy(names.seg[0]);
    delete_in_copy(names.leaf[0]);
    EXPECT(copy, AUDIT_INTACT);
    CHECK(strstr(said, "past retention") != NULL);
    fresh_copy();
    for (size_t i = 0; i < names.n; i++)
        delete_in_copy(names.leaf[i]);
    EXPECT(copy, AUDIT_INTACT);
    s = load(names.seg[1]);
    change_record(&s, 5, true);
    store(&s, names.seg[1]);
    EXPECT(copy, AUDIT_ALTERED);
    teardown();
}

/* A chain of which nothing is left but its checkpoints. */
static void test_lost_chain(void)
{
    const struct audit_config cfg = sealed_config(AUDIT_DURABILITY_PROCESS);
    struct names names;

    setup();
    write_requests(&cfg, "r", 20, NULL);
    fresh_copy();
    names = segments(1);
    for (size_t i = 0; i < names.n; i++) {
        delete_in_copy(names.seg[i]);
        delete_in_copy(names.leaf[i]);
    }
    EXPECT(copy, AUDIT_TRUNCATED);
    CHECK(strstr(said, "the whole chain is not there") != NULL);
    teardown();
}

/* Damage that the gateway itself finds at its start is a declared gap, not an accusation. */
static void test_declared_gap(void)
{
    const struct audit_config cfg = sealed_config(AUDIT_DURABILITY_DISK);
    struct names names;
    struct segment s;
    char path[sizeof(copy)];

    setup();
    write_requests(&cfg, "r", 200, NULL);
    (void)snprintf(path, sizeof(path), "%s", copy);
    (void)snprintf(copy, sizeof(copy), "%s", scratch); /* tamper with the spool itself */
    names = segments(0);
    s = load(names.seg[1]);
    change_record(&s, 5, false);
    store(&s, names.seg[1]);
    (void)snprintf(copy, sizeof(copy), "%s", path);
    EXPECT(scratch, AUDIT_ALTERED);
    write_requests(&cfg, "s", 10, NULL);
    EXPECT(scratch, AUDIT_GAP);
    CHECK(strstr(said, "damaged_segment") != NULL);
    teardown();
}

int main(void)
{
    for (size_t i = 0; i < 2; i++)
        test_tampering(both[i]);
    test_lost_chain();
    test_declared_gap();
    return test_done();
}
