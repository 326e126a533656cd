// The smaller instructions: each function is one opcode, named after it, below its NumPy line.
// Shapes are those of engine/opcodes.py; r rows, n values a row.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "philox.hpp"
#include "vecmath.hpp"

// Compiled once for each width of vectors and chosen when the library is loaded. Elements do not
// depend on each other and nothing is contracted, so every version gives the same bits.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define PELLUCID_WIDE __attribute__((target_clones("arch=x86-64-v4", "avx2", "default")))
#define PELLUCID_INLINE inline __attribute__((always_inline))
#define PELLUCID_INLINE_LAMBDA __attribute__((always_inline))
#else
#define PELLUCID_WIDE
#define PELLUCID_INLINE inline
#define PELLUCID_INLINE_LAMBDA
#endif

namespace pellucid {

using i64 = std::int64_t;

template <class T> void put(T& y, T value, bool accumulate) { y = accumulate ? y + value : value; }

// db += dy.sum(axis=0)
template <class T> void kernel_rowsum(T* db, const T* dy, i64 r, i64 n) {
    for (i64 i = 0; i < r; i++)
        for (i64 j = 0; j < n; j++) db[j] += dy[i * n + j];
}

// y = f(x); kinds: affine a·x + b, relu, leaky with slope a, sigmoid, tanh
template <class T> void kernel_map(T* y, const T* x, i64 n, i64 kind, T a, T b) {
    switch (kind) {
        case 0:
            for (i64 i = 0; i < n; i++) y[i] = x[i] * a + b;
            break;
        case 1:
        case 2:  // of x and a·x the larger; NaN stays NaN
            for (i64 i = 0; i < n; i++) y[i] = x[i] < a * x[i] ? a * x[i] : x[i];
            break;
        case 3: vsigmoid(x, y, n); break;
        case 4: vtanh(x, y, n); break;
    }
}

// dx (+)= dy * f'(x), written with y = f(x)
template <class T>
PELLUCID_INLINE void kernel_map_grad(T* dx, const T* dy, const T* y, i64 n, i64 kind, T a,
                                     bool accumulate) {
    auto each = [&](auto slope) PELLUCID_INLINE_LAMBDA {
        if (accumulate)
            for (i64 i = 0; i < n; i++) dx[i] += dy[i] * slope(y[i]);
        else
            for (i64 i = 0; i < n; i++) dx[i] = dy[i] * slope(y[i]);
    };
    switch (kind) {
        case 0: each([a](T) PELLUCID_INLINE_LAMBDA { return a; }); break;
        case 1:
        case 2: each([a](T v) PELLUCID_INLINE_LAMBDA { return v > 0 ? T(1) : a; }); break;
        case 3: each([](T v) PELLUCID_INLINE_LAMBDA { return v * (1 - v); }); break;
        case 4: each([](T v) PELLUCID_INLINE_LAMBDA { return 1 - v * v; }); break;
    }
}

// y[:, ys:ys + width] (+)= x[:, xs:xs + width]
template <class T>
void kernel_copy(T* y, const T* x, i64 r, i64 width, i64 yw, i64 ys, i64 xw, i64 xs, bool accumulate) {
    for (i64 i = 0; i < r; i++)
        for (i64 j = 0; j < width; j++) put(y[i * yw + ys + j], x[i * xw + xs + j], accumulate);
}

// y = (x - mean) / sqrt(variance), or dx (+)= dy / sqrt(variance); 1 where the variance is rounding
template <class T>
void kernel_standardize(T* y, const T* x, const T* mean, const T* variance, i64 r, i64 n, bool forward,
                        bool accumulate) {
    for (i64 j = 0; j < n; j++) {
        const T deviation = std::sqrt(variance[j]);
        const T noise = 8 * std::numeric_limits<T>::epsilon() * std::abs(mean[j]);
        const T scale = 1 / (deviation > noise ? deviation : T(1));
        for (i64 i = 0; i < r; i++) {
            const T value = forward ? x[i * n + j] - mean[j] : x[i * n + j];
            put(y[i * n + j], value * scale, accumulate);
        }
    }
}

// mask = (bits >= rate * 2**32) / (1 - rate); y = x * mask
template <class T>
void kernel_dropout(T* y, const T* x, T* mask, i64 n, double rate, std::uint64_t key0, std::uint64_t key1,
                    std::uint64_t draw, std::uint64_t step, std::uint64_t part) {
    const auto limit = std::uint32_t(std::min(std::nearbyint(rate * 4294967296.0), 4294967295.0));
    const T kept = T(1 / (1 - rate));
    std::uint64_t block[4];
    for (i64 i = 0; i < n; i++) {
        if (i % 8 == 0) philox4x64(key0, key1, std::uint64_t(i / 8 + 1), draw, step, part, block);
        const auto word = block[i % 8 / 2];
        const auto bits = std::uint32_t(i % 2 ? word >> 32 : word);
        mask[i] = bits >= limit ? kept : T(0);
        y[i] = x[i] * mask[i];
    }
}

// dx (+)= dy * mask
template <class T> void kernel_multiply(T* dx, const T* dy, const T* mask, i64 n, bool accumulate) {
    for (i64 i = 0; i < n; i++) put(dx[i], dy[i] * mask[i], accumulate);
}

// What a row's gradient is multiplied by, and what its value counts: scale·w/Σw and w.
template <class T> struct Share {
    const T* weight;
    T share;
    T of(i64 row) const { return weight ? weight[row] * share : share; }
    double count(i64 row) const { return weight ? double(weight[row]) : 1.0; }
};

template <class T> Share<T> share_of(const T* weight, double scale, double total) {
    return {weight, T(total ? scale / total : 0.0)};
}

// mse: l = ((p - y)**2).mean(axis=1); dp = share * 2 * (p - y) / n
// binary cross-entropy: l = (max(p, 0) - p*y + log1p(exp(-|p|))).mean(axis=1); dp = share * (σ(p) - y) / n
template <class T>
double kernel_rowwise_loss(bool squared, T* dp, const T* p, const T* y, const T* weight, i64 r, i64 n,
                           i64 mean_of, double scale, double total) {
    const auto share = share_of(weight, scale, total);
    const T by = T(1) / T(mean_of), twice = T(2.0 / double(mean_of));
    double sum = 0;
    for (i64 i = 0; i < r; i++) {
        double value = 0;
        const T times = share.of(i);
        for (i64 j = i * n; j < i * n + n; j++) {
            if (squared) {
                const T error = p[j] - y[j];
                value += double(error) * double(error);
                dp[j] = error * twice * times;
            } else {
                const T e = std::exp(-std::abs(p[j])), sigmoid = (p[j] >= 0 ? T(1) : e) / (1 + e);
                value += double(std::max(p[j], T(0)) - p[j] * y[j] + std::log1p(e));
                if (std::isnan(p[j])) value = p[j];
                dp[j] = (sigmoid - y[j]) * by * times;
            }
        }
        sum += value / double(mean_of) * share.count(i);
    }
    return scale * sum;
}

// l = log(exp(p).sum(axis=1)) - p[y]; dp = share * (softmax(p) - onehot(y)). A label outside the
// classes gives NaN and reads nothing.
template <class T>
double kernel_cross_entropy(T* dp, const T* p, const i64* y, const T* weight, i64 r, i64 classes, double scale,
                            double total) {
    const auto share = share_of(weight, scale, total);
    double sum = 0;
    for (i64 i = 0; i < r; i++) {
        const T* row = p + i * classes;
        T* out = dp + i * classes;
        T top = row[0];
        for (i64 k = 1; k < classes; k++) top = row[k] > top || std::isnan(row[k]) ? row[k] : top;
        for (i64 k = 0; k < classes; k++) out[k] = row[k] - top;
        const bool known = y[i] >= 0 && y[i] < classes;
        const T at = known ? out[y[i]] : std::numeric_limits<T>::quiet_NaN();
        vexp(out, out, classes);
        T mass = 0;
        for (i64 k = 0; k < classes; k++) mass += out[k];
        sum += double(std::log(mass) - at) * share.count(i);
        const T times = share.of(i), by = times / mass;
        for (i64 k = 0; k < classes; k++) out[k] *= by;
        if (known) out[y[i]] -= times;
    }
    return scale * sum;
}

// l = -(y * log(softmax(p))).sum(axis=1); y are rows of probabilities
template <class T>
double kernel_cross_entropy_rows(T* dp, const T* p, const T* y, const T* weight, i64 r, i64 classes,
                                 double scale, double total) {
    const auto share = share_of(weight, scale, total);
    double sum = 0;
    for (i64 i = 0; i < r; i++) {
        const T *row = p + i * classes, *truth = y + i * classes;
        T *out = dp + i * classes, top = row[0], mass = 0, all = 0, at = 0;
        for (i64 k = 1; k < classes; k++) top = row[k] > top || std::isnan(row[k]) ? row[k] : top;
        for (i64 k = 0; k < classes; k++) {
            out[k] = row[k] - top;
            at += truth[k] * out[k], all += truth[k];
        }
        vexp(out, out, classes);
        for (i64 k = 0; k < classes; k++) mass += out[k];
        sum += double(std::log(mass) * all - at) * share.count(i);
        const T times = share.of(i);
        for (i64 k = 0; k < classes; k++) out[k] = (all * (out[k] / mass) - truth[k]) * times;
    }
    return scale * sum;
}

// sum of weight * (p.argmax(axis=1) == y)
template <class T>
double kernel_accuracy(const T* p, const i64* y, const T* weight, i64 r, i64 classes) {
    double right = 0;
    for (i64 i = 0; i < r; i++) {
        const T* row = p + i * classes;
        const i64 best = std::max_element(row, row + classes) - row;
        if (best == y[i]) right += weight ? double(weight[i]) : 1.0;
    }
    return right;
}

// g += l1 * sign(theta) + l2 * theta
template <class T> void kernel_penalize(T* g, const T* theta, i64 n, T l1, T l2) {
    if (l2 != 0)
        for (i64 i = 0; i < n; i++) g[i] += l2 * theta[i];
    if (l1 != 0)
        for (i64 i = 0; i < n; i++) g[i] += l1 * T((theta[i] > 0) - (theta[i] < 0));
}

// g = clip(g, -limit, limit)
template <class T> void kernel_clamp(T* g, i64 n, T limit) {
    for (i64 i = 0; i < n; i++) g[i] = std::min(std::max(g[i], -limit), limit);
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
template <class T> void kernel_square_sum(double* total, const T* g, i64 n, bool start) {
    if (start) total[0] = 0, total[1] = 1;
    double more = scaled_square_sum(g, n, total[1]);
    if (!std::isfinite(total[0] + more)) {
        double scale = total[1];
        for (i64 i = 0; i < n; i++) scale = std::max(scale, double(std::abs(g[i])));
        total[0] *= (total[1] / scale) * (total[1] / scale), total[1] = scale;
        more = scaled_square_sum(g, n, scale);
    }
    total[0] += more;
}

// np.isfinite(g).all(): 0·x is 0 for a number and NaN for infinity and NaN
template <class T> bool kernel_finite(const T* g, i64 n) {
    T part[16] = {};
    i64 i = 0;
    for (; i + 16 <= n; i += 16)
        for (int k = 0; k < 16; k++) part[k] += g[i + k] * T(0);
    for (; i < n; i++) part[0] += g[i] * T(0);
    return std::all_of(part, part + 16, [](T p) { return p == 0; });
}

// g *= factor
template <class T> void kernel_scale(T* g, i64 n, T factor) {
    for (i64 i = 0; i < n; i++) g[i] *= factor;
}

// u = momentum * u + g; theta -= rate * u
template <class T>
PELLUCID_INLINE void kernel_sgd(T* theta, const T* g, T* velocity, i64 n, double momentum, bool nesterov, double decay,
                double rate) {
    const T mu = T(momentum), step = T(rate), pull = T(decay);
    for (i64 i = 0; i < n; i++) {
        T slope = g[i];
        if (decay != 0) slope += pull * theta[i];
        if (velocity) {
            velocity[i] = velocity[i] * mu + slope;
            slope = nesterov ? slope + mu * velocity[i] : velocity[i];
        }
        theta[i] -= step * slope;
    }
}

// m, v: running means of g and g*g; theta -= rate * m / (sqrt(v) + eps), both corrected for their start
template <class T>
PELLUCID_INLINE void kernel_adam(T* theta, const T* g, T* m, T* v, i64 n, double beta_1, double beta_2, double epsilon,
                 double decay, bool decoupled, double rate, i64 t) {
    const double c = std::sqrt(1 - std::pow(beta_2, double(t)));
    const T b1 = T(beta_1), b2 = T(beta_2), one_b1 = T(1 - beta_1), one_b2 = T(1 - beta_2);
    const T step = T(rate * c / (1 - std::pow(beta_1, double(t)))), eps = T(c * epsilon);
    const T keep = decoupled ? T(1 - rate * decay) : T(1), pull = decoupled ? T(0) : T(decay);
    for (i64 i = 0; i < n; i++) {
        const T slope = pull != 0 ? g[i] + pull * theta[i] : g[i];
        m[i] = m[i] * b1 + one_b1 * slope;
        v[i] = v[i] * b2 + one_b2 * slope * slope;
        theta[i] = theta[i] * keep - step * m[i] / (std::sqrt(v[i]) + eps);
    }
}

// array.astype(dtype), from every kind of number there is
template <class From, class To> void convert_as(const char* in, To* out, i64 n) {
    if constexpr (std::is_same_v<From, To>) {
        std::memcpy(out, in, std::size_t(n) * sizeof(To));
        return;
    }
    for (i64 i = 0; i < n; i++) {
        From value;
        std::memcpy(&value, in + i * i64(sizeof(From)), sizeof(From));
        out[i] = To(value);
    }
}

template <class To> void convert(const char* in, i64 kind, To* out, i64 n) {
    switch (kind) {
        case 0: convert_as<std::uint8_t>(in, out, n); break;
        case 1: convert_as<std::int8_t>(in, out, n); break;
        case 2: convert_as<std::int16_t>(in, out, n); break;
        case 3: convert_as<std::uint16_t>(in, out, n); break;
        case 4: convert_as<std::int32_t>(in, out, n); break;
        case 5: convert_as<std::uint32_t>(in, out, n); break;
        case 6: convert_as<std::int64_t>(in, out, n); break;
        case 7: convert_as<std::uint64_t>(in, out, n); break;
        case 8: convert_as<float>(in, out, n); break;
        case 9: convert_as<double>(in, out, n); break;
    }
}

}  // namespace pellucid
