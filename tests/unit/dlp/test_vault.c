/* The vault: deterministic placeholders, collisions, bounds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "dlp/vault.h"
#include "tests/test.h"

static struct gw_span put(struct dlp_vault *v, const char *type, const char *value)
{
    struct gw_span p = {NULL, 0};

    CHECK(dlp_vault_put(v, type, gw_span_str(value), &p) == GW_OK);
    return p;
}

static bool same(struct gw_span a, struct gw_span b)
{
    return gw_span_eq(a, b);
}

static void test_deterministic(void)
{
    struct dlp_vault *v = dlp_vault_new(GW_SPAN("key")), *w = dlp_vault_new(GW_SPAN("key"));
    struct dlp_vault *x = dlp_vault_new(GW_SPAN("other"));
    struct gw_span a = put(v, "EMAIL", "bob@x.org");

    CHECK(a.len == 18 && gw_span_starts(a, GW_SPAN("DLP_EMAIL_")));
    for (size_t i = 10; i < a.len; i++)
        CHECK(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", a.ptr[i]) != NULL);
    put(w, "EMAIL", "another");
    CHECK(same(a, put(v, "EMAIL", "bob@x.org")) && dlp_vault_count(v) == 1);
    CHECK(same(a, put(w, "EMAIL", "bob@x.org")) && dlp_vault_count(w) == 2);
    CHECK(!same(a, put(x, "EMAIL", "bob@x.org")));
    CHECK(!same(a, put(v, "EMAIL", "Bob@x.org")));
    /* The type is part of the id, and cannot be shifted into the value. */
    CHECK(memcmp(put(v, "NAME1", "x").ptr + 10, put(v, "NAME2", "x").ptr + 10, 8) != 0);
    CHECK(memcmp(put(v, "AB", "Cx").ptr + 7, put(v, "ABC", "x").ptr + 8, 8) != 0);
    dlp_vault_free(v);
    dlp_vault_free(w);
    dlp_vault_free(x);
    dlp_vault_free(NULL);
}

/* The id is what the header says: base32 of HMAC-SHA-256(key, type 00 value). */
static void test_id(void)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    struct dlp_vault *v = dlp_vault_new(GW_SPAN("key"));
    struct gw_span p = put(v, "EMAIL", "value");
    unsigned char mac[GW_SHA256_BYTES];
    uint64_t bits = 0;

    gw_hmac_sha256(GW_SPAN("key"), GW_SPAN("EMAIL\0value"), mac);
    for (int i = 0; i < 5; i++)
        bits = bits << 8 | mac[i];
    for (unsigned i = 0; i < 8; i++)
        CHECK(p.ptr[10 + i] == alphabet[bits >> (35 - 5 * i) & 31]);
    dlp_vault_free(v);
}

static void test_types(void)
{
    struct dlp_vault *v = dlp_vault_new(GW_SPAN("key"));
    char longest[100];

    CHECK(gw_span_starts(put(v, "person-name 2", "x"), GW_SPAN("DLP_PERSON_NAME_2_")));
    memset(longest, 'A', 99);
    longest[99] = '\0';
    CHECK(put(v, longest, "x").len == 4 + DLP_TYPE_BYTES + 1 + 8);
    dlp_vault_free(v);
}

/* Two values (found by search) whose ids agree in the first 40 bits: the second gets a longer one, and
 * a text with both restores both, although one placeholder is a prefix of the other. */
static void test_collision(void)
{
    struct dlp_vault *v = dlp_vault_new(GW_SPAN("key"));
    struct gw_span a = put(v, "T", "v705657"), b = put(v, "T", "v1430789");
    struct gw_buf text = {0}, out = {0};
    struct dlp_restorer *r = dlp_restorer_new(v, 0);

    CHECK(a.len == 14 && b.len == 18 && gw_span_starts(b, a) && dlp_vault_count(v) == 2);
    CHECK(same(a, put(v, "T", "v705657")) && same(b, put(v, "T", "v1430789")));
    gw_buf_add(&text, a);
    gw_buf_add(&text, b);
    gw_buf_add(&text, (struct gw_span){b.ptr, 16});
    gw_buf_add(&text, a);
    for (size_t i = 0; i < text.len; i++)
        CHECK(dlp_restorer_feed(r, (struct gw_span){text.ptr + i, 1}, &out) == GW_OK);
    CHECK(dlp_restorer_finish(r, &out) == GW_OK && dlp_restorer_count(r) == 4);
    gw_buf_clear(&text);
    gw_buf_adds(&text, "v705657v1430789v705657");
    gw_buf_add(&text, (struct gw_span){b.ptr + 14, 2});
    gw_buf_adds(&text, "v705657");
    CHECK(gw_span_eq(gw_buf_span(&out), gw_buf_span(&text)));
    gw_buf_fini(&text);
    gw_buf_fini(&out);
    dlp_restorer_free(r);
    dlp_vault_free(v);
}

static void test_many(void)
{
    struct dlp_vault *v = dlp_vault_new(GW_SPAN("key"));
    struct gw_span p;
    char value[32];

    for (int i = 0; i < DLP_VAULT_VALUES; i++) {
        snprintf(value, sizeof(value), "value %d", i);
        put(v, "T", value);
    }
    CHECK(dlp_vault_count(v) == DLP_VAULT_VALUES);
    CHECK(dlp_vault_put(v, "T", GW_SPAN("one more"), &p) == GW_ELIMIT);
    CHECK(dlp_vault_put(v, "T", GW_SPAN("value 77"), &p) == GW_OK);
    for (unsigned i = 1; i < dlp_vault_count(v); i++) {
        struct gw_span a = dlp_vault_at(v, i - 1)->placeholder, b = dlp_vault_at(v, i)->placeholder;

        CHECK(memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len) < 0 || a.len < b.len);
    }
    dlp_vault_free(v);
}

static void test_bounds(void)
{
    struct dlp_vault *v = dlp_vault_new((struct gw_span){NULL, 0});
    char *big = calloc(1, DLP_VAULT_BYTES + 1);
    struct gw_span p = {NULL, 7};

    CHECK(dlp_vault_put(v, "T", (struct gw_span){NULL, 0}, &p) == GW_EINVAL);
    CHECK(dlp_vault_put(v, "T", (struct gw_span){big, DLP_VAULT_BYTES + 1}, &p) == GW_ELIMIT);
    CHECK(p.ptr == NULL && p.len == 7 && dlp_vault_count(v) == 0);
    CHECK(dlp_vault_put(v, "T", (struct gw_span){big, DLP_VAULT_BYTES}, &p) == GW_OK);
    CHECK(dlp_vault_put(v, "T", GW_SPAN("x"), &p) == GW_ELIMIT);
    free(big);
    dlp_vault_free(v);
}

int main(void)
{
    test_deterministic();
    test_id();
    test_types();
    test_collision();
    test_many();
    test_bounds();
    return test_done();
}
