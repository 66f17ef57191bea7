/* proxy/request/count_tokens.c - see count_tokens.h. */
#include "proxy/request/count_tokens.h"

const struct gw_json_node *count_tokens_request(enum api_dialect d, const struct gw_json_node *body)
{
    const struct gw_json_node *whole =
        d == API_GEMINI ? gw_json_get(body, "generateContentRequest") : NULL;

    return whole == NULL ? body : whole;
}

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

bool count_tokens_read(enum api_dialect d, const struct gw_json_node *body, uint64_t *tokens)
{
    const struct gw_json_node *n =
        gw_json_get(body, d == API_GEMINI ? "totalTokens" : "input_tokens");
    uint64_t got;

    if (n == NULL)
        n = gw_json_get(body, "inputTokens");
    got = gw_json_uint(n, UINT64_MAX);
    if (got == UINT64_MAX)
        return false;
    *tokens = got;
    return true;
}
