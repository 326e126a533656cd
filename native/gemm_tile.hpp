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
//     panel   the 2·W columns of B (k, 2·W) that a tile needs, packed one step after another, zeros
//             beyond n; read in place where few rows use them
//     strip   the rows of A that a tile needs; read in place (a stride either way) or packed (k, h)
//     block   a part of k, KC steps at most, so that panel and strip stay in the inner caches
#pragma once

#include "gemm.hpp"
#include "parallel.hpp"
#include "simd.hpp"

namespace pellucid::PELLUCID_TIER {

constexpr std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
constexpr std::int64_t most(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Of 32, 16 or 16 registers the tile leaves two for B and one for A.
constexpr int ROWS = PELLUCID_BYTES(PELLUCID_TIER) == 64 ? 14 : 6;
template <class T> constexpr int W = Lanes<T>::W;
template <class T> constexpr std::int64_t WIDE = 2 * W<T>;            // columns of a panel
template <class T> constexpr std::int64_t KC = 2048 / sizeof(T);      // steps of a block
constexpr std::int64_t PIECES = 16;       // at most, of one product
constexpr std::int64_t PIECE_WORK = 100000;  // multiply-adds that a piece is worth
constexpr std::int64_t PIECE_ROWS = 96;   // rows that packing B once more is worth

// Part i of `of` nearly equal parts of n.
constexpr std::int64_t part(std::int64_t n, std::int64_t i, std::int64_t of) { return n * i / of; }

template <class T> struct Plan {
    std::int64_t panels, blocks;         // panels of n; blocks of k
    std::int64_t pieces, rows, columns;  // pieces at most; pieces: rows × columns
    std::int64_t slot;                   // scratch of a piece: a panel, a strip
    Plan(std::int64_t m, std::int64_t n, std::int64_t k) {
        panels = ceil_div(n, WIDE<T>);
        blocks = most(1, ceil_div(k, KC<T>));
        pieces = most(1, least(PIECES, m * n * k / PIECE_WORK));
        columns = most(1, least(panels, pieces));
        rows = most(1, least(pieces / columns, m / PIECE_ROWS));
        slot = least(k, KC<T>) * (WIDE<T> + ROWS);
    }
};

// ---- packing ------------------------------------------------------------------------------------

// Rows r[0..W) as columns.
template <class T> inline void transpose(Vec<T> (&r)[W<T>]) {
    if constexpr (W<T> > 1) {
        // Interleaving row i with row i + W/2, log2(W) times over, moves every element home.
        using U = Bits<T>;
        U low, high;
        for (int i = 0; i < W<T>; ++i) {
            low[i] = static_cast<decltype(low[0] + 0)>(i / 2 + i % 2 * W<T>);
            high[i] = static_cast<decltype(low[0] + 0)>(i / 2 + i % 2 * W<T> + W<T> / 2);
        }
#pragma GCC unroll 4
        for (int round = 1; round < W<T>; round *= 2) {
            Vec<T> s[W<T>];
#pragma GCC unroll 16
            for (int i = 0; i < W<T> / 2; ++i) {
                s[2 * i] = __builtin_shuffle(r[i], r[i + W<T> / 2], low);
                s[2 * i + 1] = __builtin_shuffle(r[i], r[i + W<T> / 2], high);
            }
#pragma GCC unroll 16
            for (int i = 0; i < W<T>; ++i) r[i] = s[i];
        }
    }
}

// to (k, width) = from[:k, :n], rows ld apart, zeros beyond n; width a multiple of W.
template <class T>
void pack_rows(const T* from, std::int64_t ld, std::int64_t k, std::int64_t n, T* to,
               std::int64_t width) {
    for (std::int64_t p = 0; p < k; ++p)
        for (std::int64_t j = 0; j < width; j += W<T>) {
            const std::int64_t there = n - j;
            store(to + p * width + j, there >= W<T> ? load(from + p * ld + j)
                                      : there > 0 ? load(from + p * ld + j, static_cast<int>(there))
                                                  : Vec<T>{});
        }
}

// to (k, width) = from[:n, :k].T, rows ld apart, zeros beyond n; width a multiple of W.
template <class T>
void pack_columns(const T* from, std::int64_t ld, std::int64_t k, std::int64_t n, T* to,
                  std::int64_t width) {
    for (std::int64_t j = 0; j < width; j += W<T>)
        for (std::int64_t p = 0; p < k; p += W<T>) {
            const int steps = static_cast<int>(least(W<T>, k - p));
            Vec<T> r[W<T>];
            for (int i = 0; i < W<T>; ++i) {
                const T* row = from + (j + i) * ld + p;
                r[i] = j + i >= n ? Vec<T>{} : steps == W<T> ? load(row) : load(row, steps);
            }
            transpose<T>(r);
            for (int i = 0; i < steps; ++i) store(to + (p + i) * width + j, r[i]);
        }
}

// ---- the tile -----------------------------------------------------------------------------------

template <class T> struct Finish {  // what happens to a tile's sums
    T* c;
    std::int64_t ldc;
    int n;        // columns that exist
    bool add;     // C += …
    bool last;    // the last block of k: bias and activation follow
    const T* bias;  // of the tile's first column, or null
    Act act;
    T slope;
};

template <class T> inline Vec<T> activate(Vec<T> x, Act act, T slope) {
    if (act == Act::relu) return x < splat<T>(0) ? splat<T>(0) : x;
    if (act == Act::leaky) return x > splat<T>(0) ? x : x * slope;
    return x;
}

// c (H, V·W) = A (H, k) @ B (k, V·W). A's row i at step p is a[i·lda + p] (ALONG) or a[i + p·lda].
template <class T, int H, int V, bool ALONG>
void tile(std::int64_t k, const T* a, std::int64_t lda, const T* b, std::int64_t ldb,
          const Finish<T>& f) {
    Vec<T> sum[H][V] = {};
    for (std::int64_t p = 0; p < k; ++p) {
        Vec<T> row[V];
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) row[v] = load(b + v * W<T>);
#pragma GCC unroll 16
        for (int i = 0; i < H; ++i) {
            const Vec<T> x = splat(ALONG ? a[i * lda] : a[i]);
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) sum[i][v] = sum[i][v] + x * row[v];
        }
        a += ALONG ? 1 : lda;
        b += ldb;
    }
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
        const int n = static_cast<int>(least(W<T>, f.n - v * W<T>));
        const bool whole = n == W<T>;
        Vec<T> bias{};
        if (f.last && f.bias) bias = whole ? load(f.bias + v * W<T>) : load(f.bias + v * W<T>, n);
#pragma GCC unroll 16
        for (int i = 0; i < H; ++i) {
            T* c = f.c + i * f.ldc + v * W<T>;
            Vec<T> y = sum[i][v];
            if (f.add) y = y + (whole ? load(c) : load(c, n));
            if (f.last) y = activate<T>(y + bias, f.act, f.slope);
            if (whole) store(c, y); else store(c, y, n);
        }
    }
}

template <class T>
using Tile = void (*)(std::int64_t, const T*, std::int64_t, const T*, std::int64_t,
                      const Finish<T>&);

#if PELLUCID_BYTES(PELLUCID_TIER) == 64
#define PELLUCID_HEIGHTS 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
#else
#define PELLUCID_HEIGHTS 1, 2, 3, 4, 5, 6
#endif
template <class T, int V, bool ALONG, int... H>
constexpr Tile<T> heights[] = {tile<T, H, V, ALONG>...};  // heights[h - 1]

template <class T> inline Tile<T> choose(std::int64_t h, int v, bool along) {
    return (v == 2 ? along ? heights<T, 2, true, PELLUCID_HEIGHTS>
                           : heights<T, 2, false, PELLUCID_HEIGHTS>
                   : along ? heights<T, 1, true, PELLUCID_HEIGHTS>
                           : heights<T, 1, false, PELLUCID_HEIGHTS>)[h - 1];
}

// ---- the loops ----------------------------------------------------------------------------------

// Rows [i0, i1) and panels [j0, j1) of C.
template <class T>
void piece(const Product<T>& p, const Plan<T>& plan, T* scratch, std::int64_t i0, std::int64_t i1,
           std::int64_t j0, std::int64_t j1) {
    const std::int64_t strips = ceil_div(i1 - i0, ROWS);
    for (std::int64_t block = 0; block < plan.blocks; ++block) {
        const std::int64_t k0 = part(p.k, block, plan.blocks);
        const std::int64_t k = part(p.k, block + 1, plan.blocks) - k0;
        for (std::int64_t panel = j0; panel < j1; ++panel) {
            const std::int64_t j = panel * WIDE<T>;
            const std::int64_t n = least(WIDE<T>, p.n - j);
            const int vectors = n > W<T> ? 2 : 1;
            const T* b = p.tb ? p.b + j * p.ldb + k0 : p.b + k0 * p.ldb + j;
            std::int64_t ldb = p.ldb;
            if (p.tb) {
                pack_columns<T>(b, p.ldb, k, n, scratch, vectors * W<T>);
            } else if (strips > 1 || n % W<T> != 0) {
                pack_rows<T>(b, p.ldb, k, n, scratch, vectors * W<T>);
            }
            if (p.tb || strips > 1 || n % W<T> != 0) {
                b = scratch;
                ldb = vectors * W<T>;
            }
            Finish<T> finish{nullptr, p.ldc, static_cast<int>(n), p.accumulate || block > 0,
                             block + 1 == plan.blocks, p.end.bias ? p.end.bias + j : nullptr,
                             p.end.act, p.end.slope};
            for (std::int64_t strip = 0; strip < strips; ++strip) {
                const std::int64_t i = i0 + part(i1 - i0, strip, strips);
                const std::int64_t h = i0 + part(i1 - i0, strip + 1, strips) - i;
                finish.c = p.c + i * p.ldc + j;
                const T* a = p.ta ? p.a + k0 * p.lda + i : p.a + i * p.lda + k0;
                choose<T>(h, vectors, !p.ta)(k, a, p.lda, b, ldb, finish);
            }
        }
    }
}

template <class T> void gemm(const Product<T>& p) {
    if (p.m == 0 || p.n == 0) return;
    const Plan<T> plan(p.m, p.n, p.k);
    parallel(static_cast<int>(plan.rows * plan.columns), [&](int number) {
        const std::int64_t row = number / plan.columns, column = number % plan.columns;
        piece(p, plan, p.scratch + number * plan.slot, part(p.m, row, plan.rows),
              part(p.m, row + 1, plan.rows), part(plan.panels, column, plan.columns),
              part(plan.panels, column + 1, plan.columns));
    });
}

template <class T> std::int64_t gemm_scratch(std::int64_t m, std::int64_t n, std::int64_t k) {
    const Plan<T> plan(m, n, k);
    return plan.pieces * plan.slot;
}

template void gemm(const Product<float>&);
template void gemm(const Product<double>&);
template std::int64_t gemm_scratch<float>(std::int64_t, std::int64_t, std::int64_t);
template std::int64_t gemm_scratch<double>(std::int64_t, std::int64_t, std::int64_t);

}  // namespace pellucid::PELLUCID_TIER
