/* proxy/request/count_tokens.c - see count_tokens.h. */
#include "proxy/request/count_tokens.h"

void count_tokens_write(struct gw_buf *out, enum api_dialect d, uint64_t tokens)
{
    const char *head = "{\"object\":\"response.input_tokens\",\"input_tokens\":";

    if (d == API_ANTHROPIC)
        head = "{\"input_tokens\":";
    else if (d == API_GEMINI)
        head = "{\"totalTokens\":";
    gw_buf_adds(out, head);
    gw_buf_addu(out, tokens);
    gw_buf_adds(out, "}\n");
}
