/* tests/unit/dlp/test_reuse.c - rules that an earlier set has are copied from it: the new set is what it would have been without,
 * and what has changed is tried. */
#include "dlp/scan.h"
#include "tests/unit/dlp/rules_help.h"

#define PROJECT(reject, points)                                                                    \
    "- id: acme-project\n  title: Acme project\n  class: confidential\n  severity: high\n"         \
    "  pattern: 'ACMEX-[0-9]{6}'\n  confidence: " points "\n  reject_lists: samples\n"             \
    "  near: { pattern: 'owner: (?<secret>[a-z]{8})', within: 40 }\n"                              \
    "  match: ['see ACMEX-123456 there']\n  no_match: ['ACMEX-000000']\n"                          \
    "- { list: samples, values: [" reject "] }\n"
#define OTHER                                                                                      \
    "- id: acme-order\n  title: Acme order\n  class: pii\n  severity: low\n"                       \
    "  pattern: 'ORDX[0-9]{4,9}x'\n  confidence: 60\n  match: ['ORDX12345x']\n"

static struct dlp_rules *open_with(const char *path, const struct dlp_rules *earlier,
                                   struct gw_err *err)
{
    const char *const paths[] = {"builtin", path};
    struct dlp_rules *r = NULL;
    enum gw_status st = dlp_rules_open(strcmp(path, "rules") == 0 ? paths + 1 : paths,
                                       strcmp(path, "rules") == 0 ? 1 : 2,
                                       &(struct dlp_rules_options){.earlier = earlier}, &r, err);

    return st == GW_OK ? r : NULL;
}

static bool same_dfa(const struct interp_dfa *a, const struct interp_dfa *b)
{
    return a->n_states == b->n_states && a->n_classes == b->n_classes &&
           memcmp(a->class_of, b->class_of, sizeof(a->class_of)) == 0 &&
           memcmp(a->next + a->n_classes, b->next + b->n_classes,
                  (size_t)a->n_states * a->n_classes * sizeof(*a->next)) == 0 &&
           memcmp(a->flags + 1, b->flags + 1, a->n_states) == 0;
}

static bool same_chain(const struct interp_chain *a, const struct interp_chain *b)
{
    bool same = a->n_steps == b->n_steps && a->secret_from == b->secret_from &&
                a->secret_to == b->secret_to;

    for (unsigned i = 0; i < a->n_steps && same; i++) {
        const struct interp_step *x = &a->steps[i], *y = &b->steps[i];

        same = (x->dfa == NULL) == (y->dfa == NULL) && x->min == y->min && x->max == y->max &&
               x->memo == y->memo && x->all_lengths == y->all_lengths &&
               memcmp(&x->set, &y->set, sizeof(x->set)) == 0 &&
               (x->dfa == NULL || same_dfa(x->dfa, y->dfa));
    }
    return same;
}

static bool same_programs(const struct dlp_rules *a, const struct dlp_rules *b)
{
    bool same = true;

    for (unsigned i = 0; i < a->b->n_patterns + a->b->n_near_patterns && same; i++) {
        const struct interp_program *x = &a->owned.programs[i], *y = &b->owned.programs[i];

        same = x->n_chains == y->n_chains;
        for (unsigned k = 0; k < x->n_chains && same; k++)
            same = same_chain(&x->chains[k], &y->chains[k]);
    }
    return same;
}

#define SAME(one, two, table, n)                                                                   \
    ((one)->b->n_##table == (two)->b->n_##table &&                                                 \
     memcmp((one)->b->table, (two)->b->table, (n) * sizeof(*(one)->b->table)) == 0)

static void check_same(const struct dlp_rules *a, const struct dlp_rules *b)
{
    CHECK(SAME(a, b, sets, a->b->n_sets));
    CHECK(SAME(a, b, patterns, a->b->n_patterns + a->b->n_near_patterns));
    CHECK(SAME(a, b, windows, a->b->n_windows));
    CHECK(SAME(a, b, targets, a->b->n_targets));
    CHECK(SAME(a, b, runs, a->b->n_runs));
    CHECK(a->b->n_memos == b->b->n_memos && strcmp(a->b->digest, b->b->digest) == 0);
    CHECK(same_programs(a, b));
}

/* All rules, compiled and copied, are the same tables and programs; copies of copies too. */
static void test_tables(void)
{
    struct gw_err err = {GW_OK, ""};
    struct dlp_rules *first = open_with("rules", NULL, &err), *second = NULL, *third = NULL;

    if (!CHECK(first != NULL))
        return;
    second = open_with("rules", first, &err);
    dlp_rules_unref(first); /* nothing of it is used any more */
    third = CHECK(second != NULL) ? open_with("rules", second, &err) : NULL;
    if (CHECK(third != NULL)) {
        check_same(second, third);
        CHECK(dlp_rules_selftest(third, NULL, NULL, NULL) == 0);
    }
    dlp_rules_unref(second);
    second = open_with("rules", NULL, &err);
    if (CHECK(second != NULL) && third != NULL)
        check_same(second, third);
    dlp_rules_unref(second);
    dlp_rules_unref(third);
}

/* What has changed is tried, also where only a list has, or only the examples; what moved is the same. */
static void test_changes(void)
{
    static const struct {
        const char *text, *says; /* NULL: opens */
    } cases[] = {
        {PROJECT("ACMEX-000000", "90"), NULL},
        {PROJECT("ACMEX-000000", "85") OTHER, NULL},
        {OTHER PROJECT("ACMEX-000000", "85"), NULL},
        {"# a comment\n\n" OTHER PROJECT("ACMEX-000000, ACMEX-1234*", "85"), "acme-project"},
        {OTHER PROJECT("ACMEX-999999", "85"), "acme-project"},
        {OTHER OTHER, "acme-order"},
        {PROJECT("ACMEX-000000", "30"), "acme-project"},
        {"- id: acme-order\n  title: The\n  class: secret\n  severity: high\n"
         "  pattern: 'the [a-z]{3,20}'\n  confidence: 90\n  match: ['the word']\n",
         "ordinary text"},
        {PROJECT("ACMEX-000000", "90") OTHER, NULL},
    };
    char path[128];
    struct gw_err err = {GW_OK, ""};
    struct dlp_rules *earlier = NULL;

    (void)snprintf(path, sizeof(path), "%s", work_path("own.yaml"));
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dlp_rules *r = NULL, *fresh = NULL;

        write_text(path, cases[i].text);
        r = open_with(path, earlier, &err);
        CHECK((r != NULL) == (cases[i].says == NULL));
        if (r == NULL) {
            CHECK(cases[i].says != NULL && strstr(err.text, cases[i].says) != NULL);
            continue;
        }
        fresh = open_with(path, NULL, &err);
        if (CHECK(fresh != NULL))
            check_same(r, fresh);
        CHECK(dlp_rules_selftest(r, NULL, NULL, NULL) == 0);
        dlp_rules_unref(fresh);
        dlp_rules_unref(earlier);
        earlier = r;
    }
    dlp_rules_unref(earlier);
    CHECK(unlink(path) == 0 && rmdir(work_dir) == 0);
}

int main(void)
{
    test_tables();
    test_changes();
    return test_done();
}
