// Formulas against their naive form: every step by itself, with NaN and infinities, then random lines
// of steps, flat and in lines. Their text is spoiled at random: refused, or nothing outside is touched.
#include "calling.hpp"

namespace {

using namespace pellucid;

const double kUpdate[] = {0.1, 0.25, -2};  // the numbers of an update

struct Text {  // what Formula.encoded makes in Python
    i64 per = 1, K = 1, flat = 1, blocks = 6, lines = 2;
    Numbers constants = {0.5, -2}, reals;
    i64 numbers = 3, kind[kPlaces] = {}, length[kPlaces] = {};
    std::vector<FormulaStep> scalars, steps;

    Whole whole() const {
        Whole w = {per, K, flat, blocks, lines, i64(constants.size()), numbers, i64(scalars.size()), i64(steps.size()), 0};
        for (int k = 0; k < kPlaces; k++) w.push_back(kind[k]), w.push_back(length[k]);
        for (auto* list : {&scalars, &steps})
            for (const FormulaStep& s : *list) w.insert(w.end(), {s.op, s.to, s.a, s.b, s.c});
        return w;
    }
    Numbers all_reals() const {
        Numbers all = constants;
        all.insert(all.end(), reals.begin(), reals.end());
        return all;
    }
};
void read(FormulaText& into, const Whole& whole, const Numbers& reals) {
    read_formula(into, whole.data(), i64(whole.size()), reals.data(), i64(reals.size()));
}

double naive(int op, double a, double b, double c) {
    const bool nan = std::isnan(a) || std::isnan(b);
    switch (op) {
        case f_copy: return a;
        case f_negative: return -a;
        case f_not: return 1 - a;
        case f_absolute: return std::fabs(a);
        case f_sqrt: return std::sqrt(a);
        case f_square: return a * a;
        case f_exp: return std::exp(a);
        case f_log: return std::log(a);
        case f_log1p: return std::log1p(a);
        case f_expm1: return std::expm1(a);
        case f_tanh: return std::tanh(a);
        case f_sinh: return std::sinh(a);
        case f_cosh: return std::cosh(a);
        case f_sin: return std::sin(a);
        case f_cos: return std::cos(a);
        case f_rint: return std::nearbyint(a);
        case f_floor: return std::floor(a);
        case f_ceil: return std::ceil(a);
        case f_sign: return std::isnan(a) ? a : (a > 0) - (a < 0);
        case f_add: return a + b;
        case f_subtract: return a - b;
        case f_multiply: return a * b;
        case f_divide: return a / b;
        case f_maximum: return nan ? kNaN : std::fmax(a, b);
        case f_minimum: return nan ? kNaN : std::fmin(a, b);
        case f_power: return std::pow(a, b);
        case f_copysign: return std::copysign(a, b);
        case f_less: return a < b;
        case f_less_equal: return a <= b;
        case f_equal: return a == b;
        case f_not_equal: return a != b;
        default: return a != 0 ? b : c;  // where
    }
}
int arity(int op) { return op < f_add ? 1 : op < f_where ? 2 : 3; }

// y = op(x, z, v), where one of them may be a number
template <class T> void test_steps() {
    for (int op = 0; op <= f_where; op++) {
        const i64 B = pick({1, 5, 64}), N = pick({1, 3, 16, 200, 3000}), n = B * N;
        Numbers x = random_numbers(n, 3), z = random_numbers(n, 2), v = random_numbers(n), y(n);
        for (int k = 0; k < 6; k++) {
            x[whole(0, n - 1)] = Numbers{0, -0.0, kInfinity, -kInfinity, kNaN, 1}[k];
            z[whole(0, n - 1)] = Numbers{0, 1, kInfinity, -kInfinity, kNaN, 3}[k];
        }
        if (op == f_where)
            for (double& c : x) c = whole(0, 1);
        const int of_number = int(whole(0, arity(op)));  // 0: none
        Text t;
        t.kind[0] = t.kind[1] = t.kind[2] = t.kind[3] = o_values;
        int from[3] = {1, 2, 3};
        if (of_number && (arity(op) > 1)) from[of_number - 1] = -1 - int(whole(0, 1));
        t.steps = {{op, 0, from[0], from[1], from[2]}};
        FormulaText made;
        read(made, t.whole(), t.all_reals());
        check(made.formula.writes == 1, "what it writes");
        const auto at = [&](int k, i64 i) { return from[k] < 0 ? t.constants[-1 - from[k]] : k == 0 ? x[i] : k == 1 ? z[i] : v[i]; };
        for (i64 i = 0; i < n; i++) y[i] = naive(op, at(0, i), at(1, i), at(2, i));
        Call<T> c("formula", B, {0, 0, 1, 0});
        c.i.formula = &made.formula, c.m.numbers = kUpdate;
        c.rows(0, v).rows(1, x).rows(2, z).rows(3, v).run();
        const bool large = op == f_exp || op == f_sinh || op == f_cosh || op == f_power || op == f_divide;
        c.near(0, y, large ? 100 : 1);
    }
}

// Random steps: some registers of blocks (8 to 13) and of one number a line (14, 15).
struct Naive {
    std::vector<Numbers> at;  // by place
    Numbers over;
    double total = 0;
};
template <class T> void test_lines() {
    Text t;
    const i64 B = pick({1, 2, 7, 60, 400});
    t.flat = whole(0, 1), t.per = t.flat ? 1 : pick({1, 3, 6, 20}), t.K = pick({1, 2, 3, 8, 16, 33, 100, 511, 512, 513, 1300});
    const i64 K = t.K, L = B * t.per, n = L * K, groups = t.flat ? 1 : t.per % 2 ? pick({1, t.per}) : pick({1, 2, t.per});
    const i64 columns = t.flat ? 1 : pick({1, K, groups * K});
    if (n > 200000) return;
    t.kind[0] = t.kind[1] = t.kind[2] = o_values, t.kind[3] = o_column, t.length[3] = columns;
    const bool integers = whole(0, 1);  // operand 2
    if (integers) t.kind[2] = o_whole_values;
    if (!t.flat) t.kind[4] = o_over, t.length[4] = pick({1, K, groups * K}), t.kind[5] = t.kind[6] = o_lines;
    t.reals = random_numbers(std::max(K, i64(6)));
    Numbers number = t.constants;
    number.insert(number.end(), kUpdate, kUpdate + 3);
    for (int op : {f_add, f_multiply, f_subtract}) {
        const int a = int(whole(0, i64(number.size()) - 1)), b = int(whole(0, i64(number.size()) - 1));
        t.scalars.push_back({op, -1 - int(number.size()), -1 - a, -1 - b, 0});
        number.push_back(naive(op, number[a], number[b], 0));
    }
    Naive v;
    v.at.assign(16, Numbers(n));
    Whole numbered(n);
    for (i64& i : numbered) i = whole(-3, 3);
    const Numbers x = random_numbers(n), z = integers ? Numbers(numbered.begin(), numbered.end()) : random_numbers(n), column = random_numbers(columns), weight = random_numbers(B);
    const Numbers line = random_numbers(L), over = random_numbers(t.flat ? 1 : t.length[4]), old = random_numbers(n);
    v.at[0] = old, v.at[1] = x, v.at[2] = z, v.at[5] = v.at[6] = line, v.over = over;
    const i64 weighted = whole(0, 1), added = whole(0, 1);
    const double scale = 0.5, share = scale / double(B);
    const auto row_of = [&](i64 i, i64 size) { return i / (size / B); };
    const auto fresh = [&] { return int(whole(8, 13)); };
    for (int r = 8; r < 14; r++) {  // every register gets a value first
        const int from = int(whole(1, 2));
        t.steps.push_back({from == 2 && integers ? f_integers : f_copy, r, from, 0, 0});
        v.at[r] = v.at[t.steps.back().a];
    }
    for (int r = 14; r < 16 && !t.flat; r++) t.steps.push_back({f_copy, r, 5, 0, 0}), v.at[r] = line;
    for (int s = 0; s < 10; s++) {
        const int to = fresh(), a = fresh(), b = fresh();
        Numbers& y = v.at[to];
        switch (whole(0, t.flat ? 4 : 9)) {
            case 0: {  // smooth, so that rounding stays small
                const int ops[] = {f_negative, f_tanh, f_square, f_absolute, f_sin, f_copy}, op = ops[whole(0, 5)];
                t.steps.push_back({op, to, a, 0, 0});
                for (i64 i = 0; i < n; i++) y[i] = naive(op, v.at[a][i], 0, 0);
                t.steps.push_back({f_tanh, to, to, 0, 0});
                for (double& w : y) w = std::tanh(w);
                break;
            }
            case 1: {
                const int ops[] = {f_add, f_subtract, f_multiply, f_maximum, f_minimum}, op = ops[whole(0, 4)];
                const int k = int(whole(0, i64(number.size()) - 1));
                const bool single = whole(0, 1);
                t.steps.push_back({op, to, a, single ? -1 - k : b, 0});
                Numbers made(n);
                for (i64 i = 0; i < n; i++) made[i] = std::tanh(naive(op, v.at[a][i], single ? number[k] : v.at[b][i], 0));
                t.steps.push_back({f_tanh, to, to, 0, 0});
                y = made;
                break;
            }
            case 2: {
                const i64 from = whole(0, 2), count = whole(3, i64(t.reals.size()) - from);
                if (count > 6) break;
                t.steps.push_back({f_polynomial, to, a, int(from + i64(t.constants.size())), int(count)});
                Numbers made(n);
                for (i64 i = 0; i < n; i++)
                    for (i64 k = 0; k < count; k++) made[i] = made[i] * v.at[a][i] + t.reals[from + k];
                y = made;
                t.steps.push_back({f_tanh, to, to, 0, 0});
                for (double& w : y) w = std::tanh(w);
                break;
            }
            case 3: {
                const bool constant = !t.flat && whole(0, 1);
                t.steps.push_back({f_tile, to, constant ? -1 : 3, int(t.constants.size()), int(K)});
                for (i64 i = 0; i < n; i++) y[i] = constant ? t.reals[i % K] : column[i % columns];
                break;
            }
            case 4: {
                const int op = whole(0, 1) ? f_times : f_counts;
                t.steps.push_back({op, to, 0, 0, 0});
                for (i64 i = 0; i < n; i++)
                    y[i] = (op == f_times ? share : 1) * (weighted ? weight[row_of(i, n)] : 1);
                break;
            }
            case 5: {
                const int op = int(whole(f_sum, f_min)), line_to = int(whole(14, 15));
                t.steps.push_back({op, line_to, a, 0, 0});
                v.at[line_to].resize(L);
                for (i64 l = 0; l < L; l++) {
                    double made = v.at[a][l * K];
                    for (i64 k = 1; k < K; k++) made = op == f_sum ? made + v.at[a][l * K + k] : naive(op == f_max ? f_maximum : f_minimum, made, v.at[a][l * K + k], 0);
                    v.at[line_to][l] = made;
                }
                if (op == f_sum) {
                    t.steps.push_back({f_tanh, line_to, line_to, 0, 0});
                    for (double& w : v.at[line_to]) w = std::tanh(w);
                }
                break;
            }
            case 6: {
                const int from = int(whole(14, 16)) == 16 ? 5 : 14;
                t.steps.push_back({f_spread, to, from, 0, 0});
                for (i64 i = 0; i < n; i++) y[i] = v.at[from][i / K];
                break;
            }
            case 7: {
                const int op = whole(0, 1) ? f_times : f_multiply;
                t.steps.push_back({op, 15, 14, 5, 0});
                Numbers made(L);
                for (i64 l = 0; l < L; l++)
                    made[l] = op == f_times ? share * (weighted ? weight[row_of(l, L)] : 1) : v.at[14][l] * line[l];
                v.at[15] = made;
                break;
            }
            case 9: {
                t.steps.push_back({f_across, 15, 14, 0, int(groups)});
                Numbers made(L);
                for (i64 l = 0; l < L; l++)
                    for (i64 k = l / t.per * t.per; k < (l / t.per + 1) * t.per; k++)
                        if (k % t.per % groups == l % t.per % groups) made[l] += v.at[14][k];
                v.at[15] = made;
                t.steps.push_back({f_tanh, 15, 15, 0, 0});
                for (double& w : v.at[15]) w = std::tanh(w);
                break;
            }
            case 8: {
                t.steps.push_back({f_multiply, 6, 14, -1, 0});
                for (i64 l = 0; l < L; l++) v.at[6][l] = v.at[14][l] * t.constants[0];
                break;
            }
        }
    }
    const bool sums = whole(0, 1), lines_summed = !t.flat && whole(0, 1);
    t.steps.push_back({f_copy, 0, 8, 0, 0});
    if (!t.flat) {
        t.steps.push_back({f_over, 4, 9, 0, 0});
        Numbers all(over.size());
        double whole_sum = 0;
        for (i64 i = 0; i < n; i++) all[i % i64(over.size())] += v.at[9][i], whole_sum += v.at[9][i];
        for (std::size_t k = 0; k < over.size(); k++)
            v.over[k] = (added ? over[k] : 0) + (over.size() == 1 ? whole_sum : all[k]);
    }
    if (sums) {
        const int from = lines_summed ? 14 : 10;
        const i64 size = lines_summed ? L : n;
        t.steps.push_back({f_total, -1, from, -2, 0});
        for (i64 i = 0; i < size; i++) v.total += v.at[from][i] * (weighted ? weight[row_of(i, size)] : 1) * t.constants[1] * scale;
    }
    FormulaText made;
    read(made, t.whole(), t.all_reals());
    Call<T> c("formula", B, {0, double(sums), scale, double(added)});
    c.i.formula = &made.formula, c.m.numbers = kUpdate, c.m.weighted = weighted;
    c.rows(0, old).rows(1, x).fixed(3, column).rows(7, weight);
    if (integers) c.indices(2, numbered);
    else c.rows(2, z);
    if (!t.flat) c.fixed(4, over).rows(5, line).rows(6, line);
    c.run();
    c.near(0, v.at[8], 100);
    if (!t.flat) c.near(4, v.over, 100 + double(n)), c.near(6, v.at[6], 100);
    if (sums) c.near_sum(0, v.total, 100 + double(n));
    for (int k = 0; k < 20; k++) {  // a text with something changed
        Whole spoilt = t.whole();
        for (i64 times = whole(1, 3); times > 0; times--) {
            i64& at = spoilt[whole(0, i64(spoilt.size()) - 1)];
            at = whole(0, 1) ? at + pick({-40, -8, -1, 1, 2, 8, 30}) : pick({-1, 0, 1, 3, 7, 8, 13, 100, i64(1) << 27, i64(1) << 62});
        }
        FormulaText other;
        try {
            read(other, spoilt, t.all_reals());
        } catch (const std::invalid_argument&) {
            continue;
        }
        Call<T> d = c;
        d.i.formula = &other.formula, d.i.whole[1] = other.formula.sums;
        if (other.formula.numbers <= 3 && d.sound() && d.scratch(d.m.rows) < 1 << 22) d.once(), Call<T>::survived++;
    }
}

template <class T> void test_all(int trials) {
    for (int trial = 0; trial < trials; trial++) test_steps<T>(), test_lines<T>(), test_lines<T>(), test_lines<T>();
}

}  // namespace

int main(int count, char** arguments) {
    const int trials = begin(count, arguments, 25);
    test_all<float>(trials);
    test_all<double>(trials);
    std::printf("spoiled formulas that are sound: %ld\n", long(Call<float>::survived + Call<double>::survived));
    std::puts("all good");
}
