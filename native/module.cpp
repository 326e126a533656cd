// pellucid._core: the compiled core's door to Python. Everything that comes in is checked here or in
// Program::load; everything that goes on for long lets other Python threads run meanwhile.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <stdexcept>

#include "gil.hpp"
#include "parallel.hpp"
#include "program.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using pellucid::i64;
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

std::vector<pellucid::Instruction> phase(const Ints& whole, const Reals& real) {
    require(whole.ndim() == 2 && whole.shape(1) == kColumns, "a table of integers has one operand too few or many");
    require(real.ndim() == 2 && real.shape(1) == pellucid::kNumbers && real.shape(0) == whole.shape(0),
            "a table of numbers has one too few or many");
    std::vector<pellucid::Instruction> code(whole.shape(0));
    for (std::size_t r = 0; r < code.size(); r++) {
        const auto* p = whole.data() + r * kColumns;
        code[r].op = *p++;
        for (auto& at : code[r].at) at = {p[0], p[1], p[2], p[3]}, p += 4;
        for (int k = 0; k < pellucid::kNumbers; k++) {
            code[r].whole[k] = p[k];
            code[r].real[k] = real.data()[r * pellucid::kNumbers + k];
        }
    }
    return code;
}

i64 kind_of(const nb::dlpack::dtype& t) {  // as `convert` in ops_gather.hpp counts them
    const auto code = nb::dlpack::dtype_code(t.code);
    if (t.lanes == 1 && code == nb::dlpack::dtype_code::UInt)
        return t.bits == 8 ? 0 : t.bits == 16 ? 3 : t.bits == 32 ? 5 : 7;
    if (t.lanes == 1 && code == nb::dlpack::dtype_code::Int)
        return t.bits == 8 ? 1 : t.bits == 16 ? 2 : t.bits == 32 ? 4 : 6;
    if (t.lanes == 1 && code == nb::dlpack::dtype_code::Float && (t.bits == 32 || t.bits == 64))
        return t.bits == 32 ? 8 : 9;
    throw std::invalid_argument("an array of this type cannot be gathered from");
}

template <class T> pellucid::Source source(const Any& array, i64 region, bool integer) {
    require(array.ndim() >= 1 && array.ndim() <= pellucid::Source::kAxes, "a source has rows, of seven axes at most");
    pellucid::Source s{};
    s.data = static_cast<const char*>(array.data()), s.rows = i64(array.shape(0)), s.region = region;
    s.integer = integer, s.kind = kind_of(array.dtype()), s.elements = 1;
    const i64 size = i64(array.itemsize());
    s.row_bytes = array.stride(0) * size;
    for (std::size_t axis = 1; axis < array.ndim(); axis++) {
        if (array.shape(axis) == 1) continue;
        s.shape[s.axes] = i64(array.shape(axis)), s.stride[s.axes] = array.stride(axis) * size;
        s.elements *= s.shape[s.axes++];
    }
    while (s.axes > 1 && s.stride[s.axes - 2] == s.stride[s.axes - 1] * s.shape[s.axes - 1])  // one stretch
        s.stride[s.axes - 2] = s.stride[s.axes - 1], s.shape[s.axes - 2] *= s.shape[s.axes - 1], s.axes--;
    const bool packed = s.axes == 0 || (s.axes == 1 && s.stride[0] == size);
    const bool same = integer ? s.kind == 6 : s.kind == (sizeof(T) == 4 ? 8 : 9);
    const bool aligned = reinterpret_cast<std::uintptr_t>(s.data) % std::uintptr_t(size) == 0;
    s.plain = packed && same && aligned && (s.row_bytes == s.elements * size || s.rows == 1);
    return s;
}

// Whether Ctrl-C was pressed: the flag is set again, for Python to see when the core has returned.
bool interrupted() {
    const pellucid::WithGil hold;
    if (!PyOS_InterruptOccurred()) return false;
    PyErr_SetInterrupt();
    return true;
}

// An instruction that is Python's: its number comes back, or None where it failed, which Python remembers.
double call_python(void* context, i64 index, const pellucid::Moment* at) {
    const pellucid::TinyNumbers as_usual(false);
    const pellucid::WithGil hold;
    const nb::object value = (*static_cast<nb::object*>(context))(index, at->rows, at->weighted != 0, at->step, at->part,
                                                                  at->t, at->total, at->rate);
    if (value.is_none()) throw pellucid::Dropped{};
    return nb::cast<double>(value);
}

struct View {  // of an array's memory
    Py_buffer view{};
    bool ok;
    View(nb::handle array, int flags) : ok(PyObject_GetBuffer(array.ptr(), &view, flags) == 0) {
        if (!ok) PyErr_Clear();
    }
    ~View() {
        if (ok) PyBuffer_Release(&view);
    }
    bool is(i64 size) const {  // of float, or of double
        const char* format = size == 4 ? "f" : "d";
        return ok && view.itemsize == size && view.format && std::strcmp(view.format, format) == 0 &&
               reinterpret_cast<std::uintptr_t>(view.buf) % std::uintptr_t(size) == 0;
    }
};

template <class T> using Output = nb::ndarray<T, nb::c_contig, nb::device::cpu>;
using Sources = std::vector<std::tuple<Any, i64, bool>>;  // array, region, whether it is of integers

using Texts = std::vector<std::tuple<Ints, Reals>>;  // formulas

template <class T> class Core {
    pellucid::Program<T> program_;
    std::vector<Any> arrays_;  // kept alive
    std::vector<Bytes> memory_;
    nb::object call_;
    std::atomic_flag busy_;

public:
    void load(const std::vector<std::tuple<Ints, Reals>>& phases, std::vector<Bytes> regions, i64 rows,
              const Sources& sources, i64 weight, std::vector<std::pair<i64, i64>> unwritten, nb::object call,
              const Texts& formulas, i64 numbers) {
        require(phases.size() == pellucid::kPhases, "a program has five phases");
        pellucid::Tables tables{};
        for (std::size_t k = 0; k < phases.size(); k++)
            tables.phases[k] = phase(std::get<0>(phases[k]), std::get<1>(phases[k]));
        for (auto& r : regions) tables.regions.push_back({reinterpret_cast<char*>(r.data()), i64(r.size())});
        std::vector<Any> kept;
        for (const auto& [array, region, integer] : sources) {
            tables.sources.push_back(source<T>(array, region, integer));
            kept.push_back(array);
            require(tables.sources[0].rows == tables.sources.back().rows, "sources of different lengths");
        }
        for (const auto& [whole, real] : formulas)
            pellucid::read_formula(tables.formulas.emplace_back(), whole.data(), i64(whole.size()), real.data(), i64(real.size()));
        call_ = std::move(call);
        tables.rows = rows, tables.weight = weight, tables.unwritten = std::move(unwritten);
        tables.numbers = numbers;
        tables.caller = {call_python, call_.is_none() ? nullptr : &call_};
        program_.load(std::move(tables));
        arrays_ = std::move(kept), memory_ = std::move(regions);
    }

    // Outputs of all rows, or the losses' and metrics' sums into `tally`.
    void infer(const Sources& sources, const std::vector<Output<T>>& outputs, i64 count, std::optional<Reals> weight,
               std::optional<Sums> tally) {
        std::vector<pellucid::Source> from;
        for (const auto& [array, region, integer] : sources) {
            from.push_back(source<T>(array, region, integer));
            require(from.back().rows == count, "sources of another length");
        }
        std::vector<pellucid::Region> to;
        for (auto& out : outputs) to.push_back({reinterpret_cast<char*>(out.data()), i64(out.size() * sizeof(T))});
        require(!weight || i64(weight->size()) == count, "one weight a row is needed");
        const i64 sums = program_.sums(pellucid::kLoss) + program_.sums(pellucid::kMetrics);
        require(!tally || i64(tally->size()) >= sums, "too few sums");
        program_.feed(std::move(from));
        const double* w = weight ? weight->data() : nullptr;
        double* into = tally ? tally->data() : nullptr;
        {
            const pellucid::WithoutGil released;
            try {
                program_.infer(count, to, into, w);
            } catch (const pellucid::Dropped&) {
            }
        }
        program_.feed({});  // the arrays may go
    }

    // Whether y (n, …) has been made of x (n, …): false where these are not plain arrays of this type,
    // x has NaN or infinity, or another thread is here.
    bool predict(nb::handle x, nb::handle y) {
        const i64 in = program_.width(false), out = program_.width(true);
        require(in >= 0 && call_.is_none(), "predict is for programs of one input and output, without calls");
        View from(x, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT), to(y, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | PyBUF_WRITABLE);
        const i64 size = sizeof(T), count = to.ok ? to.view.len / size / std::max(out, i64(1)) : 0;
        if (!from.is(size) || !to.is(size) || from.view.len != count * in * size || to.view.len != count * out * size)
            return false;
        if (busy_.test_and_set()) return false;
        const T* source = static_cast<const T*>(from.view.buf);
        T* target = static_cast<T*>(to.view.buf);
        bool good;
        if (program_.cost() < 1e6) {  // not worth letting others run
            good = program_.predict(source, count, target);
        } else {
            const pellucid::WithoutGil released;
            good = program_.predict(source, count, target);
        }
        busy_.clear();
        return good;
    }

    void execute(int index, i64 rows, bool weighted, i64 step, i64 part, i64 t, double total, Reals numbers,
                 Sums out) {
        require(index >= 0 && index < pellucid::kPhases && i64(out.size()) >= program_.sums(index),
                "bad phase or too few sums");
        require(i64(numbers.size()) >= std::max(program_.numbers(), i64(1)), "too few numbers of an update");
        const pellucid::Moment at{rows, weighted, step, part, t, total, numbers.data()[0], numbers.data()};
        double* data = out.data();
        const pellucid::WithoutGil released;
        try {
            program_.execute(index, at, data);
        } catch (const pellucid::Dropped&) {
        }
    }

    std::tuple<i64, double, bool, int> run(std::optional<Ints> order, Ints cut, i64 accumulate, i64 count,
                                           i64 step, Reals numbers, std::optional<Reals> weight, Reals shares, Sums tally,
                                           Bytes stop, double seconds) {
        std::vector<i64> cuts(cut.data(), cut.data() + cut.size());
        const i64 rows = program_.source_rows(), pieces = i64(cuts.size()) - 1;
        require(rows >= 0 && pieces >= 0 && accumulate >= 1 && accumulate <= pieces + 1 && count >= 0,
                "nothing to run on");
        require(cuts.front() >= 0 && cuts.back() <= (order ? i64(order->size()) : rows), "a batch outside the data");
        for (i64 p = 0; p < pieces; p++)
            require(cuts[p] <= cuts[p + 1] && cuts[p + 1] - cuts[p] <= program_.rows(), "a batch larger than planned for");
        if (order)
            for (i64 r = cuts.front(); r < cuts.back(); r++)
                require(order->data()[r] >= 0 && order->data()[r] < rows, "a row that is not there");
        require(!weight || i64(weight->size()) == rows, "one weight a row is needed");
        require(count <= pieces + 1 && i64(shares.size()) >= pieces, "too few shares");
        require(i64(numbers.size()) / std::max(program_.numbers(), i64(1)) >= count, "too few rates");
        const i64 sums = 1 + program_.sums(pellucid::kLoss) + program_.sums(pellucid::kMetrics);
        require(i64(tally.size()) >= sums && stop.size() == 1, "too few sums");
        pellucid::Epoch epoch{order ? order->data() : nullptr, std::move(cuts), accumulate, count, step,
                              numbers.data(), weight ? weight->data() : nullptr, shares.data(), tally.data(),
                              stop.data(), seconds, interrupted};
        const pellucid::WithoutGil released;
        const auto out = program_.run(epoch);
        return {out.done, out.loss, out.ended, out.diverged};
    }
};

template <class T> void bind(nb::module_& m, const char* name) {
    nb::class_<Core<T>>(m, name)
        .def(nb::init<>())
        .def("load", &Core<T>::load, "phases"_a, "regions"_a, "rows"_a, "sources"_a, "weight"_a, "unwritten"_a,
             "call"_a.none(), "formulas"_a, "numbers"_a)
        .def("infer", &Core<T>::infer, "sources"_a, "outputs"_a, "count"_a, "weight"_a.none(), "tally"_a.none())
        .def("predict", &Core<T>::predict, "x"_a, "y"_a)
        .def("execute", &Core<T>::execute, "phase"_a, "rows"_a, "weighted"_a, "step"_a, "part"_a, "t"_a,
             "total"_a, "numbers"_a, "sums"_a)
        .def("run", &Core<T>::run, "order"_a.none(), "cuts"_a, "accumulate"_a, "count"_a, "step"_a,
             "numbers"_a, "weight"_a.none(), "shares"_a, "tally"_a, "stop"_a, "seconds"_a);
}

}  // namespace

NB_MODULE(_core, m) {
    nb::set_leak_warnings(false);  // a program may end while a fit goes on
    m.doc() = "The compiled core of Pellucid; everything works without it, slower.";
    nb::module_::import_("atexit").attr("register")(nb::cpp_function(&pellucid::AskingForGil::at_exit));
    bind<float>(m, "Program32");
    bind<double>(m, "Program64");
    m.def("opcodes", &pellucid::opcodes);
    m.def("set_threads", &pellucid::set_threads, "count"_a);
    m.def("threads", &pellucid::threads);
}
