/* Tests of sealed texts: only the auditor reads them, only in their own record, and never again once their subject's keys
 * were taken away; what verify says does not change. */
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "audit/payload.h"
#include "audit/payload_keys.h"
#include "base/clock.h"
#include "tests/unit/audit/util.h"

static char keys_path[400], secret_path[400], public_path[400], spool_path[400], seal_path[400];

static void name(char out[400], const char *file)
{
    (void)snprintf(out, 400, "%s/%s", scratch, file);
}

/* An auditor's pair of keys, as the command line of the docs makes it. */
static void make_auditor(const char *secret, const char *pub)
{
    EVP_PKEY *k = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    FILE *f = fopen(secret, "we");

    CHECK(k != NULL && f != NULL && PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL) == 1);
    (void)fclose(f);
    f = fopen(pub, "we");
    CHECK(f != NULL && PEM_write_PUBKEY(f, k) == 1);
    (void)fclose(f);
    EVP_PKEY_free(k);
}

static struct audit_payload *open_store(void)
{
    const struct audit_payload_config cfg = {.keys_path = keys_path, .auditor_path = public_path};
    struct audit_payload *p = NULL;
    struct gw_err err = {0};

    if (!CHECK(audit_payload_open(&cfg, &p, &err) == GW_OK))
        fprintf(stderr, "%s\n", err.text);
    return p;
}

static void seal(struct audit_payload *p, struct audit_event *ev, const char *text, uint64_t bytes,
                 struct gw_buf *out)
{
    const struct audit_payload_text t = {.subject = ev->user,
                                         .request = ev->request_id,
                                         .answer = ev->kind == AUDIT_COMPLETED,
                                         .text = gw_span_str(text),
                                         .bytes = bytes};

    gw_buf_clear(out);
    CHECK(audit_payload_seal(p, &t, out) == GW_OK);
    ev->payload = gw_buf_span(out);
    ev->payload_level = GW_SPAN("sealed");
}

/* A request of a user: its text, its answer. */
static void put(struct audit_payload *p, struct audit_chan *ch, const char *id, const char *user,
                const char *text)
{
    struct audit_event ev = decided_of(id), end = completed_of(id);
    struct results res = {0, 0, 0};
    struct gw_buf sealed = {0};
    char answer[200];

    ev.user = end.user = gw_span_str(user);
    seal(p, &ev, text, strlen(text) + 7, &sealed);
    CHECK(audit_emit(ch, &ev, on_done, &res) == GW_OK && wait_for(ch, &res, 1) && res.ok == 1);
    (void)snprintf(answer, sizeof(answer), "answer to %s", text);
    end.ends_decided = true;
    seal(p, &end, answer, strlen(answer), &sealed);
    CHECK(audit_emit(ch, &end, NULL, NULL) == GW_OK);
    gw_buf_fini(&sealed);
}

static void put_all(struct audit_payload *p, const char *suffix)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_DISK);
    struct audit_chan *ch = NULL;
    struct audit *a = NULL;
    char id[40], text[80];
    struct gw_err err;

    cfg.spool_dir = spool_path;
    cfg.payload = p;
    cfg.seal_key = seal_path;
    CHECK(audit_open(&cfg, &a, &err) == GW_OK && audit_chan_open(a, &ch, &err) == GW_OK);
    for (int i = 0; i < 3; i++)
        for (int u = 0; u < 2; u++) {
            const char *user = u == 0 ? "ann" : "bob";

            (void)snprintf(id, sizeof(id), "r-%s-%d-%s", user, i, suffix);
            (void)snprintf(text, sizeof(text), "what %s asked, %d", user, i);
            put(p, ch, id, user, text);
        }
    audit_chan_close(ch);
    audit_close(a, 0);
}

/* Opens all; returns what was printed, which the caller frees. */
static char *open_all(const char *secret, struct audit_open_result *r, const char *user)
{
    const struct audit_open o = {
        .spool_dir = spool_path, .keys_path = keys_path, .secret_path = secret, .user = user};
    struct gw_err err = {0};
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    if (!CHECK(f != NULL && audit_open_texts(&o, f, r, &err) == GW_OK))
        fprintf(stderr, "%s\n", err.text);
    (void)fclose(f);
    return text;
}

static void erase(const char *user, unsigned want, unsigned want_before)
{
    unsigned n = 99, before = 99;
    struct gw_err err = {0};

    CHECK(audit_payload_erase(keys_path, gw_span_str(user), &n, &before, &err) == GW_OK);
    CHECK(n == want && before == want_before);
}

static size_t times(const char *text, const char *what)
{
    size_t n = 0;

    for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
        n++;
    return n;
}

static void begin(void)
{
    scratch_new();
    name(keys_path, "subject.keys");
    name(secret_path, "auditor.pem");
    name(public_path, "auditor.pub");
    name(spool_path, "spool");
    name(seal_path, "checkpoint.key");
    make_auditor(secret_path, public_path);
}

static void test_only_the_auditor_reads(void)
{
    char other_secret[400], other_public[400];
    struct audit_payload *p;
    struct audit_open_result r = {0};
    struct read_back rb;
    struct stat st;
    char *text;

    begin();
    p = open_store();
    put_all(p, "1");
    audit_payload_close(p);
    CHECK(stat(keys_path, &st) == 0 && (st.st_mode & 0777) == 0600 &&
          st.st_size == (off_t)PAYLOAD_ROW_BYTES * 3);
    rb = read_spool(spool_path);
    for (size_t i = 0; i < rb.n; i++)
        CHECK(strstr(rb.recs[i].json, "asked") == NULL);
    read_back_free(&rb);
    text = open_all(secret_path, &r, NULL);
    CHECK(r.opened == 12 && r.erased + r.no_key + r.failed == 0);
    CHECK(times(text, "\"text\":\"what ann asked, 2\"") == 1 &&
          times(text, "\"text\":\"answer to what bob asked, 0\"") == 1);
    CHECK(times(text, "\"part\":\"answer\"") == 6 && times(text, "\"truncated\":true") == 6);
    free(text);
    text = open_all(secret_path, &r, "BOB");
    CHECK(r.opened == 6 && times(text, "ann") == 0);
    free(text);
    name(other_secret, "other.pem");
    name(other_public, "other.pub");
    make_auditor(other_secret, other_public);
    text = open_all(other_secret, &r, NULL);
    CHECK(r.opened == 0 && r.failed == 12 && times(text, "\"text\"") == 0);
    free(text);
    scratch_end();
}

static void test_erased_for_good(void)
{
    const struct audit_verify v = {.spool_dir = spool_path};
    enum audit_verdict verdict = AUDIT_ALTERED;
    struct audit_payload *p;
    struct audit_open_result r = {0};
    struct gw_err err;
    FILE *null = fopen("/dev/null", "we");
    char *text;

    begin();
    p = open_store();
    put_all(p, "1");
    erase("ann", 1, 0); /* while the gateway has the file */
    erase("nobody", 0, 0);
    text = open_all(secret_path, &r, NULL);
    CHECK(r.opened == 6 && r.erased == 6 && r.no_key + r.failed == 0);
    CHECK(times(text, "\"state\":\"erased\"") == 6 && times(text, "ann asked") == 0);
    free(text);
    /* What comes later is under another key, until that goes as well. */
    put_all(p, "2");
    text = open_all(secret_path, &r, "ann");
    CHECK(r.opened == 6 && r.erased == 6);
    free(text);
    erase("ann", 1, 1);
    erase("ann", 0, 2);
    text = open_all(secret_path, &r, "ann");
    CHECK(r.opened == 0 && r.erased == 12);
    free(text);
    audit_payload_close(p);
    CHECK(audit_verify(&v, null, &verdict, &err) == GW_OK && verdict == AUDIT_INTACT);
    (void)fclose(null);
    scratch_end();
}

/* A start has new chains, older ones stay readable; the sealed keys are useless in another row. */
static void test_starts_and_moved_rows(void)
{
    unsigned char a[PAYLOAD_ROW_BYTES] = {0}, b[PAYLOAD_ROW_BYTES] = {0};
    struct audit_payload *p = NULL, *second = NULL;
    struct payload_row ra, rb;
    struct audit_payload_config cfg = {.keys_path = keys_path, .auditor_path = public_path};
    struct audit_open_result r = {0};
    struct gw_err err;
    char *text;
    int fd;

    begin();
    p = open_store();
    CHECK(audit_payload_open(&cfg, &second, &err) == GW_EEXIST && second == NULL);
    put_all(p, "1");
    audit_payload_close(p);
    p = open_store();
    put_all(p, "2");
    audit_payload_close(p);
    text = open_all(secret_path, &r, NULL);
    CHECK(r.opened == 24);
    free(text);
    fd = open(keys_path, O_RDWR);
    CHECK(fd >= 0 && pread(fd, a, sizeof(a), PAYLOAD_ROW_BYTES) == sizeof(a) &&
          pread(fd, b, sizeof(b), (off_t)2 * PAYLOAD_ROW_BYTES) == sizeof(b));
    CHECK(payload_row_read(a, &ra) && payload_row_read(b, &rb));
    memcpy(ra.enc, rb.enc, sizeof(ra.enc));
    memcpy(ra.sealed, rb.sealed, sizeof(ra.sealed));
    payload_row_write(&ra, a);
    CHECK(pwrite(fd, a, sizeof(a), PAYLOAD_ROW_BYTES) == sizeof(a));
    (void)close(fd);
    text = open_all(secret_path, &r, NULL);
    CHECK(r.opened == 18 && r.failed == 6);
    free(text);
    scratch_end();
}

/* A crash may cut the last row off, a disk may flip a bit: the others are as they were, and the next row has its place. */
static void test_damage(void)
{
    unsigned char row[PAYLOAD_ROW_BYTES] = {0};
    struct audit_payload *p;
    struct audit_open_result r = {0};
    struct payload_row out;
    char *text;
    int fd;

    begin();
    p = open_store();
    put_all(p, "1");
    audit_payload_close(p);
    CHECK(truncate(keys_path, (off_t)PAYLOAD_ROW_BYTES * 3 - 50) == 0);
    text = open_all(secret_path, &r, NULL);
    CHECK(r.opened == 6 && r.no_key == 6);
    free(text);
    p = open_store();
    put_all(p, "2");
    audit_payload_close(p);
    text = open_all(secret_path, &r, NULL);
    CHECK(r.opened == 18 && r.no_key == 6);
    free(text);
    fd = open(keys_path, O_RDWR);
    CHECK(fd >= 0 && pread(fd, row, sizeof(row), PAYLOAD_ROW_BYTES) == sizeof(row));
    for (size_t bit = 0; bit < sizeof(row) * 8; bit++) {
        row[bit / 8] ^= (unsigned char)(1u << bit % 8);
        CHECK(!payload_row_read(row, &out));
        row[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    row[130] ^= 1;
    CHECK(pwrite(fd, row, sizeof(row), PAYLOAD_ROW_BYTES) == sizeof(row));
    (void)close(fd);
    text = open_all(secret_path, &r, NULL);
    CHECK(r.opened == 12 && r.no_key == 12);
    free(text);
    erase("ann", 2, 0); /* a damaged key is destroyed like any other */
    text = open_all(secret_path, &r, "ann");
    CHECK(r.erased == 12);
    free(text);
    CHECK(truncate(keys_path, 100) == 0);
    {
        struct audit_payload_config cfg = {.keys_path = keys_path, .auditor_path = public_path};
        struct gw_err err;

        p = NULL;
        CHECK(audit_payload_open(&cfg, &p, &err) == GW_ECORRUPT && p == NULL);
    }
    scratch_end();
}

/* The file goes while the gateway runs: what was sealed is lost, what comes is under keys of a new file. */
static void test_file_is_lost(void)
{
    struct audit_payload *p;
    struct audit_open_result r = {0};
    char *text;

    begin();
    p = open_store();
    put_all(p, "1");
    CHECK(unlink(keys_path) == 0);
    put_all(p, "2");
    text = open_all(secret_path, &r, NULL);
    CHECK(r.opened == 12 && r.no_key == 12);
    free(text);
    audit_payload_close(p);
    scratch_end();
}

/* A chain ends and another begins; the last text of a long one opens. */
static void test_long_chain(void)
{
    struct audit_event ev = decided_of("r-1");
    struct gw_buf out = {0};
    struct audit_payload *p;
    struct stat st;

    begin();
    p = open_store();
    ev.user = GW_SPAN("ann");
    for (int i = 0; i < PAYLOAD_MAX_TEXTS + 1; i++)
        seal(p, &ev, "x", 1, &out);
    CHECK(stat(keys_path, &st) == 0 && st.st_size == (off_t)PAYLOAD_ROW_BYTES * 3);
    CHECK(strstr(out.ptr, "\"n\":0,") != NULL);
    gw_buf_fini(&out);
    audit_payload_close(p);
    scratch_end();
}

/* Keys go when they have grown too old, and only then; their places are used again, and the file stays short. */
static void test_grown_old(void)
{
    const uint64_t keep_ms = 400;
    const struct audit_payload_config cfg = {keys_path, public_path, keep_ms};
    struct audit_event ev = decided_of("r-1");
    struct audit_open_result r = {0};
    struct audit_payload *p = NULL;
    struct gw_buf out = {0};
    struct stat st;
    int64_t begin_ms;
    off_t most = 0;
    char user[16], *text;

    begin();
    begin_ms = gw_clock_wall_ms();
    CHECK(audit_payload_open(&cfg, &p, NULL) == GW_OK);
    put_all(p, "1");
    text = open_all(secret_path, &r, NULL);
    CHECK(r.opened == 12 || gw_clock_wall_ms() - begin_ms >= (int64_t)keep_ms);
    free(text);
    /* Ten users and more with each round; a turn is a twentieth of a second. */
    for (int round = 0; round < 20; round++) {
        for (int u = 0; u < 10; u++) {
            (void)snprintf(user, sizeof(user), "u-%d", u);
            ev.user = gw_span_str(user);
            seal(p, &ev, "x", 1, &out);
        }
        payload_tidy(p, gw_clock_wall_ms());
        CHECK(stat(keys_path, &st) == 0);
        most = st.st_size > most ? st.st_size : most;
        if (gw_clock_wall_ms() - begin_ms < (int64_t)keep_ms) {
            memset(&r, 0, sizeof(r));
            text = open_all(secret_path, &r, NULL);
            CHECK(r.opened == 12 || gw_clock_wall_ms() - begin_ms >= (int64_t)keep_ms);
            free(text);
        }
        (void)usleep(50000);
    }
    memset(&r, 0, sizeof(r));
    text = open_all(secret_path, &r, NULL);
    CHECK(r.no_key == 12 && r.opened == 0); /* as if it had been erased */
    free(text);
    /* Two hundred rows, but each for little more than half of the time: the last ones stand where others stood. */
    CHECK(most <= (off_t)PAYLOAD_ROW_BYTES * 160);
    gw_buf_fini(&out);
    audit_payload_close(p);
    scratch_end();
}

int main(void)
{
    test_only_the_auditor_reads();
    test_erased_for_good();
    test_starts_and_moved_rows();
    test_damage();
    test_file_is_lost();
    test_long_chain();
    test_grown_old();
    return test_done();
}
