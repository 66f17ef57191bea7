/* dlp/bundle.c - opens rule sets: the one that is built in, and shared objects. Thread: any. */
#include "dlp/bundle.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dlp/rulec.h"

/* Written by the rule compiler at build time (dlp/rules.mk). */
extern const struct bundle dlp_builtin_bundle;

static struct dlp_rules *builtin;

static void free_rules(struct dlp_rules *r)
{
    if (r == NULL)
        return;
    prefilter_fini(&r->filter);
    for (unsigned i = 0; i < BUNDLE_LONG_TEXTS; i++)
        prefilter_fini(&r->long_filters[i]);
    free(r->info);
    free(r->validators);
    free(r->first_validator);
    free(r->first_context);
    free(r->words);
    free(r->keys);
    free(r->lists);
    free(r->word_heads);
    free(r->blooms);
    free(r->bloom_banks);
    bundle_sleep_fini(&r->sleep);
    free(r->asks_random);
    free(r->lift);
    free(r->tries);
    free(r->dead_words);
    free(r->numbers);
    free(r->is_number);
    free(r->plain);
    free(r->match);
    native_free(r->native);
    if (r->owned.object != NULL)
        (void)dlclose(r->owned.object);
    for (unsigned i = 0; i < r->owned.n_parts; i++)
        dlp_rules_unref(r->owned.parts[i]);
    gw_arena_free(r->owned.arena);
    free(r);
}

/* In a context word a joint or a hump stands for nothing or for other bytes; what is behind it can be anywhere. */
static struct bundle_word_head word_head(const struct bundle_text *word, bool literal)
{
    unsigned char value[4] = {0}, mask[4] = {0};
    struct bundle_word_head head;

    for (unsigned i = 0; i < sizeof(value) && i < word->len; i++) {
        unsigned char c = (unsigned char)word->ptr[i];

        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80;

        if (!literal && !plain && !(i == 0 && c >= 'A' && c <= 'Z'))
            break;
        value[i] = c | 0x20;
        mask[i] = 0xff;
    }
    memcpy(&head.value, value, sizeof(value));
    memcpy(&head.mask, mask, sizeof(mask));
    return head;
}

void bundle_slots_init(struct bundle_slots *slots, const struct bundle_text *words, unsigned n,
                       bool literal, struct bundle_word_head **heads)
{
    struct bundle_word_head *heads_of = *heads;

    memset(slots, 0, sizeof(*slots));
    slots->heads = heads_of;
    *heads += n;
    for (unsigned i = 0; i < n; i++) {
        unsigned char c = (unsigned char)words[i].ptr[0], second = (unsigned char)words[i].ptr[1];
        bool plain =
            words[i].len > 1 && (literal || (second >= 'a' && second <= 'z') || second >= 0x80);

        heads_of[i] = word_head(&words[i], literal);
        slots->first[(c & 31) + 1]++;
        /* A joint or a hump may stand for nothing or for other bytes. */
        slots->pair[c & 31] |= plain ? 1u << (second & 31) : UINT32_MAX;
    }
    for (unsigned i = 1; i < 33; i++)
        slots->first[i] = (uint16_t)(slots->first[i] + slots->first[i - 1]);
}

static void set_bit(uint64_t *table, uint32_t bit)
{
    table[bit >> 6] |= UINT64_C(1) << (bit & 63);
}

/* A word that has a joint or a hump behind its first byte, which stands for any joints or none; or is shorter. */
static void add_short_head(struct bundle_heads *h, struct gw_span word)
{
    static const char joints[] = " _-.\t\n\v\f\r";
    unsigned char first = (unsigned char)word.ptr[0] | 0x20;
    size_t next = 1;

    while (next < word.len && strchr(joints, word.ptr[next]) != NULL)
        next++;
    if (next == word.len || strchr(joints, word.ptr[0]) != NULL) {
        for (unsigned c = first & 31; c < 256; c += 32)
            set_bit(h->one, c | 0x20);
        return;
    }
    for (const char *joint = joints; *joint != '\0'; joint++)
        set_bit(h->two, bundle_head_bit(first | (*joint | 0x20U) << 8, 2, 13));
    set_bit(h->two,
            bundle_head_bit(first | (uint32_t)((unsigned char)word.ptr[next] | 0x20) << 8, 2, 13));
}

static void add_heads(struct bundle_heads *h, const struct bundle_slots *slots,
                      const struct bundle_text *words, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint32_t value = slots->heads[i].value, mask = slots->heads[i].mask;

        if (mask == UINT32_MAX)
            set_bit(h->four, bundle_head_bit(value, 4, 15));
        else if (mask == 0xFFFFFF)
            set_bit(h->three, bundle_head_bit(value, 3, 13));
        else if (mask == 0xFFFF)
            set_bit(h->two, bundle_head_bit(value, 2, 13));
        else
            add_short_head(h, (struct gw_span){words[i].ptr, words[i].len});
    }
}

/* Rules of long tokens beside a name meet many words, which are told apart sooner than a context is looked for. */
static bool asks_random(const struct bundle_rule *rule)
{
    for (unsigned i = 0; i < rule->n_checks; i++)
        if (strcmp(rule->checks[i].name, "random") == 0 && rule->checks[i].has_steps == 0)
            return true;
    return false;
}

static void fill_tries(struct dlp_rules *r)
{
    for (unsigned i = 0; i < r->b->n_patterns; i++) {
        const struct bundle_pattern *p = &r->b->patterns[i];
        const struct bundle_rule *rule = &r->b->rules[p->rule];

        r->tries[i] = (struct bundle_try){
            .rule = p->rule,
            .reach = p->reach,
            .first_memo = p->first_memo,
            .before = (uint8_t)p->before,
            .after = (uint8_t)p->after,
            .confidence = (uint8_t)rule->confidence,
            .takes_all = rule->n_checks + rule->n_contexts + rule->n_nears + rule->n_lists == 0 &&
                         rule->min_len <= 1 && rule->max_len == UINT32_MAX,
            .counts = bundle_counts(rule)};
    }
}

static void note_counts(struct dlp_rules *r, unsigned i)
{
    const struct bundle_rule *rule = &r->b->rules[i];

    if (bundle_counts(rule))
        r->has_counts = true;
    for (unsigned k = 0; k < rule->n_steps; k++)
        if (rule->steps[k].boost > r->lift[i])
            r->lift[i] = (unsigned char)rule->steps[k].boost;
}

/* All words of contexts, keys and lists. */
static size_t count_words(const struct bundle *b)
{
    size_t n = 0;

    for (unsigned i = 0; i < b->n_rules; i++)
        for (unsigned k = 0; k < b->rules[i].n_contexts; k++)
            n += b->rules[i].contexts[k].n_words + b->rules[i].contexts[k].n_keys;
    for (unsigned i = 0; i < b->n_lists; i++)
        n += b->lists[i].n_words;
    return n;
}

static void fill_info(struct dlp_rules *r)
{
    struct bundle_word_head *heads = r->word_heads;
    unsigned n = 0;

    for (unsigned i = 0; i < r->b->n_rules; i++) {
        const struct bundle_rule *rule = &r->b->rules[i];

        r->info[i] = (struct dlp_rule_info){.id = rule->id,
                                            .title = rule->title,
                                            .type = rule->type,
                                            .file = rule->file,
                                            .class_ = (enum gw_class)rule->class_,
                                            .severity = (enum gw_severity)rule->severity,
                                            .confidence = rule->confidence,
                                            .mode = (enum dlp_rule_mode)rule->mode};
        note_counts(r, i);
        r->asks_random[i] = asks_random(rule);
        r->first_context[i] = n;
        for (unsigned k = 0; k < rule->n_contexts; k++, n++) {
            const struct bundle_context *c = &rule->contexts[k];

            bundle_slots_init(&r->words[n], c->words, c->n_words, false, &heads);
            bundle_slots_init(&r->keys[n], c->keys, c->n_keys, false, &heads);
            add_heads(&r->heads, &r->words[n], c->words, c->n_words);
        }
    }
    for (unsigned i = 0; i < r->b->n_lists; i++)
        bundle_slots_init(&r->lists[i], r->b->lists[i].words, r->b->lists[i].n_words, true, &heads);
}

static enum gw_status find_validators(struct dlp_rules *r, struct gw_err *err)
{
    unsigned n = 0;

    for (unsigned i = 0; i < r->b->n_rules; i++) {
        const struct bundle_rule *rule = &r->b->rules[i];

        r->first_validator[i] = n;
        for (unsigned k = 0; k < rule->n_checks; k++) {
            const struct bundle_check *c = &rule->checks[k];
            struct gw_span str = gw_span_str(c->str);

            r->validators[n] = (struct bundle_checker){dlp_validator_find(c->name), str, NULL};
            if (strcmp(c->name, "id") == 0 || strcmp(c->name, "id_soft") == 0)
                r->validators[n].scheme = dlp_id_scheme_find(str);
            if (r->validators[n].v == NULL)
                return gw_fail(
                    err, GW_EUNSUPPORTED,
                    "rule %s: this program has no validator %s; rebuild the rules with it",
                    rule->id, rule->checks[k].name);
            n++;
        }
    }
    return GW_OK;
}

static void measure_runs(struct dlp_rules *r)
{
    for (unsigned i = 0; i < r->b->n_runs; i++)
        if (r->b->runs[i].n > r->max_run)
            r->max_run = r->b->runs[i].n;
}

static void look_back(struct dlp_rules *r, unsigned bytes)
{
    if (bytes > r->look_behind)
        r->look_behind = bytes;
}

/* Validators look back 512 bytes at most, contexts and nears as far as their rule says. */
static void set_look_behind(struct dlp_rules *r)
{
    r->look_behind = 512;
    for (unsigned i = 0; i < r->b->n_rules; i++) {
        const struct bundle_rule *rule = &r->b->rules[i];

        for (unsigned k = 0; k < rule->n_contexts; k++)
            look_back(r, rule->contexts[k].before);
        for (unsigned k = 0; k < rule->n_nears; k++)
            look_back(r, rule->nears[k].before);
    }
    r->look_behind += 1; /* whether a word begins there */
}

/* Of rules whose matches are asked a validator first: what it says of plain digits can be asked before there is a match. */
static void find_plain(struct dlp_rules *r)
{
    for (uint32_t i = 0; i < r->b->n_patterns; i++) {
        const struct bundle_pattern *p = &r->b->patterns[i];
        const struct bundle_rule *rule = &r->b->rules[p->rule];
        const char *name = rule->n_checks > 0 ? rule->checks[0].name : "";
        bool ends_apart = p->after == RULEC_BOUNDARY_WORD || p->after == RULEC_BOUNDARY_TOKEN;

        if (p->is_part != 0 || p->longest == 0 || rule->n_nears > 0 || rule->n_checks == 0 ||
            rule->checks[0].has_steps != 0)
            continue;
        r->plain[i].is_card = strcmp(name, "card") == 0;
        if (ends_apart && strcmp(name, "id") == 0)
            r->plain[i].scheme = r->validators[r->first_validator[p->rule]].scheme;
    }
}

enum gw_status bundle_open(const struct bundle *b, const struct bundle_owned *owned,
                           struct dlp_rules **out, struct gw_err *err)
{
    static atomic_ullong last_serial;
    struct dlp_rules *r = NULL;
    unsigned n_checks = 0, n_contexts = 0;
    enum gw_status st = GW_OK;

    if (b->abi != BUNDLE_ABI || b->size != sizeof(*b))
        return gw_fail(err, GW_EUNSUPPORTED,
                       "the rules have ABI %u, this program takes %d; rebuild them with it "
                       "(sluice rules build)",
                       b->abi, BUNDLE_ABI);
    r = aligned_alloc(64, (sizeof(*r) + 63) / 64 * 64);
    if (r == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the rules");
    memset(r, 0, sizeof(*r));
    r->b = b;
    r->serial = atomic_fetch_add_explicit(&last_serial, 1, memory_order_relaxed) + 1;
    atomic_init(&r->refs, 1);
    for (unsigned i = 0; i < b->n_rules; i++) {
        n_checks += b->rules[i].n_checks;
        n_contexts += b->rules[i].n_contexts;
    }
    r->info = calloc(b->n_rules + 1, sizeof(*r->info));
    r->validators = calloc(n_checks + 1, sizeof(*r->validators));
    r->first_validator = calloc(b->n_rules + 1, sizeof(*r->first_validator));
    r->first_context = calloc(b->n_rules + 1, sizeof(*r->first_context));
    r->words = calloc(n_contexts + 1, sizeof(*r->words));
    r->keys = calloc(n_contexts + 1, sizeof(*r->keys));
    r->lists = calloc(b->n_lists + 1, sizeof(*r->lists));
    r->asks_random = calloc(b->n_rules + 1, sizeof(*r->asks_random));
    r->word_heads = calloc(count_words(b) + 1, sizeof(*r->word_heads));
    r->lift = calloc(b->n_rules + 1, 1);
    r->plain = calloc(b->n_patterns + 1, sizeof(*r->plain));
    r->tries = calloc(b->n_patterns + 1, sizeof(*r->tries));
    r->match = calloc(b->n_patterns + b->n_near_patterns + 1, sizeof(*r->match));
    if (r->match == NULL || r->first_context == NULL || r->words == NULL || r->keys == NULL ||
        r->lists == NULL || r->plain == NULL || r->tries == NULL || r->lift == NULL ||
        r->info == NULL || r->validators == NULL || r->first_validator == NULL ||
        !bundle_limits_init(r)) {
        st = gw_fail(err, GW_ENOMEM, "out of memory for the rules");
        goto fail;
    }
    for (unsigned i = 0; i < b->n_patterns + b->n_near_patterns; i++)
        atomic_init(&r->match[i], b->patterns[i].match);
    fill_tries(r);
    measure_runs(r);
    set_look_behind(r);
    fill_info(r);
    if (!bundle_blooms_init(r, n_contexts) || !bundle_sleep_init(r, count_words(b))) {
        st = gw_fail(err, GW_ENOMEM, "out of memory for the rules");
        goto fail;
    }
    st = find_validators(r, err);
    if (st != GW_OK)
        goto fail;
    if (owned != NULL)
        r->owned = *owned;
    find_plain(r);
    *out = r;
    return GW_OK;
fail:
    free_rules(r);
    return st;
}

static void open_builtin(void)
{
    struct gw_err err;

    /* At start-up there is nothing better to do without memory, and nothing may run without rules. */
    if (bundle_open(&dlp_builtin_bundle, NULL, &builtin, &err) != GW_OK) {
        (void)fprintf(stderr, "built-in rules: %s\n", err.text);
        exit(1); // NOLINT(concurrency-mt-unsafe): see above
    }
    builtin->forever = true;
}

struct dlp_rules *dlp_rules_builtin(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, open_builtin);
    return builtin;
}

enum gw_status dlp_rules_load(const char *so_path, struct dlp_rules **out, struct gw_err *err)
{
    const struct bundle *b = NULL;
    enum gw_status st = GW_OK;
    char *with_slash = NULL;
    void *object = NULL;

    GW_TRY(dlp_rules_check_trust(so_path, err));
    /* Without a slash dlopen would search the library path. */
    if (asprintf(&with_slash, "%s%s", strchr(so_path, '/') == NULL ? "./" : "", so_path) < 0)
        return gw_fail(err, GW_ENOMEM, "%s: out of memory", so_path);
    object = dlopen(with_slash, RTLD_NOW | RTLD_LOCAL);
    free(with_slash);
    if (object == NULL)
        return gw_fail(err, GW_EIO, "%s: %s; make it with sluice rules build", so_path,
                       dlerror()); // NOLINT(concurrency-mt-unsafe): per thread in glibc
    b = dlsym(object, BUNDLE_SYMBOL);
    if (b == NULL)
        st = gw_fail(err, GW_EUNSUPPORTED, "%s: holds no rules; make it with sluice rules build",
                     so_path);
    else
        st = bundle_open(b, &(struct bundle_owned){.object = object}, out, err);
    if (st != GW_OK) {
        if (b != NULL)
            (void)gw_fail_prefix(err, "%s", so_path);
        (void)dlclose(object);
    }
    return st;
}

struct dlp_rules *dlp_rules_ref(struct dlp_rules *r)
{
    if (!r->forever)
        (void)atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void dlp_rules_unref(struct dlp_rules *r)
{
    if (r == NULL || r->forever)
        return;
    if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1)
        free_rules(r);
}

unsigned dlp_rules_count(const struct dlp_rules *r)
{
    return r->b->n_rules;
}

const struct dlp_rule_info *dlp_rules_info(const struct dlp_rules *r, unsigned i)
{
    return &r->info[i];
}

const char *dlp_rules_digest(const struct dlp_rules *r)
{
    return r->b->digest;
}
