// Convolution of images and its gradients. Images are (batch, H, W, C), outputs (batch, OH, OW, O),
// weights (kh, kw, C/groups, O), all contiguous; output (i, j) sees the pixels at
//
//     (i·sh + u·dh − top, j·sw + v·dw − left)        u < kh, v < kw
//
// and zeros beyond the image's edges. Group g of the filters, O/groups of them, sees group g of the
// channels.
//
// Every number of y and dx has the same bits whatever the batch it comes in, and every result the
// same bits for any number of threads. Sums are of fused multiply-adds. Nothing outside the operands
// is read or written; results must not overlap operands.
#pragma once

#include <cstdint>

#include "gemm.hpp"

namespace pellucid {

using i64 = std::int64_t;

struct ConvShape {  // of one image
    i64 H, W, C, OH, OW, O;
    i64 kh, kw, sh, sw, dh, dw;  // kernel, strides, dilation
    i64 top, left;               // padding; what is below and to the right follows
    i64 groups;
};

// y = act(conv(x, W) + bias)
template <class T>
void conv_forward(const ConvShape& s, i64 batch, const T* x, const T* W, T* y,
                  const Epilogue<T>& end, T* scratch);

// dx (+)= the gradient with respect to x. With relu (batch, OH, OW, O), which is what a ReLU after
// the convolution gave, dy counts only where relu > 0.
template <class T>
void conv_dx(const ConvShape& s, i64 batch, const T* dy, const T* relu, const T* W, T* dx,
             bool accumulate, T* scratch);

// dW (+)= the gradient with respect to W, db (+)= dy.sum over images and pixels; db may be null.
template <class T>
void conv_dw(const ConvShape& s, i64 batch, const T* x, const T* dy, const T* relu, T* dW,
             T* db, bool accumulate, T* scratch);

// Elements of scratch that each of these wants, for all numbers of threads. Smaller batches never
// want more.
template <class T> i64 conv_scratch(const ConvShape& s, i64 batch);

}  // namespace pellucid
