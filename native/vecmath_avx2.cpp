// vecmath_lanes.hpp for machines with AVX2 and FMA; compiled with this tier's flags.
#define PELLUCID_TIER avx2
#include "vecmath_lanes.hpp"
