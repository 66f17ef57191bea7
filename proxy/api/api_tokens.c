/* proxy/api/api_tokens.c - tokens and their probabilities as JSON, for the dialects that tell them. Pure. */
#include <math.h>

#include "base/utf8.h"
#include "proxy/api/api_private.h"

static bool is_whole(struct gw_span bytes)
{
    for (size_t i = 0; i < bytes.len;) {
        uint32_t cp;
        unsigned len = gw_utf8_decode(bytes.ptr + i, bytes.len - i, &cp);

        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

void api_put_token_text(struct gw_buf *out, struct gw_span bytes)
{
    if (is_whole(bytes)) {
        gw_buf_add_json_str(out, bytes);
        return;
    }
    gw_buf_addc(out, '"');
    for (size_t i = 0; i < bytes.len; i++)
        gw_buf_printf(out, "\\\\x%02x", (unsigned char)bytes.ptr[i]);
    gw_buf_addc(out, '"');
}

void api_put_logprob(struct gw_buf *out, float logprob)
{
    if (!(logprob > -9999))
        gw_buf_adds(out, "-9999.0");
    else
        gw_buf_printf(out, "%.9g", logprob < 0 ? (double)logprob : 0.0);
}

static void put_chance(struct gw_buf *out, const struct api_chance *c)
{
    gw_buf_adds(out, "{\"token\":");
    api_put_token_text(out, c->bytes);
    gw_buf_adds(out, ",\"logprob\":");
    api_put_logprob(out, c->logprob);
    gw_buf_adds(out, ",\"bytes\":[");
    for (size_t i = 0; i < c->bytes.len; i++) {
        if (i != 0)
            gw_buf_addc(out, ',');
        gw_buf_addu(out, (unsigned char)c->bytes.ptr[i]);
    }
    gw_buf_addc(out, ']');
}

void api_put_tokens(struct gw_buf *out, const struct api_token *tokens, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i != 0)
            gw_buf_addc(out, ',');
        put_chance(out, &tokens[i].drawn);
        gw_buf_adds(out, ",\"top_logprobs\":[");
        for (unsigned k = 0; k < tokens[i].n_top; k++) {
            if (k != 0)
                gw_buf_addc(out, ',');
            put_chance(out, &tokens[i].top[k]);
            gw_buf_addc(out, '}');
        }
        gw_buf_adds(out, "]}");
    }
}

/* ---- completions ---------------------------------------------------------------------------- */

static void put_top_object(struct gw_buf *out, const struct api_token *t)
{
    bool told = false;

    gw_buf_addc(out, '{');
    for (unsigned k = 0; k < t->n_top; k++) {
        if (k != 0)
            gw_buf_addc(out, ',');
        told = told || t->top[k].id == t->drawn.id;
        api_put_token_text(out, t->top[k].bytes);
        gw_buf_addc(out, ':');
        api_put_logprob(out, t->top[k].logprob);
    }
    if (!told) { /* this API's lists hold the token that was drawn, too */
        if (t->n_top != 0)
            gw_buf_addc(out, ',');
        api_put_token_text(out, t->drawn.bytes);
        gw_buf_addc(out, ':');
        api_put_logprob(out, t->drawn.logprob);
    }
    gw_buf_addc(out, '}');
}

/* Characters that begin in the bytes. */
static size_t count_chars(struct gw_span bytes)
{
    size_t n = 0;

    for (size_t i = 0; i < bytes.len; i++)
        n += ((unsigned char)bytes.ptr[i] & 0xC0) != 0x80;
    return n;
}

void api_completions_put_tokens(struct gw_buf *out, const struct api_token *tokens, size_t n,
                                size_t *n_chars)
{
    const char *between = "";

    gw_buf_adds(out, "{\"tokens\":[");
    for (size_t i = 0; i < n; i++, between = ",") {
        gw_buf_adds(out, between);
        api_put_token_text(out, tokens[i].drawn.bytes);
    }
    gw_buf_adds(out, "],\"token_logprobs\":[");
    between = "";
    for (size_t i = 0; i < n; i++, between = ",") {
        gw_buf_adds(out, between);
        api_put_logprob(out, tokens[i].drawn.logprob);
    }
    gw_buf_adds(out, "],\"top_logprobs\":[");
    between = "";
    for (size_t i = 0; i < n; i++, between = ",") {
        gw_buf_adds(out, between);
        put_top_object(out, &tokens[i]);
    }
    gw_buf_adds(out, "],\"text_offset\":[");
    between = "";
    for (size_t i = 0; i < n; i++, between = ",") {
        gw_buf_adds(out, between);
        gw_buf_addu(out, *n_chars);
        *n_chars += count_chars(tokens[i].drawn.bytes);
    }
    gw_buf_adds(out, "]}");
}

/* ---- Gemini --------------------------------------------------------------------------------- */

static void put_candidate(struct gw_buf *out, const struct api_chance *c)
{
    gw_buf_adds(out, "{\"token\":");
    api_put_token_text(out, c->bytes);
    gw_buf_adds(out, ",\"tokenId\":");
    gw_buf_addu(out, (unsigned)c->id);
    gw_buf_adds(out, ",\"logProbability\":");
    api_put_logprob(out, c->logprob);
    gw_buf_addc(out, '}');
}

void api_gemini_put_tokens(struct gw_buf *out, const struct api_token *tokens, size_t n)
{
    if (n == 0)
        return;
    gw_buf_adds(out, ",\"logprobsResult\":{\"topCandidates\":[");
    for (size_t i = 0; i < n; i++) {
        gw_buf_adds(out, i == 0 ? "{\"candidates\":[" : ",{\"candidates\":[");
        for (unsigned k = 0; k < tokens[i].n_top; k++) {
            if (k != 0)
                gw_buf_addc(out, ',');
            put_candidate(out, &tokens[i].top[k]);
        }
        gw_buf_adds(out, "]}");
    }
    gw_buf_adds(out, "],\"chosenCandidates\":[");
    for (size_t i = 0; i < n; i++) {
        if (i != 0)
            gw_buf_addc(out, ',');
        put_candidate(out, &tokens[i].drawn);
    }
    gw_buf_adds(out, "]}");
}

/* ---- lists ---------------------------------------------------------------------------------- */

bool api_tokens_add(struct api_tokens *l, const struct api_token *t)
{
    gw_buf_add(&l->tokens, (struct gw_span){(const char *)t, sizeof(*t)});
    gw_buf_add(&l->tops, (struct gw_span){(const char *)t->top, t->n_top * sizeof(*t->top)});
    return gw_buf_ok(&l->tokens) && gw_buf_ok(&l->tops);
}

const struct api_token *api_tokens_all(struct api_tokens *l, unsigned *n)
{
    struct api_token *tokens = (struct api_token *)(void *)l->tokens.ptr;
    const struct api_chance *top = (const struct api_chance *)(const void *)l->tops.ptr;

    *n = (unsigned)(l->tokens.len / sizeof(*tokens));
    for (unsigned i = 0; i < *n; i++) {
        tokens[i].top = top;
        top += tokens[i].n_top;
    }
    return tokens;
}

void api_tokens_drop(struct api_tokens *l, unsigned n)
{
    const struct api_token *tokens = (const struct api_token *)(const void *)l->tokens.ptr;
    size_t n_tops = 0;

    for (unsigned i = 0; i < n; i++)
        n_tops += tokens[i].n_top;
    gw_buf_drop(&l->tokens, n * sizeof(*tokens));
    gw_buf_drop(&l->tops, n_tops * sizeof(struct api_chance));
}

void api_tokens_fini(struct api_tokens *l)
{
    gw_buf_fini(&l->tokens);
    gw_buf_fini(&l->tops);
}
