/* engine/wordpiece_vocab.c - the pieces out of a tokenizer.json. See wordpiece.h. */
#include <stdlib.h>

#include "base/json_tree.h"
#include "engine/wordpiece.h"
#include "engine/wordpiece_private.h"

struct reader {
    struct wordpiece *wp;
    struct gw_arena *arena;
    const struct gw_json_node *root;
    struct gw_err *err;
};

static enum gw_status unsupported(const struct reader *r, const char *what)
{
    return gw_fail(r->err, GW_EUNSUPPORTED,
                   "tokenizer.json: %s; uncased BERT tokenizers with WordPiece are built in", what);
}

static bool is_true(const struct gw_json_node *node, const char *name)
{
    return gw_json_is(gw_json_get(node, name), GW_JSON_TRUE);
}

/* Missing, null or true. */
static bool is_not_false(const struct gw_json_node *node, const char *name)
{
    const struct gw_json_node *value = gw_json_get(node, name);

    return value == NULL || value->type == GW_JSON_NULL || value->type == GW_JSON_TRUE;
}

static enum gw_status check_kind(const struct reader *r)
{
    const struct gw_json_node *model = gw_json_get(r->root, "model");
    const struct gw_json_node *normalizer = gw_json_get(r->root, "normalizer");
    const struct gw_json_node *words = gw_json_get(r->root, "pre_tokenizer");
    const struct gw_json_node *prefix = gw_json_get(model, "continuing_subword_prefix");

    if (!gw_json_text_is(gw_json_get(model, "type"), "WordPiece"))
        return unsupported(r, "the model is not WordPiece");
    if (prefix != NULL && !gw_json_text_is(prefix, "##"))
        return unsupported(r, "the prefix of pieces inside a word is not ##");
    if (!gw_json_text_is(gw_json_get(normalizer, "type"), "BertNormalizer") ||
        !is_true(normalizer, "clean_text") || !is_true(normalizer, "handle_chinese_chars") ||
        !is_true(normalizer, "lowercase") || !is_not_false(normalizer, "strip_accents"))
        return unsupported(r, "the normalizer is another one");
    if (!gw_json_text_is(gw_json_get(words, "type"), "BertPreTokenizer"))
        return unsupported(r, "words are separated in another way");
    return GW_OK;
}

/* Sizes the vocabulary and checks its ids. */
static enum gw_status measure(const struct reader *r, const struct gw_json_node *vocab,
                              size_t *n_bytes)
{
    size_t bytes = 0;

    for (const struct gw_json_node *piece = vocab->child; piece != NULL; piece = piece->next) {
        uint64_t id = gw_json_uint(piece, UINT64_MAX);

        if (id >= WORDPIECE_MAX_VOCAB)
            return gw_fail(r->err, GW_EPARSE, "tokenizer.json: a piece's id is not from 0 to %d",
                           WORDPIECE_MAX_VOCAB - 1);
        if (id >= r->wp->n_vocab)
            r->wp->n_vocab = (unsigned)id + 1;
        bytes += piece->key.len;
        if (bytes > BYTETREE_MAX_BYTES)
            return gw_fail(r->err, GW_ELIMIT, "tokenizer.json: the pieces are longer than %d bytes",
                           BYTETREE_MAX_BYTES);
    }
    *n_bytes = bytes;
    return GW_OK;
}

/* The id of a piece by its name. */
static enum gw_status need_id(const struct reader *r, const struct gw_json_node *vocab,
                              const char *piece, int32_t *out)
{
    uint64_t id = gw_json_uint(gw_json_get(vocab, piece), UINT64_MAX);

    if (id == UINT64_MAX)
        return gw_fail(r->err, GW_EPARSE, "tokenizer.json: the vocabulary has no %s", piece);
    *out = (int32_t)id;
    return GW_OK;
}

static enum gw_status read_vocab(const struct reader *r)
{
    const struct gw_json_node *model = gw_json_get(r->root, "model");
    const struct gw_json_node *vocab = gw_json_get(model, "vocab");
    uint64_t max_chars = gw_json_uint(gw_json_get(model, "max_input_chars_per_word"), 100);
    size_t n_bytes = 0;

    if (!gw_json_is(vocab, GW_JSON_OBJECT_BEGIN))
        return gw_fail(r->err, GW_EPARSE, "tokenizer.json: model.vocab is missing");
    if (max_chars == 0 || max_chars > WORDPIECE_MAX_CHARS)
        return gw_fail(r->err, GW_EUNSUPPORTED,
                       "tokenizer.json: max_input_chars_per_word is not from 1 to %d",
                       WORDPIECE_MAX_CHARS);
    r->wp->max_chars = (unsigned)max_chars;
    GW_TRY(measure(r, vocab, &n_bytes));
    GW_TRY(bytetree_init(&r->wp->tree, n_bytes, WORDPIECE_N_ROOTS, r->err));
    for (const struct gw_json_node *piece = vocab->child; piece != NULL; piece = piece->next) {
        struct gw_span name = gw_json_name(piece, r->arena);

        if (name.ptr == NULL)
            return gw_fail(r->err, GW_ENOMEM, "out of memory for the vocabulary");
        if (gw_span_starts(name, GW_SPAN("##")))
            bytetree_add(&r->wp->tree, WORDPIECE_INSIDE, gw_span_from(name, 2),
                         (int32_t)gw_json_uint(piece, 0));
        else
            bytetree_add(&r->wp->tree, WORDPIECE_BEGIN, name, (int32_t)gw_json_uint(piece, 0));
    }
    GW_TRY(need_id(r, vocab, "[CLS]", &r->wp->first));
    GW_TRY(need_id(r, vocab, "[SEP]", &r->wp->last));
    return need_id(r, vocab, "[UNK]", &r->wp->unknown);
}

enum gw_status wordpiece_open(const struct gw_json_node *root, struct gw_arena *arena,
                              struct wordpiece **out, struct gw_err *err)
{
    struct gw_err local = {0};
    struct reader r = {.wp = calloc(1, sizeof(struct wordpiece)),
                       .arena = arena,
                       .root = root,
                       .err = err != NULL ? err : &local};
    enum gw_status st;

    if (r.wp == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the vocabulary");
    st = check_kind(&r);
    if (st == GW_OK)
        st = read_vocab(&r);
    if (st != GW_OK) {
        wordpiece_free(r.wp);
        return st;
    }
    *out = r.wp;
    return GW_OK;
}

void wordpiece_free(struct wordpiece *wp)
{
    if (wp == NULL)
        return;
    bytetree_fini(&wp->tree);
    free(wp);
}

unsigned wordpiece_n_vocab(const struct wordpiece *wp)
{
    return wp->n_vocab;
}
