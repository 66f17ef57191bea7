/* proxy/cmd/cmd_models.h - what the subcommands of `sluice models` share. Private to proxy/cmd/cmd_models*.
 *
 * Each is one function of its own command line, argv[0] being its name; exit statuses as in cmd.h. Commands
 * block; one thread. */
#ifndef PROXY_CMD_MODELS_H
#define PROXY_CMD_MODELS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct engine_info;
struct fetch_member;

enum { MODELS_PATH_BYTES = 4096 };

/* A model that has a name here: what `pull` fetches, and where from. */
struct models_known {
    const char *name;                   /* on the command line */
    const char *source;                 /* proxy/fetch/fetch.h */
    const char *sha256;                 /* of what the source gives */
    const char *file;                   /* final name in the folder of models */
    const struct fetch_member *members; /* NULL: a file; else the source is an archive of these */
    size_t n_members;
};

/* The one of that name or final name; NULL: the default. NULL when there is none. */
const struct models_known *models_known(const char *name);

int models_inspect(int argc, char **argv);
int models_pull(int argc, char **argv);
int models_run(int argc, char **argv);
int models_bench(int argc, char **argv);
int models_quantize(int argc, char **argv);
int models_sign(int argc, char **argv);

/* Checks the manifest of the model at path, when there is one, and says who signed it. Returns an exit status. */
int models_verify_manifest(const char *path);

/* The folder of models: flag when given, else $SLUICE_MODELS, else ./models when it exists, else
 * ${XDG_DATA_HOME:-~/.local/share}/sluice/models. GW_ELIMIT when it does not fit; GW_ENOENT without HOME. */
enum gw_status models_dir(const char *flag, char out[MODELS_PATH_BYTES], struct gw_err *err);

/* The file that a user means: a path, or a name in the folder, with or without ".gguf". GW_ENOENT. */
enum gw_status models_find(const char *name, const char *dir_flag, char out[MODELS_PATH_BYTES],
                           struct gw_err *err);

/* Takes [--json] [--dir DIR] off the command line; false: getopt has said what is wrong. */
bool models_parse_look(int argc, char **argv, const char **dir, bool *json);

/* What a chat model, an embedding model, a reranker or an adapter says of itself. Errors as engine_inspect. */
enum gw_status models_inspect_any(const char *path, struct engine_info *out, struct gw_err *err);

/* Parses a whole decimal number from min to max. */
bool models_number(const char *text, unsigned long min, unsigned long max, unsigned long *out);

/* Tells what is wrong with the command line; returns 2. */
int models_usage(const char *what);

#endif
