/* Unit tests of router/features.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "router/router.h"
#include "tests/test.h"

static struct router_features of(const char *text)
{
    struct router_features f = {0};

    router_features_add(&f, GW_SPAN("user"), gw_span_str(text));
    return f;
}

static unsigned score(const char *text)
{
    struct router_features f = of(text);

    return router_complexity_score(&f, NULL);
}

/* Each word of the list is found, in either case, and none for another of its length. */
static void test_all_words(void)
{
    struct router_features f =
        of("afterwards algorithm analyse analysis analyze architecture assess calculate calculus "
           "compare compute contrast critique debug derivative derive design diagnose equation "
           "evaluate explain finally first firstly implement improve inequality integral "
           "investigate justify lemma matrix modulo next optimise optimize polynomial "
           "probability proof prove reason refactor second secondly solve step strategy "
           "synthesize then theorem third tradeoff tradeoffs vector why ");

    CHECK(f.reason_words == 28 && f.steps == 10 && f.math_marks == 17);
    f = of("WHY Whx PROOF proog Thirdly the their");
    CHECK(f.reason_words == 1 && f.steps == 0 && f.math_marks == 1);
}

/* Wherever they stand, words and marks are counted alike: texts are looked at in stretches. */
static void test_places(void)
{
    unsigned n_wrong = 0;

    for (size_t at = 0; at <= 200; at++)
        for (size_t behind = 0; behind < 3; behind++) {
            char text[256];
            struct router_features f = {0};
            static const char words[] = "Prove synthesize x=1 why?";

            memset(text, at % 2 == 0 ? ' ' : '\xC3', sizeof(text));
            memcpy(text + at, words, sizeof(words) - 1);
            router_features_add(&f, GW_SPAN("user"),
                                (struct gw_span){text, at + sizeof(words) - 1 + behind});
            n_wrong += f.reason_words != 2 || f.math_marks != 2 ||
                       f.questions != (behind != 0 && at % 2 != 0 ? 0 : 1);
        }
    CHECK(n_wrong == 0);
    for (size_t len = 1; len < 200; len++) {
        char text[256];
        struct router_features f = {0};

        memset(text, 'w', sizeof(text)); /* one long word, and one that counts behind it */
        memcpy(text + len, " why", 4);
        router_features_add(&f, GW_SPAN("user"), (struct gw_span){text, len + 4});
        n_wrong += f.reason_words != 1 || f.math_marks != 0 || f.questions != 0;
    }
    CHECK(n_wrong == 0);
}

static void test_counts(void)
{
    struct router_features f = of("Why is it so? And \"who?\" asks http://x/?a=b why not?\n");

    CHECK(f.questions == 3 && f.reason_words == 2 && f.messages == 1 && f.user_turns == 1);
    f = of("1. first do this\n2) then that\n12 apples\n3.14 is pi\nfinally stop");
    CHECK(f.steps == 5);
    f = of("see:\n```c\nint x;\n\nwhy? prove\n```\nif (x) {\nreturn x;\n}\nThanks; bye");
    CHECK(f.code_lines == 5 && f.reason_words == 0 && f.questions == 0 && f.math_marks == 0);
    f = of("From now on, let us talk. Let me see, for (once) this is prose.");
    CHECK(f.code_lines == 0);
    f = of("solve x^2 + 3 = 12, \\frac{1}{2}, \xE2\x88\x91 and and/or a - b\n");
    CHECK(f.math_marks >= 5 && f.math_marks <= 7);
    f = of("and/or he/she n/a TCP/IP");
    CHECK(f.math_marks == 0);
    f = of("gr\xC3\xBC\xC3\x9F dich");
    CHECK(f.chars == 9);
}

/* Every word of the lists is found, in either case, and none inside a longer word. */
static void test_words(void)
{
    static const char *const reason[] = {
        "algorithm",  "analyse",  "analysis",  "analyze",   "architecture", "assess",
        "compare",    "contrast", "critique",  "debug",     "derive",       "design",
        "diagnose",   "evaluate", "explain",   "implement", "improve",      "investigate",
        "justify",    "optimise", "optimize",  "reason",    "refactor",     "strategy",
        "synthesize", "tradeoff", "tradeoffs", "why"};
    static const char *const step[] = {"afterwards", "finally",  "first", "firstly", "next",
                                       "second",     "secondly", "step",  "then",    "third"};
    static const char *const math[] = {
        "calculate", "calculus", "compute", "derivative", "equation",   "inequality",
        "integral",  "lemma",    "matrix",  "modulo",     "polynomial", "probability",
        "proof",     "prove",    "solve",   "theorem",    "vector"};
    char text[64];

    for (size_t i = 0; i < sizeof(reason) / sizeof(reason[0]); i++)
        CHECK(of(reason[i]).reason_words == 1);
    for (size_t i = 0; i < sizeof(step) / sizeof(step[0]); i++)
        CHECK(of(step[i]).steps == 1);
    for (size_t i = 0; i < sizeof(math) / sizeof(math[0]); i++) {
        (void)snprintf(text, sizeof(text), "The %s, x%s %sx", math[i], math[i], math[i]);
        text[4] = (char)(text[4] - 32);
        CHECK(of(text).math_marks == 1);
    }
    CHECK(of("a zebra or I").reason_words == 0);
}

static void test_roles(void)
{
    struct router_features f = {0};

    router_features_add(&f, GW_SPAN("system"), GW_SPAN("Explain why. 1. step\n```\ncode\n```"));
    CHECK(f.reason_words == 0 && f.code_lines == 0 && f.user_turns == 0 && f.messages == 1);
    router_features_add(&f, GW_SPAN("user"), GW_SPAN("hello"));
    router_features_add(&f, GW_SPAN("assistant"), GW_SPAN("why?"));
    router_features_add(&f, GW_SPAN("user"), GW_SPAN("bye"));
    CHECK(f.user_turns == 2 && f.messages == 4 && f.last_user_chars == 3 && f.questions == 0);
}

/* What people would expect of the order of prompts. */
static void test_tiers_of_everyday_prompts(void)
{
    static const char *const simple[] = {
        "Hello!",
        "What is the capital of France?",
        "Translate 'good morning' to Spanish.",
        "Write a friendly birthday wish for my colleague.",
        "Summarise this in one sentence: the meeting moved to Friday at noon.",
        "Why is the sky blue?",
    };
    static const char *const complex_[] = {
        "Design a distributed rate limiter, compare token bucket and sliding window, analyze the "
        "tradeoffs, and explain why one is better. Then implement it.",
        "Prove that the integral of x^2 from 0 to 1 equals 1/3, then derive the general theorem "
        "for polynomial integrands and explain each step.",
        "Debug and refactor this, explain why it fails:\n```python\ndef f(x):\n    y = x\n    for "
        "i "
        "in range(10):\n        y += f(y)\n    return y\n\nprint(f(1))\nprint(f(2))\nprint(f(3))\n"
        "print(f(4))\nprint(f(5))\nprint(f(6))\nprint(f(7))\nprint(f(8))\n```\nWhy?",
    };

    for (size_t i = 0; i < sizeof(simple) / sizeof(simple[0]); i++)
        if (!CHECK(score(simple[i]) < 25))
            fprintf(stderr, "  %u: %s\n", score(simple[i]), simple[i]);
    for (size_t i = 0; i < sizeof(complex_) / sizeof(complex_[0]); i++)
        if (!CHECK(score(complex_[i]) >= 50))
            fprintf(stderr, "  %u: %s\n", score(complex_[i]), complex_[i]);
}

/* The shares that the reason names add up to the score (below the cap). */
static void test_reason_adds_up(void)
{
    struct router_features f =
        of("Explain why. Compare a and b? Really?\n1. one\n2. two\nx = 1;\n");
    struct gw_buf reason = {0};
    unsigned sum = 0, total;

    f.tools = 2;
    f.schema = true;
    total = router_complexity_score(&f, &reason);
    for (const char *p = reason.ptr; (p = strstr(p, "(+")) != NULL; p += 2)
        sum += (unsigned)strtoul(p + 2, NULL, 10);
    CHECK(sum == total && total > 0 && total < 100);
    CHECK(strstr(reason.ptr, "tools 2 (+8)") != NULL &&
          strstr(reason.ptr, "schema 1 (+6)") != NULL);
    gw_buf_fini(&reason);
}

static void test_more_never_lowers_the_score(void)
{
    char text[4000] = "";
    unsigned last = 0;

    for (unsigned i = 0; i < 40; i++) {
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text),
                       "%u. explain the proof, x = %u; why?\n", i + 1, i);
        CHECK(score(text) >= last);
        last = score(text);
    }
    CHECK(last == 100);
}

static void test_hostile_text(void)
{
    size_t n = 8 << 20;
    char *text = malloc(n);
    struct router_features f = {0};
    const clock_t start = clock();

    for (int fill = 0; fill < 256; fill++) {
        memset(text, fill, 1 << 16);
        router_features_add(&f, GW_SPAN("user"), (struct gw_span){text, 1 << 16});
    }
    memset(text, '?', n);
    for (unsigned i = 0; i < 20; i++)
        router_features_add(&f, GW_SPAN("user"), (struct gw_span){text, n});
    CHECK(router_complexity_score(&f, NULL) <= 100);
    CHECK(f.user_turns == 276);
    CHECK((clock() - start) / CLOCKS_PER_SEC <
          20); /* of CPU time: linear, even when a machine is slow */
    f = (struct router_features){UINT32_MAX, UINT32_MAX, UINT16_MAX, UINT16_MAX,
                                 UINT16_MAX, UINT16_MAX, UINT16_MAX, UINT16_MAX,
                                 UINT16_MAX, UINT16_MAX, true};
    CHECK(router_complexity_score(&f, NULL) == 100);
    router_features_add(&f, GW_SPAN("user"), GW_SPAN("1. why? x = 1;"));
    CHECK(f.chars == UINT32_MAX && f.messages == UINT16_MAX && f.steps == UINT16_MAX);
    router_features_add(&f, GW_SPAN("user"), (struct gw_span){NULL, 0});
    free(text);
}

/* Cut anywhere: exactly sized copies, so that ASan sees a read past the end. */
static void test_every_prefix(void)
{
    static const char text[] =
        "1. why? x^2 \\frac \xE2\x88\x91 \xCF\x80\n```\ncode;\n```\ndef f(x): a=b";

    for (size_t n = 0; n < sizeof(text); n++) {
        struct router_features f = {0};
        char *cut = malloc(n + 1);

        memcpy(cut, text, n);
        router_features_add(&f, GW_SPAN("user"), (struct gw_span){cut, n});
        CHECK(f.messages == 1);
        free(cut);
    }
}

int main(void)
{
    test_all_words();
    test_places();
    test_counts();
    test_words();
    test_roles();
    test_tiers_of_everyday_prompts();
    test_reason_adds_up();
    test_more_never_lowers_the_score();
    test_hostile_text();
    test_every_prefix();
    return test_done();
}
