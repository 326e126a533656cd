// θ -= η u(g): opcodes for penalties, clipping and the optimizers, on stretches of the flat vectors.
#pragma once

#include "ops.hpp"

namespace pellucid::PELLUCID_TIER {

inline void check_stretches(const Check& c) {  // operand 0 and all others that are given
    for (int k = 0; k < kOperands; k++) c.need(!c.there(k) || (c.fixed(k) && c.size(k) == c.size(0)));
    c.need(c.there(0));
}
template <int N> void check_update(const Check& c) {  // N operands at least
    check_stretches(c);
    for (int k = 0; k < N; k++) c.need(c.there(k));
}

// g += l1 * sign(theta) + l2 * theta
template <class T> void run_penalize(const Frame<T>& f) {
    const T l1 = T(f.i->real[0]), l2 = T(f.i->real[1]);
    in_pieces(count(f, 0), [&](i64 at, i64 n) {
        T* g = f.at[0] + at;
        const T* theta = f.at[1] + at;
        if (l2 != 0)
            for (i64 i = 0; i < n; i++) g[i] += l2 * theta[i];
        if (l1 != 0)
            for (i64 i = 0; i < n; i++) g[i] += l1 * T((theta[i] > 0) - (theta[i] < 0));
    });
}

// g = clip(g, -limit, limit)
template <class T> void run_clamp(const Frame<T>& f) {
    const T limit = T(f.i->real[0]);
    in_pieces(count(f, 0), [&](i64 at, i64 n) {
        T* g = f.at[0] + at;
        for (i64 i = 0; i < n; i++) g[i] = g[i] < -limit ? -limit : g[i] > limit ? limit : g[i];
    });
}

// (g * g / scale**2).sum(), in eight sums so that they run side by side
template <class T> double scaled_square_sum(const T* g, i64 n, double scale) {
    const double by = 1 / scale;
    double part[8] = {}, sum = 0;
    auto square = [&](i64 i) { return (double(g[i]) * by) * (double(g[i]) * by); };
    i64 i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++) part[k] += square(i + k);
    for (; i < n; i++) sum += square(i);
    for (double p : part) sum += p;
    return sum;
}

// total (+)= (g * g).sum(), as (sum, scale) so that it cannot overflow
template <class T> void run_square_sum(const Frame<T>& f) {
    auto* total = reinterpret_cast<double*>(f.at[0]);
    const T* g = f.at[1];
    const i64 n = count(f, 1);
    if (f.i->whole[0]) total[0] = 0, total[1] = 1;
    double more = scaled_square_sum(g, n, total[1]);
    if (!std::isfinite(total[0] + more)) {
        double scale = total[1];
        for (i64 i = 0; i < n; i++) scale = std::fabs(double(g[i])) > scale ? std::fabs(double(g[i])) : scale;
        total[0] *= (total[1] / scale) * (total[1] / scale), total[1] = scale;
        more = scaled_square_sum(g, n, scale);
    }
    total[0] += more;
}
inline void check_square_sum(const Check& c) { c.need(c.fixed(0) && c.fixed(1) && c.size(0) == 2); }

// g *= min(1, limit / (norm + 1e-6))
template <class T> void run_shrink(const Frame<T>& f) {
    const auto* total = reinterpret_cast<const double*>(f.at[1]);
    const double factor = f.i->real[0] / (total[1] * std::sqrt(total[0]) + 1e-6);
    if (!(factor < 1)) return;
    for (i64 i = 0; i < count(f, 0); i++) f.at[0][i] *= T(factor);
}
inline void check_shrink(const Check& c) { c.need(c.fixed(0) && c.fixed(1) && c.size(1) == 2); }

// u = momentum * u + g; theta -= rate * u
template <class T> void run_sgd(const Frame<T>& f) {
    const T mu = T(f.i->real[0]), pull = T(f.i->real[2]), step = T(f.m->rate);
    const bool nesterov = f.i->whole[1];
    in_pieces(count(f, 0), [&](i64 at, i64 n) {
        T *theta = f.at[0] + at, *g = f.at[1] + at;
        if (!f.at[2]) {
            for (i64 i = 0; i < n; i++) theta[i] -= step * (g[i] + pull * theta[i]);
            return;
        }
        T* velocity = f.at[2] + at;
        for (i64 i = 0; i < n; i++) {
            const T slope = g[i] + pull * theta[i];
            velocity[i] = velocity[i] * mu + slope;
            theta[i] -= step * (nesterov ? slope + mu * velocity[i] : velocity[i]);
        }
    });
}

// m, v: running means of g and g*g; theta -= rate * m / (sqrt(v) + eps), both corrected for their start
template <class T> void run_adam(const Frame<T>& f) {
    const double *x = f.i->real, t = double(f.m->t), rate = f.m->rate;
    const double c = std::sqrt(1 - std::pow(x[1], t));
    const T b1 = T(x[0]), b2 = T(x[1]), one_b1 = T(1 - x[0]), one_b2 = T(1 - x[1]), eps = T(c * x[2]);
    const T step = T(rate * c / (1 - std::pow(x[0], t)));
    const bool decoupled = f.i->whole[4] != 0;
    const T keep = decoupled ? T(1 - rate * x[3]) : T(1), pull = decoupled ? T(0) : T(x[3]);
    in_pieces(count(f, 0), [&](i64 at, i64 n) {
        T *theta = f.at[0] + at, *g = f.at[1] + at, *m = f.at[2] + at, *v = f.at[3] + at;
        for (i64 i = 0; i < n; i++) {
            const T slope = g[i] + pull * theta[i];
            m[i] = m[i] * b1 + one_b1 * slope;
            v[i] = v[i] * b2 + one_b2 * slope * slope;
            theta[i] = theta[i] * keep - step * m[i] / (std::sqrt(v[i]) + eps);
        }
    });
}

}  // namespace pellucid::PELLUCID_TIER
