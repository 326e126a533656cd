#include "formula.hpp"

#include <stdexcept>

namespace pellucid {

namespace {

void need(bool holds) {
    if (!holds) throw std::invalid_argument("a formula is not sound");
}

// The kind of what is at a place that a step reads or writes.
int kind_of(const Formula& f, int place) {
    return place < kPlaces ? f.kind[place] : place < kPlaces + f.blocks ? o_values : o_lines;
}

// How many places a step reads.
int reads(int op) {
    if (op < f_add) return 1;
    if (op < f_where) return 2;
    switch (op) {
        case f_where: return 3;
        case f_counts:
        case f_times:
        case f_integers:
        case f_tile: return 0;  // their own check
        default: return 1;
    }
}

void check_scalar_steps(const Formula& f) {
    int known = f.constants + f.numbers;
    for (int k = 0; k < f.scalar_count; k++, known++) {
        const FormulaStep& s = f.scalars[k];
        need(s.op == f_add || s.op == f_subtract || s.op == f_multiply || s.op == f_divide);
        need(s.to == -1 - known && s.a < 0 && s.b < 0 && s.a >= -known && s.b >= -known);
    }
}

void check_step(Formula& f, const FormulaStep& s) {
    const int known = f.constants + f.numbers + f.scalar_count, places = kPlaces + f.blocks + f.lines;
    auto readable = [&](int place, int kind) { return place >= 0 && place < places && kind_of(f, place) == kind; };
    auto scalar = [&](int place) { return place < 0 && place >= -known; };
    auto writable = [&](int kind) {
        need(readable(s.to, kind));
        if (s.to < kPlaces) f.writes |= 1u << s.to;
    };
    need(s.op >= 0 && s.op < f_ops);
    switch (s.op) {
        case f_sum:
        case f_max:
        case f_min:
            need(!f.flat && readable(s.a, o_values));
            writable(o_lines);
            f.reduces++;
            return;
        case f_across:
            need(!f.flat && readable(s.a, o_lines) && s.c >= 1 && s.c <= f.per && f.per % s.c == 0);
            writable(o_lines);
            return;
        case f_spread:
            need(!f.flat && readable(s.a, o_lines));
            writable(o_values);
            return;
        case f_over:
            need(!f.flat && readable(s.a, o_values) && s.to < kPlaces);
            writable(o_over);
            f.overs++;
            return;
        case f_total:
            need(s.to == -1);
            need((readable(s.a, o_values) || (!f.flat && readable(s.a, o_lines))) && s.b < 0 && s.b >= -f.constants);
            f.sums++;
            return;
    }
    need(s.to >= 0 && s.to < places);
    const int kind = kind_of(f, s.to);
    need(kind == o_values || (kind == o_lines && !f.flat));
    writable(kind);
    if (s.op == f_tile) {
        const i64 wide = kind == o_lines || f.flat ? 1 : f.K;
        if (s.a >= 0) need(s.a < kPlaces && f.kind[s.a] == o_column && (f.length[s.a] == 1 || (kind == o_values && !f.flat)));
        else need(s.c == wide && s.b >= 0 && s.b <= f.real_count - s.c);
        return;
    }
    if (s.op == f_integers) {
        need(s.a >= 0 && s.a < kPlaces && f.kind[s.a] == (kind == o_values ? o_whole_values : o_whole_lines));
        return;
    }
    if (s.op == f_polynomial) need(s.c >= 3 && s.b >= 0 && s.b <= f.real_count - s.c && readable(s.a, kind));
    const int from[3] = {s.a, s.b, s.c}, count = reads(s.op);
    int arrays = 0;
    for (int k = 0; k < count; k++) {
        need(readable(from[k], kind) || scalar(from[k]));
        arrays += from[k] >= 0;
    }
    need(arrays || count == 0 || s.op == f_copy);
}

}  // namespace

void read_formula(FormulaText& into, const i64* whole, i64 count, const double* real, i64 real_count) {
    constexpr i64 head = 10, behind = head + 2 * kPlaces, limit = i64(1) << 28;
    Formula& f = into.formula;
    need(count >= behind);
    for (i64 k = 0; k < count; k++) need(whole[k] >= -limit && whole[k] <= limit);
    f.per = whole[0], f.K = whole[1], f.flat = whole[2] != 0;
    need(f.per >= 1 && f.K >= 1);
    need(whole[3] >= 0 && whole[3] <= kRegisters && whole[4] >= 0 && whole[3] + whole[4] <= kRegisters);
    f.blocks = int(whole[3]), f.lines = int(whole[4]);
    need(whole[5] >= 0 && whole[5] <= kScalars && whole[6] >= 0 && whole[6] <= kScalars && whole[7] >= 0);
    f.constants = int(whole[5]), f.numbers = int(whole[6]);
    need(f.constants + f.numbers + whole[7] <= kScalars && f.constants <= real_count);
    need(whole[8] >= 0 && count - behind == 5 * (whole[7] + whole[8]));
    for (int k = 0; k < kPlaces; k++) {
        f.kind[k] = int(whole[head + 2 * k]), f.length[k] = whole[head + 2 * k + 1];
        need(f.kind[k] >= 0 && f.kind[k] < o_kinds);
        if (f.kind[k] >= o_whole_values) f.wide |= 1u << k;
        const bool column = f.kind[k] == o_column || f.kind[k] == o_over;
        f.whole |= column && f.length[k] > f.K;
        need(!column || f.length[k] == 1 || (f.length[k] >= 1 && f.length[k] % f.K == 0 && f.per % (f.length[k] / f.K) == 0));
    }
    for (i64 k = behind; k < count; k += 5)
        into.steps.push_back({int(whole[k]), int(whole[k + 1]), int(whole[k + 2]), int(whole[k + 3]), int(whole[k + 4])});
    into.reals.assign(real, real + real_count);
    f.scalars = into.steps.data(), f.scalar_count = int(whole[7]);
    f.steps = f.scalars + f.scalar_count, f.step_count = int(whole[8]);
    f.reals = into.reals.data(), f.real_count = real_count;
    for (int k = 0; k < f.step_count; k++) f.whole |= f.steps[k].op == f_across;
    need(!f.whole || (!f.flat && f.per <= limit / f.K));
    check_scalar_steps(f);
    for (int k = 0; k < f.step_count; k++) check_step(f, f.steps[k]);
    need(f.sums <= 1 && f.overs <= 4);
}

}  // namespace pellucid
