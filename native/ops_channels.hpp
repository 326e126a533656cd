// What goes along the last axis: opcodes for normalisation, softmax and rows of a table looked up.
#pragma once

#include "ops.hpp"

namespace pellucid::PELLUCID_TIER {

// ---- normalisation over all axes but the last --------------------------------------------------

// y = (x - x.mean()) / sqrt(x.var() + epsilon) * gamma + beta, channel by channel. In training the
// running mean and variance are moved; `saved` gets μ and 1/σ.
inline void need_channels(const Check& c, int k) { c.need(!c.there(k) || (c.fixed(k) && c.size(k) == c.n(0))); }
inline void check_normalize(const Check& c) {
    c.need(c.n(0) > 0 && c.rowwise(0) && c.rowwise(1) && c.size(0) == c.size(1) && c.size(0) % c.n(0) == 0);
    for (int k : {2, 3, 5, 6}) need_channels(c, k);
    c.need(!c.there(4) || (c.fixed(4) && c.size(4) % 2 == 0 && c.size(4) / 2 == c.n(0)));
    c.need(c.there(5) && c.there(6));
}
template <class T> void run_normalize(const Frame<T>& f) {
    const i64 C = f.i->whole[0], n = count(f, 0) / C;
    const T move = T(1 - f.i->real[1]), epsilon = T(f.i->real[2]);
    T *y = f.at[0], *x = f.at[1], *gamma = f.at[2], *beta = f.at[3], *saved = f.at[4];
    for (i64 j = 0; j < C; j++) {
        T mu = f.at[5][j], variance = f.at[6][j];
        if (f.i->whole[3]) {
            T sum = 0, squares = 0;
            for (i64 i = 0; i < n; i++) sum += x[i * C + j];
            mu = sum / T(n);
            for (i64 i = 0; i < n; i++) squares += (x[i * C + j] - mu) * (x[i * C + j] - mu);
            variance = squares / T(n);
            f.at[5][j] += move * (mu - f.at[5][j]);
            f.at[6][j] += move * (variance * T(double(n) / double(n - 1)) - f.at[6][j]);
        }
        const T r = 1 / std::sqrt(variance + epsilon);
        if (saved) saved[j] = mu, saved[C + j] = r;
        for (i64 i = 0; i < n; i++)
            y[i * C + j] = (x[i * C + j] - mu) * r * (gamma ? gamma[j] : T(1)) + (beta ? beta[j] : T(0));
    }
}

// dx (+)= gamma / σ * (dy - mean(dy) - x_hat * mean(dy * x_hat)); dgamma, dbeta (+)= the sums
inline void check_normalize_grad(const Check& c) {
    c.need(c.n(0) > 0 && c.rowwise(1) && c.rowwise(2) && c.size(1) == c.size(2) && c.size(1) % c.n(0) == 0);
    c.need(!c.there(0) || (c.rowwise(0) && c.size(0) == c.size(1)));
    for (int k : {3, 5, 6}) need_channels(c, k);
    c.need(c.fixed(4) && c.size(4) % 2 == 0 && c.size(4) / 2 == c.n(0));
}
template <class T> void run_normalize_grad(const Frame<T>& f) {
    const i64 C = f.i->whole[0], n = count(f, 1) / C;
    const bool added = f.i->whole[2] || f.m->part > 0;
    const T *dy = f.at[1], *x = f.at[2], *gamma = f.at[3], *saved = f.at[4];
    for (i64 j = 0; j < C; j++) {
        const T mu = saved[j], r = saved[C + j];
        T db = 0, dg = 0;
        for (i64 i = 0; i < n; i++) db += dy[i * C + j], dg += dy[i * C + j] * ((x[i * C + j] - mu) * r);
        if (f.at[5]) f.at[5][j] = added ? f.at[5][j] + dg : dg;
        if (f.at[6]) f.at[6][j] = added ? f.at[6][j] + db : db;
        if (!f.at[0]) continue;
        const T factor = gamma ? gamma[j] * r : r;
        either(f.i->whole[1], [&](auto adding) {
            for (i64 i = 0; i < n; i++)
                put(adding, f.at[0][i * C + j],
                    factor * (dy[i * C + j] - db / T(n) - (x[i * C + j] - mu) * r * (dg / T(n))));
        });
    }
}

// ---- softmax -----------------------------------------------------------------------------------

// y = exp(x) / exp(x).sum(axis), the axis' K values `inner` apart. Infinite scores share all.
inline void check_softmax(const Check& c) {
    const i64 K = c.n(0), inner = c.n(1), limit = i64(1) << 28;
    c.need(K > 0 && inner > 0 && K < limit && inner < limit && c.rowwise(0) && c.size(0) % (K * inner) == 0);
    for (int k = 0; k < 3; k++) c.need(!c.there(k) || (c.rowwise(k) && c.size(k) == c.size(0)));
    c.need(c.there(1));
}
template <class T> void run_softmax(const Frame<T>& f) {
    const i64 K = f.i->whole[0], inner = f.i->whole[1], width = K * inner;
    constexpr T infinity = std::numeric_limits<T>::infinity();
    for (i64 i = 0; i < count(f, 0) / K; i++) {
        const i64 at = i / inner * width + i % inner;
        const T* x = f.at[1] + at;
        T *y = f.at[0] + at, top = x[0], sum = 0;
        for (i64 k = 1; k < K; k++) top = x[k * inner] > top || std::isnan(x[k * inner]) ? x[k * inner] : top;
        for (i64 k = 0; k < K; k++) {
            const T below = std::fabs(top) == infinity ? (x[k * inner] == top ? T(0) : -infinity) : x[k * inner] - top;
            sum += y[k * inner] = std::exp(below);
        }
        for (i64 k = 0; k < K; k++) y[k * inner] /= sum;
    }
}

// dx (+)= y * (dy - (dy * y).sum(axis))
inline void check_softmax_grad(const Check& c) {
    check_softmax(c);
    c.need(c.there(2));
}
template <class T> void run_softmax_grad(const Frame<T>& f) {
    const i64 K = f.i->whole[0], inner = f.i->whole[1], width = K * inner;
    either(f.i->whole[2], [&](auto adding) {
        for (i64 i = 0; i < count(f, 0) / K; i++) {
            const i64 at = i / inner * width + i % inner;
            const T *dy = f.at[1] + at, *y = f.at[2] + at;
            T sum = 0;
            for (i64 k = 0; k < K; k++) sum += dy[k * inner] * y[k * inner];
            for (i64 k = 0; k < K; k++) put(adding, f.at[0][at + k * inner], y[k * inner] * (dy[k * inner] - sum));
        }
    });
}

// ---- rows of a table ---------------------------------------------------------------------------

// Operands y with D values for each of x's numbers, and the table (rows, D).
inline void need_lookup(const Check& c, int y, int table, int x) {
    const i64 rows = c.n(0), D = c.n(1), limit = i64(1) << 28;
    c.need(rows > 0 && D > 0 && rows < limit && D < limit && c.fixed(table) && c.size(table) == rows * D);
    c.need(c.rowwise(x) && c.rowwise(y) && c.size(y) % D == 0 && c.size(y) / D == c.size(x));
}

// A row's number, read once, so that it is used as it was checked whatever else is written.
inline i64 read_once(const i64* x) { return *static_cast<const volatile i64*>(x); }

// y = W[x]; a number outside of the table gives NaN and reads nothing
inline void check_lookup(const Check& c) { need_lookup(c, 0, 1, 2); }
template <class T> void run_lookup(const Frame<T>& f) {
    const i64 rows = f.i->whole[0], D = f.i->whole[1];
    const auto* x = reinterpret_cast<const i64*>(f.at[2]);
    in_row_pieces(count(f, 2), D, [&](i64 first, i64 last) {
        for (i64 i = first; i < last; i++) {
            const i64 row = read_once(x + i);
            const bool known = row >= 0 && row < rows;
            for (i64 j = 0; j < D; j++)
                f.at[0][i * D + j] = known ? f.at[1][row * D + j] : std::numeric_limits<T>::quiet_NaN();
        }
    });
}

// dW[x] += dy
inline void check_lookup_grad(const Check& c) { need_lookup(c, 1, 0, 2); }
template <class T> void run_lookup_grad(const Frame<T>& f) {
    const i64 rows = f.i->whole[0], D = f.i->whole[1];
    const auto* x = reinterpret_cast<const i64*>(f.at[2]);
    if (!f.i->whole[2] && f.m->part == 0)
        for (i64 i = 0; i < rows * D; i++) f.at[0][i] = 0;
    for (i64 i = 0; i < count(f, 2); i++) {
        const i64 row = read_once(x + i);
        if (row < 0 || row >= rows) continue;
        for (i64 j = 0; j < D; j++) f.at[0][row * D + j] += f.at[1][i * D + j];
    }
}

}  // namespace pellucid::PELLUCID_TIER
