/* dlp/validate_name.c - what the name in front of a value says of it: client_secret promises a secret,
 * cache_key, token_type and public_key do not; and whether a value is called a hash.
 *
 * A name is cut into its words at _ - . blanks and aCamelHumps; the last word says what the value is (a
 * key_path is a path), the ones before say of what. No state; any thread. */
#include <string.h>

#include "dlp/validate_impl.h"

enum { MAX_NAME = 64, MAX_WORDS = 8 };

static bool is_name_byte(char c)
{
    return dlp_is_alnum(c) || c == '_' || c == '-' || c == '.';
}

/* The name that the match begins in: from the start of its word to its end. */
static struct gw_span name_of(const struct dlp_validate_in *in)
{
    size_t from = in->match_start;
    size_t to;

    while (from > 0 && in->match_start - from < MAX_NAME && is_name_byte(in->text.ptr[from - 1]))
        from--;
    to = from;
    while (to < in->start && to - from < (size_t)2 * MAX_NAME && is_name_byte(in->text.ptr[to]))
        to++;
    return (struct gw_span){in->text.ptr + from, to - from};
}

/* Cuts a name into words; the first MAX_WORDS - 1 and the last are kept. Returns how many. */
static unsigned split(struct gw_span name, struct gw_span *words)
{
    unsigned n = 0;
    size_t from = 0;

    for (size_t i = 0; i <= name.len; i++) {
        bool joint = i == name.len || !dlp_is_alnum(name.ptr[i]);
        bool hump =
            !joint && i > from && dlp_is_upper(name.ptr[i]) && dlp_is_lower(name.ptr[i - 1]);

        if (!joint && !hump)
            continue;
        if (i > from) {
            if (n == MAX_WORDS)
                n--;
            words[n++] = (struct gw_span){name.ptr + from, i - from};
        }
        from = joint ? i + 1 : i;
    }
    return n;
}

static bool is_word_of(struct gw_span s, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (gw_span_eq_nocase(s, gw_span_str(words[i])))
            return true;
    return false;
}
#define IS_WORD_OF(s, words) is_word_of((s), (words), sizeof(words) / sizeof((words)[0]))

/* The value is not the secret but something about it. */
static bool is_about(struct gw_span last)
{
    static const char *const words[] = {
        "name",        "names",
        "file",        "filename",
        "path",        "dir",
        "directory",   "url",
        "uri",         "endpoint",
        "host",        "hostname",
        "type",        "types",
        "size",        "len",
        "length",      "ttl",
        "expires",     "expiry",
        "expiration",  "lifetime",
        "timeout",     "age",
        "format",      "algorithm",
        "alg",         "version",
        "hash",        "sha",
        "sha1",        "sha256",
        "sha512",      "md5",
        "digest",      "checksum",
        "integrity",   "fingerprint",
        "class",       "count",
        "index",       "idx",
        "label",       "title",
        "description", "desc",
        "prefix",      "suffix",
        "header",      "headers",
        "field",       "fields",
        "param",       "params",
        "column",      "map",
        "store",       "alias",
        "arn",         "ref",
        "template",    "pattern",
        "regex",       "message",
        "msg",         "error",
        "status",      "provider",
        "issuer",      "scope",
        "scopes",      "mode",
        "method",      "policy",
        "usage",       "function",
        "handler",     "callback",
        "listener",    "event",
        "events",      "code_challenge",
        "commit",      "revision",
        "etag",        "guid",
        "position",    "offset",
        "order",       "color",
        "icon",        "image",
        "style",       "selector",
        "binding",     "press",
        "down",        "up",
    };

    return IS_WORD_OF(last, words);
}

/* Names of things that end with "key" or "token" and are no secret. */
static bool is_plain(struct gw_span word)
{
    static const char *const words[] = {
        "public",   "pub",       "publishable", "cache",
        "primary",  "foreign",   "sort",        "partition",
        "object",   "index",     "lookup",      "map",
        "dict",     "hash",      "i18n",        "translation",
        "message",  "label",     "menu",        "shortcut",
        "hot",      "keyboard",  "storage",     "registry",
        "config",   "setting",   "settings",    "meta",
        "metadata", "next",      "page",        "continuation",
        "cursor",   "sync",      "lexer",       "parser",
        "bos",      "eos",       "pad",         "unk",
        "mask",     "special",   "stop",        "csrfmiddlewaretoken",
        "author",   "authors",   "composite",   "unique",
        "trusted",  "host",      "known",       "signedby",
        "signer",   "recaptcha", "site",        "idempotency",
    };

    return IS_WORD_OF(word, words);
}

static bool is_strong(struct gw_span word)
{
    static const char *const words[] = {
        "secret",     "secrets",     "password",  "passwd",       "pwd",       "private",
        "credential", "credentials", "secretkey", "clientsecret", "appsecret", "privatekey",
    };

    return IS_WORD_OF(word, words);
}

int dlp_val_name_score(const struct dlp_validate_in *in)
{
    struct gw_span words[MAX_WORDS];
    unsigned n = split(name_of(in), words);
    int score = 0;

    if (n == 0)
        return 0;
    if (is_about(words[n - 1]))
        return DLP_VALIDATE_REJECT;
    for (unsigned i = 0; i < n; i++)
        if (is_strong(words[i]))
            score = 6;
    if (gw_span_eq_nocase(words[n - 1], GW_SPAN("id")))
        return -18;
    for (unsigned i = 0; i + 1 < n && score == 0; i++)
        if (is_plain(words[i]))
            return -30;
    return score;
}

/* A line of a table of checksums: nothing but hexadecimal digits in front of a blank and a name. */
static bool is_checksum_line(const struct dlp_validate_in *in)
{
    size_t from = in->start;

    for (size_t i = in->start; i < in->end; i++)
        if (dlp_hex_value(in->text.ptr[i]) < 0)
            return false;
    while (from > 0 && in->start - from < 8 && in->text.ptr[from - 1] == ' ')
        from--;
    return (from == 0 || in->text.ptr[from - 1] == '\n') && dlp_val_char(in, in->end) == ' ' &&
           in->end < in->text.len;
}

/* sha256:..., integrity="..., commit ...: right in front of the value, within a few words. */
bool dlp_val_is_called_hash(const struct dlp_validate_in *in)
{
    static const char *const names[] = {
        "sha1", "sha256",   "sha-256",  "sha384",  "sha512",      "sha-512",
        "md5",  "checksum", "digest",   "commit",  "fingerprint", "integrity",
        "etag", "revision", "build-id", "buildid",
    };
    size_t from = in->start > 24 ? in->start - 24 : 0;
    struct gw_span before = {in->text.ptr + from, in->start - from};
    const char *nl = before.len > 0 ? memrchr(before.ptr, '\n', before.len) : NULL;

    if (is_checksum_line(in))
        return true;
    if (nl != NULL)
        before = gw_span_from(before, (size_t)(nl + 1 - before.ptr));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (dlp_val_contains(before, names[i]))
            return true;
    return false;
}
