/* tests/fuzz/fuzz_unigram.c - a tokenizer.json, a NUL byte, a text: ids in range, as many as the text's length allows, room respected
 * to the token, and a pair is its texts. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/unigram.h"
#include "tests/unit/engine/tokenizer_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_TOKENS = 4096 };

static void check(const struct unigram *u, struct gw_span text)
{
    static int32_t ids[2 * MAX_TOKENS], again[MAX_TOKENS];
    unsigned n = 0, m = 0;

    if (unigram_encode(u, text, ids, 0, MAX_TOKENS, &n) != GW_OK)
        return;
    if (n < 2 || n > text.len * unigram_growth(u) + 3)
        abort();
    for (unsigned i = 0; i < n; i++)
        if (ids[i] < 0 || (unsigned)ids[i] >= unigram_n_vocab(u))
            abort();
    if (unigram_encode(u, text, again, 0, n, &m) == GW_OK &&
        (m != n || memcmp(ids, again, n * sizeof(*ids)) != 0))
        abort();
    if (n > 2 && unigram_encode(u, text, again, 0, n - 1, &m) == GW_OK)
        abort();
    if (unigram_encode(u, text, ids, n, 2 * MAX_TOKENS, &m) != GW_OK || m != 2 * n ||
        memcmp(ids + 1, ids + n + 1, (n - 1) * sizeof(*ids)) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    const char *nul = size == 0 ? NULL : memchr(bytes, '\0', size);
    struct gw_span json = {bytes, nul == NULL ? size : (size_t)(nul - bytes)}, text = {NULL, 0};
    struct unigram *u = NULL;

    if (nul != NULL)
        text = (struct gw_span){nul + 1, size - json.len - 1};
    if (open_text(json, NULL, &u, NULL) != GW_OK)
        return 0;
    check(u, text);
    unigram_free(u);
    return 0;
}
