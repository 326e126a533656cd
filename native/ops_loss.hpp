// l = loss(p, y) a row, Σ w l, and dp = scale · w/Σw · ∂l/∂p: opcodes for losses and metrics. Without
// operand dp only the value is computed.
#pragma once

#include "ops.hpp"
#include "vecmath.hpp"

namespace pellucid::PELLUCID_TIER {

// What a row's gradient is multiplied by, and what its value counts: scale·w/Σw and w.
template <class T> struct Share {
    const T* weight;
    T share;
    T of(i64 row) const { return weight ? weight[row] * share : share; }
    double counts(i64 row) const { return weight ? double(weight[row]) : 1.0; }
};
template <class T> Share<T> share_of(const Frame<T>& f) {
    const double scale = f.i->real[1], total = f.m->total;
    return {f.m->weighted ? f.at[3] : nullptr, T(total ? scale / total : 0.0)};
}

inline void check_loss(const Check& c) {
    c.need(c.rowwise(1) && c.rowwise(2) && c.rowwise(3) && c.size(3) == 1 && c.n(0) >= 1);
    c.need(!c.there(0) || (c.rowwise(0) && c.size(0) == c.size(1)));
}

enum Distance { squared, binary };

// squared: l = ((p - y)**2).mean(axis=1); dp = share * 2 * (p - y) / N
// binary: l = (max(p, 0) - p*y + log1p(exp(-|p|))).mean(axis=1); dp = share * (σ(p) - y) / N
template <class T>
double distances(Distance kind, T* dp, const T* p, const T* y, const Share<T>& share, i64 r, i64 n, i64 of) {
    const T by = T(1) / T(of), twice = T(2.0 / double(of));
    double sum = 0;
    for (i64 i = 0; i < r; i++) {
        double value = 0;
        const T times = share.of(i);
        for (i64 j = i * n; j < i * n + n; j++) {
            T slope;
            if (kind == squared) {
                const T error = p[j] - y[j];
                value += double(error) * double(error);
                slope = error * twice * times;
            } else {
                const T e = std::exp(-std::fabs(p[j])), s = (p[j] >= 0 ? T(1) : e) / (1 + e);
                value += double((p[j] > 0 ? p[j] : T(0)) - p[j] * y[j] + std::log1p(e));
                if (std::isnan(p[j])) value = p[j];
                slope = (s - y[j]) * by * times;
            }
            if (dp) dp[j] = slope;
        }
        sum += value / double(of) * share.counts(i);
    }
    return sum;
}
inline void check_distance(const Check& c) {
    check_loss(c);
    c.need(c.size(1) == c.size(2));
}
template <class T, Distance kind> void run_distance(const Frame<T>& f) {
    f.sums[0] = f.i->real[1] * distances(kind, f.at[0], f.at[1], f.at[2], share_of(f), f.m->rows,
                                         f.i->at[1].elements, f.i->whole[0]);
}

// z = p - p.max(axis=1), with NaN the greatest
template <class T> void below_top(T* z, const T* row, i64 K) {
    T top = row[0];
    for (i64 k = 1; k < K; k++) top = row[k] > top || std::isnan(row[k]) ? row[k] : top;
    for (i64 k = 0; k < K; k++) z[k] = row[k] - top;
}

// l = log(exp(p).sum(axis=1)) - p[y]; dp = share * (softmax(p) - onehot(y)). A label outside the
// classes gives NaN and reads nothing.
template <class T> void run_cross_entropy(const Frame<T>& f) {
    const i64 K = f.i->whole[0];
    const auto* y = reinterpret_cast<const i64*>(f.at[2]);
    const auto share = share_of(f);
    double sum = 0;
    for (i64 i = 0; i < f.m->rows; i++) {
        T* out = f.at[0] ? f.at[0] + i * K : f.scratch;
        below_top(out, f.at[1] + i * K, K);
        const bool known = y[i] >= 0 && y[i] < K;
        const T at = known ? out[y[i]] : std::numeric_limits<T>::quiet_NaN();
        vexp(out, out, K);
        T mass = 0;
        for (i64 k = 0; k < K; k++) mass += out[k];
        sum += double(std::log(mass) - at) * share.counts(i);
        const T times = share.of(i), by = times / mass;
        for (i64 k = 0; k < K; k++) out[k] *= by;
        if (known) out[y[i]] -= times;
    }
    f.sums[0] = f.i->real[1] * sum;
}
inline void check_cross_entropy(const Check& c) {
    check_loss(c);
    c.need(c.size(1) == c.n(0) && c.size(2) == 1);
}
template <class T> i64 scratch_classes(const Instruction& i, i64) { return i.whole[0]; }

// l = -(y * log(softmax(p))).sum(axis=1); y are rows of probabilities
template <class T> void run_cross_entropy_rows(const Frame<T>& f) {
    const i64 K = f.i->whole[0];
    const auto share = share_of(f);
    double sum = 0;
    for (i64 i = 0; i < f.m->rows; i++) {
        const T* truth = f.at[2] + i * K;
        T *out = f.at[0] ? f.at[0] + i * K : f.scratch, mass = 0, all = 0, at = 0;
        below_top(out, f.at[1] + i * K, K);
        for (i64 k = 0; k < K; k++) at += truth[k] * out[k], all += truth[k];
        vexp(out, out, K);
        for (i64 k = 0; k < K; k++) mass += out[k];
        sum += double(std::log(mass) * all - at) * share.counts(i);
        const T times = share.of(i);
        for (i64 k = 0; k < K; k++) out[k] = (all * (out[k] / mass) - truth[k]) * times;
    }
    f.sums[0] = f.i->real[1] * sum;
}
inline void check_cross_entropy_rows(const Check& c) {
    check_loss(c);
    c.need(c.size(1) == c.n(0) && c.size(2) == c.n(0));
}

// (sum of weight * (p.argmax(axis=1) == y), sum of weight)
template <class T> void run_accuracy(const Frame<T>& f) {
    const i64 K = f.i->whole[0];
    const auto* y = reinterpret_cast<const i64*>(f.at[1]);
    const T* weight = f.m->weighted ? f.at[2] : nullptr;
    double right = 0, all = 0;
    for (i64 i = 0; i < f.m->rows; i++) {
        const T* row = f.at[0] + i * K;
        i64 best = 0;
        for (i64 k = 1; k < K; k++) best = row[k] > row[best] ? k : best;
        const double counts = weight ? double(weight[i]) : 1.0;
        right += best == y[i] ? counts : 0.0, all += counts;
    }
    f.sums[0] = right, f.sums[1] = all;
}
inline void check_accuracy(const Check& c) {
    c.need(c.rowwise(0) && c.rowwise(1) && c.rowwise(2) && c.n(0) >= 1 && c.size(0) == c.n(0));
    c.need(c.size(1) == 1 && c.size(2) == 1);
}

}  // namespace pellucid::PELLUCID_TIER
