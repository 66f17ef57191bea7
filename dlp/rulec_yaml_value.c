/* dlp/rulec_yaml_value.c - reads single values of a rule. Thread: one at a time per set. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dlp/rulec_yaml.h"

enum gw_status rulec_bad(struct rulec_reader *x, const struct gw_yaml_node *n, enum gw_status st,
                         const char *what)
{
    return gw_fail(x->err, st, "%s:%u:%u: %s %s: %.*s%s%s", gw_yaml_name(x->y), n->line, n->column,
                   x->what, x->id == NULL ? "?" : x->id, (int)(n->key.len < 40 ? n->key.len : 40),
                   n->key.ptr == NULL ? "" : n->key.ptr, n->key.len == 0 ? "" : ": ", what);
}

enum gw_status rulec_no_memory(struct rulec_reader *x)
{
    return gw_fail(x->err, GW_ENOMEM, "%s: out of memory for the rules", gw_yaml_name(x->y));
}

bool rulec_made_of(const char *s, const char *from)
{
    return s[0] != '\0' && s[strspn(s, from)] == '\0';
}

enum gw_status rulec_copy(struct rulec_reader *x, struct gw_span in, struct gw_span *out)
{
    *out = gw_arena_copy(x->set->arena, in);
    return out->ptr == NULL ? rulec_no_memory(x) : GW_OK;
}

enum gw_status rulec_read_str(struct rulec_reader *x, const struct gw_yaml_node *n,
                              const char **out)
{
    struct gw_span s = {NULL, 0};

    if (n->kind != GW_YAML_SCALAR || n->text.len == 0)
        return rulec_bad(x, n, GW_EINVAL, "expected a text");
    if (n->text.len > 200)
        return rulec_bad(x, n, GW_ELIMIT, "longer than 200 bytes; shorten it");
    if (memchr(n->text.ptr, '\0', n->text.len) != NULL)
        return rulec_bad(x, n, GW_EINVAL, "holds a NUL; take it out");
    GW_TRY(rulec_copy(x, n->text, &s));
    *out = s.ptr;
    return GW_OK;
}

enum gw_status rulec_read_texts(struct rulec_reader *x, const struct gw_yaml_node *n,
                                size_t max_bytes, struct gw_span **out, unsigned *n_out)
{
    const struct gw_yaml_node *k = n->kind == GW_YAML_SCALAR ? n : n->first_child;
    unsigned count = n->kind == GW_YAML_SCALAR ? 1 : n->n_children, i = 0;

    if (n->kind == GW_YAML_MAPPING)
        return rulec_bad(x, n, GW_EINVAL, "expected a list of texts");
    if (count > RULEC_MAX_LIST)
        return rulec_bad(x, n, GW_ELIMIT, "more than 2048 entries; split the rule or list");
    *out = gw_arena_array(x->set->arena, count, sizeof(**out));
    if (*out == NULL)
        return rulec_no_memory(x);
    for (; i < count; i++, k = k->next) {
        if (k->kind != GW_YAML_SCALAR || k->text.len == 0)
            return rulec_bad(x, k, GW_EINVAL, "expected a text that is not empty");
        if (k->text.len > max_bytes)
            return gw_fail(x->err, GW_ELIMIT, "%s:%u:%u: %s %s: longer than %zu bytes; shorten it",
                           gw_yaml_name(x->y), k->line, k->column, x->what,
                           x->id == NULL ? "?" : x->id, max_bytes);
        GW_TRY(rulec_copy(x, k->text, &(*out)[i]));
    }
    *n_out = count;
    return GW_OK;
}

enum gw_status rulec_read_uint(struct rulec_reader *x, const struct gw_yaml_node *n, unsigned max,
                               unsigned *out)
{
    int64_t v = 0;
    char what[60];

    if (!gw_yaml_int(n, &v) || v < 0 || v > (int64_t)max) {
        (void)snprintf(what, sizeof(what), "expected a number from 0 to %u", max);
        return rulec_bad(x, n, GW_EINVAL, what);
    }
    *out = (unsigned)v;
    return GW_OK;
}

enum gw_status rulec_read_points(struct rulec_reader *x, const struct gw_yaml_node *n, int *out)
{
    struct gw_yaml_node number = *n;
    int64_t v = 0;

    if (number.text.len > 1 && number.text.ptr[0] == '+' && number.text.ptr[1] != '-')
        number.text = gw_span_from(number.text, 1);
    if (!gw_yaml_int(&number, &v) || v < -100 || v > 100)
        return rulec_bad(x, n, GW_EINVAL, "expected a number from -100 to 100");
    *out = (int)v;
    return GW_OK;
}

const struct gw_yaml_node *rulec_entries(const struct gw_yaml_node *n, enum gw_yaml_kind single,
                                         unsigned *count)
{
    *count = n->kind == single ? 1 : n->n_children;
    return n->kind == single ? n : n->first_child;
}

static int by_slot(const void *a, const void *b)
{
    const struct gw_span *x = a, *y = b;
    int sx = x->ptr[0] & 31, sy = y->ptr[0] & 31;

    return sx != sy ? sx - sy : (x->ptr < y->ptr ? -1 : x->ptr > y->ptr);
}

void rulec_sort_words(struct gw_span *words, unsigned n)
{
    if (n > 0)
        qsort(words, n, sizeof(*words), by_slot);
}

enum gw_status rulec_read_map(struct rulec_reader *x, const struct gw_yaml_node *map,
                              const struct rulec_key *keys, void *to)
{
    for (const struct gw_yaml_node *n = map->first_child; n != NULL; n = n->next) {
        size_t i = 0;

        while (keys[i].name != NULL && !gw_span_is(n->key, keys[i].name))
            i++;
        if (keys[i].name == NULL) {
            struct gw_yaml_node at = *n;

            at.line = n->key_line;
            at.column = n->key_column;
            return rulec_bad(x, &at, GW_EINVAL,
                             "unknown key; docs/rules.md and `sluice rules schema` list them");
        }
        GW_TRY(keys[i].read(x, n, to));
    }
    return GW_OK;
}
