/* Unit tests of proxy/restream*.c over all dialects: one text with a placeholder and a secret, cut at every place. */
#include <stdlib.h>
#include <string.h>

#include "proxy/restream.h"
#include "tests/test.h"

static const char mail[] = "jane.doe@example-corp.com";
static const char key[] = "AKIA"
                          "QXJ7TPL4MZ3NWVYB";
static struct gw_json *json;
static struct dlp_vault *vault;
static struct dlp_scanner *scanner;
static struct dlp_rules *rules;
static char placeholder[128];
static unsigned n_decided;
static enum gw_action action;

static enum gw_action decide(void *ctx, const struct dlp_guard_finding *f)
{
    (void)ctx;
    n_decided++;
    return dlp_rules_info(rules, f->rule)->class_ == GW_CLASS_SECRET ? action : GW_ACTION_ALLOW;
}

static bool make_vault(void)
{
    struct gw_arena *arena = gw_arena_new(8 << 20);
    struct gw_buf body = {0}, out = {0};
    struct dlp_doc *doc = NULL;
    struct dlp_report report = {0};
    enum gw_action actions[64];
    bool ok = false;

    gw_buf_printf(&body, "{\"a\":\"write to %s please\"}", mail);
    vault = dlp_vault_new(GW_SPAN("key"));
    for (unsigned i = 0; i < 64; i++)
        actions[i] = GW_ACTION_TOKENIZE;
    if (dlp_doc_parse_json(arena, gw_buf_span(&body), NULL, &doc, NULL) == GW_OK &&
        dlp_scan(scanner, rules, doc, arena, NULL, &report) == GW_OK && report.n_findings > 0 &&
        dlp_doc_edit(doc, rules, &report, actions, vault, &out) == GW_OK && out.len < 100) {
        size_t n = out.len - strlen("{\"a\":\"write to  please\"}");

        memcpy(placeholder, out.ptr + strlen("{\"a\":\"write to "), n);
        ok = n > 4 && dlp_vault_count(vault) == 1;
    }
    gw_buf_fini(&body);
    gw_buf_fini(&out);
    gw_arena_free(arena);
    return ok;
}

/* ---- streams ---------------------------------------------------------------------------------- */

/* One kind of growing text: how its events look. %s is the piece, escaped; %u counts events. */
struct shape {
    const char *name;
    enum api_dialect dialect;
    bool nested;                /* the text is JSON */
    const char *before, *piece; /* events */
    const char *after;          /* with %s: the whole text, or without */
    const char *member;         /* that holds the pieces */
};

static const struct shape shapes[] = {
    {"chat", API_CHAT, false,
     "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":"
     "\"\"}}]}\n\n",
     "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"},"
     "\"finish_reason\":null}]}\n\n",
     "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
     "data: [DONE]\n\n",
     "content"},
    {"chat tool", API_CHAT, true, "",
     "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,"
     "\"function\":{\"arguments\":\"%s\"}}]},\"finish_reason\":null}]}\n\n",
     "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":"
     "\"tool_calls\"}]}\n\ndata: [DONE]\n\n",
     "arguments"},
    {"chat reasoning", API_CHAT, false, "",
     "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"%s\"}}]}\n\n",
     "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
     "reasoning_content"},
    {"completions", API_COMPLETIONS, false, "",
     "data: {\"id\":\"c\",\"choices\":[{\"text\":\"%s\",\"index\":0,\"logprobs\":null,"
     "\"finish_reason\":null}]}\n\n",
     "data: {\"id\":\"c\",\"choices\":[{\"text\":\"\",\"index\":0,\"finish_reason\":\"stop\"}]}\n\n"
     "data: [DONE]\n\n",
     "text"},
    {"responses", API_RESPONSES, false, "",
     "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\","
     "\"sequence_number\":%u,\"item_id\":\"m\",\"output_index\":0,\"content_index\":0,\"delta\":"
     "\"%s\"}\n\n",
     "event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\","
     "\"sequence_number\":%u,\"output_index\":0,\"content_index\":0,\"text\":\"%s\"}\n\n"
     "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":%u,"
     "\"response\":{\"id\":\"r\",\"output\":[{\"type\":\"message\",\"content\":[{\"type\":"
     "\"output_text\",\"text\":\"%s\"}]}]}}\n\n",
     "delta"},
    {"responses tool", API_RESPONSES, true, "",
     "data: {\"type\":\"response.function_call_arguments.delta\",\"delta\":\"%2$s\","
     "\"output_index\":3,\"sequence_number\":%1$u}\n\n",
     "data: {\"type\":\"response.function_call_arguments.done\",\"sequence_number\":%u,"
     "\"output_index\":3,\"arguments\":\"%s\"}\n\n"
     "data: {\"type\":\"response.output_item.done\",\"sequence_number\":%u,\"output_index\":3,"
     "\"item\":{\"type\":\"function_call\",\"arguments\":\"%s\"}}\n\n",
     "delta"},
    {"anthropic", API_ANTHROPIC, false,
     "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
     "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
     "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"
     "\"type\":\"text_delta\",\"text\":\"%s\"}}\n\n",
     "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
     "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
     "text"},
    {"anthropic tool", API_ANTHROPIC, true, "",
     "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{"
     "\"type\":\"input_json_delta\",\"partial_json\":\"%s\"}}\n\n",
     "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n",
     "partial_json"},
    {"gemini", API_GEMINI, false, "",
     "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"%s\"}],\"role\":\"model\"}}],"
     "\"modelVersion\":\"g\"}\n\n",
     "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\"}],\"role\":\"model\"},"
     "\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"totalTokenCount\":3}}\n\n",
     "text"},
    {"gemini thought", API_GEMINI, false, "",
     "data: {\"candidates\":[{\"content\":{\"parts\":[{\"thought\":true,\"text\":\"%s\"}]}}]}\n\n",
     "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"f\",\"args\":"
     "{}}}]}}]}\n\ndata: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\n\n",
     "text"},
};

enum { N_SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

/* Appends an event made from format: %s (any position) is text, escaped; %u counts. */
static void add_event(struct gw_buf *out, const char *format, struct gw_span text, unsigned *n)
{
    for (const char *p = format; *p != '\0'; p++) {
        if (p[0] == '%' && p[1] == 's') {
            gw_buf_add_json(out, text);
            p++;
        } else if (p[0] == '%' && p[1] == 'u') {
            gw_buf_addu(out, (*n)++);
            p++;
        } else if (p[0] == '%' && p[1] >= '1' && p[1] <= '2') {
            if (p[3] == 's')
                gw_buf_add_json(out, text);
            else
                gw_buf_addu(out, (*n)++);
            p += 3;
        } else {
            gw_buf_addc(out, *p);
        }
    }
}

/* The stream with text in pieces that end at the cuts (ascending, n_cuts of them), then the rest. */
static void make_stream(const struct shape *s, struct gw_span text, const size_t *cuts,
                        unsigned n_cuts, struct gw_buf *out)
{
    unsigned n = 0;
    size_t from = 0;

    add_event(out, s->before, text, &n);
    for (unsigned i = 0; i <= n_cuts; i++) {
        size_t to = i < n_cuts ? cuts[i] : text.len;

        add_event(out, s->piece, (struct gw_span){text.ptr + from, to - from}, &n);
        from = to;
    }
    add_event(out, s->after, text, &n);
}

struct run {
    struct restream *r;
    struct gw_buf out;
    bool release;
    size_t step; /* bytes at a time; 0: all */
    size_t held_max;
};

static enum gw_status on_event(void *ctx, const struct sse_event *ev)
{
    struct run *run = ctx;
    enum gw_status st = restream_event(run->r, ev, &run->out);

    if (st == GW_OK && restream_held(run->r) > run->held_max)
        run->held_max = restream_held(run->r);
    return st == GW_OK && run->release ? restream_release(run->r, &run->out) : st;
}

/* Runs a stream through; the caller ends run->out. */
static enum gw_status pass(struct gw_span stream, enum api_dialect d, bool scan, struct run *run)
{
    const struct filter_config cfg = {
        .vault = vault, .scanner = scan ? scanner : NULL, .rules = rules, .decide = decide};
    struct sse_reader *reader = sse_reader_new(0);
    enum gw_status st = GW_OK;

    run->r = restream_new(&cfg, d, json);
    if (run->step == 0)
        run->step = stream.len + 1;
    for (size_t at = 0; at < stream.len && st == GW_OK; at += run->step) {
        size_t n = stream.len - at < run->step ? stream.len - at : run->step;

        st = sse_reader_feed(reader, (struct gw_span){stream.ptr + at, n}, on_event, run);
    }
    if (st == GW_OK)
        st = sse_reader_finish(reader, on_event, run);
    if (st == GW_OK)
        st = restream_finish(run->r, &run->out);
    sse_reader_free(reader);
    restream_free(run->r);
    return st;
}

/* What a client makes of a stream. */
struct seen {
    const char *member;
    struct gw_buf text;   /* pieces of member, joined */
    struct gw_buf repeat; /* the last text that came whole (Responses) */
    bool valid;
    unsigned next_number;
};

static enum gw_status look(void *ctx, const struct sse_event *ev)
{
    struct seen *s = ctx;
    struct gw_json_tok tok;
    struct gw_span name = {NULL, 0};

    if (ev->data.len == 0 || gw_span_is(ev->data, "[DONE]"))
        return GW_OK;
    gw_json_start(json, ev->data, NULL);
    while (gw_json_next(json, &tok) != GW_JSON_END) {
        char text[2048];

        if (tok.type == GW_JSON_ERROR) {
            s->valid = false;
            return GW_OK;
        }
        if (tok.type == GW_JSON_KEY) {
            name = tok.raw;
            continue;
        }
        if (tok.type == GW_JSON_STRING && gw_span_is(name, s->member)) {
            gw_buf_add(&s->text, (struct gw_span){text, gw_json_decode(tok.raw, text)});
        } else if (tok.type == GW_JSON_STRING &&
                   (gw_span_is(name, "text") || gw_span_is(name, "arguments"))) {
            gw_buf_clear(&s->repeat);
            gw_buf_add(&s->repeat, (struct gw_span){text, gw_json_decode(tok.raw, text)});
        } else if (gw_span_is(name, "sequence_number")) {
            unsigned long v = strtoul(tok.raw.ptr, NULL, 10);

            s->valid = s->valid && v == s->next_number;
            s->next_number++;
        }
        name = (struct gw_span){NULL, 0};
    }
    return GW_OK;
}

static bool reads_as(const struct shape *s, struct gw_span stream, struct gw_span want)
{
    struct seen seen = {.member = s->member, .valid = true};
    struct sse_reader *reader = sse_reader_new(0);
    bool ok;

    (void)sse_reader_feed(reader, stream, look, &seen);
    (void)sse_reader_finish(reader, look, &seen);
    sse_reader_free(reader);
    ok = seen.valid && gw_span_eq(gw_buf_span(&seen.text), want) &&
         (s->dialect != API_RESPONSES || gw_span_eq(gw_buf_span(&seen.repeat), want)) &&
         (stream.len == 0 || memmem(stream.ptr, stream.len, key, strlen(key)) == NULL);
    if (!ok)
        fprintf(stderr, "  %s%s\n  want %.*s\n  got  %.*s\n  rep  %.*s\n  of %.*s\n", s->name,
                seen.valid ? "" : " (not valid)", (int)want.len, want.ptr, (int)seen.text.len,
                seen.text.ptr, (int)seen.repeat.len, seen.repeat.ptr, (int)stream.len, stream.ptr);
    gw_buf_fini(&seen.text);
    gw_buf_fini(&seen.repeat);
    return ok;
}

static void make_texts(const struct shape *s, char *text, char *want, size_t size)
{
    if (s->nested) {
        (void)snprintf(text, size, "{\"to\":\"%s\",\"note\":\"a\\n%s\\n%s\",\"n\":1}", placeholder,
                       key, placeholder);
        (void)snprintf(want, size,
                       "{\"to\":\"%s\",\"note\":\"a\\nDLP_AWS_ACCESS_KEY_REDACTED\\n%s\",\"n\":1}",
                       mail, mail);
    } else {
        (void)snprintf(text, size, "Use %s, \"%s\"\n then %s. End", key, placeholder, placeholder);
        (void)snprintf(want, size, "Use DLP_AWS_ACCESS_KEY_REDACTED, \"%s\"\n then %s. End", mail,
                       mail);
    }
}

/* Every cut in two, and one byte an event. */
static void test_cuts(const struct shape *s)
{
    char text[512], want[512];
    size_t all[512], n;
    bool ok = true;

    action = GW_ACTION_REDACT;
    make_texts(s, text, want, sizeof(text));
    n = strlen(text);
    for (size_t i = 0; i < n; i++)
        all[i] = i;
    for (size_t cut = 0; cut <= n + 1; cut++) {
        struct gw_buf in = {0};
        struct run run = {0};

        if (cut <= n)
            make_stream(s, (struct gw_span){text, n}, &cut, 1, &in);
        else
            make_stream(s, (struct gw_span){text, n}, all, (unsigned)n, &in);
        n_decided = 0;
        ok &= pass(gw_buf_span(&in), s->dialect, true, &run) == GW_OK &&
              reads_as(s, gw_buf_span(&run.out), gw_span_str(want));
        ok &= n_decided == 1; /* texts that come again are not counted again */
        if (cut % 16 == 0) {  /* the stream's bytes in any pieces */
            struct run other = {.step = 1 + cut / 16};

            ok &= pass(gw_buf_span(&in), s->dialect, true, &other) == GW_OK &&
                  gw_span_eq(gw_buf_span(&other.out), gw_buf_span(&run.out));
            gw_buf_fini(&other.out);
        }
        gw_buf_fini(&in);
        gw_buf_fini(&run.out);
    }
    if (!CHECK(ok))
        fprintf(stderr, "  shape %s, decided %u\n", s->name, n_decided);
}

/* Without findings and placeholders every stream comes out as it went in. */
static void test_untouched(const struct shape *s)
{
    static const char text[] = "Just words.\nA few \"quoted\" ones, caf\xC3\xA9; 12 of 15.\n";
    const size_t n = sizeof(text) - 1;
    struct gw_buf in = {0};
    struct run run = {0};

    make_stream(s, (struct gw_span){text, n}, NULL, 0, &in);
    CHECK(pass(gw_buf_span(&in), s->dialect, false, &run) == GW_OK);
    CHECK(gw_span_eq(gw_buf_span(&in), gw_buf_span(&run.out)));
    gw_buf_clear(&run.out);
    CHECK(pass(gw_buf_span(&in), s->dialect, true, &run) == GW_OK);
    CHECK(reads_as(s, gw_buf_span(&run.out), (struct gw_span){text, n}));
    gw_buf_fini(&in);
    gw_buf_fini(&run.out);
}

/* A block ends it, and nothing of the value has gone out. */
static void test_block(const struct shape *s)
{
    char text[512], want[512];
    bool ok = true;

    action = GW_ACTION_BLOCK;
    make_texts(s, text, want, sizeof(text));
    for (size_t cut = 0; cut <= strlen(text); cut++) {
        struct gw_buf in = {0};
        struct run run = {0};

        make_stream(s, gw_span_str(text), &cut, 1, &in);
        ok &= pass(gw_buf_span(&in), s->dialect, true, &run) == GW_EDENIED &&
              (run.out.len == 0 || memmem(run.out.ptr, run.out.len, key, 4) == NULL);
        gw_buf_fini(&in);
        gw_buf_fini(&run.out);
    }
    CHECK(ok);
}

/* Let go after each event, everything still comes once; what was out before it was known is out. */
static void test_release(const struct shape *s)
{
    static const char text[] = "Some words that follow each other, and no more than that.";
    size_t all[sizeof(text)];
    struct gw_buf in = {0};
    struct run run = {.release = true};

    for (size_t i = 0; i < sizeof(text) - 1; i++)
        all[i] = i;
    make_stream(s, gw_span_str(text), all, sizeof(text) - 1, &in);
    CHECK(pass(gw_buf_span(&in), s->dialect, true, &run) == GW_OK);
    CHECK(reads_as(s, gw_buf_span(&run.out), gw_span_str(text)));
    gw_buf_fini(&in);
    gw_buf_fini(&run.out);
}

/* Anthropic's thinking is signed: nothing in it changes, and what would have to ends the stream. */
static void test_signed(void)
{
    static const struct shape s = {
        "thinking",
        API_ANTHROPIC,
        false,
        "",
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
        "\"thinking_delta\",\"thinking\":\"%s\"}}\n\n",
        "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
        "\"signature_delta\",\"signature\":\"c2ln\"}}\n\n"
        "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        "thinking"};
    char text[256];
    size_t all[256];
    struct gw_buf in = {0};
    struct run run = {0};

    (void)snprintf(text, sizeof(text), "They want %s, I think", placeholder);
    for (size_t i = 0; i < sizeof(text); i++)
        all[i] = i;
    make_stream(&s, gw_span_str(text), all, (unsigned)strlen(text), &in);
    action = GW_ACTION_MASK;
    CHECK(pass(gw_buf_span(&in), API_ANTHROPIC, true, &run) == GW_OK);
    CHECK(reads_as(&s, gw_buf_span(&run.out), gw_span_str(text)));
    gw_buf_clear(&in);
    gw_buf_clear(&run.out);
    (void)snprintf(text, sizeof(text), "They gave %s, I think", key);
    make_stream(&s, gw_span_str(text), all, (unsigned)strlen(text), &in);
    CHECK(pass(gw_buf_span(&in), API_ANTHROPIC, true, &run) == GW_EDENIED);
    CHECK(memmem(run.out.ptr, run.out.len, "\"A\"", 3) == NULL);
    gw_buf_fini(&in);
    gw_buf_fini(&run.out);
}

/* One event, in and out. */
static void check_event(enum api_dialect d, const char *in, const char *want)
{
    struct run run = {0};
    struct gw_buf out = {0};

    action = GW_ACTION_MASK;
    CHECK(pass(gw_span_str(in), d, true, &run) == GW_OK);
    gw_buf_add(&out, gw_buf_span(&run.out));
    if (!CHECK(gw_span_is(gw_buf_span(&out), want)))
        fprintf(stderr, "  got  %.*s\n  want %s\n", (int)out.len, out.ptr, want);
    gw_buf_fini(&out);
    gw_buf_fini(&run.out);
}

/* Texts that come whole, names and opaque bytes. */
static void test_whole(void)
{
    char in[1024], want[1024];

    (void)snprintf(in, sizeof(in),
                   "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":"
                   "\"f\",\"args\":{\"id\":\"%s\",\"type\":[\"%s\"]}},\"thoughtSignature\":\"%s\"}"
                   "]}}]}\n\n",
                   key, placeholder, key);
    (void)snprintf(want, sizeof(want),
                   "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":"
                   "\"f\",\"args\":{\"id\":\"********************\",\"type\":[\"%s\"]}},"
                   "\"thoughtSignature\":\"%s\"}]}}]}\n\n",
                   mail, key);
    check_event(API_GEMINI, in, want);
    /* Names and numbers are judged, too. */
    (void)snprintf(in, sizeof(in),
                   "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"args\":{"
                   "\"%s\":{\"args\":[1.50,{}]},\"to\":\"a\\n%s\"}}}]}}]}\n\n",
                   key, placeholder);
    (void)snprintf(want, sizeof(want),
                   "data: {\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"args\":{"
                   "\"********************\":{\"args\":[1.50,{}]},\"to\":\"a\\n%s\"}}}]}}]}\n\n",
                   mail);
    check_event(API_GEMINI, in, want);
    (void)snprintf(
        in, sizeof(in),
        "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"
        "\"tool_use\",\"input\":{\"id\":\"%s\"}}}\n\n",
        placeholder);
    (void)snprintf(
        want, sizeof(want),
        "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"
        "\"tool_use\",\"input\":{\"id\":\"%s\"}}}\n\n",
        mail);
    check_event(API_ANTHROPIC, in, want);
    /* What repeats the request is restored and not judged. */
    (void)snprintf(in, sizeof(in),
                   "data: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{"
                   "\"instructions\":\"%s %s\",\"output\":[]}}\n\n",
                   key, placeholder);
    (void)snprintf(want, sizeof(want),
                   "data: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{"
                   "\"instructions\":\"%s %s\",\"output\":[]}}\n\n",
                   key, mail);
    check_event(API_RESPONSES, in, want);
    /* Token by token it would be there once more. */
    (void)snprintf(in, sizeof(in),
                   "data: {\"choices\":[{\"index\":0,\"logprobs\":{\"content\":[{\"token\":\"%s\","
                   "\"bytes\":[65]}]},\"delta\":{\"content\":\"%s\"},\"finish_reason\":\"stop\"}]}"
                   "\n\n",
                   key, key);
    check_event(API_CHAT, in,
                "data: {\"choices\":[{\"index\":0,\"logprobs\":null,\"delta\":{\"content\":"
                "\"********************\"},\"finish_reason\":\"stop\"}]}\n\n");
}

/* The pieces of a caller that does the framing. */
static enum gw_status on_piece(void *ctx, const struct restream_piece *p)
{
    struct gw_buf *out = ctx;

    gw_buf_printf(out, "%s%s", p->own ? "+" : "", p->same ? "=" : "");
    gw_buf_add(out, p->data);
    gw_buf_addc(out, '\n');
    return GW_OK;
}

static void test_frames(void)
{
    const struct filter_config cfg = {.vault = vault};
    struct restream *r = restream_new(&cfg, API_GEMINI, json);
    struct gw_buf in = {0}, out = {0}, want = {0};

    gw_buf_printf(&in,
                  "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a %.6s\"}]},\"index\":2}],"
                  "\"modelVersion\":\"g\"}",
                  placeholder);
    CHECK(restream_data(r, GW_SPAN(""), GW_SPAN("{\"a\":1}"), on_piece, &out) == GW_OK);
    CHECK(restream_data(r, GW_SPAN(""), gw_buf_span(&in), on_piece, &out) == GW_OK);
    CHECK(restream_held(r) == 0); /* what may begin a placeholder is not let go */
    CHECK(restream_let_go(r, on_piece, &out) == GW_OK);
    CHECK(restream_end(r, on_piece, &out) == GW_OK);
    gw_buf_printf(
        &want,
        "={\"a\":1}\n{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a \"}]},"
        "\"index\":2}],\"modelVersion\":\"g\"}\n+{\"candidates\":[{\"content\":{\"parts\":"
        "[{\"text\":\"%.6s\"}],\"role\":\"model\"},\"index\":2}],\"modelVersion\":\"g\"}\n",
        placeholder);
    CHECK(gw_span_eq(gw_buf_span(&out), gw_buf_span(&want)));
    gw_buf_fini(&in);
    gw_buf_fini(&out);
    gw_buf_fini(&want);
    restream_free(r);
}

/* An event that is no JSON cannot be changed: it goes as it is, or ends the stream. */
static void test_odd(void)
{
    struct run run = {0};
    char in[256];

    action = GW_ACTION_MASK;
    check_event(API_CHAT, "data: {\"broken\":\n\n: ping\n\n", "data: {\"broken\":\n\n: ping\n\n");
    (void)snprintf(in, sizeof(in), "data: {\"broken\": \"\\n%s\n\n", key);
    CHECK(pass(gw_span_str(in), API_CHAT, true, &run) == GW_EDENIED && run.out.len == 0);
    CHECK(pass(gw_span_str(in), API_CHAT, false, &run) == GW_OK);
    CHECK(gw_span_is(gw_buf_span(&run.out), in));
    gw_buf_fini(&run.out);
}

/* The last word before a tool call is not kept until the end; a value over the call is still known. */
static void test_switch(void)
{
    static const char *const events[] = {
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"So: walk\"}}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
        "\"name\":\"f\",\"arguments\":\"{\"}}]}}]}",
    };
    const struct filter_config cfg = {.scanner = scanner, .rules = rules, .decide = decide};
    struct restream *r = restream_new(&cfg, API_CHAT, json);
    struct gw_buf out = {0};

    CHECK(restream_data(r, GW_SPAN(""), gw_span_str(events[0]), on_piece, &out) == GW_OK);
    CHECK(memmem(out.ptr, out.len, "walk", 4) == NULL);
    CHECK(restream_data(r, GW_SPAN(""), gw_span_str(events[1]), on_piece, &out) == GW_OK);
    gw_buf_adds(&out, ""); /* ends in NUL */
    if (!CHECK(strstr(out.ptr, "+{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"walk\"}}]}") !=
               NULL))
        fprintf(stderr, "  got %s\n", out.ptr);
    gw_buf_fini(&out);
    restream_free(r);
}

int main(void)
{
    json = gw_json_new();
    scanner = dlp_scanner_new();
    rules = dlp_rules_builtin();
    if (!CHECK(make_vault()))
        return test_done();
    for (unsigned i = 0; i < N_SHAPES; i++) {
        test_cuts(&shapes[i]);
        test_untouched(&shapes[i]);
        test_block(&shapes[i]);
        test_release(&shapes[i]);
    }
    test_signed();
    test_whole();
    test_frames();
    test_odd();
    test_switch();
    dlp_vault_free(vault);
    dlp_scanner_free(scanner);
    gw_json_free(json);
    return test_done();
}
