/* engine/sched_admit.c - who gets a slot, who loses it, and the end of those that wait. See sched.h.
 *
 * The line says whose turn it is. When no slot is free, one that runs is parked for a request of a higher
 * priority, or of a tenant that has two slots fewer than the other: it waits in line again, with its tokens
 * and its place by age, and finds most of its keys in the tree of prefixes when it goes on. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/sched_private.h"

enum {
    /* Text that is turned into tokens between two steps: running streams wait that long. */
    ENCODE_BYTES = 64 << 10,
    /* What a sequence may do before it is parked for another tenant's. */
    TURN_TOKENS = 64
};

static struct request *request_of(struct line_place *p)
{
    return (struct request *)(void *)((char *)p - offsetof(struct request, place));
}

/* ---- the end of those that wait --------------------------------------------------------- */

/* Its prompt waits for pages no more. */
static void count_off(struct sched *s, struct request *r)
{
    atomic_fetch_sub(&s->wanted_tokens, r->want_tokens);
    r->want_tokens = 0;
}

void sched_refuse(struct sched *s, struct request *r, enum gw_status status, const char *error)
{
    struct engine_event done = {.finish = ENGINE_FINISH_ERROR, .status = status};
    struct seq *q = r->parked;

    count_off(s, r);
    if (q != NULL) {
        r->parked = NULL;
        s->n_running++;
        sched_end(s, q, ENGINE_FINISH_ERROR, status, error);
        free(q);
        return;
    }
    (void)snprintf(done.error, sizeof(done.error), "%s", error);
    request_post_done(r, &done);
    sched_forget(s, r);
}

void sched_refuse_waiting(struct sched *s, enum gw_status status, const char *error)
{
    struct line_place *p;

    while ((p = line_first(s->line)) != NULL)
        sched_refuse(s, request_of(p), status, error);
}

static bool is_late(const struct request *r, uint64_t now)
{
    return r->params.deadline_ns != 0 && now >= r->params.deadline_ns;
}

void sched_sweep(struct sched *s)
{
    uint64_t now = gw_clock_ns();

    for (unsigned i = 0; i < s->cfg.max_seqs; i++) {
        struct seq *q = &s->seqs[i];

        if (q->r == NULL)
            continue;
        if (request_is_canceled(q->r))
            sched_end(s, q, ENGINE_FINISH_CANCELED, GW_ECANCELED, NULL);
        else if (is_late(q->r, now))
            sched_end(s, q, ENGINE_FINISH_ERROR, GW_ETIMEDOUT, "the deadline passed");
    }
    for (struct line_place *p = line_first(s->line), *next; p != NULL; p = next) {
        next = p->next;
        if (request_is_canceled(request_of(p)) || is_late(request_of(p), now))
            sched_refuse(s, request_of(p), GW_ETIMEDOUT,
                         "the deadline passed while the request was waiting");
    }
}

/* ---- slots ------------------------------------------------------------------------------ */

static struct seq *free_slot(struct sched *s)
{
    for (unsigned i = 0; i < s->cfg.max_seqs; i++)
        if (s->seqs[i].r == NULL)
            return &s->seqs[i];
    return NULL;
}

/* A sequence that waits for pages goes before new ones. */
static bool is_short_of_pages(const struct sched *s)
{
    for (unsigned i = 0; i < s->cfg.max_seqs; i++)
        if (s->seqs[i].r != NULL && s->seqs[i].starved)
            return true;
    return false;
}

/* Has q less right to its slot than the waiting p? */
static bool must_yield(const struct seq *q, const struct line_place *p)
{
    const struct line_place *own = &q->r->place;

    if (own->priority != p->priority)
        return own->priority < p->priority;
    return own->tenant->n_running >= p->tenant->n_running + 2 && q->n_turn >= TURN_TOKENS;
}

/* Of two that must yield: the lower priority, then the tenant with more slots, then the younger. */
static bool yields_before(const struct seq *a, const struct seq *b)
{
    const struct line_place *x = &a->r->place, *y = &b->r->place;

    if (x->priority != y->priority)
        return x->priority < y->priority;
    if (x->tenant->n_running != y->tenant->n_running)
        return x->tenant->n_running > y->tenant->n_running;
    return a->age > b->age;
}

/* Makes a slot free for p. NULL: nobody has to yield. */
static struct seq *park_for(struct sched *s, const struct line_place *p)
{
    struct seq *q = NULL, *copy;

    for (unsigned i = 0; i < s->cfg.max_seqs; i++)
        if (must_yield(&s->seqs[i], p) && (q == NULL || yields_before(&s->seqs[i], q)))
            q = &s->seqs[i];
    copy = q == NULL ? NULL : malloc(sizeof(*copy));
    if (copy == NULL)
        return NULL;
    sched_preempt(s, q);
    *copy = *q;
    copy->r->parked = copy;
    line_rejoin(s->line, &copy->r->place);
    *q = (struct seq){0};
    s->n_running--;
    atomic_fetch_add(&s->n_parked, 1);
    return q;
}

/* ---- admission -------------------------------------------------------------------------- */

void sched_join(struct sched *s, struct request *r)
{
    r->place.priority = r->params.priority;
    if (!line_join(s->line, &r->place, r->params.tenant, gw_clock_ns()))
        sched_refuse(s, r, GW_ENOMEM, "out of memory for the request");
}

/* The request's prompt as ids. */
static enum gw_status encode(const struct sched *s, const struct request *r, struct tok_ids *ids,
                             struct gw_err *err)
{
    unsigned max = s->cfg.max_context;

    if (r->too_long)
        return gw_fail(err, GW_ELIMIT, "the prompt is longer than the context of %u tokens", max);
    GW_TRY(chat_encode(s->cfg.chat, r->messages, r->n_messages, true, ids, err));
    if (ids->n == 0)
        return gw_fail(err, GW_EINVAL, "the prompt is empty");
    if (ids->n >= max)
        return gw_fail(err, GW_ELIMIT,
                       "the prompt has %zu tokens, the context holds %u with the answer", ids->n,
                       max);
    return GW_OK;
}

/* Whose prefixes r shares: those of its tenant's requests with the same adapter. Names of another length cannot be
 * equal, and the adapter's number has one length. */
static struct radix_root *enter(struct sched *s, const struct request *r)
{
    char name[sizeof(r->lora_id) + ENGINE_MAX_TENANT_BYTES];
    const struct gw_span tenant = r->params.tenant;

    memcpy(name, &r->lora_id, sizeof(r->lora_id));
    if (tenant.len != 0)
        memcpy(name + sizeof(r->lora_id), tenant.ptr, tenant.len);
    return radix_enter(s->tree, (struct gw_span){name, sizeof(r->lora_id) + tenant.len});
}

/* Gives r the free slot q, or ends it. */
static void start(struct sched *s, struct seq *q, struct request *r)
{
    struct gw_err err = {GW_ENOMEM, "out of memory for the prompt"};
    struct tok_ids ids = {0};
    enum gw_status st = encode(s, r, &ids, &err);
    struct sampler *sampler = NULL;
    struct steer *steer = NULL;
    struct probs *probs = NULL;
    struct radix_root *root = NULL;
    unsigned room;

    if (st == GW_OK) {
        sampler = sampler_new(&r->params, s->cfg.max_context);
        root = enter(s, r);
        if (r->params.grammar != NULL)
            steer = steer_new(s->steer_space, r->params.grammar);
        if (r->params.logprobs)
            probs = probs_new(r->params.top_logprobs);
        if (sampler == NULL || root == NULL || (steer == NULL && r->params.grammar != NULL) ||
            (probs == NULL && r->params.logprobs))
            st = gw_fail(&err, GW_ENOMEM, "out of memory for the request");
    }
    if (st != GW_OK) {
        radix_leave(s->tree, root);
        sampler_free(sampler);
        steer_free(steer);
        probs_free(probs);
        tok_ids_fini(&ids);
        sched_refuse(s, r, st, err.text);
        return;
    }
    room = s->cfg.max_context - (unsigned)ids.n;
    *q = (struct seq){.r = r,
                      .ids = ids,
                      .n_prompt = (unsigned)ids.n,
                      .max_sampled = r->params.max_tokens != 0 && r->params.max_tokens < room
                                         ? r->params.max_tokens
                                         : room,
                      .age = s->next_age++,
                      .start_ns = gw_clock_ns(),
                      .root = root,
                      .taken = 128,
                      .model_taken = 128,
                      .sampler = sampler,
                      .steer = steer,
                      .probs = probs};
    answer_init(&q->answer, r->params.stop, r->params.n_stop, tok_space_prefix(s->cfg.tok));
    for (size_t i = 0; i < ids.n; i++)
        sampler_accept(sampler, ids.ids[i], false);
    s->n_running++;
}

/* A parked sequence goes on in the free slot q. */
static void go_on(struct sched *s, struct seq *q, struct request *r)
{
    struct seq *parked = r->parked;

    *q = *parked;
    q->n_turn = 0;
    r->parked = NULL;
    free(parked);
    s->n_running++;
}

/* Gives the free slot q to a request that waits. */
static void seat(struct sched *s, struct seq *q, struct request *r)
{
    count_off(s, r);
    line_run(s->line, &r->place);
    if (r->parked != NULL)
        go_on(s, q, r);
    else
        start(s, q, r);
}

void sched_admit(struct sched *s)
{
    uint64_t now = gw_clock_ns();
    size_t bytes = 0;
    struct line_place *p;

    while (bytes < ENCODE_BYTES && !is_short_of_pages(s) && (p = line_next(s->line, now)) != NULL) {
        struct seq *q = free_slot(s);
        struct request *r = request_of(p);

        if (q == NULL)
            q = park_for(s, p);
        if (q == NULL)
            break;
        for (unsigned i = 0; i < r->n_messages; i++)
            bytes += r->messages[i].content.len;
        seat(s, q, r);
    }
}
