/* proxy/api_responses.c - OpenAI's Responses API as a dialect: its table of functions (api_private.h). Pure; any thread. */
#include "proxy/api_private.h"

const struct api_ops api_responses_ops = {
    .name = "responses",
    .title = "OpenAI's Responses",
};
