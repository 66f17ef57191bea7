/* proxy/provider/provider_body.c - changes of a body's top-level members, by copying the bytes that stay. Pure. */
#include "proxy/provider/provider_private.h"

static enum gw_status no_object(struct gw_err *err)
{
    return gw_fail(err, GW_EPARSE, "The body is not a JSON object.");
}

bool provider_key_is(const struct gw_json_tok *key, const char *name)
{
    char text[64];
    size_t n;

    if (!key->escaped)
        return gw_span_is(key->raw, name);
    if (key->raw.len > 6 * strlen(name) || key->raw.len > sizeof(text)) /* \u0061 is the longest */
        return false;
    n = gw_json_decode(key->raw, text);
    return gw_span_is((struct gw_span){text, n}, name);
}

static bool is_removed(const struct provider_splice *s, const struct gw_json_tok *key)
{
    for (unsigned i = 0; s->remove[i] != NULL; i++)
        if (provider_key_is(key, s->remove[i]))
            return true;
    return false;
}

/* Takes the value of the member whose name was just taken; false when it is broken. */
static bool take_value(struct gw_json *json, struct gw_span body, struct gw_span *value)
{
    struct gw_json_tok first, last;

    if (gw_json_next(json, &first) == GW_JSON_ERROR)
        return false;
    last = first;
    while ((first.type == GW_JSON_OBJECT_BEGIN || first.type == GW_JSON_ARRAY_BEGIN) &&
           (last.depth != first.depth ||
            (last.type != GW_JSON_OBJECT_END && last.type != GW_JSON_ARRAY_END)))
        if (gw_json_next(json, &last) == GW_JSON_ERROR)
            return false;
    *value = (struct gw_span){body.ptr + first.start, last.end - first.start};
    return true;
}

struct gw_span provider_member(struct gw_json *json, struct gw_span body, const char *name)
{
    struct gw_span value;
    struct gw_json_tok tok;

    gw_json_start(json, body, NULL);
    if (gw_json_next(json, &tok) != GW_JSON_OBJECT_BEGIN)
        return (struct gw_span){NULL, 0};
    while (gw_json_next(json, &tok) == GW_JSON_KEY && take_value(json, body, &value))
        if (provider_key_is(&tok, name))
            return value;
    return (struct gw_span){NULL, 0};
}

/* Where the member before the name at `key` ends: at the comma between them. The text was checked up to the name. */
static size_t comma_before(struct gw_span body, size_t key)
{
    while (body.ptr[key - 1] != ',')
        key--;
    return key - 1;
}

static void keep(struct gw_buf *kept, struct gw_span member)
{
    gw_buf_adds(kept, kept->len == 0 ? "" : ",");
    gw_buf_add(kept, member);
}

/* The members of the object: the bytes of those that stay, and which of add are among them. */
static enum gw_status copy_members(const struct provider_splice *s, struct gw_json *json,
                                   struct gw_span body, struct gw_buf *kept, unsigned *has,
                                   struct gw_err *err)
{
    bool stays = false; /* the member that begins at `from` */
    struct gw_json_tok tok;
    struct gw_span value;
    size_t from;

    if (gw_json_next(json, &tok) != GW_JSON_OBJECT_BEGIN)
        return tok.type == GW_JSON_ERROR ? gw_json_error(json, err) : no_object(err);
    from = tok.end;
    for (bool first = true; gw_json_next(json, &tok) == GW_JSON_KEY; first = false) {
        if (!first) {
            size_t comma = comma_before(body, tok.start);

            if (stays)
                keep(kept, (struct gw_span){body.ptr + from, comma - from});
            from = comma + 1;
        }
        stays = !is_removed(s, &tok);
        for (unsigned i = 0; i < s->n_add && stays; i++)
            if (provider_key_is(&tok, s->add[i].name))
                *has |= 1u << i;
        if (!take_value(json, body, &value))
            return gw_json_error(json, err);
    }
    if (tok.type == GW_JSON_OBJECT_END && stays)
        keep(kept, (struct gw_span){body.ptr + from, tok.start - from});
    while (tok.type != GW_JSON_END && tok.type != GW_JSON_ERROR)
        (void)gw_json_next(json, &tok);
    return tok.type == GW_JSON_END ? GW_OK : gw_json_error(json, err);
}

enum gw_status provider_splice_body(const struct provider_splice *s, struct gw_json *json,
                                    struct gw_span body, struct gw_buf *out, struct gw_err *err)
{
    struct gw_buf kept = {0};
    unsigned has = 0;
    const char *between = "";
    enum gw_status st;

    gw_json_start(json, body, NULL);
    st = copy_members(s, json, body, &kept, &has, err);
    if (st != GW_OK)
        goto out;
    gw_buf_addc(out, '{');
    for (unsigned i = 0; i < s->n_add; i++) {
        if ((has & 1u << i) != 0)
            continue;
        gw_buf_printf(out, "%s\"%s\":", between, s->add[i].name);
        gw_buf_add(out, s->add[i].value);
        between = ",";
    }
    if (kept.len > 0) {
        gw_buf_adds(out, between);
        gw_buf_add(out, gw_buf_span(&kept));
    }
    gw_buf_addc(out, '}');
    if (!gw_buf_ok(&kept) || !gw_buf_ok(out))
        st = gw_fail(err, GW_ENOMEM, "out of memory");
out:
    gw_buf_fini(&kept);
    return st;
}
