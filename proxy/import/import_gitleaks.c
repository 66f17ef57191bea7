/* proxy/import/import_gitleaks.c - gitleaks' configuration (TOML). One thread.
 *
 * Of a rule: regex and secretGroup become the pattern, entropy a validator, keywords that the pattern does not ask for anyway a
 * context, allowlists and stop words that are simple enough entries to reject. Files have no path when they are a prompt, so
 * path rules are not carried over. */
#include <string.h>

#include "proxy/import/import.h"
#include "proxy/import/import_regex.h"
#include "proxy/import/toml.h"

enum { MAX_WORDS = 100 };

static struct gw_span text_of(const struct toml_node *table, const char *key)
{
    const struct toml_node *n = toml_get(table, key);

    return n != NULL && n->kind == TOML_STRING ? n->text : (struct gw_span){NULL, 0};
}

/* The rule's pattern asks for the keyword anyway when its letters stand in it. */
static bool is_in_pattern(struct gw_span pattern, struct gw_span word)
{
    for (size_t i = 0; i + word.len <= pattern.len; i++)
        if (gw_span_eq_nocase((struct gw_span){pattern.ptr + i, word.len}, word))
            return true;
    return false;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (gw_ascii_lower(c) >= 'a' && gw_ascii_lower(c) <= 'z');
}

/* Keywords are parts of words there, words here: what is no letter or digit at their ends goes. */
static struct gw_span trim(struct gw_span w)
{
    while (w.len > 0 && !is_alnum(w.ptr[0]))
        w = gw_span_from(w, 1);
    while (w.len > 0 && !is_alnum(w.ptr[w.len - 1]))
        w.len--;
    return w;
}

static void read_keywords(struct import_run *x, const struct toml_node *rule, struct import_rule *r)
{
    const struct toml_node *list = toml_get(rule, "keywords");
    struct gw_span *words = gw_arena_array(x->arena, MAX_WORDS, sizeof(*words));
    unsigned n = 0;

    if (list == NULL || list->kind != TOML_ARRAY || words == NULL)
        return;
    for (const struct toml_node *k = list->first; k != NULL; k = k->next) {
        struct gw_span word = k->kind == TOML_STRING ? trim(k->text) : (struct gw_span){NULL, 0};

        if (word.len >= 2 && word.len <= 50 && n < MAX_WORDS && !is_in_pattern(r->pattern, word))
            words[n++] = word;
    }
    r->words = words;
    r->n_words = n;
    r->boost = 10;
}

/* ---- allowlists ------------------------------------------------------------------------- */

/* What is rejected, while it is gathered. */
struct rejects {
    struct import_run *x;
    struct gw_span *items;
    unsigned n, cap, lost;
};

static void add_reject(struct rejects *r, struct gw_span text)
{
    if (r->n == r->cap) {
        unsigned cap = r->cap == 0 ? 64 : r->cap * 2;
        struct gw_span *grown = gw_arena_array(r->x->arena, cap, sizeof(*grown));

        if (grown == NULL)
            return;
        if (r->n > 0)
            memcpy(grown, r->items, r->n * sizeof(*grown));
        r->items = grown;
        r->cap = cap;
    }
    r->items[r->n] = gw_arena_copy(r->x->arena, text);
    if (r->items[r->n].ptr != NULL)
        r->n++;
}

static void read_allowlist(struct rejects *r, const struct toml_node *list)
{
    const struct toml_node *regexes = toml_get(list, "regexes"),
                           *stop = toml_get(list, "stopwords"), *paths = toml_get(list, "paths");
    struct gw_span target = text_of(list, "regexTarget");
    struct gw_buf glob = {NULL, 0, 0, false};
    /* Elsewhere than in the value, or only together with a path: we would drop more. */
    bool elsewhere = target.len > 0 && !gw_span_is(target, "secret"),
         both = paths != NULL && gw_span_eq_nocase(text_of(list, "condition"), GW_SPAN("AND"));

    r->lost += paths == NULL ? 0 : paths->n_members;
    for (const struct toml_node *n = regexes == NULL ? NULL : regexes->first; n != NULL;
         n = n->next) {
        if (!elsewhere && !both && n->kind == TOML_STRING && import_regex_glob(n->text, &glob))
            add_reject(r, gw_buf_span(&glob));
        else
            r->lost++;
    }
    for (const struct toml_node *n = stop == NULL ? NULL : stop->first; n != NULL; n = n->next) {
        if (!both && n->kind == TOML_STRING && n->text.len > 1 && n->text.len <= 190)
            add_reject(r, n->text);
        else
            r->lost++;
    }
    gw_buf_fini(&glob);
}

/* [rules.allowlist], or [[rules.allowlists]]. */
static void read_allowlists(struct import_run *x, const struct toml_node *rule,
                            struct import_rule *out)
{
    const struct toml_node *one = toml_get(rule, "allowlist"), *many = toml_get(rule, "allowlists");
    struct rejects r = {.x = x};

    if (one != NULL && one->kind == TOML_TABLE)
        read_allowlist(&r, one);
    for (const struct toml_node *n = many == NULL ? NULL : many->first; n != NULL; n = n->next)
        if (n->kind == TOML_TABLE)
            read_allowlist(&r, n);
    out->rejects = r.items;
    out->n_rejects = r.n;
    if (r.lost > 0)
        import_note(x, "%u entries of its allowlist were not carried over", r.lost);
}

/* ---- rules ------------------------------------------------------------------------------ */

static enum gw_status read_rule(struct import_run *x, const struct toml_node *n, struct gw_err *err)
{
    const struct toml_node *entropy = toml_get(n, "entropy"), *group = toml_get(n, "secretGroup");
    struct import_rule r = {.prefix = "gitleaks-",
                            .id = text_of(n, "id"),
                            .title = text_of(n, "description"),
                            .class_ = "secret",
                            .pattern = text_of(n, "regex")};

    if (entropy != NULL && (entropy->kind == TOML_FLOAT || entropy->kind == TOML_INTEGER))
        r.entropy = entropy->number > 0 && entropy->number < 8 ? entropy->number : 0;
    if (group != NULL && group->kind == TOML_INTEGER && group->integer > 0 && group->integer < 100)
        r.secret_group = (unsigned)group->integer;
    if (r.pattern.len == 0)
        r.left_out = toml_get(n, "path") != NULL ? "it judges paths only" : "it has no regex";
    else if (toml_get(n, "path") != NULL)
        import_note(x, "it is not bound to paths");
    read_keywords(x, n, &r);
    read_allowlists(x, n, &r);
    return import_add(x, &r, err);
}

enum gw_status import_gitleaks(struct import_run *x, struct gw_span text, const char *name,
                               struct gw_err *err)
{
    struct toml_node *root = NULL;
    const struct toml_node *rules;

    GW_TRY(toml_parse(x->arena, text, name, &root, err));
    rules = toml_get(root, "rules");
    if (rules == NULL || rules->kind != TOML_ARRAY)
        return gw_fail(err, GW_EINVAL, "%s: no [[rules]] there; is it a gitleaks configuration?",
                       name);
    for (const struct toml_node *n = rules->first; n != NULL; n = n->next)
        if (n->kind == TOML_TABLE)
            GW_TRY(read_rule(x, n, err));
    return GW_OK;
}
