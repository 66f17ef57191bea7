/* proxy/import/import_noseyparker.c - the rules of Nosey Parker and of those that write theirs the same way (YAML). One thread. */
#include <string.h>

#include "base/yaml.h"
#include "proxy/import/import.h"

static struct gw_span text_of(const struct gw_yaml_node *map, const char *key)
{
    const struct gw_yaml_node *n = gw_yaml_get(map, key);

    return n != NULL && n->kind == GW_YAML_SCALAR ? n->text : (struct gw_span){NULL, 0};
}

/* The texts of a list, in the run's arena. */
static const struct gw_span *texts_of(struct import_run *x, const struct gw_yaml_node *map,
                                      const char *key, unsigned *n)
{
    const struct gw_yaml_node *list = gw_yaml_get(map, key);
    struct gw_span *texts;

    if (list == NULL || list->kind != GW_YAML_SEQUENCE)
        return NULL;
    texts = gw_arena_array(x->arena, list->n_children, sizeof(*texts));
    for (const struct gw_yaml_node *k = list->first_child; k != NULL && texts != NULL; k = k->next)
        if (k->kind == GW_YAML_SCALAR && k->text.len > 0)
            texts[(*n)++] = k->text;
    return texts;
}

static unsigned confidence_of(struct gw_span text)
{
    if (gw_span_is(text, "low"))
        return 50;
    if (gw_span_is(text, "medium"))
        return 65;
    return gw_span_is(text, "high") ? 85 : 0;
}

static enum gw_status read_rule(struct import_run *x, const struct gw_yaml_node *n,
                                struct gw_err *err)
{
    const struct gw_yaml_node *entropy = gw_yaml_get(n, "min_entropy");
    struct import_rule r = {.prefix = "",
                            .id = text_of(n, "id"),
                            .title = text_of(n, "name"),
                            .class_ = "secret",
                            .pattern = text_of(n, "pattern"),
                            .confidence = confidence_of(text_of(n, "confidence"))};

    if (r.id.len == 0)
        r.id = r.title;
    r.match = texts_of(x, n, "examples", &r.n_match);
    r.no_match = texts_of(x, n, "negative_examples", &r.n_no_match);
    if (entropy != NULL && (!gw_yaml_double(entropy, &r.entropy) || r.entropy < 0 || r.entropy > 8))
        r.entropy = 0;
    if (gw_yaml_get(n, "pattern_requirements") != NULL)
        import_note(x, "pattern_requirements were not carried over");
    if (gw_yaml_get(n, "validation") != NULL)
        import_note(x, "it is not verified over the network");
    if (gw_yaml_get(n, "depends_on_rule") != NULL)
        import_note(x, "it does not depend on another rule");
    if (r.pattern.len == 0)
        r.left_out = "it has no pattern";
    return import_add(x, &r, err);
}

enum gw_status import_noseyparker(struct import_run *x, struct gw_span text, const char *name,
                                  struct gw_err *err)
{
    struct gw_yaml *y = NULL;
    const struct gw_yaml_node *rules;
    enum gw_status st;

    GW_TRY(gw_yaml_parse(text, name, &y, err));
    rules = gw_yaml_get(gw_yaml_root(y), "rules");
    if (rules == NULL || rules->kind != GW_YAML_SEQUENCE) {
        st = gw_fail(err, GW_EINVAL, "%s: no list `rules:` there; is it a file of rules?", name);
    } else {
        st = GW_OK;
        for (const struct gw_yaml_node *n = rules->first_child; n != NULL && st == GW_OK;
             n = n->next)
            if (n->kind == GW_YAML_MAPPING)
                st = read_rule(x, n, err);
    }
    gw_yaml_free(y);
    return st;
}
