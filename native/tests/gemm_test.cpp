// The matrix product against its naive form: many shapes, leading dimensions, epilogues, threads.
#include <cmath>
#include <limits>

#include "../gemm.hpp"
#include "../parallel.hpp"
#include "testing.hpp"

namespace {

using namespace pellucid;

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

template <class T> void test_products(int trials) {
    const int64_t sizes[] = {1, 2, 3, 5, 7, 8, 13, 15, 16, 17, 28, 31, 32, 33, 48, 63, 65, 97};
    for (int trial = 0; trial < trials; ++trial) {
        const auto size = [&] { return sizes[whole(0, 17)]; };
        test_product<T>(size(), size(), size(), whole(0, 1), whole(0, 1), whole(0, 3), whole(0, 1),
                        whole(0, 1), static_cast<Act>(whole(0, 2)));
    }
    const int64_t large[][3] = {{128, 128, 784}, {784, 128, 128}, {100, 10, 1100}, {300, 77, 200},
                                {1, 1000, 700},  {2, 999, 333},   {5, 700, 129},   {700, 1, 700},
                                {0, 5, 5},       {5, 0, 5},       {5, 40, 0},      {130, 520, 514},
                                {64, 64, 1024},  {33, 200, 2048}};
    int number = 0;
    for (const auto& s : large)
        for (int flags = 0; flags < 4; ++flags)
            for (int64_t pad : {0, 3})
                if (number++ * trials % 1500 < trials)  // as many of these, too, as were asked for
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

}  // namespace

int main(int count, char** values) {
    const int trials = begin(count, values, 1500);
    test_products<float>(trials);
    test_products<double>(trials);
    std::puts("all good");
}
