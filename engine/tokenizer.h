/* engine/tokenizer.h - text to token ids and back, for one loaded vocabulary.
 *
 * Two algorithms: score merge (`tokenizer.ggml.model` = "llama", SentencePiece style) and byte-level
 * BPE ("gpt2") with the pre-tokenizer that `tokenizer.ggml.pre` names. The vocabulary comes from a
 * model file and is untrusted; so is every text.
 *
 * Invariants: (T1) special tokens are recognised only inside a part that says so, and only when the
 * whole token lies inside that one part: text of a user never becomes a control token; (T2) encoding
 * takes time linear in the text, up to the log factor of a heap; (T3) every id handed out is below
 * tok_n_vocab(). A tokenizer is immutable after tok_open(): any number of threads may use it. */
#ifndef ENGINE_TOKENIZER_H
#define ENGINE_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct gguf;
struct tok;

enum { TOK_NONE = -1 }; /* an id that the vocabulary does not have */

/* Token ids that grow; starts as zeroes, ended with tok_ids_fini(). */
struct tok_ids {
    int32_t *ids;
    size_t n, cap; /* ids */
};

void tok_ids_fini(struct tok_ids *v);
enum gw_status tok_ids_add(struct tok_ids *v, int32_t id); /* GW_ENOMEM */

/* One stretch of the text to encode. Parts are encoded as one text (a word may begin in one and end in
 * the next), so that splitting a prompt into parts does not change its tokens. */
struct tok_part {
    struct gw_span text;
    bool special; /* written by us or the template: special tokens in it are recognised */
};

/* Reads the vocabulary out of g, copying what it needs; g may be closed afterwards.
 * GW_EPARSE: the metadata is missing or contradicts itself; GW_EUNSUPPORTED: another tokenizer model;
 * GW_ENOMEM. On success *out is the caller's (tok_free). */
enum gw_status tok_open(const struct gguf *g, struct tok **out, struct gw_err *err);
void tok_free(struct tok *t); /* t may be NULL */

/* Appends the ids of the text to out. BOS and EOS are not added (see tok_add_bos). Bytes that are not
 * UTF-8 are encoded as the bytes they are where the vocabulary can, else as its unknown token, else left
 * out. On failure out holds what it held before. GW_ELIMIT: above 16 MiB of text; GW_ENOMEM. */
enum gw_status tok_encode_parts(const struct tok *t, const struct tok_part *parts, size_t n_parts,
                                struct tok_ids *out);

/* The same for one part. */
enum gw_status tok_encode(const struct tok *t, struct gw_span text, bool special,
                          struct tok_ids *out);

/* The bytes that a token stands for in an answer: may be part of a UTF-8 character; empty for control
 * tokens and for ids outside the vocabulary. Borrowed from t. With the score-merge kind a word start
 * carries its space, so an answer's very first byte may be one (see tok_space_prefix). */
struct gw_span tok_piece(const struct tok *t, int32_t id);

/* The same, but for control tokens that stand around calls and thoughts, which are their own text: clients of the answer
 * tell those apart by them. Formats are matched against tok_piece(). */
struct gw_span tok_shown(const struct tok *t, int32_t id);

/* The token's own text ("<|im_end|>", or what tok_piece says); empty for ids outside. Borrowed. */
struct gw_span tok_text(const struct tok *t, int32_t id);

/* The id whose own text is exactly text, or TOK_NONE. Control tokens are found too. */
int32_t tok_find(const struct tok *t, struct gw_span text);

/* True for a token that ends an answer: eos, eot, eom and the known end markers. */
bool tok_is_end(const struct tok *t, int32_t id);

/* True for a control token (never shown, recognised only in special parts). */
bool tok_is_control(const struct tok *t, int32_t id);

unsigned tok_n_vocab(const struct tok *t);

int32_t tok_bos(const struct tok *t);       /* or TOK_NONE */
int32_t tok_eos(const struct tok *t);       /* or TOK_NONE */
bool tok_add_bos(const struct tok *t);      /* a prompt begins with BOS (only when there is one) */
bool tok_space_prefix(const struct tok *t); /* texts are encoded as if they began with a space */

/* A sentence for people when a fallback had to be used (unknown pre-tokenizer); else "". */
const char *tok_warning(const struct tok *t);

#endif
