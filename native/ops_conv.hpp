// y = act(windows(x) @ W + b) and its gradients: opcodes for convolution. (B, H, W, C) → (B, OH, OW, O),
// weights (kh, kw, C/groups, O).
#pragma once

#include "conv.hpp"
#include "ops_windows.hpp"

namespace pellucid::PELLUCID_TIER {

inline ConvShape conv_of(const i64* n) {
    return {n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10], n[11], n[12], n[13], n[14]};
}
template <class T> i64 scratch_conv(const Instruction& i, i64 rows) { return conv_scratch<T>(conv_of(i.whole), rows); }

// Operands x (H, W, C) and y (OH, OW, O) a row, and W.
inline void need_conv(const Check& c, int x, int y, int w) {
    need_from(c, 1, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14});
    need_from(c, 0, {12, 13});
    const ConvShape s = conv_of(c.i.whole);
    need_images(c, x, s.H, s.W, s.C);
    need_images(c, y, s.OH, s.OW, s.O);
    c.need(s.C % s.groups == 0 && s.O % s.groups == 0);
    c.need(c.fixed(w) && c.size(w) == need_product(c, {s.kh, s.kw, s.C / s.groups, s.O}));
}

// y = act(windows(x) @ W + b)
inline void check_conv(const Check& c) {
    need_conv(c, 1, 0, 2);
    c.need(!c.there(3) || (c.fixed(3) && c.size(3) == c.n(5)));
    c.need(c.n(15) >= 0 && c.n(15) <= 2);
}
template <class T> void run_conv(const Frame<T>& f) {
    const Epilogue<T> end{f.at[3], Act(f.i->whole[15]), T(f.i->real[16])};
    conv_forward<T>(conv_of(f.i->whole), f.m->rows, f.at[1], f.at[2], f.at[0], end, f.scratch);
}

// dx (+)= scatter(dy @ W.T)
inline void check_conv_dx(const Check& c) { need_conv(c, 0, 1, 2); }
template <class T> void run_conv_dx(const Frame<T>& f) {
    pellucid::conv_dx<T>(conv_of(f.i->whole), f.m->rows, f.at[1], nullptr, f.at[2], f.at[0], f.i->whole[15] != 0, f.scratch);
}

// dW (+)= windows(x).T @ dy; db (+)= dy.sum(axis=(0, 1, 2))
inline void check_conv_dw(const Check& c) {
    need_conv(c, 1, 2, 0);
    c.need(!c.there(3) || (c.fixed(3) && c.size(3) == c.n(5)));
}
template <class T> void run_conv_dw(const Frame<T>& f) {
    const bool accumulate = f.i->whole[15] || f.m->part > 0;
    pellucid::conv_dw<T>(conv_of(f.i->whole), f.m->rows, f.at[1], f.at[2], nullptr, f.at[0], f.at[3], accumulate, f.scratch);
}

}  // namespace pellucid::PELLUCID_TIER
