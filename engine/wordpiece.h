/* engine/wordpiece.h - text to tokens for BERT models: WordPiece after the basic tokenisation of uncased
 * models (engine/fold.h).
 *
 * A text is folded, cut into words at spaces and around punctuation and ideographs, and each word into the
 * longest pieces that the vocabulary has, from left to right; a word that cannot be cut, or that has more than
 * max_chars characters, becomes one "unknown" token. Text is only ever text: "[SEP]" in it is five letters
 * and two brackets, not the special token. Time is linear in the text's length times the longest piece's.
 * Immutable once opened: any thread. */
#ifndef ENGINE_WORDPIECE_H
#define ENGINE_WORDPIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json_tree.h"
#include "base/span.h"

struct gguf;
struct wordpiece;

/* Out of a tokenizer.json that was read (its root; names are decoded into the arena), which nobody vouched for and which may go
 * away afterwards. GW_EPARSE; GW_EUNSUPPORTED: another kind of tokenizer (cased, or not WordPiece); GW_ELIMIT; GW_ENOMEM. */
enum gw_status wordpiece_open(const struct gw_json_node *root, struct gw_arena *arena,
                              struct wordpiece **out, struct gw_err *err);
/* Reads the vocabulary of a GGUF file, which may be closed afterwards. Errors as above. */
enum gw_status wordpiece_open_gguf(const struct gguf *g, struct wordpiece **out,
                                   struct gw_err *err);
void wordpiece_free(struct wordpiece *wp); /* may be NULL */

/* Ids are below this. */
unsigned wordpiece_n_vocab(const struct wordpiece *wp);

/* Writes the tokens of text, between the two special ones, to ids (max of them, at least 2) and sets *n.
 * Bytes that are not UTF-8 are dropped. Returns false, *n unchanged, when they are more than max. */
bool wordpiece_encode(const struct wordpiece *wp, struct gw_span text, int32_t *ids, unsigned max,
                      unsigned *n);

/* Writes one more text's tokens and the last special one behind the `have` tokens of a text before it. As
 * wordpiece_encode; *n counts all. */
bool wordpiece_append(const struct wordpiece *wp, struct gw_span text, int32_t *ids, unsigned have,
                      unsigned max, unsigned *n);

#endif
