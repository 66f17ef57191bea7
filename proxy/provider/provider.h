/* proxy/provider/provider.h - kinds of targets: which APIs a server takes, under which paths, with which credentials, in which
 * framing it streams. What differs between providers is here and nowhere else; upstream.c moves the bytes.
 *
 * One table entry a kind (openai, anthropic, gemini, azure, vertex, bedrock) in provider.c; the longer ones have files of
 * their own. Pure, but for tokens (provider_token.h). Thread: the worker's. */
#ifndef PROXY_PROVIDER_H
#define PROXY_PROVIDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "proxy/api/api.h"
#include "proxy/config/config.h"

/* What is asked of a target. */
enum provider_op {
    PROVIDER_CHAT,       /* a dialect's main call */
    PROVIDER_EMBEDDINGS, /* OpenAI's /v1/embeddings */
    PROVIDER_COUNT_TOKENS, /* Anthropic's count_tokens, Gemini's countTokens, OpenAI's responses/input_tokens */
    PROVIDER_OTHER, /* the client's own method and path, passed through */
};

struct provider_tokens; /* provider_token.h: access tokens of vertex targets */

struct provider_call {
    const struct proxy_config_target *target;
    enum provider_op op;
    enum api_dialect
        dialect; /* of the body; OTHER: the family the path belongs to (CHAT, ANTHROPIC or GEMINI) */
    struct gw_span model; /* as the target is asked for it */
    bool stream;
    bool
        json_array; /* Gemini: the client's stream is an array, so the target's is too, when passed through */
    unsigned endpoint, key; /* which of the target's is asked, with which: indices of its lists */
    struct gw_span method;  /* OTHER: the client's; else POST */
    struct gw_span path;    /* the client's, without its query, as received */
    struct gw_span
        query;      /* the client's, with its '?'; empty when the body was translated. Credentials
                              in it (key=) are never forwarded */
    bool versioned; /* the client's fields hold anthropic-version, which the caller copies */
    struct gw_span
        beta; /* the client's anthropic-beta, which bedrock wants in the body; or empty */
    struct gw_span body;            /* final: it may be signed */
    struct provider_tokens *tokens; /* NULL: the configuration has no vertex target */
    int64_t now_s;                  /* wall clock, for signatures; tests pin it */
};

/* True when the target takes such a body for that model as it is (or but for provider_adapt_body). OTHER: d is the
 * family of the path; a target that does not have it must not be asked. */
bool provider_speaks(const struct proxy_config_target *t, enum provider_op op, enum api_dialect d,
                     struct gw_span model);
/* The dialect that a CHAT or COUNT_TOKENS request must be translated to for a target that does not speak the client's;
 * false when the target has no such call (its `apis:` leave out chat and responses; only the latter counts). */
bool provider_dialect(const struct proxy_config_target *t, enum provider_op op,
                      struct gw_span model, enum api_dialect *out);

/* Changes a body that the target takes but for details (Bedrock and Vertex name model and stream in the path, Azure
 * wants the deployment's name): appends it to out and sets *changed; or leaves out alone. c->body
 * is not looked at: body is. Errors: GW_EPARSE, GW_ENOMEM; out may then hold a part. */
enum gw_status provider_adapt_body(const struct provider_call *c, struct gw_json *json,
                                   struct gw_span body, struct gw_buf *out, bool *changed,
                                   struct gw_err *err);

/* ---- usage of streams that the client did not ask for (provider_usage.c) ------------------------- */

/* True when a stream of that target and dialect says its usage only if asked: OpenAI's older APIs, unless `usage: off`. */
bool provider_hides_usage(const struct proxy_config_target *t, enum api_dialect d);

/* Asks for it: appends the body with stream_options.include_usage set, all other bytes as they are, and sets *changed;
 * or leaves out alone, when nothing has to change or the body is no such thing. GW_ENOMEM. */
enum gw_status provider_ask_usage(struct gw_json *json, struct gw_span body, struct gw_buf *out,
                                  bool *changed);

/* What of a stream's event is there only because usage was asked for. */
enum provider_unasked {
    PROVIDER_UNASKED_NONE, /* nothing */
    PROVIDER_UNASKED_PART, /* a "usage": null; out got the rest */
    PROVIDER_UNASKED_ALL,  /* the chunk that has usage and no choices */
};
enum provider_unasked provider_take_unasked(struct gw_json *json, struct gw_span data,
                                            struct gw_buf *out);

/* Appends "METHOD SP path?query SP HTTP/1.1 CRLF" and then the fields that are the provider's own: credentials,
 * version; with CRLFs. Host, framing and the client's fields are the caller's. host: the Host value (signed by bedrock).
 * GW_EUNSUPPORTED: the kind has no such call; GW_EAGAIN: no access token yet (err says so); GW_EINVAL: a model name or
 * path that could mean something else there than what it says. out may then hold a part. Messages are fit for clients. */
enum gw_status provider_write_line(const struct provider_call *c, struct gw_buf *out,
                                   struct gw_err *err);
enum gw_status provider_write_fields(const struct provider_call *c, struct gw_span host,
                                     struct gw_buf *out, struct gw_err *err);
/* True for a client's field that must not reach this kind of target: credentials of any provider always; and those of
 * another dialect than the target's (anthropic-version at an OpenAI server). */
bool provider_drops_field(const struct proxy_config_target *t, struct gw_span name);

/* True when the target says a number of tokens in a form of its own, {"inputTokens":N}. */
bool provider_counts_differ(const struct proxy_config_target *t);

/* True when the target says errors in another form than the dialect's own API does (clouds around a provider's model). */
bool provider_errors_differ(const struct proxy_config_target *t, enum api_dialect d);

/* How the answer's bytes become the dialect's own events. */
enum provider_framing {
    PROVIDER_FRAMING_PLAIN, /* as HTTP says: SSE or JSON */
    PROVIDER_FRAMING_AWS,   /* application/vnd.amazon.eventstream around Anthropic's events */
};
enum provider_framing provider_framing_of(const struct proxy_config_target *t,
                                          struct gw_span content_type);

/* Turns AWS event stream messages into Anthropic's SSE bytes, incrementally: CRCs are checked, exceptions become error
 * events. Bounded by 16 MiB a message. */
struct provider_aws;
struct provider_aws *provider_aws_new(void);    /* NULL: out of memory */
void provider_aws_free(struct provider_aws *a); /* a may be NULL */
/* Appends the events that bytes complete. GW_EPARSE: no such message, or a wrong checksum; GW_ELIMIT; GW_ENOMEM: said
 * again by every later call; out holds what came before. After an exception the rest is passed over. */
enum gw_status provider_aws_feed(struct provider_aws *a, struct gw_span bytes, struct gw_buf *out);
/* GW_EPARSE when a message was cut. */
enum gw_status provider_aws_end(struct provider_aws *a);

#endif
