/* proxy/probe/probe_target.c - every target: each endpoint with each key, in threads of their own. */
#include <sys/stat.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/probe/probe.h"
#include "proxy/probe/probe_http.h"
#include "proxy/provider/provider.h"
#include "proxy/provider/provider_token.h"

enum { MAX_AT_ONCE = 32, TOKEN_TICK_MS = 50 };

/* One question: an endpoint with a key. */
struct question {
    unsigned target, endpoint, key;
    struct gw_buf path, fields;
    struct probe_get get;
    bool asked, has_key;
};

/* ---- models in this process --------------------------------------------------------------------- */

static void probe_model(const struct proxy_config_target *t, struct probe_report *r)
{
    struct probe_row *row = probe_row(r, "targets.%s", t->name);
    char magic[4] = "";
    struct stat st;
    FILE *f;

    if (row == NULL)
        return;
    if (stat(t->model, &st) != 0) {
        (void)snprintf(row->found, sizeof(row->found), "%.200s is not there", t->model);
        probe_bad(row, PROBE_FAIL, "get it with `sluice models pull`");
        return;
    }
    if (S_ISDIR(st.st_mode)) {
        (void)snprintf(row->found, sizeof(row->found), "an embedding model is there");
        return;
    }
    (void)snprintf(row->found, sizeof(row->found), "a model of %lld MiB is there",
                   (long long)st.st_size >> 20);
    f = fopen(t->model, "re");
    if (f == NULL || fread(magic, 1, sizeof(magic), f) != sizeof(magic) ||
        memcmp(magic, "GGUF", sizeof(magic)) != 0)
        probe_bad(row, PROBE_FAIL, "it is no GGUF file, or cannot be read: pull it again");
    if (f != NULL)
        (void)fclose(f);
}

/* ---- what to ask --------------------------------------------------------------------------------- */

static enum api_dialect family_of(const struct proxy_config_target *t)
{
    if (t->kind == PROXY_TARGET_ANTHROPIC)
        return API_ANTHROPIC;
    return t->kind == PROXY_TARGET_GEMINI ? API_GEMINI : API_CHAT;
}

/* The list of models costs nothing and takes the key. Clouds have no such call: they are only connected to. */
static void prepare(const struct proxy_config *cfg, struct question *q)
{
    const struct proxy_config_target *t = &cfg->targets[q->target];
    const struct provider_call call = {
        .target = t,
        .op = PROVIDER_OTHER,
        .dialect = family_of(t),
        .endpoint = q->endpoint,
        .key = q->key,
        .method = GW_SPAN("GET"),
        .path = t->kind == PROXY_TARGET_GEMINI ? GW_SPAN("/v1beta/models") : GW_SPAN("/v1/models"),
        .now_s = gw_clock_wall_ms() / 1000,
    };
    struct gw_buf line = {0};
    struct gw_err err;
    const char *from, *to;

    q->get.target = t;
    q->get.url = &t->endpoints.items[q->endpoint];
    q->has_key = t->keys.n != 0;
    if (t->kind == PROXY_TARGET_VERTEX || t->kind == PROXY_TARGET_BEDROCK ||
        !provider_speaks(t, PROVIDER_OTHER, call.dialect, call.model))
        return;
    if (provider_write_line(&call, &line, &err) == GW_OK &&
        provider_write_fields(&call, gw_span_str(q->get.url->host), &q->fields, &err) == GW_OK) {
        from = memchr(line.ptr, ' ', line.len);
        to = from == NULL ? NULL : memchr(from + 1, ' ', line.len - (size_t)(from + 1 - line.ptr));
        if (to != NULL) {
            gw_buf_add(&q->path, (struct gw_span){from + 1, (size_t)(to - from) - 1});
            gw_buf_addc(&q->path, '\0');
        }
    }
    gw_buf_fini(&line);
    if (gw_buf_ok(&q->path) && q->path.len != 0) {
        q->get.path = q->path.ptr;
        q->get.fields = gw_buf_span(&q->fields);
    }
}

static void *ask(void *arg)
{
    struct question *q = arg;

    probe_http(&q->get);
    return NULL;
}

/* In groups of MAX_AT_ONCE. */
static void ask_all(struct question *questions, unsigned n)
{
    for (unsigned first = 0; first < n; first += MAX_AT_ONCE) {
        unsigned end = first + MAX_AT_ONCE < n ? first + MAX_AT_ONCE : n;
        pthread_t threads[MAX_AT_ONCE];

        for (unsigned i = first; i < end; i++) {
            questions[i].asked = pthread_create(&threads[i - first], NULL, ask, &questions[i]) == 0;
            if (!questions[i].asked)
                (void)ask(&questions[i]);
        }
        for (unsigned i = first; i < end; i++)
            if (questions[i].asked)
                (void)pthread_join(threads[i - first], NULL);
    }
}

/* ---- what was said -------------------------------------------------------------------------------- */

static void judge_problem(struct probe_row *row, const struct probe_get *g)
{
    const char *name = g->target->name, *host = g->url->host;

    (void)snprintf(row->found, sizeof(row->found), "%s", g->why);
    switch (g->problem) {
    case PROBE_NAME:
        probe_bad(row, PROBE_FAIL,
                  "%.80s has no address here: see /etc/resolv.conf, or set targets.%s.resolve",
                  host, name);
        break;
    case PROBE_CONNECT:
    case PROBE_TIME:
        probe_bad(
            row, PROBE_FAIL,
            "nothing answers at %.80s port %u: a firewall, the wrong port, or the server is down",
            host, g->url->port);
        break;
    case PROBE_PROXY:
        probe_bad(row, PROBE_FAIL,
                  "targets.%s.proxy or proxy_auth is wrong, or the proxy forbids the host", name);
        break;
    case PROBE_CERTIFICATE:
        probe_bad(row, PROBE_FAIL,
                  "its certificate is not for %.80s or not from an issuer that is trusted: "
                  "targets.%s.ca names a file of issuers",
                  host, name);
        break;
    case PROBE_TLS:
        probe_bad(row, PROBE_FAIL, "no TLS at that port, or a version below 1.2: is it https?");
        break;
    case PROBE_NONE:
    case PROBE_OTHER:
    default:
        probe_bad(row, PROBE_FAIL, "the server answers, but not in HTTP/1.1");
        break;
    }
}

static void judge_status(struct probe_row *row, const struct question *q)
{
    const struct probe_get *g = &q->get;
    const char *key = q->has_key ? ", the key is accepted" : ", it asks for no key";
    unsigned s = g->status;

    if (g->path == NULL)
        (void)snprintf(row->found, sizeof(row->found),
                       "connected in %u ms; there is no cheap call that would try the credentials",
                       g->ms);
    else
        (void)snprintf(row->found, sizeof(row->found), "answers %u in %u ms%s", s, g->ms,
                       s >= 200 && s < 300 ? key : "");
    if (g->path == NULL || (s >= 200 && s < 300))
        return;
    if (s == 401 || s == 403)
        probe_bad(row, PROBE_FAIL,
                  q->has_key ? "the key is refused: is it of this account, and still valid?"
                             : "it wants a key: set targets.%s.key",
                  g->target->name);
    else if (s == 429)
        probe_bad(row, PROBE_WARN, "the account is at its limits or without credit");
    else if (s == 404 || s == 405)
        probe_bad(row, PROBE_WARN,
                  "it is there, but has no list of models: the key was not tried; is the path of "
                  "base_url right?");
    else
        probe_bad(row, s >= 500 ? PROBE_FAIL : PROBE_WARN,
                  "the server says that it is not well: ask again later");
}

static void judge(struct probe_report *r, const struct question *q)
{
    const struct proxy_config_target *t = q->get.target;
    struct probe_row *row;

    if (t->endpoints.n > 1 || t->keys.n > 1)
        row = probe_row(r, "targets.%s, %.40s:%u, key %u", t->name, q->get.url->host,
                        q->get.url->port, q->key + 1);
    else
        row = probe_row(r, "targets.%s", t->name);
    if (row == NULL)
        return;
    if (q->get.problem != PROBE_NONE)
        judge_problem(row, &q->get);
    else
        judge_status(row, q);
    if (q->get.has_days)
        probe_expiry(row, q->get.days);
}

/* Vertex: credentials are good when they fetch a token. */
static void probe_tokens(const struct proxy_config *cfg, struct probe_report *r)
{
    const struct timespec tick = {0, TOKEN_TICK_MS * 1000000L};
    struct provider_tokens *tokens = NULL;
    struct gw_err err = {0};

    if (provider_tokens_open(cfg, NULL, &tokens, &err) != GW_OK) {
        struct probe_row *row = probe_row(r, "credentials");

        if (row != NULL) {
            (void)snprintf(row->found, sizeof(row->found), "%.230s", err.text);
            probe_bad(row, PROBE_FAIL, "targets.*.credentials names a service account's JSON key");
        }
        return;
    }
    for (unsigned i = 0; tokens != NULL && i < cfg->n_targets; i++) {
        enum gw_status st = GW_EAGAIN;
        struct gw_buf token = {0};
        struct probe_row *row;

        if (cfg->targets[i].kind != PROXY_TARGET_VERTEX ||
            (row = probe_row(r, "targets.%s, credentials", cfg->targets[i].name)) == NULL)
            continue;
        for (int ms = 0; st == GW_EAGAIN && ms < PROBE_TIMEOUT_S * 1000; ms += TOKEN_TICK_MS) {
            st = provider_tokens_add(tokens, &cfg->targets[i], &token, &err);
            if (st == GW_EAGAIN)
                (void)nanosleep(&tick, NULL);
        }
        (void)snprintf(row->found, sizeof(row->found), "%.230s",
                       st == GW_OK ? "an access token was given" : err.text);
        if (st != GW_OK)
            probe_bad(row, PROBE_FAIL,
                      "is the service account's key still valid, and its token server reached from "
                      "here?");
        gw_buf_fini(&token);
    }
    provider_tokens_close(tokens);
}

void probe_targets(const struct proxy_config *cfg, struct probe_report *r)
{
    struct question *questions;
    unsigned n = 0;

    for (unsigned i = 0; i < cfg->n_targets; i++)
        n += cfg->targets[i].endpoints.n *
             (cfg->targets[i].keys.n == 0 ? 1 : cfg->targets[i].keys.n);
    questions = calloc(n + 1, sizeof(*questions));
    if (questions == NULL || !probe_http_init()) {
        free(questions);
        return;
    }
    n = 0;
    for (unsigned i = 0; i < cfg->n_targets; i++) {
        const struct proxy_config_target *t = &cfg->targets[i];

        if (t->kind == PROXY_TARGET_ENGINE)
            probe_model(t, r);
        else
            for (unsigned e = 0; e < t->endpoints.n; e++)
                for (unsigned k = 0; k == 0 || k < t->keys.n; k++) {
                    questions[n] = (struct question){.target = i, .endpoint = e, .key = k};
                    prepare(cfg, &questions[n++]);
                }
    }
    ask_all(questions, n);
    for (unsigned i = 0; i < n; i++) {
        judge(r, &questions[i]);
        gw_buf_fini(&questions[i].path);
        gw_buf_fini(&questions[i].fields); /* wipes: keys lie in it */
    }
    free(questions);
    probe_tokens(cfg, r);
}
