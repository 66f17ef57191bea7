/* proxy/api_anthropic.c - Anthropic's API as a dialect: its table of functions (api_private.h). Pure; any thread. */
#include "proxy/api_private.h"

const struct api_ops api_anthropic_ops = {
    .name = "anthropic",
    .title = "Anthropic's",
};
