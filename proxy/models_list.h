/* proxy/models_list.h - GET /v1/models and /v1/models/{id}: what this gateway can be asked for. */
#ifndef PROXY_MODELS_LIST_H
#define PROXY_MODELS_LIST_H

struct req;

/* Answers and finishes the request. */
void models_list_answer(struct req *req);

#endif
