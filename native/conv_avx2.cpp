// conv_tile.hpp for machines with AVX2 and FMA; compiled with this tier's flags.
#define PELLUCID_TIER avx2
#include "conv_tile.hpp"
