/* engine/unigram.c - rewriting a text and finding its best pieces. See unigram.h. */
#include "engine/unigram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "engine/unigram_private.h"

/* By how much a character without a piece is worse than the worst piece. */
#define UNKNOWN_PENALTY 10.0

/* A text of as many bytes a token as this is cut whatever its pieces are. */
enum { MIN_TOKEN_BYTES = 64 };

/* ---- vocabulary ------------------------------------------------------------------------------ */

enum gw_status unigram_init(struct unigram *u, size_t n, size_t n_bytes, const char *file,
                            struct gw_err *err)
{
    if (n == 0 || n > UNIGRAM_MAX_VOCAB)
        return gw_fail(err, GW_EPARSE, "%s: the vocabulary has not 1 to %d pieces", file,
                       UNIGRAM_MAX_VOCAB);
    if (n_bytes > BYTETREE_MAX_BYTES)
        return gw_fail(err, GW_ELIMIT, "%s: the pieces are longer than %d bytes", file,
                       BYTETREE_MAX_BYTES);
    u->n_vocab = (unsigned)n;
    u->first = u->last = u->unknown = -1;
    u->scores = calloc(n, sizeof(*u->scores));
    if (u->scores == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the vocabulary");
    return bytetree_init(&u->tree, n_bytes, 1, err);
}

enum gw_status unigram_add(struct unigram *u, int32_t id, struct gw_span piece, double score,
                           bool ordinary, const char *file, struct gw_err *err)
{
    if (!isfinite(score) || fabs(score) > 1e9)
        return gw_fail(err, GW_EPARSE, "%s: the score of piece %d is no number", file, id);
    if (piece.len > UNIGRAM_MAX_PIECE_BYTES)
        return gw_fail(err, GW_ELIMIT, "%s: piece %d is longer than %d bytes", file, id,
                       UNIGRAM_MAX_PIECE_BYTES);
    if (!ordinary)
        return GW_OK;
    u->scores[id] = score;
    if (score - UNKNOWN_PENALTY < u->unknown_score)
        u->unknown_score = score - UNKNOWN_PENALTY;
    u->longest = piece.len > u->longest ? piece.len : u->longest;
    bytetree_add(&u->tree, BYTETREE_ROOT, piece, id);
    return GW_OK;
}

void unigram_free(struct unigram *u)
{
    if (u == NULL)
        return;
    bytetree_fini(&u->tree);
    charsmap_fini(&u->map);
    free(u->scores);
    free(u);
}

unsigned unigram_n_vocab(const struct unigram *u)
{
    return u->n_vocab;
}

size_t unigram_growth(const struct unigram *u)
{
    const size_t least = sizeof(UNIGRAM_SPACE) - 1; /* U+FFFD has as many bytes */

    return u->map.longest > least ? u->map.longest : least;
}

/* ---- rewriting ------------------------------------------------------------------------------- */

/* A text on its way to tokens. */
struct cutter {
    const struct unigram *u;
    struct gw_buf text; /* rewritten */
    size_t max_bytes;   /* of it */
};

static bool is_space(struct gw_span s)
{
    return s.len == 1 && s.ptr[0] == ' ';
}

/* Adds one replacement; spaces at its beginning go where the text has one already. */
static void add(struct cutter *c, struct gw_span s, bool *behind_space)
{
    while (*behind_space && s.len != 0 && s.ptr[0] == ' ')
        s = gw_span_from(s, 1);
    if (s.len == 0)
        return;
    *behind_space = s.ptr[s.len - 1] == ' ';
    for (size_t i = 0; i < s.len && c->text.len <= c->max_bytes; i++) {
        if (s.ptr[i] == ' ')
            gw_buf_adds(&c->text, UNIGRAM_SPACE);
        else
            gw_buf_addc(&c->text, s.ptr[i]);
    }
}

static bool ends_with_space(const struct gw_buf *b)
{
    const size_t n = sizeof(UNIGRAM_SPACE) - 1;

    return b->len >= n && memcmp(b->ptr + b->len - n, UNIGRAM_SPACE, n) == 0;
}

/* Fills c->text. GW_ELIMIT: it is longer than max_bytes. */
static enum gw_status rewrite(struct cutter *c, struct gw_span text)
{
    bool behind_space = true;
    size_t n = 0;

    while (text.len != 0 && is_space(charsmap_next(&c->u->map, text, &n)))
        text = gw_span_from(text, n);
    if (text.len != 0)
        gw_buf_adds(&c->text, UNIGRAM_SPACE);
    for (; text.len != 0 && c->text.len <= c->max_bytes; text = gw_span_from(text, n))
        add(c, charsmap_next(&c->u->map, text, &n), &behind_space);
    if (!gw_buf_ok(&c->text))
        return GW_ENOMEM;
    if (c->text.len > c->max_bytes)
        return GW_ELIMIT;
    while (ends_with_space(&c->text))
        c->text.len -= sizeof(UNIGRAM_SPACE) - 1;
    return GW_OK;
}

/* ---- the best path ----------------------------------------------------------------------------- */

/* The best way to a byte of the text: its last piece, and where that begins. */
struct node {
    double score;
    int32_t id; /* -1: there is no way yet */
    uint32_t from;
};

/* Bytes of the character that begins with that byte, as far as it tells. */
static size_t char_bytes(char c)
{
    const unsigned char b = (unsigned char)c;

    return b < 0xC0 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
}

static void offer(struct node *to, double score, int32_t id, size_t from)
{
    if (to->id < 0 || score > to->score)
        *to = (struct node){score, id, (uint32_t)from};
}

/* Goes on from byte `at` with every piece that begins there, or with an unknown character of n bytes. */
static void extend(const struct cutter *c, struct node *nodes, size_t at, size_t n)
{
    const struct unigram *u = c->u;
    const double score = nodes[at].score;
    uint32_t node = BYTETREE_ROOT;
    bool known = false;

    for (size_t i = at; i < c->text.len; i++) {
        node = bytetree_step(&u->tree, node, (unsigned char)c->text.ptr[i]);
        if (node == BYTETREE_NONE)
            break;
        if (u->tree.ids[node] < 0)
            continue;
        known = known || i + 1 == at + n;
        offer(&nodes[i + 1], score + u->scores[u->tree.ids[node]], u->tree.ids[node], at);
    }
    if (!known)
        offer(&nodes[at + n], score + u->unknown_score, u->unknown, at);
}

/* Fills nodes[0, text.len]; each character's end has a way. */
static void find_best(const struct cutter *c, struct node *nodes)
{
    const size_t len = c->text.len;

    for (size_t i = 0; i <= len; i++)
        nodes[i].id = -1;
    nodes[0] = (struct node){.id = c->u->unknown};
    for (size_t at = 0, n; at < len; at += n) {
        n = char_bytes(c->text.ptr[at]);
        n = n < len - at ? n : len - at;
        extend(c, nodes, at, n);
    }
}

/* Tokens on the best way, unknown ones that stand together as one; written to the end of ids[0, n) unless that is NULL. */
static size_t walk_back(const struct cutter *c, const struct node *nodes, int32_t *ids, size_t n)
{
    size_t count = 0;
    int32_t after = -1;

    for (size_t at = c->text.len; at != 0; at = nodes[at].from) {
        const int32_t id = nodes[at].id;

        if (id == c->u->unknown && id == after)
            continue;
        after = id;
        count++;
        if (ids != NULL)
            ids[n - count] = id;
    }
    return count;
}

enum gw_status unigram_encode(const struct unigram *u, struct gw_span text, int32_t *ids,
                              unsigned have, unsigned max, unsigned *n)
{
    struct cutter c = {.u = u};
    struct node *nodes = NULL;
    enum gw_status st;
    size_t count;

    if (max < 2 || have > max - 2)
        return GW_ELIMIT;
    c.max_bytes = (size_t)max * (u->longest > MIN_TOKEN_BYTES ? u->longest : MIN_TOKEN_BYTES);
    c.max_bytes = c.max_bytes < UINT32_MAX / 2 ? c.max_bytes : UINT32_MAX / 2;
    st = rewrite(&c, text);
    if (st == GW_OK) {
        nodes = malloc((c.text.len + 1) * sizeof(*nodes));
        st = nodes != NULL ? GW_OK : GW_ENOMEM;
    }
    if (st == GW_OK) {
        find_best(&c, nodes);
        count = walk_back(&c, nodes, NULL, 0);
        st = count <= max - have - 2 ? GW_OK : GW_ELIMIT;
    }
    if (st == GW_OK) {
        ids[have] = have == 0 ? u->first : u->last;
        (void)walk_back(&c, nodes, ids + have + 1, count);
        ids[have + 1 + count] = u->last;
        *n = have + 2 + (unsigned)count;
    }
    free(nodes);
    gw_buf_fini(&c.text);
    return st;
}
