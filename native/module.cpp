// pellucid._core: the compiled core's door to Python. Everything that comes in is checked here or in
// Program::load; everything that goes on for long lets other Python threads run meanwhile.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <stdexcept>

#include "parallel.hpp"
#include "program.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using pellucid::Operand;

namespace {

using Ints = nb::ndarray<const std::int64_t, nb::c_contig, nb::device::cpu>;
using Reals = nb::ndarray<const double, nb::c_contig, nb::device::cpu>;
using Bytes = nb::ndarray<std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Sums = nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Any = nb::ndarray<nb::ro, nb::device::cpu>;

constexpr std::size_t kColumns = 1 + 4 * pellucid::kOperands + pellucid::kNumbers;

void require(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
}

Operand operand(const std::int64_t* p) { return {p[0], p[1], p[2], p[3]}; }

std::vector<pellucid::Instruction> phase(const Ints& whole, const Reals& real) {
    require(whole.ndim() == 2 && whole.shape(1) == kColumns, "a table has 28 columns of integers");
    require(real.ndim() == 2 && real.shape(1) == pellucid::kNumbers && real.shape(0) == whole.shape(0),
            "a table has 7 columns of numbers");
    std::vector<pellucid::Instruction> code(whole.shape(0));
    for (std::size_t r = 0; r < code.size(); r++) {
        const auto* p = whole.data() + r * kColumns;
        code[r].op = *p++;
        for (auto& at : code[r].at) at = operand(p), p += 4;
        for (int k = 0; k < pellucid::kNumbers; k++) {
            code[r].whole[k] = p[k];
            code[r].real[k] = real.data()[r * pellucid::kNumbers + k];
        }
    }
    return code;
}

std::int64_t kind_of(const nb::dlpack::dtype& t) {
    const auto code = nb::dlpack::dtype_code(t.code);
    if (t.lanes == 1 && code == nb::dlpack::dtype_code::UInt)
        return t.bits == 8 ? 0 : t.bits == 16 ? 3 : t.bits == 32 ? 5 : 7;
    if (t.lanes == 1 && code == nb::dlpack::dtype_code::Int)
        return t.bits == 8 ? 1 : t.bits == 16 ? 2 : t.bits == 32 ? 4 : 6;
    if (t.lanes == 1 && code == nb::dlpack::dtype_code::Float && (t.bits == 32 || t.bits == 64))
        return t.bits == 32 ? 8 : 9;
    throw std::invalid_argument("an array of this type cannot be gathered from");
}

pellucid::Source source(const Any& array, const std::vector<std::int64_t>& to, bool integer) {
    require(array.ndim() >= 1 && to.size() == 4, "a source has rows and a place to go to");
    std::int64_t elements = 1;
    for (std::size_t axis = array.ndim(); axis-- > 1;) {
        require(array.shape(axis) <= 1 || array.stride(axis) == elements, "a source's rows lie apart");
        elements *= std::int64_t(array.shape(axis));
    }
    const auto bytes = array.stride(0) * std::int64_t(array.itemsize());
    return {static_cast<const char*>(array.data()), std::int64_t(array.shape(0)), bytes, elements,
            kind_of(array.dtype()), operand(to.data()), integer};
}

template <class T> struct Core {
    pellucid::Program<T> program;
    std::vector<Any> arrays;  // kept alive
    std::vector<Bytes> memory;
    std::int64_t rows = 0, source_rows = 0, losses = 0, sums = 0;

    void load(const std::vector<std::tuple<Ints, Reals>>& phases, std::vector<Bytes> regions, std::int64_t n,
              const std::vector<std::tuple<Any, std::vector<std::int64_t>, bool>>& sources,
              const std::vector<std::int64_t>& weight, std::int64_t loss_count) {
        std::vector<std::vector<pellucid::Instruction>> code;
        for (const auto& [whole, real] : phases) code.push_back(phase(whole, real));
        require(code.size() == 5 && regions.size() >= 3 && weight.size() == 4, "a program is incomplete");
        std::vector<pellucid::Region> places;
        for (auto& r : regions) places.push_back({reinterpret_cast<char*>(r.data()), std::int64_t(r.size())});
        std::vector<pellucid::Source> from;
        std::vector<Any> kept;
        std::int64_t common = -1;
        for (const auto& [array, to, integer] : sources) {
            from.push_back(source(array, to, integer));
            kept.push_back(array);
            require(common < 0 || common == from.back().rows, "sources of different lengths");
            common = from.back().rows;
        }
        const auto metrics = std::int64_t(code[3].size());
        program.load(std::move(code), std::move(places), n, std::move(from), operand(weight.data()), loss_count);
        arrays = std::move(kept), memory = std::move(regions);
        rows = n, source_rows = common, losses = loss_count, sums = losses + metrics;
    }

    void execute(int index, std::int64_t n, bool weighted, std::int64_t step, std::int64_t part, std::int64_t t,
                 double total, double rate, Sums out) {
        require(index >= 0 && index < 5 && std::int64_t(out.size()) >= sums, "bad phase or too few sums");
        const pellucid::Moment at{n, weighted, step, part, t, total, rate};
        double* data = out.data();
        nb::gil_scoped_release release;
        program.execute(index, at, data);
    }

    std::tuple<std::int64_t, double, bool, int> run(
        std::optional<Ints> order, std::vector<std::int64_t> cuts, std::int64_t accumulate, std::int64_t start,
        std::int64_t count, std::int64_t step, Reals rates, std::optional<Reals> weight, Reals shares, Sums tally,
        Bytes stop, double seconds) {
        require(source_rows >= 0 && cuts.size() >= 1 && accumulate >= 1 && start >= 0 && count >= 0,
                "nothing to run on");
        const auto pieces = std::int64_t(cuts.size()) - 1;
        require(start <= pieces && count <= pieces + 1, "more updates than there are");
        const std::int64_t length = order ? std::int64_t(order->size()) : source_rows;
        require(cuts.front() >= 0 && cuts.back() <= length, "a batch outside the data");
        for (std::int64_t p = 0; p < pieces; p++)
            require(cuts[p] <= cuts[p + 1] && cuts[p + 1] - cuts[p] <= rows, "a batch larger than planned for");
        if (order) {
            const auto from = cuts[std::min(start * accumulate, pieces)];
            const auto to = cuts[std::min((start + count) * accumulate, pieces)];
            for (auto r = from; r < to; r++)
                require(order->data()[r] >= 0 && order->data()[r] < source_rows, "a row that is not there");
        }
        require(!weight || std::int64_t(weight->size()) == source_rows, "one weight a row is needed");
        const auto batches = std::min((start + count) * accumulate, pieces) - std::min(start * accumulate, pieces);
        require(std::int64_t(rates.size()) >= count && std::int64_t(shares.size()) >= batches, "too few rates");
        require(accumulate <= pieces + 1, "more batches an update than there are");
        require(std::int64_t(tally.size()) >= 1 + sums && stop.size() == 1, "too few sums");
        pellucid::Epoch epoch{order ? order->data() : nullptr, std::move(cuts), accumulate, start, count, step,
                              rates.data(), weight ? weight->data() : nullptr, shares.data(), tally.data(),
                              stop.data(), seconds};
        nb::gil_scoped_release release;
        const auto out = program.run(epoch);
        return {out.done, out.loss, out.ended, out.diverged};
    }
};

template <class T> void bind(nb::module_& m, const char* name) {
    nb::class_<Core<T>>(m, name)
        .def(nb::init<>())
        .def("load", &Core<T>::load, "phases"_a, "regions"_a, "rows"_a, "sources"_a, "weight"_a, "losses"_a)
        .def("execute", &Core<T>::execute, "phase"_a, "rows"_a, "weighted"_a, "step"_a, "part"_a, "t"_a,
             "total"_a, "rate"_a, "sums"_a)
        .def("run", &Core<T>::run, "order"_a.none(), "cuts"_a, "accumulate"_a, "start"_a, "count"_a, "step"_a,
             "rates"_a, "weight"_a.none(), "shares"_a, "tally"_a, "stop"_a, "seconds"_a);
}

}  // namespace

NB_MODULE(_core, m) {
    m.doc() = "The compiled core of Pellucid; everything works without it, slower.";
    bind<float>(m, "Program32");
    bind<double>(m, "Program64");
    m.def("opcodes", &pellucid::opcodes);
    m.def("set_threads", &pellucid::set_threads, "count"_a);
    m.def("threads", &pellucid::threads);
}
