/* proxy/import/import_presidio.c - Presidio's recognizers (YAML): those of patterns and of words. One thread.
 *
 * Each pattern of a recognizer becomes a rule, since each has a score of its own; context words are worth 35 points, as they
 * are there. Recognizers that are code (type: predefined) have nothing in the file that could be carried over. */
#include <string.h>

#include "base/yaml.h"
#include "proxy/import/import.h"

enum { MAX_TYPE = 64, CONTEXT_POINTS = 35, LEAST = 5, WORD_CONFIDENCE = 80, MAX_CONTEXT = 200 };

static struct gw_span text_of(const struct gw_yaml_node *map, const char *key)
{
    const struct gw_yaml_node *n = gw_yaml_get(map, key);

    return n != NULL && n->kind == GW_YAML_SCALAR ? n->text : (struct gw_span){NULL, 0};
}

/* The entity in the letters that types have. */
static struct gw_span type_of(struct import_run *x, struct gw_span entity)
{
    char type[MAX_TYPE];
    size_t n = 0;

    for (; n < entity.len && n < sizeof(type); n++) {
        char c = gw_ascii_lower(entity.ptr[n]);

        if (c >= 'a' && c <= 'z')
            c = (char)(c - 32);
        type[n] = (char)((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? c : '_');
    }
    return gw_arena_copy(x->arena, (struct gw_span){type, n});
}

/* The words of a list under `context`, added to r's. */
static void read_context(struct import_run *x, const struct gw_yaml_node *map,
                         struct import_rule *r)
{
    const struct gw_yaml_node *list = gw_yaml_get(map, "context");
    struct gw_span *words = gw_arena_array(x->arena, MAX_CONTEXT, sizeof(*words));
    unsigned n = 0;

    if (list == NULL || list->kind != GW_YAML_SEQUENCE || words == NULL)
        return;
    for (const struct gw_yaml_node *k = list->first_child; k != NULL && n < MAX_CONTEXT;
         k = k->next)
        if (k->kind == GW_YAML_SCALAR && k->text.len > 0 && k->text.len <= 100)
            words[n++] = k->text;
    r->words = words;
    r->n_words = n;
    r->boost = CONTEXT_POINTS;
}

/* supported_language, or the first of supported_languages, whose context may stand there. */
static void read_language(struct import_run *x, const struct gw_yaml_node *rec,
                          struct import_rule *r)
{
    const struct gw_yaml_node *list = gw_yaml_get(rec, "supported_languages"), *first;

    r->lang = text_of(rec, "supported_language");
    if (list == NULL || list->kind != GW_YAML_SEQUENCE || list->n_children == 0)
        return;
    first = list->first_child;
    if (first->kind == GW_YAML_MAPPING) {
        r->lang = text_of(first, "language");
        read_context(x, first, r);
    } else if (list->n_children == 1) {
        r->lang = first->text;
    }
    if (list->n_children > 1)
        import_note(x, "context of one language of %u was carried over", list->n_children);
}

static unsigned points_of(const struct gw_yaml_node *score, unsigned otherwise)
{
    double v = 0;

    if (score == NULL || !gw_yaml_double(score, &v) || v < 0 || v > 1)
        return otherwise;
    return v * 100 < LEAST ? LEAST : (unsigned)(v * 100 + 0.5);
}

static enum gw_status add_patterns(struct import_run *x, const struct gw_yaml_node *rec,
                                   struct import_rule *r, struct gw_err *err)
{
    const struct gw_yaml_node *list = gw_yaml_get(rec, "patterns");

    if (list == NULL || list->kind != GW_YAML_SEQUENCE)
        return GW_OK;
    for (const struct gw_yaml_node *n = list->first_child; n != NULL; n = n->next) {
        if (n->kind != GW_YAML_MAPPING)
            continue;
        r->pattern = text_of(n, "regex");
        r->title = text_of(n, "name").len > 0 ? text_of(n, "name") : r->id;
        r->confidence = points_of(gw_yaml_get(n, "score"), 50);
        GW_TRY(import_add(x, r, err));
    }
    return GW_OK;
}

/* (a|b|c) of the words as they stand. */
static enum gw_status add_words(struct import_run *x, const struct gw_yaml_node *rec,
                                struct import_rule *r, struct gw_err *err)
{
    const struct gw_yaml_node *list = gw_yaml_get(rec, "deny_list");
    struct gw_buf out = {NULL, 0, 0, false};

    if (list == NULL || list->kind != GW_YAML_SEQUENCE || list->n_children == 0)
        return GW_OK;
    gw_buf_adds(&out, "\\b(?:");
    for (const struct gw_yaml_node *n = list->first_child; n != NULL; n = n->next) {
        if (n != list->first_child)
            gw_buf_addc(&out, '|');
        for (size_t i = 0; n->kind == GW_YAML_SCALAR && i < n->text.len; i++) {
            if (strchr("\\^$.|?*+()[]{}", n->text.ptr[i]) != NULL)
                gw_buf_addc(&out, '\\');
            gw_buf_addc(&out, n->text.ptr[i]);
        }
    }
    gw_buf_addc(&out, ')');
    r->pattern = gw_arena_copy(x->arena, gw_buf_span(&out));
    gw_buf_fini(&out);
    r->title = r->id;
    r->confidence = points_of(gw_yaml_get(rec, "deny_list_score"), WORD_CONFIDENCE);
    return import_add(x, r, err);
}

static enum gw_status read_recognizer(struct import_run *x, const struct gw_yaml_node *rec,
                                      struct gw_err *err)
{
    struct import_rule r = {.prefix = "presidio-", .id = text_of(rec, "name"), .class_ = "pii"};
    struct gw_span entity = text_of(rec, "supported_entity");

    if (r.id.len == 0)
        r.id = entity;
    r.type = type_of(x, entity);
    if (gw_yaml_get(rec, "patterns") == NULL && gw_yaml_get(rec, "deny_list") == NULL) {
        r.left_out = "it is code of Presidio: nothing of it stands in the file";
        return import_add(x, &r, err);
    }
    read_context(x, rec, &r);
    read_language(x, rec, &r);
    GW_TRY(add_patterns(x, rec, &r, err));
    return add_words(x, rec, &r, err);
}

enum gw_status import_presidio(struct import_run *x, struct gw_span text, const char *name,
                               struct gw_err *err)
{
    struct gw_yaml *y = NULL;
    const struct gw_yaml_node *list;
    enum gw_status st = GW_OK;

    GW_TRY(gw_yaml_parse(text, name, &y, err));
    list = gw_yaml_get(gw_yaml_root(y), "recognizers");
    if (list == NULL || list->kind != GW_YAML_SEQUENCE)
        st = gw_fail(err, GW_EINVAL, "%s: no list `recognizers:` there; is it Presidio's?", name);
    for (const struct gw_yaml_node *n = list == NULL ? NULL : list->first_child;
         n != NULL && st == GW_OK; n = n->next) {
        if (n->kind == GW_YAML_MAPPING)
            st = read_recognizer(x, n, err);
    }
    gw_yaml_free(y);
    return st;
}
