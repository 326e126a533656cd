// What an instruction is, and what an opcode must say of itself.
//
// Plain data, shared by the interpreter (program.hpp) and the families of opcodes (ops_*.hpp), which
// are compiled once for each tier of machines. Nothing here has code of its own, so nothing compiled
// for a newer machine can be linked into another tier's place.
#pragma once

#include <cstdint>

namespace pellucid {

using i64 = std::int64_t;

constexpr int kOperands = 8, kNumbers = 17;

struct Operand {  // region < 0: left out
    i64 region, offset, elements, batch;  // offset in bytes; elements of a row, or of all
};

struct Formula;  // formula.hpp

struct Instruction {
    i64 op;
    Operand at[kOperands];
    i64 whole[kNumbers];    // the numbers as integers …
    double real[kNumbers];  // … and as they are
    const Formula* formula;  // of the opcode that has one, else null
};

struct Moment {  // of the step that runs
    i64 rows, weighted, step, part, t;
    double total, rate;  // Σw of the effective batch; the learning rate
    const double* numbers;  // of the update: its rate, and what else depends on its count alone
};

struct Caller {  // what runs an instruction that is Python's
    double (*run)(void* context, i64 index, const Moment* at);
    void* context;
};

// An instruction ready to run: its operands found, T* whatever they hold.
template <class T> struct Frame {
    const Instruction* i;
    const Moment* m;
    T* at[kOperands];  // null: left out
    T* scratch;
    double* sums;  // where a loss or a metric puts its numbers
    const Caller* caller;
};

// Whether an instruction is sound. The members are in program.cpp, compiled once.
struct Check {
    const Instruction& i;
    bool there(int k) const;    // operand k is given
    bool rowwise(int k) const;  // … and goes with the batch
    bool fixed(int k) const;    // … and does not
    i64 size(int k) const;      // its elements, -1 where it is left out
    i64 n(int k) const { return i.whole[k]; }
    void need(bool holds) const;  // throws std::invalid_argument
};

template <class T> struct Opcode {
    const char* name;
    void (*check)(const Check& c);
    void (*run)(const Frame<T>& f);
    unsigned writes;                                 // bit k: operand k is written
    int sums;                                        // numbers it puts into Frame::sums; -1: number 1 says
    unsigned wide;                                   // bit k: operand k has eight bytes an element
    i64 (*scratch)(const Instruction& i, i64 rows);  // elements it wants, or null
};

struct Source {  // an array to gather rows from
    static constexpr int kAxes = 8;
    const char* data;
    i64 rows, row_bytes;  // from one row to the next
    int axes;             // of a row
    i64 shape[kAxes], stride[kAxes];  // strides in bytes
    i64 elements, kind;   // of a row; kind: see `convert` in ops_gather.hpp
    i64 region;           // which they go to
    bool integer;         // as int64
    bool plain;           // the rows lie as the region wants them: they can be read in place
};

template <class T> struct Kernels {  // a tier's
    const Opcode<T>* opcodes;
    int count;
    // out[r - from] = source[order[r]] for from <= r < to; order may be null
    void (*gather)(const Source& s, const i64* order, i64 from, i64 to, void* out);
    bool (*finite)(const T* g, i64 n);  // np.isfinite(g).all()
};

template <class T> const Kernels<T>& kernels();  // of the tier in use

}  // namespace pellucid
