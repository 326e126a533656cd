// An opcode called as the interpreter calls it, with guards behind its operands.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "../formula.hpp"
#include "../opcode.hpp"
#include "../parallel.hpp"
#include "testing.hpp"

namespace pellucid {

using Numbers = std::vector<double>;
using Whole = std::vector<i64>;

constexpr double kInfinity = std::numeric_limits<double>::infinity(), kNaN = std::numeric_limits<double>::quiet_NaN();

inline i64 pick(std::initializer_list<i64> from) { return from.begin()[whole(0, int64_t(from.size()) - 1)]; }

inline Numbers random_numbers(i64 n, double scale = 1) {
    Numbers x(static_cast<std::size_t>(n));
    for (double& v : x) v = static_cast<float>(uniform() * scale);
    return x;
}

template <class T> std::string text(const std::vector<T>& x) {
    return {reinterpret_cast<const char*>(x.data()), x.size() * sizeof(T)};
}
template <class T> std::vector<T> values(const std::string& bytes) {
    std::vector<T> x(bytes.size() / sizeof(T));
    if (!bytes.empty()) std::memcpy(x.data(), bytes.data(), bytes.size());
    return x;
}

// One instruction with operands of its own, which is run by one to four threads.
template <class T> struct Call {
    const Opcode<T>* opcode = nullptr;
    Instruction i{};
    Moment m{};
    std::string before[kOperands], after[kOperands];
    double sums[2] = {};

    Call(const char* name, i64 rows, Numbers numbers) {
        for (i.op = 0; i.op < kernels<T>().count; i.op++)
            if (!std::strcmp(kernels<T>().opcodes[i.op].name, name)) opcode = &kernels<T>().opcodes[i.op];
        check(opcode, "an opcode of this name");
        for (Operand& o : i.at) o.region = -1;
        for (std::size_t k = 0; k < numbers.size(); k++)
            i.real[k] = numbers[k], i.whole[k] = std::fabs(numbers[k]) < 1e15 ? i64(numbers[k]) : 0;
        m = {rows, 0, 3, 0, 2, double(rows), 0.1, nullptr};
    }
    void hold(int k, bool batch, i64 count, std::string bytes) {
        i.at[k] = {0, 0, batch ? (m.rows ? count / m.rows : 0) : count, batch};
        before[k] = std::move(bytes);
    }
    Call& rows(int k, const Numbers& x) { return hold(k, true, i64(x.size()), text(std::vector<T>(x.begin(), x.end()))), *this; }
    Call& fixed(int k, const Numbers& x) { return hold(k, false, i64(x.size()), text(std::vector<T>(x.begin(), x.end()))), *this; }
    Call& indices(int k, const Whole& x) { return hold(k, true, i64(x.size()), text(x)), *this; }
    Call& doubles(int k, const Numbers& x) { return hold(k, false, i64(x.size()), text(x)), *this; }

    bool sound() const {
        try {
            opcode->check(Check{i});
            return true;
        } catch (const std::invalid_argument&) {
            return false;
        }
    }
    i64 scratch(i64 rows) const { return opcode->scratch ? opcode->scratch(i, rows) : 0; }
    void once() {
        std::unique_ptr<Guarded<char>> memory[kOperands];
        Guarded<T> space(scratch(m.rows));
        Frame<T> f{&i, &m, {}, space.data, sums, nullptr};
        for (int k = 0; k < kOperands; k++)
            if (i.at[k].region >= 0) {
                memory[k] = std::make_unique<Guarded<char>>(before[k].size());
                if (!before[k].empty()) std::memcpy(memory[k]->data, before[k].data(), before[k].size());
                f.at[k] = reinterpret_cast<T*>(memory[k]->data);
            }
        opcode->run(f);
        for (int k = 0; k < kOperands; k++) {
            if (!memory[k]) continue;
            after[k].assign(memory[k]->data, before[k].size());
            const unsigned writes = i.formula ? i.formula->writes : opcode->writes;
            check(writes >> k & 1 || after[k] == before[k], "only what is said to be written");
        }
    }
    void run() {
        check(sound(), "sound");
        check(scratch(m.rows / 2) <= scratch(m.rows), "smaller batches want no more scratch");
        for (int count = 1; count <= 4; ++count) {
            set_threads(count);
            std::string first[kOperands];
            const double sum[2] = {sums[0], sums[1]};
            for (int k = 0; k < kOperands; k++) first[k] = after[k];
            once();
            if (count == 1) continue;
            for (int k = 0; k < kOperands; k++) check(first[k] == after[k], "same bits for all threads");
            check(!std::memcmp(sum, sums, sizeof sum), "same sums for all threads");
        }
        for (int k = 0; k < 8; k++) spoiled();
    }
    // One thing changed at random: it is refused, or touches nothing but its operands.
    void spoiled() const {
        const i64 some[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 100, -1, i64(1) << 27, i64(1) << 40, i64(1) << 62};
        Call c = *this;
        const int k = int(whole(0, kOperands - 1)), number = int(whole(0, kNumbers - 1));
        switch (whole(0, 3)) {
            case 0:
            case 1: c.i.whole[number] = some[whole(0, 14)], c.i.real[number] = double(c.i.whole[number]); break;
            case 2: c.i.at[k].region = -1; break;
            case 3:
                if (c.i.at[k].region < 0) return;
                if (whole(0, 1)) c.i.at[k].batch = !c.i.at[k].batch;
                else c.i.at[k].elements = std::max(i64(0), c.i.at[k].elements + pick({-1, 1, -7, 7}));
                const i64 values = c.i.at[k].elements * (c.i.at[k].batch ? m.rows : 1);
                if (values > 1 << 22) return;
                const unsigned wide = i.formula ? i.formula->wide : opcode->wide;
                c.before[k].resize(std::size_t(values) * (wide >> k & 1 ? 8 : sizeof(T)));
        }
        if (c.sound() && c.scratch(m.rows) < 1 << 22) c.once(), survived++;
    }
    static inline i64 survived = 0;
    std::vector<T> result(int k) const { return values<T>(after[k]); }
    void near(int k, const Numbers& want, double scale = 1) const {
        const std::vector<T> got = result(k);
        check(got.size() == want.size(), "sizes");
        for (std::size_t j = 0; j < want.size(); j++) {
            const double bound = scale * 16 * std::numeric_limits<T>::epsilon() * (1 + std::fabs(want[j]));
            const bool good = std::isfinite(want[j]) ? std::fabs(got[j] - want[j]) <= bound
                                                     : std::isnan(want[j]) ? std::isnan(got[j]) : got[j] == want[j];
            if (!good) std::fprintf(stderr, "%s %d[%zu]: %.9g, not %.9g\n", opcode->name, k, j, double(got[j]), want[j]);
            check(good, "near");
        }
    }
    void near_sum(int k, double want, double scale = 1) const {
        const bool good = std::fabs(sums[k] - want) <= scale * 16 * std::numeric_limits<T>::epsilon() * (1 + std::fabs(want));
        if (!good && !(std::isnan(want) && std::isnan(sums[k])))
            std::fprintf(stderr, "%s: sum %.17g, not %.17g\n", opcode->name, sums[k], want);
        check(good || (std::isnan(want) && std::isnan(sums[k])), "sum");
    }
};

}  // namespace pellucid
