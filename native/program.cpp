#include "program.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <tuple>

#include "gemm.hpp"
#include "kernels.hpp"
#include "parallel.hpp"

namespace pellucid {

namespace {

// The order of `OPCODES` in engine/opcodes.py; a test holds the two together.
enum Op {
    matmul, matmul_dx, matmul_dw, rowsum, map, map_grad, copy, standardize, standardize_dx, dropout,
    multiply, mse, cross_entropy, cross_entropy_rows, binary_cross_entropy, accuracy, penalize, clamp, square_sum,
    shrink, sgd, adam, op_count
};

constexpr const char* kNames[] = {
    "matmul", "matmul_dx", "matmul_dw", "rowsum", "map", "map_grad", "copy", "standardize",
    "standardize_dx", "dropout", "multiply", "mse", "cross_entropy", "cross_entropy_rows",
    "binary_cross_entropy", "accuracy", "penalize", "clamp", "square_sum", "shrink", "sgd", "adam",
};
static_assert(sizeof(kNames) / sizeof(*kNames) == op_count);

enum Phase { forward, loss, backward, metrics, update };

// Long vectors are cut in pieces of a fixed size, so that threads can share them.
template <class F> void in_pieces(std::int64_t count, F&& f) {
    constexpr std::int64_t size = 16384;
    if (count < 4 * size) return f(std::int64_t(0), count);
    parallel(int((count + size - 1) / size), [&](int piece) {
        const std::int64_t start = piece * size;
        f(start, std::min(size, count - start));
    });
}

template <class T> struct Adam {
    T *theta, *g, *m, *v;
    double beta_1, beta_2, epsilon, decay;
    bool decoupled;
    double rate;
    std::int64_t t;
};

template <class T> PELLUCID_INLINE void adam_piece(const Adam<T>& a, std::int64_t at, std::int64_t n) {
    kernel_adam(a.theta + at, a.g + at, a.m + at, a.v + at, n, a.beta_1, a.beta_2, a.epsilon, a.decay,
                a.decoupled, a.rate, a.t);
}
PELLUCID_WIDE void wide(const Adam<float>& a, std::int64_t at, std::int64_t n) { adam_piece(a, at, n); }
PELLUCID_WIDE void wide(const Adam<double>& a, std::int64_t at, std::int64_t n) { adam_piece(a, at, n); }

template <class T> struct MapGrad {
    T *dx, *dy, *y;
    std::int64_t kind;
    T a;
    bool accumulate;
};

PELLUCID_WIDE void wide(const MapGrad<float>& g, std::int64_t at, std::int64_t n) {
    kernel_map_grad(g.dx + at, g.dy + at, g.y + at, n, g.kind, g.a, g.accumulate);
}
PELLUCID_WIDE void wide(const MapGrad<double>& g, std::int64_t at, std::int64_t n) {
    kernel_map_grad(g.dx + at, g.dy + at, g.y + at, n, g.kind, g.a, g.accumulate);
}

template <class T> struct Sgd {
    T *theta, *g, *velocity;
    double momentum;
    bool nesterov;
    double decay, rate;
};

template <class T> PELLUCID_INLINE void sgd_piece(const Sgd<T>& s, std::int64_t at, std::int64_t n) {
    kernel_sgd(s.theta + at, s.g + at, s.velocity ? s.velocity + at : nullptr, n, s.momentum, s.nesterov,
               s.decay, s.rate);
}
PELLUCID_WIDE void wide(const Sgd<float>& s, std::int64_t at, std::int64_t n) { sgd_piece(s, at, n); }
PELLUCID_WIDE void wide(const Sgd<double>& s, std::int64_t at, std::int64_t n) { sgd_piece(s, at, n); }

bool needs_eight_bytes(std::int64_t op, int operand) {
    return ((op == cross_entropy && operand == 2) || (op == accuracy && operand == 1) ||
            (op == square_sum && operand == 0) || (op == shrink && operand == 1));
}

}  // namespace

std::vector<std::string> opcodes() { return {std::begin(kNames), std::end(kNames)}; }

// ---- soundness ---------------------------------------------------------------------------------

template <class T> void Program<T>::check(const Instruction& i) const {
    auto fail = [&](const char* what) {
        throw std::invalid_argument("instruction with opcode " + std::to_string(i.op) + ": " + what);
    };
    if (i.op < 0 || i.op >= op_count) fail("no such opcode");
    for (int k = 0; k < kOperands; k++) {
        const Operand& o = i.at[k];
        if (o.region < 0) continue;
        if (o.region >= std::int64_t(regions_.size())) fail("no such region");
        const std::int64_t size = needs_eight_bytes(i.op, k) ? 8 : sizeof(T), limit = std::int64_t(1) << 40;
        if (o.offset < 0 || o.offset % size || o.elements < 0 || o.elements > limit) fail("bad place");
        if (o.offset > regions_[o.region].bytes) fail("operand outside its region");
        const std::int64_t rows = o.batch ? rows_ : 1, room = (regions_[o.region].bytes - o.offset) / size;
        if (rows > 0 && o.elements > room / rows) fail("operand outside its region");
    }
    auto need = [&](bool holds) {
        if (!holds) fail("its sizes do not agree");
    };
    auto e = [&](int k) { return i.at[k].region < 0 ? -1 : i.at[k].elements; };
    auto rowwise = [&](int k) { return i.at[k].region >= 0 && i.at[k].batch; };
    auto whole = [&](int k) { return i.at[k].region >= 0 && !i.at[k].batch; };
    const auto* n = i.whole;
    auto dense = [&](int wide_i, int wide_o, int w) {  // operands with I and with O values a row
        need(n[0] > 0 && n[1] > 0 && n[0] < (1 << 28) && n[1] < (1 << 28));
        need(rowwise(wide_i) && rowwise(wide_o) && whole(w) && e(w) == n[0] * n[1]);
        need(e(wide_i) % n[0] == 0 && e(wide_o) % n[1] == 0 && e(wide_i) / n[0] == e(wide_o) / n[1]);
    };
    switch (i.op) {
        case matmul:
            dense(1, 0, 2);
            need(i.at[3].region < 0 || (whole(3) && e(3) == n[1]));
            need(n[2] >= 0 && n[2] <= 2);
            break;
        case matmul_dx: dense(0, 1, 2); break;
        case matmul_dw: dense(1, 2, 0); break;
        case rowsum:
            need(n[0] > 0 && whole(0) && rowwise(1) && e(0) == n[0] && e(1) % n[0] == 0);
            break;
        case map: need(rowwise(0) && rowwise(1) && e(0) == e(1) && n[0] >= 0 && n[0] <= 4); break;
        case map_grad:
            need(rowwise(0) && rowwise(1) && rowwise(2) && e(0) == e(1) && e(0) == e(2));
            need(n[0] >= 0 && n[0] <= 4);
            break;
        case copy: {
            auto [width, yw, ys, xw, xs] = std::tuple{n[0], n[1], n[2], n[3], n[4]};
            need(rowwise(0) && rowwise(1) && width > 0 && yw > 0 && xw > 0 && ys >= 0 && xs >= 0);
            need(width <= yw && ys <= yw - width && width <= xw && xs <= xw - width);
            need(e(0) % yw == 0 && e(1) % xw == 0 && e(0) / yw == e(1) / xw);
            break;
        }
        case standardize:
        case standardize_dx:
            need(n[0] > 0 && rowwise(0) && rowwise(1) && e(0) == e(1) && e(0) % n[0] == 0);
            need(whole(2) && whole(3) && e(2) == n[0] && e(3) == n[0]);
            break;
        case dropout:
        case multiply:
            need(rowwise(0) && rowwise(1) && rowwise(2) && e(0) == e(1) && e(0) == e(2));
            need(i.op == multiply || (i.real[0] >= 0 && i.real[0] < 1));
            break;
        case mse:
        case binary_cross_entropy:
            need(rowwise(0) && rowwise(1) && rowwise(2) && rowwise(3));
            need(e(0) == e(1) && e(0) == e(2) && e(3) == 1 && n[0] >= 1);
            break;
        case cross_entropy_rows:
            need(rowwise(0) && rowwise(1) && rowwise(2) && rowwise(3) && n[0] >= 1);
            need(e(0) == n[0] && e(1) == n[0] && e(2) == n[0] && e(3) == 1);
            break;
        case cross_entropy:
            need(rowwise(0) && rowwise(1) && rowwise(2) && rowwise(3) && n[0] >= 1);
            need(e(0) == n[0] && e(1) == n[0] && e(2) == 1 && e(3) == 1);
            break;
        case accuracy:
            need(rowwise(0) && rowwise(1) && rowwise(2) && n[0] >= 1 && e(0) == n[0]);
            need(e(1) == 1 && e(2) == 1);
            break;
        case penalize: need(whole(0) && whole(1) && e(0) == e(1)); break;
        case clamp: need(whole(0)); break;
        case square_sum: need(whole(0) && whole(1) && e(0) == 2); break;
        case shrink: need(whole(0) && whole(1) && e(1) == 2); break;
        case sgd:
            need(whole(0) && whole(1) && e(0) == e(1));
            need(i.at[2].region < 0 || (whole(2) && e(2) == e(0)));
            break;
        case adam:
            for (int k = 0; k < 4; k++) need(whole(k) && e(k) == e(0));
            break;
    }
}

template <class T>
void Program<T>::load(std::vector<std::vector<Instruction>> phases, std::vector<Region> regions,
                      std::int64_t rows, std::vector<Source> sources, Operand weight,
                      std::int64_t losses) {
    if (rows < 1 || rows > (std::int64_t(1) << 32)) throw std::invalid_argument("bad number of rows");
    if (phases.size() != 5) throw std::invalid_argument("a program has five phases");
    regions_ = std::move(regions), rows_ = rows, losses_ = losses;
    std::int64_t scratch = 0, sums = 0;
    for (const auto& code : phases)
        for (const auto& i : code) {
            check(i);
            if (i.op == matmul || i.op == matmul_dx || i.op == matmul_dw) {
                const auto wide = i.op == matmul_dx ? 0 : 1;
                const auto r = rows * (i.at[wide].elements / i.whole[0]), I = i.whole[0], O = i.whole[1];
                scratch = std::max({scratch, gemm_scratch<T>(r, O, I), gemm_scratch<T>(r, I, O),
                                    gemm_scratch<T>(I, O, r)});
            }
        }
    for (const auto& i : phases[loss]) sums += i.op >= mse && i.op <= binary_cross_entropy;
    if (sums != losses) throw std::invalid_argument("one instruction a loss is needed");
    for (auto& s : sources)
        if (s.to.region != 0 || !s.to.batch || s.to.offset < 0 || s.to.elements != s.elements ||
            s.to.offset + rows * s.elements * std::int64_t(s.integer ? 8 : sizeof(T)) > regions_[0].bytes)
            throw std::invalid_argument("a source outside the arena");
    if (weight.region != 0 || weight.offset < 0 ||
        weight.offset + rows * std::int64_t(sizeof(T)) > regions_[0].bytes)
        throw std::invalid_argument("weights outside the arena");
    phases_ = std::move(phases), sources_ = std::move(sources), weight_ = weight;
    scratch_.resize(scratch);
}

// ---- executing -----------------------------------------------------------------------------------

template <class T> void Program<T>::execute(int phase, const Moment& m, double* sums) {
    if (phases_.size() != 5) throw std::invalid_argument("no program is loaded");
    if (m.rows < 0 || m.rows > rows_) throw std::invalid_argument("more rows than planned for");
    T* const s = scratch_.data();
    for (const Instruction& i : phases_[phase]) {
        T* const a = pointer(i.at[0]);
        T* const b = pointer(i.at[1]);
        T* const c = pointer(i.at[2]);
        T* const d = pointer(i.at[3]);
        const auto* n = i.whole;
        const double* x = i.real;
        const auto count = i.at[0].elements * (i.at[0].batch ? m.rows : 1);  // values of operand 0
        switch (i.op) {
            case matmul: {
                const auto I = n[0], O = n[1], r = count / O;
                gemm<T>(false, false, r, O, I, b, I, c, O, a, O, false,
                        Epilogue<T>{d, Act(n[2]), T(x[3])}, s);
                break;
            }
            case matmul_dx: {
                const auto I = n[0], O = n[1], r = count / I;
                gemm<T>(false, true, r, I, O, b, O, c, O, a, I, n[2] != 0, {}, s);
                break;
            }
            case matmul_dw: {
                const auto I = n[0], O = n[1], r = m.rows * i.at[1].elements / I;
                gemm<T>(true, false, I, O, r, b, I, c, O, a, O, true, {}, s);
                break;
            }
            case rowsum: kernel_rowsum(a, b, m.rows * i.at[1].elements / n[0], n[0]); break;
            case map: kernel_map(a, b, count, n[0], T(x[1]), T(x[2])); break;
            case map_grad: {
                const MapGrad<T> slope{a, b, c, n[0], T(x[1]), n[2] != 0};
                in_pieces(count, [&](auto start, auto size) { wide(slope, start, size); });
                break;
            }
            case copy: kernel_copy(a, b, count / n[1], n[0], n[1], n[2], n[3], n[4], n[5] != 0); break;
            case standardize: kernel_standardize(a, b, c, d, count / n[0], n[0], true, false); break;
            case standardize_dx:
                kernel_standardize(a, b, c, d, count / n[0], n[0], false, n[1] != 0);
                break;
            case dropout:
                kernel_dropout(a, b, c, count, x[0], std::uint64_t(n[1]), std::uint64_t(n[2]),
                               std::uint64_t(n[3]), std::uint64_t(m.step), std::uint64_t(m.part));
                break;
            case multiply: kernel_multiply(a, b, c, count, n[0] != 0); break;
            case mse:
            case binary_cross_entropy:
                *sums++ = kernel_rowwise_loss(i.op == mse, a, b, c, m.weighted ? d : nullptr, m.rows,
                                              i.at[0].elements, n[0], x[1], m.total);
                break;
            case cross_entropy:
                *sums++ = kernel_cross_entropy(a, b, reinterpret_cast<const std::int64_t*>(c),
                                               m.weighted ? d : nullptr, m.rows, n[0], x[1], m.total);
                break;
            case cross_entropy_rows:
                *sums++ = kernel_cross_entropy_rows(a, b, c, m.weighted ? d : nullptr, m.rows, n[0], x[1],
                                                    m.total);
                break;
            case accuracy:
                *sums++ = kernel_accuracy(a, reinterpret_cast<const std::int64_t*>(b),
                                          m.weighted ? c : nullptr, m.rows, n[0]);
                break;
            case penalize: kernel_penalize(a, b, count, T(x[0]), T(x[1])); break;
            case clamp: kernel_clamp(a, count, T(x[0])); break;
            case square_sum: {
                kernel_square_sum(reinterpret_cast<double*>(a), b, i.at[1].elements, n[0] != 0);
                break;
            }
            case shrink: {
                const auto* total = reinterpret_cast<const double*>(b);
                const double norm = total[1] * std::sqrt(total[0]);
                const double factor = x[0] / (norm + 1e-6);
                if (factor < 1) kernel_scale(a, count, T(factor));
                break;
            }
            case sgd: {
                const Sgd<T> step{a, b, c, x[0], n[1] != 0, x[2], m.rate};
                in_pieces(count, [&](auto start, auto size) { wide(step, start, size); });
                break;
            }
            case adam: {
                const Adam<T> step{a, b, c, d, x[0], x[1], x[2], x[3], n[4] != 0, m.rate, m.t};
                in_pieces(count, [&](auto start, auto size) { wide(step, start, size); });
                break;
            }
        }
    }
}

// ---- whole epochs ---------------------------------------------------------------------------------

template <class T> void Program<T>::gather(const Epoch& e, std::int64_t from, std::int64_t to) {
    for (const Source& s : sources_) {
        char* out = regions_[0].data + s.to.offset;
        for (auto r = from; r < to; r++) {
            const auto row = e.order ? e.order[r] : r;
            const char* in = s.data + row * s.row_bytes;
            if (s.integer) {
                convert(in, s.kind, reinterpret_cast<std::int64_t*>(out) + (r - from) * s.elements, s.elements);
            } else {
                convert(in, s.kind, reinterpret_cast<T*>(out) + (r - from) * s.elements, s.elements);
            }
        }
    }
    if (e.weight) {
        T* w = pointer(weight_);
        for (auto r = from; r < to; r++) w[r - from] = T(e.weight[e.order ? e.order[r] : r]);
    }
}

template <class T> Outcome Program<T>::run(const Epoch& e) {
    using clock = std::chrono::steady_clock;
    const auto until = clock::now() + std::chrono::duration<double>(e.seconds);
    const auto pieces = std::int64_t(e.cuts.size()) - 1, metric_count = std::int64_t(phases_[metrics].size());
    const std::int64_t width = losses_ + metric_count;
    std::vector<double> all(width * e.accumulate);
    Region& gradient = regions_[2];
    Outcome out{0, 0.0, false, 0};
    while (out.done < e.count && !*e.stop) {
        const auto first = (e.start + out.done) * e.accumulate;
        if (first >= pieces) {
            out.ended = true;
            break;
        }
        const auto last = std::min(first + e.accumulate, pieces);
        double total = 0, value = 0;
        for (auto piece = first; piece < last; piece++) total += e.shares[piece - e.start * e.accumulate];
        std::memset(gradient.data, 0, gradient.bytes);
        for (auto piece = first; piece < last; piece++) {
            Moment at{e.cuts[piece + 1] - e.cuts[piece], e.weight != nullptr, e.step + out.done,
                      piece - first, e.step + out.done + 1, total, e.rates[out.done]};
            double* sums = all.data() + (piece - first) * width;
            gather(e, e.cuts[piece], e.cuts[piece + 1]);
            execute(forward, at, nullptr);
            execute(loss, at, sums);
            double share = 0;
            for (std::int64_t k = 0; k < losses_; k++) share += sums[k];
            value += total ? share / total : 0.0;
            if (!std::isfinite(value)) {
                out.diverged = 1, out.loss = value;
                return out;
            }
            execute(backward, at, nullptr);
            execute(metrics, at, sums + losses_);
        }
        out.loss = value;
        if (!kernel_finite(reinterpret_cast<const T*>(gradient.data), gradient.bytes / std::int64_t(sizeof(T)))) {
            out.diverged = 2;
            return out;
        }
        execute(update, Moment{0, 0, e.step + out.done, 0, e.step + out.done + 1, total, e.rates[out.done]},
                nullptr);
        for (auto piece = first; piece < last; piece++) {
            e.tally[0] += e.shares[piece - e.start * e.accumulate];
            for (std::int64_t k = 0; k < width; k++) e.tally[k + 1] += all[(piece - first) * width + k];
        }
        out.done++;
        if (clock::now() > until) break;
    }
    return out;
}

template class Program<float>;
template class Program<double>;

}  // namespace pellucid
