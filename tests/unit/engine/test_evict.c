/* tests/unit/engine/test_evict.c - which prefixes go when pages are short, over made traces of conversations, agents, batches and
 * questions about documents: the longest unused, the least likely to be used again, and the best that is possible (Belady: the
 * one whose next use is farthest, for which the future must be known). And what sharing pages saves: over the same trace
 * with pages shared, copied, and with nothing kept. Prints the tables of docs/engine.md; the same numbers on every machine.
 *
 * usage: test_evict [SEED]   of the traces; 7 */
#include <stdlib.h>
#include <string.h>

#include "engine/radix.h"
#include "tests/test.h"

enum {
    N_REQUESTS = 3000,
    MAX_PAGES = 640, /* of a request */
    MAX_SESSIONS = 4096,
    N_TENANTS = 6,
    NEVER = N_REQUESTS,
    TOKEN_BYTES = 12240 /* the default model's, kv int8: docs/engine.md */
};

/* ---- traces ------------------------------------------------------------------------------- */

/* A request: its pages by what is on them, prompt and answer. Equal numbers behind equal pages are equal pages. */
struct ask {
    unsigned tenant, n_prompt, n_pages;
    uint32_t *pages;
};

struct session {
    bool on, agent;
    unsigned tenant, due, turns, n_pages;
    uint32_t pages[MAX_PAGES];
};

/* In percent of what is no further turn. */
struct mix {
    const char *name;
    unsigned batch, documents, agent; /* the others begin conversations */
};

struct trace {
    struct ask asks[N_REQUESTS];
    struct session *sessions;
    uint64_t state;
    uint32_t next; /* number that no page has yet */
};

static unsigned draw(struct trace *t, unsigned n)
{
    t->state = t->state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(t->state >> 33) % n;
}

/* About n on the average, mostly less. */
static unsigned draw_wait(struct trace *t, unsigned n)
{
    return 1 + draw(t, n) * draw(t, n) * 4 / n;
}

static void add_new(struct trace *t, uint32_t *pages, unsigned *n, unsigned more)
{
    for (unsigned i = 0; i < more && *n < MAX_PAGES; i++)
        pages[(*n)++] = t->next++;
}

/* A system prompt or a document: number `which` of n pages. */
static void add_known(uint32_t *pages, unsigned *n, unsigned which, unsigned more)
{
    for (unsigned i = 0; i < more && *n < MAX_PAGES; i++)
        pages[(*n)++] = which << 10 | i;
}

static void keep(struct ask *a, unsigned tenant, const uint32_t *pages, unsigned n_prompt,
                 unsigned n)
{
    *a = (struct ask){tenant, n_prompt, n, malloc((n + 1) * sizeof(*pages))};
    if (a->pages == NULL)
        exit(2);
    memcpy(a->pages, pages, n * sizeof(*pages));
}

static void go_on(struct trace *t, struct session *s, unsigned now, struct ask *a)
{
    unsigned n_prompt;

    add_new(t, s->pages, &s->n_pages, s->agent ? 3 + draw(t, 20) : 2 + draw(t, 8));
    n_prompt = s->n_pages;
    add_new(t, s->pages, &s->n_pages, s->agent ? 2 + draw(t, 4) : 6 + draw(t, 14));
    keep(a, s->tenant, s->pages, n_prompt, s->n_pages);
    s->on = --s->turns != 0 && s->n_pages + 64 < MAX_PAGES;
    s->due = now + draw_wait(t, s->agent ? 12 : 60);
}

static void begin(struct trace *t, bool agent, unsigned now, struct ask *a)
{
    struct session *s = t->sessions;

    while (s->on)
        s++;
    *s = (struct session){.agent = agent, .tenant = agent ? 2 : draw(t, 2)};
    s->turns = agent ? 6 + draw(t, 14) : 1 + draw(t, 4) * draw(t, 4);
    add_known(s->pages, &s->n_pages, 1 + s->tenant, agent ? 60 : 12);
    go_on(t, s, now, a);
}

/* One prompt that nobody goes on with: of a batch, or about one of 60 documents, some of which everybody asks about. */
static void ask_once(struct trace *t, bool batch, struct ask *a)
{
    uint32_t pages[MAX_PAGES];
    unsigned n = 0, n_prompt;

    add_known(pages, &n, batch ? 10 : 11, batch ? 10 : 8);
    if (batch) {
        add_new(t, pages, &n, 20 + draw(t, 60));
    } else {
        unsigned which = draw(t, 60) * draw(t, 60) / 60;

        add_known(pages, &n, 20 + which, 20 + which % 40);
        add_new(t, pages, &n, 2);
    }
    n_prompt = n;
    add_new(t, pages, &n, 3);
    keep(a, batch ? 3 : 4, pages, n_prompt, n);
}

static struct session *due(struct trace *t, unsigned now)
{
    struct session *best = NULL;

    for (unsigned i = 0; i < MAX_SESSIONS; i++) {
        struct session *s = &t->sessions[i];

        if (s->on && s->due <= now && (best == NULL || s->due < best->due))
            best = s;
    }
    return best;
}

static uint64_t seed = 7;

static struct trace *make_trace(const struct mix *mix)
{
    struct trace *t = calloc(1, sizeof(*t));

    if (t == NULL || (t->sessions = calloc(MAX_SESSIONS, sizeof(*t->sessions))) == NULL)
        exit(2);
    t->state = seed;
    t->next = 1 << 20;
    for (unsigned now = 0; now < N_REQUESTS; now++) {
        struct session *s = due(t, now);
        unsigned kind = draw(t, 100);

        if (s != NULL)
            go_on(t, s, now, &t->asks[now]);
        else if (kind < mix->batch + mix->documents)
            ask_once(t, kind < mix->batch, &t->asks[now]);
        else
            begin(t, kind < mix->batch + mix->documents + mix->agent, now, &t->asks[now]);
    }
    return t;
}

static void free_trace(struct trace *t)
{
    for (unsigned i = 0; i < N_REQUESTS; i++)
        free(t->asks[i].pages);
    free(t->sessions);
    free(t);
}

/* ---- the tree ----------------------------------------------------------------------------- */

struct world {
    struct kvcache *kv;
    struct radix *tree;
    struct radix_root *roots[N_TENANTS];
};

static void open_world(struct world *w, unsigned n_pages, bool predict)
{
    static const char *const names[N_TENANTS] = {"a", "b", "agents", "batch", "documents", "f"};
    const struct kvcache_shape shape = {.n_layers = 1,
                                        .n_kv_heads = 1,
                                        .head_dim = 2,
                                        .n_tokens = n_pages * KERN_KV_BLOCK,
                                        .max_seq_tokens = MAX_PAGES * KERN_KV_BLOCK};

    if (!CHECK(kvcache_new(&shape, &w->kv, NULL) == GW_OK))
        exit(2);
    w->tree = radix_new(w->kv, predict);
    for (unsigned i = 0; i < N_TENANTS; i++)
        w->roots[i] = radix_enter(w->tree, gw_span_str(names[i]));
}

static void close_world(struct world *w)
{
    for (unsigned i = 0; i < N_TENANTS; i++)
        radix_leave(w->tree, w->roots[i]);
    radix_free(w->tree);
    kvcache_free(w->kv);
}

static void to_ids(const struct ask *a, int32_t *ids)
{
    for (unsigned i = 0; i < a->n_pages * KERN_KV_BLOCK; i++)
        ids[i] = (int32_t)(a->pages[i / KERN_KV_BLOCK] + i % KERN_KV_BLOCK);
}

/* Pages of prompts that are computed when the requests come one by one. */
static uint64_t run_tree(const struct trace *t, unsigned n_pages, bool predict, uint64_t *missed)
{
    static int32_t ids[MAX_PAGES * KERN_KV_BLOCK];
    uint64_t computed = 0;
    struct world w;

    open_world(&w, n_pages, predict);
    for (unsigned i = 0; i < N_REQUESTS; i++) {
        const struct ask *a = &t->asks[i];
        unsigned n = a->n_pages * KERN_KV_BLOCK, got;
        struct kvcache_seq s = {0};

        to_ids(a, ids);
        got = radix_attach(w.tree, w.roots[a->tenant], ids, a->n_prompt * KERN_KV_BLOCK, &s, 0);
        got -= got % KERN_KV_BLOCK;
        computed += a->n_prompt - got / KERN_KV_BLOCK;
        while (kvcache_reserve_from(w.kv, &s, got, n) == GW_EAGAIN)
            if (radix_evict(w.tree, kvcache_missing(w.kv, &s, got, n)) == 0)
                exit(2); /* a request is smaller than any cache here */
        radix_publish(w.tree, w.roots[a->tenant], i + 1, ids, n, &s);
        kvcache_release(w.kv, &s);
    }
    *missed = radix_n_missed(w.tree);
    close_world(&w);
    return computed;
}

/* ---- the best that is possible -------------------------------------------------------------- */

/* A page of some path: who it is, and the list of its next use. */
struct page {
    uint64_t path; /* 0: free place */
    unsigned next, seen;
    bool in, held;
    struct page *later, *sooner;
};

struct belady {
    struct page *pages;
    unsigned mask, n_in;
    struct page *lists[N_REQUESTS + 1]; /* of those in the cache, by their next use */
    unsigned *next;                     /* [request][page]: when that page is used next */
};

static struct page *find(struct belady *b, uint64_t path)
{
    unsigned at = (unsigned)(path >> 20) & b->mask;

    while (b->pages[at].path != 0 && b->pages[at].path != path)
        at = (at + 1) & b->mask;
    b->pages[at].path = path;
    return &b->pages[at];
}

static uint64_t path_behind(uint64_t path, const struct ask *a, unsigned i)
{
    if (i == 0)
        path = a->tenant + 1;
    path = (path ^ a->pages[i]) * 0x9E3779B97F4A7C15u;
    return path ^ path >> 31;
}

static void hold(struct belady *b, struct page *p)
{
    p->held = true;
    if (!p->in)
        return;
    *(p->sooner != NULL ? &p->sooner->later : &b->lists[p->next]) = p->later;
    if (p->later != NULL)
        p->later->sooner = p->sooner;
}

static void release(struct belady *b, struct page *p, unsigned next)
{
    p->held = false;
    p->next = next;
    p->sooner = NULL;
    p->later = b->lists[next];
    if (p->later != NULL)
        p->later->sooner = p;
    b->lists[next] = p;
}

static void drop_farthest(struct belady *b)
{
    unsigned at = N_REQUESTS;
    struct page *p;

    while (b->lists[at] == NULL)
        at--;
    p = b->lists[at];
    hold(b, p);
    p->held = p->in = false;
    b->n_in--;
}

static uint64_t run_belady(const struct trace *t, unsigned n_pages)
{
    struct belady *b = calloc(1, sizeof(*b));
    uint64_t computed = 0;

    if (b == NULL)
        exit(2);
    b->mask = (1 << 20) - 1;
    b->pages = calloc((size_t)b->mask + 1, sizeof(*b->pages));
    b->next = calloc((size_t)N_REQUESTS * MAX_PAGES, sizeof(*b->next));
    if (b->pages == NULL || b->next == NULL)
        exit(2);
    for (unsigned i = N_REQUESTS; i-- > 0;) {
        uint64_t path = 0;

        for (unsigned k = 0; k < t->asks[i].n_pages; k++) {
            struct page *p;

            path = path_behind(path, &t->asks[i], k);
            p = find(b, path);
            b->next[(size_t)i * MAX_PAGES + k] = p->seen == 0 ? NEVER : p->seen - 1;
            p->seen = i + 1;
        }
    }
    for (unsigned i = 0; i < N_REQUESTS; i++) {
        const struct ask *a = &t->asks[i];
        struct page *own[MAX_PAGES];
        uint64_t path = 0;
        bool hit = true;

        for (unsigned k = 0; k < a->n_pages; k++) {
            path = path_behind(path, a, k);
            own[k] = find(b, path);
            hit = hit && own[k]->in && k < a->n_prompt;
            computed += k < a->n_prompt && !hit;
            hold(b, own[k]);
        }
        for (unsigned k = 0; k < a->n_pages; k++) {
            if (own[k]->in)
                continue;
            while (b->n_in >= n_pages)
                drop_farthest(b);
            own[k]->in = true;
            b->n_in++;
        }
        for (unsigned k = 0; k < a->n_pages; k++)
            release(b, own[k], b->next[(size_t)i * MAX_PAGES + k]);
    }
    free(b->pages);
    free(b->next);
    free(b);
    return computed;
}

/* ---- the tables ----------------------------------------------------------------------------- */

static const struct mix mixes[] = {
    {"all four", 55, 25, 5},
    {"conversations", 0, 0, 0},
    {"conversations, batch", 80, 0, 0},
    {"agents, documents", 0, 75, 25},
};

static void test_orders(void)
{
    static const unsigned sizes[] = {1024, 2048, 4096};
    uint64_t all_lru = 0, all_predict = 0, all_best = 0;

    printf("| requests | KV pages | least recently used | predicted | best possible | of the "
           "difference |\n|---|---|---|---|---|---|\n");
    for (size_t m = 0; m < sizeof(mixes) / sizeof(mixes[0]); m++) {
        struct trace *t = make_trace(&mixes[m]);
        uint64_t asked = 0;

        for (unsigned i = 0; i < N_REQUESTS; i++)
            asked += t->asks[i].n_prompt;
        for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
            uint64_t missed, none;
            uint64_t lru = run_tree(t, sizes[k], false, &none);
            uint64_t predict = run_tree(t, sizes[k], true, &missed);
            uint64_t best = run_belady(t, sizes[k]);

            CHECK(best <= lru && best <= predict && none == 0);
            CHECK(predict <= lru + lru / 50); /* never much worse */
            all_lru += lru;
            all_predict += predict;
            all_best += best;
            printf("| %s | %u | %.1f %% | %.1f %% | %.1f %% | %.0f %% |\n", mixes[m].name, sizes[k],
                   100 - 100.0 * (double)lru / (double)asked,
                   100 - 100.0 * (double)predict / (double)asked,
                   100 - 100.0 * (double)best / (double)asked,
                   lru == best ? 0 : 100 * ((double)lru - (double)predict) / (double)(lru - best));
        }
        free_trace(t);
    }
    printf("\npages of prompts computed in all: %llu, %llu predicted, %llu at best\n",
           (unsigned long long)all_lru, (unsigned long long)all_predict,
           (unsigned long long)all_best);
    CHECK((all_lru - all_predict) * 5 > all_lru - all_best); /* a fifth of what could be had */
}

/* What is done with the pages of other requests. */
enum sharing { SHARED, COPIED, NONE };

struct flight {
    struct kvcache_seq kv;
    int32_t ids[MAX_PAGES * KERN_KV_BLOCK];
    unsigned n, tenant;
    uint64_t who;
};

static void land(struct world *w, struct flight *f, enum sharing how)
{
    if (f->who == 0)
        return;
    if (how == COPIED)
        radix_publish(w->tree, w->roots[f->tenant], f->who, f->ids, f->n, &f->kv);
    kvcache_release(w->kv, &f->kv);
    f->who = 0;
}

/* 16 requests at a time; who came first ends first. Prints a line of the table. Returns pages of prompts that are computed. */
static uint64_t run_flights(const struct trace *t, const char *name, enum sharing how,
                            unsigned n_pages, uint64_t *copied)
{
    enum { N_FLIGHTS = 16, PAGE_MIB = 1 << 20 };
    static struct flight flights[N_FLIGHTS];
    const double page_bytes = (double)TOKEN_BYTES * KERN_KV_BLOCK;
    uint64_t computed = 0, asked = 0;
    unsigned most = 0;
    struct world w;

    memset(flights, 0, sizeof(flights));
    open_world(&w, n_pages, false);
    for (unsigned i = 0; i < N_REQUESTS; i++) {
        const struct ask *a = &t->asks[i];
        struct flight *f = &flights[i % N_FLIGHTS];
        unsigned got = 0;

        land(&w, f, how);
        f->n = a->n_pages * KERN_KV_BLOCK;
        f->tenant = a->tenant;
        f->who = i + 1;
        to_ids(a, f->ids);
        if (how != NONE)
            got = radix_attach(w.tree, w.roots[a->tenant], f->ids, a->n_prompt * KERN_KV_BLOCK,
                               &f->kv, 0);
        got -= got % KERN_KV_BLOCK;
        computed += a->n_prompt - got / KERN_KV_BLOCK;
        asked += a->n_prompt;
        got = how == COPIED ? 0 : got; /* from there on the pages become its own */
        while (kvcache_reserve_from(w.kv, &f->kv, got, f->n) == GW_EAGAIN)
            if (radix_evict(w.tree, kvcache_missing(w.kv, &f->kv, got, f->n)) == 0)
                exit(2);
        if (how == SHARED)
            radix_publish(w.tree, w.roots[a->tenant], f->who, f->ids, f->n, &f->kv);
        most = kvcache_used_tokens(w.kv) > most ? kvcache_used_tokens(w.kv) : most;
    }
    for (unsigned i = 0; i < N_FLIGHTS; i++)
        land(&w, &flights[i], how);
    *copied = kvcache_copied_tokens(w.kv) / KERN_KV_BLOCK;
    printf("| %s | %llu | %.1f %% | %u | %.0f MiB | %llu | %.0f MiB |\n", name,
           (unsigned long long)computed * KERN_KV_BLOCK, 100.0 * (double)computed / (double)asked,
           most / KERN_KV_BLOCK, most / KERN_KV_BLOCK * page_bytes / PAGE_MIB,
           (unsigned long long)*copied, (double)*copied * page_bytes / PAGE_MIB);
    close_world(&w);
    return computed;
}

static void test_sharing(void)
{
    struct trace *t = make_trace(&mixes[0]);
    uint64_t shared, copied, none, n_copied[3];

    printf(
        "\n| pages of others | prompt tokens computed | of all | pages held at most | are | pages "
        "copied | are |\n|---|---|---|---|---|---|---|\n");
    shared = run_flights(t, "shared", SHARED, 8192, &n_copied[SHARED]);
    copied = run_flights(t, "copied", COPIED, 8192, &n_copied[COPIED]);
    none = run_flights(t, "none kept (`off`)", NONE, 8192, &n_copied[NONE]);
    CHECK(shared <= copied && copied < none);
    CHECK(n_copied[SHARED] == 0 && n_copied[NONE] == 0 && n_copied[COPIED] != 0);
    free_trace(t);
}

int main(int argc, char **argv)
{
    if (argc == 2)
        seed = strtoull(argv[1], NULL, 10);
    test_orders();
    test_sharing();
    return test_done();
}
