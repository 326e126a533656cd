// The input gradient with a row of the window in the lanes: where an image has few channels, kw·C
// neighbouring numbers of it fill vectors that C alone would not.
//
// The naive form, for one image whose rows begin `top` and `left` before its first pixel:
//
//     dx[i·sh + u·dh, j·sw : j·sw + kw, :] += sum over o of dy[i, j, o] * W[u, :, :, o]
//
// A tile is H pixels of one column of dy × V vectors of one row of the window: its pixels meet
// different rows of dx, so that no number is loaded soon after it was stored.
#pragma once

#include "conv_lanes.hpp"
#include "parallel.hpp"

namespace pellucid::PELLUCID_TIER {

template <class T, int H, int V>
void scatter_tile(const T* dy, i64 apart, i64 filters, const T* w, T* to, i64 step, i64 n) {
    Vec<T> sum[H][V] = {};
    for (i64 o = 0; o < filters; ++o, w += V * W<T>) {
        Vec<T> row[V];
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) row[v] = load(w + v * W<T>);
#pragma GCC unroll 32
        for (int i = 0; i < H; ++i) {
            const Vec<T> slope = splat(dy[i * apart + o]);
#pragma GCC unroll 2
            for (int v = 0; v < V; ++v) sum[i][v] = sum[i][v] + slope * row[v];
        }
    }
    finish<T>(sum, Finish<T>{to, step, n, true, nullptr, Act::none, 0});
}

template <class T> using ScatterTile = void (*)(const T*, i64, i64, const T*, T*, i64, i64);
template <class T, int V, class = std::make_integer_sequence<int, TALL>> struct ScatterTiles;
template <class T, int V, int... I> struct ScatterTiles<T, V, std::integer_sequence<int, I...>> {
    static constexpr ScatterTile<T> of[] = {scatter_tile<T, I + 1, V>...};
};

template <class T> struct ScatterPlan {
    bool pays, direct;              // dx itself is written, not a slot with the edges around it
    i64 run, height, width;         // of a row of the window; of the image with its edges, in numbers
    i64 weights, slot, pieces, scratch;
    ScatterPlan(const ConvShape& s, i64 batch, i64 most_pieces)
        : run(s.kw * s.C), height(most(s.top + s.H, (s.OH - 1) * s.sh + (s.kh - 1) * s.dh + 1)),
          width(most(s.left + s.W, (s.OW - 1) * s.sw + s.kw) * s.C) {
        const double here = double(s.OH * s.OW * s.kh) * double(ceil_div(run, W<T>) * (s.O + 4));
        const double gathered = double(s.H * s.W * vectors_of<T>(s.C)) * double(s.kh * s.kw * s.O) / double(s.sh * s.sw);
        pays = s.groups == 1 && s.dw == 1 && 1.1 * here < gathered;
        direct = s.top == 0 && s.left == 0 && height == s.H && width == s.W * s.C;
        weights = ceil_div(s.kh * s.O * ceil_div(run, 2 * W<T>) * 2 * W<T>, LINE<T>) * LINE<T>;
        slot = direct ? 0 : ceil_div(height * width, LINE<T>) * LINE<T>;
        pieces = least(most_pieces, batch);
        scratch = pays ? weights + pieces * slot : 0;
    }
};

// to (height, width) += what all of dy sends
template <class T> void scatter_image(const ConvShape& s, const ScatterPlan<T>& plan, const T* dy, const T* w, T* to) {
    for (i64 u = 0; u < s.kh; ++u)
        for (i64 l = 0; l < plan.run; l += 2 * W<T>) {
            const i64 n = least(2 * W<T>, plan.run - l), v = ceil_div(n, W<T>), parts = ceil_div(s.OH, TALL);
            const auto* tiles = v == 2 ? ScatterTiles<T, 2>::of : ScatterTiles<T, 1>::of;
            for (i64 q = 0; q < parts; ++q) {
                const i64 i = part(s.OH, q, parts), h = part(s.OH, q + 1, parts) - i;
                for (i64 j = 0; j < s.OW; ++j)
                    tiles[h - 1](dy + (i * s.OW + j) * s.O, s.OW * s.O, s.O, w,
                                 to + (i * s.sh + u * s.dh) * plan.width + j * s.sw * s.C + l, s.sh * plan.width, n);
            }
            w += s.O * v * W<T>;
        }
}

template <class T>
void scatter(const ConvShape& s, const ScatterPlan<T>& plan, i64 batch, const T* dy, const T* weights, T* dx,
             bool accumulate, T* packed) {
    T* w = packed;
    for (i64 u = 0; u < s.kh; ++u)
        for (i64 l = 0; l < plan.run; l += 2 * W<T>) {
            const i64 n = least(2 * W<T>, plan.run - l), wide = ceil_div(n, W<T>) * W<T>;
            pack_columns(weights + (u * plan.run + l) * s.O, s.O, s.O, n, w, wide);
            w += s.O * wide;
        }
    const i64 image = s.H * s.W * s.C, row = s.W * s.C;
    parallel(static_cast<int>(plan.pieces), [&](int piece) {
        T* const slot = packed + plan.weights + piece * plan.slot;
        for (i64 b = part(batch, piece, plan.pieces); b < part(batch, piece + 1, plan.pieces); ++b) {
            T *const to = dx + b * image, *const at = plan.direct ? to : slot;
            if (!plan.direct || !accumulate) clear(at, plan.direct ? image : plan.height * plan.width);
            scatter_image(s, plan, dy + b * s.OH * s.OW * s.O, packed, at);
            for (i64 i = 0; i < (plan.direct ? 0 : s.H); ++i) {
                const T* from = slot + (s.top + i) * plan.width + s.left * s.C;
                for (i64 k = 0; k < row; ++k) to[i * row + k] = accumulate ? to[i * row + k] + from[k] : from[k];
            }
        }
    });
}

}  // namespace pellucid::PELLUCID_TIER
