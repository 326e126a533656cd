// exp, expm1, log, log1p, tanh, sinh, cosh and the sigmoid against more precise forms; prints the worst errors seen.
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "../vecmath.hpp"
#include "testing.hpp"

namespace {

using namespace pellucid;

// What the functions are held against: more digits by 29 or by 11.
template <class T> using Precise = std::conditional_t<sizeof(T) == 4, double, long double>;

template <class T> double ulps(T got, Precise<T> want) {
    if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got) ? 0 : INFINITY;
    const T near = static_cast<T>(want);
    if (std::isinf(near) || std::isinf(got)) return near == got ? 0 : INFINITY;
    int e;
    std::frexp(near, &e);
    const int least = std::numeric_limits<T>::min_exponent;
    const int last = (near == 0 || e < least ? least : e) - std::numeric_limits<T>::digits;
    return static_cast<double>(std::ldexp(std::fabs(got - want), -last));
}

template <class T> std::vector<T> arguments(int trials) {
    using U = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    using L = std::numeric_limits<T>;
    std::vector<T> x = {0, -T(0), 1, -1, L::infinity(), -L::infinity(), L::quiet_NaN(), L::max(),
                        L::lowest(), L::min(), -L::min(), L::denorm_min(), -L::denorm_min(),
                        L::epsilon(), -L::epsilon(), std::nextafter(T(-1), T(0)), std::nextafter(T(1), T(0))};
    for (int i = 0; i < trials; ++i) {  // all numbers alike, then those where something happens
        const U bits = static_cast<U>(numbers());
        T v;
        std::memcpy(&v, &bits, sizeof v);
        x.push_back(v);
        x.push_back(static_cast<T>(uniform() * (i % 4 == 0 ? 800 : i % 4 == 1 ? 100 : i % 4 == 2 ? 3 : 0.5)));
        x.push_back(static_cast<T>(1 + uniform() * 0.5));
    }
    return x;
}

template <class T>
void test_function(const char* name, void (*f)(const T*, T*, int64_t), Precise<T> (*exact)(Precise<T>),
                   double bound, const std::vector<T>& x) {
    const auto n = static_cast<int64_t>(x.size());
    std::vector<T> y(x.size());
    f(x.data(), y.data(), n);
    double worst = 0;
    T at = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        const double u = ulps(y[i], exact(x[i]));
        if (u > worst) worst = u, at = x[i];
    }
    std::printf("%-8s %s  %.2f ulp at %.9g\n", name, sizeof(T) == 4 ? "float " : "double", worst,
                static_cast<double>(at));
    check(worst <= bound, name);
    for (int64_t length = 0; length < 70; ++length) {  // any length and place: the same, and no more
        const int64_t from = whole(0, n - 70);
        Guarded<T> in(length), out(length);
        if (length) std::memcpy(in.data, x.data() + from, static_cast<std::size_t>(length) * sizeof(T));
        f(in.data, out.data, length);
        f(in.data, in.data, length);
        for (int64_t i = 0; i < length; ++i)
            check(std::memcmp(out.data + i, &y[static_cast<std::size_t>(from + i)], sizeof(T)) == 0 &&
                      std::memcmp(out.data + i, in.data + i, sizeof(T)) == 0, "the same at any place");
    }
}

template <class T> void test_functions(int trials) {
    using P = Precise<T>;
    const std::vector<T> x = arguments<T>(trials);
    test_function<T>("exp", vexp<T>, [](P v) { return std::exp(v); }, 4, x);
    test_function<T>("expm1", vexpm1<T>, [](P v) { return std::expm1(v); }, 8, x);
    test_function<T>("sinh", vsinh<T>, [](P v) { return std::sinh(v); }, 8, x);
    test_function<T>("cosh", vcosh<T>, [](P v) { return std::cosh(v); }, 8, x);
    test_function<T>("log", vlog<T>, [](P v) { return std::log(v); }, 4, x);
    test_function<T>("log1p", vlog1p<T>, [](P v) { return std::log1p(v); }, 4, x);
    test_function<T>("tanh", vtanh<T>, [](P v) { return std::tanh(v); }, 8, x);
    test_function<T>("sigmoid", vsigmoid<T>,
        [](P v) { return v < 0 ? std::exp(v) / (1 + std::exp(v)) : 1 / (1 + std::exp(-v)); }, 8, x);
}

}  // namespace

int main(int count, char** values) {
    const int trials = begin(count, values, 1000000);
    test_functions<float>(trials);
    test_functions<double>(trials);
    std::puts("all good");
}
