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
            PELLUCID_SIDE_BY_SIDE
            for (i64 i = 0; i < n; i++) g[i] += l2 * theta[i];
        if (l1 != 0)
            PELLUCID_SIDE_BY_SIDE
            for (i64 i = 0; i < n; i++) g[i] += l1 * T((theta[i] > 0) - (theta[i] < 0));
    });
}

// g = clip(g, -limit, limit)
template <class T> void run_clamp(const Frame<T>& f) {
    const T limit = T(f.i->real[0]);
    in_pieces(count(f, 0), [&](i64 at, i64 n) {
        T* g = f.at[0] + at;
        PELLUCID_SIDE_BY_SIDE
        for (i64 i = 0; i < n; i++) g[i] = g[i] < -limit ? -limit : g[i] > limit ? limit : g[i];
    });
}

// (g * g / scale**2).sum(), in sums that run side by side
template <class T> double scaled_square_sum(const T* g, i64 n, double scale) {
    constexpr int side = 32;
    const double by = 1 / scale;
    double part[side] = {}, sum = 0;
    auto square = [&](i64 i) { return (double(g[i]) * by) * (double(g[i]) * by); };
    i64 i = 0;
    for (; i + side <= n; i += side)
        for (int k = 0; k < side; k++) part[k] += square(i + k);
    for (; i < n; i++) sum += square(i);
    for (double p : part) sum += p;
    return sum;
}
template <class T> double square_sum(const T* g, i64 n, double scale) {
    double part[kParts], sum = 0;
    const int parts = in_parts(n, 1, [&](int k, i64 at, i64 size) { part[k] = scaled_square_sum(g + at, size, scale); });
    for (int k = 0; k < parts; k++) sum += part[k];
    return sum;
}

// total (+)= (g * g).sum(), as (sum, scale) so that it cannot overflow
template <class T> void run_square_sum(const Frame<T>& f) {
    auto* total = reinterpret_cast<double*>(f.at[0]);
    const T* g = f.at[1];
    const i64 n = count(f, 1);
    if (f.i->whole[0]) total[0] = 0, total[1] = 1;
    double more = square_sum(g, n, total[1]);
    if (!std::isfinite(total[0] + more)) {
        double scale = total[1];
        for (i64 i = 0; i < n; i++) scale = std::fabs(double(g[i])) > scale ? std::fabs(double(g[i])) : scale;
        total[0] *= (total[1] / scale) * (total[1] / scale), total[1] = scale;
        more = square_sum(g, n, scale);
    }
    total[0] += more;
}
inline void check_square_sum(const Check& c) { c.need(c.fixed(0) && c.fixed(1) && c.size(0) == 2); }

// g *= min(1, limit / (norm + 1e-6))
template <class T> void shrink(T* g, i64 n, T factor) {
    PELLUCID_SIDE_BY_SIDE
    for (i64 i = 0; i < n; i++) g[i] *= factor;
}
template <class T> void run_shrink(const Frame<T>& f) {
    const auto* total = reinterpret_cast<const double*>(f.at[1]);
    const double factor = f.i->real[0] / (total[1] * std::sqrt(total[0]) + 1e-6);
    if (!(factor < 1)) return;
    in_pieces(count(f, 0), [&](i64 at, i64 n) { shrink(f.at[0] + at, n, T(factor)); });
}
inline void check_shrink(const Check& c) { c.need(c.fixed(0) && c.fixed(1) && c.size(1) == 2); }

// u = momentum * u + g; theta -= rate * u
template <class T> struct Sgd {
    T mu, pull, step;
};
template <class T> void sgd(T* theta, const T* g, i64 n, Sgd<T> by) {
    PELLUCID_SIDE_BY_SIDE
    for (i64 i = 0; i < n; i++) theta[i] -= by.step * (g[i] + by.pull * theta[i]);
}
template <class Nesterov, class T> void sgd(Nesterov nesterov, T* theta, const T* g, T* velocity, i64 n, Sgd<T> by) {
    PELLUCID_SIDE_BY_SIDE
    for (i64 i = 0; i < n; i++) {
        const T slope = g[i] + by.pull * theta[i];
        velocity[i] = velocity[i] * by.mu + slope;
        theta[i] -= by.step * (nesterov ? slope + by.mu * velocity[i] : velocity[i]);
    }
}
template <class T> void run_sgd(const Frame<T>& f) {
    const Sgd<T> by{T(f.i->real[0]), T(f.i->real[2]), T(f.m->rate)};
    T *theta = f.at[0], *g = f.at[1], *velocity = f.at[2];
    either(f.i->whole[1], [&](auto nesterov) {
        in_pieces(count(f, 0), [&](i64 at, i64 n) {
                if (velocity) sgd(nesterov, theta + at, g + at, velocity + at, n, by);
            else sgd(theta + at, g + at, n, by);
        });
    });
}

// m, v: running means of g and g*g; theta -= rate * m / (sqrt(v) + eps), both corrected for their start
template <class T> struct Adam {
    T b1, b2, one_b1, one_b2, eps, step, keep, pull;
};
template <class T> void adam(T* theta, const T* g, T* m, T* v, i64 n, Adam<T> by) {
    PELLUCID_SIDE_BY_SIDE
    for (i64 i = 0; i < n; i++) {
        const T slope = g[i] + by.pull * theta[i];
        m[i] = m[i] * by.b1 + by.one_b1 * slope;
        v[i] = v[i] * by.b2 + by.one_b2 * slope * slope;
        theta[i] = theta[i] * by.keep - by.step * m[i] / (std::sqrt(v[i]) + by.eps);
    }
}

#ifdef PELLUCID_MASKED
// The same, with the root and the quotient by one step of Newton's from the machine's first guesses
// (12 or 14 bits): 3e-7 of the update at most, a third of the time. Roots below 1e-19 count as that,
// which beside eps is nothing.
#if PELLUCID_BYTES(PELLUCID_TIER) == 64
inline Vec<float> inverse_root_guess(Vec<float> x) { return _mm512_maskz_rsqrt14_ps(0xFFFF, x); }
inline Vec<float> inverse_guess(Vec<float> x) { return _mm512_maskz_rcp14_ps(0xFFFF, x); }
#else
inline Vec<float> inverse_root_guess(Vec<float> x) { return _mm256_rsqrt_ps(x); }
inline Vec<float> inverse_guess(Vec<float> x) { return _mm256_rcp_ps(x); }
#endif
inline void adam_by_guesses(float* theta, const float* g, float* m, float* v, i64 n, Adam<float> by) {
    const Vec<float> least = splat(std::numeric_limits<float>::min()), most = splat(std::numeric_limits<float>::max());
    in_vectors<float>(n, [=](i64 i, auto k) {
        const Vec<float> slope = load(g + i, k) + by.pull * load(theta + i, k);
        const Vec<float> mean = load(m + i, k) * by.b1 + by.one_b1 * slope;
        const Vec<float> square = load(v + i, k) * by.b2 + by.one_b2 * slope * slope;
        Vec<float> x = square < least ? least : square;
        x = x > most ? most : x;
        Vec<float> root = inverse_root_guess(x);
        root = x * (root * (1.5f - 0.5f * x * root * root));
        const Vec<float> below = root + by.eps, guess = inverse_guess(below);
        const Vec<float> inverse = guess * (2.0f - below * guess);
        store(m + i, mean, k), store(v + i, square, k);
        store(theta + i, load(theta + i, k) * by.keep - by.step * mean * inverse, k);
    });
}
#endif
template <class T> void run_adam(const Frame<T>& f) {
    const double *x = f.i->real, t = double(f.m->t), rate = f.m->rate;
    const double c = std::sqrt(1 - std::pow(x[1], t)), step = rate * c / (1 - std::pow(x[0], t));
    const bool decoupled = f.i->whole[4] != 0;
    const Adam<T> by{T(x[0]), T(x[1]), T(1 - x[0]), T(1 - x[1]), T(c * x[2]), T(step),
                     T(decoupled ? 1 - rate * x[3] : 1), T(decoupled ? 0 : x[3])};
    in_pieces(count(f, 0), [&](i64 at, i64 n) {
        T *theta = f.at[0] + at, *g = f.at[1] + at, *m = f.at[2] + at, *v = f.at[3] + at;
#ifdef PELLUCID_MASKED
        if constexpr (sizeof(T) == 4)
            if (by.eps >= 1e-12f) return adam_by_guesses(theta, g, m, v, n, by);
#endif
        adam(theta, g, m, v, n, by);
    });
}

}  // namespace pellucid::PELLUCID_TIER
