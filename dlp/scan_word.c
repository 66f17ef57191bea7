/* dlp/scan_word.c - context words in a text: whole words, however they are joined. Thread: any; no state. */
#include <string.h>

#include "dlp/scan.h"

static bool is_alnum(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_upper(unsigned char c)
{
    return c >= 'A' && c <= 'Z';
}

/* True when a word can begin at `at`: behind no letter or digit, or at a camel's hump. */
static bool word_starts(const unsigned char *t, size_t at)
{
    return at == 0 || !is_alnum(t[at - 1]) || t[at] >= 0x80 ||
           (is_upper(t[at]) && !is_upper(t[at - 1]));
}

static bool word_ends(const unsigned char *t, size_t len, size_t at)
{
    return at == len || !is_alnum(t[at]) || t[at - 1] >= 0x80 ||
           (is_upper(t[at]) && !is_upper(t[at - 1]));
}

/* Where the letters of the word that stand at `at` end; 0: others stand there. A joint or a hump in it stands for any joints, or none. */
static inline size_t letters_end(struct gw_span text, size_t at, const struct bundle_text *word)
{
    const unsigned char *t = (const unsigned char *)text.ptr;

    for (uint32_t i = 0; i < word->len; i++) {
        unsigned char c = (unsigned char)word->ptr[i];
        bool hump = i > 0 && is_upper(c) && !is_upper((unsigned char)word->ptr[i - 1]);

        while ((bundle_is_joint(c) || hump) && at < text.len && bundle_is_joint(t[at]))
            at++;
        if (bundle_is_joint(c))
            continue;
        if (at == text.len || gw_ascii_lower(text.ptr[at]) != gw_ascii_lower(word->ptr[i]))
            return 0;
        at++;
    }
    return at;
}

/* True when word stands at `at`. */
static bool word_at(struct gw_span text, size_t at, const struct bundle_text *word)
{
    size_t end = letters_end(text, at, word);

    return end != 0 && word_ends((const unsigned char *)text.ptr, text.len, end);
}

bool scan_word_begins(struct gw_span text, size_t at, const struct bundle_text *word)
{
    return letters_end(text, at, word) != 0;
}

/* The first four bytes at `at`, each with 0x20 set; those behind the text are like spaces. */
static inline uint32_t head_at(struct gw_span text, size_t at)
{
    uint32_t head = 0;

    if (text.len - at >= sizeof(head))
        memcpy(&head, text.ptr + at, sizeof(head));
    else
        memcpy(&head, text.ptr + at, text.len - at);
    return head | 0x20202020u;
}

/* The word of the list that stands at `at`, where one may begin, or NULL. */
static const struct bundle_text *word_of(struct gw_span text, size_t at,
                                         const struct bundle_text *words,
                                         const struct bundle_slots *slots)
{
    const unsigned char *t = (const unsigned char *)text.ptr;
    unsigned slot = t[at] & 31; /* of both cases */
    unsigned second = at + 1 < text.len ? t[at + 1] & 31 : 0;
    uint32_t head;

    if ((slots->pair[slot] >> second & 1) == 0)
        return NULL;
    head = head_at(text, at);
    for (unsigned i = slots->first[slot]; i < slots->first[slot + 1]; i++)
        if (((head ^ slots->heads[i].value) & slots->heads[i].mask) == 0 &&
            word_at(text, at, &words[i]))
            return &words[i];
    return NULL;
}

/* The same where the machine has AVX-512. */
static const struct bundle_text *word_of_wide(struct gw_span text, size_t at,
                                              const struct bundle_text *words,
                                              const struct bundle_slots *slots)
{
    uint32_t head = head_at(text, at);
    unsigned slot = head & 31, end = slots->first[slot + 1];

    for (unsigned i = slots->first[slot]; i < end; i++) {
        i = scan_word_head_avx512(slots->heads, i, end, head);
        if (i < end && word_at(text, at, &words[i]))
            return &words[i];
    }
    return NULL;
}

const struct bundle_text *scan_find_word(struct gw_span text, size_t from, size_t to,
                                         const struct bundle_text *words,
                                         const struct bundle_slots *slots)
{
    const unsigned char *t = (const unsigned char *)text.ptr;
    const struct bundle_text *found = NULL;

    text.len = to;
    for (size_t at = from; at < to && found == NULL; at++)
        if (word_starts(t, at))
            found = word_of(text, at, words, slots);
    return found;
}

uint64_t scan_word_starts(struct gw_span text, size_t at)
{
    const unsigned char *t = (const unsigned char *)text.ptr + at;
    size_t n = text.len - at < 64 ? text.len - at : 64;
    unsigned char bytes[65], starts[64];
    uint64_t mask = 0;

    memset(bytes, ' ', sizeof(bytes));
    if (at > 0)
        bytes[0] = t[-1];
    memcpy(bytes + 1, t, n);
    /* Without branches, so that the compiler does many at once. */
    for (unsigned i = 0; i < 64; i++) {
        unsigned char before = bytes[i], c = bytes[i + 1];
        unsigned char lower = before | 0x20;
        bool alnum = ((unsigned char)(lower - 'a') < 26) | ((unsigned char)(before - '0') < 10);
        bool hump = ((unsigned char)(c - 'A') < 26) & ((unsigned char)(before - 'A') >= 26);

        starts[i] = (unsigned char)((alnum ^ 1) | (c >> 7) | hump);
    }
    for (unsigned i = 0; i < 64; i += 8) {
        uint64_t eight;

        memcpy(&eight, starts + i, sizeof(eight));
        mask |= (eight * UINT64_C(0x0102040810204080) >> 56) << i;
    }
    return mask;
}

enum { LOOKED_AT = 64 + sizeof(uint32_t) }; /* for one block */

/* Of the places in 64 bytes from `at` on that are set, those at which some rule's context can have a word. */
static uint64_t known_in(const struct scan_leaf *x, size_t at, uint64_t places)
{
    const struct bundle_heads *heads = &x->rules->heads;
    const char *t = x->text.ptr + at;
    char tail[LOOKED_AT];
    uint64_t known = 0;

    if (x->text.len - at < LOOKED_AT) {
        memset(tail, 0, sizeof(tail));
        memcpy(tail, t, x->text.len - at);
        t = tail;
    }
    for (uint64_t left = places; left != 0; left &= left - 1) {
        unsigned bit = (unsigned)__builtin_ctzll(left);
        uint32_t head;

        memcpy(&head, t + bit, sizeof(head));
        known |= (uint64_t)bundle_heads_have(heads, head | 0x20202020u) << bit;
    }
    return known;
}

/* Of the block of 64 bytes that begins at base, where words can begin, for a text that ends at `to`. */
static uint64_t known_places(const struct scan_leaf *x, size_t base, size_t to)
{
    struct scan_starts *known = &x->s->starts;
    size_t block = base / 64, slot = block % SCAN_STARTS;

    if (known->epoch[slot] != x->s->epoch || known->block[slot] != block || known->end[slot] < to) {
        known->mask[slot] = known_in(x, base, scan_word_starts(x->text, base));
        known->end[slot] = x->text.len - base < LOOKED_AT ? x->text.len : SIZE_MAX;
        known->epoch[slot] = x->s->epoch;
        known->block[slot] = (uint32_t)block;
    }
    return known->mask[slot];
}

/* scan_find_word_in() where the machine has AVX-512: it remembers nothing. */
static const struct bundle_text *find_wide(const struct scan_leaf *x, size_t from, size_t to,
                                           uint32_t context, const struct bundle_text *words)
{
    const struct gw_span text = {x->text.ptr, to};
    const struct bundle_text *found = NULL;

    for (size_t at = from; at < to && found == NULL; at += 64) {
        uint64_t bits = scan_word_places_avx512(
            &x->rules->blooms[context], (const unsigned char *)x->text.ptr, at, to, x->text.len);

        for (; bits != 0 && found == NULL; bits &= bits - 1)
            found = word_of_wide(text, at + (size_t)__builtin_ctzll(bits), words,
                                 &x->rules->words[context]);
    }
    return found;
}

const struct bundle_text *scan_find_word_in(const struct scan_leaf *x, size_t from, size_t to,
                                            uint32_t context, const struct bundle_text *words)
{
    const struct gw_span text = {x->text.ptr, to};
    const struct bundle_text *found = NULL;

    if (x->rules->filter.level == PREFILTER_AVX512)
        return find_wide(x, from, to, context, words);
    for (size_t at = from, base = at / 64 * 64; at < to && found == NULL; at = base += 64) {
        uint64_t bits = known_places(x, base, to) >> (at - base) << (at - base);

        if (to - base < 64)
            bits &= (UINT64_C(1) << (to - base)) - 1;
        for (; bits != 0 && found == NULL; bits &= bits - 1)
            found = word_of(text, base + (size_t)__builtin_ctzll(bits), words,
                            &x->rules->words[context]);
    }
    return found;
}
