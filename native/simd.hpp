// Vectors as wide as the tier at hand, for kernels written once and compiled once a tier.
//
// A tier is a namespace: portable (16 bytes, whatever the compiler makes of them: SSE2, NEON),
// avx2 (32) and avx512 (64). A kernel's header puts its templates into `pellucid::PELLUCID_TIER`;
// NAME_avx2.cpp defines that macro, is compiled with that tier's flags and includes the header, so
// that no function compiled for a newer machine can ever be linked into another tier's place.
// Without vector extensions (MSVC, PELLUCID_NO_VECTORS) the portable tier's vectors are plain numbers.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(PELLUCID_NO_VECTORS)
#define PELLUCID_X86 1
#include <immintrin.h>
#endif

namespace pellucid {

enum class Simd { portable, avx2, avx512 };

// The best tier this machine runs; PELLUCID_SIMD=scalar|avx2|avx512 can lower it. Read once.
Simd simd();

}  // namespace pellucid

// Calls f of the tier in use: PELLUCID_DISPATCH(gemm<T>(problem));
#ifdef PELLUCID_X86
#define PELLUCID_DISPATCH(call)                      \
    switch (simd()) {                                \
        case Simd::avx512: return avx512::call;      \
        case Simd::avx2: return avx2::call;          \
        default: return portable::call;              \
    }
#else
#define PELLUCID_DISPATCH(call) return portable::call
#endif

#ifdef PELLUCID_TIER
namespace pellucid::PELLUCID_TIER {

#define PELLUCID_PASTE(a, b) a##b
#define PELLUCID_BYTES(tier) PELLUCID_PASTE(pellucid_bytes_, tier)
#define pellucid_bytes_portable 16
#define pellucid_bytes_avx2 32
#define pellucid_bytes_avx512 64
#if PELLUCID_BYTES(PELLUCID_TIER) >= 32
#define PELLUCID_MASKED 1  // the machine has loads and stores of some lanes only
#endif

template <class T> struct Lanes;  // of T: V values, U their bits, W how many
#if defined(__GNUC__) && !defined(PELLUCID_NO_VECTORS)
template <> struct Lanes<float> {
    typedef float V __attribute__((vector_size(PELLUCID_BYTES(PELLUCID_TIER))));
    typedef std::uint32_t U __attribute__((vector_size(PELLUCID_BYTES(PELLUCID_TIER))));
    static constexpr int W = sizeof(V) / sizeof(float);
};
template <> struct Lanes<double> {
    typedef double V __attribute__((vector_size(PELLUCID_BYTES(PELLUCID_TIER))));
    typedef std::uint64_t U __attribute__((vector_size(PELLUCID_BYTES(PELLUCID_TIER))));
    static constexpr int W = sizeof(V) / sizeof(double);
};
#else
template <> struct Lanes<float> {
    using V = float;
    using U = std::uint32_t;
    static constexpr int W = 1;
};
template <> struct Lanes<double> {
    using V = double;
    using U = std::uint64_t;
    static constexpr int W = 1;
};
#endif
template <class T> using Vec = typename Lanes<T>::V;
template <class T> using Bits = typename Lanes<T>::U;

template <class To, class From> inline To as(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

template <class T> inline Vec<T> splat(T s) { return s - Vec<T>{}; }  // s - 0 is s, also for s = -0

template <class T> inline Vec<T> load(const T* p) {
    Vec<T> v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

template <class T> inline void store(T* p, Vec<T> v) { std::memcpy(p, &v, sizeof v); }

inline void prefetch([[maybe_unused]] const void* p) {  // p may point anywhere
#ifdef __GNUC__
    __builtin_prefetch(p);
#endif
}

// The first n lanes, 0 <= n <= W; the others are read as 0, and left alone when written.
#if defined(PELLUCID_MASKED) && PELLUCID_BYTES(PELLUCID_TIER) == 64
inline Vec<float> load(const float* p, int n) {
    return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p);
}
inline Vec<double> load(const double* p, int n) {
    return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1), p);
}
inline void store(float* p, Vec<float> v, int n) {
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v);
}
inline void store(double* p, Vec<double> v, int n) {
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>((1u << n) - 1), v);
}
#elif defined(PELLUCID_MASKED)
inline __m256i first(int n, float) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline __m256i first(int n, double) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
inline Vec<float> load(const float* p, int n) { return _mm256_maskload_ps(p, first(n, 0.0f)); }
inline Vec<double> load(const double* p, int n) { return _mm256_maskload_pd(p, first(n, 0.0)); }
inline void store(float* p, Vec<float> v, int n) { _mm256_maskstore_ps(p, first(n, 0.0f), v); }
inline void store(double* p, Vec<double> v, int n) { _mm256_maskstore_pd(p, first(n, 0.0), v); }
#else
template <class T> inline Vec<T> load(const T* p, int n) {
    Vec<T> v{};
    std::memcpy(&v, p, static_cast<std::size_t>(n) * sizeof(T));
    return v;
}
template <class T> inline void store(T* p, Vec<T> v, int n) {
    std::memcpy(p, &v, static_cast<std::size_t>(n) * sizeof(T));
}
#endif

}  // namespace pellucid::PELLUCID_TIER
#endif
