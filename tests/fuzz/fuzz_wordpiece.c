/* tests/fuzz/fuzz_wordpiece.c - a tokenizer.json, a NUL byte, a text: ids in range, room respected to the token.
 * With nothing before the NUL byte a small vocabulary is used, so that texts are fuzzed deeply. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/wordpiece.h"
#include "tests/unit/engine/bert_make.h"
#include "tests/unit/engine/tokenizer_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The text with exactly the room it needs, and with one less. */
static void check_room(const struct wordpiece *wp, struct gw_span text, const int32_t *want,
                       unsigned n)
{
    int32_t *ids = malloc(n * sizeof(*ids));
    unsigned again = 0;

    if (ids == NULL)
        return;
    if (!wordpiece_encode(wp, text, ids, n, &again) || again != n ||
        memcmp(ids, want, n * sizeof(*ids)) != 0)
        abort();
    if (n > 2 && wordpiece_encode(wp, text, ids, n - 1, &again))
        abort();
    free(ids);
}

static void check(const struct wordpiece *wp, struct gw_span text)
{
    const unsigned max = (unsigned)text.len + 2; /* no byte makes more than one token */
    int32_t *ids = malloc(max * sizeof(*ids));
    unsigned n = 0;

    if (ids == NULL)
        return;
    if (!wordpiece_encode(wp, text, ids, max, &n) || n < 2)
        abort();
    for (unsigned i = 0; i < n; i++)
        if (ids[i] < 0 || (unsigned)ids[i] >= wordpiece_n_vocab(wp))
            abort();
    check_room(wp, text, ids, n);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    const char *nul = size == 0 ? NULL : memchr(bytes, '\0', size);
    struct gw_span json = {bytes, nul == NULL ? size : (size_t)(nul - bytes)}, text = {NULL, 0};
    struct wordpiece *wp = NULL;

    if (nul != NULL)
        text = (struct gw_span){nul + 1, size - json.len - 1};
    if (json.len == 0)
        json = gw_span_str(bm_tokenizer);
    if (open_text(json, &wp, NULL, NULL) != GW_OK)
        return 0;
    check(wp, text);
    wordpiece_free(wp);
    return 0;
}
