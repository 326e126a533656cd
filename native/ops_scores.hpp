// Rows of scores and their exponentials, for softmax and the losses that have one inside.
//
// Rows of few scores are turned, as many as a vector has lanes, and worked off side by side; longer
// ones, one by one. Which it is depends on the length alone, and either way a row has the same bits
// whatever stands beside it.
#pragma once

#include "ops.hpp"
#include "vecmath.hpp"

namespace pellucid::PELLUCID_TIER {

constexpr i64 kSide = 32;  // scores of rows that go side by side, at most

template <class T> struct Turned {  // n <= W rows of K <= kSide scores: the k-th scores, one for each row
    alignas(64) T of[kSide * W<T>];
    T* operator[](i64 k) { return of + k * W<T>; }

    void from_rows(const T* rows, i64 K, i64 n) { pack_columns(rows, K, K, n, of, W<T>); }
    template <class Adding> void to_rows(Adding adding, T* rows, i64 K, i64 n) {
        alignas(64) T turned[(kSide + W<T>)*W<T>];
        const i64 width = ceil_div(K, W<T>) * W<T>;
        pack_columns(of, W<T>, W<T>, K, turned, width);
        for (i64 i = 0; i < n; i++)
            in_vectors<T>(K, [&](i64 k, auto m) {
                T* to = rows + i * K + k;
                const Vec<T> value = load(turned + i * width + k);
                store(to, adding ? load(to, m) + value : value, m);
            });
    }
    Vec<T> top(i64 K) {
        Vec<T> top = load(of);
        for (i64 k = 1; k < K; k++) top = larger<T>(top, load((*this)[k]));
        return top;
    }
    Vec<T> sum(i64 K) {
        Vec<T> sum{};
        for (i64 k = 0; k < K; k++) sum += load((*this)[k]);
        return sum;
    }
};

// The largest of K > kSide numbers, and their sum.
template <class T> T top_of(const T* x, i64 K) {
    Vec<T> top = load(x);
    over_vectors<T>(K, [&](i64 k, auto n) { top = larger<T>(top, load(x + k, n)); });
    return lanes_top<T>(top);
}
template <class T> T sum_of(const T* x, i64 K) {
    Vec<T> sum{};
    in_vectors<T>(K, [&](i64 k, auto n) { sum += load(x + k, n); });
    return lanes_sum<T>(sum);
}

// x - top; where the top is infinite, what equals it shares all
template <class T> inline Vec<T> below(Vec<T> x, Vec<T> top) {
    const Vec<T> infinite = splat(std::numeric_limits<T>::infinity());
    const Vec<T> shared = x == top ? Vec<T>{} : -infinite;
    return ((top == infinite) | (top == -infinite)) ? shared : x - top;
}

// ---- softmax -----------------------------------------------------------------------------------

// y = exp(x) / exp(x).sum(axis=0), both (K, inner)
template <class T> void softmax_side(T* y, const T* x, i64 K, i64 inner) {
    in_vectors<T>(inner, [=](i64 j, auto n) {
        Vec<T> top = load(x + j, n);
        for (i64 k = 1; k < K; k++) top = larger<T>(top, load(x + k * inner + j, n));
        for (i64 k = 0; k < K; k++) store(y + k * inner + j, below<T>(load(x + k * inner + j, n), top), n);
    });
    vexp(y, y, K * inner);
    in_vectors<T>(inner, [=](i64 j, auto n) {
        Vec<T> sum{};
        for (i64 k = 0; k < K; k++) sum += load(y + k * inner + j, n);
        const Vec<T> by = T(1) / sum;
        for (i64 k = 0; k < K; k++) store(y + k * inner + j, load(y + k * inner + j, n) * by, n);
    });
}
// the same for inner = 1 and K > kSide
template <class T> void softmax_row(T* y, const T* x, i64 K) {
    const Vec<T> top = splat(top_of(x, K));
    in_vectors<T>(K, [=](i64 k, auto n) { store(y + k, below<T>(load(x + k, n), top), n); });
    vexp(y, y, K);
    const T by = 1 / sum_of(y, K);
    in_vectors<T>(K, [=](i64 k, auto n) { store(y + k, load(y + k, n) * by, n); });
}

inline void check_softmax(const Check& c) {
    const i64 K = c.n(0), inner = c.n(1), limit = i64(1) << 28;
    c.need(K > 0 && inner > 0 && K < limit && inner < limit && c.rowwise(0) && c.size(0) % (K * inner) == 0);
    for (int k = 0; k < 3; k++) c.need(!c.there(k) || (c.rowwise(k) && c.size(k) == c.size(0)));
    c.need(c.there(1));
}
template <class T> void run_softmax(const Frame<T>& f) {
    const i64 K = f.i->whole[0], inner = f.i->whole[1], rows = count(f, 0) / (K * inner);
    T *y = f.at[0], *x = f.at[1];
    if (inner > 1) {
        in_row_pieces(rows, 8 * K * inner, [=](i64 first, i64 last) {
            for (i64 i = first; i < last; i++) softmax_side(y + i * K * inner, x + i * K * inner, K, inner);
        });
    } else if (K > kSide) {
        in_row_pieces(rows, 8 * K, [=](i64 first, i64 last) {
            for (i64 i = first; i < last; i++) softmax_row(y + i * K, x + i * K, K);
        });
    } else {
        in_row_pieces(ceil_div(rows, W<T>), 8 * W<T> * K, [=](i64 first, i64 last) {
            for (i64 i = first * W<T>; i < lesser(rows, last * W<T>); i += W<T>) {
                Turned<T> some;
                some.from_rows(x + i * K, K, lesser(W<T>, rows - i));
                softmax_side(some.of, some.of, K, i64(W<T>));
                some.to_rows(std::false_type{}, y + i * K, K, lesser(W<T>, rows - i));
            }
        });
    }
}

// dx (+)= y * (dy - (dy * y).sum(axis))
template <class Adding, class T, class N>
void softmax_grad_side(Adding adding, T* dx, const T* dy, const T* y, i64 K, i64 step, N n) {
    Vec<T> sum{};
    for (i64 k = 0; k < K; k++) sum += load(dy + k * step, n) * load(y + k * step, n);
    for (i64 k = 0; k < K; k++) {
        const Vec<T> back = load(y + k * step, n) * (load(dy + k * step, n) - sum);
        store(dx + k * step, adding ? load(dx + k * step, n) + back : back, n);
    }
}
template <class Adding, class T> void softmax_grad_row(Adding adding, T* dx, const T* dy, const T* y, i64 K) {
    Vec<T> sum{};
    in_vectors<T>(K, [&](i64 k, auto n) { sum += load(dy + k, n) * load(y + k, n); });
    const Vec<T> all = splat(lanes_sum<T>(sum));
    in_vectors<T>(K, [=](i64 k, auto n) {
        const Vec<T> back = load(y + k, n) * (load(dy + k, n) - all);
        store(dx + k, adding ? load(dx + k, n) + back : back, n);
    });
}
inline void check_softmax_grad(const Check& c) {
    check_softmax(c);
    c.need(c.there(2));
}
template <class T> void run_softmax_grad(const Frame<T>& f) {
    const i64 K = f.i->whole[0], inner = f.i->whole[1], width = K * inner;
    T *dx = f.at[0], *dy = f.at[1], *y = f.at[2];
    either(f.i->whole[2], [=, rows = count(f, 0) / width](auto adding) {
        in_row_pieces(rows, width, [=](i64 first, i64 last) {
            for (i64 i = first * width; i < last * width; i += width)
                if (inner == 1) softmax_grad_row(adding, dx + i, dy + i, y + i, K);
                else
                    in_vectors<T>(inner, [=](i64 j, auto n) {
                        softmax_grad_side(adding, dx + i + j, dy + i + j, y + i + j, K, inner, n);
                    });
        });
    });
}

}  // namespace pellucid::PELLUCID_TIER
