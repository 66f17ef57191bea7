/* Fuzz target of proxy/identity/jwt*.c. The input is a token, a line feed, and a JWKS. Nothing of both may crash; and with a
 * good set and no private key, no token may verify. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/identity/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* RFC 7515 A.3; its private key is public, but a fuzzer does not sign. */
static const char known[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
                            "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                            "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}";
static const char rfc[] = "eyJhbGciOiJFUzI1NiJ9.";

static void use_claims(const struct jwt *t, struct gw_arena *arena)
{
    static const struct gw_span names[] = {{"a", 1}, {"sluice", 6}};
    const struct jwt_times times = {1000, 30};
    const char *why = NULL;
    struct jwt_validity v = {0, 0};

    (void)jwt_has_audience(t, names, 2);
    (void)jwt_claim(t, "realm.groups", arena);
    if (jwt_check_times(t, &times, &v, &why) == GW_OK
            ? v.until_s <= times.now_s || v.from_s > times.now_s
            : why == NULL)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct jwt_keys *good;
    const uint8_t *feed = size == 0 ? NULL : memchr(data, '\n', size);
    struct gw_span token = {(const char *)data, feed == NULL ? size : (size_t)(feed - data)};
    struct gw_span set = gw_span_from((struct gw_span){(const char *)data, size}, token.len + 1);
    struct gw_arena *arena = gw_arena_new((size_t)1 << 20);
    struct gw_json *json = gw_json_new();
    struct jwt_keys *keys = NULL;
    const char *why = NULL;
    struct jwt t;

    if (arena == NULL || json == NULL ||
        (good == NULL && jwt_keys_read(gw_span_str(known), &good, NULL) != GW_OK))
        abort();
    (void)jwt_keys_read(set, &keys, NULL);
    (void)jwt_looks_like(token);
    if (jwt_read(token, arena, json, &t, &why) == GW_OK) {
        use_claims(&t, arena);
        if (keys != NULL)
            (void)jwt_verify(&t, keys);
        if (jwt_verify(&t, good) == GW_OK && !gw_span_starts(token, gw_span_str(rfc)))
            abort();
    } else if (why == NULL) {
        abort();
    }
    jwt_keys_unref(keys);
    gw_json_free(json);
    gw_arena_free(arena);
    return 0;
}
