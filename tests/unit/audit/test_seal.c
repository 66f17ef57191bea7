/* Tests of what seals and proves the ledger: the sealing thread, `verify`, `head` and the proofs, through the public interface.
 * Every kind of tampering must be found and named, and an honest spool - live, crashed, restarted, without its oldest
 * segments - must never be accused. */
#include <sys/wait.h>

#include <signal.h>

#include "audit/leaf_file.h"
#include "audit/note.h"
#include "audit/spool.h"
#include "tests/unit/audit/util.h"

static const enum audit_durability both[] = {AUDIT_DURABILITY_DISK, AUDIT_DURABILITY_PROCESS};
static char key_path[300], copy[300];

static struct audit_config sealed_config(enum audit_durability d)
{
    struct audit_config cfg = config_of(d);

    cfg.seal_key = key_path;
    cfg.seal_interval_ms = 10;
    cfg.segment_bytes = 64 << 10;
    return cfg;
}

static void setup(void)
{
    scratch_new();
    (void)snprintf(key_path, sizeof(key_path), "%s.key", scratch);
    (void)snprintf(copy, sizeof(copy), "%s.copy", scratch);
}

static void teardown(void)
{
    (void)unlink(key_path);
    remove_tree(copy);
    scratch_end();
}

/* Opens, writes n requests "PREFIX-i", and closes unless *keep wants the open audit. */
static void write_requests(const struct audit_config *cfg, const char *prefix, int n,
                           struct audit **keep)
{
    struct results res = {0, 0, 0};
    struct audit_chan *ch = NULL;
    struct audit *a = NULL;
    struct gw_err err = {GW_OK, ""};

    if (!CHECK(audit_open(cfg, &a, &err) == GW_OK))
        fprintf(stderr, "%s\n", err.text);
    CHECK(audit_chan_open(a, &ch, NULL) == GW_OK);
    for (int i = 0; i < n; i++) {
        struct audit_event ev;
        char id[48];

        (void)snprintf(id, sizeof(id), "%s-%d", prefix, i);
        ev = decided_of(id);
        CHECK(audit_emit(ch, &ev, on_done, &res) == GW_OK);
        CHECK(wait_for(ch, &res, (unsigned)i + 1));
        ev = completed_of(id);
        CHECK(audit_emit(ch, &ev, NULL, NULL) == GW_OK);
    }
    audit_chan_close(ch);
    if (keep != NULL)
        *keep = a;
    else
        audit_close(a, 0);
}

/* ---- looking ------------------------------------------------------------------------------ */

static char said[64 << 10]; /* what the last command wrote */

static FILE *begin_output(void)
{
    memset(said, 0, sizeof(said));
    return fmemopen(said, sizeof(said) - 1, "w");
}

static int verdict_of(const char *dir, struct gw_span keys, struct gw_span last_known)
{
    const struct audit_verify v = {.spool_dir = dir, .keys = keys, .last_known = last_known};
    enum audit_verdict verdict = AUDIT_INTACT;
    struct gw_err err = {GW_OK, ""};
    FILE *out = begin_output();
    enum gw_status st = audit_verify(&v, out, &verdict, &err);

    (void)fclose(out);
    if (st != GW_OK)
        fprintf(stderr, "verify: %s\n", err.text);
    return st == GW_OK ? (int)verdict : -1;
}

#define NONE ((struct gw_span){NULL, 0})
#define EXPECT(dir, verdict)                                                                       \
    do {                                                                                           \
        if (!CHECK(verdict_of(dir, NONE, NONE) == (verdict)))                                      \
            fprintf(stderr, "%s", said);                                                           \
    } while (0)

static void fresh_copy(void)
{
    char command[700];

    remove_tree(copy);
    (void)snprintf(command, sizeof(command), "cp -a '%s' '%s'", scratch, copy);
    CHECK(system(command) == 0); /* NOLINT: the test's own directories */
}

static char *slurp(const char *dir, const char *name, size_t *n)
{
    char path[512], *text = malloc(4 << 20);
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "r");
    *n = f == NULL ? 0 : fread(text, 1, (4 << 20) - 1, f);
    text[*n] = '\0';
    if (f != NULL)
        (void)fclose(f);
    return text;
}

static void dump(const char *dir, const char *name, const char *bytes, size_t n)
{
    char path[512];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "w");
    CHECK(f != NULL && fwrite(bytes, 1, n, f) == n);
    if (f != NULL)
        (void)fclose(f);
}

/* ---- tampering ------------------------------------------------------------------------------ */

/* The records of a segment in memory. */
struct segment {
    char *bytes;
    size_t n;
    size_t at[4096]; /* of each frame, and the end */
    size_t n_recs;
};

static struct segment load(const char *name)
{
    struct segment s = {.bytes = slurp(copy, name, &s.n)};
    size_t at = SPOOL_HEADER_BYTES, used, need;
    struct spool_rec rec;

    while (at < s.n && spool_frame_decode((unsigned char *)s.bytes + at, s.n - at, &rec, &used,
                                          &need) == SPOOL_FRAME_OK) {
        s.at[s.n_recs++] = at;
        at += used;
    }
    s.at[s.n_recs] = at;
    return s;
}

static void store(struct segment *s, const char *name)
{
    dump(copy, name, s->bytes, s->n);
    free(s->bytes);
}

/* Changes a digit in the record and, when asked, makes its checksum right again, as a forger would. */
static void change_record(struct segment *s, size_t i, bool fix_crc)
{
    unsigned char *p = (unsigned char *)s->bytes + s->at[i];
    char *user = memmem(p, s->at[i + 1] - s->at[i], "\"u-1\"", 5);
    struct spool_rec rec;
    size_t used, need;

    CHECK(spool_frame_decode(p, s->at[i + 1] - s->at[i], &rec, &used, &need) == SPOOL_FRAME_OK);
    CHECK(user != NULL);
    if (user != NULL)
        user[3] = '2';
    if (fix_crc)
        spool_frame_encode(&rec, p);
}

static void remove_record(struct segment *s, size_t i)
{
    memmove(s->bytes + s->at[i], s->bytes + s->at[i + 1], s->n - s->at[i + 1]);
    s->n -= s->at[i + 1] - s->at[i];
}

static void swap_records(struct segment *s, size_t i)
{
    const size_t a = s->at[i], b = s->at[i + 1], c = s->at[i + 2];
    char *two = malloc(c - a);

    memcpy(two, s->bytes + b, c - b);
    memcpy(two + (c - b), s->bytes + a, b - a);
    memcpy(s->bytes + a, two, c - a);
    free(two);
}

/* Puts a forged record with a sequence of its own between two. */
static void insert_record(struct segment *s, size_t i)
{
    const size_t len = s->at[i + 1] - s->at[i];
    char *grown = malloc(s->n + len);
    unsigned char *p = (unsigned char *)grown + s->at[i];
    struct spool_rec rec;
    size_t used, need;
    char *user;

    memcpy(grown, s->bytes, s->at[i]);
    memcpy(p, s->bytes + s->at[i], len);
    memcpy(grown + s->at[i] + len, s->bytes + s->at[i], s->n - s->at[i]);
    CHECK(spool_frame_decode(p, len, &rec, &used, &need) == SPOOL_FRAME_OK);
    user = memmem(p, len, "\"u-1\"", 5);
    if (user != NULL)
        user[3] = '9';
    spool_frame_encode(&rec, p);
    free(s->bytes);
    s->bytes = grown;
    s->n += len;
}

/* Names of the segments of the slot with most of them, in order. */
struct names {
    char seg[64][SPOOL_NAME_BYTES], leaf[64][SPOOL_NAME_BYTES];
    size_t n;
};

static struct names segments(unsigned slot)
{
    struct names names = {.n = 0};
    struct spool_file *files = NULL;
    size_t n = 0;
    int fd = open(copy, O_RDONLY | O_DIRECTORY);

    CHECK(spool_list(fd, &files, &n, NULL) == GW_OK);
    for (size_t i = 0; i < n && names.n < 64; i++) {
        if (files[i].slot != slot)
            continue;
        spool_name(names.seg[names.n], slot, files[i].segno);
        leaf_name(names.leaf[names.n++], slot, files[i].segno);
    }
    free(files);
    (void)close(fd);
    return names;
}

static void delete_in_copy(const char *name)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", copy, name);
    CHECK(unlink(path) == 0);
}

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

/* ---- checkpoints ------------------------------------------------------------------------------ */

static struct gw_span head_of(const char *dir, char *buf, size_t size)
{
    FILE *out = fmemopen(buf, size - 1, "w");
    struct gw_err err = {GW_OK, ""};

    memset(buf, 0, size);
    CHECK(out != NULL && audit_head(dir, out, &err) == GW_OK);
    if (out != NULL)
        (void)fclose(out);
    return gw_span_str(buf);
}

static void test_last_known(enum audit_durability d)
{
    const struct audit_config cfg = sealed_config(d);
    static char head[16 << 10];
    struct gw_span last;
    char *keys;
    size_t n, n_keys;

    setup();
    write_requests(&cfg, "r", 50, NULL);
    last = head_of(scratch, head, sizeof(head));
    CHECK(verdict_of(scratch, NONE, last) == AUDIT_INTACT);
    fresh_copy();
    write_requests(&cfg, "s", 50, NULL);
    EXPECT(scratch, AUDIT_INTACT);
    CHECK(verdict_of(scratch, NONE, last) == AUDIT_INTACT); /* an older head is a prefix */

    /* A spool put back to an older state is honest in itself; the head kept elsewhere says otherwise. */
    last = head_of(scratch, head, sizeof(head));
    CHECK(verdict_of(copy, NONE, NONE) == AUDIT_INTACT);
    CHECK(verdict_of(copy, NONE, last) == AUDIT_TRUNCATED);

    /* Another key: nothing that it finds was signed by it. */
    {
        struct note_signer other;
        struct gw_buf text = {0};

        CHECK(note_signer_new("gw-test", &other) == GW_OK);
        note_key_write(&other.key, &text);
        CHECK(verdict_of(scratch, gw_buf_span(&text), NONE) == AUDIT_ALTERED);
        gw_buf_fini(&text);
    }
    keys = slurp(scratch, "checkpoint.keys", &n_keys);
    CHECK(verdict_of(scratch, (struct gw_span){keys, n_keys}, last) == AUDIT_INTACT);
    CHECK(strstr(said, "spool's own") == NULL);
    CHECK(verdict_of(scratch, GW_SPAN("no key"), NONE) == -1);
    CHECK(verdict_of(scratch, NONE, GW_SPAN("no checkpoint")) == -1);

    /* One flipped bit in a checkpoint's size, root, or signature. */
    {
        char *notes = slurp(scratch, "checkpoints", &n);
        const char *marks[] = {"\n100\n", "time 2", "\xe2\x80\x94 gw-test "};

        for (size_t i = 1; i < 3; i++) {
            char *p = memmem(notes, n, marks[i], strlen(marks[i]));

            CHECK(p != NULL);
            fresh_copy();
            if (p != NULL) {
                char *at = i == 1 ? p + 8 : p + strlen(marks[i]) + 40;
                const char was = *at;

                *at = was == 'A' ? 'B' : was >= '0' && was <= '8' ? (char)(was + 1) : 'A';
                dump(copy, "checkpoints", notes, n);
                *at = was;
            }
            EXPECT(copy, AUDIT_ALTERED);
        }
        free(notes);
    }
    free(keys);
    teardown();
}

/* Two keys in the file: each alone is enough to verify with. */
static void test_rotation(void)
{
    const struct audit_config cfg = sealed_config(AUDIT_DURABILITY_PROCESS);
    struct note_signer next;
    struct gw_buf line = {0};
    char *keys, *second;
    size_t n;
    FILE *f;

    setup();
    write_requests(&cfg, "r", 10, NULL);
    CHECK(note_signer_new("gw-test-2", &next) == GW_OK);
    note_signer_write(&next, &line);
    f = fopen(key_path, "a");
    CHECK(f != NULL && fprintf(f, "# since today\n%s\n", line.ptr) > 0);
    if (f != NULL)
        (void)fclose(f);
    gw_buf_fini(&line);
    write_requests(&cfg, "s", 10, NULL);
    EXPECT(scratch, AUDIT_INTACT);
    keys = slurp(scratch, "checkpoint.keys", &n);
    second = strchr(keys, '\n') + 1;
    CHECK(second[0] != '\0');
    CHECK(verdict_of(scratch, (struct gw_span){keys, (size_t)(second - keys)}, NONE) ==
          AUDIT_INTACT);
    {
        static char head[16 << 10];
        struct gw_span t = head_of(scratch, head, sizeof(head));
        struct note_key k;
        struct note note;

        CHECK(note_key_read(gw_span_str(second), &k) == GW_OK);
        while (note_read(&t, &note) == GW_OK)
            CHECK(note.n_sigs == 2 && note_verify(&note, &k));
    }
    free(keys);
    teardown();
}

/* ---- honest spools --------------------------------------------------------------------------- */

static void test_live(enum audit_durability d)
{
    const struct audit_config cfg = sealed_config(d);
    struct audit *a = NULL;
    struct audit_stats st = {0};

    setup();
    write_requests(&cfg, "r", 100, &a);
    for (int i = 0; i < 50; i++)
        EXPECT(scratch, AUDIT_INTACT);
    for (int i = 0; i < 6000 && st.checkpoints == 0; i++) {
        audit_stats(a, &st);
        (void)poll(NULL, 0, 10);
    }
    CHECK(st.checkpoints != 0 && st.last_checkpoint_ms != 0 && !st.seal_failing);
    EXPECT(scratch, AUDIT_INTACT);
    audit_close(a, 0);
    EXPECT(scratch, AUDIT_INTACT);
    teardown();
}

static void test_crashes(enum audit_durability d)
{
    struct audit_config cfg = sealed_config(d);

    setup();
    cfg.max_spool_bytes = 1ull << 30;
    for (int round = 0; round < 12; round++) {
        pid_t pid = fork();

        if (pid == 0) {
            write_requests(&cfg, "r", 1000000, NULL);
            _exit(0);
        }
        (void)poll(NULL, 0, 5 + round * 7);
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        EXPECT(scratch, AUDIT_INTACT); /* as the crash left it */
    }
    write_requests(&cfg, "s", 10, NULL);
    EXPECT(scratch, AUDIT_INTACT); /* and as the next start has put it in order */
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

/* A spool from before there were checkpoints: sealed from its first record on, at the next start. */
static void test_upgrade(void)
{
    struct audit_config cfg = sealed_config(AUDIT_DURABILITY_DISK);

    setup();
    cfg.seal_key = NULL;
    write_requests(&cfg, "r", 50, NULL);
    EXPECT(scratch, AUDIT_INTACT);
    CHECK(strstr(said, "nothing was ever signed") != NULL);
    cfg.seal_key = key_path;
    write_requests(&cfg, "s", 50, NULL);
    EXPECT(scratch, AUDIT_INTACT);
    CHECK(strstr(said, " 0 younger") != NULL);
    teardown();
}

/* ---- proofs ------------------------------------------------------------------------------------ */

static int check_of(struct gw_span proofs, struct gw_span keys)
{
    enum audit_verdict verdict = AUDIT_INTACT;
    struct gw_err err = {GW_OK, ""};
    FILE *out = begin_output();
    enum gw_status st = audit_check_proof(proofs, keys, out, &verdict, &err);

    (void)fclose(out);
    return st == GW_OK ? (int)verdict : -1;
}

static void test_proofs(enum audit_durability d)
{
    const struct audit_config cfg = sealed_config(d);
    static char proof[256 << 10], head[16 << 10];
    struct gw_err err = {GW_OK, ""};
    struct gw_span keys, older;
    char *key_text;
    size_t n_keys;
    FILE *out;

    setup();
    write_requests(&cfg, "r", 70, NULL);
    older = head_of(scratch, head, sizeof(head));
    write_requests(&cfg, "s", 70, NULL);
    key_text = slurp(scratch, "checkpoint.keys", &n_keys);
    keys = (struct gw_span){key_text, n_keys};

    memset(proof, 0, sizeof(proof));
    out = fmemopen(proof, sizeof(proof) - 1, "w");
    CHECK(audit_prove_inclusion(scratch, "r-33", out, &err) == GW_OK);
    (void)fclose(out);
    CHECK(check_of(gw_span_str(proof), keys) == AUDIT_INTACT);
    CHECK(strstr(said, "ai.request.decided") != NULL &&
          strstr(said, "ai.request.completed") != NULL);
    CHECK(check_of(gw_span_str(proof), GW_SPAN("x")) == -1);
    {
        struct note_signer other;
        struct gw_buf text = {0};
        char *record = strstr(proof, "\"record\":\"") + 60,
             *index = strstr(proof, "\"index\":") + 8;

        CHECK(note_signer_new("gw-test", &other) == GW_OK);
        note_key_write(&other.key, &text);
        CHECK(check_of(gw_span_str(proof), gw_buf_span(&text)) == AUDIT_ALTERED);
        gw_buf_fini(&text);
        *record = *record == 'A' ? 'B' : 'A';
        CHECK(check_of(gw_span_str(proof), keys) == AUDIT_ALTERED);
        *record = *record == 'A' ? 'B' : 'A';
        *index = *index == '1' ? '2' : '1';
        CHECK(check_of(gw_span_str(proof), keys) == AUDIT_ALTERED);
    }
    memset(proof, 0, sizeof(proof));
    out = fmemopen(proof, sizeof(proof) - 1, "w");
    CHECK(audit_prove_consistency(scratch, older, out, &err) == GW_OK);
    (void)fclose(out);
    CHECK(check_of(gw_span_str(proof), keys) == AUDIT_INTACT);
    out = begin_output();
    CHECK(audit_prove_inclusion(scratch, "nobody", out, &err) == GW_ENOENT);
    CHECK(audit_prove_consistency(scratch, GW_SPAN("x"), out, &err) == GW_EPARSE);
    (void)fclose(out);
    CHECK(check_of(GW_SPAN("{}"), keys) == -1 && check_of(GW_SPAN(""), keys) == -1);
    CHECK(check_of(GW_SPAN("[[[["), keys) == -1);
    free(key_text);
    teardown();
}

int main(void)
{
    for (size_t i = 0; i < 2; i++) {
        test_tampering(both[i]);
        test_last_known(both[i]);
        test_live(both[i]);
        test_crashes(both[i]);
        test_proofs(both[i]);
    }
    test_lost_chain();
    test_rotation();
    test_declared_gap();
    test_upgrade();
    return test_done();
}
