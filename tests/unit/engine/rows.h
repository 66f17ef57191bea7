/* tests/unit/engine/rows.h - reads the JSON Lines of golden.jsonl and smollm2.jsonl.
 *
 * A row is an object; under each top-level key the numbers and the strings (not the keys inside) are
 * collected flat, in order: "top": [[3, 1.5], [7, 1.4]] gives 3, 1.5, 7, 1.4. */
#ifndef TESTS_UNIT_ENGINE_ROWS_H
#define TESTS_UNIT_ENGINE_ROWS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { ROW_FIELDS = 24, ROW_NUMS = 2048, ROW_STRS = 32, ROW_LINE = 1 << 18 };

struct row_field {
    char key[32];
    double nums[ROW_NUMS];
    size_t n_nums;
    char *strs[ROW_STRS];
    size_t n_strs;
};

struct row {
    struct row_field fields[ROW_FIELDS];
    size_t n_fields;
};

static inline void row_clear(struct row *r)
{
    for (size_t i = 0; i < r->n_fields; i++)
        for (size_t k = 0; k < r->fields[i].n_strs; k++)
            free(r->fields[i].strs[k]);
    r->n_fields = 0;
}

static inline char *row_decode(struct gw_span raw)
{
    char *s = malloc(raw.len + 1);

    if (s != NULL)
        s[gw_json_decode(raw, s)] = '\0';
    return s;
}

/* Parses one line; false when it is not the JSON that the files hold. */
static inline bool row_parse(struct row *r, const char *line)
{
    struct gw_json *j = gw_json_new();
    struct gw_json_tok tok;
    struct row_field *f = NULL;
    enum gw_json_type type;

    if (j == NULL)
        return false;
    row_clear(r);
    gw_json_start(j, gw_span_str(line), NULL);
    while ((type = gw_json_next(j, &tok)) != GW_JSON_END && type != GW_JSON_ERROR) {
        if (type == GW_JSON_KEY && tok.depth == 1 && r->n_fields < ROW_FIELDS) {
            f = &r->fields[r->n_fields++];
            f->n_nums = f->n_strs = 0;
            (void)snprintf(f->key, sizeof(f->key), "%.*s", (int)tok.raw.len, tok.raw.ptr);
        } else if (type == GW_JSON_NUMBER && f != NULL && f->n_nums < ROW_NUMS) {
            f->nums[f->n_nums++] = strtod(tok.raw.ptr, NULL);
        } else if (type == GW_JSON_STRING && f != NULL && f->n_strs < ROW_STRS) {
            f->strs[f->n_strs++] = row_decode(tok.raw);
        }
    }
    gw_json_free(j);
    return type == GW_JSON_END;
}

/* The field of that name, or an empty one. */
static inline const struct row_field *row_get(const struct row *r, const char *key)
{
    static const struct row_field none;

    for (size_t i = 0; i < r->n_fields; i++)
        if (strcmp(r->fields[i].key, key) == 0)
            return &r->fields[i];
    return &none;
}

static inline const char *row_str(const struct row *r, const char *key)
{
    const struct row_field *f = row_get(r, key);

    return f->n_strs == 0 ? "" : f->strs[0];
}

static inline double row_num(const struct row *r, const char *key)
{
    const struct row_field *f = row_get(r, key);

    return f->n_nums == 0 ? 0 : f->nums[0];
}

#endif
