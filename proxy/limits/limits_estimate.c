/* proxy/limits/limits_estimate.c - what a request will need, before anybody has counted. Worker's thread.
 *
 * A prompt is counted by its bytes: no tokenizer in use makes more than one token of a byte, and ordinary text takes three
 * to four. Media has no bytes that mean anything: a picture is taken for what providers ask for a large one. */
#include "base/clock.h"
#include "proxy/limits/limits_private.h"
#include "proxy/net/conn.h"
#include "proxy/net/worker.h"

enum {
    MESSAGE_TOKENS = 8,     /* the template's, around each message */
    MEDIA_TOKENS = 2000,    /* a picture, a page, a few seconds of sound */
    BYTES_A_MEDIA = 200000, /* base64 above this is taken for several */
    MAX_PARTS_DEEP = 4,
};

static uint64_t media(const struct api_part *p)
{
    return MEDIA_TOKENS * (1 + p->data.len / BYTES_A_MEDIA);
}

/* Tool results hold parts, which hold none: the depth is two; what a reader may add stays bounded. */
static void add_part(const struct api_part *p, unsigned depth, uint64_t *bytes, uint64_t *tokens)
{
    if (p->kind == API_PART_IMAGE || p->kind == API_PART_FILE || p->kind == API_PART_AUDIO)
        *tokens += media(p);
    *bytes += p->text.len + p->name.len + p->id.len + p->json.len;
    for (unsigned i = 0; i < p->n_parts && depth < MAX_PARTS_DEEP; i++)
        add_part(&p->parts[i], depth + 1, bytes, tokens);
}

static uint64_t chat_tokens(const struct req *req, unsigned bytes_per_token)
{
    const struct api_request *a = &req->asked;
    uint64_t bytes = a->schema.len, tokens = MESSAGE_TOKENS;

    for (unsigned i = 0; i < a->n_messages; i++) {
        tokens += MESSAGE_TOKENS;
        for (unsigned k = 0; k < a->messages[i].n_parts; k++)
            add_part(&a->messages[i].parts[k], 0, &bytes, &tokens);
    }
    for (unsigned i = 0; i < a->n_tools; i++) {
        tokens += MESSAGE_TOKENS;
        bytes += a->tools[i].name.len + a->tools[i].description.len + a->tools[i].schema.len;
    }
    return tokens + (bytes + bytes_per_token - 1) / bytes_per_token;
}

uint64_t limits_prompt_tokens(const struct req *req)
{
    unsigned per = req->setup->cfg->accounting.bytes_per_token;

    switch (req->ep.kind) {
    case ENDPOINT_CHAT:
        return chat_tokens(req, per);
    case ENDPOINT_EMBEDDINGS:
    case ENDPOINT_RERANK:
        return (req->scanned_bytes + per - 1) / per;
    case ENDPOINT_NONE:
    case ENDPOINT_COUNT_TOKENS: /* costs nothing anywhere */
    case ENDPOINT_MODELS:
    case ENDPOINT_PASS: /* nobody knows; what the answer says is counted */
    default:
        return 0;
    }
}

/* A number as it was written; 0 when it is none. */
static uint64_t number(struct gw_span text)
{
    uint64_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || n > ROUTER_BUDGET_MAX / 10)
            return 0;
        n = n * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    return n;
}

uint64_t limits_answer_tokens(const struct req *req, bool *open_ended)
{
    uint64_t each = number(req->asked.max_tokens), n = number(req->asked.n);

    *open_ended = false;
    if (req->ep.kind != ENDPOINT_CHAT)
        return 0;
    if (each == 0) {
        *open_ended = true;
        each = req->setup->cfg->accounting.answer_tokens;
    }
    if (n == 0)
        n = 1;
    return each > ROUTER_BUDGET_MAX / n ? ROUTER_BUDGET_MAX : each * n;
}

enum gw_status limits_cost(const struct req *req, unsigned target, int64_t now_ms, uint64_t prompt,
                           uint64_t completion, uint64_t *nano)
{
    const struct proxy_config *cfg = req->setup->cfg;
    const struct conn_fixed *fixed = conn_fixed(req->conn);
    const struct router_usage usage = {.prompt = prompt, .completion = completion};
    struct gw_span name = GW_SPAN(""), model = req_model_for(req, target);

    *nano = 0;
    if (fixed != NULL)
        name = gw_span_str(fixed->host);
    else if (target != REQ_NO_TARGET)
        name = gw_span_str(cfg->targets[target].name);
    if (router_prices_cost(cfg->prices.table, name, model, now_ms, &usage, nano))
        return GW_OK;
    *nano = 0;
    if ((prompt == 0 && completion == 0) || cfg->accounting.unknown_price == 1 ||
        (target != REQ_NO_TARGET && cfg->targets[target].zone == GW_ZONE_PROCESS))
        return GW_OK;
    return GW_ENOENT;
}
