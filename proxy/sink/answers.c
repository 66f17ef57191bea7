/* proxy/sink/answers.c - see answers.h. */
#include "proxy/sink/answers.h"

#include <string.h>

static const struct gw_json_limits limits = {
    .max_depth = 32, .max_keys = 1u << 20, .allow_duplicate_keys = true};

/* A number without sign, fraction and exponent, below 2^53. */
static bool number(const struct gw_json_tok *tok, uint64_t *out)
{
    uint64_t n = 0;

    if (tok->type != GW_JSON_NUMBER || tok->raw.len == 0 || tok->raw.len > 15)
        return false;
    for (size_t i = 0; i < tok->raw.len; i++) {
        if (tok->raw.ptr[i] < '0' || tok->raw.ptr[i] > '9')
            return false;
        n = n * 10 + (unsigned)(tok->raw.ptr[i] - '0');
    }
    *out = n;
    return true;
}

/* Takes the value behind a key and leaves the tokenizer behind it. */
static bool value(struct gw_json *j, struct gw_json_tok *tok)
{
    (void)gw_json_next(j, tok);
    return tok->type != GW_JSON_ERROR && gw_json_skip(j, tok);
}

/* True while there is a next key of the object that is open. At its end *ok tells whether all was well. */
static bool next_key(struct gw_json *j, struct gw_json_tok *tok, bool *ok)
{
    (void)gw_json_next(j, tok);
    *ok = tok->type == GW_JSON_KEY || tok->type == GW_JSON_OBJECT_END;
    return tok->type == GW_JSON_KEY;
}

static bool begins(struct gw_json *j, struct gw_span text, struct gw_json_tok *tok)
{
    gw_json_start(j, text, &limits);
    return gw_json_next(j, tok) == GW_JSON_OBJECT_BEGIN;
}

static bool ends(struct gw_json *j, struct gw_json_tok *tok)
{
    return gw_json_next(j, tok) == GW_JSON_END;
}

/* ---- Splunk -------------------------------------------------------------------------------------- */

bool splunk_read(struct gw_json *j, struct gw_span text, struct splunk_answer *out)
{
    struct splunk_answer a = {0};
    struct gw_json_tok tok;
    bool ok;

    if (!begins(j, text, &tok))
        return false;
    while (next_key(j, &tok, &ok)) {
        struct gw_span key = tok.raw;

        if (!value(j, &tok))
            return false;
        if (gw_span_is(key, "code"))
            a.has_code = number(&tok, &a.code);
        else if (gw_span_is(key, "invalid-event-number"))
            a.has_bad = number(&tok, &a.bad);
        else if (gw_span_is(key, "ackId"))
            a.has_ack = number(&tok, &a.ack);
    }
    if (!ok || !ends(j, &tok) || !a.has_code)
        return false;
    *out = a;
    return true;
}

/* The object behind "acks". */
static bool read_acks(struct gw_json *j, uint64_t ack, int *found)
{
    struct gw_json_tok tok;
    char name[24];
    bool ok;

    (void)snprintf(name, sizeof(name), "%llu", (unsigned long long)ack);
    while (next_key(j, &tok, &ok)) {
        bool ours = gw_span_is(tok.raw, name);

        if (!value(j, &tok))
            return false;
        if (ours)
            *found = tok.type == GW_JSON_TRUE;
    }
    return ok;
}

int splunk_acked(struct gw_json *j, struct gw_span text, uint64_t ack)
{
    struct gw_json_tok tok;
    int found = -1;
    bool ok;

    if (!begins(j, text, &tok))
        return -1;
    while (next_key(j, &tok, &ok)) {
        bool acks = gw_span_is(tok.raw, "acks");

        (void)gw_json_next(j, &tok);
        if (acks && tok.type == GW_JSON_OBJECT_BEGIN) {
            found = 0;
            if (!read_acks(j, ack, &found))
                return -1;
        } else if (tok.type == GW_JSON_ERROR || !gw_json_skip(j, &tok)) {
            return -1;
        }
    }
    return ok && ends(j, &tok) ? found : -1;
}

/* ---- Elastic ------------------------------------------------------------------------------------- */

static void take_type(struct elastic_item *item, const struct gw_json_tok *tok)
{
    size_t n = 0;

    if (item->type[0] != '\0' || tok->type != GW_JSON_STRING)
        return;
    while (n < tok->raw.len && n < sizeof(item->type) - 1 &&
           strchr("abcdefghijklmnopqrstuvwxyz_0123456789", tok->raw.ptr[n]) != NULL) {
        item->type[n] = tok->raw.ptr[n];
        n++;
    }
    item->type[n] = '\0';
}

/* {"type":"mapper_parsing_exception",...}; its BEGIN was taken. */
static bool read_error(struct gw_json *j, struct elastic_item *item)
{
    struct gw_json_tok tok;
    bool ok;

    while (next_key(j, &tok, &ok)) {
        bool type = gw_span_is(tok.raw, "type");

        if (!value(j, &tok))
            return false;
        if (type)
            take_type(item, &tok);
    }
    return ok;
}

/* {"status":201,...}; its BEGIN was taken. */
static bool read_result(struct gw_json *j, struct elastic_item *item)
{
    struct gw_json_tok tok;
    bool ok;

    while (next_key(j, &tok, &ok)) {
        bool status = gw_span_is(tok.raw, "status"), error = gw_span_is(tok.raw, "error");
        uint64_t n;

        (void)gw_json_next(j, &tok);
        if (error && tok.type == GW_JSON_OBJECT_BEGIN) {
            if (!read_error(j, item))
                return false;
        } else if (tok.type == GW_JSON_ERROR || !gw_json_skip(j, &tok)) {
            return false;
        }
        if (status && number(&tok, &n) && n < 1000)
            item->status = (unsigned)n;
    }
    return ok;
}

/* {"create":{...}}; its BEGIN was taken. */
static bool read_item(struct gw_json *j, struct elastic_item *item)
{
    struct gw_json_tok tok;
    bool ok;

    while (next_key(j, &tok, &ok)) {
        (void)gw_json_next(j, &tok);
        if (tok.type == GW_JSON_OBJECT_BEGIN) {
            if (!read_result(j, item))
                return false;
        } else if (tok.type == GW_JSON_ERROR || !gw_json_skip(j, &tok)) {
            return false;
        }
    }
    return ok;
}

static bool read_items(struct gw_json *j, struct elastic_item *items, unsigned max,
                       struct elastic_answer *a)
{
    struct gw_json_tok tok;

    while (gw_json_next(j, &tok) == GW_JSON_OBJECT_BEGIN) {
        struct elastic_item item = {0};

        if (!read_item(j, &item))
            return false;
        if (a->n_items < max)
            items[a->n_items] = item;
        a->n_items++;
    }
    return tok.type == GW_JSON_ARRAY_END;
}

bool elastic_read(struct gw_json *j, struct gw_span text, struct elastic_item *items, unsigned max,
                  struct elastic_answer *out)
{
    struct elastic_answer a = {0};
    struct gw_json_tok tok;
    bool ok;

    if (!begins(j, text, &tok))
        return false;
    while (next_key(j, &tok, &ok)) {
        bool errors = gw_span_is(tok.raw, "errors"), list = gw_span_is(tok.raw, "items");

        (void)gw_json_next(j, &tok);
        if (list && tok.type == GW_JSON_ARRAY_BEGIN) {
            if (!read_items(j, items, max, &a))
                return false;
        } else if (tok.type == GW_JSON_ERROR || !gw_json_skip(j, &tok)) {
            return false;
        }
        if (errors && (tok.type == GW_JSON_TRUE || tok.type == GW_JSON_FALSE)) {
            a.has_errors = true;
            a.errors = tok.type == GW_JSON_TRUE;
        }
    }
    if (!ok || !ends(j, &tok) || !a.has_errors)
        return false;
    *out = a;
    return true;
}
