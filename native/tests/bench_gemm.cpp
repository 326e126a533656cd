// How near the products come to what the machine can do: GFLOP/s, and per cent of a loop of nothing
// but multiply-adds, measured in turn with them. Arguments: numbers of threads (1 2).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "../gemm.hpp"
#include "../parallel.hpp"
#include "../simd.hpp"
#include "../vecmath.hpp"

namespace {

using namespace pellucid;
using std::int64_t;

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> v) {
    std::nth_element(v.begin(), v.begin() + static_cast<long>(v.size() / 2), v.end());
    return v[v.size() / 2];
}

#ifdef PELLUCID_X86
[[gnu::target("avx2,fma")]] float fma_avx2(int64_t rounds) {
    __m256 sum[12];
    for (int i = 0; i < 12; ++i) sum[i] = _mm256_set1_ps(static_cast<float>(i));
    const __m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(1e-3f);
    for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
        for (int i = 0; i < 12; ++i) sum[i] = _mm256_fmadd_ps(sum[i], a, b);
    }
    for (int i = 1; i < 12; ++i) sum[0] = _mm256_add_ps(sum[0], sum[i]);
    return _mm256_cvtss_f32(sum[0]);
}

[[gnu::target("avx512f")]] float fma_avx512(int64_t rounds) {
    __m512 sum[12];
    for (int i = 0; i < 12; ++i) sum[i] = _mm512_set1_ps(static_cast<float>(i));
    const __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(1e-3f);
    for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
        for (int i = 0; i < 12; ++i) sum[i] = _mm512_fmadd_ps(sum[i], a, b);
    }
    for (int i = 1; i < 12; ++i) sum[0] = _mm512_add_ps(sum[0], sum[i]);
    return _mm512_cvtss_f32(sum[0]);
}
#endif

volatile float sink;

double peak_once() {  // GFLOP/s of all threads together
    const int64_t rounds = 40000;
    double flops = 0;
    const double start = now();
    parallel(threads(), [&](int) {
#ifdef PELLUCID_X86
        if (simd() == Simd::avx512) sink = fma_avx512(rounds);
        else sink = fma_avx2(rounds);
#endif
    });
    flops = 2.0 * 12 * (simd() == Simd::avx512 ? 16 : 8) * static_cast<double>(rounds) * threads();
    return flops / (now() - start) / 1e9;
}

struct Array {  // begins where a line of the cache does
    float* data;
    Array(int64_t n, float value)
        : data(static_cast<float*>(std::aligned_alloc(64, static_cast<std::size_t>(n + 16) / 16 * 64))) {
        std::fill(data, data + n, value);
    }
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;
    ~Array() { std::free(data); }
};

struct Case {
    const char* name;
    int64_t m, n, k;
    bool ta, tb;
};

void run(const Case& s, int rounds) {
    const int64_t lda = s.ta ? s.m : s.k, ldb = s.tb ? s.k : s.n;
    const Array a(s.m * s.k, 0.5f), b(s.k * s.n, 0.25f), c(s.m * s.n, 0), bias(s.n, 0.1f);
    const Array scratch(gemm_scratch<float>(s.m, s.n, s.k), 0);
    const auto once = [&] {
        gemm<float>(s.ta, s.tb, s.m, s.n, s.k, a.data, lda, b.data, ldb, c.data, s.n, false,
                    {bias.data, Act::relu, 0}, scratch.data);
    };
    const double work = 2.0 * static_cast<double>(s.m * s.n * s.k);
    const int repeat = std::max(1, static_cast<int>(2e8 / std::max(work, 2e4)));
    std::vector<double> times, peaks;
    for (int r = 0; r < rounds; ++r) {
        peaks.push_back(peak_once());
        once();
        const double start = now();
        for (int i = 0; i < repeat; ++i) once();
        times.push_back((now() - start) / repeat);
    }
    const double time = median(times), peak = median(peaks);
    std::printf("%-28s %10.2f us %8.1f GFLOP/s %6.1f %% of %.1f  (best %.1f %%)\n", s.name, time * 1e6, work / time / 1e9,
                work / time / 1e7 / peak, peak, work / *std::min_element(times.begin(), times.end()) / 1e7 / *std::max_element(peaks.begin(), peaks.end()));
}

}  // namespace

int main(int count, char** values) {
    const Case cases[] = {
        {"(256,784)@(784,512)", 256, 512, 784, false, false},
        {"(784,256)T... (256,512) tn", 784, 512, 256, true, false},
        {"(256,512)@(512,512)", 256, 512, 512, false, false},
        {"(256,512)@(512,512) nt", 256, 512, 512, false, true},
        {"(512,256)@(256,512) tn", 512, 512, 256, true, false},
        {"(256,512)@(512,784) nt", 256, 784, 512, false, true},
        {"(128,784)@(784,128)", 128, 128, 784, false, false},
        {"(784,128)@(128,128) tn", 784, 128, 128, true, false},
        {"(128,128)@(128,10)", 128, 10, 128, false, false},
        {"(256,512)@(512,10)", 256, 10, 512, false, false},
        {"(128,128)@(128,10) tn", 128, 10, 128, true, false},
        {"(128,10)@(10,128) nt", 128, 128, 10, false, true},
        {"(15,64)@(64,15)", 15, 15, 64, false, false},
        {"(15,15)@(15,10)", 15, 10, 15, false, false},
        {"(15,10)@(10,15) nt", 15, 15, 10, false, true},
        {"(64,15)@(15,15) tn", 64, 15, 15, true, false},
        {"(15,15)@(15,10) tn", 15, 10, 15, true, false},
        {"(64,5)@(5,10)", 64, 10, 5, false, false},
        {"(64,10)@(10,10)", 64, 10, 10, false, false},
        {"(10,64)@(64,10) tn", 10, 10, 64, true, false},
        {"(1,784)@(784,128)", 1, 128, 784, false, false},
        {"(1,64)@(64,15)", 1, 15, 64, false, false},
        {"(10000,784)@(784,128)", 10000, 128, 784, false, false},
        {"(256,1024)@(1024,1024)", 256, 1024, 1024, false, false},
        {"(1024,256)@(256,1024) tn", 1024, 1024, 256, true, false},
    };
    std::vector<int> counts;
    for (int i = 1; i < count; ++i) counts.push_back(std::atoi(values[i]));
    if (counts.empty()) counts = {1, 2};
    const char* rounds = std::getenv("ROUNDS");
    for (int c : counts) {
        set_threads(c);
        std::printf("%d thread%s\n", c, c == 1 ? "" : "s");
        for (const Case& s : cases) run(s, rounds ? std::atoi(rounds) : 15);
    }
}
