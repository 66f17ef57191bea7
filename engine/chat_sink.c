/* engine/chat_sink.c - a prompt that grows, with the border lines between template and user text. */
#include "engine/chat_sink.h"

#include <stdlib.h>

static struct chat_cut *last_cut(struct chat_sink *s, bool user)
{
    if (s->n_cuts > 0 && s->cuts[s->n_cuts - 1].user == user)
        return &s->cuts[s->n_cuts - 1];
    if (s->n_cuts == s->max_cuts) {
        size_t n = s->max_cuts == 0 ? 32 : s->max_cuts * 2;
        struct chat_cut *p = realloc(s->cuts, n * sizeof(*p));

        if (p == NULL)
            return NULL;
        s->cuts = p;
        s->max_cuts = n;
    }
    s->cuts[s->n_cuts].user = user;
    return &s->cuts[s->n_cuts++];
}

void chat_sink_add(struct chat_sink *s, struct gw_span text, bool user)
{
    struct chat_cut *cut;

    if (text.len == 0 || chat_sink_status(s) != GW_OK)
        return;
    if (text.len > CHAT_MAX_PROMPT_BYTES - s->text.len) {
        s->full = true;
        return;
    }
    cut = last_cut(s, user);
    if (cut == NULL) {
        s->failed = true;
        return;
    }
    gw_buf_add(&s->text, text);
    cut->end = s->text.len;
}

enum gw_status chat_sink_status(const struct chat_sink *s)
{
    if (s->failed || !gw_buf_ok(&s->text))
        return GW_ENOMEM;
    return s->full ? GW_ELIMIT : GW_OK;
}

enum gw_status chat_sink_finish(struct chat_sink *s, struct chat_prompt *out)
{
    enum gw_status st = chat_sink_status(s);
    struct tok_part *parts = NULL;
    size_t begin = 0;

    if (st == GW_OK) {
        parts = calloc(s->n_cuts + 1, sizeof(*parts));
        st = parts == NULL ? GW_ENOMEM : GW_OK;
    }
    if (st != GW_OK) {
        chat_sink_fini(s);
        return st;
    }
    for (size_t i = 0; i < s->n_cuts; i++) {
        parts[i].text = (struct gw_span){s->text.ptr + begin, s->cuts[i].end - begin};
        parts[i].special = !s->cuts[i].user;
        begin = s->cuts[i].end;
    }
    *out = (struct chat_prompt){s->text, parts, s->n_cuts};
    s->text = (struct gw_buf){NULL, 0, 0, false};
    chat_sink_fini(s);
    return GW_OK;
}

void chat_sink_fini(struct chat_sink *s)
{
    gw_buf_fini(&s->text);
    free(s->cuts);
    *s = (struct chat_sink){0};
}
