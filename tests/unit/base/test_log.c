/* Tests of log lines: both forms, and that no value can pass for anything else. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/json_tree.h"
#include "base/log.h"
#include "tests/test.h"

static char line[4096];

/* What a call writes to standard error. */
#define CAPTURE(call)                                                                              \
    do {                                                                                           \
        int fds_[2], saved_ = dup(2);                                                              \
        ssize_t n_;                                                                                \
        CHECK(pipe(fds_) == 0 && dup2(fds_[1], 2) == 2);                                           \
        call;                                                                                      \
        (void)dup2(saved_, 2);                                                                     \
        (void)close(saved_);                                                                       \
        (void)close(fds_[1]);                                                                      \
        n_ = read(fds_[0], line, sizeof(line) - 1);                                                \
        (void)close(fds_[0]);                                                                      \
        line[n_ < 0 ? 0 : n_] = '\0';                                                              \
    } while (0)

/* The line without its time. */
static const char *text(void)
{
    return strlen(line) < 25 ? line : line + 25;
}

static void test_text(void)
{
    const char *volatile nothing = NULL;

    CAPTURE(gw_log(GW_LOG_INFO, "request", "req=%s status=%u ms=%llu.%03llu n=%d why=\"%s\"", "01A",
                   200U, 12ULL, 7ULL, -5, "a b"));
    CHECK(strcmp(text(), "info request req=01A status=200 ms=12.007 n=-5 why=\"a b\"\n") == 0);
    CAPTURE(gw_log(GW_LOG_WARN, "x", "bare=%s quoted=\"%s\" cut=%.3s of=%.*s none=\"%s\" z=%zu",
                   "a b\"c=1", "say \"hi\" \\ bye\nnext=1", "abcdef", 2, "xyz", nothing,
                   (size_t)7));
    CHECK(strcmp(text(),
                 "warn x bare=a?b?c=1 quoted=\"say \\\"hi\\\" \\\\ bye?next=1\" cut=abc of=xy "
                 "none=\"-\" z=7\n") == 0);
    CAPTURE(gw_log(GW_LOG_INFO, "x", "a=\"%s\" b=%lld c=%c", "\xC3\xA9 \xFF\xC0\x80\xED\xA0\x80",
                   -9223372036854775807LL - 1, 'q'));
    CHECK(strcmp(text(), "info x a=\"\xC3\xA9 ??????\" b=-9223372036854775808 c=q\n") == 0);
    CAPTURE(gw_log(GW_LOG_INFO, "x", "a=%.1f b=%.2f c=%.0f d=%f e=%.1f f=\"%.3f ms\" g=%d", 2.25,
                   -0.004, 7.5e8, 0.5, -1e300, 1234.5678, 9));
    CHECK(strcmp(text(), "info x a=2.2 b=-0.00 c=750000000 d=0.500000 e=-1.0000000000000001e+300 "
                         "f=\"1234.568 ms\" g=9\n") == 0);
    CAPTURE(gw_log(GW_LOG_INFO, "x", "a=%.1f b=%.1f c=%d", (double)NAN, -(double)INFINITY, 3));
    CHECK(strcmp(text(), "info x a=- b=- c=3\n") == 0);
    CAPTURE(gw_log(GW_LOG_DEBUG, "x", "a=%d", 1));
    CHECK(line[0] == '\0');
}

static struct gw_arena *arena;
static struct gw_json *json;

static const struct gw_json_node *parse(void)
{
    struct gw_json_node *root = NULL;
    struct gw_err err;
    size_t n = strlen(line);

    gw_arena_reset(arena);
    if (!CHECK(n > 0 && line[n - 1] == '\n' && strchr(line, '\n') == line + n - 1) ||
        !CHECK(gw_json_tree(json, arena, (struct gw_span){line, n}, NULL, &root, &err) == GW_OK))
        (void)fprintf(stderr, "  %s", line);
    return root;
}

static bool member_is(const struct gw_json_node *root, const char *name, const char *want)
{
    return gw_span_is(gw_json_text(gw_json_get(root, name), arena), want);
}

static void test_json(void)
{
    const struct gw_json_node *root;
    char *big = malloc(5000);

    CAPTURE(gw_log(GW_LOG_ERROR, "request",
                   "req=%s status=%u ms=%llu.%03llu neg=%d why=\"%s\" "
                   "mixed=%s%d",
                   "01A", 200U, 12ULL, 7ULL, -5, "a \"b\", \"status\":500}\n{\\", "v", 3));
    root = parse();
    CHECK(member_is(root, "level", "error") && member_is(root, "event", "request"));
    CHECK(member_is(root, "req", "01A"));
    CHECK(strstr(line, "\"status\":200,\"ms\":12.007,\"neg\":-5,") != NULL);
    CHECK(member_is(root, "why", "a \"b\", \"status\":500}?{\\"));
    CHECK(member_is(root, "mixed", "v3"));
    CHECK(gw_json_uint(gw_json_get(root, "status"), 0) == 200);
    CAPTURE(gw_log(GW_LOG_INFO, "x", "us=%.1f bad=%.1f n=%u", 12.34, (double)NAN, 4U));
    (void)parse();
    CHECK(strstr(line, "\"us\":12.3,\"bad\":\"-\",\"n\":4") != NULL);
    /* Cut wherever it is: still one object, and the pairs behind are left out whole. */
    memset(big, 'x', 4999);
    big[4999] = '\0';
    for (int i = 1800; i < 2100; i++) {
        CAPTURE(
            gw_log(GW_LOG_INFO, "big", "a=\"%.*s\" b=%d c=\"%.*s\"", i, big, i, 20, "\"\"\"\""));
        (void)parse();
        CHECK(strlen(line) <= 2048);
    }
    memset(big, '"', 4999);
    for (int i = 900; i < 1050; i++) {
        CAPTURE(gw_log(GW_LOG_INFO, "big", "a=%.*s b=%d", i, big, i));
        (void)parse();
    }
    free(big);
}

int main(void)
{
    arena = gw_arena_new(1 << 20);
    json = gw_json_new();
    test_text();
    gw_log_set_format(GW_LOG_JSON);
    test_json();
    gw_log_set_level(GW_LOG_ERROR);
    CAPTURE(gw_log(GW_LOG_WARN, "x", "a=%d", 1));
    CHECK(line[0] == '\0');
    gw_json_free(json);
    gw_arena_free(arena);
    return test_done();
}
