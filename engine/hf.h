/* engine/hf.h - a model that is a folder of safetensors files, read into the layout of a GGUF file.
 *
 * The folder is as its makers publish it: config.json, model.safetensors (or several, with
 * model.safetensors.index.json), tokenizer.json and, when there, tokenizer_config.json. Weights may be F32, F16,
 * BF16, FP8 (E4M3 with a scale for the tensor, a row, or a block), GPTQ or AWQ of 4 bits. Nothing in the folder is
 * believed: what is made passes the same checks as a file. */
#ifndef ENGINE_HF_H
#define ENGINE_HF_H

#include <stdbool.h>

#include "base/err.h"
#include "engine/gguf.h"

/* Is path a folder with a config.json? */
bool hf_is_folder(const char *path);

/* weights false: the tensors' bytes are zeros, for inspecting. On success *out is the caller's (gguf_close); its
 * memory is that of the weights. GW_ENOENT, GW_EPARSE, GW_EUNSUPPORTED, GW_ELIMIT, GW_EIO, GW_ENOMEM. Blocks. */
enum gw_status hf_open(const char *folder, bool weights, struct gguf **out, struct gw_err *err);

/* A model by its path: hf_open for a folder, gguf_open for a file. */
enum gw_status hf_open_any(const char *path, bool weights, struct gguf **out, struct gw_err *err);

#endif
