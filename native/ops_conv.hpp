// y = act(windows(x) @ W + b) and its gradients: opcodes for convolution. (B, H, W, C) → (B, OH, OW, O),
// weights (kh, kw, C/groups, O).
#pragma once

#include "gemm.hpp"
#include "ops_windows.hpp"

namespace pellucid::PELLUCID_TIER {

struct Conv {  // the numbers of an instruction
    i64 H, W, C, OH, OW, O, kh, kw, sh, sw, dh, dw, top, left, groups;
};
inline Conv conv_of(const i64* n) {
    return {n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10], n[11], n[12], n[13], n[14]};
}

// Operands x (H, W, C) and y (OH, OW, O) a row, and W.
inline void need_conv(const Check& c, int x, int y, int w) {
    need_from(c, 1, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14});
    need_from(c, 0, {12, 13});
    const Conv s = conv_of(c.i.whole);
    need_images(c, x, s.H, s.W, s.C);
    need_images(c, y, s.OH, s.OW, s.O);
    c.need(s.C % s.groups == 0 && s.O % s.groups == 0);
    c.need(c.fixed(w) && c.size(w) == need_product(c, {s.kh, s.kw, s.C / s.groups, s.O}));
}

// f(x, w, y) for every pixel and filter of some images and every tap inside: the places of that
// tap's C/groups inputs, of its first weight (the next ones are O apart) and of the output.
template <class F> void each_tap(const Conv& s, i64 image, F&& f) {
    const i64 c = s.C / s.groups, o = s.O / s.groups;
    for (i64 i = 0; i < s.OH; i++)
        for (i64 j = 0; j < s.OW; j++) {
            const i64 top = i * s.sh - s.top, left = j * s.sw - s.left;
            const Inside rows = inside(top, s.kh, s.dh, s.H), columns = inside(left, s.kw, s.dw, s.W);
            for (i64 u = rows.first; u < rows.last; u++)
                for (i64 v = columns.first; v < columns.last; v++) {
                    const i64 x = ((image * s.H + top + u * s.dh) * s.W + left + v * s.dw) * s.C;
                    const i64 w = (u * s.kw + v) * c * s.O, y = ((image * s.OH + i) * s.OW + j) * s.O;
                    for (i64 k = 0; k < s.O; k++) f(x + k / o * c, w + k, y + k);
                }
        }
}

// y = act(windows(x) @ W + b)
inline void check_conv(const Check& c) {
    need_conv(c, 1, 0, 2);
    c.need(!c.there(3) || (c.fixed(3) && c.size(3) == c.n(5)));
    c.need(c.n(15) >= 0 && c.n(15) <= 2);
}
template <class T> void run_conv(const Frame<T>& f) {
    const Conv s = conv_of(f.i->whole);
    const i64 size = s.OH * s.OW * s.O, act = f.i->whole[15];
    const T slope = T(f.i->real[16]);
    in_row_pieces(f.m->rows, size, [&](i64 first, i64 last) {
        for (i64 image = first; image < last; image++) {
            T* y = f.at[0];
            for (i64 k = image * size; k < image * size + size; k++) y[k] = f.at[3] ? f.at[3][k % s.O] : T(0);
            each_tap(s, image, [&](i64 at, i64 w, i64 out) {
                for (i64 k = 0; k < s.C / s.groups; k++) y[out] += f.at[1][at + k] * f.at[2][w + k * s.O];
            });
            if (act)
                for (i64 k = image * size; k < image * size + size; k++) y[k] = y[k] < slope * y[k] ? slope * y[k] : y[k];
        }
    });
}

// dx (+)= scatter(dy @ W.T)
inline void check_conv_dx(const Check& c) { need_conv(c, 0, 1, 2); }
template <class T> void run_conv_dx(const Frame<T>& f) {
    const Conv s = conv_of(f.i->whole);
    const i64 size = s.H * s.W * s.C;
    in_row_pieces(f.m->rows, size, [&](i64 first, i64 last) {
        for (i64 image = first; image < last; image++) {
            if (!f.i->whole[15])
                for (i64 k = image * size; k < image * size + size; k++) f.at[0][k] = 0;
            each_tap(s, image, [&](i64 at, i64 w, i64 out) {
                for (i64 k = 0; k < s.C / s.groups; k++) f.at[0][at + k] += f.at[1][out] * f.at[2][w + k * s.O];
            });
        }
    });
}

// dW (+)= windows(x).T @ dy; db (+)= dy.sum(axis=(0, 1, 2))
inline void check_conv_dw(const Check& c) {
    need_conv(c, 1, 2, 0);
    c.need(!c.there(3) || (c.fixed(3) && c.size(3) == c.n(5)));
}
template <class T> void run_conv_dw(const Frame<T>& f) {
    const Conv s = conv_of(f.i->whole);
    const bool accumulate = f.i->whole[15] || f.m->part > 0;
    if (!accumulate)
        for (i64 k = 0; k < count(f, 0); k++) f.at[0][k] = 0;
    for (i64 image = 0; image < f.m->rows; image++)
        each_tap(s, image, [&](i64 at, i64 w, i64 out) {
            for (i64 k = 0; k < s.C / s.groups; k++) f.at[0][w + k * s.O] += f.at[1][at + k] * f.at[2][out];
        });
    if (!f.at[3]) return;
    if (!accumulate)
        for (i64 k = 0; k < s.O; k++) f.at[3][k] = 0;
    for (i64 k = 0; k < count(f, 2); k++) f.at[3][k % s.O] += f.at[2][k];
}

}  // namespace pellucid::PELLUCID_TIER
