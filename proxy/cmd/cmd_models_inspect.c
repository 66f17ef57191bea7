/* proxy/cmd/cmd_models_inspect.c - sluice models inspect: what a model's or an adapter's file says of itself. See
 * cmd_models.h. */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "engine/engine.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd_models.h"

/* An embedding model or a reranker, in the words of a chat model. */
static enum gw_status inspect_encoder(const char *path, struct engine_info *out, struct gw_err *err)
{
    struct engine_embed_info e;

    GW_TRY(engine_embed_inspect(path, &e, err));
    *out = (struct engine_info){.file_bytes = e.file_bytes,
                                .n_params = e.n_params,
                                .n_vocab = e.n_vocab,
                                .n_layers = e.n_layers,
                                .n_embd = e.n_dims,
                                .max_context = e.max_tokens};
    memcpy(out->name, e.name, sizeof(out->name));
    memcpy(out->arch, e.arch, sizeof(out->arch));
    memcpy(out->quant, e.quant, sizeof(out->quant));
    return GW_OK;
}

/* An adapter, likewise: what is not said is 0. */
static enum gw_status inspect_adapter(const char *path, struct engine_info *out, struct gw_err *err)
{
    const char *slash = strrchr(path, '/');
    struct engine_adapter_info a;

    GW_TRY(engine_adapter_inspect(path, &a, err));
    *out = (struct engine_info){
        .file_bytes = a.file_bytes, .n_params = a.n_params, .n_layers = a.n_layers};
    (void)snprintf(out->name, sizeof(out->name), "%.63s", slash == NULL ? path : slash + 1);
    (void)snprintf(out->arch, sizeof(out->arch), "%s", a.arch[0] == '\0' ? "?" : a.arch);
    (void)snprintf(out->quant, sizeof(out->quant), "lora r%u", a.rank);
    return GW_OK;
}

/* Medusa heads, likewise. */
static enum gw_status inspect_heads(const char *path, struct engine_info *out, struct gw_err *err)
{
    const char *slash = strrchr(path, '/');
    struct engine_medusa_info h;

    GW_TRY(engine_medusa_inspect(path, &h, err));
    *out =
        (struct engine_info){.file_bytes = h.file_bytes, .n_layers = h.n_blocks, .arch = "medusa"};
    out->n_embd = h.n_embd <= UINT_MAX ? (unsigned)h.n_embd : 0;
    (void)snprintf(out->name, sizeof(out->name), "%.63s", slash == NULL ? path : slash + 1);
    (void)snprintf(out->quant, sizeof(out->quant), "%u heads", h.n_heads);
    return GW_OK;
}

enum gw_status models_inspect_any(const char *path, struct engine_info *out, struct gw_err *err)
{
    const enum engine_kind kind = engine_kind(path);

    if (kind == ENGINE_KIND_EMBED || kind == ENGINE_KIND_RERANK)
        return inspect_encoder(path, out, err);
    if (kind == ENGINE_KIND_ADAPTER)
        return inspect_adapter(path, out, err);
    if (kind == ENGINE_KIND_MEDUSA)
        return inspect_heads(path, out, err);
    return engine_inspect(path, out, err);
}

static void print_info(const struct engine_info *info, bool json)
{
    struct gw_buf out = {0};

    if (json) {
        gw_buf_adds(&out, "{\"model\":");
        gw_buf_add_json_str(&out, gw_span_str(info->name));
        gw_buf_printf(&out,
                      ",\"arch\":\"%s\",\"quant\":\"%s\",\"parameters\":%llu,\"bytes\":%llu,"
                      "\"vocabulary\":%u,\"layers\":%u,\"width\":%u,\"context\":%u,\"warning\":",
                      info->arch, info->quant, (unsigned long long)info->n_params,
                      (unsigned long long)info->file_bytes, info->n_vocab, info->n_layers,
                      info->n_embd, info->max_context);
        gw_buf_add_json_str(&out, gw_span_str(info->warning));
        gw_buf_adds(&out, "}\n");
    } else {
        gw_buf_printf(&out,
                      "name        %s\narch        %s\nquant       %s\nparameters  %.1f M\n"
                      "size        %.1f MB\nvocabulary  %u\nlayers      %u\nwidth       %u\n"
                      "context     %u\n",
                      info->name, info->arch, info->quant, (double)info->n_params / 1e6,
                      (double)info->file_bytes / 1e6, info->n_vocab, info->n_layers, info->n_embd,
                      info->max_context);
        if (info->warning[0] != '\0')
            gw_buf_printf(&out, "warning     %s\n", info->warning);
    }
    (void)fwrite(out.ptr, 1, out.len, stdout);
    gw_buf_fini(&out);
}

static void print_adapter(const char *path, const struct engine_adapter_info *a, bool json)
{
    struct gw_buf out = {0};

    if (json) {
        gw_buf_adds(&out, "{\"adapter\":");
        gw_buf_add_json_str(&out, gw_span_str(path));
        gw_buf_adds(&out, ",\"arch\":");
        gw_buf_add_json_str(&out, gw_span_str(a->arch));
        gw_buf_printf(&out,
                      ",\"rank\":%u,\"alpha\":%g,\"layers\":%u,\"matrices\":%u,"
                      "\"parameters\":%llu,\"bytes\":%llu}\n",
                      a->rank, a->alpha, a->n_layers, a->n_matrices,
                      (unsigned long long)a->n_params, (unsigned long long)a->file_bytes);
    } else {
        gw_buf_printf(&out,
                      "adapter     %s\narch        %s\nrank        %u\nalpha       %g\n"
                      "layers      %u\nmatrices    %u\nparameters  %.2f M\nsize        %.2f MB\n",
                      path, a->arch[0] == '\0' ? "not said" : a->arch, a->rank, a->alpha,
                      a->n_layers, a->n_matrices, (double)a->n_params / 1e6,
                      (double)a->file_bytes / 1e6);
    }
    (void)fwrite(out.ptr, 1, out.len, stdout);
    gw_buf_fini(&out);
}

int models_inspect(int argc, char **argv)
{
    char path[MODELS_PATH_BYTES];
    const char *dir = NULL;
    struct engine_adapter_info adapter = {.rank = 0};
    struct engine_info info = {0};
    struct gw_err err = {0};
    bool json = false;

    if (!models_parse_look(argc, argv, &dir, &json))
        return 2;
    if (argc - optind != 1)
        return models_usage("inspect takes one model");
    if (models_find(argv[optind], dir, path, &err) != GW_OK)
        return cli_fail_err("models inspect", &err);
    if (engine_kind(path) == ENGINE_KIND_ADAPTER) {
        if (engine_adapter_inspect(path, &adapter, &err) != GW_OK)
            return cli_fail_err("models inspect", &err);
        print_adapter(path, &adapter, json);
        return 0;
    }
    if (models_inspect_any(path, &info, &err) != GW_OK)
        return cli_fail_err("models inspect", &err);
    print_info(&info, json);
    return 0;
}
