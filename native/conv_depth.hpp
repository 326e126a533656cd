// Depthwise convolution, a filter for each channel: channels in the lanes of pixels, filters and outputs
// alike, so that a tap is one product of vectors.
//
// The naive forms, for one sweep (conv_grid.hpp) of one image:
//
//     y[i, j, c] = sum over u, v of x[i·stride + at_u, j·stride + at_v, c] * w[u, v, c]
//     dW[u, v, c] = sum over i, j of x[i·stride + at_u, j·stride + at_v, c] * dy[i, j, c]
#pragma once

#include "conv_lanes.hpp"

namespace pellucid::PELLUCID_TIER {

inline bool depthwise(const ConvShape& s) { return s.groups > 1 && s.groups == s.C && s.O == s.C; }

constexpr int DEEP = 8, TAPS = 9;  // pixels of a tile; taps whose sums run side by side

// The first n lanes, or whole vectors.
template <class T, bool WHOLE> inline Vec<T> lanes(const T* p, int n) {
    if constexpr (WHOLE) return load(p);
    else return load(p, n);
}

// y (H pixels) of one vector of channels; the filters' taps `deep` apart.
template <class T, int H, bool WHOLE>
void depth_tile(const T* x, i64 apart, const Window& k, const T* w, i64 deep, const Finish<T>& f) {
    Vec<T> sum[H][1] = {};
    const int n = static_cast<int>(f.n);
    for (i64 r = 0; r < k.rows; ++r)
        for (i64 m = 0; m < k.columns; ++m, w += deep) {
            const T* a = x + r * k.row_step + m * k.column_step;
            const Vec<T> tap = load(w);
#pragma GCC unroll 8
            for (int i = 0; i < H; ++i) sum[i][0] = sum[i][0] + lanes<T, WHOLE>(a + i * apart, n) * tap;
        }
    finish<T>(sum, f);
}

template <class T> using DepthTile = void (*)(const T*, i64, const Window&, const T*, i64, const Finish<T>&);
template <class T, bool WHOLE, class = std::make_integer_sequence<int, DEEP>> struct DepthTiles;
template <class T, bool WHOLE, int... I> struct DepthTiles<T, WHOLE, std::integer_sequence<int, I...>> {
    static constexpr DepthTile<T> of[] = {depth_tile<T, I + 1, WHOLE>...};
};

// The filters of one phase: (taps, channels filled up to whole vectors).
template <class T> T* pack_depth(const ConvShape& s, const Axis& r, const Axis& c, const T* weights, T* to) {
    for (i64 a = 0; a < r.taps; ++a)
        for (i64 b = 0; b < c.taps; ++b, to += padded_lanes<T>(s.C))
            pack_rows(weights + ((r.tap + a * r.tap_step) * s.kw + c.tap + b * c.tap_step) * s.C, s.C, 1, s.C, to,
                      padded_lanes<T>(s.C));
    return to;
}

// Outputs [t0, t1) of one sweep's rows.
template <class T>
const T* depth_rows(const Direction& d, const Axis& r, const Axis& c, i64 t0, i64 t1, const Band<T>& x, const T* w,
                    const Target<T>& y) {
    const i64 C = d.s.C, deep = padded_lanes<T>(C), parts = ceil_div(c.outputs, DEEP);
    const Window k{r.taps, c.taps, 1, r.step * x.pitch, c.step * C};
    for (i64 t = t0; t < least(t1, r.outputs); ++t)
        for (i64 q = 0; q < parts; ++q) {
            const i64 j = part(c.outputs, q, parts), h = part(c.outputs, q + 1, parts) - j;
            const T* from = x.data + (t * r.stride + r.at - x.row) * x.pitch + (j * c.stride + c.at - x.column) * C;
            T* to = y.data + ((r.out + t * r.out_step) * d.out_width() + c.out + j * c.out_step) * C;
            for (i64 o = 0; o < C; o += W<T>) {
                const i64 n = least(W<T>, C - o);
                const Finish<T> f{to + o, c.out_step * C, n, y.add, y.end.bias ? y.end.bias + o : nullptr, y.end.act,
                                  y.end.slope};
                (n == W<T> ? DepthTiles<T, true>::of : DepthTiles<T, false>::of)[h - 1](from + o, c.stride * C, k, w + o,
                                                                                        deep, f);
            }
        }
    return w + r.taps * c.taps * deep;
}

// sums (n taps, whole vectors) (+)= of one vector of channels; dy's own sum where there is a place for it
template <class T, int N, bool WHOLE>
void depth_sums(const T* x, const i64* at, const T* dy, const Pixels& p, int n, bool add, T* sums, T* bias, i64 deep) {
    Vec<T> sum[N] = {}, all{};
    for (i64 b = 0; b < p.images; ++b)
        for (i64 i = 0; i < p.rows; ++i) {
            const T* a = x + b * p.x_image + i * p.x_row;
            const T* d = dy + b * p.dy_image + i * p.dy_row;
            for (i64 j = 0; j < p.columns; ++j, a += p.x_column, d += p.dy_column) {
                const Vec<T> slope = lanes<T, WHOLE>(d, n);
                all = all + slope;
#pragma GCC unroll 9
                for (int t = 0; t < N; ++t) sum[t] = sum[t] + lanes<T, WHOLE>(a + at[t], n) * slope;
            }
        }
    const auto put = [&](T* to, Vec<T> value) { store(to, add ? load(to) + value : value); };
    for (int t = 0; t < N; ++t) put(sums + t * deep, sum[t]);
    if (bias) put(bias, all);
}

template <class T>
using DepthSums = void (*)(const T*, const i64*, const T*, const Pixels&, int, bool, T*, T*, i64);
template <class T, bool WHOLE, class = std::make_integer_sequence<int, TAPS>> struct DepthSumsOf;
template <class T, bool WHOLE, int... I> struct DepthSumsOf<T, WHOLE, std::integer_sequence<int, I...>> {
    static constexpr DepthSums<T> of[] = {depth_sums<T, I + 1, WHOLE>...};
};

// sums (taps, whole vectors) (+)= the products of one block of pixels; bias (whole vectors), or null
template <class T>
void depth_gradient(const ConvShape& s, const T* x, i64 pitch, const T* dy, const Pixels& p, bool add, T* sums, T* bias) {
    const i64 deep = padded_lanes<T>(s.C), taps = s.kh * s.kw;
    for (i64 o = 0; o < s.C; o += W<T>)
        for (i64 first = 0; first < taps; first += TAPS) {
            const i64 count = least(TAPS, taps - first), n = least(W<T>, s.C - o);
            i64 at[TAPS];
            for (i64 t = 0; t < count; ++t) at[t] = (first + t) / s.kw * s.dh * pitch + (first + t) % s.kw * s.dw * s.C;
            (n == W<T> ? DepthSumsOf<T, true>::of : DepthSumsOf<T, false>::of)[count - 1](
                x + o, at, dy + o, p, static_cast<int>(n), add, sums + first * deep + o,
                bias && first == 0 ? bias + o : nullptr, deep);
        }
}

}  // namespace pellucid::PELLUCID_TIER
