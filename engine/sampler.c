/* engine/sampler.c - penalties, cuts and the draw. See sampler.h.
 *
 * No sorting of the vocabulary: a histogram of the distance to the largest logit tells how far down the
 * cuts can reach, the tokens above that go into a heap, and the heap gives them out in order until the
 * cuts are met. */
#include "engine/sampler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "engine/device.h"

enum { BUCKETS = 1024 };

/* What lies further below the largest (after the temperature) has less than 1e-12 of its probability:
 * even a million of them do not matter. */
static const float REACH = 28.0f;

/* Below it the largest is taken: 1 / less could overflow. */
static const float LEAST_TEMPERATURE = 1e-6f;

struct seen {
    int32_t id; /* -1: free */
    uint32_t n_generated;
};

struct sampler {
    struct engine_params params;
    uint64_t rng;
    struct seen *seen; /* open addressing; NULL without penalties */
    uint32_t mask;
};

struct candidate {
    float logit; /* divided by the temperature, largest is 0 */
    int32_t id;
};

struct sampler_space {
    struct candidate *heap;
    float *few; /* logits of those that may be picked, when they are listed */
    unsigned n_vocab, n;
    unsigned counts[BUCKETS];
};

struct sampler_space *sampler_space_new(unsigned n_vocab)
{
    struct sampler_space *sp = calloc(1, sizeof(*sp));

    if (sp == NULL)
        return NULL;
    sp->n_vocab = n_vocab;
    sp->heap = calloc(n_vocab, sizeof(*sp->heap));
    sp->few = calloc(n_vocab, sizeof(*sp->few));
    if (sp->heap == NULL || sp->few == NULL) {
        sampler_space_free(sp);
        return NULL;
    }
    return sp;
}

void sampler_space_free(struct sampler_space *sp)
{
    if (sp == NULL)
        return;
    free(sp->heap);
    free(sp->few);
    free(sp);
}

static bool is_in(float v, float low, float high)
{
    return v >= low && v <= high; /* false for NaN */
}

enum gw_status sampler_check(const struct engine_params *p, struct gw_err *err)
{
    if (!is_in(p->temperature, 0, 100))
        return gw_fail(err, GW_EINVAL, "temperature must be from 0 to 100");
    if (!is_in(p->top_p, 0, 1))
        return gw_fail(err, GW_EINVAL, "top_p must be from 0 to 1");
    if (!is_in(p->min_p, 0, 1))
        return gw_fail(err, GW_EINVAL, "min_p must be from 0 to 1");
    if (!is_in(p->presence_penalty, -2, 2) || !is_in(p->frequency_penalty, -2, 2))
        return gw_fail(err, GW_EINVAL,
                       "presence_penalty and frequency_penalty must be from -2 to 2");
    if (!is_in(p->repeat_penalty, 0.01f, 100))
        return gw_fail(err, GW_EINVAL, "repeat_penalty must be from 0.01 to 100");
    if (p->n_bias > ENGINE_MAX_BIAS)
        return gw_fail(err, GW_EINVAL, "there are more than %d biases", ENGINE_MAX_BIAS);
    for (unsigned i = 0; i < p->n_bias; i++)
        if (!is_in(p->bias[i].bias, -100, 100))
            return gw_fail(err, GW_EINVAL, "biases must be from -100 to 100");
    if (p->top_logprobs > ENGINE_MAX_TOP_LOGPROBS)
        return gw_fail(err, GW_EINVAL, "top_logprobs must be at most %d", ENGINE_MAX_TOP_LOGPROBS);
    return GW_OK;
}

static bool has_penalties(const struct engine_params *p)
{
    return p->presence_penalty < 0 || p->presence_penalty > 0 || p->frequency_penalty < 0 ||
           p->frequency_penalty > 0 || p->repeat_penalty < 1 || p->repeat_penalty > 1;
}

struct sampler *sampler_new(const struct engine_params *params, unsigned max_tokens)
{
    struct sampler *s = calloc(1, sizeof(*s));
    uint32_t size = 64;

    if (s == NULL)
        return NULL;
    s->params = *params;
    s->params.stop = NULL; /* not ours */
    s->params.n_stop = 0;
    s->params.grammar = NULL;
    s->rng = params->seed;
    if (params->seed == 0)
        gw_random(&s->rng, sizeof(s->rng));
    if (!has_penalties(params))
        return s;
    while (size / 2 < max_tokens)
        size *= 2;
    s->mask = size - 1;
    s->seen = malloc(size * sizeof(*s->seen));
    if (s->seen == NULL) {
        free(s);
        return NULL;
    }
    for (uint32_t i = 0; i < size; i++)
        s->seen[i] = (struct seen){-1, 0};
    return s;
}

void sampler_free(struct sampler *s)
{
    if (s == NULL)
        return;
    free(s->seen);
    free(s);
}

void sampler_accept(struct sampler *s, int32_t id, bool generated)
{
    uint32_t at;

    if (s->seen == NULL)
        return;
    at = ((uint32_t)id * 2654435761u) & s->mask;
    while (s->seen[at].id != -1 && s->seen[at].id != id)
        at = (at + 1) & s->mask;
    s->seen[at].id = id;
    s->seen[at].n_generated += generated;
}

static void add_biases(const struct engine_params *p, float *logits, unsigned n_vocab)
{
    for (unsigned i = 0; i < p->n_bias; i++)
        if (p->bias[i].id >= 0 && (unsigned)p->bias[i].id < n_vocab)
            logits[p->bias[i].id] += p->bias[i].bias;
}

static void penalize(const struct sampler *s, float *logits, unsigned n_vocab)
{
    const struct engine_params *p = &s->params;

    if (s->seen == NULL)
        return;
    for (uint32_t i = 0; i <= s->mask; i++) {
        const struct seen *e = &s->seen[i];
        float *z;

        if (e->id < 0 || (unsigned)e->id >= n_vocab)
            continue;
        z = &logits[e->id];
        *z = *z > 0 ? *z / p->repeat_penalty : *z * p->repeat_penalty;
        if (e->n_generated != 0)
            *z -= p->presence_penalty + p->frequency_penalty * (float)e->n_generated;
    }
}

/* Index of the largest that is a number; -1 when there is none. */
static int32_t largest(const float *logits, unsigned n_vocab)
{
    int32_t best = -1;

    for (unsigned i = 0; i < n_vocab; i++)
        if (!isnan(logits[i]) && (best < 0 || logits[i] > logits[best]))
            best = (int32_t)i;
    return best;
}

/* ---- candidates ------------------------------------------------------------------------- */

static bool is_before(struct candidate a, struct candidate b)
{
    return a.logit > b.logit || (a.logit >= b.logit && a.id < b.id);
}

static void sift_down(struct candidate *heap, unsigned n, unsigned at)
{
    struct candidate c = heap[at];

    for (;;) {
        unsigned child = 2 * at + 1;

        if (child >= n)
            break;
        if (child + 1 < n && is_before(heap[child + 1], heap[child]))
            child++;
        if (!is_before(heap[child], c))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = c;
}

static unsigned bucket_of(float distance)
{
    unsigned b = (unsigned)(distance * ((float)BUCKETS / REACH));

    return b < BUCKETS ? b : BUCKETS - 1;
}

/* Counts the tokens by their distance to the largest, in units of the temperature. */
static void count_buckets(struct sampler_space *sp, const float *logits, unsigned n_vocab,
                          float top, float inverse)
{
    memset(sp->counts, 0, sizeof(sp->counts));
    for (unsigned i = 0; i < n_vocab; i++) {
        float distance = (top - logits[i]) * inverse;

        if (distance <= REACH) /* false for NaN */
            sp->counts[bucket_of(distance)]++;
    }
}

/* Last bucket that can hold a token which the cuts leave. *rest is set to the mass beyond it. */
static unsigned last_bucket(const struct engine_params *p, const struct sampler_space *sp,
                            double *rest)
{
    const double width = (double)REACH / BUCKETS;
    double upper[BUCKETS], total = 0, mass = 0; /* every token at the upper end of its bucket */
    unsigned count = 0, last = 0;

    for (unsigned b = 0; b < BUCKETS; b++) {
        upper[b] = sp->counts[b] == 0 ? 0 : sp->counts[b] * exp(-width * b);
        total += upper[b];
    }
    for (; last < BUCKETS - 1; last++) {
        count += sp->counts[last];
        mass += upper[last];
        if (p->top_k != 0 && count >= p->top_k)
            break;
        /* At the lower ends the mass would still be enough; or what follows is not worth the look. */
        if (mass * exp(-width) >= (double)p->top_p * total || total - mass < 1e-7 * total)
            break;
        if (p->min_p > 0 && exp(-width * (last + 1)) < (double)p->min_p)
            break;
    }
    *rest = 0;
    for (unsigned b = last + 1; b < BUCKETS; b++)
        *rest += upper[b] * exp(-width / 2);
    return last;
}

/* Fills sp->heap with the tokens that the cuts may leave, by id. Returns the mass of the others. */
static double collect(const struct sampler *s, struct sampler_space *sp, const float *logits,
                      unsigned n_vocab, float top)
{
    float inverse = 1.0f / s->params.temperature;
    float least = s->params.min_p > 0 ? -logf(s->params.min_p) : REACH;
    double rest = 0;
    unsigned last;

    count_buckets(sp, logits, n_vocab, top, inverse);
    last = last_bucket(&s->params, sp, &rest);
    sp->n = 0;
    for (unsigned i = 0; i < n_vocab; i++) {
        float distance = (top - logits[i]) * inverse;

        if (distance <= REACH && distance <= least && bucket_of(distance) <= last)
            sp->heap[sp->n++] = (struct candidate){-distance, (int32_t)i};
    }
    return s->params.min_p > 0 ? 0 : rest;
}

/* Takes the most likely of the heap[n] and parks it at heap[n - 1]. */
static struct candidate pop(struct candidate *heap, unsigned n)
{
    struct candidate c = heap[0];

    heap[0] = heap[n - 1];
    sift_down(heap, n - 1, 0);
    heap[n - 1] = c;
    return c;
}

static double weight(struct candidate c)
{
    return exp((double)c.logit);
}

/* A number from 0 (included) to 1 (excluded): splitmix64, 53 bits. */
static double draw(struct sampler *s)
{
    uint64_t z = s->rng += 0x9E3779B97F4A7C15u;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53;
}

bool sampler_describe(const struct sampler *s, struct device_pick *out)
{
    struct sampler next = {.rng = s->rng};

    if (s->seen != NULL || s->params.n_bias != 0)
        return false;
    *out = (struct device_pick){.temperature = s->params.temperature,
                                .top_p = s->params.top_p,
                                .min_p = s->params.min_p,
                                .top_k = s->params.top_k,
                                .random = draw(&next)};
    return true;
}

void sampler_drew(struct sampler *s)
{
    if (s->params.temperature > LEAST_TEMPERATURE)
        (void)draw(s);
}

/* Draws from the candidates in order of likelihood, the k most likely of which (all when k is 0) count,
 * cut to mass top_p. */
static int32_t draw_sorted(struct sampler *s, struct sampler_space *sp, double total)
{
    const struct engine_params *p = &s->params;
    unsigned k = p->top_k != 0 && p->top_k < sp->n ? p->top_k : sp->n, n_kept = 0;
    double mass = 0, at;

    for (unsigned i = sp->n / 2; i-- > 0;)
        sift_down(sp->heap, sp->n, i);
    if (p->top_k != 0) { /* top_p is a share of what top_k left */
        total = 0;
        for (unsigned i = 0; i < k; i++)
            total += weight(pop(sp->heap, sp->n - i));
    }
    while (n_kept < k && (n_kept == 0 || mass < (double)p->top_p * total)) {
        unsigned i = sp->n - 1 - n_kept; /* where pop parks number n_kept */

        mass += weight(p->top_k != 0 ? sp->heap[i] : pop(sp->heap, i + 1));
        n_kept++;
    }
    at = draw(s) * mass;
    for (unsigned i = 0; i + 1 < n_kept; i++) {
        at -= weight(sp->heap[sp->n - 1 - i]);
        if (at < 0)
            return sp->heap[sp->n - 1 - i].id;
    }
    return sp->heap[sp->n - n_kept].id;
}

/* Index of the one that is picked. */
static int32_t pick(struct sampler *s, struct sampler_space *sp, const float *logits,
                    unsigned n_vocab)
{
    const struct engine_params *p = &s->params;
    double total = 0, at;
    int32_t top = largest(logits, n_vocab);

    if (top < 0)
        return 0;
    if (!(p->temperature > LEAST_TEMPERATURE) || isinf(logits[top]))
        return top;
    total = collect(s, sp, logits, n_vocab, logits[top]);
    for (unsigned i = 0; i < sp->n; i++)
        total += weight(sp->heap[i]);
    if (p->top_k != 0 || p->top_p < 1)
        return draw_sorted(s, sp, total);
    at = draw(s) * total;
    for (unsigned i = 0; i + 1 < sp->n; i++) {
        at -= weight(sp->heap[i]);
        if (at < 0)
            return sp->heap[i].id;
    }
    return sp->heap[sp->n - 1].id;
}

int32_t sampler_pick_of(struct sampler *s, struct sampler_space *sp, float *logits,
                        unsigned n_vocab, const int32_t *ids, unsigned n_ids)
{
    add_biases(&s->params, logits, n_vocab);
    penalize(s, logits, n_vocab);
    if (ids == NULL || n_ids == 0)
        return pick(s, sp, logits, n_vocab);
    for (unsigned i = 0; i < n_ids; i++)
        sp->few[i] = logits[ids[i]];
    return ids[pick(s, sp, sp->few, n_ids)];
}

int32_t sampler_pick(struct sampler *s, struct sampler_space *sp, float *logits, unsigned n_vocab)
{
    return sampler_pick_of(s, sp, logits, n_vocab, NULL, 0);
}
