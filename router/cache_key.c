/* router/cache_key.c - the name of an answer in the exact cache: SHA-256 over everything that it depends on. Pure. */
#include "router/router.h"

/* Length first, so that no two lists of parts make the same bytes. */
static void add_part(struct gw_hash *h, struct gw_span part)
{
    uint64_t n = part.len;

    gw_hash_add(h, (struct gw_span){(const char *)&n, sizeof(n)});
    gw_hash_add(h, part);
}

/* The tokens as they are written: white space between them is the only thing that does not count. */
static enum gw_status add_json(struct gw_hash *h, struct gw_json *json, struct gw_span body)
{
    struct gw_json_tok tok;

    gw_json_start(json, body, NULL);
    while (gw_json_next(json, &tok) != GW_JSON_END) {
        const char type = (char)tok.type;

        if (tok.type == GW_JSON_ERROR)
            return gw_json_error(json, NULL);
        gw_hash_add(h, (struct gw_span){&type, 1});
        if (tok.type == GW_JSON_KEY || tok.type == GW_JSON_STRING || tok.type == GW_JSON_NUMBER)
            add_part(h, tok.raw);
    }
    return GW_OK;
}

enum gw_status router_cache_key(const struct gw_span *parts, unsigned n, struct gw_json *json,
                                struct gw_span body, unsigned char out[GW_SHA256_BYTES])
{
    struct gw_hash *h = gw_hash_new();
    enum gw_status st;

    if (h == NULL)
        return GW_ENOMEM;
    for (unsigned i = 0; i < n; i++)
        add_part(h, parts[i]);
    st = add_json(h, json, body);
    if (st == GW_OK)
        gw_hash_final(h, out);
    else
        gw_hash_free(h);
    return st;
}
