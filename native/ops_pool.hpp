// y = windows(x).max() or .mean(), channel by channel: opcodes for pooling. (B, H, W, C) → (B, OH, OW, C).
#pragma once

#include "ops_windows.hpp"

namespace pellucid::PELLUCID_TIER {

enum Pool { greatest, mean, mean_inside, pool_count };

struct Pooling {  // the numbers of an instruction
    i64 kind, H, W, C, OH, OW, kh, kw, sh, sw, top, left, act;
};
inline Pooling pooling_of(const i64* n) {
    return {n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10], n[11], n[12]};
}

// Operands x (H, W, C) and y (OH, OW, C) a row.
inline void need_pool(const Check& c, int x, int y) {
    need_from(c, 1, {1, 2, 3, 4, 5, 6, 7, 8, 9});
    need_from(c, 0, {10, 11});
    const Pooling s = pooling_of(c.i.whole);
    c.need(s.kind >= 0 && s.kind < pool_count && s.act >= 0 && s.act <= 2);
    need_images(c, x, s.H, s.W, s.C);
    need_images(c, y, s.OH, s.OW, s.C);
}

// One window of an image: its first pixel, and which of its taps are inside.
struct Window {
    i64 top, left;
    Inside rows, columns;
};
inline Window window(const Pooling& s, i64 i, i64 j) {
    const i64 top = i * s.sh - s.top, left = j * s.sw - s.left;
    return {top, left, inside(top, s.kh, 1, s.H), inside(left, s.kw, 1, s.W)};
}

// What the sum of a window is multiplied by.
template <class T> T share_of(const Pooling& s, const Window& w) {
    const double n = s.kind == mean ? double(s.kh) * double(s.kw)
                                    : double(w.rows.last - w.rows.first) * double(w.columns.last - w.columns.first);
    return T(1 / n);
}

template <class T> T activated(T x, i64 act, T slope) { return act && x < slope * x ? slope * x : x; }

// y = act(windows(x).max()), or .mean(); NaN is the greatest
inline void check_pool(const Check& c) { need_pool(c, 1, 0); }
template <class T> void run_pool(const Frame<T>& f) {
    const Pooling s = pooling_of(f.i->whole);
    const T slope = T(f.i->real[13]);
    in_row_pieces(f.m->rows, s.H * s.W * s.C, [&](i64 first, i64 last) {
        for (i64 image = first; image < last; image++) {
            const T* x = f.at[1] + image * s.H * s.W * s.C;
            T* y = f.at[0] + image * s.OH * s.OW * s.C;
            for (i64 i = 0; i < s.OH; i++)
                for (i64 j = 0; j < s.OW; j++, y += s.C) {
                    const Window w = window(s, i, j);
                    for (i64 c = 0; c < s.C; c++) {
                        T out = s.kind ? T(0) : -std::numeric_limits<T>::infinity();
                        for (i64 u = w.rows.first; u < w.rows.last; u++)
                            for (i64 v = w.columns.first; v < w.columns.last; v++) {
                                const T seen = x[((w.top + u) * s.W + w.left + v) * s.C + c];
                                out = s.kind ? out + seen : out > seen || std::isnan(out) ? out : seen;
                            }
                        y[c] = activated(s.kind ? out * share_of<T>(s, w) : out, s.act, slope);
                    }
                }
        }
    });
}

// dx (+)= dy where x is the first greatest, or dy / n
inline void check_pool_grad(const Check& c) {
    need_pool(c, 0, 1);
    if (c.n(0) != greatest) return;
    c.need(c.rowwise(2) && c.rowwise(3) && c.size(2) == c.size(0) && c.size(3) == c.size(1));
}
// Where windows overlap, a pixel's sum is complete before the activation's slope and dx meet it.
inline bool overlap(const Pooling& s) { return s.sh < s.kh || s.sw < s.kw; }
template <class T> i64 scratch_pool_grad(const Instruction& i, i64 rows) {
    return i.whole[14] && overlap(pooling_of(i.whole)) ? rows * i.at[0].elements : 0;
}
template <class T> void run_pool_grad(const Frame<T>& f) {
    const Pooling s = pooling_of(f.i->whole);
    const T slope = T(f.i->real[13]);
    const i64 size = s.H * s.W * s.C;
    const bool adding = f.i->whole[14], apart = adding && overlap(s);
    in_row_pieces(f.m->rows, size, [&](i64 first, i64 last) {
        for (i64 image = first; image < last; image++) {
            const T* x = s.kind ? nullptr : f.at[2] + image * size;
            T *dx = f.at[0] + image * size, *sum = apart ? f.scratch + image * size : dx;
            if (apart || !adding)
                for (i64 k = 0; k < size; k++) sum[k] = 0;
            for (i64 i = 0; i < s.OH; i++)
                for (i64 j = 0; j < s.OW; j++) {
                    const Window w = window(s, i, j);
                    for (i64 c = 0; c < s.C; c++) {
                        const i64 out = ((image * s.OH + i) * s.OW + j) * s.C + c;
                        const T top = s.kind ? T(0) : f.at[3][out];
                        T slopes = s.kind ? f.at[1][out] * share_of<T>(s, w) : f.at[1][out];
                        if (!overlap(s) && s.act && !s.kind && !(top > 0)) slopes *= slope;
                        bool taken = false;
                        for (i64 u = w.rows.first; u < w.rows.last && !taken; u++)
                            for (i64 v = w.columns.first; v < w.columns.last && !taken; v++) {
                                const i64 at = ((w.top + u) * s.W + w.left + v) * s.C + c;
                                if (s.kind || activated(x[at], s.act, slope) == top) sum[at] += slopes, taken = !s.kind;
                            }
                    }
                }
            if (!overlap(s)) continue;
            for (i64 k = 0; k < size; k++) {
                const T all = s.act && !s.kind && !(x[k] > 0) ? sum[k] * slope : sum[k];
                dx[k] = adding ? dx[k] + all : all;
            }
        }
    });
}

}  // namespace pellucid::PELLUCID_TIER
