/* engine/tokenizer_vocab.c - reads a vocabulary out of a model file and finds tokens in it.
 *
 * Owns the tables of struct tok. Everything in the file is untrusted: element types are checked before
 * arrays are read, ids are checked against the vocabulary, and both hash tables are keyed with random
 * numbers. Thread: the one that opens the model; look-ups from any. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "engine/gguf.h"
#include "engine/tokenizer_private.h"

__extension__ typedef unsigned __int128 wide;

static uint64_t mix(uint64_t a, uint64_t b)
{
    wide product = (wide)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_text(const struct tok *t, struct gw_span text)
{
    uint64_t h = t->key[0] ^ text.len;
    size_t at = 0;

    for (; text.len - at >= 8; at += 8) {
        uint64_t word;

        memcpy(&word, text.ptr + at, 8);
        h = mix(h ^ word, t->key[1]);
    }
    if (at < text.len) {
        uint64_t word = 0;

        memcpy(&word, text.ptr + at, text.len - at);
        h = mix(h ^ word, t->key[1]);
    }
    return mix(h ^ t->key[1], t->key[0]);
}

static uint64_t hash_pair(const struct tok *t, int32_t left, int32_t right)
{
    return mix(((uint64_t)(uint32_t)left << 32 | (uint32_t)right) ^ t->key[0], t->key[1]);
}

static size_t table_size(size_t n)
{
    size_t size = 16;

    while (size < n * 2)
        size *= 2;
    return size;
}

static struct gw_span text_of(const struct tok *t, int32_t id)
{
    const struct tok_entry *e = &t->entries[id];

    return (struct gw_span){t->bytes + e->text, e->text_len};
}

/* ---- reading ------------------------------------------------------------------------------ */

/* `<0xHH>`, exactly; a lenient parser here has been a memory error in other loaders. */
static int parse_byte_token(struct gw_span s)
{
    int value = 0;

    if (s.len != 6 || memcmp(s.ptr, "<0x", 3) != 0 || s.ptr[5] != '>')
        return -1;
    for (int i = 3; i < 5; i++) {
        char c = s.ptr[i];

        if (c >= '0' && c <= '9')
            value = value * 16 + (c - '0');
        else if (c >= 'A' && c <= 'F')
            value = value * 16 + (c - 'A' + 10);
        else
            return -1;
    }
    return value;
}

/* Maps a score to a key that ascends as the score falls; NaN has a fixed place like any number. */
static uint32_t sort_key_of_score(float score)
{
    uint32_t bits;

    memcpy(&bits, &score, sizeof(bits));
    bits = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
    return ~bits;
}

static enum gw_status copy_texts(struct tok *t, const struct gguf_array *tokens, struct gw_err *err)
{
    size_t at = 0, total = 0;

    for (size_t i = 0; i < tokens->n; i++)
        total += gguf_array_next_str(tokens, &at).len;
    if (total >= UINT32_MAX / 4)
        return gw_fail(err, GW_ELIMIT, "the vocabulary's texts hold %zu bytes, the limit is 1 GiB",
                       total);
    t->bytes = malloc(total * 2 + 1); /* a piece is never longer than its text */
    t->entries = calloc(tokens->n, sizeof(*t->entries));
    if (t->bytes == NULL || t->entries == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for a vocabulary of %zu tokens", tokens->n);
    t->n_vocab = (unsigned)tokens->n;
    at = 0;
    for (size_t i = 0; i < tokens->n; i++) {
        struct gw_span s = gguf_array_next_str(tokens, &at);
        struct tok_entry *e = &t->entries[i];

        e->text = (uint32_t)t->n_bytes;
        e->text_len = (uint32_t)s.len;
        e->type = TOK_NORMAL;
        if (s.len > 0)
            memcpy(t->bytes + t->n_bytes, s.ptr, s.len);
        t->n_bytes += s.len;
    }
    return GW_OK;
}

static enum gw_status read_types(struct tok *t, const struct gguf *g, struct gw_err *err)
{
    struct gguf_array a;

    if (!gguf_has(g, "tokenizer.ggml.token_type"))
        return GW_OK;
    if (gguf_array(g, "tokenizer.ggml.token_type", GGUF_I32, &a, err) != GW_OK)
        GW_TRY(gguf_array(g, "tokenizer.ggml.token_type", GGUF_U32, &a, err));
    if (a.n != t->n_vocab)
        return gw_fail(err, GW_EPARSE, "tokenizer.ggml.token_type has %zu entries for %u tokens",
                       a.n, t->n_vocab);
    for (size_t i = 0; i < a.n; i++) {
        int32_t type = gguf_array_i32(&a, i);

        /* 0 ("undefined") and numbers of later versions are ordinary text. */
        t->entries[i].type =
            type >= TOK_NORMAL && type <= TOK_BYTE ? (uint8_t)type : (uint8_t)TOK_NORMAL;
    }
    return GW_OK;
}

static enum gw_status read_scores(struct tok *t, const struct gguf *g, struct gw_err *err)
{
    struct gguf_array a;

    if (!t->score_merge)
        return GW_OK;
    GW_TRY(gguf_array(g, "tokenizer.ggml.scores", GGUF_F32, &a, err));
    if (a.n != t->n_vocab)
        return gw_fail(err, GW_EPARSE, "tokenizer.ggml.scores has %zu entries for %u tokens", a.n,
                       t->n_vocab);
    for (size_t i = 0; i < a.n; i++)
        t->entries[i].sort_key = sort_key_of_score(gguf_array_f32(&a, i));
    return GW_OK;
}

/* ---- pieces --------------------------------------------------------------------------------- */

/* U+2581, which stands for a space in score-merge vocabularies. */
static const char SPACE_MARK[] = "\xE2\x96\x81";

static size_t unmark_spaces(struct gw_span text, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len;) {
        if (text.len - i >= 3 && memcmp(text.ptr + i, SPACE_MARK, 3) == 0) {
            out[n++] = ' ';
            i += 3;
        } else {
            out[n++] = text.ptr[i++];
        }
    }
    return n;
}

static size_t make_piece(const struct tok *t, const struct tok_entry *e, char *out)
{
    struct gw_span text = {t->bytes + e->text, e->text_len};
    int byte = e->type == TOK_BYTE ? parse_byte_token(text) : -1;

    if (byte >= 0) {
        *out = (char)byte;
        return 1;
    }
    if (e->type == TOK_CONTROL || e->type == TOK_UNKNOWN)
        return 0;
    if (t->score_merge)
        return unmark_spaces(text, out);
    if (e->type == TOK_NORMAL) {
        ptrdiff_t n = tok_bytes_decode(text, out);

        if (n >= 0)
            return (size_t)n;
    }
    if (text.len > 0)
        memcpy(out, text.ptr, text.len);
    return text.len;
}

/* A user-defined token in the shape of a marker (<|User|>, </s>, [INST]) must not be made by what a user
 * writes; runs of spaces and rare letters are only text. */
static bool is_marker(struct gw_span s)
{
    if (s.len < 2)
        return false;
    return (s.ptr[0] == '<' && s.ptr[s.len - 1] == '>') ||
           (s.ptr[0] == '[' && s.ptr[s.len - 1] == ']');
}

enum gw_status tok_vocab_load(struct tok *t, const struct gguf *g, struct gw_err *err)
{
    struct gguf_array tokens;

    GW_TRY(gguf_array(g, "tokenizer.ggml.tokens", GGUF_STRING, &tokens, err));
    if (tokens.n == 0 || tokens.n > TOK_MAX_VOCAB)
        return gw_fail(err, GW_ELIMIT, "tokenizer.ggml.tokens has %zu entries; 1 to %d are allowed",
                       tokens.n, TOK_MAX_VOCAB);
    GW_TRY(copy_texts(t, &tokens, err));
    GW_TRY(read_types(t, g, err));
    return read_scores(t, g, err);
}

/* ---- look-up tables --------------------------------------------------------------------------- */

static int compare_spans(struct gw_span a, struct gw_span b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n == 0 ? 0 : memcmp(a.ptr, b.ptr, n);

    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

static int compare_ids(const void *a, const void *b, void *ctx)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    int order = compare_spans(text_of(ctx, x), text_of(ctx, y));

    return order != 0 ? order : (x > y) - (x < y);
}

/* Keeps one special token of each text, one that user text cannot make where there is a choice. */
static size_t drop_duplicates(struct tok *t, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        int32_t id = t->specials[i];

        if (kept == 0 || !gw_span_eq(text_of(t, t->specials[kept - 1]), text_of(t, id)))
            t->specials[kept++] = id;
        else if (!t->entries[id].plain && t->entries[t->specials[kept - 1]].plain)
            t->specials[kept - 1] = id;
    }
    return kept;
}

static enum gw_status index_specials(struct tok *t, struct gw_err *err)
{
    for (unsigned i = 0; i < t->n_vocab; i++) {
        const struct tok_entry *e = &t->entries[i];

        t->n_specials += (e->type >= TOK_UNKNOWN && e->type <= TOK_USER_DEFINED &&
                          e->text_len > 0 && e->text_len <= TOK_MAX_SPECIAL_BYTES);
    }
    t->specials = calloc(t->n_specials + 1, sizeof(*t->specials));
    if (t->specials == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for special tokens");
    size_t n = 0;
    for (unsigned i = 0; i < t->n_vocab; i++) {
        struct tok_entry *e = &t->entries[i];

        if (e->type < TOK_UNKNOWN || e->type > TOK_USER_DEFINED || e->text_len == 0 ||
            e->text_len > TOK_MAX_SPECIAL_BYTES)
            continue;
        e->plain = e->type == TOK_USER_DEFINED && !is_marker(text_of(t, (int32_t)i));
        t->specials[n++] = (int32_t)i;
    }
    qsort_r(t->specials, n, sizeof(*t->specials), compare_ids, t);
    t->n_specials = drop_duplicates(t, n);
    for (size_t i = t->n_specials; i-- > 0;) {
        unsigned char first = (unsigned char)*text_of(t, t->specials[i]).ptr;

        t->special_first[first] = (uint32_t)i;
        t->special_count[first]++;
    }
    return GW_OK;
}

static enum gw_status index_texts(struct tok *t, struct gw_err *err)
{
    size_t size = table_size(t->n_vocab);

    t->by_text = malloc(size * sizeof(*t->by_text));
    if (t->by_text == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for a vocabulary of %u tokens", t->n_vocab);
    memset(t->by_text, 0xFF, size * sizeof(*t->by_text));
    t->by_text_mask = size - 1;
    for (unsigned i = 0; i < t->n_vocab; i++) {
        const struct tok_entry *e = &t->entries[i];
        struct gw_span text = text_of(t, (int32_t)i);

        /* Only these may come out of merging: a control token made from text would break T1. */
        if (!(e->type == TOK_NORMAL || e->plain) || text.len == 0 ||
            text.len > TOK_MAX_MERGED_BYTES || tok_vocab_find(t, text) != TOK_NONE)
            continue;
        size_t at = (size_t)hash_text(t, text) & t->by_text_mask;
        while (t->by_text[at] != TOK_NONE)
            at = (at + 1) & t->by_text_mask;
        t->by_text[at] = (int32_t)i;
    }
    return GW_OK;
}

static void index_bytes(struct tok *t)
{
    for (unsigned i = 0; i < 256; i++) {
        char c[4];
        unsigned len = tok_byte_char((unsigned char)i, c);

        t->byte_ids[i] = t->score_merge ? TOK_NONE : tok_vocab_find(t, (struct gw_span){c, len});
    }
    for (unsigned i = 0; i < t->n_vocab; i++) {
        int byte = t->entries[i].type == TOK_BYTE ? parse_byte_token(text_of(t, (int32_t)i)) : -1;

        if (byte >= 0 && t->byte_ids[byte] == TOK_NONE)
            t->byte_ids[byte] = (int32_t)i;
    }
}

enum gw_status tok_vocab_index(struct tok *t, struct gw_err *err)
{
    for (unsigned i = 0; i < t->n_vocab; i++) {
        struct tok_entry *e = &t->entries[i];

        e->piece = (uint32_t)t->n_bytes;
        e->piece_len = (uint32_t)make_piece(t, e, t->bytes + t->n_bytes);
        t->n_bytes += e->piece_len;
    }
    gw_random(t->key, sizeof(t->key));
    t->key[1] |= 1;
    GW_TRY(index_specials(t, err));
    GW_TRY(index_texts(t, err));
    index_bytes(t);
    return GW_OK;
}

/* ---- merges ------------------------------------------------------------------------------------- */

/* The three tokens of "left right". Merges whose tokens the vocabulary lacks can never happen. */
static bool parse_merge(const struct tok *t, struct gw_span line, struct tok_merge *out)
{
    char joined[TOK_MAX_MERGED_BYTES];
    const char *space = line.len < 2 ? NULL : memchr(line.ptr + 1, ' ', line.len - 1);

    if (space == NULL || line.len - 1 > sizeof(joined))
        return false;
    struct gw_span left = {line.ptr, (size_t)(space - line.ptr)};
    struct gw_span right = gw_span_from(line, left.len + 1);
    if (right.len == 0)
        return false;
    memcpy(joined, left.ptr, left.len);
    memcpy(joined + left.len, right.ptr, right.len);
    out->left = tok_vocab_find(t, left);
    out->right = tok_vocab_find(t, right);
    out->id = tok_vocab_find(t, (struct gw_span){joined, left.len + right.len});
    return out->left != TOK_NONE && out->right != TOK_NONE && out->id != TOK_NONE;
}

enum gw_status tok_vocab_merges(struct tok *t, const struct gguf *g, struct gw_err *err)
{
    struct gguf_array lines;
    size_t at = 0;

    GW_TRY(gguf_array(g, "tokenizer.ggml.merges", GGUF_STRING, &lines, err));
    if (lines.n > TOK_MAX_VOCAB)
        return gw_fail(err, GW_ELIMIT, "tokenizer.ggml.merges has %zu entries, the limit is %d",
                       lines.n, TOK_MAX_VOCAB);
    size_t size = table_size(lines.n);
    t->merges = malloc(size * sizeof(*t->merges));
    if (t->merges == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for %zu merges", lines.n);
    for (size_t i = 0; i < size; i++)
        t->merges[i].left = TOK_NONE;
    t->merges_mask = size - 1;
    for (size_t i = 0; i < lines.n; i++) {
        struct tok_merge m = {.rank = (uint32_t)i};
        struct gw_span line = gguf_array_next_str(&lines, &at);

        if (!parse_merge(t, line, &m) || tok_vocab_merge(t, m.left, m.right) != NULL)
            continue;
        size_t slot = (size_t)hash_pair(t, m.left, m.right) & t->merges_mask;
        while (t->merges[slot].left != TOK_NONE)
            slot = (slot + 1) & t->merges_mask;
        t->merges[slot] = m;
    }
    return GW_OK;
}

/* ---- look-up -------------------------------------------------------------------------------------- */

int32_t tok_vocab_find(const struct tok *t, struct gw_span text)
{
    if (text.len == 0 || text.len > TOK_MAX_MERGED_BYTES)
        return TOK_NONE;
    for (size_t at = (size_t)hash_text(t, text) & t->by_text_mask; t->by_text[at] != TOK_NONE;
         at = (at + 1) & t->by_text_mask)
        if (gw_span_eq(text_of(t, t->by_text[at]), text))
            return t->by_text[at];
    return TOK_NONE;
}

const struct tok_merge *tok_vocab_merge(const struct tok *t, int32_t left, int32_t right)
{
    if (left == TOK_NONE || right == TOK_NONE)
        return NULL;
    for (size_t at = (size_t)hash_pair(t, left, right) & t->merges_mask;
         t->merges[at].left != TOK_NONE; at = (at + 1) & t->merges_mask)
        if (t->merges[at].left == left && t->merges[at].right == right)
            return &t->merges[at];
    return NULL;
}

/* First place in specials[low, high) whose byte `at` is not below c; all of them share the bytes before
 * it, and those that end there come first. */
static size_t lower_bound(const struct tok *t, size_t low, size_t high, size_t at, unsigned c)
{
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        struct gw_span s = text_of(t, t->specials[mid]);

        if (s.len <= at || (unsigned char)s.ptr[at] < c)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

int32_t tok_vocab_special(const struct tok *t, struct gw_span text, bool user)
{
    int32_t best = TOK_NONE;

    if (text.len == 0)
        return TOK_NONE;
    size_t low = t->special_first[(unsigned char)text.ptr[0]];
    size_t high = low + t->special_count[(unsigned char)text.ptr[0]];
    for (size_t len = 1; low < high; len++) {
        /* Everything in the range agrees with text up to len; the one of that length comes first. */
        if (text_of(t, t->specials[low]).len == len &&
            (!user || t->entries[t->specials[low]].plain))
            best = t->specials[low];
        if (len >= text.len)
            break;
        unsigned c = (unsigned char)text.ptr[len];
        low = lower_bound(t, low, high, len, c);
        high = lower_bound(t, low, high, len, c + 1);
    }
    return best;
}
