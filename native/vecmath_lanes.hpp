// exp, expm1, log, log1p, tanh, sinh, cosh and sigmoid of a vector, in one tier's form. The naive forms are std::exp(x)
// and so on, one number after another; here every lane takes the same steps, and what is special
// about a lane (0, infinity, NaN, a subnormal number) is mended by selection at the end.
//
// The polynomials are the functions' own Taylor series on an interval about 0 to which the argument
// is reduced, cut where the next term is below a tenth of a unit in the last place.
#pragma once

#include <limits>

#include "simd.hpp"
#include "vecmath.hpp"

namespace pellucid::PELLUCID_TIER {

template <class T> struct Format;  // of floating-point numbers
template <> struct Format<float> {
    using U = std::uint32_t;
    static constexpr int mantissa = 23;
    static constexpr U bias = 127;
    static constexpr float ln2_high = 0x1.63p-1f;  // so short that a multiple of it is exact
    static constexpr float ln2_low = -0x1.bd0106p-13f;
    static constexpr float exp_least = -104, exp_most = 89;  // beyond, e^x is 0, infinite
    static constexpr int exp_terms = 7, log_terms = 4;
};
template <> struct Format<double> {
    using U = std::uint64_t;
    static constexpr int mantissa = 52;
    static constexpr U bias = 1023;
    static constexpr double ln2_high = 0x1.62e42feep-1;
    static constexpr double ln2_low = 0x1.a39ef35793c76p-33;
    static constexpr double exp_least = -746, exp_most = 710;
    static constexpr int exp_terms = 13, log_terms = 10;
};

template <class T> inline Vec<T> abs(Vec<T> x) {
    return as<Vec<T>>(as<Bits<T>>(x) & (~typename Format<T>::U{0} >> 1));
}

// 2^n, for n within the exponents of normal numbers (n is taken modulo 2^W).
template <class T> inline Vec<T> power_of_two(Bits<T> n) {
    return as<Vec<T>>((n + Format<T>::bias) << Format<T>::mantissa);
}

template <class T> struct InverseFactorials {
    T of[16] = {1};
    constexpr InverseFactorials() {
        T factorial = 1;
        for (int i = 1; i < 16; ++i) of[i] = 1 / (factorial *= T(i));
    }
};
template <class T> constexpr InverseFactorials<T> inverse_factorials;

// e^x - 1 = 2^n·(1 + q) - 1, with q = e^r - 1 and |r| <= ln(2) / 2. |x| below 2^20, or NaN.
template <class T> inline Vec<T> reduced_exp(Vec<T> x, Bits<T>& n) {
    using F = Format<T>;
    // Adding 1.5·2^mantissa leaves the nearest whole number in the lowest bits.
    constexpr T shift = T(typename F::U{3} << (F::mantissa - 1));
    const Vec<T> shifted = x * T(1.4426950408889634) + shift;
    const Vec<T> whole = shifted - shift;
    n = as<Bits<T>>(shifted) - as<Bits<T>>(splat<T>(shift));
    const Vec<T> r = (x - whole * F::ln2_high) - whole * F::ln2_low;
    Vec<T> sum{};  // 1/2! + r/3! + r²/4! + …
#pragma GCC unroll 16
    for (int i = F::exp_terms; i >= 2; --i) sum = sum * r + inverse_factorials<T>.of[i];
    return r + (r * r) * sum;
}

template <class T> inline Vec<T> exp(Vec<T> x) {
    using F = Format<T>;
    x = x < splat<T>(F::exp_least) ? splat<T>(F::exp_least) : x;
    x = x > splat<T>(F::exp_most) ? splat<T>(F::exp_most) : x;
    Bits<T> n;
    const Vec<T> q = reduced_exp<T>(x, n);
    // In two steps, as 2^n itself may be no normal number.
    const Bits<T> half = ((n + 2 * F::bias) >> 1) - F::bias;
    return (q + T(1)) * power_of_two<T>(half) * power_of_two<T>(n - half);
}

// With p = 2^n: p·q + (p - 1), where the difference is exact; for large x nothing is left of the 1.
template <class T> inline Vec<T> expm1(Vec<T> x) {
    using F = Format<T>;
    Vec<T> y = x < splat<T>(-80) ? splat<T>(-80) : x;
    y = y > splat<T>(F::exp_most) ? splat<T>(F::exp_most) : y;
    Bits<T> n;
    const Vec<T> q = reduced_exp<T>(y, n);
    const Bits<T> half = ((n + 2 * F::bias) >> 1) - F::bias;
    const Vec<T> low = power_of_two<T>(half), high = power_of_two<T>(n - half), power = low * high;
    const Vec<T> e = y > splat<T>(50) ? (q + T(1)) * low * high : power * q + (power - T(1));
    return x == splat<T>(0) ? x : e;  // -0
}

// log(u + d·u) for a d below u's last place; -inf for 0, NaN for what is negative.
template <class T> inline Vec<T> log_of_sum(Vec<T> u, Vec<T> d) {
    using F = Format<T>;
    using U = typename F::U;
    using Limits = std::numeric_limits<T>;
    constexpr T two_to_mantissa = T(U{1} << F::mantissa);
    const auto subnormal = u < splat<T>(Limits::min());
    const Vec<T> normal = subnormal ? u * two_to_mantissa : u;
    // normal = 2^e·m with m from √½ to √2.
    const U start = as<U>(T(0.70710678118654752)), one = as<U>(T(1));
    const Bits<T> bits = as<Bits<T>>(normal) + (one - start);
    const Vec<T> m = as<Vec<T>>((bits & ((U{1} << F::mantissa) - 1)) + start);
    const Vec<T> shifted = as<Vec<T>>((bits >> F::mantissa) | as<U>(two_to_mantissa));
    const Vec<T> e = (shifted - (two_to_mantissa + T(F::bias))) -
                     (subnormal ? splat<T>(F::mantissa) : splat<T>(0));
    // log(1 + f) = 2·artanh(s) = 2s + 2s³/3 + …, with s = f / (2 + f); and 2s = f - s·f,
    // s·f = f²/2 - s·f²/2 keep the largest term, f, free of rounding.
    const Vec<T> f = m - T(1);
    const Vec<T> s = f / (f + T(2));
    const Vec<T> z = s * s;
    Vec<T> sum{};
#pragma GCC unroll 16
    for (int i = F::log_terms; i >= 1; --i) sum = (sum + T(2) / T(2 * i + 1)) * z;
    const Vec<T> half_square = T(0.5) * f * f;
    const Vec<T> low = s * (half_square + sum) + (e * F::ln2_low + d);
    Vec<T> y = e * F::ln2_high - ((half_square - low) - f);
    y = u > splat<T>(Limits::max()) ? u : y;
    y = u == splat<T>(0) ? splat<T>(-Limits::infinity()) : y;
    return u >= splat<T>(0) ? y : splat<T>(Limits::quiet_NaN());
}

template <class T> inline Vec<T> log(Vec<T> x) { return log_of_sum<T>(x, Vec<T>{}); }

template <class T> inline Vec<T> log1p(Vec<T> x) {
    const Vec<T> u = x + T(1);
    const Vec<T> lost = x > splat<T>(1) ? T(1) - (u - x) : x - (u - T(1));  // by rounding u
    const Vec<T> y = log_of_sum<T>(u, lost / u);
    return x == splat<T>(0) ? x : y;  // -0
}

// With E = e^(-2|x|) - 1: |tanh x| = -E / (2 + E), good for small x too.
template <class T> inline Vec<T> tanh(Vec<T> x) {
    const Bits<T> sign = as<Bits<T>>(x) ^ as<Bits<T>>(abs<T>(x));
    Vec<T> y = T(-2) * abs<T>(x);
    y = y < splat<T>(-80) ? splat<T>(-80) : y;
    Bits<T> n;
    const Vec<T> q = reduced_exp<T>(y, n);
    const Vec<T> power = power_of_two<T>(n);
    const Vec<T> e = power * q + (power - T(1));
    return as<Vec<T>>(as<Bits<T>>(-e / (e + T(2))) | sign);
}

// With E = e^|x| - 1: |sinh x| = (E + E / (E + 1)) / 2, cosh x = (e^|x| + 1 / e^|x|) / 2; where e^|x| is
// large it is alone, as a square, for e^|x| may be infinite before its half is.
template <class T> inline Vec<T> half_of_exp(Vec<T> size) {
    const Vec<T> root = exp<T>(T(0.5) * size);
    return (T(0.5) * root) * root;
}
template <class T> inline Vec<T> sinh(Vec<T> x) {
    const Vec<T> size = abs<T>(x);
    const Bits<T> sign = as<Bits<T>>(x) ^ as<Bits<T>>(size);
    const Vec<T> e = expm1<T>(size > splat<T>(30) ? splat<T>(30) : size);
    const Vec<T> y = size > splat<T>(30) ? half_of_exp<T>(size) : T(0.5) * (e + e / (e + T(1)));
    return as<Vec<T>>(as<Bits<T>>(y) | sign);
}
template <class T> inline Vec<T> cosh(Vec<T> x) {
    const Vec<T> size = abs<T>(x), e = exp<T>(size > splat<T>(30) ? splat<T>(30) : size);
    return size > splat<T>(30) ? half_of_exp<T>(size) : T(0.5) * (e + T(1) / e);
}

// With z = e^(-|x|), which cannot overflow: 1 / (1 + z) for x >= 0, z / (1 + z) for x < 0.
template <class T> inline Vec<T> sigmoid(Vec<T> x) {
    const Vec<T> z = exp<T>(-abs<T>(x));
    return (x >= splat<T>(0) ? splat<T>(1) : z) / (z + T(1));
}

#define PELLUCID_EACH(name, f)                                                        \
    template <class T> void name(const T* x, T* y, std::int64_t n) {                  \
        std::int64_t i = 0;                                                           \
        for (; i + Lanes<T>::W <= n; i += Lanes<T>::W) store(y + i, f<T>(load(x + i)));  \
        if (i == n) return;                                                           \
        store(y + i, f<T>(load(x + i, int(n - i))), int(n - i));                      \
    }                                                                                 \
    template void name(const float*, float*, std::int64_t);                           \
    template void name(const double*, double*, std::int64_t);
PELLUCID_EACH(vexp, exp)
PELLUCID_EACH(vexpm1, expm1)
PELLUCID_EACH(vlog, log)
PELLUCID_EACH(vlog1p, log1p)
PELLUCID_EACH(vtanh, tanh)
PELLUCID_EACH(vsinh, sinh)
PELLUCID_EACH(vcosh, cosh)
PELLUCID_EACH(vsigmoid, sigmoid)
#undef PELLUCID_EACH

}  // namespace pellucid::PELLUCID_TIER
