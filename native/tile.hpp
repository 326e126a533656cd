// What the kernels made of tiles share, one tier's form: arithmetic of parts, packing, and what happens
// to a tile's sums before they are stored.
#pragma once

#include <cstdint>
#include <utility>

#include "gemm.hpp"
#include "simd.hpp"

#ifdef __GNUC__
#define PELLUCID_INLINED inline __attribute__((always_inline))
#else
#define PELLUCID_INLINED inline
#endif

namespace pellucid::PELLUCID_TIER {

constexpr std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
constexpr std::int64_t most(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Where part i of `of` nearly equal parts of n begins.
constexpr std::int64_t part(std::int64_t n, std::int64_t i, std::int64_t of) { return n * i / of; }

template <class T> constexpr int W = Lanes<T>::W;
template <class T> constexpr std::int64_t LINE = 64 / sizeof(T);  // of the cache

// ---- packing ------------------------------------------------------------------------------------

// The lower halves of a and b (FROM = 0), or the upper ones (W / 2), lane by lane in turn.
template <class T, int FROM, int... I>
inline Vec<T> interleave(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(a, b, (FROM + I / 2 + I % 2 * W<T>)...);
}

// Rows r[0..W) become columns: interleaving row i with row i + W/2, log2(W) times over, moves every
// number home.
template <class T> inline void transpose(Vec<T> (&r)[W<T>]) {
    constexpr int half = W<T> / 2;
    if constexpr (half > 0) {
        constexpr auto lanes = std::make_integer_sequence<int, W<T>>{};
#pragma GCC unroll 4
        for (int round = 1; round < W<T>; round *= 2) {
            Vec<T> s[W<T>];
#pragma GCC unroll 16
            for (int i = 0; i < half; ++i) {
                s[2 * i] = interleave<T, 0>(r[i], r[i + half], lanes);
                s[2 * i + 1] = interleave<T, half>(r[i], r[i + half], lanes);
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

// ---- the end of a tile --------------------------------------------------------------------------

template <class T> struct Finish {  // what happens to a tile's sums
    T* c;
    std::int64_t ldc;
    std::int64_t n;  // columns that exist
    bool add;        // C += …
    const T* bias;   // of the tile's first column, or null
    Act act;
    T slope;
};

// y < 0 becomes y·slope, or 0 where keep has no bits.
template <class T> inline Vec<T> activate(Vec<T> y, T slope, Bits<T> keep) {
    return y < splat<T>(0) ? as<Vec<T>>(as<Bits<T>>(y * slope) & keep) : y;
}

// c (H, V·W) = act((add ? c : 0) + sum + bias), its rows ldc apart. Always inlined: the sums stay in
// their registers.
template <class T, int H, int V>
PELLUCID_INLINED void finish(Vec<T> (&sum)[H][V], const Finish<T>& f) {
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
        const int n = static_cast<int>(least(W<T>, f.n - v * W<T>));
        T* c = f.c + v * W<T>;
        if (f.add)
#pragma GCC unroll 32
            for (int i = 0; i < H; ++i) sum[i][v] = sum[i][v] + load(c + i * f.ldc, n);
        if (f.bias) {
            const Vec<T> bias = load(f.bias + v * W<T>, n);
#pragma GCC unroll 32
            for (int i = 0; i < H; ++i) sum[i][v] = sum[i][v] + bias;
        }
        if (f.act != Act::none) {
            const Bits<T> keep = f.act == Act::relu ? Bits<T>{} : ~Bits<T>{};
#pragma GCC unroll 32
            for (int i = 0; i < H; ++i) sum[i][v] = activate<T>(sum[i][v], f.slope, keep);
        }
#pragma GCC unroll 32
        for (int i = 0; i < H; ++i) store(c + i * f.ldc, sum[i][v], n);
    }
}

}  // namespace pellucid::PELLUCID_TIER
