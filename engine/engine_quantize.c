/* engine/engine_quantize.c - the public call that writes a model again in another block type. See engine.h. */
#include "engine/engine.h"
#include "engine/gguf.h"
#include "engine/hf.h"
#include "engine/pool.h"
#include "engine/quantize.h"

enum gw_status engine_quantize(struct engine_quantize *q, struct gw_err *err)
{
    struct quantize_job job = {.type = q->type,
                               .path = q->out_path,
                               .progress = q->progress,
                               .progress_ctx = q->progress_ctx};
    struct gguf *g = NULL;
    enum gw_status st;

    GW_TRY(hf_open_any(q->model_path, true, &g, err));
    job.g = g;
    st = pool_new(pool_choose_threads(q->threads), &job.p, err);
    if (st == GW_OK)
        st = quantize_file(&job, err);
    pool_free(job.p);
    gguf_close(g);
    q->bytes = job.bytes;
    return st;
}
