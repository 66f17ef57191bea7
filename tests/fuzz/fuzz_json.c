/* Fuzz target: the JSON tokenizer. The text is read as it is and from the middle of a larger buffer, and
 * strict and lenient reading must agree but for duplicate keys. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct gw_json *j;

/* Checks what each token promises and counts them. Returns the status. */
static enum gw_status read_all(struct gw_span text, bool lenient, size_t *n_tokens)
{
    struct gw_json_limits limits = {.allow_duplicate_keys = lenient};
    struct gw_json_tok t;
    size_t at = 0;
    struct gw_err err;
    char *out = malloc(text.len + 1);

    *n_tokens = 0;
    gw_json_start(j, text, &limits);
    while (gw_json_next(j, &t) != GW_JSON_ERROR && t.type != GW_JSON_END) {
        if (t.start < at || t.end <= t.start || t.end > text.len || t.depth > 64)
            abort();
        at = t.end;
        ++*n_tokens;
        if (t.type != GW_JSON_KEY && t.type != GW_JSON_STRING)
            continue;
        if (text.ptr[t.start] != '"' || text.ptr[t.end - 1] != '"' ||
            t.raw.len != t.end - t.start - 2 ||
            t.escaped != (t.raw.len != 0 && memchr(t.raw.ptr, '\\', t.raw.len) != NULL))
            abort();
        if (gw_json_decode(t.raw, out) > t.raw.len)
            abort();
    }
    free(out);
    return t.type == GW_JSON_END ? GW_OK : gw_json_error(j, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_span text = {(const char *)data, size};
    char *big = malloc(size + 16);
    size_t n, n_lenient, n_inside;
    enum gw_status strict, lenient, inside;

    if (j == NULL)
        j = gw_json_new();
    if (j == NULL || big == NULL)
        abort();
    strict = read_all(text, false, &n);
    lenient = read_all(text, true, &n_lenient);
    if (strict == GW_OK && (lenient != GW_OK || n != n_lenient))
        abort();
    memset(big, '"', size + 16);
    if (size != 0)
        memcpy(big + 8, data, size);
    inside = read_all((struct gw_span){big + 8, size}, false, &n_inside);
    if (inside != strict || n_inside != n)
        abort();
    free(big);
    return 0;
}
