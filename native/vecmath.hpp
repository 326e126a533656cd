// y = np.exp(x), np.expm1(x), np.log(x), np.log1p(x), np.tanh(x), np.sinh(x), np.cosh(x),
// 1 / (1 + np.exp(-x)), element by element.
//
// exp, log and log1p within 4 units in the last place, the others within 8, from the smallest
// subnormal numbers to ±inf; NaN gives NaN. y may be x. An element's result does not depend on its
// place in the array. vecmath_lanes.hpp has the same functions of one vector, to build kernels on.
#pragma once

#include <cstdint>

namespace pellucid {

template <class T> void vexp(const T* x, T* y, std::int64_t n);
template <class T> void vexpm1(const T* x, T* y, std::int64_t n);
template <class T> void vlog(const T* x, T* y, std::int64_t n);
template <class T> void vlog1p(const T* x, T* y, std::int64_t n);
template <class T> void vtanh(const T* x, T* y, std::int64_t n);
template <class T> void vsinh(const T* x, T* y, std::int64_t n);
template <class T> void vcosh(const T* x, T* y, std::int64_t n);
template <class T> void vsigmoid(const T* x, T* y, std::int64_t n);

}  // namespace pellucid
