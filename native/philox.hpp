// np.random.Philox(key=key, counter=counter).random_raw(4), the words that random.py draws from
//
// Philox4x64-10: ten rounds of two multiplications and a swap make a block of four words of a
// counter and a key. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include <cstdint>

#include "simd.hpp"

namespace pellucid::PELLUCID_TIER {

inline std::uint64_t multiply_high(std::uint64_t a, std::uint64_t b, std::uint64_t& low) {
#if defined(__SIZEOF_INT128__)
    __extension__ using wide = unsigned __int128;
    const wide product = wide(a) * b;
    low = std::uint64_t(product);
    return std::uint64_t(product >> 64);
#else
    const std::uint64_t mask = 0xffffffff, a0 = a & mask, a1 = a >> 32, b0 = b & mask, b1 = b >> 32;
    const std::uint64_t middle = a1 * b0 + (a0 * b0 >> 32), other = a0 * b1 + (middle & mask);
    low = a * b;
    return a1 * b1 + (middle >> 32) + (other >> 32);
#endif
}

inline void philox4x64(std::uint64_t k0, std::uint64_t k1, std::uint64_t c0, std::uint64_t c1, std::uint64_t c2,
                       std::uint64_t c3, std::uint64_t out[4]) {
    for (int round = 0; round < 10; round++) {
        std::uint64_t low0, low1;
        const auto high0 = multiply_high(0xD2E7470EE14C6C93ull, c0, low0);
        const auto high1 = multiply_high(0xCA5A826395121157ull, c2, low1);
        c0 = high1 ^ c1 ^ k0, c1 = low1, c2 = high0 ^ c3 ^ k1, c3 = low0;
        k0 += 0x9E3779B97F4A7C15ull, k1 += 0xBB67AE8584CAA73Bull;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

}  // namespace pellucid::PELLUCID_TIER
