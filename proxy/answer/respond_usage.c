/* proxy/answer/respond_usage.c - what an answer used: as its target counts it, else as an estimate; and what of a stream came
 * only because we asked for its usage. Worker's thread. */
#include <string.h>

#include "base/find.h"
#include "proxy/answer/respond_private.h"
#include "proxy/net/conn.h"
#include "proxy/net/setup.h"
#include "proxy/net/worker.h"

/* A token of English text is about that long; other languages and code come out too low or too high. */
enum { BYTES_PER_TOKEN = 4, TOKENS_PER_MESSAGE = 4 };

/* ---- text that has passed ------------------------------------------------------------------ */

/* Bytes of the string that begins in s, escapes counted as they stand; the closing quote may be missing. */
static size_t string_length(struct gw_span s)
{
    size_t n = 0;

    while (n < s.len && s.ptr[n] != '"')
        n += s.ptr[n] == '\\' ? 2 : 1;
    return n < s.len ? n : s.len;
}

/* Bytes of all strings that are the value of that member, wherever it stands. name: with its quotes and colon. */
static size_t texts_of(struct gw_span data, const char *name)
{
    size_t sum = 0;

    for (;;) {
        const char *at = gw_find(data, gw_span_str(name));

        if (at == NULL)
            return sum;
        data = gw_span_from(data, (size_t)(at - data.ptr) + strlen(name));
        while (data.len != 0 && data.ptr[0] == ' ')
            data = gw_span_from(data, 1);
        if (data.len != 0 && data.ptr[0] == '"')
            sum += string_length(gw_span_from(data, 1));
        if (data.len == 0)
            return sum;
    }
}

void respond_count_text(struct respond *r, struct gw_span data)
{
    static const char *const names[API_DIALECT_COUNT][4] = {
        [API_CHAT] = {"\"content\":", "\"arguments\":", "\"reasoning_content\":", "\"reasoning\":"},
        [API_COMPLETIONS] = {"\"text\":"},
        [API_RESPONSES] = {"\"delta\":"},
        [API_ANTHROPIC] = {"\"text\":", "\"partial_json\":", "\"thinking\":"},
        [API_GEMINI] = {"\"text\":"},
    };

    for (unsigned i = 0; i < 4 && names[r->dialect][i] != NULL; i++) {
        size_t n = texts_of(data, names[r->dialect][i]);

        r->text_bytes += n;
        if (n != 0 && r->reader != NULL) /* an event of a stream is about one of them */
            return;
    }
}

/* ---- estimates ------------------------------------------------------------------------------ */

static uint64_t tokens_in(uint64_t bytes)
{
    return (bytes + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN;
}

uint64_t respond_prompt_tokens(const struct req *req)
{
    const struct api_request *a = &req->asked;
    uint64_t bytes = 0;

    if (req->ep.kind != ENDPOINT_CHAT)
        return 0;
    for (unsigned i = 0; i < a->n_messages; i++)
        bytes += api_message_text(&a->messages[i], req->arena).len;
    for (unsigned i = 0; i < a->n_tools; i++)
        bytes += a->tools[i].name.len + a->tools[i].description.len + a->tools[i].schema.len;
    return tokens_in(bytes) + (uint64_t)a->n_messages * TOKENS_PER_MESSAGE;
}

/* Has the target said its last word on usage? Anthropic's and Gemini's streams count on from event to event, up to the
 * one with the reason that ends them, and the engine counts the input first; the others say all at once. */
static bool is_final(const struct respond *r, const struct api_usage *u)
{
    if (!u->known)
        return false;
    if (r->translate != NULL)
        return translate_seen(r->translate)->finish != API_FINISH_NONE;
    return (r->dialect != API_ANTHROPIC && r->dialect != API_GEMINI) ||
           r->seen.finish_reason[0] != '\0';
}

static void estimate(struct req *req, struct api_usage *u)
{
    struct respond *r = req->respond;
    uint64_t output;

    if (r->json && r->translate == NULL && r->text_bytes == 0)
        respond_count_text(r, gw_buf_span(&r->body));
    output =
        tokens_in(r->translate == NULL ? r->text_bytes : translate_seen(r->translate)->text_bytes);
    if (!u->known) {
        u->input = respond_prompt_tokens(req);
        req->usage_estimated = true;
    }
    if (output > u->output) {
        u->output = output;
        req->usage_estimated = true;
    }
}

void respond_note_usage(struct req *req)
{
    const struct respond *r = req->respond;
    struct api_usage usage =
        r->translate == NULL ? r->seen.usage : translate_seen(r->translate)->usage;

    req->usage_estimated = false;
    if (req->cache == REQ_CACHE_HIT) { /* what the answer says was used when it was made */
        req->has_usage = true;
        return;
    }
    if (!is_final(r, &usage) && req->ep.kind == ENDPOINT_CHAT && req->status < 300)
        estimate(req, &usage);
    req->has_usage = usage.known || req->usage_estimated;
    req->usage = req_usage_of(&usage);
}

/* ---- the cost in the head of a whole answer --------------------------------------------------- */

void respond_add_cost(struct req *req)
{
    struct gw_buf *fields = &req->respond->fields;
    char money[ROUTER_MONEY_BYTES];

    if (req->setup->cfg->prices.n_lines == 0 || req->cache == REQ_CACHE_HIT)
        return;
    respond_note_usage(req);
    req_price(req);
    if (!req->has_cost || req->usage_estimated)
        return;
    router_money_print(req->cost_nano, money);
    gw_buf_adds(fields, "x-sluice-cost: ");
    gw_buf_adds(fields, money);
    gw_buf_addc(fields, ' ');
    gw_buf_adds(fields, req->setup->cfg->prices.currency);
    gw_buf_adds(fields, "\r\n");
}

bool respond_may_hold(const struct req *req, int64_t length)
{
    const struct respond *r = req->respond;

    return r->mode == MODE_PASS && r->json && !r->packed && req->status == 200 &&
           length <= MAX_COPY_BYTES && req->setup->cfg->prices.n_lines != 0 &&
           (req->ep.kind == ENDPOINT_CHAT || req->ep.kind == ENDPOINT_EMBEDDINGS ||
            req->ep.kind == ENDPOINT_RERANK) &&
           !req->ep.json_array && req->cache != REQ_CACHE_HIT;
}

/* A server that keeps its client waiting with blanks wants them to arrive. */
static bool is_blank(struct gw_span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] != ' ' && s.ptr[i] != '\n' && s.ptr[i] != '\r' && s.ptr[i] != '\t')
            return false;
    return true;
}

bool respond_held(struct req *req, struct gw_span bytes)
{
    struct respond *r = req->respond;

    if (!r->holding)
        return false;
    if (bytes.len <= MAX_COPY_BYTES - r->body.len && !is_blank(bytes)) {
        gw_buf_add(&r->body, bytes);
        return true;
    }
    r->holding = false;
    respond_send_head(req, r->length);
    respond_give(req, gw_buf_span(&r->body));
    return false;
}

void respond_send_held(struct req *req)
{
    struct respond *r = req->respond;

    r->holding = false;
    respond_add_cost(req);
    respond_send_head(req, (int64_t)r->body.len);
    respond_give(req, gw_buf_span(&r->body));
}

/* ---- streams that were asked for their usage ---------------------------------------------------- */

bool respond_unask(struct req *req, const struct sse_event *ev, struct sse_event *left)
{
    struct respond *r = req->respond;

    *left = *ev;
    if (!r->unask || !ev->has_data)
        return true;
    gw_buf_clear(&r->rest);
    switch (provider_take_unasked(req->w->json, ev->data, &r->rest)) {
    case PROVIDER_UNASKED_ALL:
        return false;
    case PROVIDER_UNASKED_PART:
        gw_buf_clear(&r->rewritten);
        sse_rewrite(&r->rewritten, ev, gw_buf_span(&r->rest));
        left->raw = gw_buf_span(&r->rewritten);
        left->data = gw_buf_span(&r->rest);
        return true;
    case PROVIDER_UNASKED_NONE:
    default:
        return true;
    }
}
