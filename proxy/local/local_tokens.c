/* proxy/local/local_tokens.c - see local_tokens.h. */
#include "proxy/local/local_tokens.h"

void local_tokens_add(struct local_tokens *t, struct gw_span records)
{
    if (t->engine != NULL)
        gw_buf_add(&t->raw, records);
}

static struct api_chance chance_of(const struct local_tokens *t, const struct engine_prob *p)
{
    return (struct api_chance){
        .bytes = engine_token_bytes(t->engine, p->id), .id = p->id, .logprob = p->logprob};
}

static bool tell(struct local_tokens *t, const struct engine_token *token,
                 const struct engine_prob *top)
{
    struct api_chance chances[ENGINE_MAX_TOP_LOGPROBS];
    struct api_token out = {.drawn = chance_of(t, &token->drawn),
                            .top = chances,
                            .n_top = token->n_top,
                            .text_bytes = token->text_bytes};

    out.drawn.bytes = gw_span_from(out.drawn.bytes, token->skip);
    for (unsigned i = 0; i < token->n_top; i++)
        chances[i] = chance_of(t, &top[i]);
    return api_tokens_add(&t->told, &out);
}

bool local_tokens_tell(struct local_tokens *t, size_t at, struct api_event *ev)
{
    struct engine_prob top[ENGINE_MAX_TOP_LOGPROBS];
    struct gw_span records = gw_buf_span(&t->raw), rest = records;
    struct engine_token token;
    bool ok = gw_buf_ok(&t->raw);

    if (at != t->until)
        t->from = at;
    t->until = at + ev->text.len;
    api_tokens_fini(&t->told);
    while (ok && engine_token_next(&rest, &token, top) && t->said + token.text_bytes <= t->until) {
        if (t->said >= t->from)
            ok = tell(t, &token, top);
        t->said += token.text_bytes;
        records = rest;
    }
    gw_buf_drop(&t->raw, t->raw.len - records.len);
    ev->tokens = api_tokens_all(&t->told, &ev->n_tokens);
    return ok;
}

void local_tokens_fini(struct local_tokens *t)
{
    gw_buf_fini(&t->raw);
    api_tokens_fini(&t->told);
}
