/* proxy/local/local.h - the models in this process as a backend (backend_engine): no socket is opened.
 *
 * local.c runs chat requests of every dialect as events and counts tokens, local_params.c turns a request into what the
 * engine takes, local_tools.h says tools to it and reads calls, local_adapter.c finds
 * adapters by names, local_embed.c answers embeddings and reranks. Worker's thread; the engine's own threads meet it only in
 * its channels. */
#ifndef PROXY_LOCAL_H
#define PROXY_LOCAL_H

#include <stdbool.h>

#include "base/err.h"
#include "engine/engine.h"
#include "proxy/config/config.h"
#include "proxy/request/endpoint.h"

struct req;
struct setup;

/* Can that engine target answer this kind of request at all? */
bool local_serves(const struct setup *s, unsigned target, enum endpoint_kind kind);

/* What records and answers call the model that an engine target answers with, when `model` is asked for: the target's
 * name, or "TARGET:ADAPTER". */
struct gw_span local_model_name(const struct proxy_config_target *t, struct gw_span model);
/* The adapter (a name of struct engine_adapter, or empty) behind what local_model_name gave. GW_EUNSUPPORTED: there is
 * none of that name. */
enum gw_status local_adapter(const struct proxy_config_target *t, struct gw_span model,
                             struct gw_span *out, struct gw_err *err);

/* The channel of this worker to an engine has events. */
void local_dispatch(struct engine_chan *chan);

enum { LOCAL_MAX_N = 8 }; /* as many sequences as an engine runs at once by default */

/* A request as the engine takes it. GW_EUNSUPPORTED: it asks for what the local model cannot do; GW_EINVAL: ill-typed or
 * out of range; *param names the member. Arrays are the arena's. */
struct local_request {
    struct engine_message *messages;
    unsigned n_messages;
    struct engine_params
        params; /* of the first answer; the others' seeds follow it. grammar: the caller's reference */
    unsigned n;                   /* answers, 1 to LOCAL_MAX_N */
    const struct api_tool *tools; /* that the answer may call */
    unsigned n_tools;
    bool single; /* at most one call */
};
/* tenant: whose request it is, as in engine_params. */
enum gw_status local_read(const struct api_request *asked, struct gw_span tenant,
                          struct gw_arena *arena, struct local_request *out, const char **param,
                          struct gw_err *err);
/* GW_EINVAL: a bias is of a token that the model has not. */
enum gw_status local_check_biases(const struct local_request *local, const struct engine *e,
                                  const char **param, struct gw_err *err);

#endif
