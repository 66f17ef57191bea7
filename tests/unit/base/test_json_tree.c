/* tests/unit/base/test_json_tree.c - the tree keeps every byte and finds members by their decoded names. */
#include <string.h>

#include "base/json_tree.h"
#include "tests/test.h"

static struct gw_json *json;
static struct gw_arena *arena;

static struct gw_json_node *tree(const char *text, enum gw_status want)
{
    struct gw_json_node *root = NULL;
    struct gw_err err;

    CHECK(gw_json_tree(json, arena, gw_span_str(text), NULL, &root, &err) == want);
    return root;
}

static void test_shape(void)
{
    const struct gw_json_node *r = tree(
        "{\"a\":[1,2.50,{\"b\":\"x\\u0041\"}],\"\\u0063\":null , \"n\":12345678901234567890123}",
        GW_OK);
    const struct gw_json_node *a = gw_json_get(r, "a");

    CHECK(r != NULL && r->n == 3);
    CHECK(gw_json_is(a, GW_JSON_ARRAY_BEGIN) && a->n == 3);
    CHECK(gw_span_is(a->raw, "[1,2.50,{\"b\":\"x\\u0041\"}]"));
    CHECK(gw_span_is(a->child->next->raw, "2.50"));
    CHECK(gw_span_is(gw_json_text(gw_json_get(a->child->next->next, "b"), arena), "xA"));
    CHECK(gw_json_text_is(gw_json_get(a->child->next->next, "b"), "xA"));
    CHECK(!gw_json_text_is(gw_json_get(a->child->next->next, "b"), "x"));
    CHECK(!gw_json_text_is(gw_json_get(a->child->next->next, "b"), "xAB"));
    CHECK(gw_json_is(gw_json_get(r, "c"), GW_JSON_NULL));
    CHECK(gw_span_is(gw_json_get(r, "n")->raw, "12345678901234567890123"));
    CHECK(gw_json_get(r, "missing") == NULL && gw_json_get(NULL, "a") == NULL &&
          gw_json_get(a, "a") == NULL);
    CHECK(gw_json_text(NULL, arena).ptr == NULL && gw_json_text(a, arena).ptr == NULL);
}

static void test_numbers(void)
{
    const struct gw_json_node *r =
        tree("[0,17,-1,1.0,1e3,9007199254740992,9007199254740993,\"5\"]", GW_OK);
    const uint64_t want[] = {0, 17, 99, 99, 99, 9007199254740992u, 99, 99};
    unsigned i = 0;

    for (const struct gw_json_node *n = r == NULL ? NULL : r->child; n != NULL; n = n->next)
        CHECK(gw_json_uint(n, 99) == want[i++]);
    CHECK(i == 8);
}

static void test_refused(void)
{
    static const char *const bad[] = {"", "{", "[1,]", "{\"a\":1,\"a\":2}", "1 2", "\"\\ud800\""};
    struct gw_arena *small = gw_arena_new(64);
    struct gw_json_node *root = NULL;
    struct gw_err err;
    char deep[2048];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(tree(bad[i], GW_EPARSE) == NULL);
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    deep[200] = '\0';
    CHECK(tree(deep, GW_ELIMIT) == NULL);
    CHECK(gw_json_tree(json, small, GW_SPAN("[1,2,3,4,5,6,7,8,9]"), NULL, &root, &err) ==
          GW_ENOMEM);
    gw_arena_free(small);
    memset(deep, '[', 1000);
    memset(deep + 1000, ']', 1000);
    deep[2000] = '\0';
    CHECK(gw_json_tree(json, arena, gw_span_str(deep), &(struct gw_json_limits){2000, 0, false},
                       &root, &err) == GW_ELIMIT);
    CHECK(root == NULL);
}

int main(void)
{
    json = gw_json_new();
    arena = gw_arena_new(1u << 20);
    test_shape();
    test_numbers();
    test_refused();
    gw_json_free(json);
    gw_arena_free(arena);
    return test_done();
}
