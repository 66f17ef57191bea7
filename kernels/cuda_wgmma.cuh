/* kernels/cuda_wgmma.cuh - private: the ring of cuda_wgmma.cu: what a stage is, who fills it, who frees it. */
#ifndef KERNELS_CUDA_WGMMA_CUH
#define KERNELS_CUDA_WGMMA_CUH

#include "kernels/cuda_hopper.cuh"
#include "kernels/cuda_private.h"
#include "kernels/cuda_weights.cuh"

enum {
    WG_GROUPS = 2, /* warpgroups that multiply, of 64 rows a tile */
    WG_WARPS = 4 * WG_GROUPS,
    WG_THREADS = (1 + WG_GROUPS) * 4 * WARP,
    WG_STAGES = 4,
    WG_ROW = 128, /* bytes of a token in a stage */
    WG_ALIGN = 1024,
    WG_REGISTERS_FETCH = 40,
    WG_REGISTERS = 232, /* 128 threads with 40 and 256 with 232: what 384 with 168 began with */
};

/* The shape of a product. */
template <int TYPE, bool FINE> struct wg {
    using W = wchunk<TYPE>;
    static constexpr int N = FINE ? 64 : 128; /* tokens of a block */
    static constexpr int TILES = W::PLAIN ? 2 : 1;
    static constexpr int CHUNKS = W::FLOATS ? 1 : 2; /* of a stage */
    static constexpr int ROW_TILES = WG_WARPS * TILES;
    /* Bytes of a tile's chunk, and of its parts in a stage. */
    static constexpr unsigned CODE = W::CODES * 512;
    static constexpr unsigned HIGH = W::HIGH * 128;
    static constexpr unsigned SCALE = W::SCALES * 32;
    static constexpr unsigned SUPER = W::SUPERS ? 64 : 0;
    static constexpr unsigned AT_HIGH = CHUNKS * CODE;
    static constexpr unsigned AT_SCALE = AT_HIGH + CHUNKS * HIGH;
    static constexpr unsigned AT_SUPER = AT_SCALE + CHUNKS * SCALE;
    static constexpr unsigned TILE = AT_SUPER + SUPER;
    static constexpr unsigned TOKENS = N * WG_ROW; /* bytes of the tokens */
    /* Scales of the tokens: d [4][N], then ds [4][N] for types with minima; e4m3: [N]. */
    static constexpr unsigned FACTORS = (W::FLOATS ? 0 : W::E4M3 ? 1 : W::MINS ? 8 : 4) * N;
    static constexpr unsigned AT_FACTORS = TOKENS * (FINE ? 2 : 1);
    static constexpr unsigned AT_WEIGHTS = AT_FACTORS + FACTORS * 4;
    static constexpr unsigned STAGE =
        (AT_WEIGHTS + ROW_TILES * TILE + WG_ALIGN - 1) / WG_ALIGN * WG_ALIGN;
    static constexpr unsigned SHARED = WG_ALIGN + WG_STAGES * STAGE + 2 * WG_STAGES * 8;
    static_assert(SHARED <= 227 * 1024, "a block has no more");
};

#if KERN_HOPPER
/* The ring of a block. */
struct wg_ring {
    uint8_t *stages;
    uint64_t *full, *empty; /* [WG_STAGES] each, behind the stages */
};

DEV struct wg_ring wg_ring_at(uint8_t *shared, unsigned stage_bytes)
{
    struct wg_ring r;

    r.stages = shared + (WG_ALIGN - ptx_shared(shared) % WG_ALIGN) % WG_ALIGN;
    r.full = reinterpret_cast<uint64_t *>(r.stages + WG_STAGES * stage_bytes);
    r.empty = r.full + WG_STAGES;
    if (threadIdx.x == 0) {
        for (unsigned i = 0; i < WG_STAGES; i++) {
            ptx_barrier_init(&r.full[i], 1);
            ptx_barrier_init(&r.empty[i], WG_WARPS);
        }
        ptx_barrier_seen();
    }
    __syncthreads();
    return r;
}

/* Tokens of a stage as the second operand of a product: 32 bytes of each from `shared` on. What ptx_tensor lays down with
 * CU_TENSOR_MAP_SWIZZLE_128B at multiples of 1024: address, and stride between 8 rows, in units of 16 bytes; 1 in bits 62 and 63. The
 * next 32 bytes: 2 more. */
DEV uint64_t wg_rows(const uint8_t *shared)
{
    return (uint64_t)((ptx_shared(shared) & 0x3ffff) >> 4) | (uint64_t)1 << 16 |
           (uint64_t)(8 * WG_ROW >> 4) << 32 | (uint64_t)1 << 62;
}

/* One part of the tiles of a stage: tile i of it by lane i. */
DEV void wg_fetch_part(uint8_t *to, unsigned tile_bytes, const uint8_t *from,
                       const struct cuda_layout &l, size_t tile, unsigned n_tiles, unsigned bytes,
                       uint64_t *full)
{
    const unsigned i = dev_lane();

    if (bytes != 0 && i < n_tiles) {
        const size_t real = tile + i < l.n_tiles ? tile + i : l.n_tiles - 1;

        ptx_bulk(to + i * tile_bytes, from + real * l.tile_bytes, bytes, full);
    }
}

/* The warp that fetches. factors: [stage][block of tokens][FACTORS]. */
template <int TYPE, bool FINE>
DEV void wg_fetch(const struct wg_ring &r, const CUtensorMap &q, const CUtensorMap &rest,
                  const float *factors, const uint8_t *data, const struct cuda_layout &l)
{
    using S = wg<TYPE, FINE>;
    const size_t tile = (size_t)blockIdx.y * S::ROW_TILES;
    const unsigned n = kern_cuda_div_up(l.n_chunks, S::CHUNKS);

    for (unsigned i = 0; i < n; i++) {
        const unsigned at = i % WG_STAGES;
        const size_t chunk = (size_t)i * S::CHUNKS;
        const unsigned chunks =
            l.n_chunks - chunk < S::CHUNKS ? (unsigned)(l.n_chunks - chunk) : S::CHUNKS;
        uint8_t *st = r.stages + at * S::STAGE, *w = st + S::AT_WEIGHTS;
        uint64_t *full = &r.full[at];

        ptx_barrier_wait(&r.empty[at], i / WG_STAGES % 2 ^ 1);
        if (dev_lane() == 0) {
            ptx_barrier_expect(full, S::AT_WEIGHTS +
                                         S::ROW_TILES *
                                             (chunks * (S::CODE + S::HIGH + S::SCALE) + S::SUPER));
            ptx_tensor(st, &q, i * (S::W::FLOATS ? WG_ROW / 2 : WG_ROW), blockIdx.x * S::N, full);
            if constexpr (FINE)
                ptx_tensor(st + S::TOKENS, &rest, i * WG_ROW, blockIdx.x * S::N, full);
            if constexpr (S::FACTORS != 0)
                ptx_bulk(st + S::AT_FACTORS,
                         factors + ((size_t)i * gridDim.x + blockIdx.x) * S::FACTORS,
                         S::FACTORS * 4, full);
        }
        __syncwarp();
        wg_fetch_part(w, S::TILE, data + chunk * S::CODE, l, tile, S::ROW_TILES, chunks * S::CODE,
                      full);
        wg_fetch_part(w + S::AT_HIGH, S::TILE, data + l.high + chunk * S::HIGH, l, tile,
                      S::ROW_TILES, chunks * S::HIGH, full);
        wg_fetch_part(w + S::AT_SCALE, S::TILE, data + l.scales + chunk * S::SCALE, l, tile,
                      S::ROW_TILES, chunks * S::SCALE, full);
        wg_fetch_part(w + S::AT_SUPER, S::TILE, data + l.supers + chunk / 4 * S::SUPER, l, tile,
                      S::ROW_TILES, S::SUPER, full);
    }
}

/* This warp has read a stage. */
DEV void wg_free(const struct wg_ring &r, unsigned stage)
{
    __syncwarp();
    if (dev_lane() == 0)
        ptx_barrier_arrive(&r.empty[stage]);
}

/* Writes a warp's sums: 16 rows from `row` on, N tokens from `token` on. */
template <int N>
DEV void wg_write(const float (&acc)[N / 2], float *out, size_t out_stride,
                  enum kern_cuda_into into, size_t row, size_t token, size_t rows, size_t n_tokens)
{
    const unsigned g = dev_lane() / 4, t = dev_lane() % 4;

#pragma unroll
    for (int i = 0; i < N / 2; i++) {
        const size_t r = row + g + i / 2 % 2 * 8;
        const size_t k = token + i / 4 * 8 + 2 * t + i % 2;

        if (r < rows && k < n_tokens)
            dev_into(out + k * out_stride + r, acc[i], into);
    }
}
#endif

#endif
