/* dlp/validate_impl.h - what the files of the validators share; private to dlp/validate*.c.
 *
 * Every validator is a line of DLP_VALIDATORS and a function dlp_validate_NAME(). The helpers below the
 * table turn a span into digits, letters or decoded bytes; none reads outside the span. */
#ifndef DLP_VALIDATE_IMPL_H
#define DLP_VALIDATE_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dlp/validate.h"

/* name, kind of argument, default number, question asked of a string argument (or NULL) */
#define DLP_VALIDATORS(X)                                                                          \
    X(luhn, NONE, 0, NULL)                                                                         \
    X(card, NONE, 0, NULL)                                                                         \
    X(iban, NONE, 0, NULL)                                                                         \
    X(bic, NONE, 0, NULL)                                                                          \
    X(aba, NONE, 0, NULL)                                                                          \
    X(verhoeff, NONE, 0, NULL)                                                                     \
    X(mod97, NONE, 0, NULL)                                                                        \
    X(mod11_2, NONE, 0, NULL)                                                                      \
    X(mod11_10, NONE, 0, NULL)                                                                     \
    X(mod37_2, NONE, 0, NULL)                                                                      \
    X(damm, NONE, 0, NULL)                                                                         \
    X(ean, NONE, 0, NULL)                                                                          \
    X(isin, NONE, 0, NULL)                                                                         \
    X(cusip, NONE, 0, NULL)                                                                        \
    X(sedol, NONE, 0, NULL)                                                                        \
    X(vin, NONE, 0, NULL)                                                                          \
    X(mrz, NONE, 0, NULL)                                                                          \
    X(track, NONE, 0, NULL)                                                                        \
    X(varied_digits, NONE, 0, NULL)                                                                \
    X(id, STRING, 0, dlp_id_known)                                                                 \
    X(id_soft, STRING, 0, dlp_id_known)                                                            \
    X(id_one_of, STRING, 0, dlp_ids_known)                                                         \
    X(vat, NONE, 0, NULL)                                                                          \
    X(id_any, STRING, 0, dlp_id_kind_known)                                                        \
    X(eic, NONE, 0, NULL)                                                                          \
    X(plate_de, NONE, 0, NULL)                                                                     \
    X(alone, NUMBER, 3, NULL)                                                                      \
    X(alone_adds, NUMBER, 12, NULL)                                                                \
    X(entropy, NUMBER, 3.0, NULL)                                                                  \
    X(not_placeholder, NONE, 0, NULL)                                                              \
    X(sample, NONE, 0, NULL)                                                                       \
    X(random, NONE, 0, NULL)                                                                       \
    X(classes, NUMBER, 2, NULL)                                                                    \
    X(secret_value, NONE, 0, NULL)                                                                 \
    X(password_value, NONE, 0, NULL)                                                               \
    X(prose_password, NONE, 0, NULL)                                                               \
    X(jwt, NONE, 0, NULL)                                                                          \
    X(crc32_base62, NONE, 0, NULL)                                                                 \
    X(crc32_hex, NONE, 0, NULL)                                                                    \
    X(base64_prefix, STRING, 0, NULL)                                                              \
    X(base64_json, NONE, 0, NULL)                                                                  \
    X(base64_text, NONE, 0, NULL)                                                                  \
    X(base64_has, STRING, 0, NULL)                                                                 \
    X(basic_auth, NONE, 0, NULL)                                                                   \
    X(discord_token, NONE, 0, NULL)                                                                \
    X(pem, NONE, 0, NULL)                                                                          \
    X(uuid, NONE, 0, NULL)                                                                         \
    X(base58check, NONE, 0, NULL)                                                                  \
    X(base58_bytes, NUMBER, 32, NULL)                                                              \
    X(bech32, NONE, 0, NULL)                                                                       \
    X(cashaddr, NONE, 0, NULL)                                                                     \
    X(strkey, NONE, 0, NULL)                                                                       \
    X(eip55, NONE, 0, NULL)                                                                        \
    X(aws_account, NUMBER, 0, NULL)                                                                \
    X(user_pair, NONE, 0, NULL)                                                                    \
    X(url_password, NONE, 0, NULL)                                                                 \
    X(ipv4, NONE, 0, NULL)                                                                         \
    X(ipv6, NONE, 0, NULL)                                                                         \
    X(mac, NONE, 0, NULL)                                                                          \
    X(email, NONE, 0, NULL)                                                                        \
    X(phone, NONE, 0, NULL)                                                                        \
    X(phone_national, NONE, 0, NULL)                                                               \
    X(date, NONE, 0, NULL)                                                                         \
    X(npi, NONE, 0, NULL)                                                                          \
    X(dea, NONE, 0, NULL)                                                                          \
    X(mbi, NONE, 0, NULL)                                                                          \
    X(icd10, NONE, 0, NULL)                                                                        \
    X(code_shape, NUMBER, 3, NULL)

#define DLP_DECLARE(name, arg, num, accepts)                                                       \
    int dlp_validate_##name(const struct dlp_validate_in *in);
DLP_VALIDATORS(DLP_DECLARE)
#undef DLP_DECLARE

/* Of tokens: people paste cut and altered ones, so a wrong checksum lowers and does not drop. */
enum { WRONG_CHECKSUM = -35, RIGHT_CHECKSUM = 5 };

/* Is this the name of an identifier scheme (`id(pl_pesel)`)? */
bool dlp_id_known(struct gw_span name);

/* Are these names of schemes, with full stops between them (`id_one_of(be_vat.nl_btw)`)? */
bool dlp_ids_known(struct gw_span list);

/* Is this a kind of systems (`id_any(person)`)? */
bool dlp_id_kind_known(struct gw_span name);

/* ---- helpers (validate_text.c) ------------------------------------------------------------- */

static inline struct gw_span dlp_val_span(const struct dlp_validate_in *in)
{
    return (struct gw_span){in->text.ptr + in->start, in->end - in->start};
}

/* The byte of the text at i; a blank before its beginning (i wrapped) and behind its end. */
static inline char dlp_val_char(const struct dlp_validate_in *in, size_t i)
{
    if (i < in->text.len)
        return in->text.ptr[i];
    return ' ';
}

static inline bool dlp_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool dlp_is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static inline bool dlp_is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static inline bool dlp_is_alpha(char c)
{
    return dlp_is_lower(c) || dlp_is_upper(c);
}

static inline bool dlp_is_alnum(char c)
{
    return dlp_is_alpha(c) || dlp_is_digit(c);
}

static inline bool dlp_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The value of a hexadecimal digit, or -1. */
static inline int dlp_hex_value(char c)
{
    if (dlp_is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Copies the span's digits as numbers 0 to 9 and skips everything else. Returns how many, 0 when there
 * are more than max. */
size_t dlp_val_digits(struct gw_span s, unsigned char *digits, size_t max);

/* Copies the span's letters (upper-cased) and digits and skips separators (space - . / _). Returns the
 * length, 0 when something else is in it or it is longer than max. */
size_t dlp_val_compact(struct gw_span s, char *out, size_t max);

/* Shannon entropy of the bytes, bits per byte. */
double dlp_val_entropy(struct gw_span s);

/* How much of the span reads like words, 0.0 (random) to 1.0. */
double dlp_val_wordiness(struct gw_span s);
/* The same byte by byte; and of 1 to 64 bytes where dlp_val_has_avx512(). */
double dlp_val_wordiness_scalar(struct gw_span s);
double dlp_val_wordiness_avx512(struct gw_span s);

#if defined(__x86_64__)
/* Has the machine what the variants for AVX-512 need? */
static inline bool dlp_val_has_avx512(void)
{
    return __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi2") &&
           __builtin_cpu_supports("bmi2");
}
#else
static inline bool dlp_val_has_avx512(void)
{
    return false;
}
#endif

/* What reads more like words than that is no random token. */
#define DLP_VAL_WORDY 0.55
/* The pairs of letters that words have (dlp/validate_text.c). */
extern const uint8_t dlp_val_pair_bits[128];

/* Case-insensitive search. */
bool dlp_val_contains(struct gw_span s, const char *lower_needle);

/* ---- helpers (validate_sample.c) ------------------------------------------------------------ */

/* Does the span look made up for documentation (changeme, XXXX, ${VAR}, <token>, EXAMPLE, 1234567)? */
bool dlp_val_is_placeholder(struct gw_span s);

/* How many bytes stand in runs of four and more that count up or down (abcd, 4321, qwerty). */
size_t dlp_val_sequential(struct gw_span s);
/* The key to the right of each small letter, by its lower five bits; NUL: it ends a row. */
extern const char dlp_val_key_right[64];
/* Can a token of 1 to 64 bytes have such a run? And the same where dlp_val_has_avx512(). */
bool dlp_val_may_count(struct gw_span s);
bool dlp_val_may_count_avx512(struct gw_span s);

/* Which bits have n - 1 others set behind them? */
static inline uint64_t dlp_val_in_rows(uint64_t bits, unsigned n)
{
    for (unsigned row = 1; row < n; row++)
        bits &= bits >> 1;
    return bits;
}

/* ---- helpers (validate_words.c) ------------------------------------------------------------- */

/* Lists of words, without case. A value is one of the words of the first ones; those of DLP_WORDS_INSIDE and behind have two bytes or more
 * and stand in it. */
enum dlp_words {
    DLP_WORDS_ABOUT,       /* names: the value is not the secret but something about it */
    DLP_WORDS_PLAIN,       /* names of things that end with "key" or "token" and are no secret */
    DLP_WORDS_STRONG,      /* names of what is a secret */
    DLP_WORDS_NO_PASSWORD, /* what stands where a password would */
    DLP_WORDS_SAMPLE_PAIR, /* passwords behind a user in examples */
    DLP_WORDS_SAMPLE_URL,  /* passwords in addresses of examples */
    DLP_WORDS_INSIDE,
    DLP_WORDS_HASH = DLP_WORDS_INSIDE, /* what a value is called that is a hash */
    DLP_WORDS_REFERENCE, /* references to where the secret is kept, and pieces of programs */
    DLP_WORDS_TEMPLATE,  /* holes of templates, and what hides a value */
    DLP_WORDS_PLACEHOLDER, /* these, and what documentation writes in place of a secret: asked at once */
    DLP_WORDS
};

/* Is s a word of a list in front of DLP_WORDS_INSIDE? */
bool dlp_val_is_word(enum dlp_words list, struct gw_span s);
/* Does a word of one of the other lists stand in s? */
bool dlp_val_has_word(enum dlp_words list, struct gw_span s);
/* The same byte by byte. */
bool dlp_val_has_word_scalar(enum dlp_words list, struct gw_span s);
/* Where one of some groups of words may stand in 2 to 64 bytes, by the six bits of three bytes each, a bit each group; every place
 * has a byte behind it. Where dlp_val_has_avx512(). */
uint64_t dlp_val_word_places_avx512(const uint8_t groups[3 * 64], struct gw_span s);

/* ---- helpers (validate_name.c) ------------------------------------------------------------- */

/* What the name in front of an assigned value says of it, in points; DLP_VALIDATE_REJECT when it names
 * something else (key_path, token_type). */
int dlp_val_name_score(const struct dlp_validate_in *in);

/* Is the value called a hash, commit or checksum right in front of it? */
bool dlp_val_is_called_hash(const struct dlp_validate_in *in);

/* ---- helpers (validate_token.c) ------------------------------------------------------------ */

/* Decodes base64 or base64url, with or without padding, as far as out reaches. Returns the bytes written;
 * 0 when a character does not belong there. */
size_t dlp_val_base64(struct gw_span s, unsigned char *out, size_t max);

/* CRC-32 (IEEE 802.3, as zlib's). */
uint32_t dlp_val_crc32(struct gw_span s);

/* ---- helpers (validate_digits.c) ----------------------------------------------------------- */

bool dlp_luhn_ok(const unsigned char *d, size_t n);
bool dlp_verhoeff_ok(const unsigned char *d, size_t n);
bool dlp_mod11_10_ok(const unsigned char *d, size_t n);
/* ISO 7064 mod 97-10 over letters and digits: the number with letters as 10 to 35, mod 97. */
unsigned dlp_mod97(const char *s, size_t n);
/* Sum of d[i] * w[i]. */
int dlp_weigh(const unsigned char *d, const signed char *w, size_t n);
/* Is it a day of the Gregorian calendar? y is the full year. */
bool dlp_date_ok(int y, int m, int d);
/* All digits equal, or an ascending or descending run such as 123456789. */
bool dlp_digits_trivial(const unsigned char *d, size_t n);

#endif
