/* engine/pieces.h - text to tokens for encoders, whichever way their vocabulary cuts it: WordPiece (BERT; wordpiece.h) or
 * SentencePiece's unigram model (XLM-RoBERTa; unigram.h).
 *
 * A text stands between two special tokens. A pair of texts is one, and another one behind it with what separates them. Text is
 * only ever text: the name of a special token in it is just its letters. Immutable once opened: any thread. */
#ifndef ENGINE_PIECES_H
#define ENGINE_PIECES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

struct gguf;

/* A kind of vocabulary. */
struct pieces_ops;

struct pieces {
    const struct pieces_ops *ops; /* NULL: not open */
    void *vocab;                  /* the kind's */
};

/* Reads the text of a tokenizer.json, which nobody vouched for; it may go away afterwards. GW_EPARSE; GW_EUNSUPPORTED: the
 * tokenizer is of a kind, or does something, that is not built in; GW_ELIMIT; GW_ENOMEM. On success *p is the caller's
 * (pieces_fini). */
enum gw_status pieces_open(struct gw_span json_text, struct pieces *p, struct gw_err *err);
/* Reads the vocabulary of a GGUF file, which may be closed afterwards. Errors as above. */
enum gw_status pieces_open_gguf(const struct gguf *g, struct pieces *p, struct gw_err *err);
void pieces_fini(struct pieces *p); /* also one that is not open */

/* Ids are below this. */
unsigned pieces_n_vocab(const struct pieces *p);

/* Tokens that a text of n bytes becomes at most, the special ones with it; n is below 2^32. */
size_t pieces_room(const struct pieces *p, size_t n);

/* Writes the tokens of a text and the special ones around it behind the `have` that are there (0: it is the first) and sets
 * *n to how many there are then. GW_ELIMIT: more than max, which is at least 2; GW_ENOMEM. *n is unchanged then. Bytes that are
 * not UTF-8 are dropped or unknown. */
enum gw_status pieces_encode(const struct pieces *p, struct gw_span text, int32_t *ids,
                             unsigned have, unsigned max, unsigned *n);

#endif
