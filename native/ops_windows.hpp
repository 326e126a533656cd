// What windows that slide over images must satisfy, for convolution and pooling. Images are
// (batch, H, W, C); the window of output (i, j) starts at pixel (i·sh − top, j·sw − left), and what
// is outside of the image is not there. No sizes that pass let a number overflow, however the windows
// lie; which taps are inside is for the kernels to find out.
#pragma once

#include "ops.hpp"

namespace pellucid::PELLUCID_TIER {

constexpr i64 kMost = i64(1) << 28;  // of one number

inline void need_from(const Check& c, i64 least, std::initializer_list<int> numbers) {
    for (int k : numbers) c.need(c.n(k) >= least && c.n(k) < kMost);
}

// The product of positive numbers, at most 2^40.
inline i64 need_product(const Check& c, std::initializer_list<i64> factors) {
    i64 product = 1;
    for (i64 n : factors) {
        c.need(n > 0 && n <= (i64(1) << 40) / product);
        product *= n;
    }
    return product;
}

// Operand k is images of these sizes.
inline void need_images(const Check& c, int k, i64 height, i64 width, i64 channels) {
    c.need(c.rowwise(k) && c.size(k) == need_product(c, {height, width, channels}));
}

// The taps t with 0 <= start + t·step < n, of `taps`: [first, last).
struct Inside {
    i64 first, last;
};
inline Inside inside(i64 start, i64 taps, i64 step, i64 n) {
    const i64 first = start < 0 ? (-start + step - 1) / step : 0;
    const i64 last = start < n ? lesser((n - 1 - start) / step + 1, taps) : 0;
    return {lesser(first, last), last};
}

}  // namespace pellucid::PELLUCID_TIER
