// for instruction in table: OPCODES[instruction.op].twin(...)
//
// The interpreter of a program: a table of instructions over one arena of memory and the network's
// flat vectors, all owned by Python. A table is checked whole before it runs (`load`): every
// operand inside its region, every size in agreement with the numbers, so that no table can make a
// kernel read or write elsewhere.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pellucid {

constexpr int kOperands = 5, kNumbers = 7;

struct Operand {          // region < 0: left out
    std::int64_t region, offset, elements, batch;  // offset in bytes, elements of a row or in all
};

struct Instruction {
    std::int64_t op;
    Operand at[kOperands];
    std::int64_t whole[kNumbers];  // the numbers as integers …
    double real[kNumbers];         // … and as they are
};

struct Region {
    char* data;
    std::int64_t bytes;
};

struct Moment {
    std::int64_t rows, weighted, step, part, t;
    double total, rate;
};

struct Source {  // an array to gather rows from, and the operand that they go to
    const char* data;
    std::int64_t rows, row_bytes, elements, kind;  // kind: see `gather`
    Operand to;
    bool integer;
};

struct Epoch {  // one call of run
    const std::int64_t* order;  // row numbers, or null for 0, 1, 2, …
    std::vector<std::int64_t> cuts;
    std::int64_t accumulate, start, count, step;
    const double* rates;
    const double* weight;  // or null
    const double* shares;  // Σw of each batch
    double* tally;         // Σw, then each loss, then each metric
    const volatile unsigned char* stop;
    double seconds;  // return to Python after so long
};

struct Outcome {
    std::int64_t done;
    double loss;
    bool ended;
    int diverged;  // 0 no, 1 loss, 2 gradient
};

std::vector<std::string> opcodes();  // their names, in the order of their numbers

template <class T> class Program {
   public:
    // Throws std::invalid_argument naming the instruction where a table is not sound.
    void load(std::vector<std::vector<Instruction>> phases, std::vector<Region> regions,
              std::int64_t rows, std::vector<Source> sources, Operand weight, std::int64_t losses);
    void execute(int phase, const Moment& at, double* sums);
    Outcome run(const Epoch& epoch);

   private:
    void check(const Instruction& i) const;
    void gather(const Epoch& e, std::int64_t from, std::int64_t to);
    T* pointer(const Operand& o) const {
        return o.region < 0 ? nullptr : reinterpret_cast<T*>(regions_[o.region].data + o.offset);
    }
    std::vector<std::vector<Instruction>> phases_;
    std::vector<Region> regions_;
    std::vector<Source> sources_;
    Operand weight_{-1, 0, 0, 0};
    std::int64_t rows_ = 0, losses_ = 0;
    std::vector<T> scratch_;
};

}  // namespace pellucid
