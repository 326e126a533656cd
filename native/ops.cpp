// The opcodes: the portable form, and the choice of the tier for this machine.
#define PELLUCID_TIER portable
#include "ops_table.hpp"

namespace pellucid {

#ifdef PELLUCID_X86
namespace avx2 {
template <class T> const Kernels<T>& kernels();
}
namespace avx512 {
template <class T> const Kernels<T>& kernels();
}
#endif

template <class T> const Kernels<T>& kernels() { PELLUCID_DISPATCH(kernels<T>()); }

template const Kernels<float>& kernels<float>();
template const Kernels<double>& kernels<double>();

}  // namespace pellucid
