/* Unit tests of base/yaml.c. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/yaml.h"
#include "tests/test.h"

static struct gw_yaml *parse(const char *text)
{
    struct gw_yaml *y = NULL;
    struct gw_err err = {0};

    if (!CHECK(gw_yaml_parse(gw_span_str(text), "t.yaml", &y, &err) == GW_OK))
        fprintf(stderr, "  %s\n", err.text);
    return y;
}

/* The parse must fail with that status and a message that holds the text, and leave *out alone. */
static void refused(struct gw_span text, enum gw_status st, const char *message)
{
    struct gw_yaml *y = NULL;
    struct gw_err err = {0};

    CHECK(gw_yaml_parse(text, "t.yaml", &y, &err) == st);
    CHECK(y == NULL);
    if (!CHECK(strstr(err.text, message) != NULL))
        fprintf(stderr, "  got: %s\n  want: %s\n", err.text, message);
}

static void test_tree_keeps_lines_and_order(void)
{
    struct gw_yaml *y = parse("# head\nlisten:\n  gateway: 127.0.0.1:8080\n  'proxy': \"off\"\n"
                              "list: [a, {b: 5}]\n");
    const struct gw_yaml_node *root = gw_yaml_root(y), *n;

    CHECK(root->kind == GW_YAML_MAPPING && root->n_children == 2 && root->parent == NULL);
    n = gw_yaml_get(root, "listen");
    CHECK(n != NULL && n->kind == GW_YAML_MAPPING && n->key_line == 2 && n->line == 3);
    n = gw_yaml_get(n, "gateway");
    CHECK(n != NULL && gw_span_is(n->text, "127.0.0.1:8080") && n->plain);
    CHECK(n != NULL && n->line == 3 && n->column == 12 && n->key_line == 3);
    n = n->next;
    CHECK(n != NULL && gw_span_is(n->key, "proxy") && !n->plain && n->next == NULL);
    n = gw_yaml_get(root, "list");
    CHECK(n != NULL && n->kind == GW_YAML_SEQUENCE && n->n_children == 2);
    CHECK(gw_span_is(n->first_child->text, "a") && n->first_child->key.len == 0);
    n = gw_yaml_get(n->first_child->next, "b");
    CHECK(n != NULL && gw_span_is(n->text, "5") && n->parent->parent->parent == root);
    CHECK(gw_yaml_get(root, "nothing") == NULL && gw_yaml_get(n, "b") == NULL);
    CHECK(strcmp(gw_yaml_name(y), "t.yaml") == 0);
    gw_yaml_free(y);
}

static void test_json_is_yaml(void)
{
    struct gw_yaml *y = parse("{\"a\": [1, true, null, \"x\\u00e9\"], \"b\": {}}");
    const struct gw_yaml_node *a = gw_yaml_get(gw_yaml_root(y), "a");
    bool yes = false;

    CHECK(a != NULL && a->n_children == 4);
    CHECK(gw_yaml_bool(a->first_child->next, &yes) && yes);
    CHECK(gw_span_is(a->first_child->next->next->next->text, "x\xC3\xA9"));
    gw_yaml_free(y);
}

static void test_empty_is_an_empty_mapping(void)
{
    static const char *const empty[] = {"", "\n", "# only a comment\n", "---\n", "--- # c\n...\n"};

    for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
        struct gw_yaml *y = parse(empty[i]);
        CHECK(gw_yaml_root(y)->kind == GW_YAML_MAPPING && gw_yaml_root(y)->n_children == 0);
        gw_yaml_free(y);
    }
    gw_yaml_free(NULL);
}

static void test_tricks_are_refused(void)
{
    refused(GW_SPAN("a: &x 1\n"), GW_EPARSE, "t.yaml:1:4: anchors");
    refused(GW_SPAN("a: &x [1]\n"), GW_EPARSE, "anchors");
    refused(GW_SPAN("a: 1\nb: *a\n"), GW_EPARSE, "t.yaml:2:4: aliases");
    refused(GW_SPAN("a: !!python/object x\n"), GW_EPARSE, "tags");
    refused(GW_SPAN("a: !!map {b: c}\n"), GW_EPARSE, "tags");
    refused(GW_SPAN("a: 1\n---\nb: 2\n"), GW_EPARSE, "t.yaml:2:1: only one document");
    refused(GW_SPAN("a: 1\nb: 2\na: 3\n"), GW_EPARSE,
            "t.yaml:3: a: the key is there twice, first on line 1");
    refused(GW_SPAN("x:\n  - {k: 1, \"\\u006b\": 2}\n"), GW_EPARSE, "t.yaml:2: x[0].k: the key");
    refused(GW_SPAN("? [a]\n: 1\n"), GW_EPARSE, "a key must be plain text");
    refused(GW_SPAN("\"\": 1\n"), GW_EPARSE, "a key is empty");
    refused(GW_SPAN("\"a\\0b\": 1\n"), GW_EPARSE, "NUL");
    refused(GW_SPAN("a: [1\nb: 2\n"), GW_EPARSE, "t.yaml:2:");
    refused(GW_SPAN("a: \"open\n"), GW_EPARSE, "t.yaml:");
    refused(GW_SPAN("\tx: 1\n"), GW_EPARSE, "t.yaml:1:");
    refused(GW_SPAN("a: \xFF\xFE\n"), GW_EPARSE, "t.yaml: byte 3");
    refused((struct gw_span){"\xFF\xFE"
                             "a\0:\0 \0001\0",
                             10},
            GW_EPARSE, "t.yaml: byte 0");
}

static void test_limits_hold(void)
{
    size_t n = (4u << 20) + 1;
    char *text = malloc(n);

    memset(text, '[', n);
    refused((struct gw_span){text, 65}, GW_ELIMIT, "t.yaml:1:65: nested deeper than 64");
    refused((struct gw_span){text, 100000}, GW_ELIMIT, "nested deeper");
    refused((struct gw_span){text, n}, GW_ELIMIT, "larger than 4 MiB");
    for (size_t i = 0; i + 2 <= n; i += 2)
        memcpy(text + i, i == 0 ? "[1" : ",1", 2);
    refused((struct gw_span){text, n - 1}, GW_ELIMIT, "more than 250,000 values");
    free(text);
}

/* A mapping with very many keys must not cost the square of their number. */
static void test_many_keys(void)
{
    struct gw_yaml *y = NULL;
    size_t cap = 100000 * 12, used = 0;
    char *text = malloc(cap);

    for (unsigned i = 0; i < 100000; i++)
        used += (size_t)snprintf(text + used, cap - used, "k%u: 1\n", i);
    CHECK(gw_yaml_parse((struct gw_span){text, used}, "t", &y, NULL) == GW_OK);
    CHECK(y != NULL && gw_yaml_root(y)->n_children == 100000);
    gw_yaml_free(y);
    used += (size_t)snprintf(text + used, cap - used, "k77: 2\n");
    refused((struct gw_span){text, used}, GW_EPARSE, "t.yaml:100001: k77: the key is there twice");
    free(text);
}

/* Whatever a document is cut to, the answer is a tree or an error. */
static void test_every_prefix(void)
{
    static const char text[] = "a: [1, {b: 'c'}, \"\\u00e9\"]\nd:\n  - |\n    text\n  - >-\n   x\n"
                               "e: {f: ~, g: 0x1}\n? h\n: i\n";

    for (size_t n = 0; n < sizeof(text); n++) {
        struct gw_yaml *y = NULL;
        struct gw_err err = {0};
        char *cut = malloc(n + 1); /* exactly n bytes, so that reading on is seen by ASan */
        enum gw_status st;

        memcpy(cut, text, n);
        st = gw_yaml_parse((struct gw_span){cut, n}, "t", &y, &err);
        CHECK((st == GW_OK) == (y != NULL) && (st == GW_OK || err.text[0] != '\0'));
        gw_yaml_free(y);
        free(cut);
    }
}

static bool int_of(const char *text, int64_t *out)
{
    struct gw_yaml *y = parse(text);
    bool ok = gw_yaml_int(gw_yaml_get(gw_yaml_root(y), "v"), out);

    gw_yaml_free(y);
    return ok;
}

static bool ms_of(const char *text, int64_t *out)
{
    struct gw_yaml *y = parse(text);
    bool ok = gw_yaml_duration_ms(gw_yaml_get(gw_yaml_root(y), "v"), out);

    gw_yaml_free(y);
    return ok;
}

static bool double_of(const char *text, double *out)
{
    struct gw_yaml *y = parse(text);
    bool ok = gw_yaml_double(gw_yaml_get(gw_yaml_root(y), "v"), out);

    gw_yaml_free(y);
    return ok;
}

static void test_typed_readers(void)
{
    static const char *const no_int[] = {"v: '5'",
                                         "v: 5x",
                                         "v: 0x10",
                                         "v: 1__0",
                                         "v: _1",
                                         "v: 1_",
                                         "v: 5_KiB",
                                         "v: ''",
                                         "v: 1.5",
                                         "v: [1]",
                                         "v: +1",
                                         "v: --1",
                                         "v: 9223372036854775808",
                                         "v: 9999999999GiB",
                                         "v: 5 MiB"};
    static const char *const no_ms[] = {
        "v: 5", "v: '5s'", "v: -5s", "v: 5 s", "v: s", "v: 1.5s", "v: 9223372036854775807d"};
    int64_t i = -7;
    double d = 0;

    CHECK(int_of("v: 1_000", &i) && i == 1000);
    CHECK(int_of("v: -5", &i) && i == -5);
    CHECK(int_of("v: 32MiB", &i) && i == 33554432);
    CHECK(int_of("v: 2GiB", &i) && i == 2147483648);
    CHECK(int_of("v: 9223372036854775807", &i) && i == INT64_MAX);
    i = -7;
    for (size_t k = 0; k < sizeof(no_int) / sizeof(no_int[0]); k++)
        CHECK(!int_of(no_int[k], &i) && i == -7);
    CHECK(ms_of("v: 250ms", &i) && i == 250);
    CHECK(ms_of("v: 10s", &i) && i == 10000);
    CHECK(ms_of("v: 2h", &i) && i == 7200000);
    CHECK(ms_of("v: 7d", &i) && i == 604800000);
    CHECK(ms_of("v: 0", &i) && i == 0);
    i = -7;
    for (size_t k = 0; k < sizeof(no_ms) / sizeof(no_ms[0]); k++)
        CHECK(!ms_of(no_ms[k], &i) && i == -7);
    CHECK(double_of("v: 0.25", &d) && d > 0.249 && d < 0.251);
    CHECK(double_of("v: -1e3", &d) && d < -999 && d > -1001);
    CHECK(!double_of("v: nan", &d) && !double_of("v: 1e999", &d) && !double_of("v: 1.2.3", &d));
}

static void test_fail_names_the_place(void)
{
    struct gw_yaml *y = parse("a:\n  b:\n    - 1\n    - c: 2\n");
    const struct gw_yaml_node *c =
        gw_yaml_get(gw_yaml_get(gw_yaml_get(gw_yaml_root(y), "a"), "b")->first_child->next, "c");
    struct gw_err err;

    CHECK(gw_yaml_fail(y, c, &err, GW_EINVAL, "must be %d", 3) == GW_EINVAL);
    CHECK(strcmp(err.text, "t.yaml:4: a.b[1].c: must be 3") == 0 && err.code == GW_EINVAL);
    CHECK(gw_yaml_fail(y, gw_yaml_root(y), &err, GW_EINVAL, "x") == GW_EINVAL);
    CHECK(strcmp(err.text, "t.yaml:1: x") == 0);
    gw_yaml_free(y);
}

static void test_load(void)
{
    char path[] = "/tmp/test_yaml_XXXXXX";
    int fd = mkstemp(path);
    struct gw_yaml *y = NULL;
    struct gw_err err;

    CHECK(fd >= 0 && write(fd, "a: 1\n", 5) == 5);
    CHECK(gw_yaml_load(path, &y, &err) == GW_OK);
    CHECK(y != NULL && gw_yaml_get(gw_yaml_root(y), "a") != NULL);
    gw_yaml_free(y);
    y = NULL;
    CHECK(ftruncate(fd, (4 << 20) + 1) == 0);
    CHECK(gw_yaml_load(path, &y, &err) == GW_ELIMIT && y == NULL);
    close(fd);
    unlink(path);
    CHECK(gw_yaml_load(path, &y, &err) == GW_ENOENT && strstr(err.text, path) != NULL);
    CHECK(gw_yaml_load("/", &y, &err) == GW_EIO && y == NULL);
}

int main(void)
{
    test_tree_keeps_lines_and_order();
    test_json_is_yaml();
    test_empty_is_an_empty_mapping();
    test_tricks_are_refused();
    test_limits_hold();
    test_many_keys();
    test_every_prefix();
    test_typed_readers();
    test_fail_names_the_place();
    test_load();
    return test_done();
}
