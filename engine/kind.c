/* engine/kind.c - what a model's file or folder holds, by its own words. See engine.h. */
#include <sys/stat.h>

#include "engine/engine.h"
#include "engine/folder.h"
#include "engine/gguf.h"
#include "engine/hf.h"
#include "engine/hf_private.h"
#include "engine/medusa_private.h"

static enum engine_kind kind_of_file(const char *path)
{
    struct gguf *g = NULL;
    struct gw_span word = {NULL, 0};
    enum engine_kind kind = ENGINE_KIND_CHAT;

    if (gguf_open(path, &g, NULL) != GW_OK)
        return kind;
    if (gguf_str(g, "general.type", &word, NULL) == GW_OK && gw_span_is(word, "adapter"))
        kind = ENGINE_KIND_ADAPTER;
    else if (gguf_str(g, "general.architecture", &word, NULL) == GW_OK && gw_span_is(word, "bert"))
        kind = gguf_tensor(g, "cls.output.weight") != NULL ? ENGINE_KIND_RERANK : ENGINE_KIND_EMBED;
    gguf_close(g);
    return kind;
}

static bool has_heads(const char *path)
{
    char inside[FOLDER_PATH_BYTES];
    struct stat st;

    return folder_path(path, MEDUSA_FILE, inside, NULL) == GW_OK && stat(inside, &st) == 0;
}

/* A folder whose config.json cannot be read is left to the encoder, whose errors say what is missing. */
static enum engine_kind kind_of_folder(const char *path)
{
    struct hf_json config = {.root = NULL};
    const struct gw_json_node *type, *list;
    enum engine_kind kind = ENGINE_KIND_EMBED;
    struct gw_err err;

    if (has_heads(path))
        return ENGINE_KIND_MEDUSA;
    if (hf_json_read(path, "adapter_config.json", &config, &err) == GW_OK) {
        kind = ENGINE_KIND_ADAPTER;
    } else {
        hf_json_fini(&config);
        if (hf_json_read(path, "config.json", &config, &err) == GW_OK) {
            type = gw_json_get(config.root, "model_type");
            list = gw_json_get(config.root, "architectures");
            if (gw_json_is(type, GW_JSON_STRING) && !gw_json_text_is(type, "bert") &&
                !gw_json_text_is(type, "xlm-roberta"))
                kind = ENGINE_KIND_CHAT;
            else if (gw_json_is(list, GW_JSON_ARRAY_BEGIN) &&
                     (gw_json_text_is(list->child, "BertForSequenceClassification") ||
                      gw_json_text_is(list->child, "XLMRobertaForSequenceClassification")))
                kind = ENGINE_KIND_RERANK;
        }
    }
    hf_json_fini(&config);
    return kind;
}

enum engine_kind engine_kind(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? kind_of_folder(path) : kind_of_file(path);
}
