// y = f(x), element by element, and what else goes over an array once: opcodes for activations,
// dropout, merges and constant scales.
#pragma once

#include "ops.hpp"
#include "philox.hpp"
#include "vecmath.hpp"

namespace pellucid::PELLUCID_TIER {

enum Map { affine, relu, leaky, sigmoid, tanh_, map_count };

// y = f(x); affine is a·x + b, leaky has slope a
template <class T> void map(T* y, const T* x, i64 n, i64 kind, T a, T b) {
    switch (kind) {
        case affine:
            PELLUCID_SIDE_BY_SIDE
            for (i64 i = 0; i < n; i++) y[i] = x[i] * a + b;
            break;
        case relu:  // NaN stays NaN
            PELLUCID_SIDE_BY_SIDE
            for (i64 i = 0; i < n; i++) y[i] = x[i] < 0 ? T(0) : x[i];
            break;
        case leaky:
            PELLUCID_SIDE_BY_SIDE
            for (i64 i = 0; i < n; i++) y[i] = x[i] < 0 ? a * x[i] : x[i];
            break;
        case sigmoid: vsigmoid(x, y, n); break;
        case tanh_: vtanh(x, y, n); break;
    }
}
inline void check_map(const Check& c) {
    c.need(c.rowwise(0) && c.rowwise(1) && c.size(0) == c.size(1));
    c.need(c.n(0) >= 0 && c.n(0) < map_count);
}
template <class T> void run_map(const Frame<T>& f) {
    in_pieces(count(f, 0), [&](i64 at, i64 n) {
        map(f.at[0] + at, f.at[1] + at, n, f.i->whole[0], T(f.i->real[1]), T(f.i->real[2]));
    });
}

// dx (+)= dy * f'(x), written with y = f(x)
template <class Adding, class T>
void map_grad(Adding adding, T* dx, const T* dy, const T* y, i64 n, i64 kind, T a) {
    switch (kind) {
        case affine:
            PELLUCID_SIDE_BY_SIDE
            for (i64 i = 0; i < n; i++) put(adding, dx[i], dy[i] * a);
            break;
        case relu:
        case leaky:
            PELLUCID_SIDE_BY_SIDE
            for (i64 i = 0; i < n; i++) put(adding, dx[i], dy[i] * (y[i] > 0 ? T(1) : a));
            break;
        case sigmoid:
            PELLUCID_SIDE_BY_SIDE
            for (i64 i = 0; i < n; i++) put(adding, dx[i], dy[i] * (y[i] * (1 - y[i])));
            break;
        case tanh_:
            PELLUCID_SIDE_BY_SIDE
            for (i64 i = 0; i < n; i++) put(adding, dx[i], dy[i] * (1 - y[i] * y[i]));
            break;
    }
}
inline void check_map_grad(const Check& c) {
    c.need(c.rowwise(0) && c.rowwise(1) && c.rowwise(2));
    c.need(c.size(0) == c.size(1) && c.size(0) == c.size(2) && c.n(0) >= 0 && c.n(0) < map_count);
}
template <class T> void run_map_grad(const Frame<T>& f) {
    either(f.i->whole[2], [&](auto adding) {
        in_pieces(count(f, 0), [&](i64 at, i64 n) {
            map_grad(adding, f.at[0] + at, f.at[1] + at, f.at[2] + at, n, f.i->whole[0], T(f.i->real[1]));
        });
    });
}

// y[:, y_start:][:, :width] (+)= x[:, x_start:][:, :width]
inline void check_copy(const Check& c) {
    const i64 width = c.n(0), yw = c.n(1), ys = c.n(2), xw = c.n(3), xs = c.n(4);
    c.need(c.rowwise(0) && c.rowwise(1) && width > 0 && yw > 0 && xw > 0 && ys >= 0 && xs >= 0);
    c.need(width <= yw && ys <= yw - width && width <= xw && xs <= xw - width);
    c.need(c.size(0) % yw == 0 && c.size(1) % xw == 0 && c.size(0) / yw == c.size(1) / xw);
}
template <class T> void run_copy(const Frame<T>& f) {
    const i64 *n = f.i->whole, width = n[0], yw = n[1], xw = n[3];
    T* y = f.at[0] + n[2];
    const T* x = f.at[1] + n[4];
    either(n[5], [&](auto adding) {
        in_row_pieces(count(f, 0) / yw, width, [&](i64 first, i64 last) {
            for (i64 i = first; i < last; i++)
                for (i64 j = 0; j < width; j++) put(adding, y[i * yw + j], x[i * xw + j]);
        });
    });
}

// y = (x - mean) / sqrt(variance), or dx (+)= dy / sqrt(variance); 1 where the variance is rounding
template <class T> T scale_of(T mean, T variance) {
    const T deviation = std::sqrt(variance), noise = 8 * std::numeric_limits<T>::epsilon() * std::fabs(mean);
    return 1 / (deviation > noise ? deviation : T(1));
}
inline void check_standardize(const Check& c) {
    const i64 C = c.n(0);
    c.need(C > 0 && c.rowwise(0) && c.rowwise(1) && c.size(0) == c.size(1) && c.size(0) % C == 0);
    c.need(c.fixed(2) && c.fixed(3) && c.size(2) == C && c.size(3) == C);
}
template <class T> void run_standardize(const Frame<T>& f) {
    const i64 C = f.i->whole[0];
    T *y = f.at[0], *x = f.at[1], *mean = f.at[2];
    in_row_pieces(count(f, 0) / C, C, [&](i64 first, i64 last) {
        for (i64 j = 0; j < C; j++) {
            const T by = scale_of(mean[j], f.at[3][j]);
            for (i64 i = first; i < last; i++) y[i * C + j] = (x[i * C + j] - mean[j]) * by;
        }
    });
}
template <class T> void run_standardize_dx(const Frame<T>& f) {
    const i64 C = f.i->whole[0];
    either(f.i->whole[1], [&](auto adding) {
        in_row_pieces(count(f, 0) / C, C, [&](i64 first, i64 last) {
            for (i64 j = 0; j < C; j++) {
                const T by = scale_of(f.at[2][j], f.at[3][j]);
                for (i64 i = first; i < last; i++) put(adding, f.at[0][i * C + j], f.at[1][i * C + j] * by);
            }
        });
    });
}

// mask = (bits >= rate * 2**32) / (1 - rate); y = x * mask. Eight numbers come of a block.
template <class T>
void dropout(T* y, const T* x, T* mask, i64 from, i64 n, double rate, const i64* key, const Moment& m) {
    constexpr i64 some = 256;
    const double threshold = std::nearbyint(rate * 4294967296.0);
    const auto limit = threshold < 4294967295.0 ? std::uint32_t(threshold) : 4294967295u;
    const T kept = T(1 / (1 - rate));
    std::uint32_t bits[some];
    for (i64 at = from; at < from + n; at += some) {
        const i64 size = lesser(some, from + n - at);
        for (i64 i = 0; i < size; i += 8) {
            std::uint64_t block[4];
            philox4x64(std::uint64_t(key[0]), std::uint64_t(key[1]), std::uint64_t((at + i) / 8 + 1),
                       std::uint64_t(key[2]), std::uint64_t(m.step), std::uint64_t(m.part), block);
            for (int k = 0; k < 4; k++)
                bits[i + 2 * k] = std::uint32_t(block[k]), bits[i + 2 * k + 1] = std::uint32_t(block[k] >> 32);
        }
        PELLUCID_SIDE_BY_SIDE
        for (i64 i = 0; i < size; i++) {
            mask[at + i] = bits[i] >= limit ? kept : T(0);
            y[at + i] = x[at + i] * mask[at + i];
        }
    }
}
inline void check_mask(const Check& c) {
    c.need(c.rowwise(0) && c.rowwise(1) && c.rowwise(2) && c.size(0) == c.size(1) && c.size(0) == c.size(2));
}
inline void check_dropout(const Check& c) {
    check_mask(c);
    c.need(c.i.real[0] >= 0 && c.i.real[0] < 1);
}
template <class T> void run_dropout(const Frame<T>& f) {
    in_pieces(count(f, 0), [&](i64 at, i64 n) {  // pieces are whole blocks of eight
        dropout(f.at[0], f.at[1], f.at[2], at, n, f.i->real[0], f.i->whole + 1, *f.m);
    });
}

// dx (+)= dy * mask
template <class T> void run_multiply(const Frame<T>& f) {
    either(f.i->whole[0], [&](auto adding) {
        in_pieces(count(f, 0), [&](i64 at, i64 n) {
            PELLUCID_SIDE_BY_SIDE
            for (i64 i = at; i < at + n; i++) put(adding, f.at[0][i], f.at[1][i] * f.at[2][i]);
        });
    });
}

}  // namespace pellucid::PELLUCID_TIER
