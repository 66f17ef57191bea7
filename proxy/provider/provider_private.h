/* proxy/provider/provider_private.h - what the files provider*.c share: the table of kinds, and the safe making of paths. */
#ifndef PROXY_PROVIDER_PRIVATE_H
#define PROXY_PROVIDER_PRIVATE_H

#include "proxy/provider/provider.h"

/* What makes a kind. Every function is called for its own kind only. */
struct provider_kind {
    bool (*speaks)(const struct proxy_config_target *t, enum provider_op op, enum api_dialect d,
                   struct gw_span model);
    bool (*dialect)(const struct proxy_config_target *t, enum provider_op op, struct gw_span model,
                    enum api_dialect *out);
    /* Appends path and query, the base URL's path included. */
    enum gw_status (*write_path)(const struct provider_call *c, struct gw_buf *out,
                                 struct gw_err *err);
    enum gw_status (*write_fields)(const struct provider_call *c, struct gw_span host,
                                   struct gw_buf *out, struct gw_err *err);
    /* NULL: bodies are taken as they are. */
    enum gw_status (*adapt_body)(const struct provider_call *c, struct gw_json *json,
                                 struct gw_span body, struct gw_buf *out, bool *changed,
                                 struct gw_err *err);
    const char *family; /* fields that begin so are this kind's, "anthropic-"; NULL: none */
};

extern const struct provider_kind provider_azure, provider_vertex, provider_bedrock;

/* GW_EUNSUPPORTED with a message that names the target and the call. */
enum gw_status provider_no_call(const struct provider_call *c, struct gw_err *err);

/* The base URL's path and the key of the call; the key is empty when the target has none. */
const char *provider_base(const struct provider_call *c);
struct gw_span provider_key(const struct provider_call *c);

/* Appends "name: value CRLF". */
void provider_add_field(struct gw_buf *out, const char *name, struct gw_span value);
void provider_add_bearer(struct gw_buf *out, struct gw_span token);

/* ---- what kinds have in common (provider.c) ---------------------------------------------------- */

/* OpenAI's APIs, as far as `apis:` says. */
bool provider_openai_speaks(const struct proxy_config_target *t, enum provider_op op,
                            enum api_dialect d, struct gw_span model);
bool provider_openai_dialect(const struct proxy_config_target *t, enum provider_op op,
                             struct gw_span model, enum api_dialect *out);
/* "/chat/completions": the path below the version; NULL for OTHER. */
const char *provider_openai_path(const struct provider_call *c);

/* Appends ":generateContent" or what the call needs, and the query. */
enum gw_status provider_gemini_verb(const struct provider_call *c, struct gw_buf *out,
                                    struct gw_err *err);

/* ---- paths (provider_path.c) ----------------------------------------------------------------- */

/* Appends a model's or deployment's name as one path segment: every byte but unreserved ones (RFC 3986) and those in
 * keep is percent-encoded. Names come from clients: GW_EINVAL for one that is empty, longer than 256 bytes, holds
 * control bytes, or has "." or ".." between slashes, which a server that decodes before it splits would climb by. */
enum gw_status provider_add_name(struct gw_buf *out, struct gw_span name, const char *keep,
                                 struct gw_err *err);

/* Appends the client's path from `skip` on as it came. GW_EINVAL when it has "." or ".." segments, raw or encoded, a
 * backslash, or a byte that no path has. */
enum gw_status provider_add_path(struct gw_buf *out, struct gw_span path, size_t skip,
                                 struct gw_err *err);

/* The length of the version that a path begins with: 3 for "/v1/...", else 0. */
size_t provider_version_len(struct gw_span path);

/* Appends '?', the kind's own parameters ("alt=sse", or "") and those of the client's query without credentials and
 * without the one called `without` (or NULL); nothing when none is left. GW_EINVAL as above. */
enum gw_status provider_add_query(struct gw_buf *out, const char *own, struct gw_span query,
                                  const char *without, struct gw_err *err);

/* ---- bodies (provider_body.c) ---------------------------------------------------------------- */

/* A change of a JSON object's top-level members, made by copying the bytes that stay. */
struct provider_splice {
    const char *const *remove; /* names, NULL-terminated */
    /* Names and JSON values; one that the body has already is left as the client wrote it, unless removed. */
    struct provider_member {
        const char *name;
        struct gw_span value;
    } add[3];
    unsigned n_add;
};

/* The bytes of a top-level member's value; {NULL, 0} when body has none or is no JSON object. */
struct gw_span provider_member(struct gw_json *json, struct gw_span body, const char *name);
/* True when the member's name, decoded, is that one. */
bool provider_key_is(const struct gw_json_tok *key, const char *name);

/* Appends body, changed, to out. GW_EPARSE: not an object; GW_ENOMEM. */
enum gw_status provider_splice_body(const struct provider_splice *s, struct gw_json *json,
                                    struct gw_span body, struct gw_buf *out, struct gw_err *err);

#endif
