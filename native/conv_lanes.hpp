// Convolution with output channels in the lanes: a tile of H pixels of one row × V vectors of channels
// in registers, weights packed, the windows read in place.
//
// The naive forms, for one sweep (conv_grid.hpp) of one image and group:
//
//     y[i, j, o] = sum over u, v, c of x[i·stride + at_u, j·stride + at_v, c] * w[u, v, c, o]
//     dW[u, v, c, o] = sum over i, j of x[i·stride + at_u, j·stride + at_v, c] * dy[i, j, o]
#pragma once

#include "conv_grid.hpp"

namespace pellucid::PELLUCID_TIER {

// Of 32 or 16 registers a tile leaves V for the weights and one for a pixel.
constexpr int TALL = PELLUCID_BYTES(PELLUCID_TIER) == 64 ? 14 : 6;     // with two vectors
constexpr int TALLER = PELLUCID_BYTES(PELLUCID_TIER) == 64 ? 28 : 12;  // with one

constexpr i64 tallest(int v) { return v == 2 ? TALL : TALLER; }

struct Window {  // what a pixel's sums run over: rows × columns runs of `length` numbers
    i64 rows, columns, length;
    i64 row_step, column_step;
};

template <class T, int H, int V>
void window_tile(const T* x, i64 apart, const Window& k, const T* w, const Finish<T>& f) {
    Vec<T> sum[H][V] = {};
    for (i64 r = 0; r < k.rows; ++r)
        for (i64 m = 0; m < k.columns; ++m) {
            const T* a = x + r * k.row_step + m * k.column_step;
            for (i64 l = 0; l < k.length; ++l) {
                Vec<T> row[V];
#pragma GCC unroll 2
                for (int v = 0; v < V; ++v) row[v] = load(w + v * W<T>);
#pragma GCC unroll 32
                for (int i = 0; i < H; ++i) {
                    const Vec<T> pixel = splat(a[i * apart]);
#pragma GCC unroll 2
                    for (int v = 0; v < V; ++v) sum[i][v] = sum[i][v] + pixel * row[v];
                }
                ++a;
                w += V * W<T>;
            }
        }
    finish<T>(sum, f);
}

struct Pixels {  // what a weight's sums run over: windows' places in x, and their outputs' in dy
    i64 images, rows, columns;
    i64 x_image, x_row, x_column;  // steps
    i64 dy_image, dy_row, dy_column;
};

// Weights k0 … k0 + H: those of number i are at x + i (ALONG) or at x + at[i].
template <class T, int H, int V, bool ALONG>
void pixel_tile(const T* x, const i64* at, const T* dy, const Pixels& p, const Finish<T>& f) {
    Vec<T> sum[H][V] = {};
    for (i64 b = 0; b < p.images; ++b)
        for (i64 i = 0; i < p.rows; ++i) {
            const T* a = x + b * p.x_image + i * p.x_row;
            const T* d = dy + b * p.dy_image + i * p.dy_row;
            for (i64 j = 0; j < p.columns; ++j) {
                Vec<T> row[V];
#pragma GCC unroll 2
                for (int v = 0; v < V; ++v) row[v] = load(d + v * W<T>);
#pragma GCC unroll 32
                for (int h = 0; h < H; ++h) {
                    const Vec<T> pixel = splat(ALONG ? a[h] : a[at[h]]);
#pragma GCC unroll 2
                    for (int v = 0; v < V; ++v) sum[h][v] = sum[h][v] + pixel * row[v];
                }
                a += p.x_column;
                d += p.dy_column;
            }
        }
    finish<T>(sum, f);
}

template <class T>
using WindowTile = void (*)(const T*, i64, const Window&, const T*, const Finish<T>&);
template <class T>
using PixelTile = void (*)(const T*, const i64*, const T*, const Pixels&, const Finish<T>&);

// window_tiles<T, V>.of[h - 1] has h pixels.
template <class T, int V, class = std::make_integer_sequence<int, tallest(V)>> struct WindowTiles;
template <class T, int V, int... I>
struct WindowTiles<T, V, std::integer_sequence<int, I...>> {
    static constexpr WindowTile<T> of[] = {window_tile<T, I + 1, V>...};
};
template <class T, int V, bool ALONG, class = std::make_integer_sequence<int, tallest(V)>>
struct PixelTiles;
template <class T, int V, bool ALONG, int... I>
struct PixelTiles<T, V, ALONG, std::integer_sequence<int, I...>> {
    static constexpr PixelTile<T> of[] = {pixel_tile<T, I + 1, V, ALONG>...};
};

// ---- forward and dx -----------------------------------------------------------------------------

// Panels of the outputs of one group: two vectors of channels each, the last one perhaps one.
template <class T> constexpr i64 vectors_of(i64 channels) { return ceil_div(channels, W<T>); }

// The packed weights of one phase: for each group and panel (taps, channels, V·W).
template <class T> T* pack_sweep(const Direction& d, const Axis& r, const Axis& c, const T* weights, T* to) {
    const ConvShape& s = d.s;
    const i64 in = d.channels() / s.groups, out = d.out_channels() / s.groups;
    for (i64 g = 0; g < s.groups; ++g)
        for (i64 o = 0; o < out; o += 2 * W<T>) {
            const i64 n = least(2 * W<T>, out - o), width = vectors_of<T>(n) * W<T>;
            for (i64 a = 0; a < r.taps; ++a)
                for (i64 b = 0; b < c.taps; ++b, to += in * width) {
                    const i64 tap = (r.tap + a * r.tap_step) * s.kw + c.tap + b * c.tap_step;
                    if (d.back) pack_columns(weights + (tap * out + o) * s.O + g * in, s.O, in, n, to, width);
                    else pack_rows(weights + tap * in * s.O + g * out + o, s.O, in, n, to, width);
                }
        }
    return to;
}

template <class T> struct Band {  // rows of an image, zeros around them included
    const T* data;                // of row `row` and column `column`
    i64 row, column, pitch;       // from row to row
};

template <class T> struct Target {  // one image that is written
    T* data;
    bool add;
    Epilogue<T> end;
};

// Outputs [t0, t1) of one sweep's rows.
template <class T>
const T* sweep_rows(const Direction& d, const Axis& r, const Axis& c, i64 t0, i64 t1, const Band<T>& x,
                const T* w, const Target<T>& y) {
    const i64 groups = d.s.groups, channels = d.channels(), in = channels / groups;
    const i64 filters = d.out_channels(), out = filters / groups;
    Window k{r.taps, c.taps, in, r.step * x.pitch, c.step * channels};
    if (groups == 1 && c.step == 1) k.columns = least(1, c.taps), k.length = c.taps * in;
    for (i64 g = 0; g < groups; ++g)
        for (i64 o = 0; o < out; o += 2 * W<T>) {
            const i64 n = least(2 * W<T>, out - o), v = vectors_of<T>(n);
            const i64 parts = ceil_div(c.outputs, tallest(static_cast<int>(v)));
            for (i64 t = t0; t < least(t1, r.outputs); ++t)
                for (i64 q = 0; q < parts; ++q) {
                    const i64 j = part(c.outputs, q, parts), h = part(c.outputs, q + 1, parts) - j;
                    const T* from = x.data + (t * r.stride + r.at - x.row) * x.pitch +
                                    (j * c.stride + c.at - x.column) * channels + g * in;
                    const i64 pixel = (r.out + t * r.out_step) * d.out_width() + c.out + j * c.out_step;
                    const Finish<T> f{y.data + pixel * filters + g * out + o, c.out_step * filters, n, y.add,
                                      y.end.bias ? y.end.bias + g * out + o : nullptr, y.end.act, y.end.slope};
                    (v == 2 ? WindowTiles<T, 2>::of : WindowTiles<T, 1>::of)[h - 1](from, c.stride * channels, k, w, f);
                }
            w += r.taps * c.taps * in * v * W<T>;
        }
    return w;
}

// ---- dW -----------------------------------------------------------------------------------------

template <class T> constexpr i64 padded_lanes(i64 channels) { return vectors_of<T>(channels) * W<T>; }

// sums (groups, panels, K, V·W) (+)= the products of one block of pixels; x (and dy, its groups'
// channels filled up to whole vectors) as `p` says.
template <class T>
void weight_sums(const ConvShape& s, const T* x, i64 pitch, const T* dy, const Pixels& p, bool add, T* sums) {
    const i64 in = s.C / s.groups, out = s.O / s.groups;
    const bool joined = s.groups == 1 && s.dw == 1;  // a row of taps is one run
    const i64 length = joined ? s.kw * in : in, steps = s.kh * s.kw * in;
    i64 at[TALLER];
    for (i64 g = 0; g < s.groups; ++g)
        for (i64 o = 0; o < out; o += 2 * W<T>) {
            const int v = static_cast<int>(vectors_of<T>(least(2 * W<T>, out - o)));
            const i64 width = v * W<T>;
            const bool along = length == steps || length * v >= 8;
            const i64 run = along ? length : steps, parts = ceil_div(run, tallest(v));
            const T* d = dy + g * padded_lanes<T>(out) + o;
            for (i64 k = 0; k < steps; k += run)
                for (i64 q = 0; q < parts; ++q) {
                    const i64 first = k + part(run, q, parts), h = k + part(run, q + 1, parts) - first;
                    for (i64 i = 0; i < h; ++i) {
                        const i64 tap = (first + i) / in, c = (first + i) % in;
                        at[i] = tap / s.kw * s.dh * pitch + tap % s.kw * s.dw * s.C + g * in + c;
                    }
                    const Finish<T> f{sums + first * width, width, width, add, nullptr, Act::none, 0};
                    const auto* tile = along ? (v == 2 ? PixelTiles<T, 2, true>::of : PixelTiles<T, 1, true>::of)
                                            : (v == 2 ? PixelTiles<T, 2, false>::of : PixelTiles<T, 1, false>::of);
                    tile[h - 1](along ? x + at[0] : x, at, d, p, f);
                }
            sums += steps * width;
        }
}

// sums (+)= dy.sum over the pixels; dy's rows have `width` numbers, whole vectors.
template <class T> void bias_sums(const T* dy, const Pixels& p, i64 width, bool add, T* sums) {
    for (i64 v = 0; v < width; v += W<T>) {
        Vec<T> sum[4] = {};  // four side by side: an addition takes as long as four of them
        for (i64 b = 0; b < p.images; ++b)
            for (i64 i = 0; i < p.rows; ++i) {
                const T* d = dy + b * p.dy_image + i * p.dy_row + v;
                i64 j = 0;
                for (; j + 4 <= p.columns; j += 4)
                    for (int n = 0; n < 4; ++n) sum[n] = sum[n] + load(d + (j + n) * p.dy_column);
                for (; j < p.columns; ++j) sum[0] = sum[0] + load(d + j * p.dy_column);
            }
        const Vec<T> all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        store(sums + v, add ? load(sums + v) + all : all);
    }
}

}  // namespace pellucid::PELLUCID_TIER
