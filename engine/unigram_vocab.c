/* engine/unigram_vocab.c - the pieces out of a tokenizer.json. See unigram.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "engine/unigram_private.h"

#define FILE_NAME "tokenizer.json"

/* Special tokens stand at both ends of a vocabulary, and are few: they are looked for only there. */
enum { MAX_SPECIAL = 64, MAX_ADDED = 1024 };

struct reader {
    struct unigram *u;
    struct gw_arena *arena;
    const struct gw_json_node *root;
    const struct gw_json_node *added; /* the first of the tokens that are no text */
    const struct gw_json_node *map;   /* the text of the charsmap; NULL: there is none */
    bool collapses;                   /* several spaces are one */
    struct gw_err *err;
};

static enum gw_status unsupported(const struct reader *r, const char *what)
{
    return gw_fail(r->err, GW_EUNSUPPORTED,
                   FILE_NAME ": %s; the unigram tokenizers of XLM-RoBERTa are built in", what);
}

static const struct gw_json_node *type_of(const struct gw_json_node *node)
{
    return gw_json_get(node, "type");
}

/* The elements of a Sequence, or the node alone; NULL: nothing. */
static const struct gw_json_node *first_of(const struct gw_json_node *node, const char *list,
                                           bool *is_list)
{
    *is_list = gw_json_text_is(type_of(node), "Sequence");
    if (!*is_list)
        return node == NULL || node->type == GW_JSON_NULL ? NULL : node;
    node = gw_json_get(node, list);
    return gw_json_is(node, GW_JSON_ARRAY_BEGIN) ? node->child : NULL;
}

static enum gw_status read_normalizer(struct reader *r, const struct gw_json_node *n)
{
    if (gw_json_text_is(type_of(n), "Precompiled")) {
        r->map = gw_json_get(n, "precompiled_charsmap");
        return GW_OK;
    }
    if (gw_json_text_is(type_of(n), "Replace")) { /* of spaces by one, the usual one or U+2581 */
        const struct gw_json_node *by = gw_json_get(n, "content");

        r->collapses = gw_json_text_is(gw_json_get(gw_json_get(n, "pattern"), "Regex"), " {2,}") &&
                       (gw_json_text_is(by, " ") || gw_json_text_is(by, UNIGRAM_SPACE));
        return r->collapses ? GW_OK : unsupported(r, "the normalizer replaces something");
    }
    return gw_json_text_is(type_of(n), "Strip") ? GW_OK
                                                : unsupported(r, "the normalizer is another one");
}

static enum gw_status read_words(struct reader *r, const struct gw_json_node *n, bool *escapes)
{
    if (gw_json_text_is(type_of(n), "WhitespaceSplit")) {
        r->collapses = true;
        return GW_OK;
    }
    if (!gw_json_text_is(type_of(n), "Metaspace") ||
        !gw_json_text_is(gw_json_get(n, "replacement"), UNIGRAM_SPACE) ||
        gw_json_is(gw_json_get(n, "add_prefix_space"), GW_JSON_FALSE) ||
        gw_json_text_is(gw_json_get(n, "prepend_scheme"), "never"))
        return unsupported(r, "words are separated in another way");
    *escapes = true;
    return GW_OK;
}

static enum gw_status check_kind(struct reader *r)
{
    const struct gw_json_node *model = gw_json_get(r->root, "model"), *n;
    bool is_list, escapes = false;

    if (gw_json_is(gw_json_get(model, "byte_fallback"), GW_JSON_TRUE))
        return unsupported(r, "unknown characters become bytes");
    n = first_of(gw_json_get(r->root, "normalizer"), "normalizers", &is_list);
    for (; n != NULL; n = is_list ? n->next : NULL)
        GW_TRY(read_normalizer(r, n));
    n = first_of(gw_json_get(r->root, "pre_tokenizer"), "pretokenizers", &is_list);
    for (; n != NULL; n = is_list ? n->next : NULL)
        GW_TRY(read_words(r, n, &escapes));
    if (!escapes || !r->collapses)
        return unsupported(r, "spaces are kept in another way");
    n = gw_json_get(r->root, "added_tokens");
    if (n != NULL && n->n > MAX_ADDED)
        return gw_fail(r->err, GW_ELIMIT, FILE_NAME ": there are more than %d added_tokens",
                       MAX_ADDED);
    r->added = gw_json_is(n, GW_JSON_ARRAY_BEGIN) ? n->child : NULL;
    return GW_OK;
}

static enum gw_status read_map(const struct reader *r)
{
    struct gw_span text;
    enum gw_status st;
    ptrdiff_t n;
    char *bytes;

    if (r->map == NULL || r->map->type == GW_JSON_NULL)
        return GW_OK;
    text = gw_json_text(r->map, r->arena);
    bytes = malloc(text.len + 1);
    if (bytes == NULL)
        return gw_fail(r->err, GW_ENOMEM, "out of memory for the vocabulary");
    n = text.ptr == NULL ? -1 : gw_unbase64(text, bytes, text.len);
    st = n < 0 ? gw_fail(r->err, GW_EPARSE, FILE_NAME ": precompiled_charsmap is no base64")
               : charsmap_init(&r->u->map, (struct gw_span){bytes, (size_t)n}, r->err);
    free(bytes);
    return st;
}

/* The spelling of JSON's numbers is a part of strtod's; a copy ends it. What is none becomes an infinity. */
static double score_of(const struct gw_json_node *node)
{
    char text[40];

    if (!gw_json_is(node, GW_JSON_NUMBER) || node->raw.len >= sizeof(text))
        return HUGE_VAL;
    memcpy(text, node->raw.ptr, node->raw.len);
    text[node->raw.len] = '\0';
    return strtod(text, NULL);
}

/* An added token: text never becomes it. */
static bool is_special(const struct reader *r, int32_t id)
{
    for (const struct gw_json_node *t = r->added; t != NULL; t = t->next)
        if (gw_json_uint(gw_json_get(t, "id"), UINT64_MAX) == (uint64_t)id)
            return true;
    return false;
}

static enum gw_status read_piece(const struct reader *r, const struct gw_json_node *entry,
                                 int32_t id)
{
    struct unigram *u = r->u;
    const struct gw_json_node *name =
        gw_json_is(entry, GW_JSON_ARRAY_BEGIN) && entry->n == 2 ? entry->child : NULL;
    struct gw_span piece = gw_json_text(name, r->arena);
    bool at_end;

    if (name == NULL || piece.ptr == NULL)
        return gw_fail(r->err, GW_EPARSE, FILE_NAME ": piece %d is no text with a score", id);
    if (gw_span_is(piece, "<s>"))
        u->first = id;
    if (gw_span_is(piece, "</s>"))
        u->last = id;
    at_end = id < MAX_SPECIAL || (unsigned)id + MAX_SPECIAL >= u->n_vocab;
    return unigram_add(u, id, piece, score_of(name->next),
                       id != u->unknown && !(at_end && is_special(r, id)), FILE_NAME, r->err);
}

static enum gw_status read_vocab(const struct reader *r)
{
    const struct gw_json_node *model = gw_json_get(r->root, "model");
    const struct gw_json_node *vocab = gw_json_get(model, "vocab");
    struct unigram *u = r->u;
    size_t bytes = 0;
    uint64_t unknown;
    int32_t id = 0;

    if (!gw_json_is(vocab, GW_JSON_ARRAY_BEGIN))
        return gw_fail(r->err, GW_EPARSE, FILE_NAME ": model.vocab is missing");
    for (const struct gw_json_node *e = vocab->child; e != NULL; e = e->next)
        bytes += e->child == NULL ? 0 : e->child->raw.len;
    GW_TRY(unigram_init(u, vocab->n, bytes, FILE_NAME, r->err));
    unknown = gw_json_uint(gw_json_get(model, "unk_id"), UINT64_MAX);
    if (unknown >= u->n_vocab)
        return gw_fail(r->err, GW_EPARSE, FILE_NAME ": model.unk_id is no piece's number");
    u->unknown = (int32_t)unknown;
    for (const struct gw_json_node *e = vocab->child; e != NULL; e = e->next)
        GW_TRY(read_piece(r, e, id++));
    if (u->first < 0 || u->last < 0)
        return gw_fail(r->err, GW_EPARSE, FILE_NAME ": the vocabulary has no <s> or no </s>");
    return GW_OK;
}

enum gw_status unigram_open(const struct gw_json_node *root, struct gw_arena *arena,
                            struct unigram **out, struct gw_err *err)
{
    struct gw_err local = {0};
    struct reader r = {.u = calloc(1, sizeof(*r.u)),
                       .arena = arena,
                       .root = root,
                       .err = err != NULL ? err : &local};
    enum gw_status st;

    if (r.u == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the vocabulary");
    st = check_kind(&r);
    if (st == GW_OK)
        st = read_vocab(&r);
    if (st == GW_OK)
        st = read_map(&r);
    if (st != GW_OK) {
        unigram_free(r.u);
        return st;
    }
    *out = r.u;
    return GW_OK;
}
