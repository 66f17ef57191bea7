/* tests/unit/audit/seal_lab.h - sealed spools in a scratch folder, and what the auditor's commands say of them. */
#ifndef TESTS_AUDIT_SEAL_LAB_H
#define TESTS_AUDIT_SEAL_LAB_H

#include "audit/spool.h"
#include "tests/unit/audit/util.h"

static char key_path[300], copy[300];

static inline struct audit_config sealed_config(enum audit_durability d)
{
    struct audit_config cfg = config_of(d);

    cfg.seal_key = key_path;
    cfg.seal_interval_ms = 10;
    cfg.segment_bytes = 64 << 10;
    return cfg;
}

static inline void setup(void)
{
    scratch_new();
    (void)snprintf(key_path, sizeof(key_path), "%s.key", scratch);
    (void)snprintf(copy, sizeof(copy), "%s.copy", scratch);
}

static inline void teardown(void)
{
    (void)unlink(key_path);
    remove_tree(copy);
    scratch_end();
}

/* Opens, writes n requests "PREFIX-i", and closes unless *keep wants the open audit. */
static inline void write_requests(const struct audit_config *cfg, const char *prefix, int n,
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

static inline FILE *begin_output(void)
{
    memset(said, 0, sizeof(said));
    return fmemopen(said, sizeof(said) - 1, "w");
}

static inline int verdict_of(const char *dir, struct gw_span keys, struct gw_span last_known)
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

static inline void fresh_copy(void)
{
    char command[700];

    remove_tree(copy);
    (void)snprintf(command, sizeof(command), "cp -a '%s' '%s'", scratch, copy);
    CHECK(system(command) == 0); /* NOLINT: the test's own directories */
}

static inline char *slurp(const char *dir, const char *name, size_t *n)
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

static inline void dump(const char *dir, const char *name, const char *bytes, size_t n)
{
    char path[512];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "w");
    CHECK(f != NULL && fwrite(bytes, 1, n, f) == n);
    if (f != NULL)
        (void)fclose(f);
}

#endif
