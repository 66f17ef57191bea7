// tests/simt/simt_hopper.cc - see simt_hopper.h.
#include "tests/simt/simt_hopper.h"

namespace
{

enum { MAX_BARRIERS = 64, MAX_FLIGHT = 1024, MAX_PRODUCTS = 32, MAX_SUMS = 8, MAX_THREADS = 1024 };

// mbarrier, contents of the object: the phase, the arrivals that it still waits for and that the next will, the bytes that are still to come.
struct barrier {
    uint64_t *at;
    unsigned phase, pending, expected;
    long bytes;
};

// The innards of a tensor map, which only the driver and the copy engine know.
struct tensor {
    const char *base;
    uint64_t dims[2], pitch;
    uint32_t box[2], elem, swizzle, magic;
};
enum { MAGIC = 0x54454e53 };

struct flight {
    char *to;
    const char *from; // NULL: a tensor
    unsigned bytes;
    tensor t;
    int64_t x, y;
    uint64_t *b;
};

// A product that was asked for. a: rows g and g + 8 of the warp's 16, 32 bytes each.
struct product {
    simt_kind kind;
    unsigned sum, n, group;
    uint64_t b;
    bool add;
    unsigned char a[2][32];
};
// Registers of a thread that products write; now: what they hold for the tensor cores.
struct sum {
    void *d;
    unsigned n, open;
    uint32_t now[128];
};
struct thread {
    product products[MAX_PRODUCTS];
    sum sums[MAX_SUMS];
    unsigned n_products, n_sums, group;
    bool fenced;
};

barrier barriers[MAX_BARRIERS];
unsigned n_barriers;
flight flights[MAX_FLIGHT];
unsigned n_flights, n_done;
thread *threads;

barrier *find(uint64_t *b)
{
    for (unsigned i = 0; i < n_barriers; i++)
        if (barriers[i].at == b)
            return &barriers[i];
    simt_die("a barrier that was not made");
}

// mbarrier, phase completion: a phase is over when nobody is awaited and no byte; the next begins at once.
void over(barrier *b)
{
    if (b->pending == 0 && b->bytes == 0) {
        b->phase++;
        b->pending = b->expected;
        simt_stir();
    }
}

void came(uint64_t *at, unsigned bytes)
{
    barrier *b = find(at);

    b->bytes -= bytes;
    over(b);
}

void *shared_at(uint32_t address, unsigned bytes)
{
    void *p = simt_shared_at(address);

    if (p == nullptr || simt_shared_at(address + bytes - 1) == nullptr)
        simt_die("an address outside of the block's shared memory");
    return p;
}

void queue(const flight &f)
{
    if (n_flights == MAX_FLIGHT)
        simt_die("too many copies under way");
    (void)find(f.b);
    (void)shared_at(simt_shared_address(f.to), f.bytes);
    memset(f.to, 0xee, f.bytes);
    flights[n_flights++] = f;
}

// Tensors, tiled mode, 128B swizzle: in 128-byte rows of 16-byte pieces, a piece goes to its number xor the row's, modulo 8,
// rows counted from a multiple of 1024 bytes of shared memory. Elements outside of the tensor are zeros (out-of-boundary access).
void bring_tensor(const flight &f)
{
    const tensor &t = f.t;
    const unsigned row_bytes = t.box[0] * t.elem;
    const uint32_t to = simt_shared_address(f.to);

    for (uint32_t r = 0; r < t.box[1]; r++)
        for (uint32_t e = 0; e < t.box[0]; e++) {
            const int64_t x = f.x + e, y = f.y + r;
            const uint32_t flat = r * row_bytes + e * t.elem;
            const uint32_t line = (to + flat) / 128, piece = (to + flat) / 16 % 8;
            const uint32_t at = t.swizzle == CU_TENSOR_MAP_SWIZZLE_128B
                                    ? line * 128 + (piece ^ line % 8) * 16 + (to + flat) % 16
                                    : to + flat;
            char *p = static_cast<char *>(shared_at(at, t.elem));

            if (x >= 0 && y >= 0 && (uint64_t)x < t.dims[0] && (uint64_t)y < t.dims[1])
                memcpy(p, t.base + (uint64_t)y * t.pitch + (uint64_t)x * t.elem, t.elem);
            else
                memset(p, 0, t.elem);
        }
}

thread *self()
{
    if (threads == nullptr)
        threads = static_cast<thread *>(calloc(MAX_THREADS, sizeof(thread)));
    if (threads == nullptr)
        simt_die("out of memory");
    return &threads[threadIdx.x];
}

// 9.7.15.5.1.2: 32 bytes of row r of a K-major operand, by its descriptor. Address bits 0 to 13, stride between groups of eight rows
// 32 to 45, in units of 16 bytes; base offset 49 to 51; swizzle 62 and 63, 1: 128 bytes, where a row is 128 bytes and the
// address' bits 4 to 6 are turned by its bits 7 to 9.
void row_of(uint64_t desc, unsigned r, unsigned char *to)
{
    const uint32_t start = (uint32_t)(desc & 0x3fff) << 4;
    const uint32_t stride = (uint32_t)(desc >> 32 & 0x3fff) << 4;

    if (desc >> 62 != 1)
        simt_die("a swizzle that is not emulated");
    if ((desc >> 49 & 7) != 0)
        simt_die("a base offset that is not emulated");
    if (start / 128 % 8 != 0)
        simt_die("a base offset of 0 means that the pattern of the swizzle begins at a multiple of "
                 "1024");
    for (unsigned i = 0; i < 2; i++) {
        const uint32_t plain = start + r / 8 * stride + r % 8 * 128 + i * 16;

        memcpy(to + (size_t)i * 16, shared_at(plain ^ (plain >> 7 & 7) << 4, 16), 16);
    }
}

// What each code of e4m3 stands for.
struct e4m3_table {
    float of[256];
    e4m3_table()
    {
        for (int v = 0; v < 256; v++) {
            const int e = v >> 3 & 15, m = v & 7;
            const float f = (v & 127) == 127 ? NAN
                            : e == 0         ? ldexpf((float)m, -9)
                                             : ldexpf((float)(8 + m), e - 10);

            of[v] = v & 128 ? -f : f;
        }
    }
};
const e4m3_table e4m3;

// 32 bytes of an operand as numbers; returns how many.
unsigned numbers_of(simt_kind kind, const unsigned char *p, float out[32])
{
    if (kind == SIMT_E4M3) {
        for (unsigned k = 0; k < 32; k++)
            out[k] = e4m3.of[p[k]];
        return 32;
    }
    for (unsigned k = 0; k < 16; k++) {
        uint16_t h;

        memcpy(&h, p + 2 * k, 2);
        out[k] = kind == SIMT_F16 ? simt_f16.of[h] : __uint_as_float((uint32_t)h << 16);
    }
    return 16;
}

// 9.7.15.5.1.1: d[4n + i] of a thread is row g, or g + 8 for i of 2 and 3, column 8n + 2t + i % 2.
void do_product(thread *t, const product &p)
{
    sum *s = &t->sums[p.sum];
    const unsigned col = threadIdx.x % 4 * 2;
    float of_a[2][32], of_b[32];
    unsigned char b[32];

    for (unsigned up = 0; up < 2 && p.kind != SIMT_S8; up++)
        numbers_of(p.kind, p.a[up], of_a[up]);
    for (unsigned n = 0; n < p.n / 8; n++)
        for (unsigned i = 0; i < 2; i++) {
            row_of(p.b, n * 8 + col + i, b);

            const unsigned many = p.kind == SIMT_S8 ? 0 : numbers_of(p.kind, b, of_b);

            for (unsigned up = 0; up < 2; up++) {
                uint32_t *d = &s->now[4 * n + 2 * up + i];
                float f = 0;

                if (p.kind == SIMT_S8) {
                    *d = (uint32_t)simt_dot(p.a[up], b) + (p.add ? *d : 0);
                    continue;
                }
                for (unsigned k = 0; k < many; k++)
                    f += of_a[up][k] * of_b[k];
                *d = __float_as_uint(f + (p.add ? __uint_as_float(*d) : 0));
            }
        }
}

} // namespace

unsigned long simt_wgmmas;

void simt_barrier_init(uint64_t *b, unsigned count)
{
    if (count == 0 || count >= 1u << 20 || (uintptr_t)b % 8 != 0 || n_barriers == MAX_BARRIERS)
        simt_die("a barrier that cannot be made");
    (void)shared_at(simt_shared_address(b), 8);
    barriers[n_barriers++] = {b, 0, count, count, 0};
}

void simt_barrier_arrive(uint64_t *at)
{
    barrier *b = find(at);

    if (b->pending == 0)
        simt_die("more threads arrive at a barrier than it was made for");
    b->pending--;
    over(b);
}

void simt_barrier_expect(uint64_t *at, unsigned bytes)
{
    barrier *b = find(at);

    b->bytes += bytes;
    if (b->bytes >= 1 << 20)
        simt_die("a barrier awaits more bytes than it can count");
    simt_barrier_arrive(at);
}

void simt_barrier_wait(uint64_t *at, unsigned parity)
{
    if (parity > 1)
        simt_die("a parity is 0 or 1");
    while (find(at)->phase % 2 == parity)
        simt_poll();
}

void simt_bulk(void *to, const void *from, unsigned bytes, uint64_t *b)
{
    flight f = {};

    if (bytes % 16 != 0 || (uintptr_t)from % 16 != 0 || simt_shared_address(to) % 16 != 0)
        simt_die("a copy of other than multiples of 16");
    f.to = static_cast<char *>(to);
    f.from = static_cast<const char *>(from);
    f.bytes = bytes;
    f.b = b;
    queue(f);
}

void simt_tensor(void *to, const CUtensorMap *m, unsigned x, unsigned y, uint64_t *b)
{
    flight f = {};

    if ((uintptr_t)m % 64 != 0)
        simt_die("a tensor map that is not aligned");
    memcpy(&f.t, m, sizeof(f.t));
    if (f.t.magic != MAGIC || simt_shared_address(to) % 128 != 0)
        simt_die("a tensor copy that cannot be");
    f.to = static_cast<char *>(to);
    f.x = (int32_t)x;
    f.y = (int32_t)y;
    f.bytes = f.t.box[0] * f.t.box[1] * f.t.elem;
    f.b = b;
    queue(f);
}

bool simt_hopper_late()
{
    unsigned i = 0;
    flight f;

    if (n_flights == 0)
        return false;
    if (simt_order == 1)
        i = n_flights - 1;
    else if (simt_order > 1)
        i = (simt_order + 7919 * n_done) % n_flights;
    n_done++;
    f = flights[i];
    flights[i] = flights[--n_flights];
    if (f.from != nullptr)
        memcpy(f.to, f.from, f.bytes);
    else
        bring_tensor(f);
    came(f.b, f.bytes);
    return true;
}

void simt_hopper_begin()
{
    n_barriers = n_flights = 0;
    if (threads != nullptr)
        for (unsigned i = 0; i < MAX_THREADS; i++) {
            threads[i].n_products = threads[i].n_sums = threads[i].group = 0;
            threads[i].fenced = false;
        }
}

void simt_hopper_end()
{
    if (n_flights != 0)
        simt_die("a block ended before its copies");
    for (unsigned i = 0; threads != nullptr && i < MAX_THREADS; i++)
        if (threads[i].n_products != 0)
            simt_die("a block ended before its products");
}

// wgmma.fence. That registers were changed since cannot be seen here: it is asked for once after every wait.
void simt_wgmma_fence()
{
    (void)simt_meet(nullptr, 0);
    self()->fenced = true;
}

void simt_wgmma(simt_kind kind, void *d, unsigned n, const uint32_t a[4], uint64_t b, bool add)
{
    struct operands {
        uint32_t a[4];
        uint64_t b;
    } mine = {{a[0], a[1], a[2], a[3]}, b};
    const void *all = simt_meet(&mine, sizeof(mine));
    const unsigned g = simt_lane() / 4;
    thread *t = self();
    unsigned s = 0;

    if (!t->fenced)
        simt_die("a product without a fence before it");
    if (t->n_products == MAX_PRODUCTS)
        simt_die("too many products under way");
    for (unsigned i = 0; i < 32; i++)
        if (simt_from<operands>(all, i).b != b)
            simt_die("a warp does not agree on a product");
    while (s < t->n_sums && t->sums[s].d != d)
        s++;
    if (s == t->n_sums) {
        if (s == MAX_SUMS)
            simt_die("too many sums under way");
        t->sums[t->n_sums++] = {d, n, 0, {}};
        memcpy(t->sums[s].now, d, n / 2 * 4);
        memset(d, 0xee, n / 2 * 4);
    }
    t->sums[s].open++;
    simt_wgmmas++;

    product *p = &t->products[t->n_products++];

    *p = {kind, s, n, t->group, b, add, {}};
    // 9.7.15.5.1.1: lane 4g + t has of row g bytes 4t.. and 16 + 4t.. in a[0] and a[2], of row g + 8 in a[1] and a[3]
    for (unsigned i = 0; i < 4; i++) {
        const operands o = simt_from<operands>(all, g * 4 + i);

        for (unsigned k = 0; k < 4; k++)
            memcpy(&p->a[k % 2][k / 2 * 16 + 4 * i], &o.a[k], 4);
    }
}

void simt_wgmma_commit()
{
    self()->group++;
}

void simt_wgmma_wait(unsigned newest)
{
    thread *t = self();
    unsigned kept = 0;

    (void)simt_meet(nullptr, 0);
    for (unsigned i = 0; i < t->n_products; i++) {
        const product p = t->products[i];
        sum *s = &t->sums[p.sum];

        if (p.group + newest >= t->group) {
            t->products[kept++] = p;
            continue;
        }
        do_product(t, p);
        if (--s->open == 0)
            memcpy(s->d, s->now, s->n / 2 * 4);
    }
    t->n_products = kept;
    if (kept == 0)
        t->n_sums = 0;
    t->fenced = false;
}

// The rules of the driver API's cuTensorMapEncodeTiled, as far as two dimensions without interleave need them.
CUresult simt_tensor_encode(CUtensorMap *m, CUtensorMapDataType type, cuuint32_t rank, void *base,
                            const cuuint64_t *dims, const cuuint64_t *pitch, const cuuint32_t *box,
                            const cuuint32_t *step, CUtensorMapInterleave interleave,
                            CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
                            CUtensorMapFloatOOBfill fill)
{
    const uint32_t elem = type == CU_TENSOR_MAP_DATA_TYPE_UINT8 ? 1 : 2;
    tensor t = {static_cast<const char *>(base),
                {dims[0], dims[1]},
                pitch[0],
                {box[0], box[1]},
                elem,
                (uint32_t)swizzle,
                MAGIC};

    (void)promotion;
    if (rank != 2 || (uintptr_t)m % 64 != 0 || (uintptr_t)base % 16 != 0 || pitch[0] % 16 != 0 ||
        pitch[0] >= (uint64_t)1 << 40 || pitch[0] < dims[0] * elem ||
        interleave != CU_TENSOR_MAP_INTERLEAVE_NONE || fill != CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE)
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned i = 0; i < 2; i++)
        if (dims[i] == 0 || dims[i] > (uint64_t)1 << 32 || box[i] == 0 || box[i] > 256 ||
            step[i] != 1)
            return CUDA_ERROR_INVALID_VALUE;
    if (box[0] * elem % 16 != 0 || (swizzle == CU_TENSOR_MAP_SWIZZLE_128B && box[0] * elem > 128) ||
        (swizzle != CU_TENSOR_MAP_SWIZZLE_128B && swizzle != CU_TENSOR_MAP_SWIZZLE_NONE))
        return CUDA_ERROR_INVALID_VALUE;
    memset(m, 0, sizeof(*m));
    memcpy(m, &t, sizeof(t));
    return CUDA_SUCCESS;
}
