/* proxy/request/count_tokens.h - how dialects say a number of tokens: the answers of Anthropic's count_tokens, Gemini's countTokens
 * and OpenAI's /v1/responses/input_tokens. Pure; any thread. */
#ifndef PROXY_COUNT_TOKENS_H
#define PROXY_COUNT_TOKENS_H

#include <stdint.h>

#include "base/buf.h"
#include "proxy/api/dialect.h"

/* Appends the answer's body, with a line end. Completions and chat have no such call; they get the Responses' form. */
void count_tokens_write(struct gw_buf *out, enum api_dialect d, uint64_t tokens);

#endif
