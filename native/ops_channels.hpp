// Normalisation over all axes but the last, and rows of a table looked up.
//
// Where there are few channels, some rows are glued together to a line of whole vectors; each place of
// a line has sums of its own, which are put together by channels at the end. Lines are cut in parts;
// each part works out its mean first and then the squares about that, while it is in the cache, and
// parts are put together as in Chan, Golub, LeVeque, "Algorithms for computing the sample variance",
// The American Statistician 37, 1983.
#pragma once

#include "ops.hpp"

namespace pellucid::PELLUCID_TIER {

template <class T> struct Lines {
    i64 C, glued, width, count, rest;  // rows of a line; values of one; lines; values that are left over
    Lines(i64 rows, i64 C) : C(C), glued(1) {
        const i64 even = W<T> / lesser(W<T>, C & -C), wanted = 8 * W<T>;  // rows; values that keep adders busy
        if (even * C <= 4 * wanted) glued = even * most(1, wanted / (even * C));
        width = glued * C, count = rows / glued, rest = rows % glued * C;
    }
};
template <class T> i64 scratch_lines(i64 rows, i64 C) {
    const Lines<T> l(rows, C);
    return (2 * most_parts(l.count, l.width) + 8) * l.width + LINE<T>;
}
template <class T> T* aligned(T* p) { return p + (64 - reinterpret_cast<std::uintptr_t>(p) % 64) % 64 / sizeof(T); }

template <class T, int K> struct Values {
    Vec<T> of[K];
};

// sums (K, width) = Σ over lines of f(at, c, n), K values for those of x at `at`, at place c of a line
template <class T, int K, int N, class End, class F>
PELLUCID_INLINED void sum_strip(T* sums, i64 width, i64 lines, i64 c, End n, F&& f) {
    Vec<T> sum[K][N] = {};
    for (i64 line = 0; line < lines; line++)
#pragma GCC unroll 8
        for (int j = 0; j < N; j++) {
            const Values<T, K> value = f(line * width + c + j * W<T>, c + j * W<T>, n);
#pragma GCC unroll 2
            for (int k = 0; k < K; k++) sum[k][j] += value.of[k];
        }
    for (int k = 0; k < K; k++)
        for (int j = 0; j < N; j++) store(sums + k * width + c + j * W<T>, sum[k][j], n);
}
template <class T, int K, class F> void sum_lines(T* sums, i64 width, i64 lines, F&& f) {
    i64 c = 0;
    for (; c + 8 * W<T> <= width; c += 8 * W<T>) sum_strip<T, K, 8>(sums, width, lines, c, All{}, f);
    for (; c + 2 * W<T> <= width; c += 2 * W<T>) sum_strip<T, K, 2>(sums, width, lines, c, All{}, f);
    for (; c + W<T> <= width; c += W<T>) sum_strip<T, K, 1>(sums, width, lines, c, All{}, f);
    if (c < width) sum_strip<T, K, 1>(sums, width, lines, c, int(width - c), f);
}

// line (width) = channels (C), over and over
template <class T> void spread(T* line, const T* channels, const Lines<T>& l) {
    for (i64 i = 0; i < l.width; i++) line[i] = channels[i % l.C];
}

// channels (C) = what a line (width) has for them, added up
template <class T> void fold(T* channels, const T* line, const Lines<T>& l) {
    for (i64 c = 0; c < l.C; c++) channels[c] = 0;
    for (i64 i = 0; i < l.width; i += l.C)
        for (i64 c = 0; c < l.C; c++) channels[c] += line[i + c];
}

// f(at, c, n) for the vectors of all lines and of what is left over
template <class T, class F> void over_lines(const Lines<T>& l, F f) {
    in_row_pieces(l.count, l.width, [&](i64 first, i64 last) {
        for (i64 line = first; line < last; line++)
            in_vectors<T>(l.width, [&](i64 c, auto n) { f(line * l.width + c, c, n); });
    });
    in_vectors<T>(l.rest, [&](i64 c, auto n) { f(l.count * l.width + c, c, n); });
}

// ---- normalisation -----------------------------------------------------------------------------

// mean (C), variance (C) of x; scratch: two lines for each part, and two more
template <class T> void moments(const Lines<T>& l, const T* x, i64 rows, T* mean, T* variance, T* scratch) {
    const i64 L = l.width;
    T *total = scratch, *whole = total + L, *sums = whole + L;
    i64 sizes[kParts] = {};
    const int parts = in_parts(l.count, L, [&](int part, i64 first, i64 size) {
        T *middle = sums + part * 2 * L, *squares = middle + L;
        const T *from = x + first * L, by = T(1) / T(size > 0 ? size : 1);
        sizes[part] = size;
        sum_lines<T, 1>(middle, L, size, [=](i64 at, i64, auto n) { return Values<T, 1>{{load(from + at, n)}}; });
        for (i64 c = 0; c < L; c++) middle[c] *= by;
        sum_lines<T, 1>(squares, L, size, [=](i64 at, i64 c, auto n) {
            const Vec<T> off = load(from + at, n) - load(middle + c, n);
            return Values<T, 1>{{off * off}};
        });
    });
    const T *rest = x + l.count * L, by = T(1) / T(rows);
    for (i64 c = 0; c < L; c++) total[c] = c < l.rest ? rest[c] : T(0);
    for (int part = 0; part < parts; part++)
        for (i64 c = 0; c < L; c++) total[c] += T(sizes[part]) * sums[part * 2 * L + c];
    fold(mean, total, l);
    for (i64 c = 0; c < l.C; c++) mean[c] *= by;
    spread(whole, mean, l);
    for (i64 c = 0; c < L; c++) total[c] = c < l.rest ? (rest[c] - whole[c]) * (rest[c] - whole[c]) : T(0);
    for (int part = 0; part < parts; part++) {
        const T *middle = sums + part * 2 * L, *squares = middle + L, size = T(sizes[part]);
        for (i64 c = 0; c < L; c++) total[c] += squares[c] + size * (middle[c] - whole[c]) * (middle[c] - whole[c]);
    }
    fold(variance, total, l);
    for (i64 c = 0; c < l.C; c++) variance[c] *= by;
}

// y = (x - x.mean()) / sqrt(x.var() + epsilon) * gamma + beta, channel by channel. In training the
// running mean and variance are moved; `saved` gets μ and 1/σ.
inline void need_channels(const Check& c, int k) { c.need(!c.there(k) || (c.fixed(k) && c.size(k) == c.n(0))); }
inline void check_normalize(const Check& c) {
    c.need(c.n(0) > 0 && c.rowwise(0) && c.rowwise(1) && c.size(0) == c.size(1) && c.size(0) % c.n(0) == 0);
    for (int k : {2, 3, 5, 6}) need_channels(c, k);
    c.need(!c.there(4) || (c.fixed(4) && c.size(4) % 2 == 0 && c.size(4) / 2 == c.n(0)));
    c.need(c.there(5) && c.there(6));
}
template <class T, int X> i64 scratch_normalize(const Instruction& i, i64 rows) {
    return scratch_lines<T>(rows * (i.at[X].elements / i.whole[0]), i.whole[0]);
}
template <class T> void run_normalize(const Frame<T>& f) {
    const i64 C = f.i->whole[0], rows = count(f, 0) / C;
    if (rows == 0) return;
    const Lines<T> l(rows, C);
    const T move = T(1 - f.i->real[1]), epsilon = T(f.i->real[2]), unbiased = T(double(rows) / double(rows - 1));
    T *gamma = f.at[2], *beta = f.at[3], *saved = f.at[4], *running = f.at[5], *variance = f.at[6];
    T *mu = aligned(f.scratch), *by = mu + l.width, *plus = by + l.width, *mean = plus + l.width, *r = mean + l.width;
    if (f.i->whole[3]) {
        moments(l, f.at[1], rows, mean, r, r + l.width);
        for (i64 c = 0; c < C; c++) {
            running[c] += move * (mean[c] - running[c]);
            variance[c] += move * (r[c] * unbiased - variance[c]);
        }
    } else {
        for (i64 c = 0; c < C; c++) mean[c] = running[c], r[c] = variance[c];
    }
    for (i64 c = 0; c < C; c++) r[c] = 1 / std::sqrt(r[c] + epsilon);
    if (saved) std::memcpy(saved, mean, std::size_t(C) * sizeof(T)), std::memcpy(saved + C, r, std::size_t(C) * sizeof(T));
    spread(mu, mean, l);
    for (i64 i = 0; i < l.width; i++) {
        by[i] = gamma ? gamma[i % C] * r[i % C] : r[i % C];
        plus[i] = beta ? beta[i % C] : T(0);
    }
    over_lines(l, [=, y = f.at[0], x = f.at[1]](i64 at, i64 c, auto n) {
        store(y + at, (load(x + at, n) - load(mu + c, n)) * load(by + c, n) + load(plus + c, n), n);
    });
}

// dx (+)= gamma / σ * (dy - mean(dy) - x_hat * mean(dy * x_hat)); dgamma, dbeta (+)= the sums
inline void check_normalize_grad(const Check& c) {
    c.need(c.n(0) > 0 && c.rowwise(1) && c.rowwise(2) && c.size(1) == c.size(2) && c.size(1) % c.n(0) == 0);
    c.need(!c.there(0) || (c.rowwise(0) && c.size(0) == c.size(1)));
    for (int k : {3, 5, 6}) need_channels(c, k);
    c.need(c.fixed(4) && c.size(4) % 2 == 0 && c.size(4) / 2 == c.n(0));
}

// sums (2, C) of dy and dy * x_hat; mu, a line of means; scratch: two lines for each part
template <class T>
void slopes(const Lines<T>& l, T* sums, const T* dy, const T* x, const T* mu, const T* r, T* scratch) {
    const i64 L = l.width;
    const int parts = in_parts(l.count, L, [&](int part, i64 first, i64 size) {
        const T *d = dy + first * L, *from = x + first * L;
        sum_lines<T, 2>(scratch + part * 2 * L, L, size, [=](i64 at, i64 c, auto n) {
            const Vec<T> one = load(d + at, n);
            return Values<T, 2>{{one, one * (load(from + at, n) - load(mu + c, n))}};
        });
    });
    for (int part = 1; part < parts; part++)
        for (i64 c = 0; c < 2 * L; c++) scratch[c] += scratch[part * 2 * L + c];
    for (i64 c = 0, at = l.count * L; c < l.rest; c++)
        scratch[c] += dy[at + c], scratch[L + c] += dy[at + c] * (x[at + c] - mu[c]);
    fold(sums, scratch, l);
    fold(sums + l.C, scratch + L, l);
    for (i64 c = 0; c < l.C; c++) sums[l.C + c] *= r[c];
}
template <class T> void run_normalize_grad(const Frame<T>& f) {
    const i64 C = f.i->whole[0], rows = count(f, 1) / C;
    const bool added = f.i->whole[2] || f.m->part > 0;
    const Lines<T> l(rows, C);
    const T *gamma = f.at[3], *mean = f.at[4], *r = mean + C, n = T(rows > 0 ? rows : 1);
    T *mu = aligned(f.scratch), *by = mu + l.width, *middle = by + l.width, *tilt = middle + l.width;
    T *sums = tilt + l.width, *dgamma = f.at[5], *dbeta = f.at[6];
    spread(mu, mean, l);
    slopes(l, sums, f.at[1], f.at[2], mu, r, sums + 2 * l.width);
    for (i64 c = 0; c < C; c++) {
        if (dbeta) dbeta[c] = added ? dbeta[c] + sums[c] : sums[c];
        if (dgamma) dgamma[c] = added ? dgamma[c] + sums[C + c] : sums[C + c];
    }
    if (!f.at[0]) return;
    for (i64 i = 0; i < l.width; i++) {
        const i64 c = i % C;
        by[i] = gamma ? gamma[c] * r[c] : r[c];
        middle[i] = sums[c] / n, tilt[i] = r[c] * (sums[C + c] / n);
    }
    either(f.i->whole[1], [&](auto adding) {
        over_lines(l, [=, dx = f.at[0], dy = f.at[1], x = f.at[2]](i64 at, i64 c, auto n) {
            const Vec<T> off = (load(x + at, n) - load(mu + c, n)) * load(tilt + c, n);
            const Vec<T> back = (load(dy + at, n) - load(middle + c, n) - off) * load(by + c, n);
            store(dx + at, adding ? load(dx + at, n) + back : back, n);
        });
    });
}

// ---- rows of a table ---------------------------------------------------------------------------

// Operands y with D values for each of x's numbers, and the table (rows, D).
inline void need_lookup(const Check& c, int y, int table, int x) {
    const i64 rows = c.n(0), D = c.n(1), limit = i64(1) << 28;
    c.need(rows > 0 && D > 0 && rows < limit && D < limit && c.fixed(table) && c.size(table) == rows * D);
    c.need(c.rowwise(x) && c.rowwise(y) && c.size(y) % D == 0 && c.size(y) / D == c.size(x));
}

// y = W[x]; a number outside of the table gives NaN and reads nothing
inline void check_lookup(const Check& c) { need_lookup(c, 0, 1, 2); }
template <class T> void run_lookup(const Frame<T>& f) {
    const i64 rows = f.i->whole[0], D = f.i->whole[1];
    const auto* x = reinterpret_cast<const i64*>(f.at[2]);
    in_row_pieces(count(f, 2), D, [&](i64 first, i64 last) {
        for (i64 i = first; i < last; i++) {
            const i64 row = read_once(x + i);
            T* y = f.at[0] + i * D;
            if (row >= 0 && row < rows)
                in_vectors<T>(D, [=, from = f.at[1] + row * D](i64 c, auto n) { store(y + c, load(from + c, n), n); });
            else
                for (i64 c = 0; c < D; c++) y[c] = std::numeric_limits<T>::quiet_NaN();
        }
    });
}

// dW[x] += dy; threads have columns of their own
inline void check_lookup_grad(const Check& c) { need_lookup(c, 1, 0, 2); }
template <class T> void run_lookup_grad(const Frame<T>& f) {
    constexpr i64 columns = 64;
    const i64 rows = f.i->whole[0], D = f.i->whole[1], n = count(f, 2);
    const auto* x = reinterpret_cast<const i64*>(f.at[2]);
    T *dW = f.at[0], *dy = f.at[1];
    if (!f.i->whole[2] && f.m->part == 0)
        in_pieces(rows * D, [=](i64 at, i64 size) { std::memset(dW + at, 0, std::size_t(size) * sizeof(T)); });
    parallel(n * D < 32768 ? 1 : int(ceil_div(D, columns)), [=](int piece) {
        const i64 first = piece * columns, width = n * D < 32768 ? D : lesser(columns, D - first);
        for (i64 i = 0; i < n; i++) {
            const i64 row = read_once(x + i);
            if (row < 0 || row >= rows) continue;
            T *to = dW + row * D + first, *from = dy + i * D + first;
            in_vectors<T>(width, [=](i64 c, auto n) { store(to + c, load(to + c, n) + load(from + c, n), n); });
        }
    });
}

}  // namespace pellucid::PELLUCID_TIER
