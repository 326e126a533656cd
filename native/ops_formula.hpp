// A formula's steps, one after another on a block of values that stays in the first-level cache. Each
// step is one loop over vectors; which, is looked up once a block. formula.hpp says what a formula is.
#pragma once

#include "formula.hpp"
#include "ops_loss.hpp"

namespace pellucid::PELLUCID_TIER {

template <class T> constexpr i64 kBlock = 2048 / i64(sizeof(T));  // values of a block

template <class T> struct From {  // what a step reads: values, or one number for all
    const T* values;              // null: the number
    T number;
};

// y = f(a), f(a, b), f(a, b, c) for n values
template <class T, class F> void each(T* y, From<T> a, i64 n, F f) {
    const Vec<T> all = splat(a.number);
    if (a.values) in_vectors<T>(n, [=](i64 i, auto k) { store(y + i, Vec<T>(f(load(a.values + i, k))), k); });
    else in_vectors<T>(n, [=](i64 i, auto k) { store(y + i, Vec<T>(f(all)), k); });
}
template <class T, class F> void each(T* y, From<T> a, From<T> b, i64 n, F f) {
    const Vec<T> one = splat(a.number), two = splat(b.number);
    const T *x = a.values, *z = b.values;
    if (x && z) in_vectors<T>(n, [=](i64 i, auto k) { store(y + i, Vec<T>(f(load(x + i, k), load(z + i, k))), k); });
    else if (x) in_vectors<T>(n, [=](i64 i, auto k) { store(y + i, Vec<T>(f(load(x + i, k), two)), k); });
    else in_vectors<T>(n, [=](i64 i, auto k) { store(y + i, Vec<T>(f(one, load(z + i, k))), k); });
}
template <class T> void choose(T* y, From<T> condition, From<T> a, From<T> b, i64 n) {
    const auto of = [](From<T> x, i64 i, auto k) { return x.values ? Vec<T>(load(x.values + i, k)) : splat(x.number); };
    in_vectors<T>(n, [=](i64 i, auto k) {
        const Vec<T> c = of(condition, i, k), yes = of(a, i, k), no = of(b, i, k);
        store(y + i, Vec<T>(c != Vec<T>{} ? yes : no), k);
    });
}

// the same for functions of single numbers
template <class T, class F> void one_by_one(T* y, From<T> a, From<T> b, i64 n, F f) {
    for (i64 i = 0; i < n; i++) y[i] = f(a.values ? a.values[i] : a.number, b.values ? b.values[i] : b.number);
}
template <class T, class F> void side_by_side(T* y, From<T> a, i64 n, F f) {
    if (!a.values) return one_by_one(y, a, a, n, [=](T x, T) { return f(x); });
    const T* x = a.values;
    PELLUCID_SIDE_BY_SIDE
    for (i64 i = 0; i < n; i++) y[i] = f(x[i]);
}

// y = (…(c[0] t + c[1]) t + …) + c[count - 1]
template <class T> void polynomial(T* y, const T* t, const double* c, int count, i64 n) {
    i64 i = 0;
    for (; i + 4 * W<T> <= n; i += 4 * W<T>) {
        Vec<T> at[4], sum[4];
        for (int k = 0; k < 4; k++) at[k] = load(t + i + k * W<T>), sum[k] = T(c[0]) * at[k];
        for (int j = 1; j < count - 1; j++)
            for (int k = 0; k < 4; k++) sum[k] = (sum[k] + T(c[j])) * at[k];
        for (int k = 0; k < 4; k++) store(y + i + k * W<T>, sum[k] + T(c[count - 1]));
    }
    in_vectors<T>(n - i, [=](i64 k, auto m) {
        const Vec<T> at = load(t + i + k, m);
        Vec<T> sum = T(c[0]) * at;
        for (int j = 1; j < count - 1; j++) sum = (sum + T(c[j])) * at;
        store(y + i + k, sum + T(c[count - 1]), m);
    });
}

template <class T> inline Vec<T> truth(decltype(Vec<T>{} < Vec<T>{}) holds) { return holds ? splat(T(1)) : Vec<T>{}; }
template <class T> inline Vec<T> with_sign_of(Vec<T> x, Vec<T> sign) {
    const Bits<T> top = as<Bits<T>>(splat(T(-0.0)));
    return as<Vec<T>>((as<Bits<T>>(x) & ~top) | (as<Bits<T>>(sign) & top));
}

// A step of one operand, or two, for n values
template <class T> void of_one(int op, T* y, From<T> a, i64 n) {
    const auto whole = [=](void (*f)(const T*, T*, std::int64_t)) {
        if (!a.values) in_vectors<T>(n, [=](i64 i, auto k) { store(y + i, splat(a.number), k); });
        f(a.values ? a.values : y, y, n);
    };
    using V = Vec<T>;
    switch (op) {
        case f_copy: return each(y, a, n, [](V x) { return x; });
        case f_negative: return each(y, a, n, [](V x) { return -x; });
        case f_not: return each(y, a, n, [](V x) { return T(1) - x; });
        case f_absolute: return each(y, a, n, [](V x) { return with_sign_of<T>(x, V{}); });
        case f_square: return each(y, a, n, [](V x) { return x * x; });
        case f_sign: return each(y, a, n, [](V x) { return x > V{} ? splat(T(1)) : x < V{} ? splat(T(-1)) : x == V{} ? V{} : x; });
        case f_sqrt: return side_by_side(y, a, n, [](T x) { return std::sqrt(x); });
        case f_rint: return side_by_side(y, a, n, [](T x) { return std::rint(x); });
        case f_floor: return side_by_side(y, a, n, [](T x) { return std::floor(x); });
        case f_ceil: return side_by_side(y, a, n, [](T x) { return std::ceil(x); });
        case f_sin: return one_by_one(y, a, a, n, [](T x, T) { return std::sin(x); });
        case f_cos: return one_by_one(y, a, a, n, [](T x, T) { return std::cos(x); });
        case f_exp: return whole(vexp<T>);
        case f_log: return whole(vlog<T>);
        case f_log1p: return whole(vlog1p<T>);
        case f_expm1: return whole(vexpm1<T>);
        case f_tanh: return whole(vtanh<T>);
        case f_sinh: return whole(vsinh<T>);
        case f_cosh: return whole(vcosh<T>);
    }
}
template <class T> void of_two(int op, T* y, From<T> a, From<T> b, i64 n) {
    using V = Vec<T>;
    switch (op) {
        case f_add: return each(y, a, b, n, [](V x, V z) { return x + z; });
        case f_subtract: return each(y, a, b, n, [](V x, V z) { return x - z; });
        case f_multiply: return each(y, a, b, n, [](V x, V z) { return x * z; });
        case f_divide: return each(y, a, b, n, [](V x, V z) { return x / z; });
        case f_maximum: return each(y, a, b, n, [](V x, V z) { return ((z > x) | (z != z)) ? z : x; });
        case f_minimum: return each(y, a, b, n, [](V x, V z) { return ((z < x) | (z != z)) ? z : x; });
        case f_power: return one_by_one(y, a, b, n, [](T x, T z) { return std::pow(x, z); });
        case f_copysign: return each(y, a, b, n, [](V x, V z) { return with_sign_of<T>(x, z); });
        case f_less: return each(y, a, b, n, [](V x, V z) { return truth<T>(x < z); });
        case f_less_equal: return each(y, a, b, n, [](V x, V z) { return truth<T>(x <= z); });
        case f_equal: return each(y, a, b, n, [](V x, V z) { return truth<T>(x == z); });
        case f_not_equal: return each(y, a, b, n, [](V x, V z) { return truth<T>(x != z); });
    }
}

// f(K) with K a constant where lines are short, so that loops over them are unrolled
template <class F> void short_lines(i64 K, F&& f) {
    switch (K) {
        case 1: return f(std::integral_constant<i64, 1>{});
        case 2: return f(std::integral_constant<i64, 2>{});
        case 3: return f(std::integral_constant<i64, 3>{});
        case 4: return f(std::integral_constant<i64, 4>{});
        case 8: return f(std::integral_constant<i64, 8>{});
        case 16: return f(std::integral_constant<i64, 16>{});
        default: return f(K);
    }
}

// one number a line: the sum, the greatest or the least of K values; NaN wins
template <class T> void along_lines(int op, T* y, const T* a, i64 lines, i64 K) {
    if (op == f_sum && K < 4 * W<T>)
        return short_lines(K, [=](auto length) {
            PELLUCID_SIDE_BY_SIDE
            for (i64 i = 0; i < lines; i++) {
                T sum = a[i * length];
                for (i64 k = 1; k < length; k++) sum += a[i * length + k];
                y[i] = sum;
            }
        });
    for (i64 i = 0; i < lines; i++, a += K) {
        if (op == f_sum) {
            y[i] = sum_of(a, K);
        } else if (op == f_max && K > 32) {
            y[i] = top_of(a, K);
        } else {
            T value = a[0];
            if (op == f_max)
                for (i64 k = 1; k < K; k++) value = ((a[k] > value) | (a[k] != a[k])) ? a[k] : value;
            else
                for (i64 k = 1; k < K; k++) value = ((a[k] < value) | (a[k] != a[k])) ? a[k] : value;
            y[i] = value;
        }
    }
}
template <class T> void spread_lines(T* y, const T* line, i64 lines, i64 K) {
    if (K < W<T> || K <= 16)
        return short_lines(K, [=](auto length) {
            PELLUCID_SIDE_BY_SIDE
            for (i64 i = 0; i < lines; i++)
                for (i64 k = 0; k < length; k++) y[i * length + k] = line[i];
        });
    for (i64 i = 0; i < lines; i++)
        in_vectors<T>(K, [y = y + i * K, all = splat(line[i])](i64 k, auto n) { store(y + k, all, n); });
}
// column, over and over, to n values
template <class T> void repeat(T* y, i64 period, i64 n) {
    for (i64 done = lesser(period, n); done < n; done *= 2)
        std::memcpy(y + done, y, std::size_t(lesser(done, n - done)) * sizeof(T));
}

// y[l] = the sum of the a[k] of the same row of `per` lines with k % groups == l % groups
template <class T> void across_lines(T* y, const T* a, i64 lines, i64 per, i64 groups) {
    for (i64 row = 0; row < lines; row += per, y += per, a += per) {
        for (i64 g = 0; g < groups; g++) y[g] = a[g];
        if (groups == 1 && per > W<T>) y[0] = sum_of(a, per);
        else if (groups >= W<T>)
            for (i64 l = groups; l < per; l += groups)
                in_vectors<T>(groups, [=](i64 g, auto n) { store(y + g, load(y + g, n) + load(a + l + g, n), n); });
        else
            for (i64 l = groups; l < per; l += groups)
                for (i64 g = 0; g < groups; g++) y[g] += a[l + g];
        repeat(y, groups, per);
    }
}

// ---- a block -------------------------------------------------------------------------------------

// Values that a sum over lines has, and room for each of them.
inline i64 over_width(const Formula& q, int operand) { return q.length[operand] == 1 ? q.K : q.length[operand]; }
inline i64 over_size(const Formula& q) {
    i64 size = q.K;
    for (int k = 0; k < kPlaces; k++)
        if (q.kind[k] == o_over) size = size < q.length[k] ? q.length[k] : size;
    return size;
}

template <class T> struct Formulary {  // a formula at work: what is the same for all blocks of a part
    const Frame<T>& f;
    const Formula& q;
    const T* number;  // number -1 - k stands at k
    Share<T> share;
    i64 row;          // values of a row of the batch, where it is flat
    T* place[kPlaces + kRegisters];
    T* overs;  // sums over lines
    double total = 0;

    bool lined(int at) const { return at < kPlaces ? q.kind[at] == o_lines : at >= kPlaces + q.blocks; }

    // put(i, w) for the `n` values from number `at` on, w the weight of their row of `size` values
    template <class F> void by_rows(i64 at, i64 n, i64 size, F&& put) const {
        for (i64 i = 0; i < n;) {
            const i64 batch_row = (at + i) / size, end = lesser(n, (batch_row + 1) * size - at);
            const T w = share.weight[batch_row];
            for (; i < end; i++) put(i, w);
        }
    }

    // the values from `at` on, `n` of them, in lines from `first` on
    void run(i64 at, i64 n, i64 first, i64 lines) {
        const i64 K = q.K;
        for (int k = 0; k < kPlaces; k++)
            if (q.kind[k] == o_values) place[k] = f.at[k] + at;
            else if (q.kind[k] == o_lines) place[k] = f.at[k] + first;
        int over = 0;
        for (int s = 0; s < q.step_count; s++) {
            const FormulaStep& step = q.steps[s];
            const bool in_lines = step.op == f_total ? lined(step.a) : lined(step.to);
            const i64 many = in_lines ? lines : n, from = in_lines ? first : at;
            const i64 size = q.flat ? row : in_lines ? q.per : q.per * K;
            T* y = step.to >= 0 ? place[step.to] : nullptr;
            const auto of = [&](int k) { return k >= 0 ? From<T>{place[k], T(0)} : From<T>{nullptr, number[-1 - k]}; };
            if (step.op < f_add) of_one(step.op, y, of(step.a), many);
            else if (step.op < f_where) of_two(step.op, y, of(step.a), of(step.b), many);
            else switch (step.op) {
                case f_where: choose(y, of(step.a), of(step.b), of(step.c), many); break;
                case f_polynomial: polynomial(y, place[step.a], q.reals + step.b, step.c, many); break;
                case f_sum:
                case f_max:
                case f_min: along_lines(step.op, y, place[step.a], lines, K); break;
                case f_across: across_lines(y, place[step.a], lines, q.per, step.c); break;
                case f_spread: spread_lines(y, place[step.a], lines, K); break;
                case f_tile: tile(y, step, many); break;
                case f_integers: whole_numbers(y, reinterpret_cast<const i64*>(f.at[step.a]) + from, many); break;
                case f_counts: fill(y, T(1), many, from, size); break;
                case f_times: fill(y, share.share, many, from, size); break;
                case f_over: add_over(overs + over++ * over_size(q), place[step.a], n, over_width(q, step.to)); break;
                case f_total: total += sum(place[step.a], many, from, size); break;
            }
        }
    }

    void tile(T* y, const FormulaStep& step, i64 n) const {
        const i64 wide = step.a >= 0 ? q.length[step.a] : step.c, some = lesser(wide, n);
        if (step.a >= 0 && wide == 1) return of_one(f_copy, y, From<T>{nullptr, f.at[step.a][0]}, n);
        if (step.a >= 0) std::memcpy(y, f.at[step.a], std::size_t(some) * sizeof(T));
        else
            for (i64 i = 0; i < some; i++) y[i] = T(q.reals[step.b + i]);
        repeat(y, wide, n);
    }
    static void whole_numbers(T* y, const i64* x, i64 n) {
        for (i64 i = 0; i < n; i++) y[i] = T(x[i]);
    }
    void fill(T* y, T value, i64 n, i64 at, i64 size) const {
        if (!share.weight) return of_one(f_copy, y, From<T>{nullptr, value}, n);
        by_rows(at, n, size, [=](i64 i, T w) { y[i] = w * value; });
    }
    static void add_over(T* sums, const T* a, i64 n, i64 K) {
        const i64 lines = n / K;
        if (K < W<T>) {
            for (i64 i = 0; i < lines; i++)
                for (i64 k = 0; k < K; k++) sums[k] += a[i * K + k];
        } else {
            in_vectors<T>(K, [=](i64 k, auto n) {
                Vec<T> sum = load(sums + k, n);
                for (i64 i = 0; i < lines; i++) sum += load(a + i * K + k, n);
                store(sums + k, sum, n);
            });
        }
    }
    double sum(const T* a, i64 n, i64 at, i64 size) const {
        T counted[kBlock<T>];
        double all = 0;
        for (i64 start = 0; start < n; start += kBlock<T>) {
            const i64 some = lesser(kBlock<T>, n - start);
            const T* from = a + start;
            if (share.weight) {
                by_rows(at + start, some, size, [&](i64 i, T w) { counted[i] = from[i] * w; });
                from = counted;
            }
            all += sum_in_doubles(from, some);
        }
        return all;
    }
};

// ---- the whole -----------------------------------------------------------------------------------

// Operands: 7 is the rows' weight, where there is a loss. Numbers: which formula; whether a sum comes
// back; the loss's scale; whether sums over lines are added to what is there.
inline void check_formula(const Check& c) {
    c.need(c.i.formula != nullptr);
    const Formula& q = *c.i.formula;
    int first = -1;  // operand of values or lines
    bool rows = !q.flat || q.sums;
    for (int s = 0; s < q.step_count; s++) rows |= q.steps[s].op == f_times || q.steps[s].op == f_counts;
    for (int k = 0; k < kPlaces; k++) {
        if (q.kind[k] == o_absent) continue;
        c.need(c.there(k));
        if (q.kind[k] == o_column || q.kind[k] == o_over) c.need(c.fixed(k) && c.size(k) == q.length[k]);
        else if (q.kind[k] == o_whole_values && q.flat) rows = true;  // see below
        else if (q.kind[k] == o_whole_values) c.need(c.rowwise(k) && c.size(k) % q.K == 0 && c.size(k) / q.K == q.per);
        else if (q.kind[k] == o_lines || q.kind[k] == o_whole_lines) c.need(!q.flat && c.rowwise(k) && c.size(k) == q.per);
        else if (q.flat) c.need(c.size(k) >= 1 && (first < 0 || (c.size(k) == c.size(first) && c.rowwise(k) == c.rowwise(first))));
        else c.need(c.rowwise(k) && c.size(k) % q.K == 0 && c.size(k) / q.K == q.per);
        if (q.kind[k] == o_values || q.kind[k] == o_lines) first = first < 0 ? k : first;
    }
    c.need(first >= 0 && (!rows || c.rowwise(first)) && c.n(1) == q.sums);
    for (int k = 0; k < kPlaces; k++)
        c.need(!q.flat || q.kind[k] != o_whole_values || (c.rowwise(k) && c.size(k) == c.size(first)));
    c.need(q.kind[7] == o_absent && (!c.there(7) || (c.rowwise(7) && c.size(7) == 1)));
}

// What is worked off together at least: a line, or all of a row; in lines.
inline i64 unit_of(const Formula& q) { return q.whole ? q.per : 1; }
template <class T> bool small_lines(const Formula& q) { return q.flat || unit_of(q) * q.K <= kBlock<T>; }
inline i64 formula_width(const Formula& q) { return (q.flat ? 1 : unit_of(q) * q.K) * (1 + q.step_count / 4); }
template <class T> i64 formula_registers(const Formula& q) {  // of a part, where lines are long
    return small_lines<T>(q) ? 0 : ceil_div((q.blocks * q.K + q.lines) * unit_of(q), i64(LINE<T>)) * LINE<T>;
}
template <class T> i64 scratch_formula(const Instruction& i, i64 rows) {
    const Formula& q = *i.formula;
    if (q.flat) return 0;
    return most_parts(rows * q.per / unit_of(q), formula_width(q)) * (formula_registers<T>(q) + q.overs * over_size(q));
}

template <class T> void numbers_of(T (&number)[kScalars], const Formula& q, const double* given) {
    double exact[kScalars];
    int known = 0;
    for (int k = 0; k < q.constants; k++) exact[known++] = q.reals[k];
    for (int k = 0; k < q.numbers; k++) exact[known++] = given[k];
    for (int k = 0; k < q.scalar_count; k++) {
        const double a = exact[-1 - q.scalars[k].a], b = exact[-1 - q.scalars[k].b];
        const int op = q.scalars[k].op;
        exact[known++] = op == f_add ? a + b : op == f_subtract ? a - b : op == f_multiply ? a * b : a / b;
    }
    for (int k = 0; k < known; k++) number[k] = T(exact[k]);
}

template <class T> void run_formula(const Frame<T>& f) {
    const Formula& q = *f.i->formula;
    T number[kScalars];
    numbers_of(number, q, f.m->numbers);
    int first = 0;
    while (q.kind[first] != o_values && q.kind[first] != o_lines) first++;
    const double scale = f.i->real[2], sum_width = double(f.m->total ? scale / f.m->total : 0.0);
    const Share<T> share{f.m->weighted ? f.at[7] : nullptr, T(sum_width)};
    const i64 K = q.K, lines = f.m->rows * q.per, values = q.flat ? count(f, first) : lines * K;
    const i64 own = formula_registers<T>(q), room = over_size(q), overs = q.overs * room, unit = unit_of(q);
    double sums[kParts];
    const int parts = in_parts(q.flat ? values : lines / unit, formula_width(q), [&](int part, i64 from, i64 size) {
        alignas(64) T memory[kRegisters * kBlock<T>];
        T* scratch = f.scratch + part * (own + overs);
        Formulary<T> at{f, q, number, share, f.i->at[first].elements, {}, scratch + own};
        const bool small = small_lines<T>(q);
        for (int k = 0; k < q.blocks + q.lines; k++)
            at.place[kPlaces + k] = small ? memory + k * kBlock<T> : k < q.blocks ? scratch + k * unit * K
                                                                 : scratch + (q.blocks * K + k - q.blocks) * unit;
        for (i64 k = 0; k < overs; k++) at.overs[k] = T(0);
        const i64 high = q.flat ? kBlock<T> : small ? kBlock<T> / (unit * K) * unit : unit;
        if (!q.flat) from *= unit, size *= unit;
        for (i64 i = from; i < from + size; i += high) {
            const i64 some = lesser(high, from + size - i);
            if (q.flat) at.run(i, some, 0, 0);
            else at.run(i * K, some * K, i, some);
        }
        sums[part] = at.total;
    });
    int over = 0;
    for (int s = 0; s < q.step_count; s++) {
        const FormulaStep& step = q.steps[s];
        if (step.op == f_total) {
            double all = 0;
            for (int part = 0; part < parts; part++) all += sums[part];
            f.sums[0] = all * (scale * q.reals[-1 - step.b]);
        } else if (step.op == f_over) {
            T* to = f.at[step.to];
            const bool one = q.length[step.to] == 1 && K > 1, added = f.i->whole[3] || f.m->part > 0;
            double whole = 0;
            for (i64 k = 0; k < over_width(q, step.to); k++) {
                double sum = 0;
                for (int part = 0; part < parts; part++) sum += double(f.scratch[part * (own + overs) + own + over * room + k]);
                whole += sum;
                if (!one) to[k] = added ? T(to[k] + sum) : T(sum);
            }
            if (one) to[0] = added ? T(to[0] + whole) : T(whole);
            over++;
        }
    }
}

}  // namespace pellucid::PELLUCID_TIER
