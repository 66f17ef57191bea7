/* proxy/request/endpoint.h - which API a request line asks for: one table of paths for all dialects, under the providers' own
 * names, so that a base URL is all that a client changes. Pure; any thread. */
#ifndef PROXY_ENDPOINT_H
#define PROXY_ENDPOINT_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/span.h"
#include "proxy/api/api.h"
#include "proxy/http/http1.h"

enum endpoint_kind {
    ENDPOINT_NONE,         /* no such path here: 404 */
    ENDPOINT_CHAT,         /* a dialect's main call: read, routed, translated where needed */
    ENDPOINT_EMBEDDINGS,   /* OpenAI's /v1/embeddings: routed by model */
    ENDPOINT_RERANK,       /* /v1/rerank, as Cohere and Jina have it: routed by model */
    ENDPOINT_COUNT_TOKENS, /* Anthropic's count_tokens, Gemini's countTokens: routed by model */
    ENDPOINT_MODELS,       /* answered here */
    ENDPOINT_PASS,         /* anything else of a provider: every leaf scanned, passed through */
};

struct endpoint {
    enum endpoint_kind kind;
    enum api_dialect
        dialect; /* of the body and of errors; PASS: of the family (CHAT, ANTHROPIC, GEMINI) */
    struct gw_span model;  /* Gemini: in the path, still percent-encoded; else empty */
    struct gw_span id;     /* MODELS: one model's name, or empty: the list */
    bool stream;           /* Gemini: streamGenerateContent */
    bool json_array;       /* Gemini: that without alt=sse */
    bool file;             /* the body is a file's bytes, whatever its type says */
    const char *operation; /* "chat.completions": in records */
    const char *allow;     /* the methods it takes, "POST"; NULL: any */
};

/* Looks at the method, the path and the fields that tell dialects apart. intercepted: the host is the provider's own, so
 * every path is some endpoint and prefixes are the host's. Never fails: ENDPOINT_NONE has a dialect for its error. */
void endpoint_find(const struct http1_head *head, bool intercepted, struct endpoint *out);

/* True when the method is one of ep->allow. */
bool endpoint_allows(const struct endpoint *ep, struct gw_span method);

/* The path without its query, and the query with its '?' (or empty). */
struct gw_span endpoint_path(struct gw_span target);
struct gw_span endpoint_query(struct gw_span target);
/* The raw value of a parameter, or {NULL, 0}. */
struct gw_span endpoint_query_get(struct gw_span query, const char *name);

/* As a server reads it: %XX undone (what is no such pair stays), and in a query + as a space. {NULL, 0}: out of memory. */
struct gw_span endpoint_decode(struct gw_arena *arena, struct gw_span s, bool query);

#endif
