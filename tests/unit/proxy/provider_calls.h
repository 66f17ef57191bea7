/* tests/unit/proxy/provider_calls.h - what the tests of proxy/provider/provider*.c share: a configuration's targets, calls to
 * them, and exact comparisons. */
#ifndef TESTS_UNIT_PROXY_PROVIDER_CALLS_H
#define TESTS_UNIT_PROXY_PROVIDER_CALLS_H

#include <stdlib.h>
#include <string.h>

#include "proxy/provider/provider.h"
#include "tests/test.h"

/* The targets of a configuration, so that what it derives is tested along. */
static inline struct proxy_config *config(const char *targets)
{
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};

    if (!CHECK(proxy_config_parse(gw_span_str(targets), "t.yaml", 0, &cfg, NULL, NULL, &err) ==
               GW_OK)) {
        fprintf(stderr, "  %s\n", err.text);
        exit(1);
    }
    return cfg;
}

static inline struct provider_call call(const struct proxy_config_target *t, enum provider_op op,
                                        enum api_dialect d, const char *model)
{
    return (struct provider_call){.target = t,
                                  .op = op,
                                  .dialect = d,
                                  .model = gw_span_str(model),
                                  .method = GW_SPAN("POST"),
                                  .path = GW_SPAN("/v1/chat/completions"),
                                  .now_s = 1760000000};
}

static inline void line_is(const struct provider_call *c, const char *want)
{
    struct gw_buf out = {0};
    struct gw_err err = {0};
    char full[1200];
    enum gw_status st = provider_write_line(c, &out, &err);

    (void)snprintf(full, sizeof(full), "%s HTTP/1.1\r\n", want);
    if (!CHECK(st == GW_OK && gw_span_is(gw_buf_span(&out), full)))
        fprintf(stderr, "  want: %s\n  got: %s (%d %s)\n", want, out.ptr, (int)st, err.text);
    gw_buf_fini(&out);
}

static inline void fields_are(const struct provider_call *c, const char *want)
{
    struct gw_buf out = {0};
    struct gw_err err = {0};
    enum gw_status st = provider_write_fields(c, GW_SPAN("host.test"), &out, &err);

    if (!CHECK(st == GW_OK && gw_span_is(gw_buf_span(&out), want)))
        fprintf(stderr, "  want: %s\n  got: %s (%d %s)\n", want, out.len == 0 ? "" : out.ptr,
                (int)st, err.text);
    gw_buf_fini(&out);
}

static inline void line_fails(const struct provider_call *c, enum gw_status want)
{
    struct gw_buf out = {0};
    struct gw_err err = {0};
    enum gw_status st = provider_write_line(c, &out, &err);

    if (!CHECK(st == want && err.text[0] != '\0'))
        fprintf(stderr, "  %.*s: %d %s\n", (int)c->model.len, c->model.ptr, (int)st, out.ptr);
    gw_buf_fini(&out);
}

/* The body becomes want; NULL: it is taken as it is. */
static inline void body_becomes(const struct provider_call *c, const char *body, const char *want)
{
    struct gw_json *json = gw_json_new();
    struct gw_buf out = {0};
    struct gw_err err = {0};
    bool changed = false;
    enum gw_status st = provider_adapt_body(c, json, gw_span_str(body), &out, &changed, &err);

    if (!CHECK(st == GW_OK && changed == (want != NULL) &&
               gw_span_is(gw_buf_span(&out), want == NULL ? "" : want)))
        fprintf(stderr, "  want: %s\n  got: %s (%d %s)\n", want == NULL ? "(unchanged)" : want,
                out.len == 0 ? "" : out.ptr, (int)st, err.text);
    gw_buf_fini(&out);
    gw_json_free(json);
}

/* What KEYS names. */
static inline void set_key(void)
{
    (void)setenv("TEST_PROVIDER_KEY", "test-provider-key", 1); // NOLINT(concurrency-mt-unsafe)
}

#define KEYS "key: env:TEST_PROVIDER_KEY, zone: approved"

#endif
