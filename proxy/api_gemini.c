/* proxy/api_gemini.c - Gemini's API as a dialect: its table of functions (api_private.h). Pure; any thread. */
#include "proxy/api_private.h"

const struct api_ops api_gemini_ops = {
    .name = "gemini",
    .title = "Gemini's",
};
