// Convolution and its gradients, one tier's form: how the work is cut in pieces.
//
// The naive forms:
//
//     y[b, i, j, o] = act(bias[o] + sum over u, v, c of x[b, i', j', c] * W[u, v, c, o])
//     dx[b, i', j', c] = sum over all (i, j, u, v, o) that meet it of dy[b, i, j, o] * W[u, v, c, o]
//     dW[u, v, c, o] = sum over b, i, j of x[b, i', j', c] * dy[b, i, j, o]
//
// with i' = i·sh + u·dh − top and j' = j·sw + v·dw − left, zeros outside, c within o's group.
//
//     job    a band of one image's rows, or for dW some images'; first copied, where it needs zeros
//            around it, to a slot of scratch that stays in the inner caches
//     piece  some jobs, one after another, with one slot; for dW with sums of its own, which are added
//            up in order at the end
#pragma once

#include "conv_depth.hpp"
#include "conv_lanes.hpp"
#include "conv_scatter.hpp"
#include "parallel.hpp"

namespace pellucid::PELLUCID_TIER {

template <class T> constexpr i64 SLOT = 131072 / sizeof(T);   // of a band, unless one row takes more
template <class T> constexpr i64 BLOCK = 32768 / sizeof(T);   // of x and dy that a job of dW sums over
template <class T> constexpr i64 SUMS = 4194304 / sizeof(T);  // of dW, all pieces together
constexpr i64 SWEEP_PIECES = 32, GRADIENT_PIECES = 16, JOB_WORK = 100000;  // multiply-adds

template <class T> T* aligned(T* p) {
    return reinterpret_cast<T*>((reinterpret_cast<std::uintptr_t>(p) + 63) / 64 * 64);
}
template <class T> constexpr i64 whole_lines(i64 n) { return ceil_div(n, LINE<T>) * LINE<T>; }

// ---- forward and dx -----------------------------------------------------------------------------

template <class T> struct SweepPlan {
    Reach rows, columns;
    bool copied;        // bands have zeros around them
    i64 height, bands;  // outputs' rows of a job, jobs of an image
    i64 weights, slot, pieces;
    i64 scratch;  // for this batch or a smaller one
    SweepPlan(const Direction& d, i64 batch, bool masked) : rows(row_reach(d)), columns(column_reach(d)) {
        const ConvShape& s = d.s;
        copied = masked || !rows.inside(d.height()) || !columns.inside(d.width());
        const i64 row = columns.extent(columns.outputs) * d.channels();
        const i64 fits = most(1, (SLOT<T> / most(1, row) - (rows.high - rows.low)) / rows.stride + 1);
        const i64 limit = copied ? least(rows.outputs, fits) : rows.outputs;
        const i64 work = most(1, s.OH * s.OW * s.O * s.kh * s.kw * (s.C / s.groups) / rows.outputs);
        const i64 wanted = most(ceil_div(JOB_WORK, work), rows.outputs * batch / SWEEP_PIECES);
        bands = ceil_div(rows.outputs, most(1, least(limit, wanted)));
        height = ceil_div(rows.outputs, bands);
        pieces = least(SWEEP_PIECES, batch * bands);
        weights = whole_lines<T>(s.kh * s.kw * d.channels() * padded_lanes<T>(d.out_channels() / s.groups));
        slot = copied ? whole_lines<T>(rows.extent(height) * row) : 0;
        scratch = weights + (copied ? least(SWEEP_PIECES, batch * rows.outputs) * whole_lines<T>(rows.extent(limit) * row) : 0);
    }
};

template <class T>
void sweep(const Direction& d, i64 batch, const T* x, const T* relu, const T* weights, T* y, bool add,
           const Epilogue<T>& end, T* scratch) {
    const SweepPlan<T> plan(d, batch, relu != nullptr);
    if (batch == 0) return;
    T* const packed = aligned(scratch);
    T* to = packed;
    const bool deep = depthwise(d.s);
    d.sweeps([&](const Axis& r, const Axis& c) {
        to = deep ? pack_depth(d.s, r, c, weights, to) : pack_sweep(d, r, c, weights, to);
    });
    const i64 x_image = d.height() * d.width() * d.channels();
    const i64 y_image = d.out_height() * d.out_width() * d.out_channels();
    const i64 jobs = batch * plan.bands;
    parallel(static_cast<int>(plan.pieces), [&](int piece) {
        T* const slot = packed + plan.weights + piece * plan.slot;
        for (i64 job = part(jobs, piece, plan.pieces); job < part(jobs, piece + 1, plan.pieces); ++job) {
            const i64 image = job / plan.bands, t0 = job % plan.bands * plan.height;
            const i64 t1 = least(t0 + plan.height, plan.rows.outputs);
            const Image<T> from{x + image * x_image, relu ? relu + image * x_image : nullptr, d.height(),
                                d.width(), d.channels()};
            Band<T> band{from.data, 0, 0, d.width() * d.channels()};
            if (plan.copied) {
                const i64 r0 = t0 * plan.rows.stride + plan.rows.low, width = plan.columns.extent(plan.columns.outputs);
                band = {slot, r0, plan.columns.low, width * d.channels()};
                copy_band(slot, from, r0, r0 + plan.rows.extent(t1 - t0), plan.columns.low, plan.columns.low + width);
            }
            const T* w = packed;
            d.sweeps([&](const Axis& r, const Axis& c) {
                const Target<T> target{y + image * y_image, add, end};
                w = (deep ? depth_rows<T> : sweep_rows<T>)(d, r, c, t0, t1, band, w, target);
            });
        }
    });
}

template <class T>
void conv_forward(const ConvShape& s, i64 batch, const T* x, const T* weights, T* y, const Epilogue<T>& end,
                  T* scratch) {
    sweep({s, false}, batch, x, static_cast<const T*>(nullptr), weights, y, false, end, scratch);
}

template <class T>
void conv_dx(const ConvShape& s, i64 batch, const T* dy, const T* relu, const T* weights, T* dx, bool accumulate,
             T* scratch) {
    const ScatterPlan<T> plan(s, batch, SWEEP_PIECES);
    if (plan.pays && !relu) return scatter(s, plan, batch, dy, weights, dx, accumulate, aligned(scratch));
    sweep({s, true}, batch, dy, relu, weights, dx, accumulate, Epilogue<T>{}, scratch);
}

// ---- dW -----------------------------------------------------------------------------------------

template <class T> struct GradientPlan {
    Axis rows, columns;
    bool deep, x_copied, dy_copied;
    i64 width, dy_width;              // of a copied row of x, in pixels; of dy's pixel, in numbers
    i64 images, height, bands, jobs;  // of a job; jobs of an image, or all
    i64 sums, bias;                   // numbers of a piece's: dW's, db's
    i64 slot, pieces;
    i64 scratch;  // for this batch or a smaller one
    GradientPlan(const ConvShape& s, i64 batch, bool masked)
        : rows(forward_axis(s.OH, s.kh, s.sh, s.dh, s.top)), columns(forward_axis(s.OW, s.kw, s.sw, s.dw, s.left)) {
        Reach r, c;
        r.add(rows), c.add(columns);
        const i64 out = s.O / s.groups;
        deep = depthwise(s) && !masked;
        x_copied = !r.inside(s.H) || !c.inside(s.W);
        dy_copied = !deep && (masked || out % W<T> != 0);
        width = c.extent(s.OW);
        dy_width = deep ? padded_lanes<T>(s.C) : s.groups * padded_lanes<T>(out);
        const i64 x_row = width * s.C, dy_row = s.OW * dy_width;
        const i64 fits = (BLOCK<T> - r.extent(1) * x_row) / (s.sh * x_row + dy_row) + 1;
        bands = ceil_div(s.OH, most(1, least(s.OH, fits)));
        height = ceil_div(s.OH, bands);
        images = bands > 1 ? 1 : most(1, least(fits / s.OH, batch / GRADIENT_PIECES));
        jobs = ceil_div(batch, images) * bands;
        sums = s.kh * s.kw * (s.C / s.groups) * dy_width;
        bias = dy_width;
        pieces = most(1, least(least(GRADIENT_PIECES, jobs), SUMS<T> / sums));
        slot = whole_lines<T>(images * ((x_copied ? r.extent(height) * x_row : 0) + (dy_copied ? height * dy_row : 0)));
        scratch = most(1, least(least(GRADIENT_PIECES, batch * bands), SUMS<T> / sums)) * (whole_lines<T>(sums + bias) + slot);
    }
};

// to (images, rows, columns, groups, whole vectors) = dy, zeros where it has no channels
template <class T>
void copy_outputs(T* to, const Image<T>& dy, i64 groups, i64 rows) {
    const i64 out = dy.channels / groups, width = padded_lanes<T>(out);
    for (i64 i = 0; i < rows * dy.width * groups; ++i) {
        copy(to + i * width, dy.data + i * out, dy.relu ? dy.relu + i * out : nullptr, out);
        clear(to + i * width + out, width - out);
    }
}

template <class T>
void gradient_job(const ConvShape& s, const GradientPlan<T>& plan, i64 batch, i64 job, const T* x, const T* dy,
                  const T* relu, T* slot, T* sums, T* bias, bool add) {
    const i64 b0 = job / plan.bands * plan.images, t0 = job % plan.bands * plan.height;
    const i64 images = least(plan.images, batch - b0), rows = least(plan.height, s.OH - t0);
    const i64 r0 = t0 * s.sh + plan.rows.at, extent = (rows - 1) * s.sh + plan.rows.past() - plan.rows.at;
    Pixels p{images, rows, s.OW, s.H * s.W * s.C, s.sh * s.W * s.C, s.sw * s.C, s.OH * s.OW * s.O, s.OW * s.O, s.O};
    i64 pitch = s.W * s.C;
    const T* from = x + b0 * p.x_image + r0 * pitch + plan.columns.at * s.C;
    if (plan.x_copied) {
        pitch = plan.width * s.C;
        for (i64 b = 0; b < images; ++b)
            copy_band(slot + b * extent * pitch, Image<T>{x + (b0 + b) * p.x_image, nullptr, s.H, s.W, s.C}, r0,
                      r0 + extent, plan.columns.at, plan.columns.at + plan.width);
        from = slot;
        p.x_image = extent * pitch, p.x_row = s.sh * pitch;
        slot += images * extent * pitch;
    }
    const i64 out0 = b0 * p.dy_image + t0 * p.dy_row;
    const T* outputs = dy + out0;
    if (plan.dy_copied) {
        const i64 numbers = rows * s.OW * plan.dy_width;
        for (i64 b = 0; b < images; ++b) {
            const i64 at = out0 + b * p.dy_image;
            copy_outputs(slot + b * numbers, Image<T>{dy + at, relu ? relu + at : nullptr, rows, s.OW, s.O}, s.groups, rows);
        }
        outputs = slot;
        p.dy_image = numbers, p.dy_row = s.OW * plan.dy_width, p.dy_column = plan.dy_width;
    }
    if (plan.deep) return depth_gradient(s, from, pitch, outputs, p, add, sums, bias);
    weight_sums(s, from, pitch, outputs, p, add, sums);
    if (bias) bias_sums(outputs, p, plan.dy_width, add, bias);
}

// to[:n] (+)= sums + the other pieces' sums, `apart` from one to the next
template <class T>
void add_pieces(T* to, const T* sums, i64 n, i64 pieces, i64 apart, bool accumulate) {
    for (i64 i = 0; i < n; i += W<T>) {
        const int there = static_cast<int>(least(W<T>, n - i));
        Vec<T> sum = load(sums + i);
        for (i64 p = 1; p < pieces; ++p) sum = sum + load(sums + p * apart + i);
        if (accumulate) sum = sum + load(to + i, there);
        store(to + i, sum, there);
    }
}

template <class T>
void conv_dw(const ConvShape& s, i64 batch, const T* x, const T* dy, const T* relu, T* dW, T* db, bool accumulate,
             T* scratch) {
    const GradientPlan<T> plan(s, batch, relu != nullptr);
    T* const partial = aligned(scratch);
    const i64 apart = whole_lines<T>(plan.sums + plan.bias), pieces = plan.pieces;
    T* const slots = partial + pieces * apart;
    if (batch == 0) clear(partial, apart);
    parallel(static_cast<int>(pieces), [&](int piece) {
        T* const sums = partial + piece * apart;
        const i64 first = part(plan.jobs, piece, pieces);
        for (i64 job = first; job < part(plan.jobs, piece + 1, pieces); ++job)
            gradient_job(s, plan, batch, job, x, dy, relu, slots + piece * plan.slot, sums,
                         db ? sums + plan.sums : nullptr, job > first);
    });
    if (plan.deep) {
        for (i64 k = 0; k < s.kh * s.kw; ++k)
            add_pieces(dW + k * s.C, partial + k * plan.dy_width, s.C, pieces, apart, accumulate);
        if (db) add_pieces(db, partial + plan.sums, s.C, pieces, apart, accumulate);
        return;
    }
    const i64 out = s.O / s.groups, steps = s.kh * s.kw * (s.C / s.groups);
    const T* sums = partial;
    for (i64 g = 0; g < s.groups; ++g)
        for (i64 o = 0; o < out; o += 2 * W<T>) {
            const i64 n = least(2 * W<T>, out - o), width = padded_lanes<T>(n);
            for (i64 k = 0; k < steps; ++k, sums += width)
                add_pieces(dW + k * s.O + g * out + o, sums, n, pieces, apart, accumulate);
        }
    if (db)
        for (i64 g = 0; g < s.groups; ++g)
            add_pieces(db + g * out, partial + plan.sums + g * padded_lanes<T>(out), out, pieces, apart, accumulate);
}

template <class T> i64 conv_scratch(const ConvShape& s, i64 batch) {
    i64 wanted = ScatterPlan<T>(s, batch, SWEEP_PIECES).scratch;
    for (bool masked : {false, true})
        wanted = most(wanted, most(GradientPlan<T>(s, batch, masked).scratch,
                                   most(SweepPlan<T>({s, false}, batch, masked).scratch,
                                        SweepPlan<T>({s, true}, batch, masked).scratch)));
    return wanted + LINE<T>;
}

#define PELLUCID_CONV(T)                                                                                    \
    template void conv_forward(const ConvShape&, i64, const T*, const T*, T*, const Epilogue<T>&, T*);      \
    template void conv_dx(const ConvShape&, i64, const T*, const T*, const T*, T*, bool, T*);               \
    template void conv_dw(const ConvShape&, i64, const T*, const T*, const T*, T*, T*, bool, T*);           \
    template i64 conv_scratch<T>(const ConvShape&, i64);
PELLUCID_CONV(float)
PELLUCID_CONV(double)

}  // namespace pellucid::PELLUCID_TIER
