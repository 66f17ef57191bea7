/* tests/unit/engine/test_gguf.c - the GGUF reader on right, cut and hostile files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/test.h"
#include "tests/unit/engine/gguf_make.h"

/* Opens bytes in a heap block of exactly their size, so that a sanitizer sees a read past the end. */
static enum gw_status open_copy(struct gw_span bytes, void **block, struct gguf **g,
                                struct gw_err *err)
{
    enum gw_status st;

    *block = malloc(bytes.len == 0 ? 1 : bytes.len);
    if (*block == NULL)
        return GW_ENOMEM;
    if (bytes.len != 0)
        memcpy(*block, bytes.ptr, bytes.len);
    st = gguf_open_memory(*block, bytes.len, g, err);
    if (st != GW_OK) {
        free(*block);
        *block = NULL;
    }
    return st;
}

static uint64_t touch(const char *p, size_t n)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (unsigned char)p[i];
    return sum;
}

/* Reads everything that an accepted file offers. */
static uint64_t walk(const struct gguf *g)
{
    static const char *const keys[] = {"general.architecture",
                                       "a.u8",
                                       "a.i32",
                                       "a.u64",
                                       "a.f32",
                                       "a.f64",
                                       "a.bool",
                                       "a.strs",
                                       "a.u32s",
                                       "general.alignment"};
    uint64_t sum = 0;

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct gguf_array a;
        struct gw_span s;
        uint64_t u = 0;
        size_t at = 0;

        if (gguf_str(g, keys[i], &s, NULL) == GW_OK)
            sum += touch(s.ptr, s.len);
        if (gguf_uint(g, keys[i], UINT64_MAX, &u, NULL) == GW_OK)
            sum += u;
        if (gguf_array(g, keys[i], GGUF_STRING, &a, NULL) == GW_OK)
            for (size_t k = 0; k < a.n; k++) {
                s = gguf_array_next_str(&a, &at);
                sum += touch(s.ptr, s.len);
            }
        if (gguf_array(g, keys[i], GGUF_U32, &a, NULL) == GW_OK)
            for (size_t k = 0; k < a.n; k++)
                sum += (uint64_t)gguf_array_i32(&a, k);
    }
    for (size_t i = 0; i < gguf_n_tensors(g); i++)
        sum += touch(gguf_tensor_at(g, i)->data, gguf_tensor_at(g, i)->bytes);
    return sum;
}

static void test_valid(void)
{
    struct gw_buf b = {0};
    struct gguf *g;
    struct gguf_array a;
    struct gw_span s;
    struct gw_err err;
    uint64_t u;
    double d;
    bool yes;
    void *block;
    size_t at = 0;

    make_valid(&b);
    if (!CHECK(open_copy(gw_buf_span(&b), &block, &g, &err) == GW_OK))
        return;
    CHECK(gguf_str(g, "general.architecture", &s, NULL) == GW_OK && gw_span_is(s, "llama"));
    CHECK(gguf_uint(g, "a.u8", 255, &u, NULL) == GW_OK && u == 7);
    CHECK(gguf_uint(g, "a.u8", 6, &u, &err) == GW_EPARSE && u == 7);
    CHECK(strstr(err.text, "a.u8") != NULL);
    CHECK(gguf_uint(g, "a.i32", UINT64_MAX, &u, NULL) == GW_EPARSE); /* negative */
    CHECK(gguf_uint(g, "a.u64", UINT64_MAX, &u, NULL) == GW_OK && u == 1ull << 40);
    CHECK(gguf_uint(g, "a.f32", UINT64_MAX, &u, NULL) == GW_EPARSE);
    CHECK(gguf_uint(g, "no.such", 1, &u, NULL) == GW_ENOENT);
    CHECK(gguf_float(g, "a.f32", &d, NULL) == GW_OK && d > 1.49 && d < 1.51);
    CHECK(gguf_float(g, "a.f64", &d, NULL) == GW_OK && d < -2.49);
    CHECK(gguf_bool(g, "a.bool", &yes, NULL) == GW_OK && yes);
    CHECK(gguf_bool(g, "a.u8", &yes, NULL) == GW_EPARSE);
    CHECK(gguf_uint_at(g, "a.u32s", 1, 100, &u, NULL) == GW_OK && u == 9);
    CHECK(gguf_uint_at(g, "a.u32s", 2, 100, &u, NULL) == GW_EPARSE);
    CHECK(gguf_uint_at(g, "a.u8", 99, 100, &u, NULL) == GW_OK && u == 7);
    CHECK(gguf_array(g, "a.strs", GGUF_F32, &a, NULL) == GW_EPARSE);
    CHECK(gguf_array(g, "a.strs", GGUF_STRING, &a, NULL) == GW_OK && a.n == 3);
    CHECK(gw_span_is(gguf_array_next_str(&a, &at), "x"));
    CHECK(gguf_array_next_str(&a, &at).len == 0);
    CHECK(gw_span_is(gguf_array_next_str(&a, &at), "yz"));
    CHECK(gguf_n_tensors(g) == 2 && gguf_tensor(g, "third.weight") == NULL);
    CHECK(gguf_tensor(g, "first.weight") == gguf_tensor_at(g, 0));
    CHECK(gguf_tensor_at(g, 0)->bytes == 32 && gguf_tensor_at(g, 1)->bytes == 34);
    CHECK(*(const char *)gguf_tensor_at(g, 1)->data == 32);
    gguf_close(g);
    free(block);
    gw_buf_fini(&b);
}

static void test_cut_at_every_byte(void)
{
    struct gw_buf b = {0};
    unsigned accepted = 0;

    make_valid(&b);
    for (size_t n = 0; n < b.len; n++) {
        struct gguf *g;
        void *block;

        if (open_copy((struct gw_span){b.ptr, n}, &block, &g, NULL) == GW_OK) {
            accepted++;
            gguf_close(g);
            free(block);
        }
    }
    CHECK(accepted == 0);
    gw_buf_fini(&b);
}

/* Any byte may be anything: whatever is accepted must be safe to read. */
static void test_every_byte_wrong(void)
{
    static const unsigned char masks[] = {0x01, 0x02, 0x08, 0x40, 0x80, 0xFF};
    struct gw_buf b = {0};
    uint64_t sum = 0;

    make_valid(&b);
    for (size_t i = 0; i < b.len; i++) {
        for (size_t m = 0; m < sizeof(masks); m++) {
            char was = b.ptr[i];
            struct gguf *g;
            void *block;

            b.ptr[i] = (char)((unsigned char)was ^ masks[m]);
            if (open_copy(gw_buf_span(&b), &block, &g, NULL) == GW_OK) {
                sum += walk(g);
                gguf_close(g);
                free(block);
            }
            b.ptr[i] = was;
        }
    }
    CHECK(sum != 0);
    gw_buf_fini(&b);
}

/* Opens what was made, expects st, and empties b. */
static void expect(struct gw_buf *b, enum gw_status st, const char *words)
{
    struct gw_err err = {0};
    struct gguf *g = NULL;
    void *block;
    enum gw_status got = open_copy(gw_buf_span(b), &block, &g, &err);

    if (!CHECK(got == st) || !CHECK(got == GW_OK || strstr(err.text, words) != NULL))
        printf("status %s: %s (expected: %s)\n", gw_status_name(got), err.text, words);
    if (got == GW_OK) {
        gguf_close(g);
        free(block);
    }
    gw_buf_clear(b);
}

static void test_hostile_counts(void)
{
    struct gw_buf b = {0};

    gw_buf_adds(&b, "NOTGGUF.....................");
    expect(&b, GW_EPARSE, "not a GGUF file");
    make_head(&b, 1, 0, 0);
    expect(&b, GW_EUNSUPPORTED, "version 1");
    make_head(&b, 0x03000000, 0, 0);
    expect(&b, GW_EUNSUPPORTED, "big-endian");
    make_head(&b, 3, UINT64_MAX, 0);
    expect(&b, GW_ELIMIT, "tensors");
    make_head(&b, 3, 0, UINT64_MAX);
    expect(&b, GW_ELIMIT, "keys");
    make_head(&b, 3, 60000, 16000); /* within the limits, but not in this file */
    expect(&b, GW_EPARSE, "do not fit");
    make_head(&b, 3, 0, 0);
    expect(&b, GW_OK, "");
    gw_buf_fini(&b);
}

static void test_hostile_metadata(void)
{
    struct gw_buf b = {0};

    make_head(&b, 3, 0, 1); /* a string longer than the file */
    make_key(&b, "k", GGUF_STRING);
    make_u64(&b, UINT64_MAX);
    expect(&b, GW_EPARSE, "ends inside");
    make_head(&b, 3, 0, 1); /* n * size wraps to a small number */
    make_key(&b, "k", GGUF_ARRAY);
    make_u32(&b, GGUF_U64);
    make_u64(&b, (UINT64_MAX / 8) + 2);
    expect(&b, GW_EPARSE, "ends inside");
    make_head(&b, 3, 0, 1);
    make_key(&b, "k", GGUF_ARRAY);
    make_u32(&b, GGUF_ARRAY);
    make_u64(&b, 1);
    expect(&b, GW_EPARSE, "arrays of type 9");
    make_head(&b, 3, 0, 1);
    make_key(&b, "k", 77);
    make_u64(&b, 0);
    expect(&b, GW_EPARSE, "unknown type 77");
    make_head(&b, 3, 0, 1);
    make_key(&b, "k", GGUF_BOOL);
    gw_buf_addc(&b, 2);
    expect(&b, GW_EPARSE, "not a boolean");
    make_head(&b, 3, 0, 1);
    make_key(&b, "bad\nkey", GGUF_BOOL);
    gw_buf_addc(&b, 1);
    expect(&b, GW_EPARSE, "printable");
    make_head(&b, 3, 0, 2);
    for (int i = 0; i < 2; i++) {
        make_key(&b, "same", GGUF_BOOL);
        gw_buf_addc(&b, 1);
    }
    expect(&b, GW_EPARSE, "twice");
    for (uint32_t i = 0; i < 3; i++) {
        static const uint32_t bad[] = {0, 48, 1u << 30};

        make_head(&b, 3, 0, 1);
        make_key(&b, "general.alignment", GGUF_U32);
        make_u32(&b, bad[i]);
        expect(&b, GW_EPARSE, "general.alignment");
    }
    make_head(&b, 3, 0, 1);
    make_key(&b, "general.alignment", GGUF_STRING);
    make_str(&b, "32");
    expect(&b, GW_EPARSE, "general.alignment");
    gw_buf_fini(&b);
}

/* One tensor in a file with 64 bytes of data. */
static void one_tensor(struct gw_buf *b, uint64_t d0, uint64_t d1, uint32_t type, uint64_t offset)
{
    make_head(b, 3, 1, 0);
    make_tensor(b, "t", d0, d1, type, offset);
    make_pad(b, 32);
    for (int i = 0; i < 64; i++)
        gw_buf_addc(b, 0);
}

static void test_hostile_tensors(void)
{
    struct gw_buf b = {0};

    one_tensor(&b, 16, 1, 0, 0);
    expect(&b, GW_OK, "");
    one_tensor(&b, 17, 1, 0, 0);
    expect(&b, GW_EPARSE, "outside the file");
    one_tensor(&b, 8, 1, 0, 64); /* begins at the end */
    expect(&b, GW_EPARSE, "outside the file");
    one_tensor(&b, 8, 1, 0, UINT64_MAX - 31);
    expect(&b, GW_EPARSE, "outside the file");
    one_tensor(&b, 8, 1, 0, 4);
    expect(&b, GW_EPARSE, "multiple of 32");
    one_tensor(&b, 1ull << 33, 1ull << 33, 0, 0);
    expect(&b, GW_EPARSE, "impossible");
    one_tensor(&b, 1ull << 62, 1, 0, 0); /* times 4 bytes wraps */
    expect(&b, GW_EPARSE, "impossible");
    one_tensor(&b, 0, 4, 0, 0);
    expect(&b, GW_EPARSE, "impossible");
    one_tensor(&b, 33, 1, 8, 0);
    expect(&b, GW_EPARSE, "whole blocks");
    one_tensor(&b, 32, 1, 99, 0);
    expect(&b, GW_EUNSUPPORTED, "type 99");
    make_head(&b, 3, 1, 0);
    make_str(&b, "t");
    make_u32(&b, 5); /* dimensions */
    for (int i = 0; i < 8; i++)
        make_u64(&b, 1);
    expect(&b, GW_EPARSE, "5 dimensions");
    make_head(&b, 3, 2, 0);
    make_tensor(&b, "t", 8, 1, 0, 0);
    make_tensor(&b, "t", 8, 1, 0, 32);
    make_pad(&b, 32);
    for (int i = 0; i < 64; i++)
        gw_buf_addc(&b, 0);
    expect(&b, GW_EPARSE, "twice");
    gw_buf_fini(&b);
}

static void test_files(void)
{
    char path[] = "/tmp/test_gguf_XXXXXX";
    int fd = mkstemp(path);
    struct gw_err err;
    struct gguf *g = NULL;
    struct gw_buf b = {0};

    CHECK(gguf_open("/no/such/file", &g, &err) == GW_ENOENT && g == NULL);
    CHECK(gguf_open("/tmp", &g, &err) == GW_EINVAL);
    if (!CHECK(fd >= 0))
        return;
    CHECK(gguf_open(path, &g, &err) == GW_EPARSE && strstr(err.text, "empty") != NULL);
    make_valid(&b);
    CHECK(write(fd, b.ptr, b.len) == (ssize_t)b.len);
    if (CHECK(gguf_open(path, &g, &err) == GW_OK)) {
        CHECK(gguf_file_bytes(g) == b.len);
        gguf_tensor_drop(g, gguf_tensor_at(g, 0));
        CHECK(walk(g) != 0);
        gguf_close(g);
    }
    (void)close(fd);
    (void)unlink(path);
    gw_buf_fini(&b);
}

/* A part of a split model with one tensor, F32 4 x 1. */
static void make_part(struct gw_buf *b, uint32_t no, uint32_t count, uint32_t tensors,
                      const char *name)
{
    gw_buf_clear(b);
    make_head(b, 3, 1, 3);
    make_key(b, "split.no", GGUF_U32);
    make_u32(b, no);
    make_key(b, "split.count", GGUF_U32);
    make_u32(b, count);
    make_key(b, "split.tensors.count", GGUF_I32);
    make_u32(b, tensors);
    make_tensor(b, name, 4, 1, 0, 0);
    make_pad(b, 32);
    for (int i = 0; i < 16; i++)
        gw_buf_addc(b, (char)no);
}

static void write_part(const char *dir, const char *name, const struct gw_buf *b)
{
    char path[128];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "we");
    if (!CHECK(f != NULL))
        return;
    CHECK(fwrite(b->ptr, 1, b->len, f) == b->len);
    CHECK(fclose(f) == 0);
}

static void expect_split(const char *dir, const char *name, enum gw_status want, const char *words)
{
    struct gguf *g = NULL;
    struct gw_err err = {0};
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    CHECK(gguf_open(path, &g, &err) == want);
    if (want == GW_OK && g != NULL) {
        const struct gguf_tensor *t = gguf_tensor(g, "c.weight");

        CHECK(gguf_n_tensors(g) == 3 && t != NULL && *(const char *)t->data == 2);
        CHECK(gguf_tensor(g, "a.weight") != NULL && gguf_tensor(g, "b.weight") != NULL);
        gguf_tensor_drop(g, t);
        CHECK(*(const char *)t->data == 2);
    } else if (!CHECK(strstr(err.text, words) != NULL)) {
        printf("%s (expected: %s)\n", err.text, words);
    }
    gguf_close(g);
}

static void test_split(void)
{
    static const char *const names[] = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf",
                                        "m-00003-of-00003.gguf", "other.gguf"};
    char dir[] = "/tmp/test_gguf_XXXXXX", path[128];
    struct gw_buf b = {0};

    if (!CHECK(mkdtemp(dir) != NULL))
        return;
    make_part(&b, 0, 3, 3, "a.weight");
    write_part(dir, names[0], &b);
    write_part(dir, names[3], &b);
    expect_split(dir, names[0], GW_ENOENT, "m-00002-of-00003.gguf");
    expect_split(dir, names[3], GW_EPARSE, "must end with -00001-of-00003.gguf");
    make_part(&b, 1, 3, 3, "b.weight");
    write_part(dir, names[1], &b);
    make_part(&b, 2, 3, 3, "c.weight");
    write_part(dir, names[2], &b);
    expect_split(dir, names[0], GW_OK, "");
    expect_split(dir, names[1], GW_EINVAL, "name its first part");
    make_part(&b, 2, 3, 3, "a.weight");
    write_part(dir, names[2], &b);
    expect_split(dir, names[0], GW_EPARSE, "twice");
    make_part(&b, 1, 3, 3, "c.weight");
    write_part(dir, names[2], &b);
    expect_split(dir, names[0], GW_EPARSE, "it is part 2 of 3, not 3 of 3");
    make_part(&b, 2, 3, 4, "c.weight");
    write_part(dir, names[2], &b);
    make_part(&b, 0, 3, 4, "a.weight");
    write_part(dir, names[0], &b);
    expect_split(dir, names[0], GW_EPARSE, "have 3 tensors, not 4");
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(dir);
    gw_buf_fini(&b);
}

int main(void)
{
    test_valid();
    test_cut_at_every_byte();
    test_every_byte_wrong();
    test_hostile_counts();
    test_hostile_metadata();
    test_hostile_tensors();
    test_files();
    test_split();
    return test_done();
}
