/* dlp/validate_words.c - the words that validators ask for: is a value one of a list, or does one stand in it?
 *
 * A value is asked about hundreds of words, most of them none of it: a list that a value may be one of is hashed, and of one whose words may
 * stand anywhere the first two bytes are known for all words at once. Thread: any; the tables are made when they are first asked. */
#include <pthread.h>
#include <string.h>

#include "dlp/validate_impl.h"

enum {
    MOST_WORDS = 160,
    MOST_INSIDE = 64, /* of a list of DLP_WORDS_INSIDE and behind: a bit each */
    LONGEST = 24,     /* bytes of a word that a value may be */
    SLOTS = 512,
};

static const char *const about[MOST_WORDS + 1] = {
    "name",     "names",     "file",        "filename", "path",           "dir",      "directory",
    "url",      "uri",       "endpoint",    "host",     "hostname",       "type",     "types",
    "size",     "len",       "length",      "ttl",      "expires",        "expiry",   "expiration",
    "lifetime", "timeout",   "age",         "format",   "algorithm",      "alg",      "version",
    "hash",     "sha",       "sha1",        "sha256",   "sha512",         "md5",      "digest",
    "checksum", "integrity", "fingerprint", "class",    "count",          "index",    "idx",
    "label",    "title",     "description", "desc",     "prefix",         "suffix",   "header",
    "headers",  "field",     "fields",      "param",    "params",         "column",   "map",
    "store",    "alias",     "arn",         "ref",      "template",       "pattern",  "regex",
    "message",  "msg",       "error",       "status",   "provider",       "issuer",   "scope",
    "scopes",   "mode",      "method",      "policy",   "usage",          "function", "handler",
    "callback", "listener",  "event",       "events",   "code_challenge", "commit",   "revision",
    "etag",     "guid",      "position",    "offset",   "order",          "color",    "icon",
    "image",    "style",     "selector",    "binding",  "press",          "down",     "up"};
static const char *const plain[MOST_WORDS + 1] = {
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
    "signer",   "recaptcha", "site",        "idempotency"};
static const char *const strong[MOST_WORDS + 1] = {
    "secret",     "secrets",     "password",  "passwd",       "pwd",       "private",
    "credential", "credentials", "secretkey", "clientsecret", "appsecret", "privatekey"};
static const char *const no_password[MOST_WORDS + 1] = {"true",
                                                        "false",
                                                        "null",
                                                        "none",
                                                        "nil",
                                                        "undefined",
                                                        "required",
                                                        "optional",
                                                        "string",
                                                        "str",
                                                        "text",
                                                        "bytes",
                                                        "int",
                                                        "bool",
                                                        "boolean",
                                                        "password",
                                                        "passwd",
                                                        "passphrase",
                                                        "pwd",
                                                        "pass",
                                                        "secret",
                                                        "input",
                                                        "hidden",
                                                        "prompt",
                                                        "empty",
                                                        "default",
                                                        "username",
                                                        "user",
                                                        "yes",
                                                        "no",
                                                        "auto",
                                                        "disabled",
                                                        "enabled",
                                                        "never",
                                                        "always",
                                                        "the",
                                                        "a",
                                                        "an",
                                                        "is",
                                                        "for",
                                                        "and",
                                                        "or",
                                                        "not",
                                                        "if",
                                                        "with",
                                                        "from",
                                                        "in",
                                                        "to",
                                                        "of",
                                                        "that",
                                                        "this",
                                                        "when",
                                                        "plaintext",
                                                        "encrypted",
                                                        "hashed",
                                                        "unset",
                                                        "invalid",
                                                        "missing",
                                                        "incorrect",
                                                        "wrong",
                                                        "expired",
                                                        "value",
                                                        "field",
                                                        "label",
                                                        "type",
                                                        "name",
                                                        "key",
                                                        "token",
                                                        "nullable",
                                                        "unknown",
                                                        "forgot",
                                                        "reset",
                                                        "confirm",
                                                        "new",
                                                        "old",
                                                        "current",
                                                        "show",
                                                        "hide",
                                                        "char",
                                                        "varchar",
                                                        "object",
                                                        "any",
                                                        "const",
                                                        "public",
                                                        "private",
                                                        "static",
                                                        "return",
                                                        "import",
                                                        "function",
                                                        "self",
                                                        "n/a",
                                                        "prohibit-password",
                                                        "without-password",
                                                        "password:",
                                                        "passwort",
                                                        "kennwort",
                                                        "contraseña",
                                                        "senha",
                                                        "wachtwoord",
                                                        "salasana",
                                                        "heslo",
                                                        "parola",
                                                        "lösenord",
                                                        "obligatoire",
                                                        "foobared",
                                                        "credentials",
                                                        "credential",
                                                        "login",
                                                        "email",
                                                        "authentication",
                                                        "md",
                                                        "file",
                                                        "scram-sha-256",
                                                        "_md5",
                                                        "utf8",
                                                        "utf-8",
                                                        "latin1",
                                                        "base64",
                                                        "sha256",
                                                        "sha-256",
                                                        "md5-crypt",
                                                        "sha512",
                                                        "md5",
                                                        "bcrypt"};
static const char *const sample_pair[MOST_WORDS + 1] = {
    "password", "passwd",   "pass",      "pwd",      "secret", "token",      "apitoken", "apikey",
    "api_key",  "key",      "test",      "yyy",      "xxx",    "admin",      "user",     "root",
    "guest",    "changeme", "api_token", "userpass", "mypass", "mypassword", "pw",       "elastic"};
static const char *const sample_url[MOST_WORDS + 1] = {
    "password", "passwd", "pass", "pwd",      "secret", "pw",  "user", "token", "admin",
    "guest",    "test",   "xxx",  "username", "p4ss",   "key", "root", "foo",   "bar"};
static const char *const hash[MOST_INSIDE + 1] = {
    "sha1",   "sha256", "sha-256",     "sha384",    "sha512", "sha-512",  "md5",      "checksum",
    "digest", "commit", "fingerprint", "integrity", "etag",   "revision", "build-id", "buildid"};
static const char *const reference[MOST_INSIDE + 1] = {
    "process.env", "os.environ", "os.getenv", "getenv",    "env.",     "env[",
    "secrets.",    "vault:",     "arn:aws",   "ssm:",      "config.",  "settings.",
    "config[",     "params[",    "args.",     "options.",  "self.",    "this.",
    "request.",    "req.",       "props.",    "state.",    "->",       "::",
    "=>",          "()",         "file://",   "input(",    "getpass",  "prompt(",
    "data[",       "enc(",       "!vault",    "secretref", "keyvault", "credentials("};
#define TEMPLATE "$(", "%(", "<%", "****", "....", "@@", "%s", "#{", "\xE2\x80\xA2", "\xE2\x80\xA6"
static const char *const template[MOST_INSIDE + 1] = {TEMPLATE};
static const char *const placeholder[MOST_INSIDE + 1] = {
    TEMPLATE,      "example",    "xxxx",       "changeme",  "change_me", "change-me",
    "placeholder", "your_",      "your-",      "yourtoken", "yourapi",   "yoursecret",
    "yourpass",    "yourkey",    "youraccess", "insert_",   "insert-",   "redacted",
    "replace_",    "replace-",   "replaceme",  "goes_here", "goes-here", "goeshere",
    "keyhere",     "tokenhere",  "_here",      "-here",     "enter_",    "put_your",
    "to_be_",      "undefined",  "not_real",   "notreal",   "my_secret", "mysecret",
    "my-secret",   "my_token",   "my-token",   "my_api",    "my-api",    "some_secret",
    "some-secret", "stringhere", "secrethere", "dummy",     "foobar",    "test_test",
    "randomstring"};

static const char *const *const lists[DLP_WORDS] = {
    [DLP_WORDS_ABOUT] = about,
    [DLP_WORDS_PLAIN] = plain,
    [DLP_WORDS_STRONG] = strong,
    [DLP_WORDS_NO_PASSWORD] = no_password,
    [DLP_WORDS_SAMPLE_PAIR] = sample_pair,
    [DLP_WORDS_SAMPLE_URL] = sample_url,
    [DLP_WORDS_HASH] = hash,
    [DLP_WORDS_REFERENCE] = reference,
    [DLP_WORDS_TEMPLATE] = template,
    [DLP_WORDS_PLACEHOLDER] = placeholder,
};

/* Of a list whose words a value may be: where each is, by its hash; plus 1. */
static uint8_t slots[DLP_WORDS_INSIDE][SLOTS];
/* Of one whose words may stand in a value: which can have a byte at their first places, by its six bits, or the value's end. */
enum { PLACES = 3, VALUE_END = 64 };
static uint64_t firsts[DLP_WORDS - DLP_WORDS_INSIDE][PLACES][VALUE_END + 1];
/* The same of eight groups of such a list's words, which are alike if they stand together, in bytes. */
static uint8_t groups[DLP_WORDS - DLP_WORDS_INSIDE][PLACES * VALUE_END];
static uint8_t lengths[DLP_WORDS][MOST_WORDS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static unsigned slot_of(struct gw_span s)
{
    unsigned h = (unsigned)s.len;

    for (size_t i = 0; i < s.len; i++)
        h = h * 31 + (unsigned char)gw_ascii_lower(s.ptr[i]);
    return (h ^ h >> 9) % SLOTS;
}

/* Six bits of a byte: letters of either case are one. */
static unsigned six(char c)
{
    unsigned byte = (unsigned char)c;

    return byte & ~(byte >> 1 & 0x20) & 63;
}

/* Enters word i of a list in its table. */
static void add_inside(uint64_t table[PLACES][VALUE_END + 1], struct gw_span word, unsigned i)
{
    const uint64_t bit = UINT64_C(1) << i;

    for (unsigned k = 0; k < PLACES; k++) {
        if (k < word.len)
            table[k][six(word.ptr[k])] |= bit;
        for (unsigned byte = 0; k >= word.len && byte <= VALUE_END; byte++)
            table[k][byte] |= bit;
    }
}

/* Fills the groups of a list of n words. */
static void fill_groups(unsigned list, unsigned n)
{
    enum { GROUPS = 8 };

    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < PLACES; k++)
            for (unsigned byte = 0; byte < VALUE_END; byte++)
                groups[list][k * VALUE_END + byte] |=
                    (uint8_t)((firsts[list][k][byte] >> i & 1) << (i * GROUPS / n));
}

static void fill(void)
{
    for (unsigned list = 0; list < DLP_WORDS; list++) {
        unsigned n = 0;

        for (unsigned i = 0; lists[list][i] != NULL; i++, n++) {
            const struct gw_span word = gw_span_str(lists[list][i]);
            unsigned slot = slot_of(word);

            lengths[list][i] = (uint8_t)word.len;
            if (list >= DLP_WORDS_INSIDE) {
                add_inside(firsts[list - DLP_WORDS_INSIDE], word, i);
                continue;
            }
            while (slots[list][slot] != 0)
                slot = (slot + 1) % SLOTS;
            slots[list][slot] = (uint8_t)(i + 1);
        }
        if (list >= DLP_WORDS_INSIDE)
            fill_groups(list - DLP_WORDS_INSIDE, n);
    }
}

bool dlp_val_is_word(enum dlp_words list, struct gw_span s)
{
    if (s.len > LONGEST)
        return false;
    (void)pthread_once(&once, fill);
    for (unsigned slot = slot_of(s); slots[list][slot] != 0; slot = (slot + 1) % SLOTS) {
        unsigned i = slots[list][slot] - 1U;

        if (gw_span_eq_nocase(s, (struct gw_span){lists[list][i], lengths[list][i]}))
            return true;
    }
    return false;
}

/* Does one of these words of the list stand at `at`? */
static bool stands(enum dlp_words list, uint64_t words, struct gw_span s, size_t at)
{
    for (; words != 0; words &= words - 1) {
        unsigned i = (unsigned)__builtin_ctzll(words);
        size_t n = lengths[list][i];

        if (n <= s.len - at &&
            gw_span_eq_nocase((struct gw_span){s.ptr + at, n}, (struct gw_span){lists[list][i], n}))
            return true;
    }
    return false;
}

/* The same as below of 2 to 64 bytes where dlp_val_has_avx512(). */
static bool has_word_wide(enum dlp_words list, struct gw_span s)
{
    uint64_t(*table)[VALUE_END + 1] = firsts[list - DLP_WORDS_INSIDE];

    for (uint64_t left = dlp_val_word_places_avx512(groups[list - DLP_WORDS_INSIDE], s); left != 0;
         left &= left - 1) {
        size_t at = (size_t)__builtin_ctzll(left);
        unsigned third = at + 2 < s.len ? six(s.ptr[at + 2]) : VALUE_END;

        if (stands(list, table[0][six(s.ptr[at])] & table[1][six(s.ptr[at + 1])] & table[2][third],
                   s, at))
            return true;
    }
    return false;
}

bool dlp_val_has_word_scalar(enum dlp_words list, struct gw_span s)
{
    uint64_t(*table)[VALUE_END + 1] = firsts[list - DLP_WORDS_INSIDE];
    unsigned first, second = s.len > 0 ? six(s.ptr[0]) : 0, third = s.len > 1 ? six(s.ptr[1]) : 0;

    (void)pthread_once(&once, fill);
    for (size_t at = 0; at + 1 < s.len; at++) {
        first = second;
        second = third;
        third = at + 2 < s.len ? six(s.ptr[at + 2]) : VALUE_END;
        if (stands(list, table[0][first] & table[1][second] & table[2][third], s, at))
            return true;
    }
    return false;
}

bool dlp_val_has_word(enum dlp_words list, struct gw_span s)
{
    enum { WORD = 64 };

    (void)pthread_once(&once, fill);
    return s.len > 1 && s.len <= WORD && dlp_val_has_avx512() ? has_word_wide(list, s)
                                                              : dlp_val_has_word_scalar(list, s);
}
