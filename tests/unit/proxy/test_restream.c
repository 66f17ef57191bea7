/* Unit tests of proxy/answer/restream.c: streams of chat chunks, cut everywhere. */
#include <string.h>

#include "proxy/answer/restream.h"
#include "tests/test.h"

static const char secret[] = "jane.doe@example-corp.com";
static struct gw_json *json;
static struct dlp_vault *vault;
static char placeholder[128];

/* A vault that holds the secret, made the way a request makes it. */
static bool make_vault(void)
{
    struct gw_arena *arena = gw_arena_new(8 << 20);
    struct dlp_rules *rules = dlp_rules_builtin();
    struct dlp_scanner *scanner = dlp_scanner_new();
    struct gw_buf body = {0}, out = {0};
    struct dlp_doc *doc = NULL;
    struct dlp_report report = {0};
    struct gw_err err;
    enum gw_action actions[64];
    bool ok = false;

    gw_buf_printf(&body, "{\"a\":\"write to %s please\"}", secret);
    vault = dlp_vault_new(GW_SPAN("key"));
    for (unsigned i = 0; i < 64; i++)
        actions[i] = GW_ACTION_TOKENIZE;
    if (dlp_doc_parse_json(arena, gw_buf_span(&body), NULL, &doc, &err) == GW_OK &&
        dlp_scan(scanner, rules, doc, arena, NULL, &report) == GW_OK && report.n_findings > 0 &&
        report.n_findings < 64 &&
        dlp_doc_edit(doc, rules, &report, actions, vault, &out) == GW_OK && out.len < 100) {
        size_t n = out.len - strlen("{\"a\":\"write to  please\"}");

        memcpy(placeholder, out.ptr + strlen("{\"a\":\"write to "), n);
        ok = n > 4 && dlp_vault_count(vault) == 1;
    }
    gw_buf_fini(&body);
    gw_buf_fini(&out);
    dlp_scanner_free(scanner);
    gw_arena_free(arena);
    return ok;
}

struct run {
    struct restream *r;
    struct gw_buf out;
};

static enum gw_status on_event(void *ctx, const struct sse_event *ev)
{
    struct run *run = ctx;

    return restream_event(run->r, ev, &run->out);
}

/* Runs a stream through and appends what the client gets. */
static bool restore(struct gw_span stream, struct gw_buf *out)
{
    const struct filter_config cfg = {.vault = vault};
    struct run run = {restream_new(&cfg, API_CHAT, json), {0}};
    struct sse_reader *reader = sse_reader_new(0);
    bool ok = sse_reader_feed(reader, stream, on_event, &run) == GW_OK &&
              sse_reader_finish(reader, on_event, &run) == GW_OK &&
              restream_finish(run.r, &run.out) == GW_OK;

    gw_buf_add(out, gw_buf_span(&run.out));
    gw_buf_fini(&run.out);
    sse_reader_free(reader);
    restream_free(run.r);
    return ok;
}

/* Joins, over all events, the decoded strings under that key in choices with that index. */
struct join {
    struct gw_buf text;
    const char *key;
    const char *choice; /* "\"index\":0" as it stands in the event, or NULL: all */
    bool valid;
    unsigned n_done;
};

static enum gw_status on_joined(void *ctx, const struct sse_event *ev)
{
    struct join *j = ctx;
    struct gw_json_tok tok;
    bool take = false;

    if (gw_span_is(ev->data, "[DONE]")) {
        j->n_done++;
        return GW_OK;
    }
    if (ev->data.len == 0 || (j->choice != NULL && memmem(ev->data.ptr, ev->data.len, j->choice,
                                                          strlen(j->choice)) == NULL))
        return GW_OK;
    gw_json_start(json, ev->data, NULL);
    while (gw_json_next(json, &tok) != GW_JSON_END) {
        char text[1024];

        if (tok.type == GW_JSON_ERROR) {
            j->valid = false;
            return GW_OK;
        }
        if (take && tok.type == GW_JSON_STRING)
            gw_buf_add(&j->text, (struct gw_span){text, gw_json_decode(tok.raw, text)});
        take = tok.type == GW_JSON_KEY && gw_span_is(tok.raw, j->key);
    }
    return GW_OK;
}

static bool joins_to(struct gw_span stream, const char *key, const char *choice, const char *want)
{
    struct join j = {{0}, key, choice, true, 0};
    struct sse_reader *reader = sse_reader_new(0);
    bool ok;

    (void)sse_reader_feed(reader, stream, on_joined, &j);
    (void)sse_reader_finish(reader, on_joined, &j);
    sse_reader_free(reader);
    ok = j.valid && gw_span_is(gw_buf_span(&j.text), want);
    if (!ok)
        fprintf(stderr, "  want %s\n  got  %.*s\n  of %.*s\n", want, (int)j.text.len, j.text.ptr,
                (int)stream.len, stream.ptr);
    gw_buf_fini(&j.text);
    return ok;
}

static void chunk(struct gw_buf *out, int index, const char *text, size_t len, bool last,
                  const char *end)
{
    gw_buf_printf(
        out,
        "data: {\"id\":\"c1\",\"choices\":[{\"index\":%d,\"delta\":{\"content\":\"%.*s\"},"
        "\"finish_reason\":%s}]}%s%s",
        index, (int)len, text, last ? "\"stop\"" : "null", end, end);
}

/* The text in two pieces, cut at every place, the end in the same event as text or in its own. */
static void test_cuts(const char *end, bool own_end, bool done)
{
    char sent[256], want[256];
    size_t n;
    bool all = true;

    n = (size_t)snprintf(sent, sizeof(sent), "Mail %s, then %s", placeholder, placeholder);
    (void)snprintf(want, sizeof(want), "Mail %s, then %s", secret, secret);
    for (size_t cut = 0; cut <= n; cut++) {
        struct gw_buf in = {0}, out = {0};

        chunk(&in, 0, sent, cut, false, end);
        chunk(&in, 0, sent + cut, n - cut, !own_end, end);
        if (own_end)
            chunk(&in, 0, "", 0, true, end);
        if (done)
            gw_buf_printf(&in, "data: [DONE]%s%s", end, end);
        all &= restore(gw_buf_span(&in), &out) &&
               joins_to(gw_buf_span(&out), "content", NULL, want) &&
               (memmem(out.ptr, out.len, "[DONE]", 6) != NULL) == done;
        gw_buf_fini(&in);
        gw_buf_fini(&out);
    }
    CHECK(all);
}

/* Two choices at once, one character an event; choice 0 ends while choice 1 is in a placeholder. */
static void test_choices(void)
{
    struct gw_buf in = {0}, out = {0};
    size_t n = strlen(placeholder);

    for (size_t i = 0; i < n; i++) {
        chunk(&in, 0, placeholder + i, 1, i + 1 == n, "\n");
        if (i > 2)
            chunk(&in, 1, placeholder + i - 3, 1, false, "\n");
    }
    gw_buf_printf(&in,
                  "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":"
                  "\"stop\"},{\"index\":1,\"delta\":{\"content\":\"%s\"}}]}\n\n",
                  placeholder + n - 3);
    CHECK(restore(gw_buf_span(&in), &out));
    gw_buf_adds(&out, "data: [DONE]\n\n");
    CHECK(joins_to(gw_buf_span(&out), "content", "\"index\":1", secret));
    gw_buf_fini(&in);
    gw_buf_fini(&out);
}

/* A tool call whose arguments hold a placeholder; its name is said once. */
static void test_tool(void)
{
    struct gw_buf in = {0}, out = {0};
    char want[128];

    gw_buf_printf(
        &in,
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"tool_calls\":[{"
        "\"index\":0,\"id\":\"t1\",\"type\":\"function\",\"function\":{\"name\":\"mail\","
        "\"arguments\":\"{\\\"to\\\":\\\"%.5s\"}}]}}]}\n\n"
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,"
        "\"function\":{\"arguments\":\"%s\\\"}%.6s\"}}]}}]}\n\n"
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}"
        "\n\ndata: [DONE]\n\n",
        placeholder, placeholder + 5, placeholder);
    CHECK(restore(gw_buf_span(&in), &out));
    (void)snprintf(want, sizeof(want), "{\"to\":\"%s\"}%.6s", secret, placeholder);
    CHECK(joins_to(gw_buf_span(&out), "arguments", NULL, want));
    CHECK(joins_to(gw_buf_span(&out), "name", NULL, "mail"));
    CHECK(joins_to(gw_buf_span(&out), "id", NULL, "t1"));
    gw_buf_fini(&in);
    gw_buf_fini(&out);
}

/* What held text comes with repeats no role, name or id. */
static void test_said_once(void)
{
    struct gw_buf in = {0}, out = {0};

    gw_buf_printf(&in,
                  "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":"
                  "\"%.5s\"}}]}\n\ndata: [DONE]\n\n",
                  placeholder);
    CHECK(restore(gw_buf_span(&in), &out));
    CHECK(joins_to(gw_buf_span(&out), "role", NULL, "assistant"));
    gw_buf_fini(&in);
    gw_buf_fini(&out);
}

/* Streams without placeholders come out byte by byte the same. */
static void test_untouched(void)
{
    static const char *const streams[] = {
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a "
        "\\u00e9\\n\\\"b\"}}]}\n\ndata: "
        "[DONE]\n\n",
        ": comment\r\nevent: x\r\ndata: not json\r\n\r\ndata: {\"broken\":\r\n\r\n",
        "data: [1,2,{\"content\":5}]\n\n\n\nid: 7\ndata: \"text\"\n\n",
        "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    };

    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        struct gw_buf out = {0};

        CHECK(restore(gw_span_str(streams[i]), &out));
        CHECK(gw_span_is(gw_buf_span(&out), streams[i]));
        gw_buf_fini(&out);
    }
}

int main(void)
{
    json = gw_json_new();
    if (!CHECK(make_vault()))
        return test_done();
    test_cuts("\n", true, true);
    test_cuts("\n", false, true);
    test_cuts("\r\n", true, true);
    test_cuts("\n", false, false);
    test_choices();
    test_tool();
    test_said_once();
    test_untouched();
    dlp_vault_free(vault);
    gw_json_free(json);
    return test_done();
}
