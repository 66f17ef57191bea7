/* proxy/answer/restream_own.c - events of our own, which carry what was held back of a text when it ends or is let go.
 *
 * OpenAI's dialects get a copy of the text's last event with everything else emptied, so that members we know nothing of
 * are there, too; Anthropic's and Gemini's events are short and written anew. Worker's thread. */
#include "proxy/answer/restream_private.h"

static size_t offset_of(const struct restream *r, struct gw_span part)
{
    return (size_t)(part.ptr - r->ev.data.ptr);
}

/* Names and ids beside a text: clients that add up the deltas would add them twice. */
static bool is_said_once(const struct restream *r, int node)
{
    return rs_key_is(&r->ev, node, "role") || rs_key_is(&r->ev, node, "name") ||
           rs_key_is(&r->ev, node, "id");
}

/* Appends the event's bytes [from, to), but for its number. */
static void copy_part(const struct restream *r, struct text *t, size_t from, size_t to)
{
    size_t number = r->ev.sequence.len == 0 ? SIZE_MAX : offset_of(r, r->ev.sequence);

    if (number >= from && number < to) {
        gw_buf_add(&t->template_, (struct gw_span){r->ev.data.ptr + from, number - from});
        t->number_at = t->template_.len;
        from = number + r->ev.sequence.len;
    }
    gw_buf_add(&t->template_, (struct gw_span){r->ev.data.ptr + from, to - from});
}

/* Copies the event: every growing text is emptied, and what is said once left out. */
static void copy_emptied(const struct restream *r, struct text *t, const struct rs_leaf *leaf)
{
    size_t from = 0;

    for (unsigned i = 0; i < r->ev.n_leaves; i++) {
        const struct rs_leaf *l = &r->ev.leaves[i];
        const struct rs_text *what = &r->what[i];
        size_t start = offset_of(r, l->raw);
        bool once =
            r->dialect != API_RESPONSES && what->choice != RS_NO_INDEX && is_said_once(r, l->node);

        if (what->kind != RS_GROW && !once)
            continue;
        /* With its quotes: "name":null adds nothing. */
        copy_part(r, t, from, start - once);
        if (once)
            gw_buf_adds(&t->template_, "null");
        if (l == leaf)
            t->at = t->template_.len;
        from = start + l->raw.len + once;
    }
    copy_part(r, t, from, r->ev.data.len);
}

enum gw_status restream_own_keep(struct restream *r, struct text *t, const struct rs_leaf *leaf,
                                 struct gw_span name)
{
    gw_buf_clear(&t->name);
    gw_buf_add(&t->name, name);
    gw_buf_clear(&t->template_);
    t->number_at = SIZE_MAX;
    if (r->dialect != API_ANTHROPIC && r->dialect != API_GEMINI)
        copy_emptied(r, t, leaf);
    return gw_buf_ok(&t->template_) && gw_buf_ok(&t->name) ? GW_OK : GW_ENOMEM;
}

static void write_anthropic(const struct text *t, struct gw_span held, struct gw_buf *data)
{
    const char *kind = t->is_signed ? "thinking" : t->nesting != 0 ? "input_json" : "text";
    const char *member = t->is_signed ? "thinking" : t->nesting != 0 ? "partial_json" : "text";

    gw_buf_printf(
        data,
        "{\"type\":\"content_block_delta\",\"index\":%lld,\"delta\":{\"type\":\"%s_delta\",\"%s\":",
        (long long)(t->choice < 0 ? 0 : t->choice), kind, member);
    gw_buf_add_json_str(data, held);
    gw_buf_adds(data, "}}");
}

static void write_gemini(const struct restream *r, const struct text *t, struct gw_span held,
                         struct gw_buf *data)
{
    gw_buf_adds(data, "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":");
    gw_buf_add_json_str(data, held);
    gw_buf_printf(data, "%s}],\"role\":\"model\"},\"index\":%lld}]",
                  t->thought ? ",\"thought\":true" : "",
                  (long long)(t->choice < 0 ? 0 : t->choice));
    gw_buf_add(data, gw_buf_span(&r->about));
    gw_buf_addc(data, '}');
}

static void write_template(const struct restream *r, const struct text *t, struct gw_span held,
                           struct gw_buf *data)
{
    struct gw_span template_ = gw_buf_span(&t->template_);
    size_t from = 0;

    if (t->number_at <= t->at) {
        gw_buf_add(data, (struct gw_span){template_.ptr, t->number_at});
        gw_buf_addu(data, r->next_number);
        from = t->number_at;
    }
    gw_buf_add(data, (struct gw_span){template_.ptr + from, t->at - from});
    gw_buf_add_json(data, held);
    from = t->at;
    if (t->number_at > t->at && t->number_at != SIZE_MAX) {
        gw_buf_add(data, (struct gw_span){template_.ptr + from, t->number_at - from});
        gw_buf_addu(data, r->next_number);
        from = t->number_at;
    }
    gw_buf_add(data, gw_span_from(template_, from));
}

enum gw_status restream_own_emit(struct restream *r, const struct text *t, struct gw_span held,
                                 const struct sink *to)
{
    struct gw_buf data = {0};
    struct restream_piece p = {.name = gw_buf_span(&t->name), .own = true};
    enum gw_status st = GW_OK;

    if (held.len == 0)
        return GW_OK;
    if (r->dialect == API_ANTHROPIC) {
        p.name = GW_SPAN("content_block_delta");
        write_anthropic(t, held, &data);
    } else if (r->dialect == API_GEMINI) {
        write_gemini(r, t, held, &data);
    } else if (t->template_.len != 0) {
        write_template(r, t, held, &data);
    }
    p.data = gw_buf_span(&data);
    st = gw_buf_ok(&data) ? to->fn(to->ctx, &p) : GW_ENOMEM;
    r->n_own++;
    r->next_number++;
    gw_buf_fini(&data);
    return st;
}
