/* proxy/cmd/cmd_models_run.c - sluice models run | bench: the engine without the gateway. The command's thread
 * waits for the engine's. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd_models.h"

enum {
    MAX_PROMPT_BYTES = 16 << 20,
    OPT_SYSTEM = 256,
    OPT_MAX_TOKENS,
    OPT_TEMPERATURE,
    OPT_SEED,
    OPT_THREADS,
    OPT_DIR,
    OPT_PROMPT,
    OPT_DECODE,
    OPT_JSON,
    OPT_KERNELS,
    OPT_DRAFT,
    OPT_MEDUSA,
};

static const struct option options[] = {
    {"prompt", required_argument, NULL, OPT_PROMPT},
    {"system", required_argument, NULL, OPT_SYSTEM},
    {"max-tokens", required_argument, NULL, OPT_MAX_TOKENS},
    {"temperature", required_argument, NULL, OPT_TEMPERATURE},
    {"seed", required_argument, NULL, OPT_SEED},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"dir", required_argument, NULL, OPT_DIR},
    {"decode", required_argument, NULL, OPT_DECODE},
    {"json", no_argument, NULL, OPT_JSON},
    {"kernels", required_argument, NULL, OPT_KERNELS},
    {"draft", required_argument, NULL, OPT_DRAFT},
    {"medusa", required_argument, NULL, OPT_MEDUSA},
    {NULL, 0, NULL, 0},
};

/* Both commands' lines; n_prompt and n_decode are bench's, the rest run's. */
struct arguments {
    const char *model, *dir, *prompt, *system, *kernels, *draft, *medusa;
    unsigned long threads, max_tokens, seed, n_prompt, n_decode;
    float temperature;
    bool json;
};

static bool parse_float(const char *text, float min, float max, float *out)
{
    char *end;
    float value = strtof(text, &end);

    if (end == text || *end != '\0' || !isfinite(value) || value < min || value > max)
        return false;
    *out = value;
    return true;
}

/* --prompt is a text for run and a number of tokens for bench. */
static bool take_option(struct arguments *a, int c, bool bench)
{
    switch (c) {
    case 'p':
    case OPT_PROMPT:
        a->prompt = optarg;
        return !bench || models_number(optarg, 1, 1000000, &a->n_prompt);
    case OPT_SYSTEM:
        a->system = optarg;
        return !bench;
    case OPT_MAX_TOKENS:
        return !bench && models_number(optarg, 1, 1000000, &a->max_tokens);
    case OPT_TEMPERATURE:
        return !bench && parse_float(optarg, 0, 100, &a->temperature);
    case OPT_SEED:
        return !bench && models_number(optarg, 0, ULONG_MAX, &a->seed);
    case OPT_THREADS:
        return models_number(optarg, 1, 1024, &a->threads);
    case OPT_DIR:
        a->dir = optarg;
        return true;
    case OPT_DECODE:
        return bench && models_number(optarg, 1, 1000000, &a->n_decode);
    case OPT_JSON:
        a->json = true;
        return bench;
    case OPT_KERNELS:
        a->kernels = optarg;
        return true;
    case OPT_DRAFT:
        a->draft = optarg;
        return !bench;
    case OPT_MEDUSA:
        a->medusa = optarg;
        return true;
    default:
        return false;
    }
}

static bool parse(int argc, char **argv, bool bench, struct arguments *out)
{
    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    for (int c; (c = getopt_long(argc, argv, "p:", options, NULL)) != -1;) {
        if (c == '?')
            return false;
        if (!take_option(out, c, bench)) {
            (void)models_usage("an option's value is out of range, or the option is of another "
                               "command");
            return false;
        }
    }
    if (argc - optind != 1) {
        (void)models_usage("one model is needed");
        return false;
    }
    out->model = argv[optind];
    return true;
}

static void show_load(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    if (isatty(STDERR_FILENO) == 1)
        cli_progress("loading", done, total);
}

static enum gw_status open_model(const struct arguments *a, struct engine **out, struct gw_err *err)
{
    char path[MODELS_PATH_BYTES], guesser[MODELS_PATH_BYTES];
    struct engine_config cfg = {.model_path = path,
                                .draft_path = a->draft != NULL ? guesser : NULL,
                                .medusa_path = a->medusa != NULL ? guesser : NULL,
                                .threads = (unsigned)a->threads,
                                .max_seqs = 1,
                                .kernels = a->kernels,
                                .progress = show_load};

    /* A benchmark needs room for exactly what it measures. */
    if (a->n_prompt > 0)
        cfg.max_context = (unsigned)(a->n_prompt + a->n_decode + 1);
    if (a->draft != NULL && a->medusa != NULL)
        return gw_fail(err, GW_EINVAL, "--draft and --medusa both guess: name one of them");
    GW_TRY(models_find(a->model, a->dir, path, err));
    if (a->draft != NULL || a->medusa != NULL)
        GW_TRY(models_find(a->draft != NULL ? a->draft : a->medusa, a->dir, guesser, err));
    return engine_open(&cfg, out, err);
}

/* ---- run -------------------------------------------------------------------------------------------- */

static enum gw_status read_prompt(struct gw_buf *out, struct gw_err *err)
{
    char chunk[8192];

    for (;;) {
        size_t n = fread(chunk, 1, sizeof(chunk), stdin);

        gw_buf_add(out, (struct gw_span){chunk, n});
        if (out->len > MAX_PROMPT_BYTES)
            return gw_fail(err, GW_ELIMIT, "the prompt is longer than %d bytes", MAX_PROMPT_BYTES);
        if (n < sizeof(chunk))
            break;
    }
    if (ferror(stdin) != 0 || !gw_buf_ok(out))
        return gw_fail(err, GW_EIO, "standard input cannot be read");
    while (out->len > 0 && strchr("\r\n", out->ptr[out->len - 1]) != NULL &&
           out->ptr[out->len - 1] != '\0')
        out->ptr[--out->len] = '\0';
    return out->len > 0 ? GW_OK : gw_fail(err, GW_EINVAL, "the prompt is empty: give one with -p");
}

/* Prints text as it comes; *done is set by the last event. */
static enum gw_status take_event(struct engine_event *ev, bool *done, struct gw_err *err)
{
    bool failed = false;

    if (ev->type == ENGINE_EVENT_TEXT) {
        failed = ev->text.len > 0 && fwrite(ev->text.ptr, 1, ev->text.len, stdout) != ev->text.len;
        failed = fflush(stdout) != 0 || failed;
        gw_buf_fini(&ev->text);
    }
    if (failed)
        return gw_fail(err, GW_EIO, "standard output cannot be written");
    if (ev->type != ENGINE_EVENT_DONE)
        return GW_OK;
    *done = true;
    if (ev->status != GW_OK)
        return gw_fail(err, ev->status, "%s", ev->error);
    double seconds = (double)ev->decode_ns / 1e9;
    (void)fputc('\n', stdout);
    if (isatty(STDERR_FILENO) == 1)
        (void)fprintf(stderr, "%s%u prompt tokens, %u tokens in %.1f s%s\n",
                      cli_paint(stderr, "dim"), ev->prompt_tokens, ev->completion_tokens, seconds,
                      cli_paint(stderr, "reset"));
    return GW_OK;
}

static enum gw_status stream(struct engine_chan *ch, struct gw_err *err)
{
    struct pollfd pfd = {engine_chan_fd(ch), POLLIN, 0};
    enum gw_status st = GW_OK;
    bool done = false;

    while (!done && st == GW_OK) {
        struct engine_event ev;

        if (poll(&pfd, 1, -1) < 0 && errno != EINTR)
            return gw_fail(err, GW_EIO, "cannot wait for the engine");
        while (!done && st == GW_OK && engine_chan_next(ch, &ev))
            st = take_event(&ev, &done, err);
    }
    return st;
}

static enum gw_status answer(const struct arguments *a, struct gw_span prompt, struct gw_err *err)
{
    struct engine_message messages[2];
    struct engine_params params = {.max_tokens = (unsigned)a->max_tokens,
                                   .temperature = a->temperature,
                                   .top_p = 1,
                                   .repeat_penalty = 1,
                                   .seed = a->seed};
    struct engine *e = NULL;
    struct engine_chan *ch;
    unsigned n = 0;
    uint64_t id;

    GW_TRY(open_model(a, &e, err));
    if (a->system != NULL)
        messages[n++] = (struct engine_message){GW_SPAN("system"), gw_span_str(a->system)};
    messages[n++] = (struct engine_message){GW_SPAN("user"), prompt};
    ch = engine_chan_new(e);
    enum gw_status st = ch == NULL ? gw_fail(err, GW_ENOMEM, "out of memory for a channel")
                                   : engine_submit(ch, messages, n, &params, NULL, &id, err);
    if (st == GW_OK)
        st = stream(ch, err);
    engine_chan_free(ch);
    engine_close(e);
    return st;
}

int models_run(int argc, char **argv)
{
    struct arguments a = {.temperature = 0};
    struct gw_buf input = {0};
    struct gw_err err = {0};
    enum gw_status st = GW_OK;

    if (!parse(argc, argv, false, &a))
        return 2;
    if (a.prompt != NULL)
        gw_buf_adds(&input, a.prompt);
    else
        st = read_prompt(&input, &err);
    if (st == GW_OK)
        st = answer(&a, gw_buf_span(&input), &err);
    gw_buf_fini(&input);
    return st == GW_OK ? 0 : cli_fail_err("models run", &err);
}

/* ---- bench -------------------------------------------------------------------------------------------- */

static void print_json(const struct arguments *a, const struct engine_info *info,
                       const struct engine_bench *b)
{
    struct gw_buf out = {0};

    gw_buf_adds(&out, "{\"model\":");
    gw_buf_add_json_str(&out, gw_span_str(info->name));
    gw_buf_adds(&out, ",\"quant\":");
    gw_buf_add_json_str(&out, gw_span_str(info->quant));
    gw_buf_printf(&out,
                  ",\"threads\":%u,\"prompt\":%lu,\"decode\":%lu,\"prefill_tokens_per_s\":%.2f,"
                  "\"decode_tokens_per_s\":%.2f,\"kernels\":",
                  info->threads, a->n_prompt, a->n_decode, b->prefill_tokens_per_s,
                  b->decode_tokens_per_s);
    gw_buf_add_json_str(&out, gw_span_str(info->kernels));
    gw_buf_printf(&out, ",\"bandwidth_share\":%.3f,\"read_gb_per_s\":%.2f,\"bytes_per_token\":%llu",
                  b->decode_bandwidth_share, b->read_gb_per_s,
                  (unsigned long long)b->bytes_per_token);
    if (b->n_heads != 0)
        gw_buf_printf(&out, ",\"heads\":%u,\"guess_ms\":%.3f,\"wide_step\":%.3f", b->n_heads,
                      b->guess_ms, b->wide_step);
    gw_buf_adds(&out, "}\n");
    (void)fwrite(out.ptr, 1, out.len, stdout);
    gw_buf_fini(&out);
}

static void print_text(const struct arguments *a, const struct engine_info *info,
                       const struct engine_bench *b)
{
    printf("model    %s %s, %u threads\n", info->name, info->quant, info->threads);
    printf("kernels  %s\n", info->kernels);
    printf("prefill  %10.1f tokens/s (%lu tokens)\n", b->prefill_tokens_per_s, a->n_prompt);
    printf("decode   %10.1f tokens/s (%lu tokens)\n", b->decode_tokens_per_s, a->n_decode);
    printf("memory   %10.1f GB/s read, decode uses %.0f %% of it (%.1f MB a token)\n",
           b->read_gb_per_s, b->decode_bandwidth_share * 100, (double)b->bytes_per_token / 1e6);
    if (b->n_heads != 0)
        printf("heads    %10.2f ms a guess of %u tokens; a step that checks it takes %.2f times "
               "one without\n",
               b->guess_ms, b->n_heads, b->wide_step);
}

int models_bench(int argc, char **argv)
{
    struct arguments a = {.n_prompt = 512, .n_decode = 128};
    struct engine_bench result = {0};
    struct engine_info info = {0};
    struct engine *e = NULL;
    struct gw_err err = {0};

    if (!parse(argc, argv, true, &a))
        return 2;
    if (open_model(&a, &e, &err) != GW_OK)
        return cli_fail_err("models bench", &err);
    enum gw_status st = engine_bench(e, (unsigned)a.n_prompt, (unsigned)a.n_decode, &result, &err);
    engine_info(e, &info);
    engine_close(e);
    if (st != GW_OK)
        return cli_fail_err("models bench", &err);
    if (a.json)
        print_json(&a, &info, &result);
    else
        print_text(&a, &info, &result);
    return 0;
}
