/* tests/unit/dlp/test_native.c - interpreted rules get native matchers while they are in use: what is found stays the
 * same, a changed rule compiles one object, and what others could have written is not loaded. */
#include <sys/stat.h>

#include <pthread.h>

#include "dlp/scan.h"
#include "tests/unit/dlp/rules_help.h"

enum { N_RULES = 24 };

/* Rules rule-0 .. with words of their own; the one numbered changed has another. */
static void write_rules(const char *path, unsigned changed)
{
    struct gw_buf out = {NULL, 0, 0, false};

    for (unsigned i = 0; i < N_RULES; i++)
        gw_buf_printf(&out,
                      "- id: rule-%u\n  title: Rule\n  class: secret\n  severity: high\n"
                      "  pattern: 'tok%c%u_(?<secret>[a-z0-9]{4,40})(-[a-f]+)?'\n"
                      "  confidence: 90\n  match: ['here tok%c%u_abcd1234-abc']\n",
                      i, i == changed ? 'X' : 'A', i, i == changed ? 'X' : 'A', i);
    write_text(path, out.ptr);
    gw_buf_fini(&out);
}

static struct dlp_rules *open_rules(const char *path)
{
    struct dlp_rules *r = NULL;
    struct gw_err err = {GW_OK, ""};

    if (!CHECK(dlp_rules_open(&path, 1, NULL, &r, &err) == GW_OK))
        fprintf(stderr, "  %s\n", err.text);
    return r;
}

static bool compile(struct dlp_rules *r, const char *dir, struct dlp_compile *c)
{
    struct gw_err err = {GW_OK, ""};

    *c = (struct dlp_compile){.dir = dir};
    if (dlp_rules_compile(r, c, &err) == GW_OK)
        return true;
    fprintf(stderr, "  %s\n", err.text);
    return false;
}

/* Scans while the matchers change. */
static struct dlp_rules *in_use;
static atomic_bool done;

static void *scan_on(void *arg)
{
    unsigned *wrong = arg, n_run = 0;

    do
        *wrong += dlp_rules_selftest(in_use, &n_run, NULL, NULL);
    while (!atomic_load(&done));
    return NULL;
}

static void test_compile(const char *yaml, const char *dir)
{
    struct dlp_rules *r = open_rules(yaml);
    struct dlp_compile c;
    unsigned wrong = 0;
    pthread_t t;

    if (r == NULL)
        return;
    CHECK(dlp_rules_interpreted(r) == N_RULES);
    in_use = r;
    CHECK(pthread_create(&t, NULL, scan_on, &wrong) == 0);
    CHECK(compile(r, dir, &c) && c.n_shards == 2 && c.n_built == 2);
    CHECK(dlp_rules_interpreted(r) == 0);
    CHECK(compile(r, dir, &c) && c.n_built == 0); /* nothing is left to do */
    atomic_store(&done, true);
    CHECK(pthread_join(t, NULL) == 0 && wrong == 0);
    dlp_rules_unref(r);

    r = open_rules(yaml);
    CHECK(r != NULL && compile(r, dir, &c) && c.n_built == 0 && dlp_rules_interpreted(r) == 0);
    dlp_rules_unref(r);
    write_rules(yaml, 7);
    r = open_rules(yaml);
    CHECK(r != NULL && compile(r, dir, &c) && c.n_built == 1 && dlp_rules_interpreted(r) == 0);
    CHECK(r != NULL && dlp_rules_selftest(r, NULL, NULL, NULL) == 0);
    dlp_rules_unref(r);
}

/* What is not loaded: an object cut short is made again; a folder that others can write to is refused. */
static void test_refused(const char *yaml, const char *dir)
{
    struct dlp_rules *r = open_rules(yaml);
    struct dlp_compile c = {.dir = dir};
    struct gw_err err = {GW_OK, ""};
    char command[300];
    atomic_bool stop;

    if (r == NULL)
        return;
    CHECK(chmod(dir, 0777) == 0);
    CHECK(dlp_rules_compile(r, &c, &err) == GW_EDENIED && strstr(err.text, "chmod") != NULL);
    CHECK(dlp_rules_interpreted(r) == N_RULES && chmod(dir, 0700) == 0);
    atomic_init(&stop, true);
    c.stop = &stop;
    CHECK(dlp_rules_compile(r, &c, &err) == GW_ECANCELED);
    (void)snprintf(command, sizeof(command), "for f in %s/*.so; do : >\"$f\"; done", dir);
    CHECK(system(command) == 0);
    CHECK(compile(r, dir, &c) && c.n_built == 2 && dlp_rules_interpreted(r) == 0);
    dlp_rules_unref(r);
}

int main(void)
{
    char yaml[128], dir[128], command[256];

    if (!have_tools()) {
        test_skip("re2c or a C compiler is missing");
        return test_done();
    }
    (void)snprintf(yaml, sizeof(yaml), "%s", work_path("rules.yaml"));
    (void)snprintf(dir, sizeof(dir), "%s", work_path("native"));
    write_rules(yaml, N_RULES);
    test_compile(yaml, dir);
    test_refused(yaml, dir);
    (void)snprintf(command, sizeof(command), "ls -A %s | grep -v '^[0-9a-f]*\\.so$'", dir);
    CHECK(system(command) != 0); /* no working folder is left */
    return test_done();
}
