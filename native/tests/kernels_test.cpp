// The kernels against their naive forms: products of many shapes, functions against long double, the
// pool under stress. PELLUCID_SIMD=scalar|avx2|avx512 chooses the tier; prints the worst errors seen.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include "../gemm.hpp"
#include "../parallel.hpp"
#include "../simd.hpp"
#include "../vecmath.hpp"

namespace {

using namespace pellucid;
using std::int64_t;

void check(bool good, const char* what) {
    if (good) return;
    std::fprintf(stderr, "failed: %s\n", what);
    std::abort();
}

// n numbers that end where readable memory ends; what stands before them must stay as it was.
template <class T> class Guarded {
    static constexpr unsigned char CANARY = 0xA5;  // as a number, small and negative
    std::size_t bytes, mapped;
    unsigned char* base;

public:
    T* data;
    explicit Guarded(int64_t n) : bytes(static_cast<std::size_t>(n) * sizeof(T)) {
        const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        mapped = (bytes + 64 + page - 1) / page * page;
        base = static_cast<unsigned char*>(mmap(nullptr, mapped + page, PROT_READ | PROT_WRITE,
                                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        check(base != MAP_FAILED && mprotect(base + mapped, page, PROT_NONE) == 0, "mmap");
        std::memset(base, CANARY, mapped);
        data = reinterpret_cast<T*>(base + mapped - bytes);
    }
    Guarded(const Guarded&) = delete;
    Guarded& operator=(const Guarded&) = delete;
    ~Guarded() {
        for (const unsigned char* p = base; p < base + mapped - bytes; ++p)
            check(*p == CANARY, "a write before the operand");
        munmap(base, mapped + static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
    }
};

std::mt19937_64 numbers(7);
double uniform() { return std::uniform_real_distribution<double>(-1, 1)(numbers); }
int64_t whole(int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(numbers);
}

// ---- products -----------------------------------------------------------------------------------

template <class T> void naive(const Product<T>& p) {
    for (int64_t i = 0; i < p.m; ++i)
        for (int64_t j = 0; j < p.n; ++j) {
            double sum = p.accumulate ? p.c[i * p.ldc + j] : 0;
            for (int64_t q = 0; q < p.k; ++q)
                sum += static_cast<double>(p.ta ? p.a[q * p.lda + i] : p.a[i * p.lda + q]) *
                       (p.tb ? p.b[j * p.ldb + q] : p.b[q * p.ldb + j]);
            if (p.end.bias) sum += p.end.bias[j];
            if (p.end.act == Act::relu && sum < 0) sum = 0;
            if (p.end.act == Act::leaky && sum <= 0) sum *= p.end.slope;
            p.c[i * p.ldc + j] = static_cast<T>(sum);
        }
}

template <class T>
void test_product(int64_t m, int64_t n, int64_t k, bool ta, bool tb, int64_t pad, bool accumulate,
                  bool bias, Act act) {
    const int64_t lda = (ta ? m : k) + pad, ldb = (tb ? k : n) + 2 * pad, ldc = n + 3 * pad;
    const auto span = [](int64_t rows, int64_t width, int64_t ld) {
        return rows > 0 && width > 0 ? (rows - 1) * ld + width : 0;
    };
    const int64_t size_a = ta ? span(k, m, lda) : span(m, k, lda);
    const int64_t size_b = tb ? span(n, k, ldb) : span(k, n, ldb), size_c = span(m, n, ldc);
    Guarded<T> a(size_a), b(size_b), c(size_c), first(size_c), before(size_c), v(n);
    Guarded<T> scratch(gemm_scratch<T>(m, n, k));
    for (int64_t i = 0; i < size_a; ++i) a.data[i] = static_cast<T>(uniform());
    for (int64_t i = 0; i < size_b; ++i) b.data[i] = static_cast<T>(uniform());
    for (int64_t i = 0; i < size_c; ++i) before.data[i] = static_cast<T>(uniform());
    for (int64_t i = 0; i < n; ++i) v.data[i] = static_cast<T>(uniform());
    Product<T> p{ta, tb, m, n, k, a.data, lda, b.data, ldb, c.data, ldc, accumulate, {}, scratch.data};
    p.end = {bias ? v.data : nullptr, act, T(0.125)};
    const std::size_t bytes = static_cast<std::size_t>(size_c) * sizeof(T);
    for (int count = 1; count <= 4; ++count) {
        set_threads(count);
        if (bytes) std::memcpy(c.data, before.data, bytes);
        gemm(p);
        if (bytes && count == 1) std::memcpy(first.data, c.data, bytes);
        check(!bytes || std::memcmp(first.data, c.data, bytes) == 0, "same bits for all threads");
        if (m * n * k < 150000) break;  // never more than one piece
    }
    if (bytes) std::memcpy(c.data, before.data, bytes);
    naive(p);
    const double bound = 2 * std::numeric_limits<T>::epsilon() * (static_cast<double>(k) + 4);
    for (int64_t i = 0; i < size_c; ++i)  // the gaps between rows, too, in both
        check(std::fabs(first.data[i] - c.data[i]) <= bound, "gemm");
}

template <class T> void test_products() {
    const int64_t sizes[] = {1, 2, 3, 5, 7, 8, 13, 15, 16, 17, 28, 31, 32, 33, 48, 63, 65, 97};
    for (int trial = 0; trial < 1500; ++trial) {
        const auto size = [&] { return sizes[whole(0, 17)]; };
        test_product<T>(size(), size(), size(), whole(0, 1), whole(0, 1), whole(0, 3), whole(0, 1),
                        whole(0, 1), static_cast<Act>(whole(0, 2)));
    }
    const int64_t large[][3] = {{128, 128, 784}, {784, 128, 128}, {100, 10, 1100}, {300, 77, 200},
                                {1, 1000, 700},  {2, 999, 333},   {5, 700, 129},   {700, 1, 700},
                                {0, 5, 5},       {5, 0, 5},       {5, 40, 0},      {130, 520, 514},
                                {64, 64, 1024},  {33, 200, 2048}};
    for (const auto& s : large)
        for (int flags = 0; flags < 4; ++flags)
            for (int64_t pad : {0, 3})
                test_product<T>(s[0], s[1], s[2], flags & 1, flags & 2, pad, pad > 0, flags != 1,
                                static_cast<Act>(flags % 3));
    for (int trial = 0; trial < 3000; ++trial) {  // an arena planned for a batch serves smaller ones
        const int64_t m = whole(1, 600), n = whole(1, 600), k = whole(1, 1500);
        check(gemm_scratch<T>(whole(1, m), whole(1, n), whole(1, k)) <= gemm_scratch<T>(m, n, k),
              "scratch");
    }
    const T nan = std::numeric_limits<T>::quiet_NaN(), one = 1;
    for (Act act : {Act::none, Act::relu, Act::leaky}) {
        T c = 0, scratch[4096];
        check(gemm_scratch<T>(1, 1, 1) <= 4096, "scratch");
        gemm<T>(false, false, 1, 1, 1, &nan, 1, &one, 1, &c, 1, false, {nullptr, act, T(0.1)}, scratch);
        check(std::isnan(c), "NaN stays NaN");
    }
}

// ---- functions ----------------------------------------------------------------------------------

template <class T> double ulps(T got, long double want) {
    if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got) ? 0 : INFINITY;
    const T near = static_cast<T>(want);
    if (std::isinf(near) || std::isinf(got)) return near == got ? 0 : INFINITY;
    int e;
    std::frexp(near, &e);
    const int least = std::numeric_limits<T>::min_exponent;
    const long double ulp = std::ldexp(1.0L, (near == 0 || e < least ? least : e) - std::numeric_limits<T>::digits);
    return static_cast<double>(std::fabs(static_cast<long double>(got) - want) / ulp);
}

template <class T> std::vector<T> arguments() {
    using U = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    using L = std::numeric_limits<T>;
    std::vector<T> x = {0, -T(0), 1, -1, L::infinity(), -L::infinity(), L::quiet_NaN(), L::max(),
                        L::lowest(), L::min(), -L::min(), L::denorm_min(), -L::denorm_min(),
                        L::epsilon(), -L::epsilon(), std::nextafter(T(-1), T(0)), std::nextafter(T(1), T(0))};
    for (int i = 0; i < 1000000; ++i) {  // all numbers alike, then those where something happens
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
void test_function(const char* name, void (*f)(const T*, T*, int64_t), long double (*exact)(long double),
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

template <class T> void test_functions() {
    const std::vector<T> x = arguments<T>();
    test_function<T>("exp", vexp<T>, [](long double v) { return std::exp(v); }, 4, x);
    test_function<T>("log", vlog<T>, [](long double v) { return std::log(v); }, 4, x);
    test_function<T>("log1p", vlog1p<T>, [](long double v) { return std::log1p(v); }, 4, x);
    test_function<T>("tanh", vtanh<T>, [](long double v) { return std::tanh(v); }, 8, x);
    test_function<T>("sigmoid", vsigmoid<T>,
        [](long double v) {
            return v < 0 ? std::exp(v) / (1 + std::exp(v)) : 1 / (1 + std::exp(-v));
        }, 8, x);
}

// ---- the pool -----------------------------------------------------------------------------------

void run_jobs(int jobs) {
    std::vector<int> times(100);
    for (int job = 0; job < jobs; ++job) {
        const int pieces = 1 + job % 40;
        parallel(pieces, [&](int piece) {
            parallel(2, [&](int inner) {
                if (inner == 1) ++times[static_cast<std::size_t>(piece)];
            });
        });
        for (int i = 0; i < 100; ++i) {
            check(times[static_cast<std::size_t>(i)] == (i < pieces), "each piece once");
            times[static_cast<std::size_t>(i)] = 0;
        }
    }
}

void test_pool() {
    for (int count : {1, 2, 4, 3, 1, 7, 2}) {
        set_threads(count);
        check(threads() == count, "threads()");
        run_jobs(3000);
    }
    for (int i = 0; i < 30; ++i) {  // workers asleep
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        run_jobs(1);
    }
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i)
        callers.emplace_back([i] {
            for (int j = 0; j < 20; ++j) {
                run_jobs(200);
                if (i == 0) set_threads(1 + j % 4);
            }
        });
    for (auto& caller : callers) caller.join();
#ifndef __SANITIZE_THREAD__  // which knows no threads after a fork
    set_threads(3);
    run_jobs(10);
    std::atomic<bool> stop{false};
    std::thread other([&] { while (!stop) run_jobs(50); });
    for (int i = 0; i < 20; ++i) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(60);
            run_jobs(500);
            set_threads(2);
            run_jobs(500);
            _exit(0);
        }
        int status = 1;
        check(waitpid(child, &status, 0) == child && status == 0, "the child of a fork");
    }
    stop = true;
    other.join();
#endif
}

}  // namespace

int main() {
    const char* tiers[] = {"portable", "avx2", "avx512"};
    std::printf("tier: %s\n", tiers[static_cast<int>(simd())]);
    test_pool();
    test_products<float>();
    test_products<double>();
    set_threads(1);
    test_functions<float>();
    test_functions<double>();
    std::puts("all good");
}
