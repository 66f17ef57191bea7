/* ZIP archives: hand-made ones, and those that lie. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/buf.h"
#include "proxy/fetch/zip.h"
#include "tests/test.h"

static void put(struct gw_buf *b, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        gw_buf_addc(b, (char)(unsigned char)(i < 8 ? v >> (8 * i) : 0));
}

static void patch(struct gw_buf *b, size_t at, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        b->ptr[at + i] = (char)(unsigned char)(v >> (8 * i));
}

/* One member on its way into an archive. */
struct part {
    const char *name;
    struct gw_span text;
    bool deflate, zip64;
    size_t local, header; /* set: offsets of the local header and the directory entry */
    size_t packed;        /* set */
};

static void put_common(struct gw_buf *b, const struct part *p)
{
    put(b, p->zip64 ? 45 : 20, 2);
    put(b, 0, 2);
    put(b, p->deflate ? 8 : 0, 2);
    put(b, 0, 4);
    put(b, crc32(0, (const Bytef *)p->text.ptr, (uInt)p->text.len), 4);
}

static void put_local(struct gw_buf *b, struct part *p)
{
    unsigned char packed[65536];
    z_stream z = {0};

    p->packed = p->text.len;
    if (p->deflate) {
        CHECK(deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
        z.next_in = (Bytef *)(uintptr_t)p->text.ptr;
        z.avail_in = (uInt)p->text.len;
        z.next_out = packed;
        z.avail_out = sizeof(packed);
        CHECK(deflate(&z, Z_FINISH) == Z_STREAM_END);
        p->packed = sizeof(packed) - z.avail_out;
        (void)deflateEnd(&z);
    }
    p->local = b->len;
    put(b, 0x04034b50, 4);
    put_common(b, p);
    put(b, p->packed, 4);
    put(b, p->text.len, 4);
    put(b, strlen(p->name), 2);
    put(b, 0, 2);
    gw_buf_adds(b, p->name);
    gw_buf_add(b, p->deflate ? (struct gw_span){(const char *)packed, p->packed} : p->text);
}

static void put_entry(struct gw_buf *b, struct part *p)
{
    p->header = b->len;
    put(b, 0x02014b50, 4);
    put(b, 20, 2);
    put_common(b, p);
    put(b, p->zip64 ? UINT32_MAX : p->packed, 4);
    put(b, p->zip64 ? UINT32_MAX : p->text.len, 4);
    put(b, strlen(p->name), 2);
    put(b, p->zip64 ? 28 : 0, 2);
    put(b, 0, 2);
    put(b, 0, 4);
    put(b, 0, 4);
    put(b, p->zip64 ? UINT32_MAX : p->local, 4);
    gw_buf_adds(b, p->name);
    if (p->zip64) {
        put(b, 1, 2);
        put(b, 24, 2);
        put(b, p->text.len, 8);
        put(b, p->packed, 8);
        put(b, p->local, 8);
    }
}

/* Writes the archive; returns the offset of its end record. */
static size_t make_zip(struct gw_buf *b, struct part *parts, unsigned n, bool zip64)
{
    for (unsigned i = 0; i < n; i++)
        put_local(b, &parts[i]);
    size_t begin = b->len;
    for (unsigned i = 0; i < n; i++)
        put_entry(b, &parts[i]);
    size_t size = b->len - begin, end64 = b->len;
    if (zip64) {
        put(b, 0x06064b50, 4);
        put(b, 44, 8);
        put(b, 45, 2);
        put(b, 45, 2);
        put(b, 0, 8);
        put(b, n, 8);
        put(b, n, 8);
        put(b, size, 8);
        put(b, begin, 8);
        put(b, 0x07064b50, 4);
        put(b, 0, 4);
        put(b, end64, 8);
        put(b, 1, 4);
    }
    size_t end = b->len;
    put(b, 0x06054b50, 4);
    put(b, 0, 4);
    put(b, zip64 ? 0xFFFF : n, 2);
    put(b, zip64 ? 0xFFFF : n, 2);
    put(b, zip64 ? UINT32_MAX : size, 4);
    put(b, zip64 ? UINT32_MAX : begin, 4);
    put(b, 5, 2);
    gw_buf_adds(b, "hello");
    return end;
}

static enum gw_status keep(void *ctx, struct gw_span bytes)
{
    gw_buf_add(ctx, bytes);
    return GW_OK;
}

static enum gw_status unzip(const struct gw_buf *zip, const char *name, uint64_t max,
                            struct gw_buf *out, struct gw_err *err)
{
    struct zip_member m;

    GW_TRY(zip_find(gw_buf_span(zip), name, &m, err));
    return zip_extract(&m, max, keep, out, err);
}

static bool gives(const struct gw_buf *zip, const char *name, struct gw_span want)
{
    struct gw_buf out = {0};
    struct gw_err err = {0};
    enum gw_status st = unzip(zip, name, 1 << 20, &out, &err);
    bool same = st == GW_OK && gw_span_eq(gw_buf_span(&out), want);

    if (!same)
        fprintf(stderr, "%s: %s %s\n", name, gw_status_name(st), err.text);
    gw_buf_fini(&out);
    return same;
}

static enum gw_status status_of(const struct gw_buf *zip, const char *name)
{
    struct gw_buf out = {0};
    enum gw_status st = unzip(zip, name, 1 << 20, &out, NULL);

    gw_buf_fini(&out);
    return st;
}

static char text[20000];

static void fill(struct gw_buf *b, struct part parts[3], bool zip64, size_t *end)
{
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)('a' + i * i % 23);
    parts[0] = (struct part){.name = "a/one.txt", .text = GW_SPAN("stored text"), .zip64 = zip64};
    parts[1] = (struct part){
        .name = "two.bin", .text = {text, sizeof(text)}, .deflate = true, .zip64 = zip64};
    parts[2] = (struct part){.name = "empty", .text = {NULL, 0}, .zip64 = zip64};
    gw_buf_clear(b);
    *end = make_zip(b, parts, 3, zip64);
}

static void test_members_come_out(void)
{
    struct gw_buf zip = {0};
    struct part parts[3];
    size_t end;

    for (int zip64 = 0; zip64 < 2; zip64++) {
        fill(&zip, parts, zip64 != 0, &end);
        CHECK(gives(&zip, "a/one.txt", GW_SPAN("stored text")));
        CHECK(gives(&zip, "two.bin", (struct gw_span){text, sizeof(text)}));
        CHECK(gives(&zip, "empty", (struct gw_span){NULL, 0}));
        CHECK(status_of(&zip, "two.bi") == GW_ENOENT);
        CHECK(status_of(&zip, "") == GW_ENOENT);
    }
    gw_buf_fini(&zip);
}

static void test_lies_are_found(void)
{
    struct gw_buf zip = {0};
    struct part parts[3];
    size_t end;

    fill(&zip, parts, false, &end);
    patch(&zip, parts[1].header + 16, 0x12345678, 4); /* another CRC */
    CHECK(status_of(&zip, "two.bin") == GW_ECORRUPT);
    fill(&zip, parts, false, &end);
    patch(&zip, parts[1].header + 24, 100, 4); /* unpacks to more than it says: a bomb */
    CHECK(status_of(&zip, "two.bin") == GW_ECORRUPT);
    fill(&zip, parts, false, &end);
    patch(&zip, parts[1].header + 24, sizeof(text) + 1, 4); /* to less */
    CHECK(status_of(&zip, "two.bin") == GW_ECORRUPT);
    fill(&zip, parts, false, &end);
    patch(&zip, parts[1].header + 24, 2 << 20, 4); /* to more than we want */
    CHECK(status_of(&zip, "two.bin") == GW_ELIMIT);
    fill(&zip, parts, false, &end);
    patch(&zip, parts[1].header + 20, parts[1].packed - 10, 4); /* cut short */
    CHECK(status_of(&zip, "two.bin") == GW_ECORRUPT);
    fill(&zip, parts, false, &end);
    patch(&zip, parts[0].header + 20, 1 << 30, 4); /* runs out of the file */
    CHECK(status_of(&zip, "a/one.txt") == GW_EPARSE);
    fill(&zip, parts, false, &end);
    patch(&zip, parts[0].header + 42, 0xFFFFFFF0, 4); /* starts outside */
    CHECK(status_of(&zip, "a/one.txt") == GW_EPARSE);
    fill(&zip, parts, false, &end);
    patch(&zip, parts[0].header + 42, parts[1].local, 4); /* another member's data */
    CHECK(status_of(&zip, "a/one.txt") == GW_EPARSE);
    fill(&zip, parts, false, &end);
    patch(&zip, parts[0].header + 8, 1, 2); /* encrypted */
    CHECK(status_of(&zip, "a/one.txt") == GW_EUNSUPPORTED);
    fill(&zip, parts, false, &end);
    patch(&zip, parts[0].header + 10, 12, 2); /* bzip2 */
    CHECK(status_of(&zip, "a/one.txt") == GW_EUNSUPPORTED);
    fill(&zip, parts, false, &end);
    patch(&zip, end + 10, 4, 2); /* an entry too many */
    CHECK(status_of(&zip, "a/one.txt") == GW_EPARSE);
    fill(&zip, parts, false, &end);
    patch(&zip, end + 16, 1 << 30, 4); /* the directory lies outside */
    CHECK(status_of(&zip, "a/one.txt") == GW_EPARSE);
    fill(&zip, parts, false, &end);
    patch(&zip, end + 4, 1, 2); /* split */
    CHECK(status_of(&zip, "a/one.txt") == GW_EUNSUPPORTED);
    fill(&zip, parts, true, &end);
    patch(&zip, end - 12, UINT64_MAX - 8, 8); /* the 64-bit record lies outside */
    CHECK(status_of(&zip, "a/one.txt") == GW_EPARSE);
    gw_buf_fini(&zip);
}

static void test_a_name_twice_is_refused(void)
{
    struct gw_buf zip = {0};
    struct part parts[2] = {{.name = "x", .text = GW_SPAN("1")},
                            {.name = "x", .text = GW_SPAN("2")}};

    (void)make_zip(&zip, parts, 2, false);
    CHECK(status_of(&zip, "x") == GW_EPARSE);
    gw_buf_fini(&zip);
}

/* Every cut and every changed byte: an answer, never a crash, and never wrong text taken for right. */
static void test_cut_and_changed_bytes(void)
{
    struct part parts[3];
    struct gw_buf zip = {0}, copy = {0}, out = {0};
    size_t end;

    fill(&zip, parts, true, &end);
    for (size_t n = 0; n < zip.len; n += n < 200 || n > zip.len - 600 ? 1 : 97) {
        struct gw_buf cut = {0};

        gw_buf_add(&cut, (struct gw_span){zip.ptr, n});
        CHECK(status_of(&cut, "two.bin") != GW_OK);
        gw_buf_fini(&cut);
    }
    for (size_t i = 0; i < zip.len; i++) {
        gw_buf_clear(&copy);
        gw_buf_clear(&out);
        gw_buf_add(&copy, gw_buf_span(&zip));
        copy.ptr[i] = (char)(copy.ptr[i] ^ 0x41);
        if (unzip(&copy, "two.bin", 1 << 20, &out, NULL) == GW_OK)
            CHECK(gw_span_eq(gw_buf_span(&out), (struct gw_span){text, sizeof(text)}));
    }
    gw_buf_fini(&zip);
    gw_buf_fini(&copy);
    gw_buf_fini(&out);
}

static enum gw_status refuse(void *ctx, struct gw_span bytes)
{
    (void)ctx;
    (void)bytes;
    return GW_EIO;
}

static void test_writer_can_stop(void)
{
    struct gw_buf zip = {0};
    struct part parts[3];
    struct zip_member m;
    size_t end;

    fill(&zip, parts, false, &end);
    CHECK(zip_find(gw_buf_span(&zip), "two.bin", &m, NULL) == GW_OK);
    CHECK(zip_extract(&m, 1 << 20, refuse, NULL, NULL) == GW_EIO);
    gw_buf_fini(&zip);
}

int main(void)
{
    test_members_come_out();
    test_lies_are_found();
    test_a_name_twice_is_refused();
    test_cut_and_changed_bytes();
    test_writer_can_stop();
    return test_done();
}
