/* proxy/request/conversation.c - see conversation.h. */
#include "proxy/request/conversation.h"

#include <string.h>

#include "base/digest.h"
#include "base/log.h"
#include "proxy/net/worker.h"
#include "proxy/request/pins.h"
#include "proxy/request/request_private.h"

enum { MAX_IDS = 16, MAX_ANSWERS = 32, MIN_ANSWER_BYTES = 64 };

/* The names of one request's conversation. */
struct names {
    unsigned char key[GW_SHA256_BYTES]; /* the caller's */
    struct pins_key caller;             /* known when anything of the caller's is */
    struct pins_key ids[MAX_IDS];       /* that the request names */
    unsigned n_ids;
    struct pins_key *chain; /* of what was said up to each message */
    unsigned n_chain;
    struct pins_key answers[MAX_ANSWERS]; /* long ones of a model, the last that came */
    unsigned n_answers;
};

/* ---- keyed names ---------------------------------------------------------------------------- */

static bool keyed(struct gw_span key, const char *kind, struct gw_span bytes,
                  unsigned char mac[GW_SHA256_BYTES])
{
    struct gw_buf b = {0};
    bool ok;

    gw_buf_adds(&b, kind);
    gw_buf_addc(&b, '\0');
    gw_buf_add(&b, bytes);
    ok = gw_buf_ok(&b);
    if (ok)
        gw_hmac_sha256(key, gw_buf_span(&b), mac);
    gw_buf_fini(&b);
    return ok;
}

static bool name_it(const struct names *n, const char *kind, struct gw_span bytes,
                    struct pins_key *out)
{
    unsigned char mac[GW_SHA256_BYTES];

    if (!keyed((struct gw_span){(const char *)n->key, sizeof(n->key)}, kind, bytes, mac))
        return false;
    memcpy(out->bytes, mac, sizeof(out->bytes));
    return true;
}

/* Whose conversations these are: the key's, or of who has none, the address's. */
static bool name_caller(const struct req *req, struct names *n)
{
    struct gw_buf who = {0};
    bool ok;

    gw_buf_add(&who, req->who.owner);
    gw_buf_addc(&who, '\0');
    gw_buf_add(&who, req->who.id);
    gw_buf_addc(&who, '\0');
    gw_buf_add(&who, req->who.name);
    ok = gw_buf_ok(&who) && keyed(req_hmac_key(req), "conversations of", gw_buf_span(&who), n->key);
    gw_buf_fini(&who);
    return ok && name_it(n, "caller", (struct gw_span){NULL, 0}, &n->caller);
}

/* ---- ids that the request names -------------------------------------------------------------- */

static bool add_id(const struct req *req, const struct gw_json_node *node, struct names *n)
{
    struct gw_span id;

    if (gw_json_is(node, GW_JSON_OBJECT_BEGIN))
        node = gw_json_get(node, "id");
    if (!gw_json_is(node, GW_JSON_STRING) || n->n_ids == MAX_IDS)
        return true;
    id = gw_json_text(node, req->arena);
    return id.ptr != NULL && (id.len == 0 || name_it(n, "id", id, &n->ids[n->n_ids++]));
}

/* Members by which a provider finds what it keeps of the conversation. */
static const char *const state[] = {"previous_response_id", "conversation", "container",
                                    "cachedContent", "cached_content"};

static bool read_ids(const struct req *req, struct names *n)
{
    static const char *const sessions[] = {"conversation_id", "session_id", "thread_id", "chat_id"};
    const struct gw_json_node *metadata = gw_json_get(req->tree, "metadata");

    for (size_t i = 0; i < sizeof(state) / sizeof(state[0]); i++)
        if (!add_id(req, gw_json_get(req->tree, state[i]), n))
            return false;
    for (size_t i = 0; i < sizeof(sessions) / sizeof(sessions[0]); i++)
        if (!add_id(req, gw_json_get(req->tree, sessions[i]), n) ||
            !add_id(req, gw_json_get(metadata, sessions[i]), n))
            return false;
    return true;
}

/* ---- what was said --------------------------------------------------------------------------- */

static struct gw_span trimmed(struct gw_span s)
{
    while (s.len != 0 && strchr(" \t\r\n", s.ptr[s.len - 1]) != NULL)
        s.len--;
    return s;
}

static bool add_message(const struct req *req, const struct api_message *m,
                        unsigned char link[GW_SHA256_BYTES], struct names *n)
{
    struct gw_span text = trimmed(api_message_text(m, req->arena));
    struct gw_hash *h = gw_hash_new();

    if (h == NULL)
        return false;
    gw_hash_add(h, (struct gw_span){(const char *)link, GW_SHA256_BYTES});
    gw_hash_add(h, m->role == API_ROLE_ASSISTANT ? GW_SPAN("a") : GW_SPAN("u"));
    gw_hash_add(h, text);
    gw_hash_final(h, link);
    memcpy(n->chain[n->n_chain++].bytes, link, PINS_KEY_BYTES);
    if (m->role != API_ROLE_ASSISTANT || text.len < MIN_ANSWER_BYTES)
        return true;
    return name_it(n, "answer", text, &n->answers[n->n_answers++ % MAX_ANSWERS]);
}

static bool read_history(const struct req *req, struct names *n)
{
    const struct api_request *a = &req->asked;
    unsigned char link[GW_SHA256_BYTES];
    bool ok = true;

    n->chain = gw_arena_array(req->arena, a->n_messages + 1, sizeof(*n->chain));
    if (n->chain == NULL)
        return false;
    memcpy(link, n->key, sizeof(link));
    for (unsigned i = 0; ok && i < a->n_messages; i++)
        if (a->messages[i].role != API_ROLE_SYSTEM)
            ok = add_message(req, &a->messages[i], link, n);
    if (n->n_answers > MAX_ANSWERS)
        n->n_answers = MAX_ANSWERS;
    explicit_bzero(link, sizeof(link));
    return ok;
}

struct gw_span conversation_first(const struct req *req)
{
    const struct api_request *a = &req->asked;
    const struct gw_span none = {NULL, 0};

    if (req->ep.kind != ENDPOINT_CHAT && req->ep.kind != ENDPOINT_COUNT_TOKENS)
        return none;
    if (req->ep.dialect == API_RESPONSES &&
        !gw_json_is(gw_json_get(req->tree, "store"), GW_JSON_FALSE))
        return none;
    for (size_t i = 0; i < sizeof(state) / sizeof(state[0]); i++) {
        const struct gw_json_node *node = gw_json_get(req->tree, state[i]);

        if (node != NULL && !gw_json_is(node, GW_JSON_NULL))
            return none;
    }
    for (unsigned i = 0; i < a->n_messages; i++)
        if (a->messages[i].role != API_ROLE_SYSTEM)
            return trimmed(api_message_text(&a->messages[i], req->arena));
    return none;
}

/* ---- pins ------------------------------------------------------------------------------------ */

static unsigned ask_all(struct pins *p, const struct names *n, int64_t now_ms)
{
    unsigned zones = GW_ZONES_ALL;

    for (unsigned i = 0; i < n->n_ids; i++)
        zones &= pins_get(p, &n->ids[i], now_ms);
    for (unsigned i = 0; i < n->n_answers; i++)
        zones &= pins_get(p, &n->answers[i], now_ms);
    /* The last message is the new one: the same question asked again goes on with nothing. */
    for (unsigned i = 0; i + 1 < n->n_chain; i++)
        zones &= pins_get(p, &n->chain[i], now_ms);
    return zones;
}

bool conversation_pinned(const struct req *req, unsigned *zones)
{
    struct pins *p = req->w->server->pins;
    struct names n = {.n_ids = 0};
    bool known = true;

    if (!pins_any(p))
        return false;
    *zones = 0;
    if (name_caller(req, &n)) {
        known = pins_get(p, &n.caller, req->judged_ms) != GW_ZONES_ALL;
        if (known && read_ids(req, &n) && read_history(req, &n)) {
            *zones = ask_all(p, &n, req->judged_ms);
            known = *zones != GW_ZONES_ALL;
        }
    }
    explicit_bzero(n.key, sizeof(n.key));
    return known;
}

struct putting {
    const struct req *req;
    bool ok;
};

static void put(struct putting *to, const struct pins_key *key, unsigned zones)
{
    int64_t now_ms = to->req->judged_ms;

    to->ok &= pins_put(to->req->w->server->pins, key, zones, now_ms,
                       now_ms + to->req->setup->cfg->conversations.ttl_ms);
}

static void tell(const struct putting *done)
{
    if (!done->ok)
        gw_log(GW_LOG_WARN, "conversation_pin_lost",
               "req=%s too many conversations are kept in some zone, or memory is out",
               done->req->id);
}

void conversation_pin(const struct req *req, unsigned zones)
{
    struct putting to = {.req = req, .ok = true};
    struct names n = {.n_ids = 0};

    if (!name_caller(req, &n) || !read_ids(req, &n) || !read_history(req, &n)) {
        to.ok = false;
    } else {
        put(&to, &n.caller, 0); /* any zones but all: that there is something */
        for (unsigned i = 0; i < n.n_ids; i++)
            put(&to, &n.ids[i], zones);
        for (unsigned i = 0; i < n.n_answers; i++)
            put(&to, &n.answers[i], zones);
        if (n.n_chain != 0)
            put(&to, &n.chain[n.n_chain - 1], zones);
    }
    explicit_bzero(n.key, sizeof(n.key));
    tell(&to);
}

void conversation_pin_answer(const struct req *req, struct gw_span id, unsigned zones)
{
    struct putting to = {.req = req, .ok = true};
    struct names n = {.n_ids = 0};
    struct pins_key key;

    if (id.len == 0)
        return;
    to.ok = name_caller(req, &n) && name_it(&n, "id", id, &key);
    if (to.ok)
        put(&to, &key, zones);
    explicit_bzero(n.key, sizeof(n.key));
    tell(&to);
}
