/* tests/unit/engine/test_safetensors.c - good files, and files that lie. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "engine/folder.h"
#include "engine/safetensors.h"
#include "tests/test.h"

/* A file with that header and n bytes of data. */
static struct gw_buf make(const char *header, size_t n)
{
    struct gw_buf b = {0};
    uint64_t len = strlen(header);

    for (unsigned i = 0; i < 8; i++)
        gw_buf_addc(&b, (char)(unsigned char)(len >> (8 * i)));
    gw_buf_adds(&b, header);
    for (size_t i = 0; i < n; i++)
        gw_buf_addc(&b, (char)i);
    return b;
}

/* Opens a copy of exactly that size, so that a sanitizer sees every byte read beyond it. */
static enum gw_status open_exact(struct gw_span bytes, struct gw_err *err)
{
    struct safetensors *s = NULL;
    char *copy = malloc(bytes.len + 1);
    enum gw_status st;

    memcpy(copy, bytes.ptr, bytes.len);
    copy = realloc(copy, bytes.len == 0 ? 1 : bytes.len);
    st = safetensors_open_memory((struct gw_span){copy, bytes.len}, &s, err);
    CHECK((st == GW_OK) == (s != NULL));
    safetensors_close(s);
    free(copy);
    return st;
}

static enum gw_status status_of(const char *header, size_t n)
{
    struct gw_buf b = make(header, n);
    struct gw_err err = {GW_OK, ""};
    enum gw_status st = open_exact(gw_buf_span(&b), &err);

    CHECK(st == err.code && (st == GW_OK || err.text[0] != '\0'));
    gw_buf_fini(&b);
    return st;
}

static const char good[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                           "\"b\":{\"dtype\":\"F16\",\"shape\":[3],\"data_offsets\":[24,30]},"
                           "\"a.w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                           "\"none\":{\"dtype\":\"I64\",\"shape\":[0,7],\"data_offsets\":[24,24]},"
                           "\"one\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[30,32]}}   ";

static void test_good(void)
{
    struct gw_buf b = make(good, 32);
    struct safetensors *s = NULL;
    struct gw_err err = {GW_OK, ""};
    const struct safetensors_tensor *t;

    if (!CHECK(safetensors_open_memory(gw_buf_span(&b), &s, &err) == GW_OK)) {
        fprintf(stderr, "%s\n", err.text);
        gw_buf_fini(&b);
        return;
    }
    t = safetensors_get(s, "a.w");
    CHECK(t != NULL && t->n_dims == 2 && t->dims[0] == 2 && t->dims[1] == 3 && t->begin == 0 &&
          t->end == 24 && gw_span_is(t->dtype, "F32") && t->data[5] == 5);
    t = safetensors_get(s, "b");
    CHECK(t != NULL && t->n_dims == 1 && gw_span_is(t->dtype, "F16") && t->data[0] == 24);
    t = safetensors_get(s, "one");
    CHECK(t != NULL && t->n_dims == 0 && t->end - t->begin == 2);
    CHECK(safetensors_get(s, "none") != NULL && safetensors_get(s, "__metadata__") == NULL);
    CHECK(safetensors_get(s, "a.") == NULL && safetensors_get(s, "") == NULL);
    CHECK(safetensors_file_bytes(s) == b.len);
    CHECK(safetensors_n_tensors(s) == 4 && gw_span_is(safetensors_tensor_at(s, 0)->name, "a.w") &&
          gw_span_is(safetensors_tensor_at(s, 3)->name, "one"));
    safetensors_close(s);
    gw_buf_fini(&b);
    safetensors_close(NULL);
    CHECK(status_of("{}", 0) == GW_OK);
}

/* Every cut and every changed byte of the header is survived. */
static void test_damaged(void)
{
    struct gw_buf b = make(good, 32);
    struct gw_err err;

    for (size_t n = 0; n < b.len; n++)
        CHECK(open_exact((struct gw_span){b.ptr, n}, &err) != GW_OK);
    for (size_t i = 0; i < b.len - 32; i++) {
        char old = b.ptr[i];

        for (unsigned bit = 0; bit < 8; bit++) {
            b.ptr[i] = (char)(old ^ (1 << bit));
            (void)open_exact(gw_buf_span(&b), &err);
        }
        b.ptr[i] = old;
    }
    gw_buf_fini(&b);
}

static void test_lies(void)
{
#define T(dtype, shape, offsets)                                                                   \
    "{\"t\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
    CHECK(status_of(T("\"F32\"", "[2]", "[0,8]"), 8) == GW_OK);
    CHECK(status_of(T("\"F32\"", "[2]", "[0,8]"), 7) == GW_EPARSE); /* beyond the end */
    CHECK(status_of(T("\"F32\"", "[2]", "[0,8]"), 9) == GW_EPARSE); /* a byte too many */
    CHECK(status_of(T("\"F32\"", "[2]", "[1,9]"), 9) == GW_EPARSE); /* a gap */
    CHECK(status_of(T("\"F32\"", "[2]", "[8,0]"), 8) == GW_EPARSE); /* backwards */
    CHECK(status_of(T("\"F32\"", "[3]", "[0,8]"), 8) == GW_EPARSE); /* another size */
    CHECK(status_of(T("\"F32\"", "[-2]", "[0,8]"), 8) == GW_EPARSE);
    CHECK(status_of(T("\"F32\"", "[2.0]", "[0,8]"), 8) == GW_EPARSE);
    CHECK(status_of(T("\"F32\"", "[\"2\"]", "[0,8]"), 8) == GW_EPARSE);
    CHECK(status_of(T("\"F32\"", "2", "[0,8]"), 8) == GW_EPARSE);
    CHECK(status_of(T("\"F32\"", "[2]", "[0]"), 8) == GW_EPARSE);
    CHECK(status_of(T("\"F32\"", "[2]", "[0,4,8]"), 8) == GW_EPARSE);
    CHECK(status_of(T("\"F32\"", "[2]", "[0,1e1]"), 8) == GW_EPARSE);
    CHECK(status_of(T("\"F32\"", "[2]", "[0,99999999999999999999]"), 8) == GW_EPARSE);
    CHECK(status_of(T("\"F32\"", "[1,1,1,1,1,1,1,1,2]", "[0,8]"), 8) == GW_EPARSE);
    CHECK(status_of(T("\"F32\"", "[4611686018427387906]", "[0,8]"), 8) == GW_EPARSE);
    CHECK(status_of(T("\"F32\"", "[4294967296,4294967296,2]", "[0,8]"), 8) == GW_EPARSE);
    CHECK(status_of(T("\"F33\"", "[2]", "[0,8]"), 8) == GW_EUNSUPPORTED);
    CHECK(status_of(T("7", "[2]", "[0,8]"), 8) == GW_EUNSUPPORTED);
#undef T
    CHECK(status_of("{\"t\":{}}", 0) == GW_EUNSUPPORTED && status_of("{\"t\":1}", 0) != GW_OK);
    CHECK(status_of("", 0) != GW_OK && status_of("[]", 0) == GW_EPARSE);
    CHECK(status_of("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                    "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}",
                    6) == GW_EPARSE); /* overlap */
    CHECK(status_of("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                    "\"\\u0061\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[4,6]}}",
                    6) == GW_EPARSE); /* one name twice */
    CHECK(open_exact(GW_SPAN("\xff\xff\xff\xff\xff\xff\xff\xff{}"), NULL) == GW_EPARSE);
    CHECK(open_exact(GW_SPAN("\x03\0\0\0\0\0\0\0{}"), NULL) == GW_EPARSE);
}

/* As many brackets, or tensors, as a hostile header can hold cost a bounded time and memory. */
static void test_large(void)
{
    struct gw_buf h = {0};

    for (unsigned i = 0; i < 100000; i++)
        gw_buf_addc(&h, '[');
    CHECK(status_of(h.ptr, 0) == GW_ELIMIT);
    gw_buf_clear(&h);
    gw_buf_adds(&h, "{\"t\":{\"dtype\":\"U8\",\"shape\":[0");
    for (unsigned i = 0; i < 4000000; i++)
        gw_buf_adds(&h, ",0");
    gw_buf_adds(&h, "],\"data_offsets\":[0,0]}}");
    CHECK(status_of(h.ptr, 0) != GW_OK);
    gw_buf_clear(&h);
    gw_buf_addc(&h, '{');
    for (unsigned i = 0; i < 70000; i++)
        gw_buf_printf(&h, "%s\"t%u\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                      i == 0 ? "" : ",", i);
    gw_buf_addc(&h, '}');
    CHECK(status_of(h.ptr, 0) == GW_ELIMIT);
    gw_buf_fini(&h);
}

static void test_files(void)
{
    char dir[] = "/tmp/sluice-safetensors-XXXXXX", path[64];
    struct gw_buf b = make(good, 32), text = {0};
    struct safetensors *s = NULL;
    struct gw_err err = {GW_OK, ""};
    FILE *f;

    if (!CHECK(mkdtemp(dir) != NULL))
        return;
    (void)snprintf(path, sizeof(path), "%s/m", dir);
    CHECK(safetensors_open(path, &s, &err) == GW_ENOENT && s == NULL);
    CHECK(safetensors_open(dir, &s, NULL) == GW_EINVAL && s == NULL);
    CHECK(folder_read(dir, "m", 100, &text, &err) == GW_ENOENT);
    f = fopen(path, "w");
    CHECK(f != NULL && fclose(f) == 0 && safetensors_open(path, &s, NULL) == GW_EPARSE);
    f = fopen(path, "w");
    CHECK(f != NULL && fwrite(b.ptr, 1, b.len, f) == b.len && fclose(f) == 0);
    CHECK(safetensors_open(path, &s, &err) == GW_OK && safetensors_get(s, "one") != NULL);
    safetensors_close(s);
    CHECK(folder_read(dir, "m", b.len - 1, &text, &err) == GW_ELIMIT && text.ptr == NULL);
    CHECK(folder_read(dir, ".", 100, &text, &err) == GW_EINVAL && text.ptr == NULL);
    CHECK(folder_read(dir, "m", b.len, &text, &err) == GW_OK &&
          gw_span_eq(gw_buf_span(&text), gw_buf_span(&b)));
    gw_buf_fini(&text);
    gw_buf_fini(&b);
    (void)unlink(path);
    (void)rmdir(dir);
}

int main(void)
{
    test_good();
    test_damaged();
    test_lies();
    test_large();
    test_files();
    return test_done();
}
