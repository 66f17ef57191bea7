/* tests/unit/proxy/test_json_array.c - array streams: elements at their last byte, every byte in some event, cut anywhere. */
#include <stdlib.h>
#include <string.h>

#include "proxy/http/json_array.h"
#include "tests/test.h"

struct heard {
    struct gw_buf raw, said;
    unsigned n, n_elements, n_cut;
    enum gw_status answer; /* what the callback returns */
};

static enum gw_status on_event(void *ctx, const struct json_array_event *ev)
{
    struct heard *h = ctx;

    gw_buf_add(&h->raw, ev->raw);
    h->n++;
    h->n_cut += !ev->ended;
    if (ev->has_data) {
        h->n_elements++;
        gw_buf_add(&h->said, ev->data);
        gw_buf_addc(&h->said, '|');
    }
    return h->answer;
}

static void forget(struct heard *h)
{
    gw_buf_fini(&h->raw);
    gw_buf_fini(&h->said);
    *h = (struct heard){0};
}

/* Feeds a copy of the right size, so that a sanitizer sees every read beyond it. */
static enum gw_status feed(struct json_array *r, struct gw_span bytes, struct heard *h)
{
    char *copy = malloc(bytes.len + 1);
    enum gw_status st;

    if (bytes.len != 0)
        memcpy(copy, bytes.ptr, bytes.len);
    st = json_array_feed(r, (struct gw_span){copy, bytes.len}, on_event, h);
    free(copy);
    return st;
}

/* Feeds text in two pieces cut at `at`, and then the rest of it in pieces of `step`. */
static enum gw_status listen(const char *text, size_t at, size_t step, struct heard *h,
                             bool *complete)
{
    struct json_array *r = json_array_new(0);
    struct gw_span s = gw_span_str(text);
    enum gw_status st = feed(r, (struct gw_span){s.ptr, at}, h);

    for (; st == GW_OK && at < s.len; at += step)
        st = feed(r, (struct gw_span){s.ptr + at, s.len - at < step ? s.len - at : step}, h);
    if (st == GW_OK)
        st = json_array_finish(r, on_event, h);
    *complete = json_array_complete(r);
    CHECK(st != GW_OK || json_array_pending(r) == 0);
    json_array_free(r);
    return st;
}

struct row {
    const char *text, *said;
    enum gw_status end;
    unsigned n_cut;
    bool complete;
};

static const struct row rows[] = {
    {"[{\"a\":1}]", "{\"a\":1}|", GW_OK, 0, true},
    {"[{\"a\":1},{\"b\":[2,{}]}]", "{\"a\":1}|{\"b\":[2,{}]}|", GW_OK, 0, true},
    {" [\r\n{}\r\n,\r\n{ }\t] \n", "{}|{ }|", GW_OK, 0, true},
    {"[]", "", GW_OK, 0, true},
    {"", "", GW_OK, 0, false},
    {" \n", "", GW_OK, 1, false},
    {"[{\"a\":\"]}\\\"{[\\\\\"}]", "{\"a\":\"]}\\\"{[\\\\\"}|", GW_OK, 0, true},
    {"[{\"\\u00e4\\\"}\":\"\xC3\xA4\"}]", "{\"\\u00e4\\\"}\":\"\xC3\xA4\"}|", GW_OK, 0, true},
    {"[{\"a\":1}", "{\"a\":1}|", GW_OK, 0, false},
    {"[{\"a\":1},", "{\"a\":1}|", GW_OK, 1, false},
    {"[{\"a\":1},{\"b", "{\"a\":1}|", GW_OK, 1, false},
    {"[", "", GW_OK, 1, false},
    {"{\"a\":1}", "", GW_EPARSE, 0, false},
    {"null", "", GW_EPARSE, 0, false},
    {"\"[]\"", "", GW_EPARSE, 0, false},
    {"[1]", "", GW_EPARSE, 0, false},
    {"[[{}]]", "", GW_EPARSE, 0, false},
    {"[\"a\"]", "", GW_EPARSE, 0, false},
    {"[,{}]", "", GW_EPARSE, 0, false},
    {"[{},]", "{}|", GW_EPARSE, 0, false},
    {"[{},,{}]", "{}|", GW_EPARSE, 0, false},
    {"[{}{}]", "{}|", GW_EPARSE, 0, false},
    {"[{}]]", "{}|", GW_EPARSE, 0, true},
    {"[{}] []", "{}|", GW_EPARSE, 0, true},
    {"\xEF\xBB\xBF[]", "", GW_EPARSE, 0, false},
    {"data: {}\n\n", "", GW_EPARSE, 0, false},
};

static void check_row(const struct row *row, size_t at, size_t step)
{
    struct heard h = {0};
    bool complete = false;
    size_t n = strlen(row->text);

    CHECK(listen(row->text, at, step, &h, &complete) == row->end);
    CHECK(complete == row->complete);
    CHECK(gw_span_is(gw_buf_span(&h.said), row->said));
    CHECK(h.n_cut == row->n_cut);
    if (row->end == GW_OK)
        CHECK(gw_span_eq(gw_buf_span(&h.raw), (struct gw_span){row->text, n}));
    forget(&h);
}

static void test_every_split(void)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t n = strlen(rows[i].text);

        for (size_t at = 0; at <= n; at++)
            check_row(&rows[i], at, n + 1);
        check_row(&rows[i], 0, 1); /* one byte at a time */
        check_row(&rows[i], 0, 3);
    }
}

/* An element is delivered with its last byte and not with the comma behind it. */
static void test_at_once(void)
{
    struct json_array *r = json_array_new(0);
    struct heard h = {0};

    CHECK(feed(r, GW_SPAN("[{\"a\":{}"), &h) == GW_OK && h.n == 0);
    CHECK(json_array_pending(r) == 8);
    CHECK(feed(r, GW_SPAN("}"), &h) == GW_OK && h.n_elements == 1);
    CHECK(json_array_pending(r) == 0 && !json_array_complete(r));
    CHECK(feed(r, GW_SPAN(","), &h) == GW_OK && feed(r, GW_SPAN("{}]"), &h) == GW_OK);
    CHECK(h.n_elements == 2 && h.n == 3 && json_array_complete(r));
    CHECK(gw_span_is(gw_buf_span(&h.raw), "[{\"a\":{}},{}]"));
    json_array_free(r);
    forget(&h);
}

static void test_limits(void)
{
    struct json_array *r = json_array_new(16);
    struct heard h = {0};

    CHECK(feed(r, GW_SPAN("[{\"a\":\"1234567\""), &h) == GW_OK);
    CHECK(feed(r, GW_SPAN("  "), &h) == GW_ELIMIT);
    json_array_free(r);
    r = json_array_new(16);
    CHECK(feed(r, GW_SPAN("[{\"a\":\"12345678901234\"}]"), &h) == GW_ELIMIT && h.n == 0);
    json_array_free(r);
    r = json_array_new(16);
    CHECK(feed(r, GW_SPAN("                 "), &h) == GW_ELIMIT); /* blanks are bounded too */
    json_array_free(r);
    r = json_array_new(16);
    for (unsigned i = 0; i < 1000; i++) /* many elements are not one long one */
        CHECK(feed(r, i == 0 ? GW_SPAN("[{\"a\":1}") : GW_SPAN(",{\"a\":1}"), &h) == GW_OK);
    CHECK(h.n_elements == 1000);
    json_array_free(r);
    json_array_free(NULL);
    forget(&h);
}

static void test_callback_stops(void)
{
    struct json_array *r = json_array_new(0);
    struct heard h = {.answer = GW_EDENIED};

    CHECK(feed(r, GW_SPAN("[{},{}]"), &h) == GW_EDENIED && h.n == 1);
    json_array_free(r);
    forget(&h);
}

static enum gw_status rewrite(void *ctx, const struct json_array_event *ev)
{
    json_array_rewrite(ctx, ev, GW_SPAN("{\"new\":1}"));
    return GW_OK;
}

static void test_writing(void)
{
    struct json_array *r = json_array_new(0);
    struct gw_buf out = {0};

    CHECK(json_array_feed(r, GW_SPAN(" [ {\"a\":1}\r\n,\r\n{\"b\":2} ] "), rewrite, &out) == GW_OK);
    CHECK(json_array_finish(r, rewrite, &out) == GW_OK);
    CHECK(gw_span_is(gw_buf_span(&out), " [ {\"new\":1}\r\n,\r\n{\"new\":1} ] "));
    json_array_free(r);
    gw_buf_clear(&out);
    json_array_write(&out, true, GW_SPAN("{\"a\":1}"));
    json_array_write(&out, false, GW_SPAN("{\"b\":2}"));
    json_array_write_end(&out, false);
    CHECK(gw_span_is(gw_buf_span(&out), "[{\"a\":1},\r\n{\"b\":2}]"));
    gw_buf_clear(&out);
    json_array_write_end(&out, true);
    CHECK(gw_span_is(gw_buf_span(&out), "[]"));
    gw_buf_fini(&out);
}

int main(void)
{
    test_every_split();
    test_at_once();
    test_limits();
    test_callback_stops();
    test_writing();
    return test_done();
}
