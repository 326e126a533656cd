// Where windows lie: both directions of a convolution as sweeps of windows over an image, and bands of
// the image with the zeros around it.
//
// Forward is one sweep. The input gradient at pixel i gathers from every output that saw it: through
// tap u from output (i + top − u·dh) / sh, if that is a whole number. Pixels with the same remainder of
// i by sh (a phase) use the same taps, a part of the kernel read backwards, and neighbours among them
// read neighbours: sh·sw sweeps of stride 1 over dy.
#pragma once

#include <numeric>

#include "conv.hpp"
#include "tile.hpp"

namespace pellucid::PELLUCID_TIER {

struct Axis {                // one sweep along the height or the width
    i64 stride;              // of the input, between neighbouring outputs
    i64 taps, at, step;      // where the first output's taps read: at, at + step, …; may be outside
    i64 tap, tap_step;       // which taps of the kernel those are
    i64 outputs, out, out_step;  // how many, and their places in the output image
    i64 past() const { return at + (taps - 1) * step + 1; }  // the end of the first window
};

inline Axis forward_axis(i64 outputs, i64 kernel, i64 stride, i64 dilation, i64 before) {
    return {stride, kernel, -before, dilation, 0, 1, outputs, 0, 1};
}

// Pixels phase, phase + stride, … of n.
inline Axis backward_axis(i64 n, i64 kernel, i64 stride, i64 dilation, i64 before, i64 phase) {
    const i64 common = std::gcd(stride, dilation), apart = stride / common;
    Axis a{1, 0, 0, dilation / common, 0, -apart, ceil_div(n - phase, stride), phase, stride};
    for (i64 first = 0; first < least(kernel, apart); ++first)
        if ((phase + before - first * dilation) % stride == 0) {
            a.taps = (kernel - 1 - first) / apart + 1;
            a.tap = first + (a.taps - 1) * apart;
            a.at = (phase + before - a.tap * dilation) / stride;
        }
    return a;
}

struct Direction {  // forward, or from dy to dx
    const ConvShape& s;
    bool back;
    i64 height() const { return back ? s.OH : s.H; }  // of the images that are read
    i64 width() const { return back ? s.OW : s.W; }
    i64 channels() const { return back ? s.O : s.C; }
    i64 out_height() const { return back ? s.H : s.OH; }  // of those that are written
    i64 out_width() const { return back ? s.W : s.OW; }
    i64 out_channels() const { return back ? s.C : s.O; }
    i64 row_phases() const { return back ? least(s.sh, s.H) : 1; }
    i64 column_phases() const { return back ? least(s.sw, s.W) : 1; }
    Axis rows(i64 phase) const {
        return back ? backward_axis(s.H, s.kh, s.sh, s.dh, s.top, phase)
                    : forward_axis(s.OH, s.kh, s.sh, s.dh, s.top);
    }
    Axis columns(i64 phase) const {
        return back ? backward_axis(s.W, s.kw, s.sw, s.dw, s.left, phase)
                    : forward_axis(s.OW, s.kw, s.sw, s.dw, s.left);
    }
    // f(rows, columns) for every phase
    template <class F> void sweeps(F f) const {
        for (i64 a = 0; a < row_phases(); ++a)
            for (i64 b = 0; b < column_phases(); ++b) f(rows(a), columns(b));
    }
};

struct Reach {  // of all phases along one axis: what outputs [0, 1) of them read, and the most outputs
    i64 low = 0, high = 0, outputs = 0, stride = 1;
    bool any = false;
    void add(const Axis& a) {
        outputs = most(outputs, a.outputs);
        stride = a.stride;
        if (a.taps == 0) return;
        low = any ? least(low, a.at) : a.at;
        high = any ? most(high, a.past()) : a.past();
        any = true;
    }
    i64 extent(i64 count) const { return (count - 1) * stride + high - low; }
    bool inside(i64 size) const { return low >= 0 && low + extent(outputs) <= size; }
};

inline Reach row_reach(const Direction& d) {
    Reach r;
    for (i64 a = 0; a < d.row_phases(); ++a) r.add(d.rows(a));
    return r;
}
inline Reach column_reach(const Direction& d) {
    Reach r;
    for (i64 a = 0; a < d.column_phases(); ++a) r.add(d.columns(a));
    return r;
}

template <class T> struct Image {  // one image that is read
    const T* data;
    const T* relu;  // where it is not positive, data counts as 0; or null
    i64 height, width, channels;
};

// to[:n] = from[:n], or 0 where relu <= 0
template <class T> void copy(T* to, const T* from, const T* relu, i64 n) {
    for (i64 i = 0; i < n; i += W<T>) {
        const int there = static_cast<int>(least(W<T>, n - i));
        const auto get = [&](const T* p) { return there == W<T> ? load(p + i) : load(p + i, there); };
        Vec<T> v = get(from);
        if (relu) v = get(relu) > splat<T>(0) ? v : Vec<T>{};
        if (there == W<T>) store(to + i, v);
        else store(to + i, v, there);
    }
}

template <class T> void clear(T* to, i64 n) {
    if (n > 0) std::memset(to, 0, static_cast<std::size_t>(n) * sizeof(T));
}

// to = rows [r0, r1) and columns [c0, c1) of the image, with zeros where they lie outside
template <class T>
void copy_band(T* to, const Image<T>& x, i64 r0, i64 r1, i64 c0, i64 c1) {
    const i64 left = least(most(0, -c0), c1 - c0), from = c0 + left;
    const i64 there = most(0, least(c1, x.width) - from);
    for (i64 r = r0; r < r1; ++r) {
        if (r < 0 || r >= x.height || there == 0) {
            clear(to, (c1 - c0) * x.channels);
        } else {
            const i64 at = (r * x.width + from) * x.channels;
            clear(to, left * x.channels);
            copy(to + left * x.channels, x.data + at, x.relu ? x.relu + at : nullptr, there * x.channels);
            clear(to + (left + there) * x.channels, (c1 - c0 - left - there) * x.channels);
        }
        to += (c1 - c0) * x.channels;
    }
}

}  // namespace pellucid::PELLUCID_TIER
