/* tests/unit/proxy/test_device_cost.c - a gateway whose model does not fit its emulated GPU (tests/simt): what the layers on the CPU and the pages in the
 * host's memory cost is in the log's layers_on_cpu and kv_on_host, and the same numbers are in the metrics; with room for all there is neither. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/engine.h"
#include "proxy/admin/metrics_text.h"
#include "proxy/net/server.h"
#include "tests/files.h"
#include "tests/net.h"
#include "tests/simt/knobs.h"
#include "tests/test.h"
#include "tests/unit/engine/gguf_make.h"

enum { LAYERS = 2, CONTEXT = 8192 };

static char dir[] = "/tmp/sluice-cost-XXXXXX";
static char model[64];
static struct server *server;

/* Zeros, of a context that is longer than what a GPU keeps itself before it gives layers away. */
static void write_model(void)
{
    const struct make_shape shape = {"llama", LAYERS, 128, 128, 2, 1, 64, 8, CONTEXT};
    struct gw_buf b = {0};
    FILE *f;

    make_model(&b, &shape, &shape, NULL);
    (void)snprintf(model, sizeof(model), "%s/zeros.gguf", dir);
    f = fopen(model, "wb");
    CHECK(f != NULL && fwrite(b.ptr, 1, b.len, f) == b.len && fclose(f) == 0);
    gw_buf_fini(&b);
}

/* ---- what it costs by the engine alone ------------------------------------------------------ */

static bool cost_with(size_t memory, struct engine_device *out)
{
    const struct engine_config cfg = {.model_path = model,
                                      .threads = 1,
                                      .max_context = CONTEXT,
                                      .max_seqs = 1,
                                      .kv = ENGINE_KV_F16,
                                      .device = "cuda:0"};
    struct engine *e = NULL;

    simt_set_memory(memory);
    if (engine_open(&cfg, &e, NULL) != GW_OK)
        return false;
    engine_device(e, out);
    engine_close(e);
    return true;
}

/* So little memory that some layers stay on the CPU, or (pages) that only pages lie on the host; 0: there is none such. */
static size_t find_memory(bool pages)
{
    size_t low = (size_t)384 << 20,
           high = low + ((size_t)64 << 20); /* what a GPU spares, and more than all */

    for (unsigned i = 0; i < 24; i++) {
        const size_t mid = low + (high - low) / 2;
        struct engine_device d = {0};

        if (!cost_with(mid, &d) || (pages && d.cost.host_layers != 0))
            low = mid;
        else if (pages ? d.cost.host_kv_tokens != 0 : d.cost.host_layers != 0)
            return mid;
        else
            high = mid;
    }
    return 0;
}

/* ---- the gateway ---------------------------------------------------------------------------- */

static char said[65536]; /* what its start wrote to standard error */

static bool start(size_t memory)
{
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};
    char text[1024], path[64];
    const int keep = dup(STDERR_FILENO);
    int fd;
    ssize_t n;
    bool ok;

    simt_set_memory(memory);
    (void)snprintf(text, sizeof(text),
                   "state_dir: %s\n"
                   "listen: { gateway: 127.0.0.1:%u, proxy: off, admin: off }\n"
                   "workers: 1\n"
                   "auth: { required: false }\n"
                   "targets:\n"
                   "  gpu: { kind: engine, model: %s, device: 'cuda:0', kv: f16, threads: 1,\n"
                   "         max_context: %d, max_seqs: 1 }\n"
                   "routes:\n  - { model: '*', to: gpu }\n"
                   "audit: { durability: process }\n"
                   "log: { level: info, format: text }\n",
                   dir, test_port(), model, CONTEXT);
    (void)snprintf(path, sizeof(path), "%s/log", dir);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && keep >= 0 && dup2(fd, STDERR_FILENO) == STDERR_FILENO);
    gw_log_set_level(GW_LOG_INFO);
    ok = proxy_config_parse(gw_span_str(text), "test", 0, &cfg, NULL, NULL, &err) == GW_OK &&
         server_open(cfg, NULL, false, &server, &err) == GW_OK;
    gw_log_set_level(GW_LOG_ERROR);
    (void)dup2(keep, STDERR_FILENO);
    n = pread(fd, said, sizeof(said) - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    (void)close(fd);
    (void)close(keep);
    if (!ok)
        fprintf(stderr, "  %s\n%s", err.text, said);
    return ok;
}

static void stop(void)
{
    server_stop(server, 2);
    server_close(server);
    server = NULL;
    CHECK(simt_memory_used() == 0);
}

/* The line of an event in the log, up to its end; NULL: there is none. */
static const char *line_of(const char *event)
{
    static char line[2048];
    const char *at = strstr(said, event);

    if (at == NULL)
        return NULL;
    (void)snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
    return line;
}

/* The number behind " key=" of a line, or -1. */
static double field(const char *line, const char *key)
{
    char word[64];
    const char *at;

    (void)snprintf(word, sizeof(word), " %s=", key);
    at = line == NULL ? NULL : strstr(line, word);
    return at == NULL ? -1 : strtod(at + strlen(word), NULL);
}

/* A metric of the target, or -1. */
static double metric(const char *name)
{
    struct gw_buf text = {0};
    char word[128];
    const char *at;
    double v;

    metrics_text(server, &text);
    gw_buf_addc(&text, '\0');
    (void)snprintf(word, sizeof(word), "\nsluice_engine_%s{target=\"gpu\"} ", name);
    at = gw_buf_ok(&text) ? strstr(text.ptr, word) : NULL;
    v = at == NULL ? -1 : strtod(at + strlen(word), NULL);
    gw_buf_fini(&text);
    return v;
}

/* The log rounds to so many digits behind the point. */
static bool is_rounded(double shown, double of, double step)
{
    return shown >= of - step && shown <= of + step;
}

static void test_layers(void)
{
    const size_t memory = find_memory(false);
    const char *line;
    double there, host_s, gpu_s;

    if (!CHECK(memory != 0) || !CHECK(start(memory)))
        return;
    line = line_of(" layers_on_cpu ");
    CHECK(line != NULL && strstr(line, " target=gpu ") != NULL && strstr(line, "advice=") != NULL);
    there = metric("gpu_layers");
    host_s = metric("host_layer_seconds");
    gpu_s = metric("gpu_layer_seconds");
    CHECK(field(line, "layers") >= 1 && field(line, "layers") == metric("host_layers"));
    CHECK(field(line, "of") == LAYERS && field(line, "layers") + there == LAYERS);
    CHECK(host_s > 0 && is_rounded(field(line, "layer_us"), 1e6 * host_s, 0.0501));
    CHECK(gpu_s > 0 && is_rounded(field(line, "gpu_layer_us"), 1e6 * gpu_s, 0.0501));
    CHECK(is_rounded(field(line, "token_ms"),
                     1e3 * (field(line, "layers") * host_s + there * gpu_s), 0.00501));
    CHECK(metric("gpu_failed") == 0);
    stop();
}

static void test_pages(void)
{
    const size_t memory = find_memory(true);
    const char *line;

    if (!CHECK(memory != 0) || !CHECK(start(memory)))
        return;
    CHECK(line_of(" layers_on_cpu ") == NULL && metric("host_layers") == 0 &&
          metric("host_layer_seconds") == 0);
    line = line_of(" kv_on_host ");
    CHECK(line != NULL && strstr(line, " target=gpu ") != NULL && strstr(line, "advice=") != NULL);
    CHECK(field(line, "tokens") > 0 && field(line, "tokens") == metric("host_kv_tokens"));
    CHECK(metric("host_kv_token_seconds") > 0 && metric("gpu_kv_token_seconds") > 0);
    CHECK(is_rounded(field(line, "us_per_1k"), 1e9 * metric("host_kv_token_seconds"), 0.0501));
    CHECK(is_rounded(field(line, "gpu_us_per_1k"), 1e9 * metric("gpu_kv_token_seconds"), 0.0501));
    stop();
}

static void test_room_for_all(void)
{
    static const char *const zero[] = {"host_layers",           "host_layer_seconds",
                                       "gpu_layer_seconds",     "host_kv_tokens",
                                       "host_kv_token_seconds", "gpu_kv_token_seconds"};

    if (!CHECK(start((size_t)1 << 32)))
        return;
    CHECK(line_of(" model_loaded ") != NULL && line_of(" layers_on_cpu ") == NULL &&
          line_of(" kv_on_host ") == NULL);
    CHECK(metric("gpu_layers") == LAYERS);
    for (size_t i = 0; i < sizeof(zero) / sizeof(zero[0]); i++)
        CHECK(metric(zero[i]) == 0);
    stop();
}

/* Lost while it is timed: the gateway does not start, and says why. */
static void test_lost(void)
{
    const size_t memory = find_memory(true);

    simt_fail_after(8);
    fprintf(stderr, "(an error is meant)\n");
    CHECK(!start(memory) && server == NULL);
    simt_fail_after(0);
    CHECK(simt_memory_used() == 0);
    if (CHECK(start((size_t)1 << 32)))
        stop();
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    gw_log_set_level(GW_LOG_ERROR);
    if (!CHECK(mkdtemp(dir) != NULL))
        return test_done();
    write_model();
    test_layers();
    test_pages();
    test_room_for_all();
    test_lost();
    simt_set_memory((size_t)1 << 32);
    CHECK(test_remove_tree(dir));
    return test_done();
}
