// tests/simt/simt.cc - runs the blocks of a kernel on the host: see cuda_runtime.h.
//
// Each thread of a block has a stack and runs until it meets others (a barrier, a shuffle), then the next one does. When a
// whole turn moved nobody, the kernel waits for threads that will never come: the test ends and says so.
#include <stdio.h>

#include "tests/simt/cuda_runtime.h"
#include "tests/simt/simt_hopper.h"

extern "C" float kern_f16_f32(uint16_t h);

struct simt_place *simt_here;
const simt_halves simt_f16;
unsigned simt_order;
unsigned long simt_launches, simt_threads;

namespace
{

enum { STACK = 128 * 1024, MAX_THREADS = 1024, MAX_COPIES = 256 };
enum { SHARED_MAX = 228 * 1024, SHARED_BASE = 1024 + 128 };

struct meeting {
    unsigned came, turn;
};
struct copy {
    void *to;
    const void *from;
    unsigned bytes;
    bool real;
    unsigned group;
};
struct fiber {
    struct simt_place place; // first: simt_here points here
    void *sp;
    const unsigned *waits_for; // the turn of a meeting
    unsigned turn;
    bool done, parity, polls;
    unsigned warp, lane;
    copy copies[MAX_COPIES];
    unsigned n_copies, group;
};
struct warp {
    struct meeting m;
    unsigned alive;
    alignas(64) char slots[2][32 * SIMT_SLOT];
};

fiber *fibers;
char *stacks;
warp warps[MAX_THREADS / 32];
meeting block;
unsigned alive, n_threads;
// Addresses of shared memory are places in here; dynamic memory begins at one that is aligned as kernels ask for and no better.
alignas(1024) char shared_memory[SHARED_BASE + SHARED_MAX];
char *const dynamic = shared_memory + SHARED_BASE;
unsigned long stirs; // how often somebody's waiting came to an end
size_t dynamic_bytes;
void *main_sp;
void (*the_body)(void *);
unsigned turns[MAX_THREADS]; // the threads in the order of this launch
void *the_ctx;

fiber *self()
{
    return reinterpret_cast<fiber *>(simt_here);
}

// Saves what a call must keep, changes the stack and takes up what was saved there.
extern "C" void simt_switch(void **save, void *to);
asm(".text\n.type simt_switch,@function\nsimt_switch:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n  ret\n"
    ".size simt_switch,.-simt_switch\n");

void next_turn(meeting *m, unsigned expected)
{
    if (m->came == expected && expected != 0) {
        m->came = 0;
        m->turn++;
    }
}

void wait_at(meeting *m, unsigned expected)
{
    fiber *f = self();
    const unsigned turn = m->turn;

    m->came++;
    next_turn(m, expected);
    if (m->turn != turn)
        return;
    f->waits_for = &m->turn;
    f->turn = turn;
    simt_switch(&f->sp, main_sp);
}

void finish_copies(fiber *f, unsigned newest)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < f->n_copies; i++) {
        const copy c = f->copies[i];

        if (c.group + newest >= f->group) {
            f->copies[kept++] = c;
        } else if (c.real) {
            memcpy(c.to, c.from, c.bytes);
        } else {
            memset(c.to, 0, c.bytes);
        }
    }
    f->n_copies = kept;
}

void entry()
{
    the_body(the_ctx);
    fiber *f = self();
    void *gone;

    f->done = true;
    alive--;
    warps[f->warp].alive--;
    next_turn(&warps[f->warp].m, warps[f->warp].alive);
    next_turn(&block, alive);
    simt_switch(&gone, main_sp);
}

void start(fiber *f, char *stack)
{
    void **sp = reinterpret_cast<void **>(stack + STACK) - 2;

    sp[0] = reinterpret_cast<void *>(entry);
    sp[1] = nullptr;
    f->sp = sp - 6;
    f->waits_for = nullptr;
    f->done = f->parity = f->polls = false;
    f->n_copies = f->group = 0;
}

// A number from 0 to n - 1 for each i, none twice: the order of turns.
unsigned turn_of(unsigned i, unsigned n)
{
    unsigned step = 7919;

    if (simt_order == 0)
        return i;
    if (simt_order == 1)
        return n - 1 - i;
    while (n % 2 == 0 ? step % 2 == 0 : n % step == 0)
        step++;
    for (unsigned d = 3; d <= n && d < step; d += 2)
        if (n % d == 0 && step % d == 0)
            return n - 1 - i;
    return (unsigned)(((unsigned long)i * step + simt_order) % n);
}

void run_block()
{
    for (unsigned left = n_threads; left > 0;) {
        const unsigned long before = stirs;
        unsigned moved = 0;

        for (unsigned i = 0; i < n_threads; i++) {
            fiber *f = &fibers[turns[i]];

            if (f->done || (f->waits_for != nullptr && *f->waits_for == f->turn))
                continue;
            f->waits_for = nullptr;
            f->polls = false;
            simt_here = &f->place;
            simt_switch(&main_sp, f->sp);
            moved += !f->polls;
            left -= f->done;
        }
        if (moved == 0 && stirs == before && !simt_hopper_late())
            simt_die("threads wait for others that will not come");
    }
}

} // namespace

simt_halves::simt_halves()
{
    for (unsigned h = 0; h < 65536; h++)
        of[h] = kern_f16_f32((uint16_t)h);
}

void simt_die(const char *why)
{
    fprintf(stderr, "simt: %s\n", why);
    fflush(NULL);
    _Exit(3);
}

void *simt_shared()
{
    return dynamic;
}

uint32_t simt_shared_address(const void *p)
{
    const char *c = static_cast<const char *>(p);

    if (c < shared_memory || c >= dynamic + dynamic_bytes)
        simt_die("an address that is not in the block's shared memory");
    return (uint32_t)(c - shared_memory);
}

void *simt_shared_at(uint32_t address)
{
    return address >= SHARED_BASE && address < SHARED_BASE + dynamic_bytes ? shared_memory + address
                                                                           : nullptr;
}

void simt_poll()
{
    fiber *f = self();

    f->polls = true;
    simt_switch(&f->sp, main_sp);
}

void simt_stir()
{
    stirs++;
}

void simt_sync()
{
    wait_at(&block, alive);
}

const void *simt_meet(const void *mine, size_t bytes)
{
    fiber *f = self();
    warp *w = &warps[f->warp];
    char *slots = w->slots[f->parity];

    f->parity = !f->parity;
    if (bytes != 0)
        memcpy(slots + f->lane * SIMT_SLOT, mine, bytes);
    wait_at(&w->m, w->alive);
    return slots;
}

void simt_copy(void *to, const void *from, unsigned bytes, bool real)
{
    fiber *f = self();

    if (static_cast<char *>(to) < dynamic ||
        static_cast<char *>(to) + bytes > dynamic + dynamic_bytes)
        simt_die("an asynchronous copy does not go into the shared memory");
    if (f->n_copies == MAX_COPIES)
        simt_die("too many asynchronous copies");
    memset(to, 0xee, bytes);
    f->copies[f->n_copies++] = {to, from, bytes, real, f->group};
}

void simt_copy_commit()
{
    self()->group++;
}

void simt_copy_wait(unsigned newest)
{
    finish_copies(self(), newest);
}

void simt_run(dim3 grid, dim3 dims, size_t shared, void (*body)(void *), void *ctx)
{
    n_threads = dims.x * dims.y * dims.z;
    if (n_threads == 0 || n_threads > MAX_THREADS || shared > SHARED_MAX)
        simt_die("a launch that no device takes");
    if (fibers == nullptr) {
        fibers = static_cast<fiber *>(calloc(MAX_THREADS, sizeof(fiber)));
        stacks = static_cast<char *>(aligned_alloc(4096, (size_t)MAX_THREADS * STACK));
    }
    if (fibers == nullptr || stacks == nullptr)
        simt_die("out of memory");
    simt_launches++;
    the_body = body;
    the_ctx = ctx;
    dynamic_bytes = shared;
    for (unsigned i = 0; i < n_threads; i++)
        turns[i] = turn_of(i, n_threads);
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                memset(dynamic, 0xee, shared);
                simt_hopper_begin();
                memset(warps, 0, sizeof(warps));
                block = {0, 0};
                alive = n_threads;
                simt_threads += n_threads;
                for (unsigned i = 0; i < n_threads; i++) {
                    fiber *f = &fibers[i];

                    f->place = {dim3(i % dims.x, i / dims.x % dims.y, i / dims.x / dims.y),
                                dim3(x, y, z), dims, grid};
                    f->warp = i / 32;
                    f->lane = i % 32;
                    warps[f->warp].alive++;
                    start(f, stacks + (size_t)i * STACK);
                }
                run_block();
                simt_hopper_end();
            }
}
