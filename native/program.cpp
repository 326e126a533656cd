#include "program.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "parallel.hpp"

namespace pellucid {

static void require(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
}

std::vector<std::string> opcodes() {
    std::vector<std::string> names;
    for (int k = 0; k < kernels<float>().count; k++) names.push_back(kernels<float>().opcodes[k].name);
    return names;
}

// ---- soundness ---------------------------------------------------------------------------------

bool Check::there(int k) const { return i.at[k].region >= 0; }
bool Check::rowwise(int k) const { return there(k) && i.at[k].batch; }
bool Check::fixed(int k) const { return there(k) && !i.at[k].batch; }
i64 Check::size(int k) const { return there(k) ? i.at[k].elements : -1; }
void Check::need(bool holds) const {
    if (!holds)
        throw std::invalid_argument("instruction with opcode " + std::to_string(i.op) + ": its sizes do not agree");
}

template <class T> void Program<T>::check(const Instruction& i) const {
    auto fail = [&](const char* what) {
        throw std::invalid_argument("instruction with opcode " + std::to_string(i.op) + ": " + what);
    };
    const auto& all = kernels<T>();
    if (i.op < 0 || i.op >= all.count) fail("no such opcode");
    const unsigned written = i.formula ? i.formula->writes : all.opcodes[i.op].writes;
    const unsigned wide = i.formula ? i.formula->wide : all.opcodes[i.op].wide;
    for (int k = 0; k < kOperands; k++) {
        const Operand& o = i.at[k];
        if (o.region < 0) continue;
        if (o.region >= i64(tables_.regions.size())) fail("no such region");
        const i64 size = wide >> k & 1 ? 8 : i64(sizeof(T)), limit = i64(1) << 40;
        if (o.offset < 0 || o.offset % size || o.elements < 0 || o.elements > limit) fail("bad place");
        const i64 bytes = tables_.regions[o.region].bytes;
        if (o.offset > bytes) fail("operand outside its region");
        const i64 rows = o.batch ? tables_.rows : 1, room = (bytes - o.offset) / size;
        if (rows > 0 && o.elements > room / rows) fail("operand outside its region");
        const bool whole = o.batch && o.offset == 0 && bytes == o.elements * size * tables_.rows;
        if (o.region >= kBatch && !whole) fail("a part of a batch's rows");
        const bool writes = written >> k & 1;
        for (const Source& s : tables_.sources)
            if (writes && o.region == s.region) fail("a source would be written");
    }
    all.opcodes[i.op].check(Check{i});
    if (i.formula && i.formula->numbers > tables_.numbers) fail("it wants more numbers than an update has");
}

template <class T> void Program<T>::check(const std::vector<Source>& sources) const {
    const auto& regions = tables_.regions;
    for (const auto& s : sources) {
        require(s.region >= kBatch && s.region < i64(regions.size()), "a source without a region");
        const i64 size = s.integer ? 8 : i64(sizeof(T));
        require(s.elements >= 0 && s.elements <= i64(1) << 40, "a source too large");
        require(regions[s.region].bytes == s.elements * size * tables_.rows, "a source outside its region");
    }
}

template <class T> void Program<T>::load(Tables tables) {
    for (auto& ready : ready_) ready.clear();  // nothing can run until all is checked
    tables_ = std::move(tables);
    const auto& regions = tables_.regions;
    require(tables_.rows >= 1 && tables_.rows <= i64(1) << 32, "bad number of rows");
    require(regions.size() > kBatch, "a program is incomplete");
    require(regions[kPending].bytes == regions[kState].bytes, "pending state of another size");
    require(tables_.numbers >= 1 && tables_.numbers <= kScalars, "an update has a rate, and some numbers more");
    idle_.assign(tables_.numbers, 0.0);
    for (auto& code : tables_.phases)
        for (auto& i : code) {
            const bool known = i.op >= 0 && i.op < kernels<T>().count;
            const bool has = known && !std::strcmp(kernels<T>().opcodes[i.op].name, "formula");
            require(!has || (i.whole[0] >= 0 && i.whole[0] < i64(tables_.formulas.size())), "no such formula");
            i.formula = has ? &tables_.formulas[i.whole[0]].formula : nullptr;
            check(i);
        }
    check(tables_.sources);
    require(tables_.weight >= kBatch && tables_.weight < i64(regions.size()), "no region for the weights");
    require(regions[tables_.weight].bytes / i64(sizeof(T)) >= tables_.rows, "too little room for the weights");
    for (auto [start, bytes] : tables_.unwritten)
        require(start >= 0 && bytes >= 0 && start <= regions[kGradient].bytes - bytes, "a stretch outside the gradient");
    make_ready();
}

// Finds every operand, so that running an instruction is one call.
template <class T> void Program<T>::make_ready() {
    i64 scratch = 0, total = 0;
    for (int phase = 0; phase < kPhases; phase++) {
        sums_[phase] = 0;
        for (const auto& i : tables_.phases[phase]) {
            const auto& opcode = kernels<T>().opcodes[i.op];
            const i64 gives = opcode.sums < 0 ? i.whole[1] : opcode.sums;
            if (phase != kLoss && phase != kMetrics && gives)
                throw std::invalid_argument("a loss or metric in another phase");
            sums_[phase] += gives, total += gives;
            if (opcode.scratch) scratch = std::max(scratch, opcode.scratch(i, tables_.rows));
        }
    }
    scratch_.resize(scratch), numbers_.assign(total, 0.0);
    places_.assign(tables_.regions.size(), {});
    double* sums = numbers_.data();
    for (int phase = 0; phase < kPhases; phase++) {
        ready_[phase].reserve(tables_.phases[phase].size());
        for (const auto& i : tables_.phases[phase]) {
            const auto& opcode = kernels<T>().opcodes[i.op];
            auto& ready = ready_[phase].emplace_back();
            ready.run = opcode.run, ready.cost = 100;
            ready.frame = {&i, &moment_, {}, scratch_.data(), sums, &tables_.caller};
            for (int k = 0; k < kOperands; k++) {
                const Operand& o = i.at[k];
                if (o.region < 0) continue;
                ready.frame.at[k] = reinterpret_cast<T*>(tables_.regions[o.region].data + o.offset);
                if (o.region >= kBatch) places_[o.region].push_back({&ready.frame.at[k], o.offset});
                ready.cost += double(o.elements) * double(o.batch ? tables_.rows : 64);
            }
            sums += opcode.sums < 0 ? i.whole[1] : opcode.sums;
        }
    }
}

// A region's memory is elsewhere from now on.
template <class T> void Program<T>::point(i64 region, char* data) {
    for (const Place& p : places_[region]) *p.at = reinterpret_cast<T*>(data + p.offset);
}

// ---- executing -----------------------------------------------------------------------------------

template <class T> void Program<T>::execute(int phase, const Moment& at, double* sums) {
    if (tables_.rows < 1) throw std::invalid_argument("no program is loaded");
    if (at.rows < 0 || at.rows > tables_.rows) throw std::invalid_argument("more rows than planned for");
    moment_ = at;
    if (!moment_.numbers) moment_.numbers = idle_.data();
    const TinyNumbers are_zero(true);
    execute(phase, nullptr);
    const i64 from = phase == kMetrics ? sums_[kLoss] : 0;
    if (sums) std::copy_n(numbers_.data() + from, sums_[phase], sums);
}

template <class T> void Program<T>::execute(int phase, const Epoch* e) {
    for (const Ready& r : ready_[phase]) {
        r.run(r.frame);
        if (e && (cost_ += r.cost) > 1e6 && !patience(*e)) return;
    }
}

// Looks at the clock now and then, also in the middle of a long step.
template <class T> bool Program<T>::patience(const Epoch& e) {
    cost_ = 0;
    const auto now = clock::now();
    if (now - asked_ < std::chrono::duration<double>(e.seconds)) return true;
    asked_ = now;
    return !(dropped_ = e.interrupted());
}

template <class T> void Program<T>::gather(const i64* order, const double* weight, i64 from, i64 to) {
    for (const Source& s : tables_.sources) {
        char* data = tables_.regions[s.region].data;
        if (!order && s.plain && !tables_.caller.context) data = const_cast<char*>(s.data) + from * s.row_bytes;  // only read
        else kernels<T>().gather(s, order, from, to, data);
        point(s.region, data);
    }
    if (weight) {
        T* w = reinterpret_cast<T*>(tables_.regions[tables_.weight].data);
        for (i64 r = from; r < to; r++) w[r - from] = T(weight[order ? order[r] : r]);
    }
}

// ---- whole epochs ---------------------------------------------------------------------------------

template <class T> Outcome Program<T>::run(const Epoch& e) {
    const auto until = clock::now() + std::chrono::duration<double>(e.seconds);
    const i64 pieces = i64(e.cuts.size()) - 1;
    std::vector<double> sums((sums_[kLoss] + sums_[kMetrics]) * e.accumulate);
    Outcome out{0, 0.0, false, 0};
    const TinyNumbers are_zero(true);
    asked_ = clock::now(), dropped_ = false;
    while (out.done < e.count && !*e.stop) {
        if (out.done * e.accumulate >= pieces) {
            out.ended = true;
            break;
        }
        try {
            if (!step(e, out, sums.data())) break;
        } catch (const Dropped&) {
            break;
        }
        if (clock::now() > until) break;
    }
    for (std::size_t r = kBatch; r < tables_.regions.size(); r++) point(i64(r), tables_.regions[r].data);
    return out;
}

// One update; false where it was not made.
template <class T> bool Program<T>::step(const Epoch& e, Outcome& out, double* sums) {
    const i64 first = out.done * e.accumulate, last = std::min(first + e.accumulate, i64(e.cuts.size()) - 1);
    const i64 width = sums_[kLoss] + sums_[kMetrics];
    const Region &gradient = tables_.regions[kGradient], &state = tables_.regions[kState];
    double total = 0, value = 0;
    for (i64 piece = first; piece < last; piece++) total += e.shares[piece];
    for (auto [start, bytes] : tables_.unwritten) std::memset(gradient.data + start, 0, bytes);
    char* pending = tables_.regions[kPending].data;
    if (state.bytes) std::memcpy(pending, state.data, state.bytes);
    for (i64 piece = first; piece < last; piece++) {
        moment_ = {e.cuts[piece + 1] - e.cuts[piece], e.weight != nullptr, e.step + out.done, piece - first,
                   e.step + out.done + 1, total, e.numbers[out.done * tables_.numbers],
                   e.numbers + out.done * tables_.numbers};
        gather(e.order, e.weight, e.cuts[piece], e.cuts[piece + 1]);
        execute(kForward, &e);
        if (!dropped_) execute(kLoss, &e);
        if (dropped_) return false;
        double share = 0;
        for (i64 k = 0; k < sums_[kLoss]; k++) share += numbers_[k];
        value += total ? share / total : 0.0;
        if (!std::isfinite(value)) {
            out.diverged = 1, out.loss = value;
            return false;
        }
        execute(kBackward, &e);
        if (!dropped_) execute(kMetrics, &e);
        if (dropped_) return false;
        std::copy_n(numbers_.data(), width, sums + (piece - first) * width);
    }
    out.loss = value;
    if (!kernels<T>().finite(reinterpret_cast<const T*>(gradient.data), gradient.bytes / i64(sizeof(T)))) {
        out.diverged = 2;
        return false;
    }
    moment_.rows = 0;
    execute(kUpdate, nullptr);
    if (state.bytes) std::memcpy(state.data, pending, state.bytes);
    for (i64 piece = first; piece < last; piece++) {
        e.tally[0] += e.shares[piece];
        for (i64 k = 0; k < width; k++) e.tally[k + 1] += sums[(piece - first) * width + k];
    }
    out.done++;
    return true;
}

// ---- inference ------------------------------------------------------------------------------------

template <class T> void Program<T>::feed(std::vector<Source> sources) {
    require(tables_.rows >= 1, "no program is loaded");
    check(sources);
    for (const auto& code : tables_.phases)
        for (const auto& i : code)
            for (int k = 0; k < kOperands; k++)
                for (const Source& s : sources)
                    require(!(kernels<T>().opcodes[i.op].writes >> k & 1) || i.at[k].region != s.region,
                            "a source would be written");
    tables_.sources = std::move(sources);
}

template <class T>
void Program<T>::infer(i64 count, const std::vector<Region>& outputs, double* tally, const double* weight) {
    const i64 first = i64(tables_.regions.size()) - i64(outputs.size());  // the outputs are the last regions
    require(first >= kBatch, "more outputs than there are");
    for (i64 k = 0; k < i64(outputs.size()); k++)
        require(outputs[k].bytes * tables_.rows == tables_.regions[first + k].bytes * count, "an output of another size");
    const TinyNumbers are_zero(true);
    for (i64 from = 0; from < count; from += tables_.rows) {
        const i64 to = std::min(from + tables_.rows, count);
        moment_ = {to - from, weight != nullptr, 0, 0, 1, 1.0, 0.0, idle_.data()};
        gather(nullptr, weight, from, to);
        for (i64 k = 0; k < i64(outputs.size()); k++)
            point(first + k, outputs[k].data + outputs[k].bytes / std::max(count, i64(1)) * from);
        execute(kForward, nullptr);
        if (!tally) continue;
        execute(kLoss, nullptr);
        execute(kMetrics, nullptr);
        for (std::size_t k = 0; k < numbers_.size(); k++) tally[k] += numbers_[k];
    }
    for (std::size_t r = kBatch; r < tables_.regions.size(); r++) point(i64(r), tables_.regions[r].data);
}

template <class T> i64 Program<T>::width(bool output) const {
    if (tables_.rows < 1 || i64(tables_.regions.size()) != kBatch + 3) return -1;  // input, weights, output
    return tables_.regions[output ? kBatch + 2 : kBatch].bytes / i64(sizeof(T)) / tables_.rows;
}

template <class T> double Program<T>::cost() const {
    double sum = 0;
    for (const Ready& r : ready_[kForward]) sum += r.cost;
    return sum;
}

template <class T> bool Program<T>::predict(const T* x, i64 count, T* y) {
    const i64 in = width(false), out = width(true);
    if (!kernels<T>().finite(x, count * in)) return false;
    const TinyNumbers are_zero(true);
    for (i64 from = 0; from < count; from += tables_.rows) {
        moment_ = {std::min(tables_.rows, count - from), 0, 0, 0, 1, 1.0, 0.0, idle_.data()};
        point(kBatch, const_cast<char*>(reinterpret_cast<const char*>(x + from * in)));  // only read
        point(kBatch + 2, reinterpret_cast<char*>(y + from * out));
        execute(kForward, nullptr);
    }
    point(kBatch, tables_.regions[kBatch].data), point(kBatch + 2, tables_.regions[kBatch + 2].data);
    return true;
}

template class Program<float>;
template class Program<double>;

}  // namespace pellucid
