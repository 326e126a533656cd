// np.exp, expm1, log, log1p, tanh, sinh, cosh and the sigmoid of arrays: the portable form, and the choice of the tier.
#define PELLUCID_TIER portable
#include "vecmath_lanes.hpp"

namespace pellucid {

#ifdef PELLUCID_X86
#define PELLUCID_TIERS(name)                                                                  \
    namespace avx2 { template <class T> void name(const T* x, T* y, std::int64_t n); }        \
    namespace avx512 { template <class T> void name(const T* x, T* y, std::int64_t n); }
#else
#define PELLUCID_TIERS(name)
#endif
#define PELLUCID_EACH(name)                                                                   \
    PELLUCID_TIERS(name)                                                                      \
    template <class T> void name(const T* x, T* y, std::int64_t n) {                          \
        PELLUCID_DISPATCH(name<T>(x, y, n));                                                  \
    }                                                                                         \
    template void name(const float*, float*, std::int64_t);                                   \
    template void name(const double*, double*, std::int64_t);
PELLUCID_EACH(vexp)
PELLUCID_EACH(vexpm1)
PELLUCID_EACH(vlog)
PELLUCID_EACH(vlog1p)
PELLUCID_EACH(vtanh)
PELLUCID_EACH(vsinh)
PELLUCID_EACH(vcosh)
PELLUCID_EACH(vsigmoid)

}  // namespace pellucid
