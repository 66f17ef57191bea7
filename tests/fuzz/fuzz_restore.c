/* Fuzz target: the restorer. '@' and '#' in the input stand for placeholders; fed in pieces and at once
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dlp_vault *v;
    struct gw_span p[2];
    struct gw_buf text = {0}, whole = {0}, pieces = {0};

    if (size == 0)
        return 0;
    v = dlp_vault_new(GW_SPAN("key"));
    if (dlp_vault_put(v, "EMAIL", GW_SPAN("b\"\\\n@x.org"), &p[0]) != GW_OK ||
        dlp_vault_put(v, "D", GW_SPAN("DLP_D"), &p[1]) != GW_OK)
        abort();
    for (size_t i = 1; i < size; i++) {
        if (data[i] == '@' || data[i] == '#')
            gw_buf_add(&text, p[data[i] == '#']);
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
