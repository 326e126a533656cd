// Convolution and its gradients: the portable form, and the choice of the tier for this machine.
#define PELLUCID_TIER portable
#include "conv_tile.hpp"

namespace pellucid {

#define PELLUCID_CONV_OF_TIER(tier)                                                                        \
    namespace tier {                                                                                       \
    template <class T>                                                                                     \
    void conv_forward(const ConvShape&, i64, const T*, const T*, T*, const Epilogue<T>&, T*);              \
    template <class T>                                                                                     \
    void conv_dx(const ConvShape&, i64, const T*, const T*, const T*, T*, bool, T*);                       \
    template <class T>                                                                                     \
    void conv_dw(const ConvShape&, i64, const T*, const T*, const T*, T*, T*, bool, T*);                   \
    template <class T> i64 conv_scratch(const ConvShape&, i64);                                            \
    }
#ifdef PELLUCID_X86
PELLUCID_CONV_OF_TIER(avx2)
PELLUCID_CONV_OF_TIER(avx512)
#endif

template <class T>
void conv_forward(const ConvShape& s, i64 batch, const T* x, const T* W, T* y, const Epilogue<T>& end,
                  T* scratch) {
    PELLUCID_DISPATCH(conv_forward<T>(s, batch, x, W, y, end, scratch));
}

template <class T>
void conv_dx(const ConvShape& s, i64 batch, const T* dy, const T* relu, const T* W, T* dx, bool accumulate,
             T* scratch) {
    PELLUCID_DISPATCH(conv_dx<T>(s, batch, dy, relu, W, dx, accumulate, scratch));
}

template <class T>
void conv_dw(const ConvShape& s, i64 batch, const T* x, const T* dy, const T* relu, T* dW, T* db,
             bool accumulate, T* scratch) {
    PELLUCID_DISPATCH(conv_dw<T>(s, batch, x, dy, relu, dW, db, accumulate, scratch));
}

template <class T> i64 conv_scratch(const ConvShape& s, i64 batch) {
    PELLUCID_DISPATCH(conv_scratch<T>(s, batch));
}

PELLUCID_CONV(float)
PELLUCID_CONV(double)

}  // namespace pellucid
