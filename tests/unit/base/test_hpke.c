/* tests/unit/base/test_hpke.c - encryption to a public key: the published vectors of RFC 9180's suite 0020/0001/0002, and
 * that nothing altered is opened. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/hpke.h"
#include "tests/test.h"

static size_t unhex(const char *hex, unsigned char *out)
{
    size_t n = strlen(hex) / 2;

    for (size_t i = 0; i < n; i++) {
        const char two[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        out[i] = (unsigned char)strtoul(two, NULL, 16);
    }
    return n;
}

static struct gw_span of(const unsigned char *bytes, size_t n)
{
    return (struct gw_span){(const char *)bytes, n};
}

static const char secret_hex[] = "497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d";

static void test_vector(void)
{
    unsigned char sk[32], ske[32], pk[32], enc_want[32], info[64], aad[16], ct[64], pt[64];
    unsigned char pub[32], enc[32], out[64], back[64];
    size_t n_info = unhex("4f6465206f6e2061204772656369616e2055726e", info);
    size_t n_aad = unhex("436f756e742d30", aad);
    size_t n_pt = unhex("4265617574792069732074727574682c20747275746820626561757479", pt);
    size_t n_ct = unhex("e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125"
                        "a925cdad859d5b7a",
                        ct);
    const struct gw_hpke_about about = {of(info, n_info), of(aad, n_aad)};

    (void)unhex(secret_hex, sk);
    (void)unhex("179d4b53b6365c45b600c4163b61d95cbc2f4d9e36f1695558dce265ab8bab11", ske);
    (void)unhex("430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c", pk);
    (void)unhex("6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256", enc_want);
    CHECK(gw_x25519_public(sk, pub) == GW_OK && memcmp(pub, pk, 32) == 0);
    CHECK(gw_hpke_seal_insecure(pk, ske, &about, of(pt, n_pt), enc, out) == GW_OK);
    CHECK(memcmp(enc, enc_want, 32) == 0);
    CHECK(n_ct == n_pt + GW_AEAD_TAG_BYTES && memcmp(out, ct, n_ct) == 0);
    CHECK(gw_hpke_open(sk, enc, &about, of(ct, n_ct), back) == GW_OK);
    CHECK(memcmp(back, pt, n_pt) == 0);
}

static void test_every_bit_counts(void)
{
    unsigned char sk[32], pk[32], enc[32], out[40], back[40];
    const struct gw_hpke_about about = {GW_SPAN("info"), GW_SPAN("aad")};
    const struct gw_hpke_about other = {GW_SPAN("info"), GW_SPAN("aae")},
                               third = {GW_SPAN("inf"), GW_SPAN("aad")};
    struct gw_span text = GW_SPAN("what was asked, in full.");
    size_t n = text.len + GW_AEAD_TAG_BYTES;

    (void)unhex(secret_hex, sk);
    CHECK(gw_x25519_public(sk, pk) == GW_OK);
    CHECK(gw_hpke_seal(pk, &about, text, enc, out) == GW_OK);
    CHECK(gw_hpke_open(sk, enc, &about, of(out, n), back) == GW_OK &&
          memcmp(back, text.ptr, text.len) == 0);
    CHECK(gw_hpke_open(sk, enc, &other, of(out, n), back) == GW_ECORRUPT);
    CHECK(gw_hpke_open(sk, enc, &third, of(out, n), back) == GW_ECORRUPT);
    for (size_t i = 0; i < n * 8; i++) {
        out[i / 8] ^= (unsigned char)(1u << i % 8);
        CHECK(gw_hpke_open(sk, enc, &about, of(out, n), back) == GW_ECORRUPT);
        out[i / 8] ^= (unsigned char)(1u << i % 8);
    }
    for (size_t i = 0; i < 15; i++)
        CHECK(gw_hpke_open(sk, enc, &about, of(out, i), back) == GW_ECORRUPT);
    sk[5] ^= 1;
    CHECK(gw_hpke_open(sk, enc, &about, of(out, n), back) == GW_ECORRUPT);
}

/* Points of small order give the all-zero secret, which anybody could compute. */
static void test_small_order_is_refused(void)
{
    unsigned char zero[32] = {0}, enc[32], out[32], sk[32];
    const struct gw_hpke_about about = {{NULL, 0}, {NULL, 0}};

    CHECK(gw_hpke_seal(zero, &about, GW_SPAN("text"), enc, out) == GW_EINVAL);
    (void)unhex(secret_hex, sk);
    CHECK(gw_hpke_open(sk, zero, &about, of(out, 20), out) == GW_ECORRUPT);
}

static void test_pem(void)
{
    static const char pub[] = "-----BEGIN PUBLIC KEY-----\n"
                              "MCowBQYDK2VuAyEAQw9LmFlmUUWmsbonQCRIe9ZvA6LdV313U8aNfX0AwAw=\n"
                              "-----END PUBLIC KEY-----\n";
    unsigned char pk[32], want[32], unchanged[32];
    struct gw_err err;

    (void)unhex("430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c", want);
    CHECK(gw_x25519_read_public(gw_span_str(pub), pk, &err) == GW_OK && memcmp(pk, want, 32) == 0);
    memset(unchanged, 7, sizeof(unchanged));
    memset(pk, 7, sizeof(pk));
    CHECK(gw_x25519_read_public(GW_SPAN("nothing"), pk, &err) == GW_EINVAL);
    CHECK(gw_x25519_read_secret(gw_span_str(pub), pk, &err) == GW_EINVAL);
    CHECK(gw_x25519_read_public((struct gw_span){NULL, 0}, pk, &err) == GW_EINVAL);
    CHECK(memcmp(pk, unchanged, 32) == 0);
}

int main(void)
{
    test_vector();
    test_every_bit_counts();
    test_small_order_is_refused();
    test_pem();
    return test_done();
}
