/* proxy/request/models_list.h - lists of models: GET /v1/models and /v1/models/{id} in OpenAI's and Anthropic's shape,
 * /v1beta/models in Gemini's: what this gateway can be asked for. */
#ifndef PROXY_MODELS_LIST_H
#define PROXY_MODELS_LIST_H

#include <stdbool.h>

#include "base/buf.h"
#include "proxy/api/dialect.h"

struct req;

/* Answers and finishes the request. id: one model's name as it stands in the path (percent-encoded or not, Gemini's without
 * "models/"), or empty for the list. Thread: the worker's. */
void models_list_answer(struct req *req, enum api_dialect d, struct gw_span id);

/* A model that can be asked for, and who serves it. */
struct models_entry {
    struct gw_span id, owner;
};

/* Appends the list, or the one model of that id, with a line end. False, and nothing appended: there is none of that id.
 * Shapes: the API references of the three. Pure; any thread. */
bool models_list_write(struct gw_buf *out, enum api_dialect d, const struct models_entry *models,
                       unsigned n, struct gw_span id);

#endif
