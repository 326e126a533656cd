// for piece in range(pieces): f(piece)
//
// A pool of threads of the library's own. The caller cuts its work in pieces by the work's size
// alone, so that the number of threads decides who computes a piece and never what it computes:
// results have the same bits for any number.
//
// The calling thread takes part. Nested calls, and calls that find the pool serving another thread,
// run their pieces themselves, in order. Workers are made when first needed, look for work for some
// tens of microseconds after a call and then sleep. After a fork the child makes its own.
#pragma once

#include <cstdint>
#include <string>

#if defined(__x86_64__) && defined(__GNUC__)
#include <xmmintrin.h>
#endif

namespace pellucid {

// 1 <= n <= 64, the caller included. Until it is called: OMP_NUM_THREADS, at most `usable_cores`.
void set_threads(int n);
int threads();

// The cores that this process may use: those of its affinity mask, and no more than its control
// group pays for (root: where the file system begins).
int usable_cores(const std::string& root = "");

// Runs call(context, piece) for 0 <= piece < pieces and returns when all are done.
void run_pieces(int pieces, void (*call)(const void*, int) noexcept, const void* context) noexcept;

// How this thread treats floating-point numbers; the workers treat them as the caller does.
#if defined(__x86_64__) && defined(__GNUC__)
constexpr std::uint64_t kTinyIsZero = 0x8040;
inline std::uint64_t float_mode() { return _mm_getcsr(); }
inline void set_float_mode(std::uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__) && defined(__GNUC__)
constexpr std::uint64_t kTinyIsZero = 1 << 24;
inline std::uint64_t float_mode() {
    std::uint64_t mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
inline void set_float_mode(std::uint64_t mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }
#else
constexpr std::uint64_t kTinyIsZero = 0;
inline std::uint64_t float_mode() { return 0; }
inline void set_float_mode(std::uint64_t) {}
#endif

// As long as it lives, numbers too small for a whole mantissa (1e-38, 1e-308) count as 0, or do not.
// A network that has learnt its rows, or an input that is mostly 0, makes many of them, and each takes
// a processor a hundred times as long as another number.
class TinyNumbers {
    std::uint64_t before_ = float_mode();

public:
    explicit TinyNumbers(bool zero) { set_float_mode(zero ? before_ | kTinyIsZero : before_ & ~kTinyIsZero); }
    TinyNumbers(const TinyNumbers&) = delete;
    TinyNumbers& operator=(const TinyNumbers&) = delete;
    ~TinyNumbers() { set_float_mode(before_); }
};

// f must not throw: an exception ends the process.
template <class F> void parallel(int pieces, F&& f) noexcept {
    if (pieces == 1) return f(0);
    run_pieces(
        pieces,
        [](const void* context, int piece) noexcept { (*static_cast<const F*>(context))(piece); },
        &f);
}

}  // namespace pellucid
