/* engine/wordpiece.c - cutting folded words into pieces; the vocabulary is in wordpiece_vocab.c. */
#include "engine/wordpiece.h"

#include "base/utf8.h"
#include "engine/fold.h"
#include "engine/wordpiece_private.h"

/* A text on its way to tokens. */
struct cutter {
    const struct wordpiece *wp;
    int32_t *ids;
    unsigned n, max;
    bool full;
    char word[WORDPIECE_MAX_CHARS * 4];
    unsigned n_chars; /* of the word; above max_chars: not all of it was kept */
    size_t n_bytes;
};

static void put(struct cutter *c, int32_t id)
{
    if (c->n == c->max)
        c->full = true;
    else
        c->ids[c->n++] = id;
}

/* The longest piece at the word's byte *at; moves *at behind it. -1: there is none. */
static int32_t longest_piece(const struct cutter *c, size_t *at)
{
    const struct wordpiece *wp = c->wp;
    uint32_t node = *at == 0 ? WORDPIECE_BEGIN : WORDPIECE_INSIDE;
    int32_t id = -1;

    for (size_t i = *at; i < c->n_bytes; i++) {
        node = bytetree_step(&wp->tree, node, (unsigned char)c->word[i]);
        if (node == BYTETREE_NONE)
            break;
        if (wp->tree.ids[node] >= 0) {
            id = wp->tree.ids[node];
            *at = i + 1;
        }
    }
    return id;
}

/* Cuts the word that was collected into pieces; returns how many, 0 when it cannot be cut. */
static unsigned cut(const struct cutter *c, int32_t pieces[WORDPIECE_MAX_CHARS])
{
    unsigned n = 0;

    for (size_t at = 0; at < c->n_bytes; n++) { /* a piece is at least a character */
        pieces[n] = longest_piece(c, &at);
        if (pieces[n] < 0)
            return 0;
    }
    return n;
}

/* Puts the pieces of the word that was collected, if any. */
static void end_word(struct cutter *c)
{
    int32_t pieces[WORDPIECE_MAX_CHARS];
    unsigned n = 0;

    if (c->n_chars == 0)
        return;
    if (c->n_chars <= c->wp->max_chars)
        n = cut(c, pieces);
    if (n == 0) /* one token for all of the word */
        pieces[n++] = c->wp->unknown;
    for (unsigned i = 0; i < n; i++)
        put(c, pieces[i]);
    c->n_chars = 0;
    c->n_bytes = 0;
}

static void add_char(struct cutter *c, uint32_t cp)
{
    if (c->n_chars <= c->wp->max_chars)
        c->n_chars++;
    if (c->n_chars <= c->wp->max_chars)
        c->n_bytes += gw_utf8_encode(cp, c->word + c->n_bytes);
}

static void add(struct cutter *c, uint32_t cp)
{
    uint32_t out[FOLD_MAX];
    unsigned n;
    enum fold_class class = fold_char(cp, out, &n);

    if (class == FOLD_SPACE || class == FOLD_ALONE)
        end_word(c);
    for (unsigned i = 0; i < n; i++)
        add_char(c, out[i]);
    if (class == FOLD_ALONE)
        end_word(c);
}

/* Encodes text behind what c has, and the last special token. */
static bool finish(struct cutter *c, struct gw_span text, unsigned *n)
{
    for (size_t i = 0; i < text.len && !c->full;) {
        uint32_t cp;
        unsigned len = gw_utf8_decode(text.ptr + i, text.len - i, &cp);

        if (len != 0)
            add(c, cp);
        i += len != 0 ? len : 1;
    }
    end_word(c);
    if (c->full)
        return false;
    c->ids[c->n++] = c->wp->last;
    *n = c->n;
    return true;
}

bool wordpiece_encode(const struct wordpiece *wp, struct gw_span text, int32_t *ids, unsigned max,
                      unsigned *n)
{
    struct cutter c = {.wp = wp, .max = max - 1}; /* room for the last one */

    c.ids = ids;
    put(&c, wp->first);
    return finish(&c, text, n);
}

bool wordpiece_append(const struct wordpiece *wp, struct gw_span text, int32_t *ids, unsigned have,
                      unsigned max, unsigned *n)
{
    struct cutter c = {.wp = wp, .n = have, .max = max - 1};

    c.ids = ids;
    return have < max && finish(&c, text, n);
}
