/* tests/unit/engine/device_logits.h - the logits of a whole model on a device beside those of the CPU: of a prompt, and of single tokens. */
#ifndef TESTS_UNIT_ENGINE_DEVICE_LOGITS_H
#define TESTS_UNIT_ENGINE_DEVICE_LOGITS_H

#include "tests/unit/engine/device_bed.h"

/* Logits behind every token of one sequence: a prompt at once, then token by token. */
static inline bool read_all(struct rig *r, unsigned n, float *out)
{
    struct kvcache_seq s = {0};
    struct forward_run run = {.seq = &s};
    int32_t ids[PROMPT + DECODE];

    for (unsigned i = 0; i < n; i++)
        ids[i] = id_of(i, r->m.n_vocab);
    for (unsigned i = 0; i < n; i += run.n_tokens) {
        run.n_tokens = run.n_logits = i == 0 ? PROMPT : 1;
        run.tokens = ids + i;
        run.pos = i;
        if (!CHECK(kvcache_reserve(r->kv, &s, i + run.n_tokens) == GW_OK) ||
            !CHECK(forward_step(r->f, &run, 1) == GW_OK)) {
            printf("%s\n", forward_error(r->f));
            return false;
        }
        for (unsigned k = 0; k < run.n_tokens; k++)
            memcpy(out + (size_t)(i + k) * r->m.n_vocab, forward_logits(r->f, run.logits_row + k),
                   r->m.n_vocab * sizeof(float));
    }
    kvcache_release(r->kv, &s);
    return true;
}

static inline void test_model(const char *dir, const char *family, const char *type,
                              double tolerance)
{
    char path[512];
    float *want = calloc((PROMPT + DECODE) * MAX_VOCAB, 4),
          *got = calloc((PROMPT + DECODE) * MAX_VOCAB, 4);
    struct gw_err err = {0};
    struct rig cpu;
    struct bed b;
    double prompt, decode;

    (void)snprintf(path, sizeof(path), "%s/tiny-%s-%s.gguf", dir, family, type);
    if (!CHECK(cpu_init(&cpu, path) == GW_OK && cpu.m.n_vocab <= MAX_VOCAB) ||
        !CHECK(read_all(&cpu, PROMPT + DECODE, want)))
        goto out;
    if (!CHECK(bed_init(&b, path, "cuda:0", &err) == GW_OK)) {
        printf("%s: %s\n", path, err.text);
        goto out;
    }
    CHECK(b.d->first_layer == 0);
    if (read_all(&b.r, PROMPT + DECODE, got)) {
        const size_t n = cpu.m.n_vocab;

        prompt = differ(got, want, PROMPT * n);
        decode = differ(got + PROMPT * n, want + PROMPT * n, DECODE * n);
        printf("%s %s: off by %.2e in the prompt, %.2e in decode\n", family, type, prompt, decode);
        CHECK(prompt < tolerance && decode < tolerance);
    }
    bed_fini(&b);
out:
    rig_fini(&cpu);
    free(want);
    free(got);
}

#endif
