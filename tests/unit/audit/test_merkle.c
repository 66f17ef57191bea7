/* Unit tests of audit/merkle.c: the reference roots, and every proof of every tree of up to 70 leaves, also when its first
 * leaves are gone; each proof fails when a bit of it is changed. */
#include <stdlib.h>
#include <string.h>

#include "audit/merkle.h"
#include "audit/spool_format.h"
#include "tests/test.h"

enum { MAX = 70 };
static struct merkle_hash leaves[MAX], roots[MAX + 1];
static struct merkle edges[MAX + 1];

static void leaf_of(struct gw_span bytes, struct merkle_hash *out)
{
    spool_print(bytes, out->bytes);
}

/* The roots that Certificate Transparency's test vectors have (RFC 6962's reference leaves). */
static void test_reference(void)
{
    const struct gw_span inputs[] = {
        GW_SPAN(""),
        GW_SPAN("\x00"),
        GW_SPAN("\x10"),
        GW_SPAN("\x20\x21"),
        GW_SPAN("\x30\x31"),
        GW_SPAN("\x40\x41\x42\x43"),
        GW_SPAN("\x50\x51\x52\x53\x54\x55\x56\x57"),
        GW_SPAN("\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"),
    };
    static const char *const want[] = {
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    };
    struct merkle t = {0};

    for (size_t i = 0; i < 8; i++) {
        struct merkle_hash leaf, root;
        char hex[2 * MERKLE_BYTES + 1];

        leaf_of(inputs[i], &leaf);
        merkle_add(&t, &leaf);
        merkle_root(&t, &root);
        gw_hex(root.bytes, MERKLE_BYTES, hex);
        CHECK(strcmp(hex, want[i]) == 0);
    }
}

static void make_trees(void)
{
    struct merkle t = {0};

    merkle_root(&t, &roots[0]);
    for (unsigned i = 0; i < MAX; i++) {
        char text[16];

        (void)snprintf(text, sizeof(text), "leaf %u", i);
        leaf_of(gw_span_str(text), &leaves[i]);
        merkle_add(&t, &leaves[i]);
        merkle_root(&t, &roots[i + 1]);
        edges[i + 1] = t;
    }
}

static void check_inclusion(const struct merkle_part *p, uint64_t leaf, uint64_t size)
{
    struct merkle_hash path[MERKLE_MAX_PROOF];
    int n = merkle_prove_inclusion(p, leaf, size, path);

    if (leaf < p->base.size) { /* it may be part of a subtree that was cut off */
        CHECK(n == -1 ||
              merkle_check_inclusion(&leaves[leaf], leaf, size, path, (unsigned)n, &roots[size]));
        return;
    }
    CHECK(n >= 0);
    CHECK(merkle_check_inclusion(&leaves[leaf], leaf, size, path, (unsigned)n, &roots[size]));
    CHECK(!merkle_check_inclusion(&leaves[(leaf + 1) % MAX], leaf, size, path, (unsigned)n,
                                  &roots[size]));
    CHECK(!merkle_check_inclusion(&leaves[leaf], size, size, path, (unsigned)n, &roots[size]));
    if (n > 0) {
        CHECK(!merkle_check_inclusion(&leaves[leaf], leaf, size, path, (unsigned)n - 1,
                                      &roots[size]));
        path[(unsigned)rand() % (unsigned)n].bytes[rand() % MERKLE_BYTES] ^= 1;
        CHECK(!merkle_check_inclusion(&leaves[leaf], leaf, size, path, (unsigned)n, &roots[size]));
    }
}

static void check_consistency(const struct merkle_part *p, uint64_t from, uint64_t to)
{
    struct merkle_hash proof[MERKLE_MAX_PROOF];
    int n = merkle_prove_consistency(p, from, to, proof);

    if (from < p->base.size && n < 0)
        return;
    CHECK(n >= 0);
    CHECK(merkle_check_consistency(from, &roots[from], to, &roots[to], proof, (unsigned)n));
    CHECK(!merkle_check_consistency(from, &roots[from - 1], to, &roots[to], proof, (unsigned)n));
    if (from != to)
        CHECK(!merkle_check_consistency(from, &roots[from], to, &roots[from], proof, (unsigned)n));
    if (n > 0) {
        proof[(unsigned)rand() % (unsigned)n].bytes[rand() % MERKLE_BYTES] ^= 0x80;
        CHECK(!merkle_check_consistency(from, &roots[from], to, &roots[to], proof, (unsigned)n));
    }
}

static void test_proofs(void)
{
    static const unsigned cuts[] = {0, 1, 2, 3, 5, 8, 13, 31, 32, 33, 47, 64, 69};

    for (size_t c = 0; c < sizeof(cuts) / sizeof(cuts[0]); c++) {
        struct merkle_part p = {edges[cuts[c]], leaves + cuts[c], MAX - cuts[c]};
        struct merkle_hash path[MERKLE_MAX_PROOF], root;

        for (uint64_t size = 1; size <= MAX; size++) {
            bool got = merkle_part_root(&p, size, &root);

            CHECK(got || size < cuts[c]);
            if (got)
                CHECK(memcmp(&root, &roots[size], sizeof(root)) == 0);
            if (size < cuts[c])
                continue;
            for (uint64_t leaf = 0; leaf < size; leaf++)
                check_inclusion(&p, leaf, size);
            for (uint64_t from = 1; from <= size; from++)
                check_consistency(&p, from, size);
        }
        CHECK(merkle_prove_inclusion(&p, MAX, MAX + 1, path) == -1);
        CHECK(merkle_prove_consistency(&p, 0, MAX, path) == -1);
        CHECK(merkle_prove_consistency(&p, 1, MAX + 1, path) == -1);
    }
}

int main(void)
{
    test_reference();
    make_trees();
    test_proofs();
    return test_done();
}
