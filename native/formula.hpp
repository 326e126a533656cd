// A formula: a straight line of elementwise steps over blocks of values, as one instruction.
//
// The values lie in lines of K, `per` lines a row of the batch; a step works on a block of whole lines,
// or on one number a line. What it reads or writes is an operand (0 to 7), a register (from 8 on) or a
// number (-1, -2, …: constants first, then the numbers of an update, then what the scalar steps have
// made of these). Plain data, as in opcode.hpp; engine/formulas/formula.py says the same in NumPy.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pellucid {

using i64 = std::int64_t;

// In the order of STEPS in engine/formulas/formula.py.
enum FormulaOp {
    f_copy, f_negative, f_not, f_absolute, f_sqrt, f_square, f_exp, f_log, f_log1p, f_expm1, f_tanh, f_sinh,
    f_cosh, f_sin, f_cos, f_rint, f_floor, f_ceil, f_sign,
    f_add, f_subtract, f_multiply, f_divide, f_maximum, f_minimum, f_power, f_copysign, f_less, f_less_equal,
    f_equal, f_not_equal,
    f_where, f_polynomial, f_sum, f_max, f_min, f_across, f_spread, f_tile, f_integers, f_counts, f_times, f_over,
    f_total, f_ops
};
constexpr const char* kFormulaOps[f_ops] = {
    "copy", "negative", "not", "absolute", "sqrt", "square", "exp", "log", "log1p", "expm1", "tanh", "sinh",
    "cosh", "sin", "cos", "rint", "floor", "ceil", "sign",
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "copysign", "less", "less_equal",
    "equal", "not_equal",
    "where", "polynomial", "sum", "max", "min", "across", "spread", "tile", "integers", "counts", "times", "over",
    "total"};

// What an operand is: values, one number a line, a column (of each line the same), what sums over lines
// go to; values or one a line that are 64-bit integers.
enum FormulaOperand { o_absent, o_values, o_lines, o_column, o_over, o_whole_values, o_whole_lines, o_kinds };

constexpr int kPlaces = 8, kRegisters = 24, kScalars = 256;  // operands, registers, numbers at most

struct FormulaStep {
    int op, to, a, b, c;
};

struct Formula {
    i64 per, K;  // lines of a row, values of a line
    bool whole;  // works on whole rows of the batch: something is added up across lines, or columns are longer
    bool flat;   // knows nothing of lines
    int blocks, lines;  // registers: of blocks, behind them of one number a line
    int constants, numbers;
    int kind[kPlaces];    // of operands
    i64 length[kPlaces];  // of columns; longer than K, they go on in the next lines
    unsigned writes, wide;  // bit k: operand k is written, is of integers
    int sums, reduces, overs;  // steps that give a loss, go along a line, or over lines
    const FormulaStep *scalars, *steps;
    int scalar_count, step_count;
    const double* reals;  // constants first
    i64 real_count;
};

struct FormulaText {  // a formula as it comes from Python, and its memory
    Formula formula{};
    std::vector<FormulaStep> steps;
    std::vector<double> reals;
};

// A sound formula of integers and real numbers (Formula.encoded in Python); throws
// std::invalid_argument where it is none. Every place it names is there.
void read_formula(FormulaText& into, const i64* whole, i64 count, const double* real, i64 real_count);

}  // namespace pellucid
