/* Fuzz target: the restorer. '@' and '#' in the input stand for placeholders, '$' and '%' for stand-ins; fed in pieces and at once
 * it must say the same, and a JSON body must stay JSON. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "dlp/vault.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed(const struct dlp_vault *v, struct gw_span text, size_t step, unsigned nesting,
                 struct gw_buf *out)
{
    struct dlp_restorer *r = dlp_restorer_new(v, nesting);

    for (size_t at = 0; at < text.len; at += step) {
        size_t n = text.len - at < step ? text.len - at : step;

        if (dlp_restorer_feed(r, (struct gw_span){text.ptr + at, n}, out) != GW_OK)
            abort();
    }
    if (dlp_restorer_finish(r, out) != GW_OK)
        abort();
    dlp_restorer_free(r);
}

static void check_body(const struct dlp_vault *v, struct gw_span body)
{
    struct gw_buf out = {0}, again = {0};
    unsigned n = 0;

    if (dlp_restore_json(v, body, &out, &n) == GW_OK) {
        if (n == 0 && !gw_span_eq(gw_buf_span(&out), body))
            abort();
        if (dlp_restore_json(v, gw_buf_span(&out), &again, &n) == GW_EPARSE)
            abort();
    }
    gw_buf_fini(&out);
    gw_buf_fini(&again);
}

static struct dlp_vault *fill(struct gw_span p[4])
{
    struct dlp_vault *v = dlp_vault_new(GW_SPAN("key"));
    struct gw_arena *arena = gw_arena_new(1 << 16);
    struct dlp_doc *doc;

    if (dlp_doc_parse_text(arena, GW_SPAN("words"), &doc) != GW_OK ||
        dlp_vault_avoid(v, (const struct dlp_doc *const *)&doc, 1) != GW_OK ||
        dlp_vault_put(v, "EMAIL", GW_SPAN("b\"\\\n@x.org"), &p[0]) != GW_OK ||
        dlp_vault_put(v, "D", GW_SPAN("DLP_D"), &p[1]) != GW_OK ||
        dlp_vault_put_shape(v, "PHONE", GW_SPAN("+1 415 867-2671"), &p[2]) != GW_OK ||
        dlp_vault_put_shape(v, "IP", GW_SPAN("10.1.2.3"), &p[3]) != GW_OK)
        abort();
    gw_arena_free(arena);
    return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char marks[] = "@#$%";
    struct dlp_vault *v;
    struct gw_span p[4];
    struct gw_buf text = {0}, whole = {0}, pieces = {0};

    if (size == 0)
        return 0;
    v = fill(p);
    for (size_t i = 1; i < size; i++) {
        const char *mark = data[i] == 0 ? NULL : strchr(marks, data[i]);

        if (mark != NULL)
            gw_buf_add(&text, p[mark - marks]);
        else
            gw_buf_addc(&text, (char)data[i]);
    }
    feed(v, gw_buf_span(&text), text.len + 1, data[0] & 1, &whole);
    feed(v, gw_buf_span(&text), (size_t)(data[0] >> 1) % 31 + 1, data[0] & 1, &pieces);
    if (!gw_span_eq(gw_buf_span(&whole), gw_buf_span(&pieces)))
        abort();
    check_body(v, gw_buf_span(&text));
    gw_buf_fini(&text);
    gw_buf_fini(&whole);
    gw_buf_fini(&pieces);
    dlp_vault_free(v);
    return 0;
}
