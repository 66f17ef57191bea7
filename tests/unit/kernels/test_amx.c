/* Unit tests of tests/unit/kernels/amx_emulator.h: each instruction, in the encodings that compilers choose, against
 * loops over plain arrays; and that what a CPU forbids ends the program. What kernels do with them: test_matmul.c. */
#include <sys/wait.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/amx.h"
#include "tests/test.h"
#include "tests/unit/kernels/amx_emulator.h"

enum { M = 5, N = 7, K = 6 }; /* rows of sums, lanes of a row, fours or pairs to multiply */

static uint8_t a[16][64], b[16][64], sums[16][64];

static struct amx_config shapes(void)
{
    struct amx_config c = {.palette = 1};

    c.row_bytes[0] = c.row_bytes[7] = 4 * N;
    c.rows[0] = c.rows[7] = M;
    c.row_bytes[1] = 4 * K;
    c.rows[1] = M;
    c.row_bytes[6] = 4 * N;
    c.rows[6] = K;
    return c;
}

static void fill(void *p, size_t n)
{
    static uint64_t seed = 99;
    uint8_t *bytes = p;

    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (uint8_t)(seed >> 56);
    }
}

static int32_t value(const uint8_t *row, unsigned i, bool is_signed)
{
    return is_signed ? (int8_t)row[i] : row[i];
}

/* sums as a product of bytes leaves it after two turns. */
static int wrong_bytes(bool a_signed, bool b_signed)
{
    int wrong = 0;

    for (unsigned m = 0; m < M; m++) {
        for (unsigned n = 0; n < N; n++) {
            int32_t want = 0, got;

            for (unsigned k = 0; k < K; k++)
                for (unsigned z = 0; z < 4; z++)
                    want += 2 * value(a[m], 4 * k + z, a_signed) * value(b[k], 4 * n + z, b_signed);
            memcpy(&got, &sums[m][4 * n], sizeof(got));
            wrong += got != want;
        }
    }
    return wrong;
}

#define DOT(name)                                                                                  \
    do {                                                                                           \
        AMX_LOAD(1, a, 64);                                                                        \
        AMX_LOAD(6, b, 64);                                                                        \
        AMX_ZERO(7);                                                                               \
        __asm__ volatile(name " %%tmm6, %%tmm1, %%tmm7\n\t" name " %%tmm6, %%tmm1, %%tmm7" : :);   \
        memset(sums, 0x77, sizeof(sums));                                                          \
        AMX_STORE(7, sums, 64);                                                                    \
    } while (0)

static void test_bytes(void)
{
    const struct amx_config c = shapes();

    fill(a, sizeof(a));
    fill(b, sizeof(b));
    amx_configure(&c);
    DOT("tdpbssd");
    CHECK(wrong_bytes(true, true) == 0);
    DOT("tdpbsud");
    CHECK(wrong_bytes(true, false) == 0);
    DOT("tdpbusd");
    CHECK(wrong_bytes(false, true) == 0);
    DOT("tdpbuud");
    CHECK(wrong_bytes(false, false) == 0);
    CHECK(sums[0][4 * N] == 0x77 && sums[M][0] == 0x77); /* nothing beyond the shape */
    amx_release();
}

/* Small whole numbers: every sum is exact, whatever its order. Then one that overflows, and denormal ones. */
static void test_bf16(void)
{
    const struct amx_config c = shapes();
    static float x[M][2 * K], y[K][2 * N];
    int wrong = 0;

    for (unsigned i = 0; i < M * 2 * K; i++)
        x[i / (2 * K)][i % (2 * K)] = (float)((int)(i * 37 % 255) - 127);
    for (unsigned i = 0; i < K * 2 * N; i++)
        y[i / (2 * N)][i % (2 * N)] = (float)((int)(i * 91 % 255) - 127);
    for (unsigned i = 0; i < M * 2 * K; i++)
        memcpy(&a[i / (2 * K)][2 * (i % (2 * K))], (char *)&x[i / (2 * K)][i % (2 * K)] + 2, 2);
    for (unsigned i = 0; i < K * 2 * N; i++)
        memcpy(&b[i / (2 * N)][2 * (i % (2 * N))], (char *)&y[i / (2 * N)][i % (2 * N)] + 2, 2);
    amx_configure(&c);
    DOT("tdpbf16ps");
    for (unsigned m = 0; m < M; m++) {
        for (unsigned n = 0; n < N; n++) {
            float want = 0, got;

            for (unsigned k = 0; k < 2 * K; k++)
                want += 2 * x[m][k] * y[k / 2][2 * n + k % 2];
            memcpy(&got, &sums[m][4 * n], sizeof(got));
            wrong += got < want || got > want;
        }
    }
    CHECK(wrong == 0);
    memset(a, 0, sizeof(a));
    memset(b, 0, sizeof(b));
    a[0][0] = b[0][0] = 1; /* denormal: 0 */
    a[0][5] = 0x7f;        /* 2^127 or so times the same */
    a[0][4] = b[1][0] = 0x00;
    b[1][1] = 0x7f;
    DOT("tdpbf16ps");
    {
        float got;

        memcpy(&got, sums, sizeof(got));
        CHECK(isinf(got) && got > 0);
    }
    amx_release();
}

/* Strides and addresses as compilers write them; what is loaded is stored again. */
static void test_addresses(void)
{
    const struct amx_config c = shapes();
    struct amx_config back;
    uint8_t out[16][64], *shifted = out[2];
    register uint8_t *far __asm__("r13") = a[0] + 1000;
    register size_t stride __asm__("r14") = 32;

    fill(a, sizeof(a));
    amx_configure(&c);
    __asm__ volatile("sttilecfg %0" : "=m"(back));
    CHECK(memcmp(&back, &c, sizeof(c)) == 0);
    __asm__ volatile("tileloadd -1000(%0,%1,2), %%tmm0" : : "r"(far), "r"(stride) : "memory");
    memset(out, 0x55, sizeof(out));
    __asm__ volatile("tilestored %%tmm0, -128(%0,%1)" : : "r"(shifted), "r"((size_t)64) : "memory");
    for (unsigned r = 0; r < M; r++)
        CHECK(memcmp(out[r], a[r], 4 * N) == 0 && out[r][4 * N] == 0x55);
    CHECK(out[M][0] == 0x55);
    /* rows of a stride that goes back; no index: every row the same */
    __asm__ volatile("tileloaddt1 (%0,%1,1), %%tmm0" : : "r"(a[8]), "r"((size_t)-64) : "memory");
    AMX_STORE(0, out, 64);
    CHECK(memcmp(out[0], a[8], 4 * N) == 0 && memcmp(out[4], a[4], 4 * N) == 0);
    __asm__ volatile(".byte 0xc4, 0xe2, 0x7b, 0x4b, 0x04, 0x20" : : "a"(a[3]) : "memory");
    AMX_STORE(0, out, 64);
    CHECK(memcmp(out[0], a[3], 4 * N) == 0 && memcmp(out[4], a[3], 4 * N) == 0);
    amx_release();
    __asm__ volatile("sttilecfg %0" : "=m"(back));
    CHECK(back.palette == 0 && back.rows[0] == 0);
}

/* Each of these ends a program. */
static void forbidden(unsigned which)
{
    struct amx_config c = shapes();

    c.zero[3] = which == 0;
    c.rows[0] = which == 1 ? 17 : c.rows[0];
    c.palette = which == 2 ? 2 : 1;
    c.row_bytes[1] = which == 3 ? 4 * K - 4 : c.row_bytes[1];
    amx_configure(&c);
    if (which == 3)
        AMX_DOT_SU(7, 1, 6);
    else if (which == 4)
        __asm__ volatile(".byte 0xc4, 0xe2, 0x72, 0x5e, 0xf9"); /* tmm7 += tmm1 * tmm1 */
    else if (which == 5)
        AMX_ZERO(3);
    else if (which == 6)
        amx_release();
    if (which == 6)
        AMX_LOAD(0, a, 64);
    else if (which == 7)
        __asm__ volatile("ud2");
}

static void test_forbidden(void)
{
    (void)fflush(NULL);
    for (unsigned which = 0; which < 9; which++) {
        const pid_t child = fork();
        int status = 0;

        if (child == 0) {
            (void)close(2);
            forbidden(which);
            _exit(7);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        if (which < 8)
            CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGILL);
        else
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    }
}

int main(void)
{
    if (kern_amx_allowed()) { /* nothing is illegal here */
        test_skip("this CPU has tiles: the emulator would never run");
        return test_done();
    }
    amx_emulate();
    test_bytes();
    test_bf16();
    test_addresses();
    test_forbidden();
    CHECK(!amx_state.configured && amx_state.done > 0);
    return test_done();
}
