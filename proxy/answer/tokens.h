/* proxy/answer/tokens.h - the tokens of a text that a filter holds back: they go out with their text, and only as long as that
 * is what the model wrote.
 *
 * Tokens say a text once more. So from where policy has changed a text, or put a value back into it, none of its tokens is
 * told: what was hidden would be in them. Thread: the worker's. */
#ifndef PROXY_TOKENS_H
#define PROXY_TOKENS_H

#include "proxy/api/api.h"

/* Of one block. Zeroed: at its beginning. */
struct tokens {
    struct api_tokens kept;
    unsigned n_ready;     /* of kept: given already */
    size_t said, written; /* bytes of text: of tokens that were given; that went out */
    bool lost;            /* the text was changed */
};

/* Keeps the tokens of a DELTA. False: out of memory. */
bool tokens_add(struct tokens *t, const struct api_event *ev);
/* None of the block's tokens is told any more. */
void tokens_lose(struct tokens *t);
/* n more bytes of text go out: ev gets the tokens whose text is out with them, valid until the next call. */
void tokens_ready(struct tokens *t, size_t n, struct api_event *ev);
void tokens_fini(struct tokens *t);

#endif
