/* engine/hf.c - opens a folder's files and lays the model out in memory as a GGUF file would be. See hf.h.
 * One thread. */
#include "engine/hf.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/folder.h"
#include "engine/hf_private.h"

enum {
    MAX_JSON_BYTES = 64 << 20,
    MAX_TREE_BYTES = 256 << 20,
    MAX_KEYS = 1 << 20,
    MAX_FILE_NAME = 200
};

bool hf_is_folder(const char *path)
{
    char inside[FOLDER_PATH_BYTES];
    struct stat st;

    return folder_path(path, "config.json", inside, NULL) == GW_OK && stat(inside, &st) == 0 &&
           S_ISREG(st.st_mode);
}

enum gw_status hf_json_read(const char *folder, const char *name, struct hf_json *out,
                            struct gw_err *err)
{
    const struct gw_json_limits limits = {.max_keys = MAX_KEYS};

    GW_TRY(folder_read(folder, name, MAX_JSON_BYTES, &out->text, err));
    out->json = gw_json_new();
    out->arena = gw_arena_new(MAX_TREE_BYTES);
    if (out->json == NULL || out->arena == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for %s", name);
    if (gw_json_tree(out->json, out->arena, gw_buf_span(&out->text), &limits, &out->root, err) !=
        GW_OK)
        return gw_fail_prefix(err, "%s", name);
    return GW_OK;
}

void hf_json_fini(struct hf_json *j)
{
    gw_json_free(j->json);
    gw_arena_free(j->arena);
    gw_buf_fini(&j->text);
    *j = (struct hf_json){.root = NULL};
}

/* The spelling of JSON's numbers is a part of strtod's; a copy ends it. */
double hf_number(const struct gw_json_node *object, const char *name, double otherwise)
{
    const struct gw_json_node *node = gw_json_get(object, name);
    char text[40];

    if (!gw_json_is(node, GW_JSON_NUMBER) || node->raw.len >= sizeof(text))
        return otherwise;
    memcpy(text, node->raw.ptr, node->raw.len);
    text[node->raw.len] = '\0';
    return strtod(text, NULL);
}

const struct safetensors_tensor *hf_find(const struct hf *h, const char *stem, const char *suffix)
{
    char name[HF_NAME_BYTES + 24];
    const struct safetensors_tensor *t = NULL;

    (void)snprintf(name, sizeof(name), "%s%s%s", stem, suffix[0] != '\0' ? "." : "", suffix);
    for (size_t i = 0; i < h->n_files && t == NULL; i++)
        t = safetensors_get(h->files[i], name);
    return t;
}

/* ---- files --------------------------------------------------------------------------------------------- */

static enum gw_status open_file(struct hf *h, const char *name)
{
    char path[FOLDER_PATH_BYTES];

    GW_TRY(folder_path(h->folder, name, path, h->err));
    GW_TRY(safetensors_open(path, &h->files[h->n_files], h->err));
    h->n_files++;
    return GW_OK;
}

/* A plain file name: nothing that leads out of the folder. */
static bool is_plain_name(struct gw_span s)
{
    if (s.len == 0 || s.len > MAX_FILE_NAME || s.ptr[0] == '.')
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] == '/' || s.ptr[i] <= 0x20 || s.ptr[i] > 0x7E)
            return false;
    return true;
}

/* Opens each file that the index names, once. Tensors of a file come one after the other in all indexes seen,
 * but need not: the names opened are kept. */
static enum gw_status open_indexed(struct hf *h, const struct gw_json_node *root)
{
    struct gw_span seen[HF_MAX_FILES];
    const struct gw_json_node *map = gw_json_get(root, "weight_map");

    if (!gw_json_is(map, GW_JSON_OBJECT_BEGIN))
        return gw_fail(h->err, GW_EPARSE, "model.safetensors.index.json has no weight_map");
    for (const struct gw_json_node *m = map->child; m != NULL; m = m->next) {
        char name[MAX_FILE_NAME + 1];
        size_t i = h->n_files;

        if (!gw_json_is(m, GW_JSON_STRING) || !is_plain_name(m->raw))
            return gw_fail(h->err, GW_EPARSE,
                           "model.safetensors.index.json names something that is no file name");
        while (i > 0 && !gw_span_eq(seen[i - 1], m->raw))
            i--;
        if (i > 0)
            continue;
        if (h->n_files == HF_MAX_FILES)
            return gw_fail(h->err, GW_ELIMIT, "model.safetensors.index.json names over %d files",
                           HF_MAX_FILES);
        memcpy(name, m->raw.ptr, m->raw.len);
        name[m->raw.len] = '\0';
        seen[h->n_files] = m->raw;
        GW_TRY(open_file(h, name));
    }
    return GW_OK;
}

static enum gw_status open_files(struct hf *h)
{
    struct hf_json index = {.root = NULL};
    enum gw_status st;

    h->files = calloc(HF_MAX_FILES, sizeof(struct safetensors *));
    if (h->files == NULL)
        return gw_fail(h->err, GW_ENOMEM, "out of memory for the model");
    st = hf_json_read(h->folder, "model.safetensors.index.json", &index, h->err);
    if (st == GW_OK)
        st = open_indexed(h, index.root);
    else if (st == GW_ENOENT)
        st = open_file(h, "model.safetensors");
    hf_json_fini(&index);
    return st;
}

/* ---- the image ------------------------------------------------------------------------------------------ */

static enum gw_status fill_image(const struct hf *h, char *data)
{
    uint64_t widest = 1;
    float *row;

    for (size_t i = 0; i < h->n_tensors; i++)
        widest = h->tensors[i].cols > widest ? h->tensors[i].cols : widest;
    row = calloc(widest, sizeof(*row));
    if (row == NULL)
        return gw_fail(h->err, GW_ENOMEM, "out of memory for a row of %llu numbers",
                       (unsigned long long)widest);
    for (size_t i = 0; i < h->n_tensors; i++)
        if (h->tensors[i].data != NULL)
            hf_decode(h, &h->tensors[i], row, data + h->tensors[i].at);
    free(row);
    if (h->rope_factors != NULL) /* the last tensor */
        memcpy(data + h->tensors[h->n_tensors - 1].at, h->rope_factors,
               h->head_dim / 2 * sizeof(float));
    return GW_OK;
}

static enum gw_status make_image(struct hf *h, bool weights, struct gguf **out)
{
    struct gw_buf head = {0};
    enum gw_status st;
    size_t size;
    void *base;

    gguf_write_head(&h->w, &head);
    if (!gguf_write_ok(&h->w) || !gw_buf_ok(&head)) {
        gw_buf_fini(&head);
        return gw_fail(h->err, GW_ENOMEM, "out of memory for the model's head");
    }
    size = head.len + (size_t)h->w.data_bytes;
    base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                0);
    if (base == MAP_FAILED) {
        gw_buf_fini(&head);
        return gw_fail(h->err, GW_ENOMEM, "out of memory for %zu MiB of weights", size >> 20);
    }
    memcpy(base, head.ptr, head.len);
    st = weights ? fill_image(h, (char *)base + head.len) : GW_OK;
    gw_buf_fini(&head);
    if (st == GW_OK)
        st = gguf_open_mapping(base, size, out, h->err);
    if (st != GW_OK)
        (void)munmap(base, size);
    return st;
}

static enum gw_status read_all(struct hf *h, bool weights, struct gguf **out)
{
    GW_TRY(hf_json_read(h->folder, "config.json", &h->config, h->err));
    GW_TRY(hf_read_config(h));
    GW_TRY(open_files(h));
    GW_TRY(hf_read_tokenizer(h));
    GW_TRY(hf_plan_tensors(h));
    return make_image(h, weights, out);
}

enum gw_status hf_open(const char *folder, bool weights, struct gguf **out, struct gw_err *err)
{
    struct gw_err local = {0};
    struct hf h = {.folder = folder, .err = err != NULL ? err : &local};
    enum gw_status st = read_all(&h, weights, out);

    for (size_t i = 0; i < h.n_files; i++)
        safetensors_close(h.files[i]);
    free(h.files);
    free(h.tensors);
    free(h.rope_factors);
    hf_json_fini(&h.config);
    gguf_write_fini(&h.w);
    if (st != GW_OK)
        (void)gw_fail_prefix(h.err, "%s", folder);
    return st;
}

enum gw_status hf_open_any(const char *path, bool weights, struct gguf **out, struct gw_err *err)
{
    return hf_is_folder(path) ? hf_open(path, weights, out, err) : gguf_open(path, out, err);
}
