// The opcodes in the order of their numbers, which is that of OPCODES in engine/opcodes: a test holds
// the two together. Compiled once for each tier.
#pragma once

#include "ops_channels.hpp"
#include "ops_conv.hpp"
#include "ops_dense.hpp"
#include "ops_formula.hpp"
#include "ops_gather.hpp"
#include "ops_loss.hpp"
#include "ops_map.hpp"
#include "ops_pool.hpp"
#include "ops_scores.hpp"
#include "ops_update.hpp"

namespace pellucid::PELLUCID_TIER {

// An instruction of Python's own: number 0 says which, number 1 whether a sum comes back.
inline void check_call(const Check& c) { c.need(c.n(0) >= 0 && c.n(1) >= 0 && c.n(1) <= 1); }
template <class T> void run_call(const Frame<T>& f) {
    const double value = f.caller->run(f.caller->context, f.i->whole[0], f.m);
    if (f.i->whole[1]) f.sums[0] = value;
}

template <class T> const Kernels<T>& kernels() {
    static constexpr Opcode<T> table[] = {
        {"call", check_call, run_call<T>, 0, -1, 0, nullptr},
        {"map", check_map, run_map<T>, 1, 0, 0, nullptr},
        {"map_grad", check_map_grad, run_map_grad<T>, 1, 0, 0, nullptr},
        {"copy", check_copy, run_copy<T>, 1, 0, 0, nullptr},
        {"standardize", check_standardize, run_standardize<T>, 1, 0, 0, nullptr},
        {"standardize_dx", check_standardize, run_standardize_dx<T>, 1, 0, 0, nullptr},
        {"dropout", check_dropout, run_dropout<T>, 5, 0, 0, nullptr},
        {"multiply", check_mask, run_multiply<T>, 1, 0, 0, nullptr},
        {"matmul", check_matmul, run_matmul<T>, 1, 0, 0, scratch_dense<T, 1>},
        {"matmul_dx", check_matmul_dx, run_matmul_dx<T>, 1, 0, 0, scratch_dense<T, 0>},
        {"matmul_dw", check_matmul_dw, run_matmul_dw<T>, 9, 0, 0, scratch_dense<T, 1>},
        {"mse", check_distance, run_distance<T, squared>, 1, 1, 0, nullptr},
        {"binary_cross_entropy", check_distance, run_distance<T, binary>, 1, 1, 0, nullptr},
        {"cross_entropy", check_cross_entropy, run_cross_entropy<T>, 1, 1, 4, scratch_classes<T>},
        {"cross_entropy_rows", check_cross_entropy_rows, run_cross_entropy_rows<T>, 1, 1, 0, scratch_classes<T>},
        {"accuracy", check_accuracy, run_accuracy<T>, 0, 2, 2, nullptr},
        {"penalize", check_update<2>, run_penalize<T>, 1, 0, 0, nullptr},
        {"clamp", check_update<1>, run_clamp<T>, 1, 0, 0, nullptr},
        {"square_sum", check_square_sum, run_square_sum<T>, 1, 0, 1, nullptr},
        {"shrink", check_shrink, run_shrink<T>, 1, 0, 2, nullptr},
        {"sgd", check_update<2>, run_sgd<T>, 5, 0, 0, nullptr},
        {"adam", check_update<4>, run_adam<T>, 13, 0, 0, nullptr},
        {"conv", check_conv, run_conv<T>, 1, 0, 0, scratch_conv<T>},
        {"conv_dx", check_conv_dx, run_conv_dx<T>, 1, 0, 0, scratch_conv<T>},
        {"conv_dw", check_conv_dw, run_conv_dw<T>, 9, 0, 0, scratch_conv<T>},
        {"pool", check_pool, run_pool<T>, 1, 0, 0, nullptr},
        {"pool_grad", check_pool_grad, run_pool_grad<T>, 1, 0, 0, scratch_pool_grad<T>},
        {"normalize", check_normalize, run_normalize<T>, 113, 0, 0, scratch_normalize<T, 0>},
        {"normalize_grad", check_normalize_grad, run_normalize_grad<T>, 97, 0, 0, scratch_normalize<T, 1>},
        {"softmax", check_softmax, run_softmax<T>, 1, 0, 0, nullptr},
        {"softmax_grad", check_softmax_grad, run_softmax_grad<T>, 1, 0, 0, nullptr},
        {"lookup", check_lookup, run_lookup<T>, 1, 0, 4, nullptr},
        {"lookup_grad", check_lookup_grad, run_lookup_grad<T>, 1, 0, 4, nullptr},
        {"formula", check_formula, run_formula<T>, 0, -1, 0, scratch_formula<T>},
    };
    static constexpr Kernels<T> all{table, sizeof(table) / sizeof(*table), gather_rows<T>, all_finite<T>};
    return all;
}

template const Kernels<float>& kernels<float>();
template const Kernels<double>& kernels<double>();

}  // namespace pellucid::PELLUCID_TIER
