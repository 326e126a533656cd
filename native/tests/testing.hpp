// What the kernels' tests have in common. Each NAME_test.cpp is a program of its own, run by
// tests/test_kernels.py: it prints the tier that PELLUCID_SIMD=scalar|avx2|avx512 leaves, then the
// worst errors seen, and aborts at the first failure. Its argument is the number of random trials:
// fewer where a sanitizer or an emulator makes each one slow.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "../simd.hpp"

namespace pellucid {

using std::int64_t;

inline void check(bool good, const char* what) {
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

inline std::mt19937_64 numbers(7);
inline double uniform() { return std::uniform_real_distribution<double>(-1, 1)(numbers); }
inline int64_t whole(int64_t least, int64_t most) {
    return std::uniform_int_distribution<int64_t>(least, most)(numbers);
}

// Prints the tier; how many trials are wanted.
inline int begin(int count, char** values, int trials) {
    const char* tiers[] = {"portable", "avx2", "avx512"};
    std::printf("tier: %s\n", tiers[static_cast<int>(simd())]);
    return count > 1 ? std::atoi(values[1]) : trials;
}

}  // namespace pellucid
