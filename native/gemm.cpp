// C = act(op(A) @ op(B) + bias): the portable form, and the choice of the tier for this machine.
#define PELLUCID_TIER portable
#include "gemm_tile.hpp"

#include <cstdlib>
#include <cstring>

namespace pellucid {
namespace {

Simd detect() {
    Simd best = Simd::portable;
#ifdef PELLUCID_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) best = Simd::avx2;
    if (best == Simd::avx2 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        best = Simd::avx512;
#endif
    const char* wish = std::getenv("PELLUCID_SIMD");
    if (wish && std::strcmp(wish, "scalar") == 0) best = Simd::portable;
    if (wish && std::strcmp(wish, "avx2") == 0 && best == Simd::avx512) best = Simd::avx2;
    return best;
}

}  // namespace

Simd simd() {
    static const Simd best = detect();
    return best;
}

#ifdef PELLUCID_X86
namespace avx2 {
template <class T> void gemm(const Product<T>& p);
template <class T> std::int64_t gemm_scratch(std::int64_t m, std::int64_t n, std::int64_t k);
}  // namespace avx2
namespace avx512 {
template <class T> void gemm(const Product<T>& p);
template <class T> std::int64_t gemm_scratch(std::int64_t m, std::int64_t n, std::int64_t k);
}  // namespace avx512
#endif

template <class T> void gemm(const Product<T>& p) { PELLUCID_DISPATCH(gemm<T>(p)); }

template <class T> std::int64_t gemm_scratch(std::int64_t m, std::int64_t n, std::int64_t k) {
    PELLUCID_DISPATCH(gemm_scratch<T>(m, n, k));
}

template void gemm(const Product<float>&);
template void gemm(const Product<double>&);
template std::int64_t gemm_scratch<float>(std::int64_t, std::int64_t, std::int64_t);
template std::int64_t gemm_scratch<double>(std::int64_t, std::int64_t, std::int64_t);

}  // namespace pellucid
