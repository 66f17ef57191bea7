/* proxy/store/store_key.c - what a key is: its text, the form of its fields, its JSON. Thread: any.
 *
 * The only place where the text of a new key exists: it is made here, hashed, handed to the caller, and wiped. */
#include "proxy/store/store_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"

enum { KEY_RANDOM_BYTES = 32, KEY_DIGITS = 43, MAX_OWNER_BYTES = 128, MAX_PATTERN_BYTES = 128 };

/* ---- the text ---------------------------------------------------------------------------------- */

/* 62^43 is just above 2^256, so 43 digits hold 32 bytes. Schoolbook division, once a key. */
static void base62(unsigned char bytes[KEY_RANDOM_BYTES], char out[KEY_DIGITS])
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    for (int i = KEY_DIGITS - 1; i >= 0; i--) {
        unsigned rest = 0;

        for (int k = 0; k < KEY_RANDOM_BYTES; k++) {
            unsigned n = rest << 8 | bytes[k];

            bytes[k] = (unsigned char)(n / 62);
            rest = n % 62;
        }
        out[i] = digits[rest];
    }
}

void store_key_make(bool admin, char key[PROXY_KEY_BYTES], unsigned char sha256[GW_SHA256_BYTES])
{
    unsigned char bytes[KEY_RANDOM_BYTES];

    gw_random(bytes, sizeof(bytes));
    memcpy(key, admin ? "sla_" : "slk_", 4);
    base62(bytes, key + 4); /* also leaves zeroes in bytes */
    key[PROXY_KEY_BYTES - 1] = '\0';
    gw_sha256((struct gw_span){key, PROXY_KEY_BYTES - 1}, sha256);
}

/* ---- roles -------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum proxy_role role;
    unsigned may; /* OR of enum proxy_role */
} roles[] = {
    {"viewer", PROXY_ROLE_VIEWER, PROXY_ROLE_VIEWER},
    {"auditor", PROXY_ROLE_AUDITOR, PROXY_ROLE_VIEWER | PROXY_ROLE_AUDITOR},
    {"operator", PROXY_ROLE_OPERATOR, PROXY_ROLE_VIEWER | PROXY_ROLE_OPERATOR},
    {"admin", PROXY_ROLE_ADMIN,
     PROXY_ROLE_VIEWER | PROXY_ROLE_AUDITOR | PROXY_ROLE_OPERATOR | PROXY_ROLE_ADMIN},
};
enum { N_ROLES = sizeof(roles) / sizeof(roles[0]) };

const char *proxy_role_name(enum proxy_role role)
{
    for (unsigned i = 0; i < N_ROLES; i++)
        if (roles[i].role == role)
            return roles[i].name;
    return "";
}

bool proxy_role_parse(struct gw_span name, enum proxy_role *out)
{
    for (unsigned i = 0; i < N_ROLES; i++) {
        if (gw_span_is(name, roles[i].name)) {
            *out = roles[i].role;
            return true;
        }
    }
    return false;
}

bool proxy_role_may(enum proxy_role has, enum proxy_role needs)
{
    for (unsigned i = 0; i < N_ROLES; i++)
        if (roles[i].role == has)
            return needs != PROXY_ROLE_NONE && (roles[i].may & (unsigned)needs) != 0;
    return false;
}

/* ---- the form of fields ------------------------------------------------------------------------- */

/* Names go into headers, records, policy patterns and lists with commas. */
static bool is_name(struct gw_span name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = gw_ascii_lower(name.ptr[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
              c == '@' || c == '-'))
            return false;
    }
    return name.len > 0 && name.len < PROXY_KEY_NAME_BYTES;
}

static bool is_pattern(struct gw_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= 0x20 || text.ptr[i] >= 0x7F || text.ptr[i] == ',' || text.ptr[i] == '"')
            return false;
    return text.len > 0 && text.len <= MAX_PATTERN_BYTES;
}

static bool is_network(struct gw_span text)
{
    struct proxy_network net;

    return proxy_network_parse(text, &net);
}

static enum gw_status check_name(const char *what, const char *name, struct gw_err *err)
{
    if (is_name(gw_span_str(name)))
        return GW_OK;
    return gw_fail(err, GW_EINVAL, "a %s is 1 to %d letters, digits, '.', '_', '@' and '-'", what,
                   PROXY_KEY_NAME_BYTES - 1);
}

static enum gw_status check_owner(const char *owner, struct gw_err *err)
{
    size_t n = strlen(owner);

    for (size_t i = 0; i < n; i++)
        if ((unsigned char)owner[i] < 0x20 || owner[i] == 0x7F)
            return gw_fail(err, GW_EINVAL, "the owner holds a control character");
    if (n > MAX_OWNER_BYTES)
        return gw_fail(err, GW_EINVAL, "the owner is longer than %d bytes", MAX_OWNER_BYTES);
    return GW_OK;
}

bool store_key_next(struct gw_span *list, struct gw_span *item)
{
    const char *comma;

    if (list->ptr == NULL || list->len == 0)
        return false;
    comma = memchr(list->ptr, ',', list->len);
    item->ptr = list->ptr;
    item->len = comma == NULL ? list->len : (size_t)(comma - list->ptr);
    *list = gw_span_from(*list, item->len + 1);
    return true;
}

static enum gw_status check_list(const char *what, const char *text, unsigned max,
                                 bool (*good)(struct gw_span item), const char *form,
                                 struct gw_err *err)
{
    struct gw_span rest = gw_span_str(text), item;
    size_t n = rest.len;
    unsigned count = 0;

    if (n > 0 && rest.ptr[n - 1] == ',')
        return gw_fail(err, GW_EINVAL, "%s: ends with a comma", what);
    while (store_key_next(&rest, &item)) {
        if (!good(item))
            return gw_fail(err, GW_EINVAL, "%s: \"%.*s\" is not %s", what,
                           (int)(item.len < 48 ? item.len : 48), item.ptr, form);
        if (++count > max)
            return gw_fail(err, GW_EINVAL, "%s: more than %u", what, max);
    }
    return GW_OK;
}

static enum gw_status check_lists(const struct proxy_key_info *k, struct gw_err *err)
{
    GW_TRY(check_list("groups", k->groups, PROXY_PRINCIPAL_MAX_GROUPS, is_name,
                      "a group: letters, digits, '.', '_', '@' and '-'", err));
    GW_TRY(check_list("models", k->models, PROXY_PRINCIPAL_MAX_NAMES, is_pattern,
                      "a pattern of model names such as gpt-*", err));
    GW_TRY(check_list("targets", k->targets, PROXY_PRINCIPAL_MAX_NAMES, is_pattern,
                      "a pattern of targets such as openai", err));
    return check_list("networks", k->networks, PROXY_PRINCIPAL_MAX_NETWORKS, is_network,
                      "an address or a range such as 10.0.0.0/8 (no bits behind the prefix)", err);
}

enum gw_status store_key_check(const struct proxy_key_info *k, struct gw_err *err)
{
    enum proxy_role role;

    GW_TRY(check_name("name", k->name, err));
    if (k->user[0] != '\0')
        GW_TRY(check_name("user", k->user, err));
    if (k->team[0] != '\0')
        GW_TRY(check_name("team", k->team, err));
    GW_TRY(check_owner(k->owner, err));
    if (k->role[0] != '\0' && !proxy_role_parse(gw_span_str(k->role), &role))
        return gw_fail(err, GW_EINVAL, "a role is viewer, auditor, operator or admin");
    return check_lists(k, err);
}

/* ---- times --------------------------------------------------------------------------------------- */

enum { DAY_MS = 86400000, HOUR_MS = 3600000, MAX_DAYS = 36500 };

bool proxy_key_span_parse(const char *text, int64_t *out)
{
    char *end = NULL;
    unsigned long n = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || n == 0 || n > MAX_DAYS)
        return false;
    if (strcmp(end, "d") == 0)
        *out = (int64_t)n * DAY_MS;
    else if (strcmp(end, "h") == 0)
        *out = (int64_t)n * HOUR_MS;
    else
        return false;
    return true;
}

bool proxy_key_expiry_parse(const char *text, int64_t now_ms, int64_t *out)
{
    int64_t ms;
    bool is_day;

    if (strcmp(text, "never") == 0 || text[0] == '\0') {
        *out = 0;
        return true;
    }
    if (proxy_key_span_parse(text, &ms))
        ms += now_ms;
    else if (!gw_clock_parse(text, &ms, &is_day))
        return false;
    else if (is_day) /* until its end */
        ms += DAY_MS;
    if (ms <= now_ms)
        return false;
    *out = ms;
    return true;
}

/* ---- JSON --------------------------------------------------------------------------------------- */

static void put_text(struct gw_buf *out, const char *name, const char *text)
{
    gw_buf_printf(out, ",\"%s\":", name);
    gw_buf_add_json_str(out, gw_span_str(text));
}

static void put_list(struct gw_buf *out, const char *name, const char *text)
{
    struct gw_span rest = gw_span_str(text), item;
    const char *between = "";

    gw_buf_printf(out, ",\"%s\":[", name);
    while (store_key_next(&rest, &item)) {
        gw_buf_adds(out, between);
        gw_buf_add_json_str(out, item);
        between = ",";
    }
    gw_buf_addc(out, ']');
}

static void put_time(struct gw_buf *out, const char *name, int64_t ms)
{
    char text[GW_RFC3339_BYTES];

    gw_buf_printf(out, ",\"%s\":", name);
    if (ms == 0) {
        gw_buf_adds(out, "null");
        return;
    }
    gw_clock_rfc3339(ms, text);
    gw_buf_printf(out, "\"%s\"", text);
}

void proxy_key_json(struct gw_buf *out, const struct proxy_key_info *k)
{
    gw_buf_adds(out, "{\"id\":");
    gw_buf_add_json_str(out, gw_span_str(k->id));
    put_text(out, "name", k->name);
    if (k->role[0] != '\0')
        put_text(out, "role", k->role);
    put_text(out, "user", k->user);
    put_text(out, "owner", k->owner);
    put_text(out, "team", k->team);
    put_list(out, "groups", k->groups);
    put_list(out, "models", k->models);
    put_list(out, "targets", k->targets);
    put_list(out, "networks", k->networks);
    put_time(out, "created", k->created_ms);
    put_time(out, "expires", k->expires_ms);
    put_time(out, "last_used", k->last_used_ms);
    put_time(out, "rotated", k->rotated_ms);
    if (k->grace_ms != 0)
        put_time(out, "old_key_until", k->grace_ms);
    put_time(out, "revoked", k->revoked_ms);
    gw_buf_addc(out, '}');
}
