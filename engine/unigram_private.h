/* engine/unigram_private.h - the vocabulary and what is added to it piece by piece: unigram.c (cuts), unigram_vocab.c
 * (tokenizer.json), unigram_gguf.c. */
#ifndef ENGINE_UNIGRAM_PRIVATE_H
#define ENGINE_UNIGRAM_PRIVATE_H

#include <stdbool.h>

#include "engine/bytetree.h"
#include "engine/charsmap.h"
#include "engine/unigram.h"

enum {
    UNIGRAM_MAX_VOCAB = 1 << 20,
    UNIGRAM_MAX_PIECE_BYTES = 512, /* real ones have below 64 */
};

/* What stands for a space. */
#define UNIGRAM_SPACE "\xe2\x96\x81"

struct unigram {
    struct bytetree tree; /* of ordinary pieces */
    struct charsmap map;
    double *scores; /* [n_vocab] */
    double unknown_score;
    unsigned n_vocab;
    size_t longest;               /* bytes of a piece at most */
    int32_t first, last, unknown; /* <s>, </s>, <unk> */
};

/* Memory for n pieces of n_bytes in all. GW_EPARSE, GW_ELIMIT, GW_ENOMEM; unigram_free frees what there is. `file` is how
 * messages begin. */
enum gw_status unigram_init(struct unigram *u, size_t n, size_t n_bytes, const char *file,
                            struct gw_err *err);
/* Piece id of the file; text never becomes one that is not ordinary. GW_EPARSE: no score; GW_ELIMIT: too long. */
enum gw_status unigram_add(struct unigram *u, int32_t id, struct gw_span piece, double score,
                           bool ordinary, const char *file, struct gw_err *err);

#endif
