/* proxy/provider/provider_bedrock.c - Amazon Bedrock: Anthropic's models behind InvokeModel, requests signed with the key pair.
 *
 * The model and whether the answer streams stand in the path, the API's version and its betas in the body. Streams come
 * as AWS event stream messages (provider_aws.c). Counting takes the body of such a call inside of its own. Nothing of the
 * client's query is sent. Pure. */

#include "base/base64.h"
#include "proxy/provider/provider_private.h"
#include "proxy/provider/sigv4.h"

static bool bedrock_speaks(const struct proxy_config_target *t, enum provider_op op,
                           enum api_dialect d, struct gw_span model)
{
    (void)t;
    (void)model;
    return (op == PROVIDER_CHAT || op == PROVIDER_COUNT_TOKENS) && d == API_ANTHROPIC;
}

static bool bedrock_dialect(const struct proxy_config_target *t, enum provider_op op,
                            struct gw_span model, enum api_dialect *out)
{
    (void)t;
    (void)op;
    (void)model;
    *out = API_ANTHROPIC;
    return true;
}

/* Ids name the vendor ("eu.anthropic.claude-..."); ARNs of profiles and provisioned models need not. */
static bool is_anthropic(struct gw_span model)
{
    return gw_span_starts(model, GW_SPAN("arn:")) ||
           (model.len > 0 && memmem(model.ptr, model.len, "anthropic.", 10) != NULL);
}

static enum gw_status bedrock_path(const struct provider_call *c, struct gw_buf *out,
                                   struct gw_err *err)
{
    gw_buf_adds(out, provider_base(c));
    gw_buf_adds(out, "/model/");
    GW_TRY(provider_add_name(out, c->model, "", err));
    if (!is_anthropic(c->model))
        return gw_fail(err, GW_EUNSUPPORTED,
                       "The target %.64s takes the ids of Anthropic's models on Bedrock, such as "
                       "anthropic.claude-sonnet-4-20250514-v1:0, and ARNs.",
                       c->target->name);
    if (c->op == PROVIDER_COUNT_TOKENS)
        gw_buf_adds(out, "/count-tokens");
    else
        gw_buf_adds(out, c->stream ? "/invoke-with-response-stream" : "/invoke");
    return GW_OK;
}

static enum gw_status sign(const struct provider_call *c, struct gw_span host, struct gw_span path,
                           struct gw_buf *out)
{
    const struct proxy_config_target *t = c->target;
    char stamp[SIGV4_TIME_BYTES];
    struct sigv4_field fields[3] = {{"host", host}, {"x-amz-date", {stamp, sizeof(stamp) - 1}}};
    struct sigv4_request r = {.method = GW_SPAN("POST"),
                              .path = path,
                              .fields = fields,
                              .n_fields = 2,
                              .body = c->body,
                              .region = t->region,
                              .service = "bedrock",
                              .access_key = t->access_key.value,
                              .secret_key = t->secret_key.value,
                              .now_s = c->now_s};

    sigv4_time(c->now_s, stamp);
    provider_add_field(out, "X-Amz-Date", fields[1].value);
    if (t->session_token.value.len != 0) {
        fields[r.n_fields++] = (struct sigv4_field){"x-amz-security-token", t->session_token.value};
        provider_add_field(out, "X-Amz-Security-Token", t->session_token.value);
    }
    gw_buf_adds(out, "Authorization: ");
    GW_TRY(sigv4_authorize(&r, out));
    gw_buf_adds(out, "\r\n");
    return GW_OK;
}

static enum gw_status bedrock_fields(const struct provider_call *c, struct gw_span host,
                                     struct gw_buf *out, struct gw_err *err)
{
    struct gw_buf path = {0};
    enum gw_status st;

    if (provider_key(c).len != 0) { /* a Bedrock API key */
        provider_add_bearer(out, provider_key(c));
        return GW_OK;
    }
    st = bedrock_path(c, &path, err);
    if (st == GW_OK) {
        st = gw_buf_ok(&path) ? sign(c, host, gw_buf_span(&path), out) : GW_ENOMEM;
        if (st != GW_OK)
            (void)gw_fail(err, st, "The request could not be signed: out of memory.");
    }
    gw_buf_fini(&path);
    return st;
}

/* "a, b" as ["a","b"]. */
static void add_list(struct gw_buf *out, struct gw_span list)
{
    bool first = true;

    gw_buf_addc(out, '[');
    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        struct gw_span one = {list.ptr, comma == NULL ? list.len : (size_t)(comma - list.ptr)};

        list = gw_span_from(list, one.len + 1);
        while (one.len > 0 && (one.ptr[0] == ' ' || one.ptr[0] == '\t'))
            one = gw_span_from(one, 1);
        while (one.len > 0 && (one.ptr[one.len - 1] == ' ' || one.ptr[one.len - 1] == '\t'))
            one.len--;
        if (one.len == 0)
            continue;
        gw_buf_adds(out, first ? "" : ",");
        gw_buf_add_json_str(out, one);
        first = false;
    }
    gw_buf_addc(out, ']');
}

/* The body of a call of the model. */
static enum gw_status invoke_body(const struct provider_call *c, struct gw_json *json,
                                  struct gw_span body, struct gw_span max_tokens,
                                  struct gw_buf *out, struct gw_err *err)
{
    static const char *const in_path[] = {"model", "stream", NULL};
    struct provider_splice splice = {
        in_path, {{"anthropic_version", GW_SPAN("\"bedrock-2023-05-31\"")}}, 1};
    struct gw_buf beta = {0};
    enum gw_status st;

    if (c->beta.len != 0) {
        add_list(&beta, c->beta);
        splice.add[splice.n_add++] = (struct provider_member){"anthropic_beta", gw_buf_span(&beta)};
    }
    if (max_tokens.len != 0)
        splice.add[splice.n_add++] = (struct provider_member){"max_tokens", max_tokens};
    st = gw_buf_ok(&beta) ? provider_splice_body(&splice, json, body, out, err)
                          : gw_fail(err, GW_ENOMEM, "out of memory");
    gw_buf_fini(&beta);
    return st;
}

/* What counts takes a complete call, which must allow for more tokens than its thinking may take. */
static enum gw_status count_body(const struct provider_call *c, struct gw_json *json,
                                 struct gw_span body, struct gw_buf *out, struct gw_err *err)
{
    struct gw_span thinking = provider_member(json, body, "thinking");
    struct gw_span budget =
        thinking.len == 0 ? thinking : provider_member(json, thinking, "budget_tokens");
    struct gw_buf invoke = {0}, number = {0};
    uint64_t least = 0;
    enum gw_status st;

    for (size_t i = 0; i < budget.len && i < 9 && budget.ptr[i] >= '0' && budget.ptr[i] <= '9'; i++)
        least = least * 10 + (uint64_t)(budget.ptr[i] - '0');
    gw_buf_addu(&number, least + 1);
    st = invoke_body(c, json, body, gw_buf_span(&number), &invoke, err);
    gw_buf_adds(out, "{\"input\":{\"invokeModel\":{\"body\":\"");
    gw_base64(out, gw_buf_span(&invoke));
    gw_buf_adds(out, "\"}}}");
    if (st == GW_OK && (!gw_buf_ok(&number) || !gw_buf_ok(out)))
        st = gw_fail(err, GW_ENOMEM, "out of memory");
    gw_buf_fini(&invoke);
    gw_buf_fini(&number);
    return st;
}

static enum gw_status bedrock_body(const struct provider_call *c, struct gw_json *json,
                                   struct gw_span body, struct gw_buf *out, bool *changed,
                                   struct gw_err *err)
{
    enum gw_status st = c->op == PROVIDER_COUNT_TOKENS
                            ? count_body(c, json, body, out, err)
                            : invoke_body(c, json, body, GW_SPAN(""), out, err);

    if (st == GW_OK)
        *changed = true;
    return st;
}

const struct provider_kind provider_bedrock = {bedrock_speaks, bedrock_dialect, bedrock_path,
                                               bedrock_fields, bedrock_body,    NULL};
