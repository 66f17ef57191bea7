/* tests/unit/kernels/amx_emulator.h - the tile instructions (AMX) on a CPU without them, so that kernels that use them are
 * tested everywhere. x86-64 and Linux only.
 *
 * Such an instruction is an illegal one there: the handler of SIGILL decodes it (VEX, map 0F38, opcodes 49, 4B, 5C and
 * 5E), does on tiles of its own what the manual says, and steps over it. What the manual forbids (shapes that do not
 * fit, tiles without a shape, reserved bytes of a configuration) is not done: the program dies of SIGILL with a line that says why, as
 * it would on such a CPU. The handler calls nothing that may not be called there; its state is the thread's.
 *
 * Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2: LDTILECFG, STTILECFG, TILELOADD, TILESTORED,
 * TILEZERO, TILERELEASE, TDPBSSD, TDPBF16PS; 2.1.5: ModRM and SIB; 2.3: VEX. */
#ifndef TESTS_UNIT_KERNELS_AMX_EMULATOR_H
#define TESTS_UNIT_KERNELS_AMX_EMULATOR_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum { AMX_TILES = 8, AMX_ROWS = 16, AMX_ROW_BYTES = 64 };

/* The tiles of a thread. */
struct amx_state {
    bool configured;
    uint8_t config[64];
    uint8_t tile[AMX_TILES][AMX_ROWS][AMX_ROW_BYTES];
    unsigned long done; /* instructions */
};
static _Thread_local struct amx_state amx_state;

/* An instruction: fields of its prefix, and what its operands mean. */
struct amx_op {
    unsigned opcode, prefix; /* prefix: 0 none, 1 66, 2 F3, 3 F2 */
    unsigned reg, rm, vvvv;  /* registers, with their bits from the prefix */
    bool memory;
    uintptr_t address;
    uint64_t stride; /* of the index register, 0 without one */
    size_t length;
};

static inline uint64_t amx_register(const ucontext_t *uc, unsigned r)
{
    static const int of[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                             REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                             REG_R12, REG_R13, REG_R14, REG_R15};

    return (uint64_t)uc->uc_mcontext.gregs[of[r]];
}

/* The memory operand: m is ModRM, behind which lie SIB and displacement; x and b extend index and base. */
static inline void amx_address(const ucontext_t *uc, const uint8_t *code, size_t m, unsigned x,
                               unsigned b, struct amx_op *op)
{
    const unsigned mod = code[m] >> 6, rm = code[m] & 7;
    size_t at = m + 1;
    uint64_t base = 0, index = 0;
    bool wide = mod == 2, relative = false;
    int32_t disp = 0;

    if (rm == 4) {
        const unsigned sib = code[at++], i = (sib >> 3 & 7) | x << 3;

        if (i != 4)
            index = amx_register(uc, i) << (sib >> 6);
        if ((sib & 7) == 5 && mod == 0)
            wide = true;
        else
            base = amx_register(uc, (sib & 7) | b << 3);
    } else if (rm == 5 && mod == 0) {
        wide = relative = true;
    } else {
        base = amx_register(uc, rm | b << 3);
    }
    if (wide) {
        memcpy(&disp, code + at, sizeof(disp));
        at += sizeof(disp);
    } else if (mod == 1) {
        disp = (int8_t)code[at++];
    }
    op->length = at;
    op->stride = index;
    if (relative)
        base = (uint64_t)(uintptr_t)code + at;
    op->address = (uintptr_t)(base + (uint64_t)(int64_t)disp);
}

/* False: not an instruction of this kind. */
static inline bool amx_decode(const ucontext_t *uc, const uint8_t *code, struct amx_op *op)
{
    /* VEX of three bytes: C4, RXB (inverted) and the map, W vvvv (inverted) L pp */
    if (code[0] != 0xc4 || (code[1] & 31) != 2 || (code[2] & 0x84) != 0)
        return false;
    op->prefix = code[2] & 3;
    op->vvvv = ~(unsigned)(code[2] >> 3) & 15;
    op->opcode = code[3];
    if (op->opcode != 0x49 && op->opcode != 0x4b && op->opcode != 0x5c && op->opcode != 0x5e)
        return false;

    const unsigned r = (code[1] >> 7 & 1) ^ 1, x = (code[1] >> 6 & 1) ^ 1,
                   b = (code[1] >> 5 & 1) ^ 1;

    op->reg = (code[4] >> 3 & 7) | r << 3;
    op->rm = (code[4] & 7) | b << 3;
    op->memory = code[4] >> 6 != 3;
    op->length = 5;
    if (op->memory)
        amx_address(uc, code, 4, x, b, op);
    /* the instructions for tiles have no others */
    return op->opcode == 0x49 || op->reg < AMX_TILES;
}

static inline unsigned amx_row_bytes(unsigned t)
{
    return amx_state.config[16 + 2 * t] | (unsigned)amx_state.config[17 + 2 * t] << 8;
}
static inline unsigned amx_rows(unsigned t)
{
    return amx_state.config[48 + t];
}
static inline bool amx_has_shape(unsigned t)
{
    return amx_state.configured && t < AMX_TILES && amx_rows(t) > 0 && amx_row_bytes(t) > 0;
}

/* NULL, or why not. */
static inline const char *amx_set_config(const uint8_t *c)
{
    if (c[0] == 0) { /* the state at the start */
        memset(&amx_state.config, 0, sizeof(amx_state.config));
        memset(amx_state.tile, 0, sizeof(amx_state.tile));
        amx_state.configured = false;
        return NULL;
    }
    if (c[0] != 1)
        return "a palette that does not exist";
    for (unsigned i = 1; i < 64; i++) {
        const bool used = (i >= 16 && i < 32) || (i >= 48 && i < 56);

        if (!used && c[i] != 0)
            return "a reserved byte of a configuration is not zero";
    }
    for (unsigned t = 0; t < AMX_TILES; t++) {
        const unsigned bytes = c[16 + 2 * t] | (unsigned)c[17 + 2 * t] << 8;

        if (bytes > AMX_ROW_BYTES || c[48 + t] > AMX_ROWS || (bytes == 0) != (c[48 + t] == 0))
            return "a tile has an impossible shape";
    }
    memcpy(amx_state.config, c, sizeof(amx_state.config));
    memset(amx_state.tile, 0, sizeof(amx_state.tile));
    amx_state.configured = true;
    return NULL;
}

static inline const char *amx_do_config(const struct amx_op *op)
{
    uint8_t c[64];

    if (op->vvvv != 0)
        return "vvvv is used";
    if (!op->memory && op->prefix == 3) { /* TILEZERO */
        if (!amx_has_shape(op->reg))
            return "TILEZERO of a tile without a shape";
        memset(amx_state.tile[op->reg], 0, sizeof(amx_state.tile[0]));
        return NULL;
    }
    if (!op->memory) { /* TILERELEASE */
        memset(c, 0, sizeof(c));
        return op->prefix == 0 && op->reg == 0 && op->rm == 0 ? amx_set_config(c) : "unknown";
    }
    if (op->reg != 0 || op->prefix > 1)
        return "unknown";
    if (op->prefix == 1) { /* STTILECFG */
        memcpy((void *)op->address, amx_state.config, sizeof(c));
        return NULL;
    }
    memcpy(c, (const void *)op->address, sizeof(c));
    return amx_set_config(c);
}

static inline const char *amx_do_move(const struct amx_op *op)
{
    const unsigned bytes = amx_row_bytes(op->reg), rows = amx_rows(op->reg);

    if (!amx_has_shape(op->reg))
        return "a tile without a shape is loaded or stored";
    if (!op->memory || op->rm % 8 != 4 || op->vvvv != 0 || op->prefix == 0)
        return "no SIB";
    for (unsigned r = 0; r < AMX_ROWS; r++) {
        uint8_t *row = amx_state.tile[op->reg][r];
        char *at = (char *)op->address + r * op->stride;

        if (op->prefix == 2) { /* TILESTORED */
            if (r < rows)
                memcpy(at, row, bytes);
            continue;
        }
        memset(row, 0, AMX_ROW_BYTES);
        if (r < rows)
            memcpy(row, at, bytes);
    }
    return NULL;
}

/* Byte i of a row, signed or not. */
static inline int32_t amx_byte(const uint8_t *row, unsigned i, bool is_signed)
{
    return is_signed ? (int8_t)row[i] : row[i];
}

/* 5E: F2 both signed, F3 the first, 66 the second, none neither. */
static inline void amx_dot_bytes(const struct amx_op *op, unsigned a, unsigned b, unsigned rows,
                                 unsigned k, unsigned cols)
{
    const bool a_signed = op->prefix >= 2, b_signed = op->prefix == 3 || op->prefix == 1;

    for (unsigned m = 0; m < rows; m++) {
        for (unsigned n = 0; n < cols; n++) {
            uint32_t sum;

            memcpy(&sum, &amx_state.tile[op->reg][m][4 * n], sizeof(sum));
            for (unsigned i = 0; i < 4 * k; i++)
                sum += (uint32_t)(amx_byte(amx_state.tile[a][m], i, a_signed) *
                                  amx_byte(amx_state.tile[b][i / 4], 4 * n + i % 4, b_signed));
            memcpy(&amx_state.tile[op->reg][m][4 * n], &sum, sizeof(sum));
        }
    }
}

/* Denormal numbers count as zero. */
static inline float amx_flush(float f)
{
    uint32_t u;

    memcpy(&u, &f, sizeof(u));
    if ((u & 0x7f800000) == 0)
        u &= 0x80000000;
    memcpy(&f, &u, sizeof(f));
    return f;
}
static inline float amx_bf16(const uint8_t *p)
{
    const uint32_t u = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 24;
    float f;

    memcpy(&f, &u, sizeof(f));
    return amx_flush(f);
}

/* 5C: even and odd products in sums of their own, which are added to each other, then to the tile. Callers have FMA:
 * the table's other instructions need more. */
static inline __attribute__((target("fma"))) void amx_dot_bf16(const struct amx_op *op, unsigned a,
                                                               unsigned b, unsigned rows,
                                                               unsigned k, unsigned cols)
{
    for (unsigned m = 0; m < rows; m++) {
        for (unsigned n = 0; n < cols; n++) {
            float sum[2] = {0, 0}, old;

            for (unsigned i = 0; i < 2 * k; i++)
                sum[i % 2] = amx_flush(__builtin_fmaf(
                    amx_bf16(&amx_state.tile[a][m][2 * i]),
                    amx_bf16(&amx_state.tile[b][i / 2][4 * n + 2 * (i % 2)]), sum[i % 2]));
            memcpy(&old, &amx_state.tile[op->reg][m][4 * n], sizeof(old));
            old = amx_flush(amx_flush(old) + amx_flush(sum[0] + sum[1]));
            memcpy(&amx_state.tile[op->reg][m][4 * n], &old, sizeof(old));
        }
    }
}

static inline const char *amx_do_dot(const struct amx_op *op)
{
    const unsigned c = op->reg, a = op->rm, b = op->vvvv;

    if (op->memory || !amx_has_shape(c) || !amx_has_shape(a) || !amx_has_shape(b))
        return "a product of tiles without a shape";
    if (c == a || c == b || a == b)
        return "a product with one tile twice";
    if (amx_rows(c) != amx_rows(a) || amx_row_bytes(c) != amx_row_bytes(b) ||
        amx_row_bytes(a) != 4 * amx_rows(b) || amx_row_bytes(c) % 4 != 0)
        return "a product of shapes that do not fit";
    if (op->opcode == 0x5e)
        amx_dot_bytes(op, a, b, amx_rows(c), amx_rows(b), amx_row_bytes(c) / 4);
    else if (op->prefix == 2)
        amx_dot_bf16(op, a, b, amx_rows(c), amx_rows(b), amx_row_bytes(c) / 4);
    else
        return "unknown";
    return NULL;
}

static void amx_on_illegal(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    const uint8_t *code = (const uint8_t *)uc->uc_mcontext.gregs[REG_RIP];
    const char *why = "not an instruction for tiles";
    struct amx_op op = {0};

    (void)info;
    if (amx_decode(uc, code, &op))
        why = op.opcode == 0x49   ? amx_do_config(&op)
              : op.opcode == 0x4b ? amx_do_move(&op)
                                  : amx_do_dot(&op);
    if (why != NULL) {
        (void)!write(2, "illegal instruction: ", 21);
        (void)!write(2, why, strlen(why));
        (void)!write(2, "\n", 1);
        (void)signal(sig, SIG_DFL); /* and on return it is met again */
        return;
    }
    amx_state.done++;
    uc->uc_mcontext.gregs[REG_RIP] += (greg_t)op.length;
}

/* From here on tile instructions are done by this file. Once a process. */
static inline void amx_emulate(void)
{
    struct sigaction sa;

    memset(&sa, 0, sizeof(sa));
    sa.sa_sigaction = amx_on_illegal;
    sa.sa_flags = SA_SIGINFO;
    (void)sigaction(SIGILL, &sa, NULL);
}

#endif
