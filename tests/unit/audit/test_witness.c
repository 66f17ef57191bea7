/* Tests of the witness: one that checks as the specification asks, away for a while, with another size than we thought, and across a
 * restart; and what verify says of his signatures. */
#include <pthread.h>

#include "audit/note.h"
#include "audit/witness.h"
#include "base/base64.h"
#include "base/ed25519.h"
#include "tests/unit/audit/seal_lab.h"

/* A witness for one chain at least: what he has signed, by origin. */
static struct his {
    char origin[NOTE_ORIGIN_BYTES];
    uint64_t size;
    struct merkle_hash root;
} his[8];
static size_t n_his;
static struct note_signer him;
static struct note_key logs[4];
static unsigned n_logs;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned asked, signed_, refused, conflicts;
static bool away;

static void make_witness(void)
{
    unsigned char text[128] = {0}, h[GW_SHA256_BYTES];
    const char *const name = "witness.example";
    const size_t n = strlen(name);

    CHECK(note_signer_new(name, &him) == GW_OK);
    him.key.cosigns = true;
    (void)snprintf((char *)text, sizeof(text), "%s\n", name);
    text[n + 1] = 4;
    memcpy(text + n + 2, him.key.pub, GW_ED25519_KEY_BYTES);
    gw_sha256((struct gw_span){(const char *)text, n + 2 + GW_ED25519_KEY_BYTES}, h);
    him.key.id = (uint32_t)h[0] << 24 | (uint32_t)h[1] << 16 | (uint32_t)h[2] << 8 | h[3];
}

static struct his *his_of(struct gw_span origin)
{
    for (size_t i = 0; i < n_his; i++)
        if (gw_span_is(origin, his[i].origin))
            return &his[i];
    memcpy(his[n_his].origin, origin.ptr, origin.len);
    return &his[n_his++];
}

/* Checked on the witness's thread: counted, and judged by the main one. */
static unsigned wrong;
#define EXPECT_IN_THREAD(cond) (wrong += !(cond))

static void cosign(const struct note *n, struct gw_buf *out)
{
    unsigned char bytes[12 + GW_ED25519_SIG_BYTES] = {
        (unsigned char)(him.key.id >> 24), (unsigned char)(him.key.id >> 16),
        (unsigned char)(him.key.id >> 8), (unsigned char)him.key.id};
    struct gw_buf text = {0};

    bytes[9] = 0x60, bytes[11] = 7; /* a time */
    gw_buf_printf(&text, "cosignature/v1\ntime %u\n", 0x600007u);
    gw_buf_add(&text, n->body);
    EXPECT_IN_THREAD(gw_ed25519_sign(him.secret, gw_buf_span(&text), bytes + 12) == GW_OK);
    gw_buf_printf(out, "\xe2\x80\x94 %s ", him.key.name);
    gw_base64(out, (struct gw_span){(const char *)bytes, sizeof(bytes)});
    gw_buf_addc(out, '\n');
    gw_buf_fini(&text);
}

static void answer_post(struct audit_post *p)
{
    struct merkle_hash proof[MERKLE_MAX_PROOF];
    struct gw_span text = p->body, line;
    unsigned long long old = 0;
    struct note note;
    struct his *mine;
    unsigned n = 0;
    bool known = false;

    asked++;
    EXPECT_IN_THREAD(gw_span_starts(text, GW_SPAN("old ")));
    old = strtoull(text.ptr + 4, NULL, 10);
    for (;;) {
        const char *nl = text.len == 0 ? NULL : memchr(text.ptr, '\n', text.len);

        if (nl == NULL) {
            wrong++;
            return;
        }
        line = (struct gw_span){text.ptr, (size_t)(nl - text.ptr)};
        text = gw_span_from(text, line.len + 1);
        if (line.len == 0)
            break;
        if (!gw_span_starts(line, GW_SPAN("old ")))
            EXPECT_IN_THREAD(gw_unbase64(line, proof[n++].bytes, MERKLE_BYTES) == MERKLE_BYTES);
    }
    EXPECT_IN_THREAD(note_read(&text, &note) == GW_OK && text.len == 0);
    for (unsigned i = 0; i < n_logs; i++)
        known = known || note_verify(&note, &logs[i]);
    EXPECT_IN_THREAD(known);
    mine = his_of(note.origin);
    if (old != mine->size) {
        conflicts++;
        p->status = 409;
        gw_buf_printf(&p->answer, "%llu\n", (unsigned long long)mine->size);
        return;
    }
    if (old != 0 && !merkle_check_consistency(old, &mine->root, note.size, &note.root, proof, n)) {
        refused++;
        p->status = 422;
        return;
    }
    signed_++;
    mine->size = note.size;
    mine->root = note.root;
    p->status = 200;
    cosign(&note, &p->answer);
}

static void post(void *ctx, struct audit_post *p)
{
    (void)ctx;
    (void)pthread_mutex_lock(&lock);
    if (away)
        (void)snprintf(p->why, sizeof(p->why), "no route");
    else
        answer_post(p);
    (void)pthread_mutex_unlock(&lock);
}

static const struct audit_witness witness = {post, NULL};

static int verdict_with(struct gw_span keys)
{
    const struct audit_verify v = {.spool_dir = scratch, .witnesses = keys};
    enum audit_verdict verdict = AUDIT_INTACT;
    FILE *out = begin_output();
    enum gw_status st = audit_verify(&v, out, &verdict, NULL);

    (void)fclose(out);
    return st == GW_OK ? (int)verdict : -1;
}

/* Writes n requests and waits until the witness has signed that many more. */
static void run_until_signed(struct audit_config *cfg, const char *prefix, int n, unsigned more)
{
    struct audit_stats st = {0};
    struct audit *a = NULL;

    write_requests(cfg, prefix, n, &a);
    for (int i = 0; i < TEST_TURNS && st.cosigned < more; i++) {
        audit_stats(a, &st);
        (void)poll(NULL, 0, 10);
    }
    CHECK(st.witness_configured && st.cosigned >= more);
    audit_close(a, 0);
    CHECK(wrong == 0);
}

static void test_witness(void)
{
    struct audit_config cfg = sealed_config(AUDIT_DURABILITY_PROCESS);
    struct gw_buf key = {0}, other = {0};
    struct note_signer stranger;
    struct gw_span text;
    char *keys;
    size_t n;

    setup();
    make_witness();
    note_key_write(&him.key, &key);
    CHECK(note_signer_new("witness.example", &stranger) == GW_OK);
    note_key_write(&stranger.key, &other);
    write_requests(&cfg, "q", 3, NULL); /* makes the key */
    keys = slurp(scratch, "checkpoint.keys", &n);
    text = (struct gw_span){keys, n};
    CHECK(note_keys_read(text, logs, 4, &n_logs, NULL) == GW_OK);
    CHECK(verdict_with(gw_buf_span(&key)) == AUDIT_TRUNCATED); /* nobody has signed yet */
    cfg.witness = &witness;
    run_until_signed(&cfg, "r", 100, 2);
    CHECK(signed_ >= 2 && refused == 0);
    if (!CHECK(verdict_with(gw_buf_span(&key)) == AUDIT_INTACT) ||
        !CHECK(strstr(said, "witnessed  gw-test/") != NULL))
        fprintf(stderr, "%s", said);
    CHECK(verdict_with(gw_buf_span(&other)) == AUDIT_TRUNCATED);

    /* He has signed more than we remember: he says how much, and we prove from there. */
    {
        char path[400];

        (void)snprintf(path, sizeof(path), "%s/" WITNESS_FILE, scratch);
        CHECK(unlink(path) == 0);
        asked = conflicts = 0;
        run_until_signed(&cfg, "s", 300, 2);
        CHECK(conflicts >= 1 && refused == 0);
        CHECK(verdict_with(gw_buf_span(&key)) == AUDIT_INTACT);
    }

    /* Away: nothing waits for him. */
    (void)pthread_mutex_lock(&lock);
    away = true;
    (void)pthread_mutex_unlock(&lock);
    write_requests(&cfg, "t", 20, NULL);
    EXPECT(scratch, AUDIT_INTACT);
    away = false; /* his thread has ended */
    asked = conflicts = 0;
    run_until_signed(&cfg, "u", 3, 2);
    CHECK(conflicts == 0 && refused == 0); /* what he had signed is remembered */

    /* A spool put back to an older state contradicts him. */
    {
        char *there = slurp(scratch, WITNESS_FILE, &n), *size = strchr(there, '\n') + 1;

        *size = '9';
        dump(scratch, WITNESS_FILE, there, n);
        CHECK(verdict_with(gw_buf_span(&key)) == AUDIT_ALTERED);
        free(there);
    }
    gw_buf_fini(&key);
    gw_buf_fini(&other);
    free(keys);
    teardown();
}

int main(void)
{
    test_witness();
    return test_done();
}
