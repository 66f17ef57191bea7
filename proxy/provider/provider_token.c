/* proxy/provider/provider_token.c - access tokens of vertex targets. The thread owns everything but what `lock` guards. */
#include "proxy/provider/provider_token.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/json_tree.h"
#include "base/log.h"
#include "proxy/config/service_account.h"
#include "proxy/fetch/fetch_answer.h"

enum {
    MAX_ANSWER = 64 << 10,
    MAX_TOKEN = 16 << 10,
    MAX_WORD = 40,
    TIMEOUT_S = 30,
    CONNECT_S = 10,
    MAX_WAIT_MS = 60000,
    MAX_LIFE_S = 86400,
    LIFE_S = 300, /* of a token whose server does not say */
};

/* A token is renewed that long before its end, or at half of a short life; it is not used in its last seconds, in which
 * it would expire on its way. */
static const int64_t early_ms = 300000, margin_ms = 10000;

struct account {
    const struct proxy_config_target *target;
    struct service_account *key; /* NULL: the token of the machine's own account */
    int64_t due_ms;
    unsigned failures;   /* in a row */
    struct gw_buf token; /* guarded */
    int64_t expires_ms;  /* guarded; monotonic clock */
};

struct provider_tokens {
    struct account *accounts;
    unsigned n;
    const char *ca;     /* SSL_CERT_FILE, or NULL */
    char metadata[256]; /* where the machine's own token is */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stopped;
    bool stop;    /* guarded */
    bool started; /* lock, condition and thread exist */
};

static int64_t now_ms(void)
{
    return (int64_t)(gw_clock_ns() / GW_NS_PER_MS);
}

/* ---- one fetch ------------------------------------------------------------------------------------- */

/* Asked by libcurl: ends the transfer when the gateway stops. */
static bool stopped(void *ctx)
{
    struct provider_tokens *t = ctx;
    bool stop;

    (void)pthread_mutex_lock(&t->lock);
    stop = t->stop;
    (void)pthread_mutex_unlock(&t->lock);
    return stop;
}

/* Asks for a token, of that service account with what is posted in form. False with f->why set when there was no answer. */
static bool ask(struct provider_tokens *t, const struct account *a, struct gw_buf *form,
                struct fetch_answer *f)
{
    const struct proxy_config_egress *via = &a->target->egress;
    struct gw_err err = {0};

    *f = (struct fetch_answer){.url = t->metadata,
                               .ca = t->ca,
                               .max_bytes = MAX_ANSWER,
                               .connect_s = CONNECT_S,
                               .total_s = TIMEOUT_S,
                               .stopped = stopped,
                               .ctx = t};
    if (a->key == NULL) {
        f->field = "Metadata-Flavor: Google";
        f->no_proxy = true; /* it is this machine's own */
        return fetch_answer(f);
    }
    gw_buf_adds(form,
                "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=");
    if (service_account_assert(a->key, gw_clock_wall_ms() / 1000, form, &err) != GW_OK) {
        (void)snprintf(f->why, sizeof(f->why), "%.120s", err.text);
        return false;
    }
    f->url = service_account_token_uri(a->key);
    f->post = gw_buf_span(form);
    if (via->url.set) {
        f->proxy = via->url.text;
        f->auth = via->auth.value.len == 0 ? NULL : via->auth.value.ptr;
    }
    return fetch_answer(f);
}

/* ---- answers --------------------------------------------------------------------------------------- */

static bool is_token(struct gw_span token)
{
    for (size_t i = 0; i < token.len; i++)
        if (token.ptr[i] <= 0x20 || token.ptr[i] >= 0x7F)
            return false;
    return token.len > 0 && token.len <= MAX_TOKEN;
}

/* The server's word for what is wrong, "invalid_grant", if it is a word. */
static void explain(struct fetch_answer *f, struct gw_span word)
{
    bool ok = word.len > 0 && word.len <= MAX_WORD;

    for (size_t i = 0; i < word.len && ok; i++)
        ok = (word.ptr[i] >= 'a' && word.ptr[i] <= 'z') || word.ptr[i] == '_';
    (void)snprintf(f->why, sizeof(f->why), "status %ld%s%.*s", f->status, ok ? " " : "",
                   ok ? (int)word.len : 0, ok ? word.ptr : "");
}

/* What the answer says; the token lies in the arena or the answer. */
static bool read_answer(struct fetch_answer *f, struct gw_json *json, struct gw_arena *arena,
                        struct gw_span *token, int64_t *life_s)
{
    struct gw_json_node *root = NULL;
    bool ok = gw_json_tree(json, arena, gw_buf_span(&f->body), NULL, &root, NULL) == GW_OK;

    if (f->status != 200 || !ok) {
        explain(f, ok ? gw_json_text(gw_json_get(root, "error"), arena) : GW_SPAN("not_json"));
        return false;
    }
    *token = gw_json_text(gw_json_get(root, "access_token"), arena);
    *life_s = (int64_t)gw_json_uint(gw_json_get(root, "expires_in"), LIFE_S);
    if (*life_s > MAX_LIFE_S)
        *life_s = MAX_LIFE_S;
    if (!is_token(*token)) {
        explain(f, GW_SPAN("no_access_token"));
        return false;
    }
    return true;
}

static bool keep_token(struct provider_tokens *t, struct account *a, struct gw_span token,
                       int64_t life_s)
{
    int64_t now = now_ms(), life_ms = life_s * 1000;
    struct gw_buf fresh = {0}, old;

    gw_buf_add(&fresh, token);
    if (!gw_buf_ok(&fresh)) {
        gw_buf_fini(&fresh);
        return false;
    }
    (void)pthread_mutex_lock(&t->lock);
    old = a->token;
    a->token = fresh;
    a->expires_ms = now + life_ms - (life_ms > 6 * margin_ms ? margin_ms : 0);
    (void)pthread_mutex_unlock(&t->lock);
    gw_buf_fini(&old);
    a->due_ms = now + (life_ms > 2 * early_ms ? life_ms - early_ms : life_ms / 2);
    return true;
}

static void note_failure(struct account *a, const char *why)
{
    unsigned shift = a->failures < 6 ? a->failures : 6;
    int64_t wait_ms = (int64_t)1000 << shift;
    unsigned char jitter;

    gw_random(&jitter, 1); /* so that a fleet does not ask at once */
    if (wait_ms > MAX_WAIT_MS)
        wait_ms = MAX_WAIT_MS;
    wait_ms -= wait_ms * jitter / 1024;
    a->due_ms = now_ms() + wait_ms;
    a->failures++;
    if (why[0] == '\0')
        return;
    gw_log(GW_LOG_WARN, "token_failed", "target=%s tries=%u again_in_ms=%lld why=\"%s\"",
           a->target->name, a->failures, (long long)wait_ms, why);
}

static void refresh(struct provider_tokens *t, struct account *a)
{
    struct fetch_answer f = {0};
    struct gw_buf form = {0};
    struct gw_json *json = gw_json_new();
    struct gw_arena *arena = gw_arena_new(2 * MAX_ANSWER + (64 << 10));
    struct gw_span token;
    int64_t life_s = 0;
    bool ok = json != NULL && arena != NULL;

    if (ok && (!ask(t, a, &form, &f) || !read_answer(&f, json, arena, &token, &life_s))) {
        note_failure(a, f.why);
    } else if (!ok || !keep_token(t, a, token, life_s)) {
        note_failure(a, "out of memory");
    } else {
        gw_log(GW_LOG_INFO, "token_fetched", "target=%s life_s=%lld", a->target->name,
               (long long)life_s);
        a->failures = 0;
    }
    gw_buf_fini(&form); /* wipes */
    gw_buf_fini(&f.body);
    gw_arena_free(arena);
    gw_json_free(json);
}

/* ---- the thread ------------------------------------------------------------------------------------- */

static struct account *next_due(struct provider_tokens *t)
{
    struct account *first = &t->accounts[0];

    for (unsigned i = 1; i < t->n; i++)
        if (t->accounts[i].due_ms < first->due_ms)
            first = &t->accounts[i];
    return first;
}

/* Waits until then or until the gateway stops; returns whether it stops. */
static bool wait_until(struct provider_tokens *t, int64_t due_ms)
{
    struct timespec until = {.tv_sec = due_ms / 1000, .tv_nsec = due_ms % 1000 * 1000000};
    int rc = 0;
    bool stop;

    (void)pthread_mutex_lock(&t->lock);
    while (!t->stop && rc == 0)
        rc = pthread_cond_timedwait(&t->stopped, &t->lock, &until);
    stop = t->stop;
    (void)pthread_mutex_unlock(&t->lock);
    return stop;
}

static void *run(void *arg)
{
    struct provider_tokens *t = arg;

    for (;;) {
        struct account *a = next_due(t);

        if (wait_until(t, a->due_ms))
            return NULL;
        refresh(t, a);
    }
}

/* ---- opening and closing ------------------------------------------------------------------------------ */

static enum gw_status add_accounts(struct provider_tokens *t, const struct proxy_config *cfg,
                                   struct gw_err *err)
{
    for (unsigned i = 0; i < cfg->n_targets; i++) {
        const struct proxy_config_target *target = &cfg->targets[i];
        struct account *a = &t->accounts[t->n];

        if (target->kind != PROXY_TARGET_VERTEX)
            continue;
        if (target->credentials.source[0] != '\0' &&
            service_account_read(target->credentials.value, &a->key, err) != GW_OK)
            return gw_fail_prefix(err, "targets.%s", target->name);
        a->target = target;
        a->due_ms = now_ms();
        t->n++;
    }
    return GW_OK;
}

/* Tokens of the same credentials go on; t's thread does not run yet. */
static void take_over(struct provider_tokens *t, struct provider_tokens *like)
{
    (void)pthread_mutex_lock(&like->lock);
    for (unsigned i = 0; i < t->n; i++) {
        struct account *a = &t->accounts[i];

        for (unsigned k = 0; k < like->n && a->token.len == 0; k++) {
            const struct account *b = &like->accounts[k];

            if (b->token.len == 0 || (a->key == NULL) != (b->key == NULL) ||
                !gw_span_eq(a->target->credentials.value, b->target->credentials.value))
                continue;
            gw_buf_add(&a->token, gw_buf_span(&b->token));
            a->expires_ms = b->expires_ms;
            if (a->expires_ms - early_ms > a->due_ms)
                a->due_ms = a->expires_ms - early_ms;
        }
    }
    (void)pthread_mutex_unlock(&like->lock);
}

static void read_environment(struct provider_tokens *t)
{
    const char *host;

    t->ca = getenv("SSL_CERT_FILE"); // NOLINT(concurrency-mt-unsafe): before the threads
    if (t->ca != NULL && t->ca[0] == '\0')
        t->ca = NULL;
    host = getenv("GCE_METADATA_HOST"); // NOLINT(concurrency-mt-unsafe): as Google's libraries
    (void)snprintf(t->metadata, sizeof(t->metadata),
                   "http://%.150s/computeMetadata/v1/instance/service-accounts/default/token",
                   host == NULL || host[0] == '\0' ? "metadata.google.internal" : host);
}

static enum gw_status start(struct provider_tokens *t, struct gw_err *err)
{
    pthread_condattr_t attr;
    bool ok = pthread_condattr_init(&attr) == 0 &&
              pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(&t->stopped, &attr) == 0 &&
              pthread_mutex_init(&t->lock, NULL) == 0; /* on Linux these take nothing */

    (void)pthread_condattr_destroy(&attr);
    if (!ok || !fetch_answer_init())
        return gw_fail(err, GW_ENOMEM, "out of memory");
    if (pthread_create(&t->thread, NULL, run, t) != 0)
        return gw_fail(err, GW_EIO, "cannot start the thread that fetches access tokens: %s",
                       strerrordesc_np(errno));
    t->started = true;
    return GW_OK;
}

enum gw_status provider_tokens_open(const struct proxy_config *cfg, struct provider_tokens *like,
                                    struct provider_tokens **out, struct gw_err *err)
{
    struct provider_tokens *t = calloc(1, sizeof(*t));
    enum gw_status st;

    if (t != NULL)
        t->accounts = calloc(cfg->n_targets + 1, sizeof(*t->accounts));
    if (t == NULL || t->accounts == NULL) {
        provider_tokens_close(t);
        return gw_fail(err, GW_ENOMEM, "out of memory");
    }
    read_environment(t);
    st = add_accounts(t, cfg, err);
    if (st == GW_OK && like != NULL)
        take_over(t, like);
    if (st == GW_OK && t->n > 0)
        st = start(t, err);
    if (st != GW_OK || t->n == 0) {
        provider_tokens_close(t);
        t = NULL;
    }
    if (st == GW_OK)
        *out = t;
    return st;
}

static bool all_there(struct provider_tokens *t)
{
    bool all = true;

    (void)pthread_mutex_lock(&t->lock);
    for (unsigned i = 0; i < t->n; i++)
        all = all && t->accounts[i].token.len != 0;
    (void)pthread_mutex_unlock(&t->lock);
    return all;
}

void provider_tokens_wait(struct provider_tokens *t, int64_t timeout_ms)
{
    const struct timespec tick = {0, 10000000};
    int64_t end = now_ms() + timeout_ms;

    while (t != NULL && !all_there(t) && now_ms() < end)
        (void)nanosleep(&tick, NULL);
}

void provider_tokens_close(struct provider_tokens *t)
{
    if (t == NULL)
        return;
    if (t->started) {
        (void)pthread_mutex_lock(&t->lock);
        t->stop = true;
        (void)pthread_cond_signal(&t->stopped);
        (void)pthread_mutex_unlock(&t->lock);
        (void)pthread_join(t->thread, NULL);
        (void)pthread_cond_destroy(&t->stopped);
        (void)pthread_mutex_destroy(&t->lock);
    }
    for (unsigned i = 0; t->accounts != NULL && i < t->n; i++) {
        service_account_free(t->accounts[i].key);
        gw_buf_fini(&t->accounts[i].token); /* wipes */
    }
    free(t->accounts);
    free(t);
}

enum gw_status provider_tokens_add(struct provider_tokens *t,
                                   const struct proxy_config_target *target, struct gw_buf *out,
                                   struct gw_err *err)
{
    for (unsigned i = 0; t != NULL && i < t->n; i++) {
        struct account *a = &t->accounts[i];
        bool valid;

        if (a->target != target)
            continue;
        (void)pthread_mutex_lock(&t->lock);
        valid = a->token.len > 0 && now_ms() < a->expires_ms;
        if (valid)
            gw_buf_add(out, gw_buf_span(&a->token));
        (void)pthread_mutex_unlock(&t->lock);
        if (!valid)
            return gw_fail(err, GW_EAGAIN,
                           "The target %.64s has no access token yet; the gateway's log says why.",
                           target->name);
        return gw_buf_ok(out) ? GW_OK : gw_fail(err, GW_ENOMEM, "out of memory");
    }
    return gw_fail(err, GW_ENOENT, "The target %.64s has no access tokens.", target->name);
}
