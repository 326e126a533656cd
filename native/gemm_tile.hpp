// C = act(op(A) @ op(B) + bias): one tier's form. The naive one:
//
//     for i < m: for j < n:
//         sum = 0
//         for p < k: sum += A[i, p] * B[p, j]
//         C[i, j] = act((accumulate ? C[i, j] : 0) + sum + bias[j])
//
// The fast one keeps a tile of C, ROWS × 2 vectors, in registers while p runs: each step loads two
// vectors of B and ROWS single numbers of A and makes 2·ROWS multiply-adds of vectors.
//
//     piece   a part of C that one thread computes at a time
//     panel   the 2·W columns of B (k, 2·W) that a tile needs, packed: one step's after another's,
//             zeros beyond n; read in place where few rows use them
//     strip   the rows of A that a tile needs, read in place: a row's steps or a step's rows are
//             neighbours
//     block   a part of k, KC steps at most, so that a panel and a strip stay in the inner caches
//
// Packing is a good part of the time if it is left to itself: the first strip's tile packs the panel
// as it goes, its stores hidden by its multiply-adds, and the others fetch the next panel meanwhile.
#pragma once

#include "gemm.hpp"
#include "parallel.hpp"
#include "tile.hpp"

namespace pellucid::PELLUCID_TIER {

// Of 32, 16 or 16 registers the tile leaves two for B and one for A.
constexpr int ROWS = PELLUCID_BYTES(PELLUCID_TIER) == 64 ? 14 : 6;
template <class T> constexpr std::int64_t WIDE = 2 * W<T>;        // columns of a panel
template <class T> constexpr std::int64_t KC = 2048 / sizeof(T);  // steps of a block
template <class T> constexpr std::int64_t CHUNK = 524288 / sizeof(T);  // of A, for all panels in turn
constexpr std::int64_t PIECES = 16;          // of one product, at most
constexpr std::int64_t PIECE_WORK = 100000;  // multiply-adds that a piece is worth
constexpr std::int64_t PIECE_ROWS = 64;      // rows that packing B once more is worth

template <class T> struct Plan {
    std::int64_t panels, blocks;  // of n, of k
    std::int64_t pieces;          // at most; columns and rows of them:
    std::int64_t columns, rows;
    std::int64_t slot;            // scratch of a piece: a panel
    Plan(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t wanted) {
        panels = ceil_div(n, WIDE<T>);
        blocks = most(1, ceil_div(k, KC<T>));
        pieces = most(1, least(wanted, m * n * k / PIECE_WORK));
        const std::int64_t high = most(1, m / PIECE_ROWS);
        columns = most(1, least(panels, m > 2 * n ? pieces / least(high, pieces) : pieces));
        rows = most(1, least(pieces / columns, high));
        slot = ceil_div(least(k, KC<T>) * WIDE<T>, LINE<T>) * LINE<T>;
    }
};

// ---- the tile -----------------------------------------------------------------------------------

// c (H, V·W) = A (H, k) @ B (k, V·W). A's row i at step p is a[i·lda + p] (ALONG) or a[i + p·lda].
// PACK leaves a copy of B at `packed`, its rows V·W apart.
template <class T, int H, int V, bool ALONG, bool PACK>
void tile(std::int64_t k, const T* a, std::int64_t lda, const T* b, std::int64_t ldb, T* packed,
          const Finish<T>& f) {
    Vec<T> sum[H][V] = {};
    for (std::int64_t p = 0; p < k; ++p) {
        Vec<T> row[V];
        if (!ALONG) {  // steps lie far apart: nobody else sees them coming
            prefetch(a + 8 * lda);
            prefetch(a + 8 * lda + (H - 1));
        }
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
            row[v] = load(b + v * W<T>);
            if (PACK) store(packed + v * W<T>, row[v]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < H; ++i) {
            const Vec<T> x = splat(ALONG ? a[i * lda] : a[i]);
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) sum[i][v] = sum[i][v] + x * row[v];
        }
        a += ALONG ? 1 : lda;
        b += ldb;
        if (PACK) packed += V * W<T>;
    }
    finish<T>(sum, f);
}

template <class T>
using Tile = void (*)(std::int64_t, const T*, std::int64_t, const T*, std::int64_t, T*,
                      const Finish<T>&);

#if PELLUCID_BYTES(PELLUCID_TIER) == 64
#define PELLUCID_HEIGHTS 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
#else
#define PELLUCID_HEIGHTS 1, 2, 3, 4, 5, 6
#endif
template <class T, int V, bool ALONG, int... H>
constexpr Tile<T> heights[] = {tile<T, H, V, ALONG, false>...};  // heights[h - 1]

template <class T> inline Tile<T> choose(std::int64_t h, int v, bool along, bool pack) {
    if (pack) return along ? tile<T, ROWS, 2, true, true> : tile<T, ROWS, 2, false, true>;
    if (v == 8) return tile<T, 1, 8, true, false>;
    return (v == 2 ? along ? heights<T, 2, true, PELLUCID_HEIGHTS>
                           : heights<T, 2, false, PELLUCID_HEIGHTS>
                   : along ? heights<T, 1, true, PELLUCID_HEIGHTS>
                           : heights<T, 1, false, PELLUCID_HEIGHTS>)[h - 1];
}

// ---- the loops ----------------------------------------------------------------------------------

// Rows [i0, i1) and panels [j0, j1) of C.
template <class T>
void piece(const Product<T>& p, const Plan<T>& plan, T* packed, std::int64_t i0, std::int64_t i1,
           std::int64_t j0, std::int64_t j1) {
    // The first strip has ROWS rows, if there are that many; the others are nearly equal.
    const std::int64_t first = least(i1 - i0, ROWS), rest = i1 - i0 - first;
    const std::int64_t more = ceil_div(rest, ROWS);
    for (std::int64_t block = 0; block < plan.blocks; ++block) {
        const std::int64_t k0 = part(p.k, block, plan.blocks);
        const std::int64_t k1 = part(p.k, block + 1, plan.blocks), k = k1 - k0;
        const bool last = block + 1 == plan.blocks;
        for (std::int64_t panel = j0; panel < j1; ++panel) {
            const std::int64_t j = panel * WIDE<T>;
            // A single row has registers left for four panels at a time.
            const bool four = i1 - i0 == 1 && !p.ta && !p.tb && panel + 4 <= j1 && p.n - j >= 4 * WIDE<T>;
            const std::int64_t n = least(four ? 4 * WIDE<T> : WIDE<T>, p.n - j);
            const int vectors = four ? 8 : n > W<T> ? 2 : 1;
            const T* b = p.tb ? p.b + j * p.ldb + k0 : p.b + k0 * p.ldb + j;
            std::int64_t ldb = p.ldb;
            const bool in_place = !p.tb && n == vectors * W<T> && (more == 0 || k * ldb <= KC<T> * 8);
            const bool fused = !p.tb && n == WIDE<T> && more > 0 && !in_place;
            if (!in_place && !fused) {
                if (p.tb) pack_columns<T>(b, ldb, k, n, packed, vectors * W<T>);
                else pack_rows<T>(b, ldb, k, n, packed, vectors * W<T>);
                b = packed;
                ldb = vectors * W<T>;
            }
            // The next panel: of this block, or the first of the next one.
            const bool turn = panel + 1 == j1;
            const std::int64_t next = (turn ? j0 : panel + 1) * WIDE<T>, steps = turn ? k1 : k0;
            const std::int64_t high = least(k, p.k - steps), wide = least(WIDE<T>, p.n - next);
            const T* ahead = p.tb ? p.b + next * p.ldb + steps : p.b + steps * p.ldb + next;
            const std::int64_t rows = turn && last ? 0 : p.tb ? wide : high;
            Finish<T> finish{nullptr, p.ldc, n, p.accumulate || block > 0,
                             last && p.end.bias ? p.end.bias + j : nullptr,
                             last ? p.end.act : Act::none, p.end.slope};
            for (std::int64_t strip = 0, i = i0; strip <= more; ++strip) {
                const std::int64_t to = i0 + first + (more ? part(rest, strip, more) : 0);
                for (std::int64_t r = part(rows, strip, more + 1); r < part(rows, strip + 1, more + 1); ++r)
                    for (std::int64_t q = 0; q < (p.tb ? high : wide); q += LINE<T>)
                        prefetch(ahead + r * p.ldb + q);
                finish.c = p.c + i * p.ldc + j;
                const T* a = p.ta ? p.a + k0 * p.lda + i : p.a + i * p.lda + k0;
                const bool pack = fused && strip == 0;
                choose<T>(to - i, vectors, !p.ta, pack)(k, a, p.lda, b, ldb, packed, finish);
                if (pack) b = packed, ldb = WIDE<T>;
                i = to;
            }
            if (four) panel += 3;
        }
    }
}

template <class T> void gemm(const Product<T>& p) {
    if (p.m == 0 || p.n == 0) return;
    const Plan<T> plan(p.m, p.n, p.k, threads() == 1 ? 1 : least(PIECES, 2 * threads()));
    // Scratch from the start of a line on, so that no load of a panel crosses one.
    T* const scratch = reinterpret_cast<T*>((reinterpret_cast<std::uintptr_t>(p.scratch) + 63) / 64 * 64);
    parallel(static_cast<int>(plan.rows * plan.columns), [&](int number) {
        const std::int64_t row = number / plan.columns, column = number % plan.columns;
        const std::int64_t i0 = part(p.m, row, plan.rows), i1 = part(p.m, row + 1, plan.rows);
        const std::int64_t steps = ceil_div(p.k, plan.blocks);
        const std::int64_t chunks = most(1, (i1 - i0) * steps / CHUNK<T>);
        for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
            piece(p, plan, scratch + number * plan.slot, i0 + part(i1 - i0, chunk, chunks),
                  i0 + part(i1 - i0, chunk + 1, chunks), part(plan.panels, column, plan.columns),
                  part(plan.panels, column + 1, plan.columns));
    });
}

template <class T> std::int64_t gemm_scratch(std::int64_t m, std::int64_t n, std::int64_t k) {
    const Plan<T> plan(m, n, k, PIECES);
    return plan.pieces * plan.slot + LINE<T>;
}

template void gemm(const Product<float>&);
template void gemm(const Product<double>&);
template std::int64_t gemm_scratch<float>(std::int64_t, std::int64_t, std::int64_t);
template std::int64_t gemm_scratch<double>(std::int64_t, std::int64_t, std::int64_t);

}  // namespace pellucid::PELLUCID_TIER
