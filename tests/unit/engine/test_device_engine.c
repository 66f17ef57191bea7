/* tests/unit/engine/test_device_engine.c - the whole engine on an emulated GPU, and on two that share tensors: answers of several requests at once, drawn
 * and greedy, are those of the CPU; and what is picked on the GPU from given logits is what the CPU's sampler picks. */
#include <math.h>
#include <poll.h>

#include "base/clock.h"
#include "engine/device.h"
#include "engine/sampler.h"
#include "kernels/cuda.h"
#include "tests/simt/knobs.h"
#include "tests/simt/nccl.h"
#include "tests/test.h"
#include "tests/unit/engine/rig.h"

enum { REQUESTS = 5, VOCAB = 3001 };

/* ---- answers -------------------------------------------------------------------------------- */

struct result {
    struct gw_buf text;
    struct engine_event done;
    bool is_done;
};

static void take_all(struct engine_chan *ch, struct result *r, unsigned n)
{
    const uint64_t end = gw_clock_ns() + 120 * GW_NS_PER_SEC;
    unsigned n_done = 0;

    while (n_done < n && gw_clock_ns() < end) {
        struct pollfd p = {.fd = engine_chan_fd(ch), .events = POLLIN};
        struct engine_event ev;

        (void)poll(&p, 1, 1000);
        while (engine_chan_next(ch, &ev)) {
            struct result *of = ev.ctx;

            if (ev.type == ENGINE_EVENT_TEXT) {
                gw_buf_add(&of->text, gw_buf_span(&ev.text));
                gw_buf_fini(&ev.text);
            } else if (ev.type == ENGINE_EVENT_DONE) {
                of->done = ev;
                of->is_done = true;
                n_done++;
            }
        }
    }
    for (unsigned i = 0; i < n; i++)
        CHECK(r[i].is_done && r[i].done.status == GW_OK);
}

/* Several requests at once, some with equal beginnings. Two GPUs share tensors. */
static bool answer(const char *path, const char *device, struct result r[REQUESTS])
{
    static const char *const texts[REQUESTS] = {"Tell me a story about a fox.",
                                                "Tell me a story about a bear.", "Hi",
                                                "Count to ten, and back again.", "Hi"};
    const unsigned n_gpus = strcmp(device, "cpu") == 0 ? 0 : strchr(device, ',') != NULL ? 2 : 1;
    const struct engine_config cfg = {.model_path = path,
                                      .threads = 2,
                                      .max_context = 512,
                                      .max_seqs = 3,
                                      .kv = ENGINE_KV_F16,
                                      .device = device,
                                      .split =
                                          n_gpus > 1 ? ENGINE_SPLIT_TENSORS : ENGINE_SPLIT_LAYERS};
    struct engine_info info;
    struct engine_device gpus;
    struct engine *e = NULL;
    struct engine_chan *ch;
    struct gw_err err = {0};

    if (!CHECK(engine_open(&cfg, &e, &err) == GW_OK)) {
        printf("%s\n", err.text);
        return false;
    }
    engine_info(e, &info);
    engine_device(e, &gpus);
    printf("%s: %s\n", device, info.device);
    CHECK((info.device[0] != '\0') == (n_gpus != 0));
    CHECK((strstr(info.device, "shared by tensors") != NULL) == (n_gpus > 1));
    CHECK(gpus.n_gpus == n_gpus);
    ch = engine_chan_new(e);
    for (unsigned i = 0; i < REQUESTS; i++) {
        const struct engine_message m = {GW_SPAN("user"), gw_span_str(texts[i])};
        const struct engine_params p = {.max_tokens = 10,
                                        .temperature = i % 2 == 0 ? 0 : 0.3f,
                                        .top_p = 0.9f,
                                        .top_k = i == 3 ? 5 : 0,
                                        .repeat_penalty = i == 4 ? 1.1f : 1,
                                        .seed = 7 + i};
        uint64_t id;

        CHECK(engine_submit(ch, &m, 1, &p, &r[i], &id, &err) == GW_OK);
    }
    take_all(ch, r, REQUESTS);
    engine_chan_free(ch);
    engine_close(e);
    return true;
}

/* Of models with weights of 16 bits: quantized activations are finer on the GPU than the CPU's, whose small blocks keep 8 bits, and a random
 * model's choices turn on that. */
static void test_answers(const char *path, const char *device)
{
    struct result cpu[REQUESTS] = {0}, gpu[REQUESTS] = {0};
    unsigned same = 0;

    if (answer(path, "cpu", cpu) && answer(path, device, gpu))
        for (unsigned i = 0; i < REQUESTS; i++)
            same += gw_span_eq(gw_buf_span(&cpu[i].text), gw_buf_span(&gpu[i].text));
    printf("%u of %d answers are the CPU's\n", same, REQUESTS);
    CHECK(same == REQUESTS);
    for (unsigned i = 0; i < REQUESTS; i++) {
        gw_buf_fini(&cpu[i].text);
        gw_buf_fini(&gpu[i].text);
    }
    CHECK(simt_memory_used() == 0);
}

/* ---- what is picked ------------------------------------------------------------------------- */

static uint32_t next(uint64_t *s)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*s >> 33);
}

/* kind: steep, flat, with ties, with NaN and infinities. */
static void make_logits(float *z, unsigned kind, uint64_t *seed)
{
    for (unsigned i = 0; i < VOCAB; i++) {
        const float u = (float)next(seed) / 2147483648.0f;

        z[i] = kind == 0 ? -12 * logf(u + 1e-6f) : kind == 1 ? u : (float)(int)(u * 20);
    }
    if (kind == 3) {
        z[17] = NAN;
        z[0] = -INFINITY;
    }
}

static void test_picks(void)
{
    static const struct engine_params all[] = {
        {.temperature = 0, .top_p = 1},
        {.temperature = 0.7f, .top_p = 0.9f},
        {.temperature = 1, .top_p = 1, .top_k = 40},
        {.temperature = 1.3f, .top_p = 0.8f, .top_k = 500, .min_p = 0.01f},
        {.temperature = 0.5f, .top_p = 1, .min_p = 0.05f},
        {.temperature = 0.4f, .top_p = 1},
        {.temperature = 1, .top_p = 0.5f, .top_k = 1},
        {.temperature = 100, .top_p = 1},
    };
    enum { PARAMS = sizeof(all) / sizeof(all[0]), ROUNDS = 12 };
    struct sampler_space *space = sampler_space_new(VOCAB);
    struct kern_cuda *c = NULL;
    struct kern_cuda_buf *logits = NULL, *picks = NULL, *out = NULL;
    float *z = calloc(VOCAB, sizeof(*z));
    unsigned n_same = 0, n_left = 0, n = 0;
    uint64_t seed = 99;

    CHECK(kern_cuda_open(0, &c, NULL, NULL) == GW_OK);
    CHECK(kern_cuda_buf_new(c, VOCAB * 4, &logits, NULL) == GW_OK);
    CHECK(kern_cuda_buf_new(c, sizeof(struct kern_cuda_pick), &picks, NULL) == GW_OK);
    CHECK(kern_cuda_buf_new(c, 4, &out, NULL) == GW_OK);
    for (unsigned i = 0; i < PARAMS * ROUNDS; i++) {
        struct engine_params p = all[i % PARAMS];
        struct device_pick d = {0};
        struct kern_cuda_pick k;
        struct sampler *s;
        int32_t id = -7, want;

        p.repeat_penalty = 1;
        p.seed = 1000 + i;
        s = sampler_new(&p, 16);
        make_logits(z, i / PARAMS % 4, &seed);
        CHECK(kern_cuda_upload(logits, 0, z, VOCAB * 4, NULL) == GW_OK);
        CHECK(sampler_describe(s, &d));
        k = (struct kern_cuda_pick){.temperature = d.temperature,
                                    .top_p = d.top_p,
                                    .min_p = d.min_p,
                                    .top_k = d.top_k,
                                    .random = d.random,
                                    .repeat = 1};
        CHECK(kern_cuda_upload(picks, 0, &k, sizeof(k), NULL) == GW_OK);
        kern_cuda_sample(c, &(struct kern_cuda_sample){.logits = kern_cuda_at(logits, 0),
                                                       .stride = VOCAB,
                                                       .n_rows = 1,
                                                       .n_vocab = VOCAB,
                                                       .pick = kern_cuda_at(picks, 0),
                                                       .out = kern_cuda_at(out, 0)});
        CHECK(kern_cuda_download(out, 0, &id, 4, NULL) == GW_OK &&
              kern_cuda_sync(c, NULL) == GW_OK);
        want = sampler_pick(s, space, z, VOCAB);
        n++;
        n_left += id == -2;
        n_same += id == want;
        if (id != -2 && !CHECK(id == want))
            printf("parameters %u, logits %u: %d, the CPU %d\n", i % PARAMS, i / PARAMS % 4, id,
                   want);
        sampler_free(s);
    }
    printf("%u of %u picks are the CPU's, %u are left to it\n", n_same, n, n_left);
    CHECK(n_left < n / 4 && n_left != 0);
    kern_cuda_buf_free(logits);
    kern_cuda_buf_free(picks);
    kern_cuda_buf_free(out);
    kern_cuda_close(c);
    sampler_space_free(space);
    free(z);
}

int main(void)
{
    char why[256] = "", path[512];
    const char *dir = rig_models(why);

    test_picks();
    if (dir == NULL) {
        test_skip(why);
        return test_done();
    }
    (void)snprintf(path, sizeof(path), "%s/tiny-llama3-F16.gguf", dir);
    test_answers(path, "cuda:0");
    if (simt_is_here()) {
        CHECK(fake_nccl_open() != NULL); /* off, and no other one is found */
        simt_set_devices(2);
        test_answers(path, "cuda:0,1");
    }
    (void)snprintf(path, sizeof(path), "%s/tiny-qwen3-F16.gguf", dir);
    test_answers(path, "cuda:0");
    return test_done();
}
