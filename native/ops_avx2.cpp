// ops_table.hpp for machines with AVX2 and FMA; compiled with this tier's flags.
#define PELLUCID_TIER avx2
#include "ops_table.hpp"
