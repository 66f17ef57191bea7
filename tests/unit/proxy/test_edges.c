/* Unit tests of proxy/address.c, encoding.c, fields.c and api_openai*.c: what stands at the edges. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/json.h"
#include "proxy/address.h"
#include "proxy/api_openai.h"
#include "proxy/encoding.h"
#include "proxy/fields.h"
#include "tests/test.h"

/* ---- address ---------------------------------------------------------------------------- */

static bool is_public(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return address_is_public((const struct sockaddr *)&v4);
    return CHECK(inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) &&
           address_is_public((const struct sockaddr *)&v6);
}

static void test_address(void)
{
    static const char *const yes[] = {"1.1.1.1",         "9.255.255.255",  "11.0.0.0",
                                      "100.63.0.1",      "100.128.0.1",    "172.15.1.1",
                                      "172.32.0.1",      "192.167.1.1",    "223.255.255.255",
                                      "2606:4700::1111", "::ffff:8.8.8.8", "2001:4860:4860::8888"};
    static const char *const no[] = {"0.0.0.0",
                                     "10.1.2.3",
                                     "100.64.0.1",
                                     "127.0.0.1",
                                     "169.254.169.254",
                                     "172.16.0.1",
                                     "172.31.255.255",
                                     "192.0.0.1",
                                     "192.0.2.1",
                                     "192.168.0.1",
                                     "198.18.0.1",
                                     "198.51.100.1",
                                     "203.0.113.1",
                                     "224.0.0.1",
                                     "240.0.0.1",
                                     "255.255.255.255",
                                     "::",
                                     "::1",
                                     "::7f00:1",
                                     "::ffff:127.0.0.1",
                                     "::ffff:10.0.0.1",
                                     "64:ff9b::a00:1",
                                     "64:ff9b:1::1",
                                     "2002:a00:1::",
                                     "fc00::1",
                                     "fdff::1",
                                     "fe80::1",
                                     "fec0::1",
                                     "ff02::1",
                                     "2001:db8::1",
                                     "2001::1",
                                     "100::1",
                                     "3fff::1"};

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        if (!CHECK(is_public(yes[i])))
            fprintf(stderr, "  %s\n", yes[i]);
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        if (!CHECK(!is_public(no[i])))
            fprintf(stderr, "  %s\n", no[i]);
}

/* ---- encoding --------------------------------------------------------------------------- */

static size_t pack(const char *text, size_t len, int window, unsigned char *out, size_t size)
{
    z_stream z = {0};
    size_t n;

    (void)deflateInit2(&z, 9, Z_DEFLATED, window, 9, Z_DEFAULT_STRATEGY);
    z.next_in = (Bytef *)(uintptr_t)text;
    z.avail_in = (uInt)len;
    z.next_out = out;
    z.avail_out = (uInt)size;
    (void)deflate(&z, Z_FINISH);
    n = z.total_out;
    (void)deflateEnd(&z);
    return n;
}

static enum gw_status undo(const char *coding, const unsigned char *in, size_t n, size_t max,
                           struct gw_buf *out)
{
    struct gw_err err;

    return encoding_undo(gw_span_str(coding), (struct gw_span){(const char *)in, n}, max, out,
                         &err);
}

static void test_encoding(void)
{
    static unsigned char packed[1 << 16];
    static char zeros[1 << 24];
    const char *text = "{\"a\":\"some text, some text, some text\"}";
    const int windows[] = {31, 15};
    const char *const codings[] = {"GZIP", "deflate"};

    for (int k = 0; k < 2; k++) {
        size_t n = pack(text, strlen(text), windows[k], packed, sizeof(packed));
        struct gw_buf out = {0};
        bool all = true;

        CHECK(undo(codings[k], packed, n, 1000, &out) == GW_OK &&
              gw_span_is(gw_buf_span(&out), text));
        gw_buf_fini(&out);
        for (size_t cut = 0; cut < n; cut++) {
            all &= undo(codings[k], packed, cut, 1000, &out) == GW_EPARSE;
            gw_buf_fini(&out);
        }
        CHECK(all);
        packed[n] = 'x';
        CHECK(undo(codings[k], packed, n + 1, 1000, &out) == GW_EPARSE);
        gw_buf_fini(&out);
        CHECK(undo(codings[k], packed, n, 10, &out) == GW_ELIMIT);
        gw_buf_fini(&out);
        n = pack(zeros, sizeof(zeros), windows[k], packed, sizeof(packed));
        CHECK(undo(codings[k], packed, n, 1 << 30, &out) == GW_ELIMIT); /* a bomb */
        CHECK(out.len < 4u << 20);
        gw_buf_fini(&out);
        CHECK(undo("br", packed, n, 1000, &out) == GW_EUNSUPPORTED);
        CHECK(undo("gzip, gzip", packed, n, 1000, &out) == GW_EUNSUPPORTED);
        gw_buf_fini(&out);
    }
    CHECK(encoding_is_identity(GW_SPAN("")) && encoding_is_identity(GW_SPAN("Identity")));
    CHECK(!encoding_is_identity(GW_SPAN("gzip")));
}

/* ---- fields ----------------------------------------------------------------------------- */

static bool hop(const char *name, const char *connection)
{
    const struct http1_field f = {gw_span_str(name), GW_SPAN("v")};

    return field_is_hop(&f, gw_span_str(connection));
}

static void test_fields(void)
{
    CHECK(hop("Connection", "") && hop("TE", "") && hop("content-length", "") &&
          hop("Proxy-Authorization", "") && hop("Upgrade", ""));
    CHECK(!hop("Accept", "close") && hop("X-Mine", "close, x-mine") && hop("x-mine", "X-MINE ,a"));
    CHECK(!hop("x-min", "x-mine"));
    CHECK(field_is_credential(GW_SPAN("AUTHORIZATION")) && field_is_credential(GW_SPAN("cookie")));
    CHECK(!field_is_credential(GW_SPAN("accept")));
}

/* ---- api_openai ------------------------------------------------------------------------- */

static struct gw_json *json;

static enum gw_status parse(const char *members, struct api_chat *out, const char **param)
{
    static struct gw_arena *arena;
    static char body[4096];
    struct gw_err err;

    gw_arena_free(arena);
    arena = members == NULL ? NULL : gw_arena_new(1 << 20);
    if (members == NULL)
        return GW_OK;
    (void)snprintf(body, sizeof(body),
                   "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]%s}",
                   members);
    return api_chat_parse(json, arena, gw_span_str(body), out, param, &err);
}

static bool refused(const char *members, const char *want)
{
    struct api_chat chat;
    const char *param = NULL;
    bool ok =
        parse(members, &chat, &param) == GW_EINVAL && param != NULL && strcmp(param, want) == 0;

    if (!ok)
        fprintf(stderr, "  %s: %s\n", members, param == NULL ? "taken" : param);
    return ok;
}

static void test_chat(void)
{
    struct gw_arena *arena = gw_arena_new(16 << 20);
    struct gw_buf many = {0};
    struct api_chat chat;
    const char *param;
    struct gw_err err;

    CHECK(
        parse(",\"max_tokens\":7,\"temperature\":0.5,\"top_p\":0.25,\"seed\":-3,\"stop\":[\"a\","
              "\"\\u0062\"],\"stream\":true,\"stream_options\":{\"include_usage\":true},\"n\":null",
              &chat, &param) == GW_OK);
    CHECK(chat.params.max_tokens == 7 && chat.params.n_stop == 2 && chat.stream &&
          chat.include_usage && chat.n == 1 && chat.local_unsupported == NULL);
    CHECK(gw_span_is(chat.params.stop[1], "b"));
    CHECK(parse(",\"tools\":[{},{}],\"response_format\":{\"type\":\"json_object\"}", &chat,
                &param) == GW_OK);
    CHECK(chat.n_tools == 2 && chat.has_schema && chat.local_unsupported != NULL);
    CHECK(refused(",\"max_tokens\":1.5", "max_tokens"));
    CHECK(refused(",\"max_tokens\":0", "max_tokens"));
    CHECK(refused(",\"max_completion_tokens\":\"5\"", "max_completion_tokens"));
    CHECK(refused(",\"temperature\":3", "temperature"));
    CHECK(refused(",\"top_p\":true", "top_p"));
    CHECK(refused(",\"n\":0", "n"));
    CHECK(refused(",\"seed\":1e400", "seed"));
    CHECK(refused(",\"stop\":5", "stop"));
    CHECK(refused(",\"stop\":[1]", "stop"));
    CHECK(refused(",\"tools\":{}", "tools"));
    CHECK(refused(",\"stream\":\"yes\"", "stream"));
    (void)parse(NULL, &chat, &param);
    CHECK(api_chat_parse(json, arena, GW_SPAN("{\"model\":\"m\",\"messages\":[]}"), &chat, &param,
                         &err) == GW_EINVAL &&
          strcmp(param, "messages") == 0);
    CHECK(api_chat_parse(json, arena, GW_SPAN("{\"messages\":[{\"role\":\"user\"}]}"), &chat,
                         &param, &err) == GW_EINVAL &&
          strcmp(param, "model") == 0);
    CHECK(api_chat_parse(json, arena, GW_SPAN("[]"), &chat, &param, &err) == GW_EINVAL);
    /* Many small parts cost their sum, not its square. */
    gw_buf_adds(&many, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
                       "\"image_url\"}");
    for (int i = 0; i < 3000; i++)
        gw_buf_adds(&many, ",{\"type\":\"text\",\"text\":\"12345678\"}");
    gw_buf_adds(&many, "]}]}");
    CHECK(api_chat_parse(json, arena, gw_buf_span(&many), &chat, &param, &err) == GW_OK);
    CHECK(chat.messages[0].content.len == 3000 * 9 - 1 && chat.local_unsupported != NULL);
    gw_buf_fini(&many);
    gw_arena_free(arena);
}

static bool is_json(struct gw_span text)
{
    struct gw_json_tok tok;

    gw_json_start(json, text, NULL);
    while (gw_json_next(json, &tok) != GW_JSON_END)
        if (tok.type == GW_JSON_ERROR)
            return false;
    return true;
}

static void test_out(void)
{
    const struct api_answer a = {"id\"1", 1700000000, GW_SPAN("m\\o"), "stop", 3, 4};
    struct gw_buf out = {0};
    struct api_usage u = {0};

    CHECK(api_replace_model(json,
                            GW_SPAN("{ \"a\":{\"model\":\"x\"}, \"model\" : \"old\" ,\"z\":1}"),
                            GW_SPAN("n\"w"), &out) == GW_OK);
    CHECK(gw_span_is(gw_buf_span(&out),
                     "{ \"a\":{\"model\":\"x\"}, \"model\" : \"n\\\"w\" ,\"z\":1}"));
    gw_buf_clear(&out);
    CHECK(api_replace_model(json, GW_SPAN("{\"a\":1}"), GW_SPAN("n"), &out) == GW_EPARSE);
    gw_buf_clear(&out);
    api_error(&out, "say \"no\"\n", "t", NULL, "c");
    CHECK(is_json(gw_buf_span(&out)) && strstr(out.ptr, "\"param\":null") != NULL);
    gw_buf_clear(&out);
    api_answer_json(&out, &a, GW_SPAN("x\n\"\xC3\xA9"));
    CHECK(is_json(gw_buf_span(&out)));
    api_read_usage(json, gw_buf_span(&out), &u);
    CHECK(u.prompt_tokens == 3 && u.completion_tokens == 4 && strcmp(u.finish_reason, "stop") == 0);
    gw_buf_fini(&out);
}

int main(void)
{
    json = gw_json_new();
    test_address();
    test_encoding();
    test_fields();
    test_chat();
    test_out();
    gw_json_free(json);
    return test_done();
}
