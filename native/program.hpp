// for instruction in table: OPCODES[instruction.op].twin(...)
//
// The interpreter of a program: a table of instructions over regions of memory — an arena, the
// network's flat vectors, the rows of a batch — all owned by Python. A table is checked whole before
// it runs (`load`): every operand inside its region, every size in agreement with the numbers, so that
// no table can make a kernel read or write elsewhere.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "formula.hpp"
#include "opcode.hpp"

namespace pellucid {

enum Phase { kForward, kLoss, kBackward, kMetrics, kUpdate, kPhases };
// Regions that every program has; behind them come six of the optimizer, then those of the batch: what
// it is made of and what comes out, one operand of rows each, which may lie in the caller's arrays.
enum Memory { kArena, kTheta, kGradient, kState, kPending, kSlots, kBatch = kSlots + 6 };

struct Region {
    char* data;
    i64 bytes;
};

struct Tables {  // what a program is made of
    std::vector<Instruction> phases[kPhases];
    std::vector<Region> regions;
    i64 rows;                                   // of a batch, at most
    std::vector<Source> sources;                // what a batch is gathered from, if it is
    i64 weight;                                 // the region of the rows' weights
    std::vector<FormulaText> formulas;           // of the instructions that have one
    i64 numbers;                                 // of an update, its rate first
    std::vector<std::pair<i64, i64>> unwritten;  // stretches of the gradient that no instruction sets
    Caller caller;  // its context is null where nothing is Python's
};

struct Epoch {  // one call of run
    const i64* order;  // row numbers, or null for 0, 1, 2, …
    std::vector<i64> cuts;
    i64 accumulate, count, step;
    const double* numbers;  // of each update
    const double* weight;  // or null
    const double* shares;  // Σw of each batch
    double* tally;         // Σw, then each loss, then each metric's numbers
    const volatile unsigned char* stop;
    double seconds;              // return to Python after so long
    bool (*interrupted)();       // whether Python wants to be asked now; called every `seconds`
};

struct Outcome {
    i64 done;
    double loss;
    bool ended;
    int diverged;  // 0 no, 1 loss, 2 gradient
};

struct Dropped {};  // thrown by a Caller that cannot go on: the step is not made

std::vector<std::string> opcodes();  // their names, in the order of their numbers

template <class T> class Program {
   public:
    // Throws std::invalid_argument naming the instruction where a table is not sound.
    void load(Tables tables);
    void execute(int phase, const Moment& at, double* sums);
    Outcome run(const Epoch& epoch);
    void feed(std::vector<Source> sources);  // what `infer` reads from now on
    // All rows of the sources, in blocks, forward; then the losses and metrics into `tally`, if given.
    void infer(i64 count, const std::vector<Region>& outputs, double* tally, const double* weight);
    // The same for one input and one output that lie as the program wants them; false where the input
    // is not finite. No check but the sizes, no allocation: for a row at a time from Python.
    bool predict(const T* x, i64 count, T* y);
    i64 width(bool output) const;  // values of a row that `predict` takes, or gives
    double cost() const;           // of all rows at once
    i64 sums(int phase) const { return sums_[phase]; }
    i64 rows() const { return tables_.rows; }
    i64 numbers() const { return tables_.numbers; }
    i64 source_rows() const { return tables_.sources.empty() ? -1 : tables_.sources[0].rows; }

   private:
    using clock = std::chrono::steady_clock;
    struct Ready {
        void (*run)(const Frame<T>&);
        Frame<T> frame;
        double cost;  // a rough count of its operations
    };
    struct Place {  // of an operand in a region whose memory may change
        T** at;
        i64 offset;
    };
    void check(const Instruction& i) const;
    void check(const std::vector<Source>& sources) const;
    void make_ready();
    void point(i64 region, char* data);
    void gather(const i64* order, const double* weight, i64 from, i64 to);
    bool step(const Epoch& e, Outcome& out, double* sums);
    bool patience(const Epoch& e);  // false: Python is to be asked, drop this step
    void execute(int phase, const Epoch* e);

    Tables tables_;
    std::vector<Ready> ready_[kPhases];
    std::vector<std::vector<Place>> places_;  // by region
    i64 sums_[kPhases] = {};
    std::vector<double> numbers_;  // what losses and metrics give
    std::vector<double> idle_;     // the numbers of an update, where there is none
    std::vector<T> scratch_;
    Moment moment_{};
    double cost_ = 0;
    clock::time_point asked_;
    bool dropped_ = false;
};

}  // namespace pellucid
