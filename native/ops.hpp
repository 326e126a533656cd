// What the families of opcodes have in common. Each ops_*.hpp is one family: below an opcode's NumPy
// line stand its kernel, its check and its run. `ops_table.hpp` lists them all.
//
// Long vectors are cut in pieces of a fixed size, so that threads can share them and the number of
// threads does not change a bit. Nothing is contracted (-ffp-contract=off), and no function of the
// standard library with code of its own is used, which a linker might take from another tier.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>

#include "gemm.hpp"
#include "opcode.hpp"
#include "parallel.hpp"
#include "simd.hpp"
#include "tile.hpp"

// Before a loop whose rounds touch only places of their own, so that they can run side by side. Arrays
// may be the same one; without this the compiler has to assume that they overlap in any other way.
#if defined(__clang__)
#define PELLUCID_SIDE_BY_SIDE _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define PELLUCID_SIDE_BY_SIDE _Pragma("GCC ivdep")
#else
#define PELLUCID_SIDE_BY_SIDE
#endif

namespace pellucid::PELLUCID_TIER {

constexpr i64 lesser(i64 a, i64 b) { return a < b ? a : b; }

// Values of operand k in this step.
template <class T> inline i64 count(const Frame<T>& f, int k) {
    return f.i->at[k].elements * (f.i->at[k].batch ? f.m->rows : 1);
}

// f(start, size) for pieces of n values.
template <class F> inline void in_pieces(i64 n, F&& f) {
    constexpr i64 size = 16384;
    if (n < 2 * size) return f(i64(0), n);
    parallel(int((n + size - 1) / size), [&](int piece) {
        const i64 start = piece * size;
        f(start, lesser(size, n - start));
    });
}

// f(part, start, size) for parts of n things of `width` values, kParts of them at most, to put sums of
// them together in order. Returns how many there are, at least one; `most_parts` never falls with n.
constexpr int kParts = 64;
inline i64 most_parts(i64 n, i64 width) {
    const i64 least = 16384 / width > 16 ? 16384 / width : 16, parts = n / least;  // things in a part
    return parts < 1 ? 1 : lesser(parts, kParts);
}
template <class F> inline int in_parts(i64 n, i64 width, F&& f) {
    const i64 whole = width < 64 ? 64 : 16;  // parts begin at multiples of it
    const i64 wanted = most_parts(n, width), size = wanted > 1 ? ceil_div(ceil_div(n, wanted), whole) * whole : n;
    const int parts = n > size ? int(ceil_div(n, size)) : 1;
    parallel(parts, [&](int part) { f(part, part * size, lesser(size, n - part * size)); });
    return parts;
}

// f(first, last) for pieces of some rows, of `width` values each.
template <class F> inline void in_row_pieces(i64 rows, i64 width, F&& f) {
    const i64 high = width >= 8192 ? 1 : 8192 / (width > 0 ? width : 1);
    if (rows < 2 * high) return f(i64(0), rows);
    parallel(int((rows + high - 1) / high), [&](int piece) {
        f(piece * high, lesser(piece * high + high, rows));
    });
}

// f(i, n) for the vectors of n values, one after another: load and store take what f is given, `All`
// where the vector is whole.
struct All {};
template <class T> inline Vec<T> load(const T* p, All) { return load(p); }
template <class T> inline void store(T* p, Vec<T> v, All) { store(p, v); }
template <class T, class F> PELLUCID_INLINED void in_vectors(i64 n, F&& f) {
    i64 i = 0;
    for (; i + W<T> <= n; i += W<T>) f(i, All{});
    if (i < n) f(i, int(n - i));
}
// The same for an f that may be called twice for a value: the last vector is whole too, where it can be.
template <class T, class F> PELLUCID_INLINED void over_vectors(i64 n, F&& f) {
    i64 i = 0;
    for (; i + W<T> <= n; i += W<T>) f(i, All{});
    if (i == n) return;
    if (n > W<T>) f(n - W<T>, All{});
    else f(i, int(n - i));
}

// The sum of a vector's lanes, and the largest of them, where NaN is largest of all.
template <class T> inline T lanes_sum(Vec<T> v) {
    T lane[W<T>];
    std::memcpy(lane, &v, sizeof v);
    for (int half = W<T> / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++) lane[k] += lane[k + half];
    return lane[0];
}
template <class T> inline Vec<T> larger(Vec<T> a, Vec<T> b) { return ((b > a) | (b != b)) ? b : a; }
template <class T> inline T lanes_top(Vec<T> v) {
    T lane[W<T>];
    std::memcpy(lane, &v, sizeof v);
    for (int half = W<T> / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++) {
            const T other = lane[k + half];
            lane[k] = ((other > lane[k]) | (other != other)) ? other : lane[k];
        }
    return lane[0];
}

// A number from memory that is read once, so that it is used as it was checked, whatever a table makes
// overlap with it.
inline i64 read_once(const i64* x) { return *static_cast<const volatile i64*>(x); }

// Calls f with a constant true or false, so that loops are compiled for both.
template <class F> inline void either(bool flag, F&& f) {
    if (flag) f(std::true_type{});
    else f(std::false_type{});
}

// y = value or y += value
template <class Adding, class T> inline void put(Adding adding, T& y, T value) {
    if constexpr (adding) y += value;
    else y = value;
}

}  // namespace pellucid::PELLUCID_TIER
