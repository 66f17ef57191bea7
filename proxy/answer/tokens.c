/* proxy/answer/tokens.c - see tokens.h. */
#include "proxy/answer/tokens.h"

bool tokens_add(struct tokens *t, const struct api_event *ev)
{
    for (unsigned i = 0; i < ev->n_tokens && !t->lost; i++)
        if (!api_tokens_add(&t->kept, &ev->tokens[i]))
            return false;
    return true;
}

void tokens_lose(struct tokens *t)
{
    t->lost = true;
    t->n_ready = 0;
    api_tokens_fini(&t->kept);
}

void tokens_ready(struct tokens *t, size_t n, struct api_event *ev)
{
    const struct api_token *all;
    unsigned n_all, k = 0;

    t->written += n;
    api_tokens_drop(&t->kept, t->n_ready);
    all = api_tokens_all(&t->kept, &n_all);
    for (; k < n_all && t->said + all[k].text_bytes <= t->written; k++)
        t->said += all[k].text_bytes;
    t->n_ready = k;
    ev->tokens = all;
    ev->n_tokens = k;
}

void tokens_fini(struct tokens *t)
{
    api_tokens_fini(&t->kept);
    *t = (struct tokens){0};
}
