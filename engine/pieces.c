/* engine/pieces.c - which kind of vocabulary a file has. See pieces.h. */
#include "engine/pieces.h"

#include "base/json_tree.h"
#include "engine/gguf.h"
#include "engine/unigram.h"
#include "engine/wordpiece.h"

enum {
    MAX_JSON_NODES_BYTES = 160 << 20,
    MAX_KEYS = 600000,
    N_AROUND = 3 /* two special tokens, and what a text begins with */
};

struct pieces_ops {
    unsigned (*n_vocab)(const void *vocab);
    size_t (*growth)(const void *vocab); /* tokens a byte at most */
    enum gw_status (*encode)(const void *vocab, struct gw_span text, int32_t *ids, unsigned have,
                             unsigned max, unsigned *n);
    void (*free)(void *vocab);
};

/* ---- WordPiece ------------------------------------------------------------------------------- */

static unsigned wordpiece_ids(const void *vocab)
{
    return wordpiece_n_vocab(vocab);
}

static size_t wordpiece_growth(const void *vocab)
{
    (void)vocab;
    return 1;
}

static enum gw_status wordpiece_write(const void *vocab, struct gw_span text, int32_t *ids,
                                      unsigned have, unsigned max, unsigned *n)
{
    const bool fits = have == 0 ? wordpiece_encode(vocab, text, ids, max, n)
                                : wordpiece_append(vocab, text, ids, have, max, n);

    return fits ? GW_OK : GW_ELIMIT;
}

static void wordpiece_drop(void *vocab)
{
    wordpiece_free(vocab);
}

static const struct pieces_ops wordpiece_ops = {wordpiece_ids, wordpiece_growth, wordpiece_write,
                                                wordpiece_drop};

/* ---- unigram ----------------------------------------------------------------------------------- */

static unsigned unigram_ids(const void *vocab)
{
    return unigram_n_vocab(vocab);
}

static size_t unigram_most(const void *vocab)
{
    return unigram_growth(vocab);
}

static enum gw_status unigram_write(const void *vocab, struct gw_span text, int32_t *ids,
                                    unsigned have, unsigned max, unsigned *n)
{
    return unigram_encode(vocab, text, ids, have, max, n);
}

static void unigram_drop(void *vocab)
{
    unigram_free(vocab);
}

static const struct pieces_ops unigram_ops = {unigram_ids, unigram_most, unigram_write,
                                              unigram_drop};

/* ---- opening ----------------------------------------------------------------------------------- */

static enum gw_status take_wordpiece(struct wordpiece *wp, enum gw_status st, struct pieces *p)
{
    if (st == GW_OK)
        *p = (struct pieces){&wordpiece_ops, wp};
    return st;
}

static enum gw_status take_unigram(struct unigram *u, enum gw_status st, struct pieces *p)
{
    if (st == GW_OK)
        *p = (struct pieces){&unigram_ops, u};
    return st;
}

static enum gw_status open_root(const struct gw_json_node *root, struct gw_arena *arena,
                                struct pieces *p, struct gw_err *err)
{
    struct wordpiece *wp = NULL;
    struct unigram *u = NULL;
    enum gw_status st;

    if (gw_json_text_is(gw_json_get(gw_json_get(root, "model"), "type"), "Unigram")) {
        st = unigram_open(root, arena, &u, err);
        return take_unigram(u, st, p);
    }
    st = wordpiece_open(root, arena, &wp, err);
    return take_wordpiece(wp, st, p);
}

enum gw_status pieces_open(struct gw_span json_text, struct pieces *p, struct gw_err *err)
{
    const struct gw_json_limits limits = {.max_keys = MAX_KEYS};
    struct gw_arena *arena = gw_arena_new(MAX_JSON_NODES_BYTES);
    struct gw_json *json = gw_json_new();
    struct gw_json_node *root = NULL;
    struct gw_err local = {0};
    enum gw_status st;

    err = err != NULL ? err : &local;
    if (arena == NULL || json == NULL) {
        st = gw_fail(err, GW_ENOMEM, "out of memory for the vocabulary");
    } else {
        st = gw_json_tree(json, arena, json_text, &limits, &root, err);
        if (st != GW_OK)
            st = gw_fail_prefix(err, "tokenizer.json");
        else
            st = open_root(root, arena, p, err);
    }
    gw_json_free(json);
    gw_arena_free(arena);
    return st;
}

enum gw_status pieces_open_gguf(const struct gguf *g, struct pieces *p, struct gw_err *err)
{
    struct gw_span model = {NULL, 0};
    struct wordpiece *wp = NULL;
    struct unigram *u = NULL;
    enum gw_status st = gguf_str(g, "tokenizer.ggml.model", &model, err);

    if (st != GW_OK)
        return st == GW_ENOENT ? GW_EPARSE : st;
    if (gw_span_is(model, "t5")) {
        st = unigram_open_gguf(g, &u, err);
        return take_unigram(u, st, p);
    }
    st = wordpiece_open_gguf(g, &wp, err);
    return take_wordpiece(wp, st, p);
}

void pieces_fini(struct pieces *p)
{
    if (p->ops != NULL)
        p->ops->free(p->vocab);
    *p = (struct pieces){NULL, NULL};
}

/* ---- use ----------------------------------------------------------------------------------------- */

unsigned pieces_n_vocab(const struct pieces *p)
{
    return p->ops->n_vocab(p->vocab);
}

size_t pieces_room(const struct pieces *p, size_t n)
{
    return n * p->ops->growth(p->vocab) + N_AROUND;
}

enum gw_status pieces_encode(const struct pieces *p, struct gw_span text, int32_t *ids,
                             unsigned have, unsigned max, unsigned *n)
{
    return p->ops->encode(p->vocab, text, ids, have, max, n);
}
