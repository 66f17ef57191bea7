/* proxy/request/count_tokens.h - counting calls: Anthropic's count_tokens, Gemini's countTokens, OpenAI's
 * /v1/responses/input_tokens. Where their requests hold what is counted, and how their answers say a number. Pure; any
 * thread. */
#ifndef PROXY_COUNT_TOKENS_H
#define PROXY_COUNT_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json_tree.h"
#include "proxy/api/dialect.h"

/* The request of that dialect's main call that is counted: the body itself, or what Gemini wraps in it. */
const struct gw_json_node *count_tokens_request(enum api_dialect d,
                                                const struct gw_json_node *body);

/* Appends the answer's body, with a line end. Completions and chat have no such call; they get the Responses' form. */
void count_tokens_write(struct gw_buf *out, enum api_dialect d, uint64_t tokens);

/* The number in an answer of that dialect, or in Bedrock's form of it. False: it says none; *tokens is unchanged. */
bool count_tokens_read(enum api_dialect d, const struct gw_json_node *body, uint64_t *tokens);

#endif
