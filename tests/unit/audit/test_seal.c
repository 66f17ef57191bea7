/* Tests of what seals and proves the ledger, through the public interface: heads, keys, proofs; and an honest spool - live, crashed,
 * restarted, from before there were checkpoints - is never accused. */
#include <sys/wait.h>

#include <dirent.h>
#include <signal.h>

#include "audit/note.h"
#include "tests/unit/audit/seal_lab.h"

static const enum audit_durability both[] = {AUDIT_DURABILITY_DISK, AUDIT_DURABILITY_PROCESS};

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
    /* The old key goes: both keys together still prove the whole, neither does alone. */
    {
        char *text = slurp("/", key_path + 1, &n), *from = strstr(text, "# since today");
        const char *const end = second - 1;

        CHECK(from != NULL);
        if (from != NULL)
            dump("/", key_path + 1, from, strlen(from));
        free(text);
        write_requests(&cfg, "t", 10, NULL);
        EXPECT(scratch, AUDIT_INTACT);
        CHECK(verdict_of(scratch, gw_span_str(keys), NONE) == AUDIT_INTACT);
        CHECK(verdict_of(scratch, (struct gw_span){keys, (size_t)(end - keys)}, NONE) ==
              AUDIT_ALTERED);
        CHECK(strstr(said, "no known key has signed it") != NULL);
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

/* Bytes that no record begins with, behind the newest segment of the slot that a channel writes to. */
static void damage_end(void)
{
    char newest[64] = "", path[700];
    DIR *d = opendir(scratch);
    FILE *f;

    for (struct dirent *de; d != NULL && (de = readdir(d)) != NULL;)
        if (strncmp(de->d_name, "s001-", 5) == 0 && strstr(de->d_name, ".seg") != NULL &&
            strcmp(de->d_name, newest) > 0)
            (void)snprintf(newest, sizeof(newest), "%.63s", de->d_name);
    if (d != NULL)
        (void)closedir(d);
    (void)snprintf(path, sizeof(path), "%s/%s", scratch, newest);
    f = fopen(path, "a");
    if (CHECK(newest[0] != '\0' && f != NULL)) {
        for (int i = 0; i < 300; i++)
            (void)fputc('x', f);
        (void)fclose(f);
    }
}

/* A chain whose end is damaged is given up, and sealed while the next one is written, with the same sequences. */
static void test_chain_given_up(void)
{
    struct audit_config cfg = sealed_config(AUDIT_DURABILITY_PROCESS);

    setup();
    cfg.seal_key = NULL;
    write_requests(&cfg, "r", 100, NULL);
    damage_end();
    cfg.seal_key = key_path;
    write_requests(&cfg, "s", 200, NULL);
    EXPECT(scratch, AUDIT_GAP);
    CHECK(strstr(said, "ALTERED") == NULL && strstr(said, "damaged_segment") != NULL);
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
        test_last_known(both[i]);
        test_live(both[i]);
        test_crashes(both[i]);
        test_proofs(both[i]);
    }
    test_rotation();
    test_upgrade();
    test_chain_given_up();
    return test_done();
}
