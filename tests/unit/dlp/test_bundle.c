/* Rule sets: the built-in one, shared objects, what is refused, and that a bad build leaves the old
 * object alone. */
#include <sys/stat.h>

#include "tests/unit/dlp/rules_help.h"

#define RULE(example)                                                                              \
    "- id: r-one\n  title: t\n  class: pii\n  severity: low\n  confidence: 50\n"                   \
    "  pattern: 'abcd\\d+'\n  match: ['" example "']\n"

static void test_builtin(void)
{
    struct dlp_rules *r = dlp_rules_builtin();
    unsigned n_run = 0;

    CHECK(r == dlp_rules_builtin() && dlp_rules_count(r) > 0);
    CHECK(strlen(dlp_rules_digest(r)) == 64);
    CHECK(dlp_rules_selftest(r, &n_run, NULL, NULL) == 0 && n_run >= dlp_rules_count(r));
    CHECK(dlp_rules_ref(r) == r);
    dlp_rules_unref(r);
    dlp_rules_unref(r); /* the built-in set stays */
    CHECK(dlp_rules_info(dlp_rules_builtin(), 0)->id[0] != '\0');
    dlp_rules_unref(NULL);
}

static void test_abi(void)
{
    const struct bundle old = {.abi = BUNDLE_ABI + 1, .size = sizeof(old)};
    static const struct bundle_check check = {.name = "no_such_validator", .str = ""};
    static const struct bundle_rule rule = {.id = "r", .checks = &check, .n_checks = 1};
    const struct bundle unknown = {
        .abi = BUNDLE_ABI, .size = sizeof(unknown), .rules = &rule, .n_rules = 1};
    struct dlp_rules *r = NULL;
    struct gw_err err;

    CHECK(bundle_open(&old, NULL, &r, &err) == GW_EUNSUPPORTED && strstr(err.text, "ABI") != NULL);
    CHECK(bundle_open(&unknown, NULL, &r, &err) == GW_EUNSUPPORTED &&
          strstr(err.text, "no_such_validator") != NULL);
    CHECK(r == NULL);
}

static void test_object(void)
{
    const char *yaml = work_path("one.yaml"), *so = work_path("one.so");
    struct dlp_build build = {.paths = &yaml, .n_paths = 1, .out_so = so};
    struct dlp_rules *r = NULL, *other = NULL;
    struct gw_err err = {GW_OK, ""};
    struct stat before, after;
    unsigned n_run = 0;

    write_text(yaml, RULE("x abcd12 y"));
    r = build_rules(yaml, so);
    if (r == NULL)
        return;
    CHECK(dlp_rules_count(r) == 1 && strcmp(dlp_rules_info(r, 0)->type, "R_ONE") == 0);
    CHECK(dlp_rules_selftest(r, &n_run, NULL, NULL) == 0 && n_run == 1);
    CHECK(dlp_rules_ref(r) == r);
    dlp_rules_unref(r);
    CHECK(strcmp(dlp_rules_info(r, 0)->id, "r-one") == 0); /* one reference is left */
    dlp_rules_unref(r);

    CHECK(stat(so, &before) == 0);
    write_text(yaml, RULE("abcd"));
    CHECK(dlp_rules_build(&build, &err) == GW_EINVAL);
    if (!CHECK(strstr(err.text,
                      "one.yaml:7: rule r-one: this match example is not found (1 of 1") != NULL))
        fprintf(stderr, "  %s\n", err.text);
    CHECK(stat(so, &after) == 0 && before.st_ino == after.st_ino);

    CHECK(dlp_rules_load(work_path("absent.so"), &other, &err) == GW_EIO);
    CHECK(dlp_rules_load(yaml, &other, &err) == GW_EIO && other == NULL);
    build.out_so = "/nonexistent-folder/x.so";
    CHECK(dlp_rules_build(&build, &err) == GW_EIO &&
          strstr(err.text, "/nonexistent-folder") != NULL);
    (void)unlink(yaml);
    (void)unlink(so);
    CHECK(rmdir(work_dir) == 0); /* nothing was left behind */
}

int main(void)
{
    test_builtin();
    test_abi();
    if (have_tools())
        test_object();
    else
        test_skip("re2c and cc are needed to build rules");
    return test_done();
}
