/* tests/bench/dlp/engine_c.c - Hyperscan or Vectorscan (each pattern reports once a message), and PCRE2's JIT, pattern by pattern. */
#include <hs/hs.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "tests/bench/dlp/engines.h"

/* ---- Hyperscan --------------------------------------------------------------------------- */

struct hs {
    hs_database_t *db;
    hs_scratch_t *scratch;
    size_t n;
};

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags,
                    void *ctx)
{
    (void)id, (void)from, (void)to, (void)flags;
    ++*(size_t *)ctx;
    return 0;
}

static void hs_close(void *engine)
{
    struct hs *h = engine;

    if (h == NULL)
        return;
    (void)hs_free_scratch(h->scratch);
    (void)hs_free_database(h->db);
    free(h);
}

static void *hs_open(const struct bench_regex *all, unsigned n, unsigned *n_refused)
{
    struct hs *h = calloc(1, sizeof(*h));
    const char **texts = calloc(n + 1, sizeof(*texts));
    unsigned *flags = calloc(n + 1, sizeof(*flags)), *ids = calloc(n + 1, sizeof(*ids)), taken = 0;
    hs_compile_error_t *err = NULL;

    for (unsigned i = 0; i < n && h != NULL && texts != NULL && flags != NULL && ids != NULL; i++) {
        hs_database_t *one = NULL;

        if (hs_compile(all[i].text, HS_FLAG_DOTALL, HS_MODE_BLOCK, NULL, &one, &err) !=
            HS_SUCCESS) {
            (void)hs_free_compile_error(err);
            ++*n_refused;
            continue;
        }
        (void)hs_free_database(one);
        texts[taken] = all[i].text;
        flags[taken] = HS_FLAG_DOTALL | HS_FLAG_SINGLEMATCH;
        ids[taken++] = i;
    }
    if (h != NULL && (taken == 0 ||
                      hs_compile_multi(texts, flags, ids, taken, HS_MODE_BLOCK, NULL, &h->db,
                                       &err) != HS_SUCCESS ||
                      hs_alloc_scratch(h->db, &h->scratch) != HS_SUCCESS)) {
        hs_close(h);
        h = NULL;
    }
    free(texts);
    free(flags);
    free(ids);
    return h;
}

static size_t hs_run(void *engine, const char *text, size_t len)
{
    struct hs *h = engine;

    h->n = 0;
    (void)hs_scan(h->db, text, (unsigned)len, 0, h->scratch, on_match, &h->n);
    return h->n;
}

const struct bench_engine bench_vectorscan = {"Hyperscan", hs_open, hs_run, hs_close};

/* ---- PCRE2 ------------------------------------------------------------------------------- */

struct pcre {
    pcre2_match_data *data;
    unsigned n;
    pcre2_code *code[];
};

static void pcre_close(void *engine)
{
    struct pcre *p = engine;

    if (p == NULL)
        return;
    for (unsigned i = 0; i < p->n; i++)
        pcre2_code_free(p->code[i]);
    pcre2_match_data_free(p->data);
    free(p);
}

static void *pcre_open(const struct bench_regex *all, unsigned n, unsigned *n_refused)
{
    struct pcre *p = calloc(1, sizeof(*p) + n * sizeof(p->code[0]));

    if (p == NULL)
        return NULL;
    p->data = pcre2_match_data_create(1, NULL);
    for (unsigned i = 0; i < n; i++) {
        int error = 0;
        PCRE2_SIZE at = 0;
        pcre2_code *code = pcre2_compile((PCRE2_SPTR)(const void *)all[i].text,
                                         PCRE2_ZERO_TERMINATED, PCRE2_DOTALL, &error, &at, NULL);

        if (code == NULL || pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) != 0) {
            pcre2_code_free(code);
            ++*n_refused;
            continue;
        }
        p->code[p->n++] = code;
    }
    return p;
}

static size_t pcre_scan(void *engine, const char *text, size_t len)
{
    struct pcre *p = engine;
    size_t found = 0;

    for (unsigned i = 0; i < p->n; i++)
        found += pcre2_jit_match(p->code[i], (PCRE2_SPTR)(const void *)text, len, 0, 0, p->data,
                                 NULL) >= 0;
    return found;
}

const struct bench_engine bench_pcre2 = {"PCRE2 JIT", pcre_open, pcre_scan, pcre_close};
