/* tests/unit/proxy/restream_help.h - streams of all dialects, made from one text, and what a client makes of them. */
#ifndef TESTS_UNIT_PROXY_RESTREAM_HELP_H
#define TESTS_UNIT_PROXY_RESTREAM_HELP_H

#include <stdlib.h>
#include <string.h>

#include "proxy/answer/restream.h"
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

static inline bool make_vault(void)
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
    dlp_guard_fn decide; /* NULL: decide() */
    size_t step;         /* bytes at a time; 0: all */
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
    const struct filter_config cfg = {.vault = vault,
                                      .scanner = scan ? scanner : NULL,
                                      .rules = rules,
                                      .decide = run->decide != NULL ? run->decide : decide};
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

static inline void make_texts(const struct shape *s, char *text, char *want, size_t size)
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

#endif
