/* engine/unigram.h - text to tokens for XLM-RoBERTa models: SentencePiece's unigram model.
 *
 * A text is rewritten (charsmap.h), spaces at its ends go, several become one and each becomes U+2581, with one more in front. Then
 * it is cut into the pieces whose scores (logarithms of probabilities) have the largest sum; characters that no piece has
 * cost more than any piece, and those that stand together become one "unknown" token. Text is only ever text: "</s>" in it is
 * four characters. Time is linear in the text's length times the longest piece's. Immutable once opened: any thread. */
#ifndef ENGINE_UNIGRAM_H
#define ENGINE_UNIGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json_tree.h"
#include "base/span.h"

struct gguf;
struct unigram;

/* Out of a tokenizer.json that was read (its root; texts are decoded into the arena), which may go away afterwards. GW_EPARSE;
 * GW_EUNSUPPORTED: what is not built in would change tokens; GW_ELIMIT; GW_ENOMEM. */
enum gw_status unigram_open(const struct gw_json_node *root, struct gw_arena *arena,
                            struct unigram **out, struct gw_err *err);
/* Out of a GGUF file, which may be closed afterwards. Errors as above. */
enum gw_status unigram_open_gguf(const struct gguf *g, struct unigram **out, struct gw_err *err);
void unigram_free(struct unigram *u); /* may be NULL */

/* Ids are below this. */
unsigned unigram_n_vocab(const struct unigram *u);
/* Tokens that a byte of text can become at most, beside the one in front and the special ones. */
size_t unigram_growth(const struct unigram *u);

/* Writes the tokens of text and the special ones around it behind the `have` that are there: the first text (have 0) is
 * <s> text </s>, one behind another </s> text </s>. *n counts all. GW_ELIMIT: they are more than max, or the text has more
 * bytes than max tokens can have; GW_ENOMEM. *n is unchanged then; what is behind ids[have] is not. */
enum gw_status unigram_encode(const struct unigram *u, struct gw_span text, int32_t *ids,
                              unsigned have, unsigned max, unsigned *n);

#endif
