// y = windows(x).max() or .mean(), channel by channel: opcodes for pooling. (B, H, W, C) → (B, OH, OW, C).
//
// A window is worked off in vectors of channels; windows of 2×2 have a kernel with constants. Where
// windows lie side by side without gaps, each pixel's gradient is written once, and nothing is cleared.
#pragma once

#include "ops_windows.hpp"

namespace pellucid::PELLUCID_TIER {

using Two = std::integral_constant<i64, 2>;
enum Pool { greatest, mean, mean_inside, pool_count };

struct Pooling {  // the numbers of an instruction
    i64 kind, H, W, C, OH, OW, kh, kw, sh, sw, top, left, act;
    i64 in() const { return H * W * C; }  // values of an image
    i64 out() const { return OH * OW * C; }
    bool overlap() const { return sh < kh || sw < kw; }
    bool gaps() const { return sh != kh || sw != kw || top || left || OH * kh < H || OW * kw < W; }
};
inline Pooling pooling_of(const i64* n) {
    return {n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10], n[11], n[12]};
}

// Operands x (H, W, C) and y (OH, OW, C) a row; every window has a pixel inside.
inline void need_pool(const Check& c, int x, int y) {
    need_from(c, 1, {1, 2, 3, 4, 5, 6, 7, 8, 9});
    need_from(c, 0, {10, 11});
    const Pooling s = pooling_of(c.i.whole);
    c.need(s.kind >= 0 && s.kind < pool_count && s.act >= 0 && s.act <= 2);
    c.need(s.top < s.kh && s.left < s.kw && (s.OH - 1) * s.sh - s.top < s.H && (s.OW - 1) * s.sw - s.left < s.W);
    need_images(c, x, s.H, s.W, s.C);
    need_images(c, y, s.OH, s.OW, s.C);
}

// f(x, y, h, w) for every window of an image: the places of its first pixel inside and of its output,
// and how many rows and columns of it are inside, as constants where these are 2 and 2.
template <class F> PELLUCID_INLINED void each_window(const Pooling& s, F&& f) {
    const Inside whole = inside(-s.left, s.OW, s.sw, s.W - s.kw + 1);  // along the width
    for (i64 i = 0, y = 0; i < s.OH; i++) {
        const i64 top = i * s.sh - s.top;
        const Inside rows = inside(top, s.kh, 1, s.H);
        const i64 h = rows.last - rows.first, row = (top + rows.first) * s.W;
        auto cut = [&](i64 j) {
            const i64 left = j * s.sw - s.left;
            const Inside columns = inside(left, s.kw, 1, s.W);
            f((row + left + columns.first) * s.C, y, h, columns.last - columns.first);
        };
        i64 j = 0;
        for (; j < whole.first; j++, y += s.C) cut(j);
        i64 x = (row + j * s.sw - s.left) * s.C;
        auto inner = [&](auto height, auto width) {
            for (; j < whole.last; j++, x += s.sw * s.C, y += s.C) f(x, y, height, width);
        };
        if (h == 2 && s.kw == 2) inner(Two{}, Two{});
        else inner(h, s.kw);
        for (; j < s.OW; j++, y += s.C) cut(j);
    }
}

template <class T> struct Squash {  // the activation behind a max-pool
    T slope;
    Bits<T> keep;
    bool any;
    Squash(const Pooling& s, T slope) : slope(slope), keep(s.act == 1 ? Bits<T>{} : ~Bits<T>{}), any(s.act != 0) {}
    Vec<T> operator()(Vec<T> x) const { return any ? activate<T>(x, slope, keep) : x; }
    Vec<T> back(Vec<T> dy, Vec<T> y) const { return !any || y > splat<T>(0) ? dy : dy * slope; }
};

// What the sum of a window is multiplied by.
template <class T> T share_of(const Pooling& s, i64 h, i64 w) {
    return T(1 / (s.kind == mean ? double(s.kh) * double(s.kw) : double(h) * double(w)));
}

// y = act(windows(x).max()), or .mean()
template <class Max, class T, class H, class V>
PELLUCID_INLINED void pool_window(Max max, T* y, const T* x, H h, V w, i64 row, i64 C, T share, Squash<T> act) {
    over_vectors<T>(C, [&](i64 c, auto n) {
        Vec<T> out = load(x + c, n);
        for (i64 u = 0; u < h; u++)
            for (i64 v = u ? 0 : 1; v < w; v++) {
                const Vec<T> seen = load(x + u * row + v * C + c, n);
                out = max ? larger<T>(out, seen) : out + seen;
            }
        store(y + c, act(max ? out : out * share), n);
    });
}
template <class Max, class T> void pool(Max max, Pooling s, T* y, const T* x, Squash<T> act) {
    const T whole = share_of<T>(s, s.kh, s.kw);
    each_window(s, [&](i64 from, i64 to, auto h, auto w) {
        const T share = h * w == s.kh * s.kw ? whole : share_of<T>(s, h, w);
        pool_window(max, y + to, x + from, h, w, s.W * s.C, s.C, share, act);
    });
}
inline void check_pool(const Check& c) { need_pool(c, 1, 0); }
template <class T> void run_pool(const Frame<T>& f) {
    const Pooling s = pooling_of(f.i->whole);
    const Squash<T> act(s, T(f.i->real[13]));
    in_row_pieces(f.m->rows, s.in(), [&](i64 first, i64 last) {
        for (i64 image = first; image < last; image++)
            either(s.kind == greatest,
                   [&](auto max) { pool(max, s, f.at[0] + image * s.out(), f.at[1] + image * s.in(), act); });
    });
}

// dx (+)= dy where x is the first greatest, or dy / n. Where windows overlap the activation's slope
// comes later (`finish`), when the sums are complete.
template <class Adding, class Max, class T, class H, class V>
PELLUCID_INLINED void pool_window_grad(Adding adding, Max max, T* dx, const T* dy, const T* x, const T* y, H h, V w,
                                       i64 row, i64 C, T share, Squash<T> act, bool late) {
    const auto vector = [&](i64 c, auto n) {
        Vec<T> back = load(dy + c, n), top{};
        if constexpr (max) top = load(y + c, n);
        back = !max ? back * share : late ? back : act.back(back, top);
        for (i64 u = 0; u < h; u++)
            for (i64 v = 0; v < w; v++) {
                const i64 at = u * row + v * C + c;
                Vec<T> got = back;
                if constexpr (max) {
                    const Vec<T> seen = act(load(x + at, n));  // the first that is greatest takes all
                    got = seen == top ? back : Vec<T>{}, back = seen == top ? Vec<T>{} : back;
                }
                store(dx + at, adding ? load(dx + at, n) + got : got, n);
            }
    };
    if constexpr (adding) in_vectors<T>(C, vector);
    else over_vectors<T>(C, vector);
}
template <class Adding, class Max, class T>
void pool_grad(Adding adding, Max max, Pooling s, T* dx, const T* dy, const T* x, const T* y, Squash<T> act) {
    const T whole = share_of<T>(s, s.kh, s.kw);
    const bool late = s.overlap();
    each_window(s, [&](i64 to, i64 from, auto h, auto w) {
        const T share = h * w == s.kh * s.kw ? whole : share_of<T>(s, h, w);
        pool_window_grad(adding, max, dx + to, dy + from, x + to, y + from, h, w, s.W * s.C, s.C, share, act, late);
    });
}
inline void check_pool_grad(const Check& c) {
    need_pool(c, 0, 1);
    if (c.n(0) != greatest) return;
    c.need(c.rowwise(2) && c.rowwise(3) && c.size(2) == c.size(0) && c.size(3) == c.size(1));
}
template <class T> i64 scratch_pool_grad(const Instruction& i, i64 rows) {
    return i.whole[14] && pooling_of(i.whole).overlap() ? rows * i.at[0].elements : 0;
}

// dx (+)= sum, through the activation's slope
template <class Adding, class T>
void finish(Adding adding, T* dx, const T* sum, const T* x, i64 n, const Squash<T>& act) {
    in_vectors<T>(n, [&](i64 k, auto n) {
        const Vec<T> all = act.any && x ? act.back(load(sum + k, n), load(x + k, n)) : load(sum + k, n);
        store(dx + k, adding ? load(dx + k, n) + all : all, n);
    });
}

template <class T> void run_pool_grad(const Frame<T>& f) {
    const Pooling s = pooling_of(f.i->whole);
    const Squash<T> act(s, T(f.i->real[13]));
    const bool adding = f.i->whole[14], overlap = s.overlap(), apart = adding && overlap;
    in_row_pieces(f.m->rows, s.in(), [&](i64 first, i64 last) {
        for (i64 image = first; image < last; image++) {
            const T *dy = f.at[1] + image * s.out(), *x = nullptr, *y = nullptr;
            if (s.kind == greatest) x = f.at[2] + image * s.in(), y = f.at[3] + image * s.out();
            T *dx = f.at[0] + image * s.in(), *sum = apart ? f.scratch + image * s.in() : dx;
            if (apart || (!adding && (overlap || s.gaps()))) std::memset(sum, 0, std::size_t(s.in()) * sizeof(T));
            either(adding || overlap, [&](auto add) {
                either(x, [&](auto max) { pool_grad(add, max, s, sum, dy, x, y, act); });
            });
            if (apart || (overlap && act.any && x))
                either(adding, [&](auto add) { finish(add, dx, sum, x, s.in(), act); });
        }
    });
}

}  // namespace pellucid::PELLUCID_TIER
