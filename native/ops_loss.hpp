// l = loss(p, y) a row, Σ w l, and dp = scale · w/Σw · ∂l/∂p: opcodes for losses and metrics. Without
// operand dp only the value is computed. Rows are worked off in parts, whose sums are added in order;
// weights of 1 give the bits of no weights.
#pragma once

#include "ops_scores.hpp"

namespace pellucid::PELLUCID_TIER {

// What a row's gradient is multiplied by, and what its value counts: scale·w/Σw and w. Where a row has
// several places with a class each, such as an image's pixels, a place stands for a row here.
template <class T> struct Share {
    const T* weight;
    T share;
    i64 places = 1;
    T of(i64 row) const { return weight ? weight[row / places] * share : share; }
    double counts(i64 row) const { return weight ? double(weight[row / places]) : 1.0; }
};
template <class T> Share<T> share_of(const Frame<T>& f, i64 places = 1) {
    const double scale = f.i->real[1], total = f.m->total;
    return {f.m->weighted ? f.at[3] : nullptr, T(total ? scale / total / double(places) : 0.0), places};
}

inline void check_loss(const Check& c) {
    c.need(c.rowwise(1) && c.rowwise(2) && c.rowwise(3) && c.size(1) > 0 && c.size(3) == 1 && c.n(0) >= 1);
    c.need(!c.there(0) || (c.rowwise(0) && c.size(0) == c.size(1)));
}

// The sum of f(part, first, rows) for parts of the rows, `width` values each.
template <class F> double sum_of_rows(i64 rows, i64 width, F&& f) {
    double of[kParts], sum = 0;
    const int parts = in_parts(rows, width, [&](int part, i64 first, i64 size) { of[part] = f(part, first, size); });
    for (int part = 0; part < parts; part++) sum += of[part];
    return sum;
}

// ---- distances ---------------------------------------------------------------------------------

enum Distance { squared, binary };
constexpr i64 kSome = 256;  // values that are worked off at a time

template <class T> struct Weights {  // of some values: what their losses count, and their gradients
    T counts[kSome], times[kSome];
};

// loss = (p - y)², slope = 2 (p - y) · by
template <class T> void squares(T* loss, T* slope, const T* p, const T* y, const Weights<T>& w, i64 n, T by) {
    PELLUCID_SIDE_BY_SIDE
    for (i64 i = 0; i < n; i++) {
        const T error = p[i] - y[i];
        loss[i] = error * error * w.counts[i];
        slope[i] = error * (2 * by) * w.times[i];
    }
}

// loss = max(p, 0) - p·y + log1p(e), slope = (σ(p) - y) · by with e = exp(-|p|)
template <class T> void binaries(T* loss, T* slope, const T* p, const T* y, const Weights<T>& w, i64 n, T by) {
    T e[kSome], rest[kSome];
    for (i64 i = 0; i < n; i++) e[i] = -std::fabs(p[i]);
    vexp(e, e, n);
    vlog1p(e, rest, n);
    PELLUCID_SIDE_BY_SIDE
    for (i64 i = 0; i < n; i++) {
        const T value = p[i];
        loss[i] = ((value < 0 ? T(0) : value) - value * y[i] + rest[i]) * w.counts[i];
        slope[i] = ((value >= 0 ? T(1) : e[i]) / (1 + e[i]) - y[i]) * by * w.times[i];
    }
}

template <class T> double sum_in_doubles(const T* x, i64 n) {
    double part[8] = {}, sum = 0;
    i64 i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++) part[k] += double(x[i + k]);
    for (; i < n; i++) sum += double(x[i]);
    for (double p : part) sum += p;
    return sum;
}

// squared: l = ((p - y)**2).mean(axis=1); dp = share * 2 * (p - y) / N
// binary: l = (max(p, 0) - p*y + log1p(exp(-|p|))).mean(axis=1); dp = share * (σ(p) - y) / N
// For the values from … to of rows of n.
template <class T>
double distances(Distance kind, T* dp, const T* p, const T* y, Share<T> share, i64 from, i64 to, i64 n, i64 of) {
    T loss[kSome], slope[kSome];
    Weights<T> w;
    double sum = 0;
    for (i64 i = 0; i < kSome; i++) w.counts[i] = T(1), w.times[i] = share.share;
    for (i64 at = from; at < to; at += kSome) {
        const i64 some = lesser(kSome, to - at);
        if (share.weight)
            for (i64 i = 0, row = at / n, next = row * n + n - at; i < some; i++) {
                if (i == next) row++, next += n;
                w.counts[i] = share.weight[row], w.times[i] = share.of(row);
            }
        T* out = dp ? dp + at : slope;
        if (kind == squared) squares(loss, out, p + at, y + at, w, some, T(1) / T(of));
        else binaries(loss, out, p + at, y + at, w, some, T(1) / T(of));
        sum += sum_in_doubles(loss, some);
    }
    return sum / double(of);
}
inline void check_distance(const Check& c) {
    check_loss(c);
    c.need(c.size(1) == c.size(2));
}
template <class T, Distance kind> void run_distance(const Frame<T>& f) {
    const i64 n = f.i->at[1].elements, of = f.i->whole[0];
    f.sums[0] = f.i->real[1] * sum_of_rows(f.m->rows, 2 * n, [&](int, i64 first, i64 rows) {
        return distances(kind, f.at[0], f.at[1], f.at[2], share_of(f), first * n, (first + rows) * n, n, of);
    });
}

// ---- cross-entropy -----------------------------------------------------------------------------

// Rows in class numbers: l = log(exp(p).sum(axis=1)) - p[y]; dp = share * (softmax(p) - onehot(y)). A label
// outside the classes gives NaN and reads nothing.
struct Labels {
    const i64* y;
    i64 K;
    i64 of(i64 row) const {  // -1: outside
        const i64 label = read_once(y + row);
        return label >= 0 && label < K ? label : -1;
    }
};

// n <= W rows from `row` on, of K <= kSide classes
template <class T> double cross_entropy_side(T* dp, const T* p, Labels y, Share<T> share, i64 row, i64 n) {
    Turned<T> z;
    alignas(64) T mass[W<T>], logs[W<T>], times[W<T>] = {};
    i64 label[W<T>];
    T at[W<T>];
    double sum = 0;
    z.from_rows(p + row * y.K, y.K, n);
    const Vec<T> top = z.top(y.K);
    for (i64 k = 0; k < y.K; k++) store(z[k], load(z[k]) - top);
    for (i64 i = 0; i < n; i++) {
        label[i] = y.of(row + i);
        at[i] = label[i] < 0 ? std::numeric_limits<T>::quiet_NaN() : z[label[i]][i];
    }
    vexp(z.of, z.of, y.K * W<T>);
    store(mass, z.sum(y.K));
    vlog(mass, logs, W<T>);
    for (i64 i = 0; i < n; i++) sum += double(logs[i] - at[i]) * share.counts(row + i), times[i] = share.of(row + i);
    if (!dp) return sum;
    const Vec<T> by = load(times) / load(mass);
    for (i64 k = 0; k < y.K; k++) store(z[k], load(z[k]) * by);
    for (i64 i = 0; i < n; i++)
        if (label[i] >= 0) z[label[i]][i] -= times[i];
    z.to_rows(std::false_type{}, dp + row * y.K, y.K, n);
    return sum;
}
// one row; without dp, out is scratch
template <class T> double cross_entropy_row(T* out, const T* p, Labels y, Share<T> share, i64 row, bool back) {
    const i64 K = y.K, label = y.of(row);
    const Vec<T> top = splat(top_of(p, K));
    in_vectors<T>(K, [=](i64 k, auto n) { store(out + k, load(p + k, n) - top, n); });
    const T at = label < 0 ? std::numeric_limits<T>::quiet_NaN() : out[label];
    vexp(out, out, K);
    const T mass = sum_of(out, K), times = share.of(row), by = times / mass;
    if (back) {
        in_vectors<T>(K, [=](i64 k, auto n) { store(out + k, load(out + k, n) * by, n); });
        if (label >= 0) out[label] -= times;
    }
    return double(std::log(mass) - at) * share.counts(row);
}
template <class T> void run_cross_entropy(const Frame<T>& f) {
    const i64 K = f.i->whole[0];
    const Labels y{reinterpret_cast<const i64*>(f.at[2]), K};
    const i64 places = f.i->whole[2];
    const auto share = share_of(f, places);
    f.sums[0] = f.i->real[1] / double(places) * sum_of_rows(f.m->rows * places, 8 * K, [&](int part, i64 first, i64 rows) {
        double sum = 0;
        for (i64 i = first, n; i < first + rows; i += n) {
            n = K > kSide ? 1 : lesser(W<T>, first + rows - i);
            T* out = f.at[0] ? f.at[0] + i * K : f.scratch + part * K;
            if (K > kSide) sum += cross_entropy_row(out, f.at[1] + i * K, y, share, i, f.at[0] != nullptr);
            else sum += cross_entropy_side(f.at[0], f.at[1], y, share, i, n);
        }
        return sum;
    });
}
inline void check_cross_entropy(const Check& c) {
    check_loss(c);
    c.need(c.n(2) >= 1 && c.n(2) <= c.size(1) && c.size(1) % c.n(2) == 0);
    c.need(c.size(1) / c.n(2) == c.n(0) && c.size(2) == c.n(2));
}
template <class T> i64 scratch_classes(const Instruction& i, i64 rows) {  // for rows without dp
    return i.whole[0] > kSide ? i.whole[0] * most_parts(rows * i.whole[2], 8 * i.whole[0]) : 0;
}

// l = -(y * log(softmax(p))).sum(axis=1); dp = share * (p - y); y are rows of probabilities
template <class T>
double cross_entropy_rows_side(T* dp, const T* p, const T* y, Share<T> share, i64 row, i64 n, i64 K) {
    Turned<T> z, truth;
    alignas(64) T mass[W<T>], logs[W<T>], all[W<T>], at[W<T>], times[W<T>] = {};
    double sum = 0;
    z.from_rows(p + row * K, K, n);
    truth.from_rows(y + row * K, K, n);
    const Vec<T> top = z.top(K);
    Vec<T> picked{};
    for (i64 k = 0; k < K; k++) {
        store(z[k], load(z[k]) - top);
        picked += load(truth[k]) * load(z[k]);
    }
    vexp(z.of, z.of, K * W<T>);
    store(mass, z.sum(K)), store(all, truth.sum(K)), store(at, picked);
    vlog(mass, logs, W<T>);
    for (i64 i = 0; i < n; i++)
        sum += double(logs[i] * all[i] - at[i]) * share.counts(row + i), times[i] = share.of(row + i);
    if (!dp) return sum;
    const Vec<T> by = load(all) / load(mass);
    for (i64 k = 0; k < K; k++) store(z[k], (load(z[k]) * by - load(truth[k])) * load(times));
    z.to_rows(std::false_type{}, dp + row * K, K, n);
    return sum;
}
template <class T>
double cross_entropy_rows_row(T* out, const T* p, const T* y, Share<T> share, i64 row, i64 K, bool back) {
    const Vec<T> top = splat(top_of(p, K));
    Vec<T> picked{};
    in_vectors<T>(K, [&](i64 k, auto n) {
        const Vec<T> z = load(p + k, n) - top;
        picked += load(y + k, n) * z;
        store(out + k, z, n);
    });
    vexp(out, out, K);
    const T mass = sum_of(out, K), all = sum_of(y, K), by = all / mass, times = share.of(row);
    if (back)
        in_vectors<T>(K, [=](i64 k, auto n) { store(out + k, (load(out + k, n) * by - load(y + k, n)) * times, n); });
    return double(std::log(mass) * all - lanes_sum<T>(picked)) * share.counts(row);
}
template <class T> void run_cross_entropy_rows(const Frame<T>& f) {
    const i64 K = f.i->whole[0];
    const i64 places = f.i->whole[2];
    const auto share = share_of(f, places);
    f.sums[0] = f.i->real[1] / double(places) * sum_of_rows(f.m->rows * places, 8 * K, [&](int part, i64 first, i64 rows) {
        double sum = 0;
        for (i64 i = first, n; i < first + rows; i += n) {
            n = K > kSide ? 1 : lesser(W<T>, first + rows - i);
            T *out = f.at[0] ? f.at[0] + i * K : f.scratch + part * K, *p = f.at[1] + i * K, *y = f.at[2] + i * K;
            if (K > kSide) sum += cross_entropy_rows_row(out, p, y, share, i, K, f.at[0] != nullptr);
            else sum += cross_entropy_rows_side(f.at[0], f.at[1], f.at[2], share, i, n, K);
        }
        return sum;
    });
}
inline void check_cross_entropy_rows(const Check& c) {
    check_loss(c);
    c.need(c.n(2) >= 1 && c.n(2) <= c.size(1) && c.size(1) % c.n(2) == 0);
    c.need(c.size(1) / c.n(2) == c.n(0) && c.size(2) == c.size(1));
}

// ---- metrics -----------------------------------------------------------------------------------

// p.argmax(axis=1) == y, where the first NaN is the greatest: bits of n <= W rows from `row` on
template <class T> std::uint32_t right_side(const T* p, Labels y, i64 row, i64 n) {
    Turned<T> z;
    alignas(64) T best[W<T>];
    z.from_rows(p + row * y.K, y.K, n);
    Vec<T> top = load(z.of), at{};
    for (i64 k = 1; k < y.K; k++) {
        const Vec<T> value = load(z[k]);
        at = (value > top) | ((value != value) & (top == top)) ? splat(T(k)) : at;
        top = larger<T>(top, value);
    }
    store(best, at);
    std::uint32_t right = 0;
    for (i64 i = 0; i < n; i++) right |= std::uint32_t(best[i] == T(y.of(row + i))) << i;
    return right;
}
template <class T> bool right_row(const T* p, Labels y, i64 row) {
    const i64 label = y.of(row);
    const T top = top_of(p, y.K);
    auto greatest = [=](i64 k) { return p[k] == top || (p[k] != p[k] && top != top); };
    if (label < 0 || !greatest(label)) return false;
    for (i64 k = 0; k < label; k++)
        if (greatest(k)) return false;
    return true;
}

// (sum of weight * (p.argmax(axis=1) == y), sum of weight)
template <class T> void run_accuracy(const Frame<T>& f) {
    const i64 K = f.i->whole[0];
    const Labels y{reinterpret_cast<const i64*>(f.at[1]), K};
    const i64 places = f.i->whole[1];
    const Share<T> share{f.m->weighted ? f.at[2] : nullptr, T(0), places};
    double all = 0;
    for (i64 i = 0; i < f.m->rows; i++) all += share.counts(i * places);
    f.sums[1] = all * double(places);
    f.sums[0] = sum_of_rows(f.m->rows * places, 2 * K, [&](int, i64 first, i64 rows) {
        double sum = 0;
        for (i64 i = first, n; i < first + rows; i += n) {
            n = K > kSide ? 1 : lesser(W<T>, first + rows - i);
            const std::uint32_t right = K > kSide ? right_row(f.at[0] + i * K, y, i) : right_side(f.at[0], y, i, n);
            for (i64 k = 0; k < n; k++) sum += right >> k & 1 ? share.counts(i + k) : 0.0;
        }
        return sum;
    });
}
inline void check_accuracy(const Check& c) {
    c.need(c.rowwise(0) && c.rowwise(1) && c.rowwise(2) && c.n(0) >= 1 && c.n(1) >= 1);
    c.need(c.n(1) <= c.size(0) && c.size(0) % c.n(1) == 0 && c.size(0) / c.n(1) == c.n(0));
    c.need(c.size(1) == c.n(1) && c.size(2) == 1);
}

}  // namespace pellucid::PELLUCID_TIER
