/* engine/tokenizer_private.h - what the tokenizer's files share: the vocabulary, its look-ups, and the
 * steps of encoding. Included by engine/tokenizer*.c and tests only. */
#ifndef ENGINE_TOKENIZER_PRIVATE_H
#define ENGINE_TOKENIZER_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/tokenizer.h"
#include "engine/tokenizer_pre.h"

/* A token's kind, numbered as in `tokenizer.ggml.token_type`. */
enum tok_type {
    TOK_NORMAL = 1,
    TOK_UNKNOWN = 2,
    TOK_CONTROL = 3,
    TOK_USER_DEFINED = 4,
    TOK_UNUSED = 5,
    TOK_BYTE = 6,
};

enum {
    TOK_MAX_VOCAB = 1 << 22,
    TOK_MAX_TEXT_BYTES = 16 << 20, /* one encoding, after spaces were replaced */
    TOK_MAX_MERGED_BYTES = 1024,   /* longer tokens are kept but never made by merging */
    TOK_MAX_SPECIAL_BYTES = 256,   /* longer special tokens are not recognised */
    TOK_MAX_END = 32,              /* tokens that end an answer */
};

struct tok_entry {
    uint32_t text, text_len;   /* in tok.bytes: as in the file */
    uint32_t piece, piece_len; /* in tok.bytes: the bytes it stands for */
    uint32_t sort_key;         /* score merge: smaller merges first */
    uint8_t type;              /* enum tok_type */
    bool plain;                /* a user-defined token that is recognised in user text too */
};

/* Left token and right token make `id`; `rank` is the place in the list, 0 first. */
struct tok_merge {
    int32_t left, right, id; /* left TOK_NONE: an empty slot */
    uint32_t rank;
};

struct tok {
    struct tok_entry *entries;
    char *bytes; /* all texts and pieces, end to end */
    size_t n_bytes;
    unsigned n_vocab;
    uint64_t key[2]; /* of both hash tables: a file cannot arrange collisions */

    int32_t *by_text; /* open addressing: ids of normal tokens by text; TOK_NONE: empty */
    size_t by_text_mask;
    struct tok_merge *merges; /* open addressing by (left, right); NULL for score merge */
    size_t merges_mask;

    int32_t *specials; /* control, unknown and user-defined tokens, sorted by text */
    size_t n_specials;
    uint32_t special_first[256]; /* by first byte: where they begin in specials ... */
    uint32_t special_count[256]; /* ... and how many there are */

    int32_t byte_ids[256]; /* the token of a single byte, or TOK_NONE */
    bool score_merge;      /* else byte-level BPE */
    bool whole_words;      /* BPE: a word that is a token is taken without merging */
    bool space_prefix, add_bos;
    const struct tok_pre *pre;
    int32_t bos, eos, unknown;
    int32_t end[TOK_MAX_END]; /* tokens that end an answer */
    unsigned n_end;
    char warning[160];
};

/* ---- tokenizer_vocab.c ------------------------------------------------------------------- */

/* Fills entries, bytes, by_text and specials. */
enum gw_status tok_vocab_load(struct tok *t, const struct gguf *g, struct gw_err *err);
/* Fills specials and by_text after the types are final. */
enum gw_status tok_vocab_index(struct tok *t, struct gw_err *err);
enum gw_status tok_vocab_merges(struct tok *t, const struct gguf *g, struct gw_err *err);
/* The normal token with that text, or TOK_NONE. */
int32_t tok_vocab_find(const struct tok *t, struct gw_span text);
/* The merge of two tokens, or NULL. */
const struct tok_merge *tok_vocab_merge(const struct tok *t, int32_t left, int32_t right);
/* The longest special token that text begins with, or TOK_NONE; user: only plain ones. */
int32_t tok_vocab_special(const struct tok *t, struct gw_span text, bool user);

/* ---- tokenizer_bytes.c: the printable characters that stand for bytes in byte-level BPE --------- */

/* Writes the UTF-8 of the character that stands for byte; returns its length, 1 or 2. */
unsigned tok_byte_char(unsigned char byte, char out[4]);
/* Turns such characters back into bytes. Returns the length written to out (text.len at most), or -1
 * when a character stands for no byte. */
ptrdiff_t tok_bytes_decode(struct gw_span text, char *out);
/* Turns bytes into such characters; out holds 2 * text.len. Returns the length written. */
size_t tok_bytes_encode(struct gw_span text, char *out);

/* ---- tokenizer_merge.c ------------------------------------------------------------------- */

/* Memory that one encoding reuses from word to word; starts as zeroes. */
struct tok_scratch {
    struct tok_symbol *symbols;
    struct tok_candidate *heap;
    size_t max_symbols, max_heap, n_heap;
};
void tok_scratch_fini(struct tok_scratch *s);

/* Encodes text as one unit: characters (score merge) or bytes (BPE) merged pair by pair, best pair
 * first. GW_ENOMEM. */
enum gw_status tok_merge_text(const struct tok *t, struct gw_span text, struct tok_scratch *s,
                              struct tok_ids *out);

#endif
