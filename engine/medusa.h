/* engine/medusa.h - Medusa heads: small layers that guess, from what a token was drawn from, the tokens behind it (Cai et al. 2024,
 * "Medusa: Simple LLM Inference Acceleration Framework with Multiple Decoding Heads", section 2.1).
 *
 * Head i turns the hidden state h behind the model's last norm into x, by some residual blocks x + SiLU(W x + b), and x by an output matrix
 * into logits: those of the token i + 2 places behind h's, where the model's own are for the place behind it. Only the most likely token of
 * each is asked for. They are a folder as the paper's programs write it: config.json, and medusa_lm_head.safetensors with
 * N.L.linear.weight, N.L.linear.bias and N.M.weight, where M
 * is the number of blocks; a head without the last one uses the model's output matrix. Nobody vouched for it: names, types and shapes are
 * checked against the model before memory is taken, and every number must be finite. What it guesses is checked by the model, so
 * nothing here changes an answer. Thread: the scheduler's, except medusa_open and engine_medusa_inspect. */
#ifndef ENGINE_MEDUSA_H
#define ENGINE_MEDUSA_H

#include "base/err.h"
#include "engine/engine.h"
#include "engine/model.h"
#include "engine/pool.h"

struct medusa;

enum { MEDUSA_MAX_USED = 4 /* heads that are read: nobody guesses further */ };

struct medusa_config {
    const char *path;      /* of the folder */
    const struct model *m; /* it and p must outlive the heads */
    struct pool *p;
    unsigned n_ids; /* of the vocabulary: smaller ones are guessed, or only the first of them */
};

/* On success *out is the caller's (medusa_close). GW_ENOENT, GW_EPARSE, GW_EUNSUPPORTED, GW_ECORRUPT: a number is not finite; GW_EINVAL: of another
 * model; GW_ELIMIT, GW_ENOMEM, GW_EIO. Blocks. */
enum gw_status medusa_open(const struct medusa_config *cfg, struct medusa **out,
                           struct gw_err *err);
void medusa_close(struct medusa *md); /* md may be NULL */

unsigned medusa_n_heads(const struct medusa *md); /* from 1 to MEDUSA_MAX_USED */

/* Guesses what follows the token that was drawn from hidden[n_embd]: the most likely token of each of the first k heads, k from 1 to
 * medusa_n_heads. Uses all threads of the pool. */
void medusa_guess(struct medusa *md, const float *hidden, unsigned k, int32_t *out);

#endif
