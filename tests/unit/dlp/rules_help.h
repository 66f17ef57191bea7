/* tests/unit/dlp/rules_help.h - random numbers, rules built for a test, and texts drawn from patterns. */
#ifndef TESTS_UNIT_DLP_RULES_HELP_H
#define TESTS_UNIT_DLP_RULES_HELP_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "dlp/bundle.h"
#include "dlp/rulec_regex.h"
#include "tests/files.h"
#include "tests/test.h"

/* xorshift64*: the same numbers in every run. */
static uint64_t random_state = 88172645463325252u;

static unsigned random_below(unsigned n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (unsigned)(random_state * 2685821657736338717u >> 33) % n;
}

static char work_dir[] = "/tmp/sluice-test-XXXXXX";

static inline void remove_work_dir(void)
{
    (void)test_remove_tree(work_dir);
}

/* A path inside this test's own folder, which is made at the first call and removed at the end. */
static inline const char *work_path(const char *name)
{
    static char path[4][128];
    static unsigned turn;
    static bool made;

    if (!made)
        made = CHECK(mkdtemp(work_dir) != NULL && atexit(remove_work_dir) == 0);
    turn = (turn + 1) % 4;
    (void)snprintf(path[turn], sizeof(path[turn]), "%s/%s", work_dir, name);
    return path[turn];
}

static inline void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    CHECK(f != NULL && fwrite(text, 1, strlen(text), f) == strlen(text) && fclose(f) == 0);
}

/* Opens the rules of a text; NULL after a failed check. */
static inline struct dlp_rules *open_text(const char *yaml)
{
    const char *path = work_path("text.yaml");
    struct dlp_rules *r = NULL;
    struct gw_err err = {GW_OK, ""};

    write_text(path, yaml);
    if (!CHECK(dlp_rules_open(&path, 1, NULL, &r, &err) == GW_OK))
        fprintf(stderr, "  %s\n%s\n", err.text, yaml);
    (void)unlink(path);
    return r;
}

static inline bool have_tools(void)
{
    static int known = -1;

    if (known < 0)
        known = system("re2c --version >/dev/null 2>&1 && cc --version >/dev/null 2>&1") == 0;
    return known == 1;
}

/* Builds path into a shared object and loads it; NULL after a failed check. */
static inline struct dlp_rules *build_rules(const char *path, const char *so)
{
    struct dlp_build build = {.paths = &path, .n_paths = 1, .out_so = so};
    struct dlp_rules *r = NULL;
    struct gw_err err = {GW_OK, ""};

    if (!CHECK(dlp_rules_build(&build, &err) == GW_OK && dlp_rules_load(so, &r, &err) == GW_OK))
        fprintf(stderr, "  %s\n", err.text);
    return r;
}

/* Appends a random text that n matches. */
static inline void draw(struct gw_buf *out, const struct rx_node *n)
{
    unsigned count = 0, pick = 0;
    int times = 0;

    switch (n->kind) {
    case RX_EMPTY:
        return;
    case RX_SET:
        for (unsigned b = 0; b < 256; b++)
            count += rx_set_has(&n->set, b);
        pick = random_below(count);
        for (unsigned b = 0; b < 256; b++)
            if (rx_set_has(&n->set, b) && pick-- == 0)
                gw_buf_addc(out, (char)b);
        return;
    case RX_ALT:
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
            count++;
        pick = random_below(count);
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
            if (pick-- == 0)
                draw(out, k);
        return;
    case RX_REPEAT:
        times = n->min;
        if (n->max == RX_INFINITE || n->max - n->min > 12)
            times += (int)random_below(13);
        else
            times += (int)random_below((unsigned)(n->max - n->min) + 1);
        for (int i = 0; i < times; i++)
            draw(out, n->kid);
        return;
    case RX_CAT:
    case RX_SECRET:
        for (const struct rx_node *k = n->kid; k != NULL; k = k->next)
            draw(out, k);
        return;
    }
}

#endif
