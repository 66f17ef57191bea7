/* The validators on vectors that their standards and vendors publish, and on near misses. */
#include <stdint.h>
#include <string.h>

#include "dlp/prefilter.h"
#include "dlp/validate_impl.h"
#include "tests/test.h"

/* Runs a validator on the part of text between '[' and ']' (which are taken away), or on all of it. */
static int judge(const char *name, double num, const char *str, const char *marked)
{
    const struct dlp_validator *v = dlp_validator_find(name);
    struct dlp_validate_in in = {.num = num, .str = gw_span_str(str)};
    char text[256];
    size_t n = 0;

    for (const char *p = marked; *p != '\0' && n < sizeof(text); p++) {
        if (*p == '[')
            in.start = n;
        else if (*p == ']')
            in.end = n;
        else
            text[n++] = *p;
    }
    in.text = (struct gw_span){text, n};
    if (in.end == 0)
        in.end = n;
    in.match_start = in.start;
    in.match_end = in.end;
    return v == NULL ? -1000 : v->validate(&in);
}

static bool accepts(const char *name, const char *text)
{
    return judge(name, 0, NULL, text) != DLP_VALIDATE_REJECT && judge(name, 0, NULL, text) > -1000;
}

static bool id(const char *scheme, const char *text)
{
    return judge("id", 0, scheme, text) == 0;
}

static void test_registry(void)
{
    CHECK(dlp_validator_find("luhn") != NULL);
    CHECK(dlp_validator_find("nothing") == NULL);
    CHECK(dlp_validator_at(dlp_validator_count()) == NULL);
    for (unsigned i = 0; i < dlp_validator_count(); i++)
        CHECK(dlp_validator_find(dlp_validator_at(i)->name) == dlp_validator_at(i));
    CHECK(dlp_validator_find("id")->accepts(gw_span_str("pl_pesel")));
    CHECK(!dlp_validator_find("id")->accepts(gw_span_str("pl_nothing")));
}

static void test_checksums(void)
{
    CHECK(accepts("luhn", "79927398713")); /* ISO/IEC 7812's example */
    CHECK(!accepts("luhn", "79927398710"));
    CHECK(!accepts("luhn", "0000000000"));
    CHECK(accepts("verhoeff", "2363"));
    CHECK(!accepts("verhoeff", "2364"));
    CHECK(accepts("mod97", "213800KUD8LAJWSQ9D15")); /* LEI */
    CHECK(!accepts("mod97", "213800KUD8LAJWSQ9D16"));
    CHECK(accepts("mod11_2", "0000-0002-1825-0097")); /* ORCID */
    CHECK(!accepts("mod11_2", "0000-0002-1825-0098"));
    CHECK(accepts("mod37_2", "G123489654321Y") && !accepts("mod37_2", "G123489654321Z"));
    CHECK(!accepts("mod37_2", "G123489654321*") && !accepts("mod37_2", "g123489654321Y"));
    CHECK(accepts("damm", "5724") && !accepts("damm", "5727") && !accepts("damm", "5742"));
    CHECK(accepts("ean", "4006381333931"));
    CHECK(!accepts("ean", "4006381333932"));
    CHECK(accepts("isin", "US0378331005") && !accepts("isin", "US0378331006"));
    CHECK(accepts("cusip", "037833100") && !accepts("cusip", "037833101"));
    CHECK(accepts("sedol", "0263494") && !accepts("sedol", "0263495"));
    CHECK(accepts("aba", "021000021") && !accepts("aba", "021000022"));
    CHECK(judge("vin", 0, NULL, "1M8GDM9AXKP042788") > 0); /* 49 CFR 565's example */
    CHECK(judge("vin", 0, NULL, "1M8GDM9A1KP042788") < 0);
}

static void test_cards_and_accounts(void)
{
    static const char *const good[] = {"4111 1111 1111 1111", "5555555555554444", "378282246310005",
                                       "6011111111111117",    "3530111333300000", "30569309025904",
                                       "2223003122003222"};
    static const char *const bad[] = {"4111111111111112", "1234567890123452", "0000000000000000",
                                      "1.4111111111111111"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK(accepts("card", good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!accepts("card", bad[i]));
    CHECK(!accepts("card", "9-[4111111111111111]")); /* a part of a longer number */
    /* Digits of a hash or a dump are rarely one. */
    CHECK(judge("card", 0, NULL, "sum 143c97e[2346977536395476]e3cb6dc24") == -30);
    CHECK(judge("card", 0, NULL, "2e54 4820 [5858 4420 3120 2241]  .TH") == -30);
    CHECK(judge("card", 0, NULL, "z540 4820 [5858 4420 3120 2241] 11 4a20") == 0);
    CHECK(judge("card", 0, NULL, "sum 4820 [5858 4420 3120 2241] 4820 4a20") == -30);
    CHECK(judge("card", 0, NULL, "4a20 [5858 4420 3120 2241] 6c0a") == -30);
    CHECK(judge("card", 0, NULL, "card [4111111111111111] and more") == 0);
    CHECK(judge("card", 0, NULL, "code points [5575 5576 5577 5578] 5579") ==
          -30); /* sorted, not drawn */
    CHECK(judge("card", 0, NULL, "[4109 7966 7970 7971]") == -30);
    CHECK(judge("card", 0, NULL, "[5018 5019 5020 1 12]") !=
          -30); /* fifteen digits in as many bytes */
    /* Of a rare network or length: only in groups it is as sure. */
    CHECK(judge("card", 0, NULL, "it was [6759649826438453] then") == -14);
    CHECK(judge("card", 0, NULL, "it was [6759 6498 2643 8453] then") == 0);
    CHECK(accepts("iban", "GB82 WEST 1234 5698 7654 32"));
    CHECK(accepts("iban", "NO9386011117947"));
    CHECK(!accepts("iban", "GB82 WEST 1234 5698 7654 33"));
    CHECK(accepts("iban", "IR710570029971601460641001"));  /* not in the registry */
    CHECK(!accepts("iban", "VG46H07Y0223060094359858"));   /* a bank there is four letters */
    CHECK(!accepts("iban", "GB82 WEST 1234 5698 7654 3")); /* length of another country */
    CHECK(accepts("bic", "DEUTDEFF500") && !accepts("bic", "DEUTQQFF"));
    CHECK(accepts("npi", "1234567893") && !accepts("npi", "1234567894"));
    CHECK(accepts("dea", "BB1388568") && !accepts("dea", "BB1388569"));
    CHECK(accepts("mbi", "1EG4-TE5-MK73") && !accepts("mbi", "1SG4-TE5-MK73"));
    CHECK(accepts("icd10", "E11.65") && !accepts("icd10", "E1165"));
}

/* EIP-55's own examples; the account of a key as AWS tells it (any key of the account 123456789012 begins so). */
static void test_owners(void)
{
    static const char *const good[] = {
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb"};
    /* A account of twelve digits, packed as a key packs it: bits 7 to 46 of 48, in base32. */
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint64_t bits = (UINT64_C(1) << 47 | UINT64_C(123456789012) << 7 | 0x55) << 2;
    char key[] = "AKIA0000000000ABCDEF";

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK(judge("eip55", 0, NULL, good[i]) > 0);
    CHECK(judge("eip55", 0, NULL, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed") < 0);
    CHECK(judge("eip55", 0, NULL, "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed") == 0);
    for (size_t i = 0; i < 10; i++)
        key[4 + i] = digits[bits >> (45 - 5 * i) & 31];
    CHECK(judge("aws_account", 0, NULL, key) == 0);
    CHECK(judge("aws_account", 123456789012.0, NULL, key) == 0);
    CHECK(judge("aws_account", 123456789013.0, NULL, key) == DLP_VALIDATE_REJECT);
    key[4] = 'I'; /* an old one */
    CHECK(judge("aws_account", 123456789012.0, NULL, key) == DLP_VALIDATE_REJECT);
    CHECK(judge("base58_bytes", 4, NULL, "7YXq9G") > 0);
    CHECK(judge("base58_bytes", 5, NULL, "7YXq9G") < 0 &&
          judge("base58_bytes", 3, NULL, "7YXq9G") < 0);
    CHECK(judge("base58_bytes", 4, NULL, "7YXq90") < 0); /* no digit of it */
}

static void test_network(void)
{
    CHECK(judge("ipv4", 0, NULL, "81.2.69.142") == 0);
    CHECK(judge("ipv4", 0, NULL, "10.1.2.3") < 0);
    CHECK(!accepts("ipv4", "256.1.1.1") && !accepts("ipv4", "01.2.3.4"));
    CHECK(!accepts("ipv4", "version [81.2.69.142]") && !accepts("ipv4", "[81.2.69.142].7"));
    CHECK(accepts("ipv6", "2a02:8109:9a40:1778::42") && accepts("ipv6", "::ffff:81.2.69.142"));
    CHECK(judge("ipv6", 0, NULL, "::ffff:81.2.69.142") == 10 &&
          judge("ipv6", 0, NULL, "::ffff:192.0.2.1") == -25 &&
          judge("ipv6", 0, NULL, "::ffff:127.0.0.1") == -30 &&
          !accepts("ipv6", "::ffff:81.2.69.1422"));
    CHECK(judge("ipv4", 0, NULL, "81.2.69.142") == 0 && judge("ipv4", 0, NULL, "0.0.0.0") == -30 &&
          judge("ipv4", 0, NULL, "4.0.11.2") == -25);
    CHECK(!accepts("ipv6", "2a02:8109:::1778:42:7:1") && accepts("ipv6", "2a02:8109::1778:42:7:1"));
    CHECK(!accepts("ipv6", "1:2:3") && !accepts("ipv6", "a::b::c") && !accepts("ipv6", "12345::1"));
    CHECK(accepts("mac", "3c:22:fb:9a:10:7e") && !accepts("mac", "3c:22-fb:9a:10:7e"));
    CHECK(!accepts("mac", "00:00:00:00:00:00"));
    CHECK(judge("email", 0, NULL, "anna@acme-corp.de") == 0);
    CHECK(judge("email", 0, NULL, "anna@example.com") < 0);
    CHECK(!accepts("email", "logo@2x.png") && !accepts("email", "a.@b.de"));
    CHECK(judge("phone", 0, NULL, "+49 30 901820") == 0);
    CHECK(judge("phone", 0, NULL, "+1 (212) 555-0143") == -25 && /* kept for films */
          judge("phone", 0, NULL, "+1 (212) 555-0243") == 0);
    CHECK(accepts("phone", "+1 (212) 555-0143") && !accepts("phone", "+1 (112) 555-0143"));
    CHECK(!accepts("phone", "+999 123 456 789") && !accepts("phone", "+45 1234"));
    CHECK(accepts("date", "29.02.2000") && !accepts("date", "29.02.1900"));
    CHECK(accepts("date", "17 April 1986") && !accepts("date", "13/32/1999"));
}

/* Thirty characters of our own, apart from their prefix so that no scanner takes them for a token. */
#define BODY "zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ"

static void test_tokens(void)
{
    /* Checksums over bodies of our own: see the source named in validate_token.c. */
    CHECK(judge("crc32_base62", 0, NULL, "ghp_" BODY "0mLq17") > 0);
    CHECK(judge("crc32_base62", 0, NULL, "ghp_" BODY "000000") < 0);
    CHECK(accepts("crc32_base62", "ghp_" BODY "000000")); /* lowered only */
    CHECK(judge("jwt", 0, NULL, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl") > 0);
    CHECK(judge("jwt", 0, NULL, "eyJhbGciOiJIUz!.eyJzdWIiOiIxIn0.c2lnbmF0dXJl") < 0);
    CHECK(accepts("basic_auth", "b3BzOldxODMtenpL") && !accepts("basic_auth", "YWJjZGVmZ2hpag=="));
    CHECK(accepts("base58check", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"));
    CHECK(!accepts("base58check", "1BoatSLRHtKNngkdXEeobR76b53LETtpyU"));
    CHECK(judge("bech32", 0, NULL, "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4") > 0); /* BIP-173 */
    CHECK(judge("bech32", 0, NULL, "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T5") < 0);
    CHECK(judge("bech32", 0, NULL, "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7Kv8F3T4") ==
          DLP_VALIDATE_REJECT); /* of both cases */
    CHECK(!accepts("uuid", "00000000-0000-0000-0000-000000000000"));
}

/* Drawn for this: of each encoding a right one, and one with its last letter changed. */
static void test_coins(void)
{
    static const struct {
        const char *validator, *good, *bad;
    } cases[] = {
        {"base58check", "LXs3Tr7pFRAr2WHDj4P4y9sN3tHc8pjurc", "LXs3Tr7pFRAr2WHDj4P4y9sN3tHc8pjurd"},
        {"base58check", "t1VtrghzBnaWrE54iAEdJeLXtxeUXy5mvtR",
         "t1VtrghzBnaWrE54iAEdJeLXtxeUXy5mvtS"},
        {"base58check", "tz1LwtyemxttL9eAhzH5jT2MYfvh6fuXbst1",
         "tz1LwtyemxttL9eAhzH5jT2MYfvh6fuXbst2"},
        {"base58check", "r3oofrv1hx8Kd64TUnkQrbxqPnp5YrDfB1", "r3oofrv1hx8Kd64TUnkQrbxqPnp5YrDfB2"},
        {"cashaddr", "bitcoincash:qx2xkhp20jcnrqv90puh25v2e09ayjwve5pvdapmqw",
         "bitcoincash:qx2xkhp20jcnrqv90puh25v2e09ayjwve5pvdapmqq"},
        {"cashaddr", "qx2xkhp20jcnrqv90puh25v2e09ayjwve5pvdapmqw",
         "qx2xkhp20jcnrqv90puh25v2e09ayjwve5pvdapmqb"},
        {"strkey", "GB5LS2ED5BVVECMQK6HPCLJRI3WZT6XJIBKRFDL5KG2GGR3TCN2TXR3P",
         "GB5LS2ED5BVVECMQK6HPCLJRI3WZT6XJIBKRFDL5KG2GGR3TCN2TXR31"},
        {"strkey", "GB5LS2ED5BVVECMQK6HPCLJRI3WZT6XJIBKRFDL5KG2GGR3TCN2TXR3P",
         "GB5LS2ED5BVVECMQK6HPCLJRI3WZT6XJIBKRFDL5KG2GGR3TCN2TXR3Q"},
        {"strkey", "GB5LS2ED5BVVECMQK6HPCLJRI3WZT6XJIBKRFDL5KG2GGR3TCN2TXR3P",
         "GB5LS2ED5BVVECMQK6HPCLJRI3WZT6XJIBKRFDL5KG2GGR3TCN2TXR3"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CHECK(accepts(cases[i].validator, cases[i].good) &&
              !accepts(cases[i].validator, cases[i].bad));
    /* Of a witness program the version says which checksum it has. */
    CHECK(judge("bech32", 0, NULL,
                "bc1p6zgs8m042js4etmndpewzlywxr4pea0vlv0e4sn3p54kd5afhczxac9lgs") > 0);
    CHECK(judge("bech32", 0, NULL,
                "bc1p695g84v56590pvjr93dm88cmdjpj6gt32ufskwlshn05een0zs0c4uwhka") < 0);
    CHECK(judge("bech32", 0, NULL, "cosmos19tw82f69exvduh28qpllgu4nzrwu2zcmpfdd43") > 0);
}

static void test_text(void)
{
    CHECK(judge("entropy", 3.0, NULL, "tQ7mX2vKp9Lr4ZsB8nYc") == 0);
    CHECK(!accepts("not_placeholder", "${API_KEY}") && !accepts("not_placeholder", "xxxxxxxxxxxx"));
    CHECK(!accepts("not_placeholder", "<your token>") && !accepts("not_placeholder", "changeme"));
    CHECK(judge("entropy", 3.0, NULL, "aaaaaaaaaaaaaaaaaaab") == DLP_VALIDATE_REJECT);
    CHECK(judge("random", 0, NULL, "tQ7mX2vKp9Lr4ZsB8nYc") == 0);
    CHECK(!accepts("random", "getCurrentUserName"));
    CHECK(judge("random", 0, NULL, "class [GoogleCloudGkemulticloudV1AwsProxyConfig](") == -45);
    CHECK(judge("random", 0, NULL, "[GoogleIamV3alphaSourcePolicyAwsIamPolicy]") == -45);
    CHECK(judge("random", 0, NULL, "return [__builtin_ia32_andpd512_mask](x)") == -45);
    CHECK(judge("random", 0, NULL, "[amdgcn_buffer_wbinvl1_sc],") == -45);
    CHECK(judge("random", 0, NULL, "[/usr/share/X11/xkb/keycodes/jolla]\n") == -45);
    CHECK(judge("random", 0, NULL, " [_ZN10x265_10bit9WaveFrontD1Ev]@Base") == -45);
    CHECK(judge("random", 0, NULL, "[acme_live_q8Xv2Lw0ZpT5rKd9]") == 0);
    CHECK(accepts("mac", "ether [3c:22:fb:10:e1:80] up"));
    CHECK(!accepts("mac", "SHA1 39:4f:f6:[10:e1:80:e8:82:b3]:85:cc"));
    CHECK(!accepts("mac", "[3c:22:fb:10:e1:80]:85:cc"));
    CHECK(accepts("mac", "mac:[3c:22:fb:10:e1:80]"));
    CHECK(accepts("mac", "c:[3c:22:fb:10:e1:80]:bad"));
    CHECK(judge("random", 0, NULL, "[kIrg00EPQ5mo4ymHftTvpEFisnCYN5iTRsw0j7o2]") == 0);
    CHECK(judge("classes", 3, NULL, "abcDEF123") == 0);
    CHECK(judge("classes", 3, NULL, "abcdef123") == DLP_VALIDATE_REJECT);
}

/* What somebody made up loses points and is never dropped; what a generator made loses none. */
static void test_samples(void)
{
    static const char *const made_up[] = {"rzp_live_xxxxxxxxxx",
                                          "sk-abc123xyz-456def789ghij-klmnopqrstuvwx",
                                          "GR1348941XXXXXXXXXXXXXXXXXXXX",
                                          "GR134894112312312312312312312",
                                          "X9y8Z7a6B5c4D3e2F1g0H9i8",
                                          "5555555dAAAAA7777777CcccCFaaaaaaa",
                                          "glsa_iNValIdinValiDinvalidinvalidinva_5b582697",
                                          "ABSKEXAMPLEEXAMPLEEXAMPLEEXAMPLE",
                                          "${TOKEN}",
                                          "sha256~_xxxxxx_xxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxx-X",
                                          "token-that-stands-for-nothing"};
    static const char *const generated[] = {
        "tQ7mX2vKp9Lr4ZsB8nYc", "9bb1ea5130be3cd3933d258a1868ced1",
        "wJ4rK/0cAAAAAAAAAAAAAAAA1pZ8vQ3xTn5LmB7s", "00000000d41d8cd98f00b204e9800998",
        "4f2a-9c31-77d0-b8e5-103f"};
    uint64_t state = 88172645463325252U;
    unsigned taken = 0;

    for (unsigned i = 0; i < sizeof(made_up) / sizeof(made_up[0]); i++)
        CHECK(judge("sample", 0, NULL, made_up[i]) <= -35 && accepts("sample", made_up[i]));
    for (unsigned i = 0; i < sizeof(generated) / sizeof(generated[0]); i++)
        CHECK(judge("sample", 0, NULL, generated[i]) == 0);
    /* Of 100,000 random tokens one or two may look counted. */
    for (unsigned n = 0; n < 100000; n++) {
        static const char digits[] =
            "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        char token[33] = "";

        for (unsigned i = 0; i < 32; i++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            token[i] = digits[(state >> 20) % (n % 2 == 0 ? 16 : 62)];
        }
        taken += judge("sample", 0, NULL, token) != 0;
    }
    CHECK(taken <= 2);
    CHECK(judge("base64_has", 0, "id", "eyJrIjoiaFE3IiwibiI6ImEiLCJpZCI6MX0=") > 0);
    CHECK(judge("base64_has", 0, "id", "eyJrIjoiaFE3IiwidCI6ImEifQ==") < 0);
}

static void test_values(void)
{
    /* Samples of documentation are told, low; a table of checksums is nothing. */
    CHECK(!accepts("not_placeholder", "k9x7_HERE") && accepts("not_placeholder", "k9x7_HER"));
    CHECK(!accepts("not_placeholder", "k7${a.b_C1}x") && !accepts("not_placeholder", "k7${A:-b}"));
    CHECK(!accepts("not_placeholder", "k7${A") && !accepts("not_placeholder", "x7}} k9"));
    CHECK(!accepts("not_placeholder", "k7{{ a | b('c') }}x"));
    CHECK(accepts("not_placeholder", "k7{{a}9)q${z)w") && accepts("not_placeholder", "k7${a)9}"));
    CHECK(!accepts("not_placeholder", "Goes-Here9") && !accepts("not_placeholder", "9{{k7x"));
    CHECK(judge("not_placeholder", 0, NULL, "xoxb-abcdefghijklmnop") < 0);
    CHECK(judge("not_placeholder", 0, NULL, "a1b2c3d4e5f6g7h8") < 0);
    CHECK(judge("not_placeholder", 0, NULL, "T00EXAMPLE1/B00EXAMPLE1/x7Qm2") == -45);
    CHECK(judge("not_placeholder", 0, NULL, "qwertyuiopasdf") < 0);
    test_samples();
    CHECK(!accepts("random", "x\n[9bb1ea5130be3cd3933d258a1868ced1]  usr/lib/libz.so\n"));
    CHECK(!accepts("random", "sha1: [9bb1ea5130be3cd3933d258a1868ced1a9f3c2d4]"));
    CHECK(!accepts("random",
                   "linear/__init__.py,[sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU],0"));
    CHECK(!accepts("random", "go4.org v0.1.0 h1:[WXkYYcGXyYbGZJ8BmnBhX3vuBYXEcfUxUJJYsRhgs0I]="));
    CHECK(accepts("random", "key=[ab12-47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU]"));
    CHECK(accepts("random", "square [R9EngWSNdeN18fleY42FIxOgEyvR6MbH]"));
    CHECK(judge("user_pair", 0, NULL, "anna:Hq7-zzL4x") == 0);
    CHECK(judge("user_pair", 0, NULL, "admin:admin") < 0);
    CHECK(!accepts("user_pair", "anna:${PASS}") && !accepts("user_pair", "\":\""));
    CHECK(!accepts("password_value", "X_PSK \"[TLS_PSK_WITH_RC4_128_SHA]\""));
    CHECK(!accepts("password_value", "psk: [&#x3C];"));
    CHECK(!accepts("password_value", "SEGMENT_IS_PASSIVE = [0x01],"));
    CHECK(accepts("password_value", "password = \"[0xDEADBEEF12]\""));
    CHECK(accepts("password_value", "password = \"[hunter/2024]\""));
    CHECK(!accepts("password_value", "NEGOTIATION_PASSWORD = b\"[\\x02]\""));
    CHECK(accepts("password_value", "password = b\"[\\x02Zk3-uu71x]\""));
    CHECK(!accepts("password_value", "Credentials(token, '[my-user-agent/1.0]')"));
    CHECK(accepts("password_value", "password: '[Zk3uu/71x]'"));
    CHECK(!accepts("password_value", "password = ask('[New Password: ]')"));
    CHECK(accepts("password_value", "password = ask('[Zk3uu71x:]')"));
    CHECK(accepts("secret_value", "x = \"[tQ7mX2vKp9Lr4ZsB8nYc]\""));
    /* 128 hexadecimal digits have at most 4 bits each. */
    CHECK(
        accepts("secret_value",
                "secret_key_base: [3d90f727dcc14992232b9461fac5d31cf2bc184854e0afd90ae67e0ae48f22b6"
                "76ee2529c84d4c23bc2a9c7be6eeefcf202b91ccb8d04e7b87a85c852f6784d6]"));
    CHECK(!accepts(
        "secret_value",
        "secret_key_base: [3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d"
        "3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d]"));
    CHECK(judge("password_value", 0, NULL, "{Hq7zzL4xQ82mTw5=}") <= -20 &&
          judge("password_value", 0, NULL, "{Hq7zzL4xQ82mTw5}") > 0);
    CHECK(judge("secret_value", 0, NULL, "ENC(tUf83Ex0oSbDGa8vaU1hP)") < 0 &&
          judge("secret_value", 0, NULL, "EMC(tUf83Ex0oSbDGa8vaU1hP)") > 0);
    CHECK(judge("password_value", 0, NULL, "vault:v1:8SDd3WHDOjf7mq69") < -20);
    CHECK(!accepts("secret_value", "token = [request.token]") &&
          !accepts("secret_value", "token = [getToken]()"));
    CHECK(!accepts("secret_value", "key: [./certs/server.pem]") &&
          !accepts("secret_value", "secret: [process.env.SECRET]"));
    CHECK(accepts("password_value", "password = \"[Zk3-uu71x]\""));
    CHECK(!accepts("password_value", "password: [string]") &&
          !accepts("password_value", "password = [user.password]"));
    CHECK(judge("password_value", 0, NULL, "pass = \"[sunshine]\"") < 0);
    CHECK(accepts("prose_password", "it is [Hq7-zzL4x] now"));
    CHECK(!accepts("prose_password", "it is [required] now"));
    CHECK(!accepts("url_password", "https://u:[${PASS}]@host") &&
          judge("url_password", 0, NULL, "https://u:[password]@host") < 0);
    CHECK(judge("url_password", 0, NULL, "https://u:[q9LmT2xv]@git.acme.test") == 0);
    CHECK(judge("jwt", 0, NULL, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1LTkzMTcifQ.") > 0 &&
          judge("jwt", 0, NULL, "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x") < 0);
    CHECK(judge("url_password", 0, NULL, "https://q9Lm:[q9Lm]@db.acme.test") < 0 &&
          judge("url_password", 0, NULL, "https://q9Lm:[q9Ln]@db.acme.test") == 0 &&
          judge("url_password", 0, NULL, "https://u:[7777]@db.acme.test") < 0);
    CHECK(judge("code_shape", 3, NULL, "int f(void)\n{\n    return 1;\n}\n") > 0);
    CHECK(judge("code_shape", 3, NULL, "a line\nand another\n") == DLP_VALIDATE_REJECT);
}

static void test_ids(void)
{
    static const char *const good[][2] = {
        {"us_ssn", "536-22-8714"},         {"gb_nhs", "943 476 5919"},
        {"de_steuerid", "36574261809"},    {"fr_nir", "2 95 10 99 126 111 93"},
        {"es_dni", "54362315K"},           {"it_cf", "RCCMNL83S18D969H"},
        {"nl_bsn", "111222333"},           {"be_nrn", "85.07.30-033.28"},
        {"pl_pesel", "44051401359"},       {"se_personnummer", "880320-0016"},
        {"fi_hetu", "131052-308T"},        {"no_fnr", "15108695088"},
        {"ch_ahv", "756.9217.0769.85"},    {"tr_tckn", "17291716060"},
        {"br_cpf", "390.533.447-05"},      {"br_cnpj", "16.727.230/0001-97"},
        {"br_cnpj", "12.ABC.345/01DE-35"}, /* with letters */

        {"cn_id", "11010519491231002X"},   {"in_aadhaar", "2341 2341 2346"},
        {"jp_mynumber", "123456789018"},   {"kr_brn", "116-82-00276"},
        {"sg_nric", "S2740116C"},          {"hk_id", "A123456(3)"},
        {"au_tfn", "459 599 230"},         {"za_id", "7503305044089"}};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char wrong[64];
        size_t n = strlen(good[i][1]);
        unsigned caught = 0;
        unsigned tried = 0;

        if (!CHECK(id(good[i][0], good[i][1])))
            fprintf(stderr, "  %s\n", good[i][0]);
        /* A checksum must notice most changes of one digit; the SSN has none. */
        for (size_t k = 0; k < n; k++) {
            memcpy(wrong, good[i][1], n + 1);
            if (wrong[k] < '0' || wrong[k] > '9')
                continue;
            wrong[k] = wrong[k] == '9' ? '0' : (char)(wrong[k] + 1);
            tried++;
            caught += !id(good[i][0], wrong);
        }
        if (!CHECK(strcmp(good[i][0], "us_ssn") == 0 || caught * 10 >= tried * 9))
            fprintf(stderr, "  %s: %u of %u\n", good[i][0], caught, tried);
    }
    CHECK(!id("us_ssn", "000-12-3456") && !id("us_ssn", "078-05-1120"));
    CHECK(judge("plate_de", 0, NULL, "CE-KT 527") == 0 &&
          judge("plate_de", 0, NULL, "fü l 1234") == 0);
    CHECK(judge("plate_de", 0, NULL, "XYZ-T 527") == DLP_VALIDATE_REJECT &&
          judge("plate_de", 0, NULL, "CEKT527") == DLP_VALIDATE_REJECT &&
          judge("plate_de", 0, NULL, "BÖÖÖ-T 52") == DLP_VALIDATE_REJECT);
    /* Words between spaces are no plate, with a hyphen they are letters. */
    CHECK(judge("plate_de", 0, NULL, "IS AT 500") == DLP_VALIDATE_REJECT &&
          judge("plate_de", 0, NULL, "IS-AT 500") == 0);
    CHECK(id("de_lanr", "472193101") && !id("de_lanr", "472193201") && !id("de_lanr", "472193100"));
    CHECK(id("es_dni", "5436231C") && !id("es_dni", "5436231D"));
    CHECK(id("se_personnummer", "18900411-9807") && !id("se_personnummer", "17900411-9807"));
    /* A foreigner's check is two more than a citizen's; drawn by lot it is none. */
    CHECK(id("kr_rrn", "850714-5120386") && !id("kr_rrn", "850714-5120385"));
    CHECK(id("kr_rrn_lot", "850714-5120385") && !id("kr_rrn_lot", "850732-5120386"));
    CHECK(judge("id_soft", 0, "in_gstin", "27AAPFU0939F1ZV") == 0);
    CHECK(judge("id_soft", 0, "in_gstin", "27AAPFU0939F1ZX") < 0);
    CHECK(judge("id_one_of", 0, "be_vat.nl_btw", "0403019261") == 0);
    CHECK(judge("id_one_of", 0, "nl_btw.be_vat", "BE 0403.019.261") == 0);
    CHECK(judge("id_one_of", 0, "nl_btw.be_vat", "0403019262") == DLP_VALIDATE_REJECT);
    CHECK(judge("id_one_of", 0, "nl_btw", "0403019261") == DLP_VALIDATE_REJECT);
    CHECK(dlp_validator_find("id_one_of")->accepts(GW_SPAN("be_vat.nl_btw")));
    CHECK(!dlp_validator_find("id_one_of")->accepts(GW_SPAN("be_vat.nl_xyz")));
    CHECK(!dlp_validator_find("id_one_of")->accepts(GW_SPAN("")));
    CHECK(accepts("vat", "DE136695976") && !accepts("vat", "DE136695975"));
    CHECK(accepts("vat", "FR83404833048") && !accepts("vat", "IT83404833048"));
}

/* No validator may read outside the text or hang on odd bytes: every one on every part of these. */
static void test_every_validator_on_odd_input(void)
{
    static const char odd[] = "\x00@:\xff.+1 [a-b]{}=$\xc3\xb1 00::1/9%AZaz09-----_\n\x7f";
    struct dlp_validate_in in = {.text = {odd, sizeof(odd) - 1}, .num = 3.0};

    in.str = gw_span_str("pl_pesel");
    for (unsigned v = 0; v < dlp_validator_count(); v++) {
        for (size_t a = 0; a < in.text.len; a++) {
            for (size_t b = a + 1; b <= in.text.len; b++) {
                in.start = in.match_start = a;
                in.end = in.match_end = b;
                (void)dlp_validator_at(v)->validate(&in);
            }
        }
    }
    CHECK(true);
}

/* Tokens of words, humps, digits and signs, of each length: 64 bytes at once say what they say one by one. */
static void test_wordy_at_once(void)
{
    static const char *const pieces[] = {"the", "Of", "in",       "X",  "getName", "HTTP",
                                         "q",   "_",  "-",        "zx", "tion",    "Er",
                                         "jK",  "1",  "\xc3\xa9", "@",  "[",       "`"};
    unsigned long state = 1, n_wordy = 0, n_other = 0;

    if (!prefilter_has_avx512())
        return;
    for (unsigned round = 0; round < 20000; round++) {
        char token[128];
        size_t len = 0, want = 1 + round % 64;

        while (len < want) {
            const char *piece = NULL;

            state = state * 6364136223846793005u + 1442695040888963407u;
            piece =
                pieces[(state >> 33) % (round % 3 == 0 ? 11 : sizeof(pieces) / sizeof(*pieces))];
            memcpy(token + len, piece, strlen(piece));
            len += strlen(piece);
        }
        if (!CHECK(dlp_validate_is_wordy_avx512((struct gw_span){token, want}) ==
                   dlp_validate_is_wordy((struct gw_span){token, want})) ||
            !CHECK(dlp_val_wordiness_avx512((struct gw_span){token, want}) ==
                   dlp_val_wordiness_scalar((struct gw_span){token, want})))
            return;
        n_wordy += dlp_validate_is_wordy((struct gw_span){token, want});
        n_other += !dlp_validate_is_wordy((struct gw_span){token, want});
    }
    CHECK(n_wordy > 1000 && n_other > 1000);
}

/* What counts in a short token counts with as many bytes behind it that do not, where each is looked at alone. */
static void test_counting_at_once(void)
{
    static const char *const pieces[] = {"abc", "d",  "e",    "4321", "qwe", "rt",
                                         "y",   "Lk", "JhGf", "a1b",  "2c",  "3d4",
                                         "x9",  "8",  "zab",  "9",    "0a",  "_"};
    unsigned long state = 7, n_counting = 0, n_other = 0, n_told = 0;

    for (unsigned round = 0; round < 20000; round++) {
        char token[128];
        size_t len = 0, want = 1 + round % 64;
        bool counts;

        memset(token, '#', sizeof(token));
        while (len < want) {
            const char *piece = NULL;

            state = state * 6364136223846793005u + 1442695040888963407u;
            piece = pieces[(state >> 33) % (sizeof(pieces) / sizeof(*pieces))];
            for (; *piece != '\0' && len < want; piece++)
                token[len++] = *piece;
        }
        counts = dlp_val_sequential((struct gw_span){token, sizeof(token)}) != 0;
        if (!CHECK((dlp_val_sequential((struct gw_span){token, want}) != 0) == counts) ||
            !CHECK(!counts || dlp_val_may_count((struct gw_span){token, want})) ||
            !CHECK(!counts || !prefilter_has_avx512() ||
                   dlp_val_may_count_avx512((struct gw_span){token, want})))
            return;
        n_told += !dlp_val_may_count((struct gw_span){token, want});
        n_counting += counts;
        n_other += !counts;
    }
    CHECK(n_counting > 1000 && n_other > 1000 && n_told > 1000);
}

/* Values with words in them, in part and whole: 64 bytes at once say what they say one by one. */
static void test_words_at_once(void)
{
    static const char *const pieces[] = {
        "example",  "EXAM", "ple",  "xxxx",    "change", "Me",   "_me",   "your", "-",
        "redacted", "$(",   "%",    "s",       "(",      "....", ".",     "@@",   "\xE2\x80\xA2",
        "here",     "sha",  "256",  "process", "env",    "[",    "args.", "::",   "vault",
        ":",        "md5",  "etag", "aX9",     "Q",      "7"};
    unsigned long state = 3, n_has = 0, n_other = 0;

    for (unsigned round = 0; round < 20000; round++) {
        char value[128];
        size_t len = 0, want = round % 66;

        while (len < want) {
            const char *piece = NULL;

            state = state * 6364136223846793005u + 1442695040888963407u;
            piece = pieces[(state >> 33) % (sizeof(pieces) / sizeof(*pieces))];
            memcpy(value + len, piece, strlen(piece));
            len += strlen(piece);
        }
        for (unsigned list = DLP_WORDS_INSIDE; list < DLP_WORDS; list++) {
            bool has = dlp_val_has_word_scalar((enum dlp_words)list, (struct gw_span){value, want});

            if (!CHECK(dlp_val_has_word((enum dlp_words)list, (struct gw_span){value, want}) ==
                       has))
                return;
            n_has += has;
            n_other += !has;
        }
    }
    CHECK(n_has > 1000 && n_other > 1000);
}

int main(void)
{
    test_words_at_once();
    test_wordy_at_once();
    test_counting_at_once();
    test_registry();
    test_checksums();
    test_cards_and_accounts();
    test_owners();
    test_network();
    test_tokens();
    test_coins();
    test_text();
    test_values();
    test_ids();
    test_every_validator_on_odd_input();
    return test_done();
}
