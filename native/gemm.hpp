// C = act(op(A) @ op(B) + bias), or C += …: the matrix product of dense layers and of whatever is
// lowered to one. Row-major; (m, n) = (m, k) @ (k, n); ld* is the distance between rows, at least
// the row's length; op transposes when ta or tb is set: A is then stored (k, m), B (n, k).
//
// Every element is summed in the order of k, in blocks that depend on k alone, with one fused
// multiply-add a step: it has the same bits whatever m, n, the leading dimensions and the number of
// threads. Nothing outside the operands is read or written. C must not overlap A, B or bias.
#pragma once

#include <cstdint>

namespace pellucid {

enum class Act { none, relu, leaky };  // leaky: x where x > 0, else slope * x; NaN stays NaN

template <class T> struct Epilogue {
    const T* bias = nullptr;  // (n,)
    Act act = Act::none;
    T slope = 0;
};

template <class T> struct Product {  // gemm's arguments
    bool ta, tb;
    std::int64_t m, n, k;
    const T* a;
    std::int64_t lda;
    const T* b;
    std::int64_t ldb;
    T* c;
    std::int64_t ldc;
    bool accumulate;
    Epilogue<T> end;
    T* scratch;  // gemm_scratch(m, n, k) elements
};

template <class T> void gemm(const Product<T>& p);

template <class T>
void gemm(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, const T* a,
          std::int64_t lda, const T* b, std::int64_t ldb, T* c, std::int64_t ldc, bool accumulate,
          const Epilogue<T>& end, T* scratch) {
    gemm(Product<T>{ta, tb, m, n, k, a, lda, b, ldb, c, ldc, accumulate, end, scratch});
}

// Elements of scratch that a product of this size wants, transposed or not; for all numbers of
// threads. Smaller m, n and k never want more.
template <class T> std::int64_t gemm_scratch(std::int64_t m, std::int64_t n, std::int64_t k);

}  // namespace pellucid
