/* engine/tokenizer_pre.h - cuts text into the words that byte-level BPE merges within.
 *
 * `tokenizer.ggml.pre` names a family; a family is a list of stages, each of which cuts every piece that
 * the stages before it left. Pure functions over borrowed bytes: any thread. Time is linear in the text
 * for every stage: none looks at a character more than a fixed number of times. */
#ifndef ENGINE_TOKENIZER_PRE_H
#define ENGINE_TOKENIZER_PRE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/span.h"

struct tok_pre;

/* The family of that name. Unknown names get the default and *known = false. Never NULL. */
const struct tok_pre *tok_pre_find(struct gw_span name, bool *known);

/* Llama-3 like vocabularies: a word that is a token is taken whole, and prompts begin with BOS. */
bool tok_pre_whole_words(const struct tok_pre *pre);
bool tok_pre_add_bos(const struct tok_pre *pre);

/* Calls word for each piece of text, in order; together they are the text. Stops at the first status
 * other than GW_OK and returns it. */
typedef enum gw_status tok_word_fn(void *ctx, struct gw_span word);
enum gw_status tok_pre_split(const struct tok_pre *pre, struct gw_span text, tok_word_fn *word,
                             void *ctx);

/* A stage looks at [p, end), p < end: returns how many bytes from p on belong together, at least 1, and
 * sets *hit when they are a match; else they belong to the gap between matches. */
typedef size_t tok_stage_fn(const unsigned char *p, const unsigned char *end, bool *hit);

/* ---- tokenizer_scan.re: the stages that are more than a run of one class --------------------- */
tok_stage_fn tok_scan_gpt2, tok_scan_llama3, tok_scan_qwen2, tok_scan_qwen35, tok_scan_gpt4o,
    tok_scan_tekken, tok_scan_deepseek3;

#endif
