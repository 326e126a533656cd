// conv_tile.hpp for machines with AVX-512 (F, BW, DQ, VL); compiled with this tier's flags.
#define PELLUCID_TIER avx512
#include "conv_tile.hpp"
