/* dlp/scan_sleep.c - rules sleep where no word of a context is near that they require: what would be found there is worth nothing, so their
 * patterns are not tried. The words of all such contexts are looked for at once, over the text once, where the text before had many
 * matches that were refused for want of one: prose has few, tables of numbers have hundreds a kilobyte. Thread: the scanner's. */
#include <string.h>

#include "base/digest.h"
#include "base/siphash.h"
#include "dlp/scan.h"

enum {
    MANY = 64, /* tries for nothing in a chunk, from which on it is worth to look at all of it */
    LOOKED_AT = 64 + sizeof(uint64_t), /* for one block */
};

/* Are words of the context in the key above the text? Then it is there wherever a match stands. */
static bool has_key(const struct dlp_rules *r, const struct bundle_sleeper *s, struct gw_span key)
{
    const unsigned context =
        r->first_context[s->rule] + (unsigned)(s->context - r->b->rules[s->rule].contexts);

    return scan_find_word(key, 0, key.len, s->context->words, &r->words[context]) != NULL ||
           scan_find_word(key, 0, key.len, s->context->keys, &r->keys[context]) != NULL;
}

/* Which sleepers a key wakes. That of the last key is remembered, whose hash is kept and not its bytes: a key can be a secret. */
static void ask_key(const struct scan_leaf *x)
{
    const struct bundle_sleep *sleep = &x->rules->sleep;
    struct scan_awake *a = &x->s->awake;
    struct gw_sip sip;
    uint64_t key;

    if ((a->secret[0] | a->secret[1]) == 0)
        gw_random(a->secret, sizeof(a->secret));
    sip = gw_sip_start(a->secret);
    gw_sip_add(&sip, x->key);
    key = gw_sip_end(&sip);
    if (a->serial == x->rules->serial && a->key == key)
        return;
    memset(a->by_key, 0, sizeof(a->by_key));
    for (unsigned i = 0; i < sleep->n && x->key.len > 0; i++)
        if (has_key(x->rules, &sleep->of[i], x->key))
            a->by_key[i / 64] |= UINT64_C(1) << (i % 64);
    a->serial = x->rules->serial;
    a->key = key;
}

void scan_sleep_begin(struct scan_leaf *x)
{
    if (x->growing || x->s->explain != NULL || x->s->every_byte || x->rules->sleep.n == 0 ||
        x->text.len < bundle_long_texts[0])
        return;
    x->can_sleep = true;
    ask_key(x);
}

/* A word that begins at `at`, if it does, wakes a sleeper wherever it counts. */
static void wake(const struct scan_leaf *x, unsigned sleeper, const struct bundle_text *word,
                 size_t at)
{
    const struct bundle_sleeper *s = &x->rules->sleep.of[sleeper];
    struct scan_awake *a = &x->s->awake;
    size_t from = at > s->ahead ? at - s->ahead : 0, to = at + s->back + 1;

    from = from > x->chunk ? from - x->chunk : 0;
    if (to <= x->chunk)
        return;
    to = to < x->chunk_end ? to - x->chunk : x->chunk_end - x->chunk;
    to = (to + 63) / 64;
    /* Words come in order: the blocks in front are done. */
    if (to <= a->done[sleeper] || !scan_word_begins(x->text, at, word))
        return;
    from = from / 64 > a->done[sleeper] ? from / 64 : a->done[sleeper];
    a->done[sleeper] = (uint8_t)to;
    for (size_t block = from; block < to; block++)
        a->blocks[block][sleeper / 64] |= UINT64_C(1) << (sleeper % 64);
}

/* May what stands behind the first bytes of a word at p follow them in it? */
static inline bool may_follow(const struct bundle_stir *s, const unsigned char *p)
{
    return s->behind == 0 || (p[s->n] | 0x20) == s->behind || bundle_is_joint(p[s->n]);
}

/* Wakes those that have a word that begins with the eight bytes at p. */
static void wake_by(const struct scan_leaf *x, const unsigned char *p, size_t at)
{
    const struct bundle_sleep *sleep = &x->rules->sleep;
    const uint64_t *wanted = x->s->awake.wanted;
    uint64_t bytes;
    uint32_t cells[BUNDLE_SLEEP_MOST + 1];
    unsigned known = 0;

    memcpy(&bytes, p, sizeof(bytes));
    bytes |= UINT64_C(0x2020202020202020);
    /* No branch for each: most places have one, and it is hard to guess which. */
    for (unsigned n = BUNDLE_SLEEP_LEAST; n <= BUNDLE_SLEEP_MOST; n++) {
        cells[n] = bundle_sleep_cell((uint32_t)bytes, n);
        known |= (unsigned)(sleep->known[cells[n] / 64] >> (cells[n] % 64) & 1) << n;
    }
    for (; known != 0; known &= known - 1) {
        const uint32_t cell = cells[__builtin_ctz(known)];
        const struct bundle_stir *end = sleep->stirs + sleep->first[cell + 1];

        for (const struct bundle_stir *s = sleep->stirs + sleep->first[cell]; s < end; s++)
            if (bytes << (64 - s->n * 8) == s->value && may_follow(s, p) &&
                (wanted[s->sleeper / 64] >> (s->sleeper % 64) & 1) != 0)
                wake(x, s->sleeper, sleep->words[s->word], at);
    }
}

/* The same for words that begin in 64 bytes from `at` on. */
static void wake_block(const struct scan_leaf *x, size_t at)
{
    const unsigned char *p = (const unsigned char *)x->text.ptr + at;
    unsigned char tail[LOOKED_AT];
    uint64_t places =
        x->filter->level == PREFILTER_AVX512
            ? scan_word_begins_avx512(x->rules->sleep.blooms, (const unsigned char *)x->text.ptr,
                                      at, x->text.len)
            : scan_word_starts(x->text, at);

    if (x->text.len - at < LOOKED_AT) {
        memset(tail, 0, sizeof(tail));
        memcpy(tail, p, x->text.len - at);
        p = tail;
    }
    for (; places != 0; places &= places - 1)
        wake_by(x, p + __builtin_ctzll(places), at + (size_t)__builtin_ctzll(places));
}

void scan_wake(struct scan_leaf *x)
{
    const struct bundle_sleep *sleep = &x->rules->sleep;
    struct scan_awake *a = &x->s->awake;
    const bool worth_it = a->n_idle > MANY;
    size_t from = x->chunk > sleep->back ? x->chunk - sleep->back : 0, to = x->chunk_end;

    a->n_idle = 0;
    x->sleeper_of = worth_it ? sleep->sleeper_of : NULL;
    if (!worth_it)
        return;
    to = x->text.len - to > sleep->ahead ? to + sleep->ahead : x->text.len;
    for (unsigned i = 0; i < SCAN_AWAKE_WORDS; i++) {
        a->wanted[i] = a->asked[i];
        a->asked[i] = 0;
        for (size_t block = 0; block * 64 < x->chunk_end - x->chunk; block++)
            a->blocks[block][i] = a->by_key[i] | ~a->wanted[i];
    }
    memset(a->done, 0, sleep->n);
    for (size_t at = from; at < to; at += 64)
        wake_block(x, at);
}
