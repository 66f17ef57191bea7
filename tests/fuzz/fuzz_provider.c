/* Fuzz target: requests to providers, made of what a client sent: model, path, query and body, parted by NULs behind two
 * bytes of choices. A line stays one line, its path never climbs, no credential passes in its query; a changed body is
 * JSON without what was to go. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "proxy/provider/provider.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char targets[] =
    "targets:\n"
    "  o: { kind: openai, base_url: https://o.test/t/v1, zone: approved }\n"
    "  p: { kind: openai, base_url: https://o.test, zone: approved }\n"
    "  a: { kind: anthropic, zone: approved }\n"
    "  g: { kind: gemini, zone: approved }\n"
    "  z: { kind: azure, base_url: https://z.test, zone: approved, deployments: { m: '../d' } }\n"
    "  y: { kind: azure, base_url: https://z.test, zone: approved, api_version: v1, deployments: { "
    "m: d } }\n"
    "  v: { kind: vertex, location: eu, project: p, credentials: env:X, zone: approved }\n"
    "  b: { kind: bedrock, region: us-east-1, access_key: env:X, secret_key: env:X, zone: approved "
    "}\n";

static void must(bool ok)
{
    if (!ok)
        abort();
}

static struct gw_span take(const uint8_t **data, size_t *size)
{
    const uint8_t *end = *size == 0 ? NULL : memchr(*data, '\0', *size);
    struct gw_span part = {(const char *)*data, end == NULL ? *size : (size_t)(end - *data)};

    *data += end == NULL ? *size : part.len + 1;
    *size -= end == NULL ? *size : part.len + 1;
    return part;
}

/* Percent-decodes what matters to a path. */
static size_t decode(struct gw_span in, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < in.len; i++) {
        char hex[3] = {0};
        char *end;

        if (in.ptr[i] == '%' && i + 2 < in.len) {
            memcpy(hex, in.ptr + i + 1, 2);
            out[n] = (char)strtoul(hex, &end, 16);
            if (end == hex + 2 && hex[0] != '+' && hex[0] != '-' && hex[0] != ' ') {
                i += 2;
                n++;
                continue;
            }
        }
        out[n++] = in.ptr[i];
    }
    return n;
}

static void check_line(struct gw_span line)
{
    const struct gw_span end = GW_SPAN(" HTTP/1.1\r\n");
    struct gw_span path;
    const char *query;
    char *plain;
    size_t n;

    must(gw_span_starts(line, GW_SPAN("POST /")) && !gw_span_starts(line, GW_SPAN("POST //")) &&
         gw_span_ends(line, end));
    path = (struct gw_span){line.ptr + 5, line.len - 5 - end.len};
    for (size_t i = 0; i < path.len; i++)
        must((unsigned char)path.ptr[i] > 0x20 && (unsigned char)path.ptr[i] < 0x7F);
    query = memchr(path.ptr, '?', path.len);
    if (query != NULL) {
        must(strncmp(query, "?key=", 5) != 0 && strstr(query, "&key=") == NULL);
        path.len = (size_t)(query - path.ptr);
    }
    plain = calloc(1, path.len + 8);
    n = decode(path, plain);
    for (size_t i = 0; i < n; i++)
        if (plain[i] == '\\')
            plain[i] = '/';
    plain[n] = '/';
    must(memmem(plain, n + 1, "/../", 4) == NULL && memmem(plain, n + 1, "/./", 3) == NULL);
    free(plain);
}

/* The text is one JSON object without a member of that name. */
static void check_body(struct gw_json *json, struct gw_span body, const char *gone)
{
    struct gw_json_tok tok;

    gw_json_start(json, body, NULL);
    must(gw_json_next(json, &tok) == GW_JSON_OBJECT_BEGIN);
    while (gw_json_next(json, &tok) != GW_JSON_END) {
        must(tok.type != GW_JSON_ERROR);
        must(tok.type != GW_JSON_KEY || tok.depth != 1 || tok.escaped ||
             !gw_span_is(tok.raw, gone));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct proxy_config *cfg;
    static struct gw_json *json;
    struct provider_call c = {.method = GW_SPAN("POST")};
    struct gw_buf line = {0}, body = {0}, fields = {0};
    struct gw_err err;
    bool changed = false;

    if (cfg == NULL) {
        must(proxy_config_parse(GW_SPAN(targets), "t.yaml", PROXY_CONFIG_NO_SECRETS, &cfg, NULL,
                                NULL, NULL) == GW_OK);
        json = gw_json_new();
        must(json != NULL);
    }
    if (size < 2)
        return 0;
    c.target = &cfg->targets[data[0] % cfg->n_targets];
    c.op = (enum provider_op)(data[0] / 16 % 4);
    c.dialect = (enum api_dialect)(data[1] % API_DIALECT_COUNT);
    c.stream = (data[1] & 0x40) != 0;
    c.json_array = (data[1] & 0x20) != 0;
    data += 2;
    size -= 2;
    c.model = take(&data, &size);
    c.path = take(&data, &size);
    c.query = take(&data, &size);
    c.beta = take(&data, &size);
    c.body = (struct gw_span){(const char *)data, size};
    if (provider_write_line(&c, &line, &err) == GW_OK)
        check_line(gw_buf_span(&line));
    /* Azure's change reads as far as the model: that the rest is JSON was seen before. */
    if (provider_adapt_body(&c, json, c.body, &body, &changed, &err) == GW_OK && changed &&
        c.target->kind != PROXY_TARGET_AZURE)
        check_body(json, gw_buf_span(&body),
                   c.target->kind == PROXY_TARGET_BEDROCK ? "stream" : "no such member");
    (void)provider_write_fields(&c, GW_SPAN("h.test"), &fields, &err);
    gw_buf_fini(&line);
    gw_buf_fini(&body);
    gw_buf_fini(&fields);
    return 0;
}
