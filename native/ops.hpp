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

// f(part, start, size) for at most kParts parts of n values, to put sums of them together in order.
// Returns how many there are, at least one.
constexpr int kParts = 64;
template <class F> inline int in_parts(i64 n, F&& f) {
    constexpr i64 least = 16384, whole = 64;  // parts begin at multiples of `whole`
    const i64 most = n / least < kParts ? n / least : kParts;
    const i64 size = most > 1 ? ((n + most - 1) / most + whole - 1) / whole * whole : n;
    const int parts = size > 0 ? int((n + size - 1) / size) : 1;
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
