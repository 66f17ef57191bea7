/* engine/unigram_gguf.c - the pieces out of a GGUF file, where the model is called "t5". See unigram.h. */
#include <stdlib.h>

#include "engine/gguf.h"
#include "engine/unigram_private.h"

/* A piece's kind, numbered as in the file. */
enum { KIND_NORMAL = 1, KIND_UNKNOWN = 2, KIND_OWN = 4 };

static enum gw_status check_kind(const struct gguf *g, struct gw_err *err)
{
    static const char *const must_be[] = {"tokenizer.ggml.add_space_prefix",
                                          "tokenizer.ggml.remove_extra_whitespaces"};

    for (size_t i = 0; i < sizeof(must_be) / sizeof(must_be[0]); i++) {
        bool on = true;

        if (gguf_has(g, must_be[i]))
            GW_TRY(gguf_bool(g, must_be[i], &on, err));
        if (!on)
            return gw_fail(err, GW_EUNSUPPORTED,
                           "GGUF: %s false is not built in for unigram tokenizers", must_be[i]);
    }
    return GW_OK;
}

/* An optional id, which stands under the first key that is there. */
static enum gw_status read_id(const struct unigram *u, const struct gguf *g,
                              const char *const keys[2], int32_t *out, struct gw_err *err)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 2; i++) {
        if (!gguf_has(g, keys[i]))
            continue;
        GW_TRY(gguf_uint(g, keys[i], u->n_vocab - 1, &v, err));
        *out = (int32_t)v;
        return GW_OK;
    }
    return GW_OK;
}

static enum gw_status read_ids(struct unigram *u, const struct gguf *g, struct gw_err *err)
{
    static const char *const first[2] = {"tokenizer.ggml.cls_token_id",
                                         "tokenizer.ggml.bos_token_id"};
    static const char *const last[2] = {"tokenizer.ggml.seperator_token_id",
                                        "tokenizer.ggml.eos_token_id"};
    static const char *const unknown[2] = {"tokenizer.ggml.unknown_token_id",
                                           "tokenizer.ggml.unk_token_id"};

    GW_TRY(read_id(u, g, first, &u->first, err));
    GW_TRY(read_id(u, g, last, &u->last, err));
    GW_TRY(read_id(u, g, unknown, &u->unknown, err));
    if (u->first < 0 || u->last < 0 || u->unknown < 0)
        return gw_fail(err, GW_EPARSE, "GGUF: the vocabulary has no <s>, </s> or <unk>");
    return GW_OK;
}

static enum gw_status read_map(struct unigram *u, const struct gguf *g, struct gw_err *err)
{
    static const char key[] = "tokenizer.ggml.precompiled_charsmap";
    struct gguf_array map = {.n = 0};

    if (!gguf_has(g, key))
        return GW_OK;
    if (gguf_array(g, key, GGUF_U8, &map, NULL) != GW_OK)
        GW_TRY(gguf_array(g, key, GGUF_I8, &map, err));
    return charsmap_init(&u->map, (struct gw_span){(const char *)map.data, map.n}, err);
}

static enum gw_status read_pieces(struct unigram *u, const struct gguf *g, struct gw_err *err)
{
    struct gguf_array pieces = {.n = 0}, scores = {.n = 0}, kinds = {.n = 0};
    size_t bytes = 0, at = 0;

    GW_TRY(gguf_array(g, "tokenizer.ggml.tokens", GGUF_STRING, &pieces, err));
    GW_TRY(gguf_array(g, "tokenizer.ggml.scores", GGUF_F32, &scores, err));
    GW_TRY(gguf_array(g, "tokenizer.ggml.token_type", GGUF_I32, &kinds, err));
    if (scores.n != pieces.n || kinds.n != pieces.n)
        return gw_fail(err, GW_EPARSE, "GGUF: tokens, scores and token_type are not equally many");
    for (size_t i = 0; i < pieces.n; i++)
        bytes += gguf_array_next_str(&pieces, &at).len;
    GW_TRY(unigram_init(u, pieces.n, bytes, "GGUF", err));
    at = 0;
    for (size_t i = 0; i < pieces.n; i++) {
        const struct gw_span piece = gguf_array_next_str(&pieces, &at);
        const int32_t kind = gguf_array_i32(&kinds, i);

        if (kind == KIND_UNKNOWN && u->unknown < 0)
            u->unknown = (int32_t)i;
        GW_TRY(unigram_add(u, (int32_t)i, piece, (double)gguf_array_f32(&scores, i),
                           kind == KIND_NORMAL || kind == KIND_OWN, "GGUF", err));
    }
    return GW_OK;
}

enum gw_status unigram_open_gguf(const struct gguf *g, struct unigram **out, struct gw_err *err)
{
    struct unigram *u = calloc(1, sizeof(*u));
    enum gw_status st;

    if (u == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the vocabulary");
    st = check_kind(g, err);
    if (st == GW_OK)
        st = read_pieces(u, g, err);
    if (st == GW_OK)
        st = read_ids(u, g, err);
    if (st == GW_OK)
        st = read_map(u, g, err);
    if (st != GW_OK) {
        unigram_free(u);
        return st == GW_ENOENT ? GW_EPARSE : st;
    }
    *out = u;
    return GW_OK;
}
