// y = act(x @ W + b) and its gradients: opcodes for dense layers. (B, ..., I) → (B, ..., O); the
// products fold all axes but the last into one.
#pragma once

#include "ops.hpp"

namespace pellucid::PELLUCID_TIER {

// Operands a with I and b with O values a row, and W (I, O).
inline void need_dense(const Check& c, int a, int b, int w) {
    const i64 I = c.n(0), O = c.n(1), limit = 1 << 28;
    c.need(I > 0 && O > 0 && I < limit && O < limit);
    c.need(c.rowwise(a) && c.rowwise(b) && c.fixed(w) && c.size(w) == I * O);
    c.need(c.size(a) % I == 0 && c.size(b) % O == 0 && c.size(a) / I == c.size(b) / O);
}

template <class T, int A> i64 scratch_dense(const Instruction& i, i64 rows) {
    const i64 I = i.whole[0], O = i.whole[1], r = rows * (i.at[A].elements / I);
    const i64 one = gemm_scratch<T>(r, O, I), two = gemm_scratch<T>(r, I, O), three = gemm_scratch<T>(I, O, r);
    return one > two ? (one > three ? one : three) : (two > three ? two : three);
}

// y = act(x @ W + b)
inline void check_matmul(const Check& c) {
    need_dense(c, 1, 0, 2);
    c.need(!c.there(3) || (c.fixed(3) && c.size(3) == c.n(1)));
    c.need(c.n(2) >= 0 && c.n(2) <= 2);
}
template <class T> void run_matmul(const Frame<T>& f) {
    const i64 I = f.i->whole[0], O = f.i->whole[1], r = count(f, 0) / O;
    const Epilogue<T> end{f.at[3], Act(f.i->whole[2]), T(f.i->real[3])};
    gemm<T>(false, false, r, O, I, f.at[1], I, f.at[2], O, f.at[0], O, false, end, f.scratch);
}

// dx (+)= dy @ W.T
inline void check_matmul_dx(const Check& c) { need_dense(c, 0, 1, 2); }
template <class T> void run_matmul_dx(const Frame<T>& f) {
    const i64 I = f.i->whole[0], O = f.i->whole[1], r = count(f, 0) / I;
    gemm<T>(false, true, r, I, O, f.at[1], O, f.at[2], O, f.at[0], I, f.i->whole[2] != 0, {}, f.scratch);
}

// db (+)= dy.sum(axis=0)
template <class T> void sum_rows(T* db, const T* dy, i64 r, i64 n, bool accumulate) {
    if (!accumulate) std::memset(db, 0, std::size_t(n) * sizeof(T));
    for (i64 i = 0; i < r; i++)
        for (i64 j = 0; j < n; j++) db[j] += dy[i * n + j];
}

// dW (+)= x.T @ dy; db (+)= dy.sum(axis=0). The first part of a batch sets them, if told so.
inline void check_matmul_dw(const Check& c) {
    need_dense(c, 1, 2, 0);
    c.need(!c.there(3) || (c.fixed(3) && c.size(3) == c.n(1)));
}
template <class T> void run_matmul_dw(const Frame<T>& f) {
    const i64 I = f.i->whole[0], O = f.i->whole[1], r = count(f, 1) / I;
    const bool accumulate = f.i->whole[2] || f.m->part > 0;
    gemm<T>(true, false, I, O, r, f.at[1], I, f.at[2], O, f.at[0], O, accumulate, {}, f.scratch);
    if (f.at[3]) sum_rows(f.at[3], f.at[2], r, O, accumulate);
}

}  // namespace pellucid::PELLUCID_TIER
