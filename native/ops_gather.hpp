// out = source[order]: rows of the caller's arrays, of any type and layout, into the program's memory.
#pragma once

#include "ops.hpp"

namespace pellucid::PELLUCID_TIER {

// Calls f with a zero of the type that a source's numbers have.
template <class F> void with_type(i64 kind, F&& f) {
    switch (kind) {
        case 0: return f(std::uint8_t{});
        case 1: return f(std::int8_t{});
        case 2: return f(std::int16_t{});
        case 3: return f(std::uint16_t{});
        case 4: return f(std::int32_t{});
        case 5: return f(std::uint32_t{});
        case 6: return f(std::int64_t{});
        case 7: return f(std::uint64_t{});
        case 8: return f(float{});
        case 9: return f(double{});
    }
}

// out = array.astype(dtype) of n values that lie `step` bytes apart
template <class From, class To> void convert(const char* in, i64 step, To* out, i64 n) {
    const auto value = [](const char* at) {
        From from;
        std::memcpy(&from, at, sizeof from);
        return To(from);
    };
    if (step != sizeof(From) || n == 1) {
        for (i64 i = 0; i < n; i++) out[i] = value(in + i * step);
    } else if constexpr (std::is_same_v<From, To>) {
        std::memcpy(out, in, std::size_t(n) * sizeof(To));
    } else {
        PELLUCID_SIDE_BY_SIDE
        for (i64 i = 0; i < n; i++) out[i] = value(in + i * i64(sizeof(From)));
    }
}

// One row: its axes from `axis` on.
template <class From, class To> To* convert_row(const Source& s, const char* in, int axis, To* out) {
    if (axis >= s.axes - 1) {
        const i64 n = axis < s.axes ? s.shape[axis] : 1, step = axis < s.axes ? s.stride[axis] : 0;
        convert<From>(in, step, out, n);
        return out + n;
    }
    for (i64 k = 0; k < s.shape[axis]; k++) out = convert_row<From>(s, in + k * s.stride[axis], axis + 1, out);
    return out;
}

template <class To> void gather_as(const Source& s, const i64* order, i64 from, i64 to, To* out) {
    with_type(s.kind, [&](auto zero) {
        in_row_pieces(to - from, s.elements, [&](i64 first, i64 last) {
            for (i64 r = first; r < last; r++) {
                const char* row = s.data + (order ? order[from + r] : from + r) * s.row_bytes;
                convert_row<decltype(zero)>(s, row, 0, out + r * s.elements);
            }
        });
    });
}

template <class T> void gather_rows(const Source& s, const i64* order, i64 from, i64 to, void* out) {
    if (s.integer) gather_as(s, order, from, to, static_cast<i64*>(out));
    else gather_as(s, order, from, to, static_cast<T*>(out));
}

// np.isfinite(g).all(): 0·x is 0 for a number and NaN for infinity and NaN
template <class T> bool finite(const T* g, i64 n) {
    constexpr int side = 32;
    T part[side] = {}, sum = 0;
    i64 i = 0;
    for (; i + side <= n; i += side)
        for (int k = 0; k < side; k++) part[k] += g[i + k] * T(0);
    for (; i < n; i++) sum += g[i] * T(0);
    for (T p : part) sum += p;
    return sum == 0;
}
template <class T> bool all_finite(const T* g, i64 n) {
    bool part[kParts], all = true;
    const int parts = in_parts(n, 1, [&](int k, i64 at, i64 size) { part[k] = finite(g + at, size); });
    for (int k = 0; k < parts; k++) all = all && part[k];
    return all;
}

}  // namespace pellucid::PELLUCID_TIER
