/* proxy/identity/identity.c - tokens and certificates become principals. Any thread. */
#include "proxy/identity/identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "proxy/identity/jwt.h"
#include "proxy/identity/keyring.h"
#include "proxy/identity/token_cache.h"
#include "router/router.h"

enum { MAX_CLAIM = 128, MAX_REMEMBERED = 4096 };

struct identity {
    const struct proxy_config *cfg;
    struct keyring **rings;    /* one a line of auth.jwt */
    struct token_cache *cache; /* of tokens that this configuration accepted; NULL: no issuers */
};

/* ---- life ---------------------------------------------------------------------------------------- */

static struct keyring *find_ring(const struct identity *like, const struct proxy_config_jwt *j)
{
    for (unsigned i = 0; like != NULL && i < like->cfg->auth.n_jwt; i++)
        if (like->rings[i] != NULL && keyring_suits(like->rings[i], j))
            return keyring_ref(like->rings[i]);
    return NULL;
}

enum gw_status identity_open(const struct proxy_config *cfg, const struct identity *like,
                             struct identity **out, struct gw_err *err)
{
    struct identity *id = calloc(1, sizeof(*id));
    enum gw_status st = GW_OK;

    if (id != NULL) {
        id->cfg = cfg;
        id->rings = calloc(cfg->auth.n_jwt + 1, sizeof(struct keyring *));
        id->cache = cfg->auth.n_jwt == 0 ? NULL : token_cache_new(MAX_REMEMBERED);
    }
    if (id == NULL || id->rings == NULL || (id->cache == NULL && cfg->auth.n_jwt != 0)) {
        if (id != NULL)
            free(id->rings);
        free(id);
        return gw_fail(err, GW_ENOMEM, "out of memory");
    }
    for (unsigned i = 0; i < cfg->auth.n_jwt && st == GW_OK; i++) {
        const struct proxy_config_jwt *j = &cfg->auth.jwt[i];

        id->rings[i] = find_ring(like, j);
        if (id->rings[i] == NULL)
            id->rings[i] = find_ring(id, j); /* two lines of one issuer */
        if (id->rings[i] == NULL)
            st = keyring_open(j, &id->rings[i], err);
    }
    if (st != GW_OK) {
        identity_close(id);
        return st;
    }
    *out = id;
    return GW_OK;
}

void identity_close(struct identity *id)
{
    if (id == NULL)
        return;
    for (unsigned i = 0; i < id->cfg->auth.n_jwt; i++)
        keyring_unref(id->rings[i]);
    token_cache_free(id->cache);
    free(id->rings);
    free(id);
}

/* ---- what both have ------------------------------------------------------------------------------- */

static bool grant(struct proxy_principal *who, const struct proxy_config_grants *g,
                  struct gw_arena *arena)
{
    struct proxy_network *nets = gw_arena_array(arena, g->networks.n, sizeof(*nets));

    if (nets == NULL)
        return false;
    for (unsigned i = 0; i < g->networks.n; i++) {
        const struct proxy_config_net *n = &g->networks.items[i];

        nets[i].family = n->family;
        nets[i].bits = n->bits;
        memcpy(nets[i].bytes, n->bytes, sizeof(nets[i].bytes));
    }
    who->networks = nets;
    who->n_networks = g->networks.n;
    who->owner = gw_span_str(g->owner);
    who->team = gw_span_str(g->team);
    who->groups = g->groups.items;
    who->n_groups = g->groups.n;
    who->models = g->models.items;
    who->n_models = g->models.n;
    who->targets = g->targets.items;
    who->n_targets = g->targets.n;
    return true;
}

/* ---- tokens ---------------------------------------------------------------------------------------- */

bool identity_is_token(const struct identity *id, struct gw_span credential)
{
    return id != NULL && id->cfg->auth.n_jwt != 0 && jwt_looks_like(credential);
}

/* What goes into records, headers and patterns: one line of text. */
static bool is_plain(struct gw_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7F)
            return false;
    return text.len > 0 && text.len <= MAX_CLAIM;
}

/* A claim that is one text. False when it is there and is none that can be used. */
static bool text_claim(const struct jwt *t, const char *name, struct gw_arena *arena,
                       struct gw_span *out)
{
    const struct gw_json_node *node = name[0] == '\0' ? NULL : jwt_claim(t, name, arena);
    struct gw_span text = gw_json_text(node, arena);

    if (node == NULL || gw_json_is(node, GW_JSON_NULL))
        return true;
    if (!is_plain(text))
        return false;
    *out = text;
    return true;
}

/* Adds the texts of a claim (a list, or one text with blanks) to those that are there. False when it has the wrong form or
 * more than max. */
static bool list_claim(const struct gw_json_node *node, unsigned max, struct gw_arena *arena,
                       const struct gw_span **items, unsigned *n)
{
    struct gw_span *all = gw_arena_array(arena, max, sizeof(*all));
    struct gw_span rest = gw_json_text(node, arena);
    unsigned count = *n;

    if (all == NULL || count > max)
        return false;
    if (count != 0)
        memcpy(all, *items, count * sizeof(*all));
    if (gw_json_is(node, GW_JSON_ARRAY_BEGIN)) {
        for (const struct gw_json_node *i = node->child; i != NULL; i = i->next) {
            struct gw_span text = gw_json_text(i, arena);

            if (count == max || !is_plain(text))
                return false;
            all[count++] = text;
        }
    } else if (rest.ptr == NULL) {
        return false;
    }
    while (rest.len != 0) {
        const char *blank = memchr(rest.ptr, ' ', rest.len);
        struct gw_span text = {rest.ptr, blank == NULL ? rest.len : (size_t)(blank - rest.ptr)};

        rest = gw_span_from(rest, text.len + 1);
        if (text.len == 0)
            continue;
        if (count == max || !is_plain(text))
            return false;
        all[count++] = text;
    }
    *items = all;
    *n = count;
    return true;
}

/* "jwt:" and a digest of issuer and user: the same for all tokens of one user, so that a new token is no new budget. */
static struct gw_span token_id(const char *issuer, struct gw_span user, struct gw_arena *arena)
{
    unsigned char sum[GW_SHA256_BYTES];
    char hex[GW_SHA256_HEX_BYTES], text[24];
    struct gw_buf both = {0};
    struct gw_span id = {NULL, 0};

    gw_buf_adds(&both, issuer);
    gw_buf_addc(&both, '\n');
    gw_buf_add(&both, user);
    if (gw_buf_ok(&both)) {
        gw_sha256(gw_buf_span(&both), sum);
        gw_hex(sum, sizeof(sum), hex);
        (void)snprintf(text, sizeof(text), "jwt:%.16s", hex);
        id = gw_arena_copy(arena, gw_span_str(text));
    }
    gw_buf_fini(&both);
    return id;
}

/* The principal of verified claims. */
static enum gw_status read_claims(const struct jwt *t, const struct proxy_config_jwt *j,
                                  struct gw_arena *arena, struct proxy_principal *out,
                                  const char **why)
{
    struct proxy_principal who = {.via = PROXY_VIA_JWT};
    const struct gw_json_node *groups =
        j->claim_groups[0] == '\0' ? NULL : jwt_claim(t, j->claim_groups, arena);
    bool ok = grant(&who, &j->grants, arena);

    *why = "The token lacks a claim that says who it stands for, or a claim has the wrong form.";
    ok = ok && text_claim(t, j->claim_user, arena, &who.user) && who.user.len != 0 &&
         text_claim(t, j->claim_owner, arena, &who.owner) &&
         text_claim(t, j->claim_team, arena, &who.team) &&
         (groups == NULL ||
          list_claim(groups, PROXY_PRINCIPAL_MAX_GROUPS, arena, &who.groups, &who.n_groups));
    if (ok && j->claim_models[0] != '\0') {
        who.models = NULL;
        who.n_models = 0;
        /* An empty list would not restrict, so it counts as a claim that is missing. */
        ok = list_claim(jwt_claim(t, j->claim_models, arena), PROXY_PRINCIPAL_MAX_NAMES, arena,
                        &who.models, &who.n_models) &&
             who.n_models != 0;
    }
    if (gw_arena_failed(arena))
        return GW_ENOMEM;
    if (!ok)
        return GW_EDENIED;
    who.name = who.user;
    who.id = token_id(j->issuer, who.user, arena);
    if (who.id.ptr == NULL)
        return GW_ENOMEM;
    *out = who;
    return GW_OK;
}

/* Verifies with the keys of one issuer; *serial gets theirs. */
static enum gw_status verify(const struct jwt *t, const struct proxy_config_jwt *j,
                             struct keyring *ring, uint64_t *serial, const char **why)
{
    struct jwt_keys *keys;
    enum gw_status st;

    *why = "The token's signature algorithm is not accepted.";
    if ((t->algorithm & j->algorithms) == 0)
        return GW_EDENIED;
    *why = "The keys of the token's issuer cannot be had now; try again later.";
    keys = keyring_get(ring);
    if (keys == NULL)
        return keyring_want(ring) ? GW_EAGAIN : GW_EIO;
    st = jwt_verify(t, keys);
    *serial = jwt_keys_serial(keys);
    jwt_keys_unref(keys);
    *why = "The token's signature is wrong.";
    if (st == GW_ENOENT) {
        *why = "The token's key is not known.";
        return keyring_want(ring) ? GW_EAGAIN : GW_EDENIED;
    }
    return st;
}

/* One line of auth.jwt. */
static enum gw_status judge(const struct identity *id, unsigned i, const struct jwt *t,
                            int64_t now_ms, struct gw_arena *arena, struct proxy_principal *out,
                            struct token_proof *proof, const char **why)
{
    const struct proxy_config_jwt *j = &id->cfg->auth.jwt[i];
    const struct jwt_times times = {now_ms / 1000, j->leeway_ms / 1000};
    struct jwt_validity v = {0};
    uint64_t serial = 0;
    enum gw_status st;

    GW_TRY(verify(t, j, id->rings[i], &serial, why));
    *why = "The token is for another audience.";
    if (!jwt_has_audience(t, j->audience.items, j->audience.n))
        return GW_EDENIED;
    st = jwt_check_times(t, &times, &v, why);
    if (st != GW_OK)
        return st == GW_ETIMEDOUT ? st : GW_EDENIED;
    GW_TRY(read_claims(t, j, arena, out, why));
    out->expires_ms = v.until_s * 1000;
    *proof = (struct token_proof){i, serial, v.from_s * 1000, v.until_s * 1000};
    return GW_OK;
}

/* What accepted the token before would accept it again: the same keys are in force, and it is the token's time. */
static bool recall(const struct identity *id, const unsigned char *sum, int64_t now_ms,
                   struct gw_arena *arena, struct proxy_principal *out)
{
    struct proxy_principal who;
    struct token_proof proof;
    struct jwt_keys *keys;
    bool same;

    if (!token_cache_get(id->cache, sum, now_ms, arena, &who, &proof))
        return false;
    keys = keyring_get(id->rings[proof.line]);
    same = keys != NULL && jwt_keys_serial(keys) == proof.keys_serial;
    jwt_keys_unref(keys);
    if (same)
        *out = who;
    return same;
}

/* Could that line accept the token at another time, or with other keys? */
static bool may_accept(const struct proxy_config_jwt *j, const struct jwt *t)
{
    return (t->algorithm & j->algorithms) != 0 &&
           jwt_has_audience(t, j->audience.items, j->audience.n);
}

enum gw_status identity_of_token(const struct identity *id, struct gw_span token, int64_t now_ms,
                                 struct gw_json *json, struct gw_arena *arena,
                                 struct proxy_principal *out, const char **why)
{
    unsigned char sum[GW_SHA256_BYTES];
    enum gw_status st, worst = GW_EDENIED;
    bool first = true; /* no line before this one will ever accept it */
    struct token_proof proof;
    const char *reason;
    struct jwt t;

    gw_sha256(token, sum);
    if (recall(id, sum, now_ms, arena, out))
        return GW_OK;
    st = jwt_read(token, arena, json, &t, why);
    if (st != GW_OK)
        return st == GW_ENOMEM ? st : GW_EDENIED;
    *why = "The token's issuer is not known.";
    for (unsigned i = 0; i < id->cfg->auth.n_jwt; i++) {
        if (!gw_span_is(t.issuer, id->cfg->auth.jwt[i].issuer))
            continue;
        st = judge(id, i, &t, now_ms, arena, out, &proof, &reason);
        if (st == GW_OK && first)
            token_cache_put(id->cache, sum, out, &proof);
        if (st == GW_OK || st == GW_ENOMEM)
            return st;
        first = first && !may_accept(&id->cfg->auth.jwt[i], &t);
        if (worst == GW_EDENIED) { /* of several lines, the reason that is not "no" counts */
            worst = st;
            *why = reason;
        }
    }
    return worst;
}

/* ---- certificates ----------------------------------------------------------------------------------- */

/* The first of the names that one of the patterns matches; no patterns: the first name. */
static const struct gw_span *match(const struct cert_names *names,
                                   const struct proxy_config_list *patterns)
{
    for (unsigned i = 0; i < names->n; i++)
        if (router_name_matches(patterns->items, patterns->n, names->items[i]))
            return &names->items[i];
    return NULL;
}

static bool line_matches(const struct proxy_config_mtls *m, const struct cert *cert)
{
    for (unsigned i = 0; i < PROXY_CERT_FIELDS; i++)
        if (m->names[i].n != 0 && match(&cert->names[i], &m->names[i]) == NULL)
            return false;
    return (m->org.n == 0 || match(&cert->org, &m->org) != NULL) &&
           (m->unit.n == 0 || match(&cert->unit, &m->unit) != NULL);
}

enum gw_status identity_of_cert(const struct identity *id, const struct cert *cert, int64_t now_ms,
                                struct gw_arena *arena, struct proxy_principal *out)
{
    if (now_ms >= cert->expires_ms)
        return GW_ETIMEDOUT;
    for (unsigned i = 0; i < id->cfg->auth.n_mtls; i++) {
        const struct proxy_config_mtls *m = &id->cfg->auth.mtls[i];
        struct proxy_principal who = {.via = PROXY_VIA_MTLS};
        const struct gw_span *user;

        if (!line_matches(m, cert))
            continue;
        user = match(&cert->names[m->user_from], &m->names[m->user_from]);
        who.user = user == NULL ? GW_SPAN("") : *user;
        if (m->user[0] != '\0')
            who.user = gw_span_str(m->user);
        if (who.user.len == 0) /* a line that matches and names nobody lets nobody in */
            return GW_ENOENT;
        if (!grant(&who, &m->grants, arena))
            return GW_ENOMEM;
        who.name = who.user;
        who.id = cert->id;
        who.expires_ms = cert->expires_ms;
        *out = who;
        return GW_OK;
    }
    return GW_ENOENT;
}
