/* tests/unit/engine/test_device_cost.c - what layers on the CPU and pages in the host's memory cost, as it is measured at the start: on a made-up device
 * whose every nanosecond is known, and on the emulated GPU (tests/simt), whose time is counted in launches. The clock is the test's own. */
#include <sys/syscall.h>

#include <stdatomic.h>
#include <unistd.h>

#include "engine/device.h"
#include "engine/sched_private.h"
#include "tests/files.h"
#include "tests/simt/knobs.h"
#include "tests/unit/engine/gguf_make.h"
#include "tests/unit/engine/sched_bed.h"

/* ---- the clock ------------------------------------------------------------------------------ */

enum { OWN_TICK_NS = 1000, LAUNCH_NS = 1000 };

static enum { CLOCK_REAL, CLOCK_OWN, CLOCK_LAUNCHES } clock_kind;
static atomic_ullong own_ns;

/* Instead of the C library's: what base/clock.c asks. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
    const uint64_t ns =
        GW_NS_PER_SEC +
        (clock_kind == CLOCK_OWN ? atomic_load(&own_ns) : (uint64_t)simt_launched() * LAUNCH_NS);

    if (clock_kind == CLOCK_REAL || id != CLOCK_MONOTONIC)
        return (int)syscall(SYS_clock_gettime, id, ts);
    *ts = (struct timespec){(time_t)(ns / GW_NS_PER_SEC), (long)(ns % GW_NS_PER_SEC)};
    return 0;
}

/* ---- a model of some layers ----------------------------------------------------------------- */

/* Longer than what a GPU keeps itself before it gives layers away: the rest may lie in the host's memory. */
enum { CONTEXT = 8192, TIMED_KEYS = 2048 };

static char dir[] = "/tmp/sluice-cost-XXXXXX";

/* Its path; the weights are zeros. */
static const char *model_of(unsigned layers)
{
    static char path[64];
    const struct make_shape shape = {"llama", layers, 128, 128, 2, 1, 64, 8, CONTEXT};
    struct gw_buf b = {0};
    FILE *f;

    make_model(&b, &shape, &shape, NULL);
    (void)snprintf(path, sizeof(path), "%s/%u.gguf", dir, layers);
    f = fopen(path, "wb");
    CHECK(f != NULL && fwrite(b.ptr, 1, b.len, f) == b.len && fclose(f) == 0);
    gw_buf_fini(&b);
    return path;
}

/* ---- a device whose times are known --------------------------------------------------------- */

enum { LAYERS = 4, THERE_NS = 700, STEPS = 6 };

struct made_up {
    struct device base; /* first */
    unsigned n_steps, fails_at, n_costs;
    bool cost_fails;
    float logits[8];
    int32_t picked[8];
};

static atomic_uint n_made; /* steps since the last device was made up */

/* The first two steps and one more are slow, on both sides. */
static unsigned slowness(unsigned step)
{
    return step <= 2 || step == 4 ? 100 : 1;
}

static enum gw_status made_step(struct device *base, const struct device_step *s,
                                struct gw_err *err)
{
    struct made_up *d = (struct made_up *)(void *)base;
    const unsigned n = ++d->n_steps;

    CHECK(s->n_runs == 1 && s->n_tokens == 1 && s->runs[0].pos == n - 1);
    atomic_store(&n_made, n);
    if (n == d->fails_at)
        return gw_fail(err, GW_EIO, "it is lost");
    (void)atomic_fetch_add(&own_ns, (uint64_t)THERE_NS * slowness(n) *
                                        (base->m->n_layers - base->first_layer));
    return GW_OK;
}

static enum gw_status made_cost(struct device *base, struct engine_cost *out, struct gw_err *err)
{
    struct made_up *d = (struct made_up *)(void *)base;

    d->n_costs++;
    if (d->cost_fails)
        return gw_fail(err, GW_EIO, "it is lost while it is timed");
    out->host_kv_s = 5e-8;
    out->gpu_kv_s = 1e-9;
    return GW_OK;
}

static enum gw_status made_start(struct device *base, unsigned n_pages, struct gw_err *err)
{
    (void)base;
    (void)n_pages;
    (void)err;
    return GW_OK;
}

static uint64_t made_room(struct device *base)
{
    (void)base;
    return (uint64_t)1 << 30;
}

static void made_copy(struct device *base, uint32_t to, uint32_t from)
{
    (void)base;
    (void)to;
    (void)from;
}

static const struct device_ops made_ops = {.name = "made up",
                                           .room = made_room,
                                           .start = made_start,
                                           .step = made_step,
                                           .copy_page = made_copy,
                                           .cost = made_cost};

static struct made_up make_up(const struct model *m, unsigned first_layer, unsigned far_tokens)
{
    atomic_store(&n_made, 0);
    return (struct made_up){.base = {.ops = &made_ops,
                                     .m = m,
                                     .first_layer = first_layer,
                                     .token_bytes = 256,
                                     .far_tokens = far_tokens}};
}

/* The CPU's functions, whose norms take a tick each: a llama's layer has two. */
static struct kern_ops ticking;

static void ticking_norm(float *out, const float *x, const float *w, size_t n, float eps)
{
    (void)atomic_fetch_add(&own_ns, OWN_TICK_NS * slowness(atomic_load(&n_made) + 1));
    kern_ops("scalar")->rms_norm(out, x, w, n, eps);
}

/* A scheduler on d. Its costs, or why there is none. */
static enum gw_status measure(const struct bed *b, struct made_up *d, struct engine_cost *out,
                              struct gw_err *err)
{
    const struct sched_config cfg = {.m = &b->m,
                                     .device = &d->base,
                                     .tok = b->tok,
                                     .chat = b->chat,
                                     .p = b->p,
                                     .max_context = 128,
                                     .max_seqs = 2,
                                     .max_queued = 4,
                                     .kv_type = KERN_KV_F16};
    struct sched *s = NULL;
    enum gw_status st;

    d->base.logits = d->logits;
    d->base.picked = d->picked;
    clock_kind = CLOCK_OWN;
    st = sched_new(&cfg, &s, err);
    clock_kind = CLOCK_REAL;
    if (st == GW_OK) {
        sched_cost(s, out);
        CHECK(kvcache_free_tokens(s->kv) == 2 * 128 + KERN_KV_BLOCK); /* nothing of it stays */
    }
    sched_free(s);
    return st;
}

static bool is_near(double a, double b)
{
    return a > b * (1 - 1e-9) && a < b * (1 + 1e-9);
}

/* Nothing on the host: nothing is run, and nothing costs. */
static void test_nothing(const struct bed *b)
{
    const struct engine_cost none = {0};
    struct made_up d = make_up(&b->m, 0, 0);
    struct engine_cost c = {.host_layers = 9};

    CHECK(measure(b, &d, &c, NULL) == GW_OK);
    CHECK(c.host_layers == 0 && c.host_kv_tokens == 0);
    CHECK(memcmp(&c, &none, sizeof(c)) == 0);
    CHECK(d.n_steps == 0 && d.n_costs == 0);
}

/* A layer costs the same, however many there are on either side; steps that warm up and one that was disturbed do not count. */
static void test_layers(const struct bed *b)
{
    for (unsigned n = 1; n < LAYERS; n++) {
        struct made_up d = make_up(&b->m, n, 0);
        struct engine_cost c = {0};

        CHECK(measure(b, &d, &c, NULL) == GW_OK);
        CHECK(c.host_layers == n && c.host_kv_tokens == 0);
        CHECK(is_near(c.host_layer_s, 2 * OWN_TICK_NS / 1e9));
        CHECK(is_near(c.gpu_layer_s, THERE_NS / 1e9));
        CHECK(c.host_kv_s == 0 && c.gpu_kv_s == 0);
        CHECK(d.n_steps == STEPS && d.n_costs == 0);
    }
}

static void test_pages(const struct bed *b)
{
    for (unsigned n = 0; n < 2; n++) {
        struct made_up d = make_up(&b->m, n, 4096);
        struct engine_cost c = {0};

        CHECK(measure(b, &d, &c, NULL) == GW_OK);
        CHECK(c.host_layers == n && c.host_kv_tokens == 4096);
        CHECK((c.host_layer_s > 0) == (n != 0) && c.gpu_layer_s > 0);
        CHECK(c.host_kv_s == 5e-8 && c.gpu_kv_s == 1e-9);
        CHECK(d.n_costs == 1);
    }
}

/* A device that fails while it is timed: the start fails, and says how. */
static void test_lost(const struct bed *b)
{
    struct made_up d;
    struct engine_cost c = {.host_layers = 77};
    struct gw_err err;

    for (unsigned at = 1; at <= STEPS; at++) {
        d = make_up(&b->m, 1, 64);
        d.fails_at = at;
        err = (struct gw_err){0};
        CHECK(measure(b, &d, &c, &err) == GW_EIO && strstr(err.text, "it is lost") != NULL);
        CHECK(d.n_steps == at && d.n_costs == 0);
    }
    d = make_up(&b->m, 1, 64);
    d.cost_fails = true;
    err = (struct gw_err){0};
    CHECK(measure(b, &d, &c, &err) == GW_EIO && strstr(err.text, "while it is timed") != NULL);
    CHECK(d.n_costs == 1 && c.host_layers == 77);
}

static void test_made_up(void)
{
    struct bed b = {0};

    if (CHECK(bed_init(&b, model_of(LAYERS)))) {
        pool_free(b.p); /* of two threads, both would take the ticks of a token alone */
        b.p = NULL;
        CHECK(pool_new(1, &b.p, NULL) == GW_OK);
        ticking = *kern_ops("scalar");
        ticking.rms_norm = ticking_norm;
        b.m.ops = &ticking;
        test_nothing(&b);
        test_layers(&b);
        test_pages(&b);
        test_lost(&b);
    }
    bed_fini(&b);
}

/* ---- the emulated GPU ----------------------------------------------------------------------- */

enum { HERE_LAYERS = 2 };

static enum gw_status open_on(const char *path, size_t memory, struct engine **out,
                              struct gw_err *err)
{
    const struct engine_config cfg = {.model_path = path,
                                      .threads = 1,
                                      .max_context = CONTEXT,
                                      .max_seqs = 1,
                                      .kv = ENGINE_KV_F16,
                                      .device = "cuda:0"};

    simt_set_memory(memory);
    return engine_open(&cfg, out, err);
}

/* What it costs with so much memory; the clock counts launches. */
static enum gw_status cost_with(const char *path, size_t memory, struct engine_device *out,
                                struct gw_err *err)
{
    struct engine *e = NULL;
    enum gw_status st;

    clock_kind = CLOCK_LAUNCHES;
    st = open_on(path, memory, &e, err);
    clock_kind = CLOCK_REAL;
    if (st == GW_OK)
        engine_device(e, out);
    engine_close(e);
    CHECK(simt_memory_used() == 0);
    return st;
}

/* The memory at which `is` first holds of what it costs, by halving: more memory never brings more onto the host. 0: never. */
static size_t find_memory(const char *path, bool (*is)(const struct engine_cost *c),
                          bool (*is_less)(const struct engine_cost *c))
{
    size_t low = (size_t)384 << 20,
           high = low + ((size_t)64 << 20); /* what a GPU spares, and more than all */

    for (unsigned i = 0; i < 24; i++) {
        const size_t mid = low + (high - low) / 2;
        struct engine_device d = {0};

        if (cost_with(path, mid, &d, NULL) != GW_OK || is_less(&d.cost))
            low = mid;
        else if (is(&d.cost))
            return mid;
        else
            high = mid;
    }
    return 0;
}

static bool has_host_layers(const struct engine_cost *c)
{
    return c->host_layers != 0;
}
static bool has_far_pages(const struct engine_cost *c)
{
    return c->host_layers == 0 && c->host_kv_tokens > 256;
}
static bool never(const struct engine_cost *c)
{
    (void)c;
    return false;
}

static void test_room_for_all(const char *path)
{
    const struct engine_cost none = {0};
    struct engine_device d = {0};

    CHECK(cost_with(path, (size_t)1 << 32, &d, NULL) == GW_OK);
    CHECK(d.n_gpus == 1 && d.n_layers == HERE_LAYERS);
    CHECK(memcmp(&d.cost, &none, sizeof(none)) == 0);
}

static void test_layers_on_host(const char *path, size_t memory)
{
    struct engine_device d = {0};

    if (!CHECK(memory != 0) || !CHECK(cost_with(path, memory, &d, NULL) == GW_OK))
        return;
    printf("%u layers on the CPU, %u on the GPU: %.3g of it a layer\n", d.cost.host_layers,
           d.n_layers, d.cost.gpu_layer_s);
    CHECK(d.cost.host_layers + d.n_layers == HERE_LAYERS && d.n_layers != 0);
    CHECK(d.cost.gpu_layer_s > 0 && d.cost.host_layer_s == 0); /* the CPU launches nothing */
}

/* By the real clock: both sides take time. */
static void test_real_times(const char *path, size_t memory)
{
    struct engine *e = NULL;
    struct engine_device d = {0};

    if (!CHECK(memory != 0 && open_on(path, memory, &e, NULL) == GW_OK))
        return;
    engine_device(e, &d);
    CHECK(d.cost.host_layers != 0 && d.cost.host_layer_s > 0 && d.cost.gpu_layer_s > 0);
    engine_close(e);
}

/* Attention is launched as often for each layer, however many keys there are: the time of a pass, in launches, is that of a layer times the layers, and
 * what is said of a token of context is its share of the keys that were timed, at most TIMED_KEYS. */
static void test_pages_on_host(size_t *memory)
{
    double host[2] = {0}, gpu[2] = {0};

    for (unsigned i = 0; i < 2; i++) { /* the smaller one's memory is left in *memory */
        const char *path = model_of(HERE_LAYERS << (1 - i));
        struct engine_device d = {0};

        *memory = find_memory(path, has_far_pages, has_host_layers);
        if (!CHECK(*memory != 0) || !CHECK(cost_with(path, *memory, &d, NULL) == GW_OK))
            return;
        printf("%u layers, %u tokens on the host: %.3g s a token of context, %.3g on the GPU\n",
               d.n_layers, d.cost.host_kv_tokens, d.cost.host_kv_s, d.cost.gpu_kv_s);
        CHECK(d.cost.host_layers == 0 && d.cost.host_layer_s == 0 && d.cost.host_kv_tokens > 256);
        CHECK(d.cost.host_kv_s > 0 && d.cost.gpu_kv_s > 0);
        host[i] = d.cost.host_kv_s / d.n_layers *
                  (d.cost.host_kv_tokens < TIMED_KEYS ? d.cost.host_kv_tokens : TIMED_KEYS);
        gpu[i] = d.cost.gpu_kv_s;
    }
    CHECK(is_near(host[0], host[1]) && gpu[0] > 0 && gpu[1] > 0);
}

/* A device that is lost while it is timed, at any launch: no start, the driver's words, and nothing is left behind. */
static void test_lost_while_timed(const char *path, size_t memory)
{
    struct engine_device d = {0};
    unsigned long before = simt_launched(), n;
    unsigned failed = 0;

    if (!CHECK(memory != 0) || !CHECK(cost_with(path, memory, &d, NULL) == GW_OK))
        return;
    n = simt_launched() - before;
    for (unsigned long at = 1; at < n; at += n / TEST_DRAWS(12) + 1) {
        struct gw_err err = {0};

        simt_fail_after(at);
        CHECK(cost_with(path, memory, &d, &err) == GW_EIO);
        CHECK(strstr(err.text, "emulated failure") != NULL);
        simt_fail_after(0);
        failed++;
    }
    printf("lost at %u of %lu launches of the start\n", failed, n);
    CHECK(failed >= 3 && cost_with(path, memory, &d, NULL) == GW_OK);
}

int main(void)
{
    char path[64];

    if (!CHECK(mkdtemp(dir) != NULL))
        return test_done();
    test_made_up();
    /* A real GPU has as much memory as it has, and fails when it likes. */
    if (simt_is_here()) {
        size_t memory;

        (void)snprintf(path, sizeof(path), "%s", model_of(HERE_LAYERS));
        test_room_for_all(path);
        memory = find_memory(path, has_host_layers, never);
        test_layers_on_host(path, memory);
        test_real_times(path, memory);
        test_pages_on_host(&memory);
        test_lost_while_timed(path, memory);
        simt_set_memory((size_t)1 << 32);
    }
    CHECK(test_remove_tree(dir));
    return test_done();
}
