/* engine/wordpiece_gguf.c - the pieces out of a GGUF file. See wordpiece.h.
 *
 * There a piece at a word's beginning has U+2581 before it, one inside a word nothing. */
#include <stdlib.h>

#include "engine/gguf.h"
#include "engine/wordpiece.h"
#include "engine/wordpiece_private.h"

enum { MAX_CHARS = 100 };

#define WORD_START "\xe2\x96\x81"

/* Sizes the vocabulary. */
static enum gw_status measure(struct wordpiece *wp, const struct gguf_array *pieces,
                              size_t *n_bytes, struct gw_err *err)
{
    size_t bytes = 0, at = 0;

    if (pieces->n == 0 || pieces->n > WORDPIECE_MAX_VOCAB)
        return gw_fail(err, GW_EPARSE, "GGUF: tokenizer.ggml.tokens has not 1 to %d tokens",
                       WORDPIECE_MAX_VOCAB);
    wp->n_vocab = (unsigned)pieces->n;
    for (size_t i = 0; i < pieces->n; i++)
        bytes += gguf_array_next_str(pieces, &at).len;
    if (bytes > BYTETREE_MAX_BYTES)
        return gw_fail(err, GW_ELIMIT, "GGUF: the tokens are longer than %d bytes",
                       BYTETREE_MAX_BYTES);
    *n_bytes = bytes;
    return GW_OK;
}

/* The id under one of the keys (some files have the second only), else that of the token. */
static enum gw_status need_id(const struct gguf *g, const struct gguf_array *pieces,
                              const char *const keys[2], const char *piece, int32_t *out,
                              struct gw_err *err)
{
    uint64_t v = 0;
    size_t at = 0;

    for (unsigned i = 0; i < 2; i++) {
        if (keys[i] == NULL || !gguf_has(g, keys[i]))
            continue;
        GW_TRY(gguf_uint(g, keys[i], pieces->n - 1, &v, err));
        *out = (int32_t)v;
        return GW_OK;
    }
    for (size_t i = 0; i < pieces->n; i++) {
        if (gw_span_is(gguf_array_next_str(pieces, &at), piece)) {
            *out = (int32_t)i;
            return GW_OK;
        }
    }
    return gw_fail(err, GW_EPARSE, "GGUF: the vocabulary has no %s", piece);
}

/* What would change the tokens and is not built in. */
static enum gw_status check_kind(const struct gguf *g, struct gw_err *err)
{
    struct gw_span model = {NULL, 0};
    bool lower = true;

    GW_TRY(gguf_str(g, "tokenizer.ggml.model", &model, err));
    if (!gw_span_is(model, "bert"))
        return gw_fail(err, GW_EUNSUPPORTED,
                       "GGUF: tokenizer.ggml.model %.*s is not built in for encoders; bert "
                       "(WordPiece) is",
                       (int)(model.len < 32 ? model.len : 32), model.ptr);
    if (gguf_has(g, "tokenizer.ggml.normalizer.lowercase"))
        GW_TRY(gguf_bool(g, "tokenizer.ggml.normalizer.lowercase", &lower, err));
    if (!lower)
        return gw_fail(err, GW_EUNSUPPORTED,
                       "GGUF: cased tokenizers are not built in; uncased WordPiece is");
    return GW_OK;
}

static enum gw_status read_vocab(struct wordpiece *wp, const struct gguf *g, struct gw_err *err)
{
    static const char *const first[2] = {"tokenizer.ggml.cls_token_id",
                                         "tokenizer.ggml.bos_token_id"};
    static const char *const last[2] = {"tokenizer.ggml.seperator_token_id",
                                        "tokenizer.ggml.eos_token_id"};
    static const char *const unknown[2] = {"tokenizer.ggml.unknown_token_id", NULL};
    struct gguf_array pieces = {.n = 0};
    size_t n_bytes = 0, at = 0;

    GW_TRY(check_kind(g, err));
    GW_TRY(gguf_array(g, "tokenizer.ggml.tokens", GGUF_STRING, &pieces, err));
    GW_TRY(measure(wp, &pieces, &n_bytes, err));
    GW_TRY(bytetree_init(&wp->tree, n_bytes, WORDPIECE_N_ROOTS, err));
    for (size_t i = 0; i < pieces.n; i++) {
        const struct gw_span piece = gguf_array_next_str(&pieces, &at);

        if (gw_span_starts(piece, GW_SPAN(WORD_START)))
            bytetree_add(&wp->tree, WORDPIECE_BEGIN, gw_span_from(piece, sizeof(WORD_START) - 1),
                         (int32_t)i);
        else
            bytetree_add(&wp->tree, WORDPIECE_INSIDE, piece, (int32_t)i);
    }
    wp->max_chars = MAX_CHARS;
    GW_TRY(need_id(g, &pieces, first, "[CLS]", &wp->first, err));
    GW_TRY(need_id(g, &pieces, last, "[SEP]", &wp->last, err));
    return need_id(g, &pieces, unknown, "[UNK]", &wp->unknown, err);
}

enum gw_status wordpiece_open_gguf(const struct gguf *g, struct wordpiece **out, struct gw_err *err)
{
    struct wordpiece *wp = calloc(1, sizeof(*wp));
    enum gw_status st = GW_ENOMEM;

    if (wp == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the vocabulary");
    st = read_vocab(wp, g, err);
    if (st != GW_OK) {
        wordpiece_free(wp);
        return st == GW_ENOENT ? GW_EPARSE : st;
    }
    *out = wp;
    return GW_OK;
}
