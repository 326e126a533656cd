// Convolution and its gradients against their naive forms, for a table of shapes and random ones.
// PELLUCID_SIMD=scalar|avx2|avx512 chooses the tier; prints the worst errors seen, as shares of what
// rounding may do.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "../conv.hpp"
#include "../parallel.hpp"
#include "../simd.hpp"

namespace {

using namespace pellucid;

void check(bool good, const char* what, const ConvShape& s, i64 batch) {
    if (good) return;
    std::fprintf(stderr,
                 "failed: %s, batch %ld: %ldx%ldx%ld -> %ldx%ldx%ld, kernel %ldx%ld, strides %ld %ld, "
                 "dilation %ld %ld, padding %ld %ld, groups %ld\n",
                 what, long(batch), long(s.H), long(s.W), long(s.C), long(s.OH), long(s.OW), long(s.O),
                 long(s.kh), long(s.kw), long(s.sh), long(s.sw), long(s.dh), long(s.dw), long(s.top),
                 long(s.left), long(s.groups));
    std::abort();
}

// n numbers that end where readable memory ends; what stands before them must stay as it was.
template <class T> class Guarded {
    static constexpr unsigned char CANARY = 0xA5;  // as a number, small and negative
    std::size_t bytes, mapped;
    unsigned char* base;

public:
    T* data;
    i64 size;
    explicit Guarded(i64 n) : bytes(static_cast<std::size_t>(n) * sizeof(T)), size(n) {
        const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        mapped = (bytes + 64 + page - 1) / page * page;
        base = static_cast<unsigned char*>(mmap(nullptr, mapped + page, PROT_READ | PROT_WRITE,
                                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        if (base == MAP_FAILED || mprotect(base + mapped, page, PROT_NONE) != 0) std::abort();
        std::memset(base, CANARY, mapped);
        data = reinterpret_cast<T*>(base + mapped - bytes);
    }
    Guarded(const Guarded&) = delete;
    Guarded& operator=(const Guarded&) = delete;
    ~Guarded() {
        for (const unsigned char* p = base; p < base + mapped - bytes; ++p)
            if (*p != CANARY) {
                std::fprintf(stderr, "failed: a write before an operand\n");
                std::abort();
            }
        munmap(base, mapped + static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
    }
    void fill_with(const std::vector<T>& from) {
        if (size) std::memcpy(data, from.data(), bytes);
    }
    bool equals(const T* other) const { return !size || std::memcmp(data, other, bytes) == 0; }
};

std::mt19937_64 numbers(11);
double uniform() { return std::uniform_real_distribution<double>(-1, 1)(numbers); }
i64 whole(i64 least, i64 most) { return std::uniform_int_distribution<i64>(least, most)(numbers); }
template <class T> std::vector<T> random_vector(i64 n) {
    std::vector<T> v(static_cast<std::size_t>(n));
    for (T& x : v) x = static_cast<T>(uniform());
    return v;
}

// f(y's index, x's index, W's index) for every product there is
template <class F> void products(const ConvShape& s, i64 batch, F f) {
    const i64 in = s.C / s.groups, out = s.O / s.groups;
    for (i64 b = 0; b < batch; ++b)
        for (i64 i = 0; i < s.OH; ++i)
            for (i64 j = 0; j < s.OW; ++j)
                for (i64 u = 0; u < s.kh; ++u)
                    for (i64 v = 0; v < s.kw; ++v) {
                        const i64 r = i * s.sh + u * s.dh - s.top, q = j * s.sw + v * s.dw - s.left;
                        if (r < 0 || r >= s.H || q < 0 || q >= s.W) continue;
                        for (i64 o = 0; o < s.O; ++o)
                            for (i64 c = 0; c < in; ++c)
                                f(((b * s.OH + i) * s.OW + j) * s.O + o,
                                  ((b * s.H + r) * s.W + q) * s.C + o / out * in + c,
                                  ((u * s.kw + v) * in + c) * s.O + o);
                    }
}

// A number and the sum of its products' sizes, which bounds its error: in any order, n roundings.
struct Sums {
    std::vector<double> value, size;
    explicit Sums(i64 n) : value(static_cast<std::size_t>(n)), size(static_cast<std::size_t>(n)) {}
    void add(i64 at, double v) {
        value[static_cast<std::size_t>(at)] += v;
        size[static_cast<std::size_t>(at)] += std::fabs(v);
    }
};

double worst[3];  // forward, dx, dW

template <class T>
void compare(const char* what, int which, const ConvShape& s, i64 batch, const T* got, const Sums& want, double steps) {
    for (std::size_t i = 0; i < want.value.size(); ++i) {
        const double bound = (std::sqrt(steps) + 4) * std::numeric_limits<T>::epsilon() * (want.size[i] + 1e-30);
        const double share = std::fabs(static_cast<double>(got[i]) - want.value[i]) / bound;
        worst[which] = std::max(worst[which], share);
        check(share <= 1, what, s, batch);
    }
}

double activated(double v, Act act, double slope) { return act == Act::none || v > 0 ? v : act == Act::relu ? 0 : v * slope; }

template <class T> struct Case {
    ConvShape s;
    i64 batch, nx, ny, nw;
    std::vector<T> x, w, b, dy, y;
    Guarded<T> X, Wt, B, DY, Y, scratch;
    Case(const ConvShape& shape, i64 count)
        : s(shape), batch(count), nx(batch * s.H * s.W * s.C), ny(batch * s.OH * s.OW * s.O),
          nw(s.kh * s.kw * s.C / s.groups * s.O), x(random_vector<T>(nx)), w(random_vector<T>(nw)),
          b(random_vector<T>(s.O)), dy(random_vector<T>(ny)), y(random_vector<T>(ny)), X(nx), Wt(nw), B(s.O),
          DY(ny), Y(ny), scratch(conv_scratch<T>(s, batch)) {
        X.fill_with(x), Wt.fill_with(w), B.fill_with(b), DY.fill_with(dy), Y.fill_with(y);
    }

    // run(result) for 1 to 4 threads must give the same bits; they are left in `result`
    template <class Run> void repeat(const char* what, Guarded<T>& result, const std::vector<T>& before, Run run) {
        std::vector<T> first;
        for (int count : {1, 2, 3, 4}) {
            set_threads(count);
            result.fill_with(before);
            std::fill(scratch.data, scratch.data + scratch.size, std::numeric_limits<T>::quiet_NaN());
            run(result.data);
            if (count == 1) first.assign(result.data, result.data + result.size);
            check(result.equals(first.data()), what, s, batch);
        }
        check(X.equals(x.data()) && Wt.equals(w.data()) && DY.equals(dy.data()) && Y.equals(y.data()), "operands as they were", s, batch);
    }

    void forward(bool bias, Act act) {
        Guarded<T> out(ny);
        const Epilogue<T> end{bias ? B.data : nullptr, act, T(0.125)};
        repeat("bits of y", out, std::vector<T>(static_cast<std::size_t>(ny), T(7)),
               [&](T* to) { conv_forward<T>(s, batch, X.data, Wt.data, to, end, scratch.data); });
        Sums want(ny);
        products(s, batch, [&](i64 i, i64 j, i64 k) {
            want.add(i, static_cast<double>(x[static_cast<std::size_t>(j)]) * w[static_cast<std::size_t>(k)]);
        });
        for (i64 i = 0; i < ny; ++i) {
            if (bias) want.add(i, b[static_cast<std::size_t>(i % s.O)]);
            double& v = want.value[static_cast<std::size_t>(i)];
            v = activated(v, act, 0.125);
        }
        compare("forward", 0, s, batch, out.data, want, static_cast<double>(s.kh * s.kw * s.C / s.groups));
        if (batch > 1) {  // an image alone has the bits it has in a batch
            const i64 at = whole(0, batch - 1);
            Guarded<T> one(ny / batch);
            conv_forward<T>(s, 1, X.data + at * nx / batch, Wt.data, one.data, end, scratch.data);
            check(one.equals(out.data + at * ny / batch), "bits of y of an image alone", s, batch);
        }
    }

    double slope_of(i64 i, bool masked) const {
        const auto at = static_cast<std::size_t>(i);
        return masked && !(y[at] > 0) ? 0 : dy[at];
    }

    void gradients(bool masked, bool accumulate) {
        const T* relu = masked ? Y.data : nullptr;
        Guarded<T> dx(nx), dw(nw), db(s.O);
        const std::vector<T> x0 = random_vector<T>(nx), w0 = random_vector<T>(nw), b0 = random_vector<T>(s.O);
        Sums want_x(nx), want_w(nw), want_b(s.O);
        products(s, batch, [&](i64 i, i64 j, i64 k) {
            want_x.add(j, slope_of(i, masked) * w[static_cast<std::size_t>(k)]);
            want_w.add(k, slope_of(i, masked) * x[static_cast<std::size_t>(j)]);
        });
        for (i64 i = 0; i < ny; ++i) want_b.add(i % s.O, slope_of(i, masked));
        if (accumulate) {
            for (i64 i = 0; i < nx; ++i) want_x.add(i, x0[static_cast<std::size_t>(i)]);
            for (i64 i = 0; i < nw; ++i) want_w.add(i, w0[static_cast<std::size_t>(i)]);
            for (i64 i = 0; i < s.O; ++i) want_b.add(i, b0[static_cast<std::size_t>(i)]);
        }
        repeat("bits of dx", dx, x0, [&](T* to) { conv_dx<T>(s, batch, DY.data, relu, Wt.data, to, accumulate, scratch.data); });
        compare("dx", 1, s, batch, dx.data, want_x, static_cast<double>(s.kh * s.kw * s.O / s.groups));
        repeat("bits of dW", dw, w0, [&](T* to) {
            db.fill_with(b0);
            conv_dw<T>(s, batch, X.data, DY.data, relu, to, db.data, accumulate, scratch.data);
        });
        const auto pixels = static_cast<double>(batch * s.OH * s.OW);
        compare("dW", 2, s, batch, dw.data, want_w, pixels);
        compare("db", 2, s, batch, db.data, want_b, pixels);
        const std::vector<T> all(dw.data, dw.data + nw);
        dw.fill_with(w0);
        conv_dw<T>(s, batch, X.data, DY.data, relu, dw.data, nullptr, accumulate, scratch.data);
        check(dw.equals(all.data()), "dW without db", s, batch);
        if (batch > 1) {
            const i64 at = whole(0, batch - 1);
            const T* part = relu ? relu + at * ny / batch : nullptr;
            Guarded<T> one(nx / batch);
            std::copy_n(x0.data() + at * nx / batch, nx / batch, one.data);
            conv_dx<T>(s, 1, DY.data + at * ny / batch, part, Wt.data, one.data, accumulate, scratch.data);
            check(one.equals(dx.data + at * nx / batch), "bits of dx of an image alone", s, batch);
        }
    }
};

template <class T> void test(const ConvShape& s, i64 batch, bool bias, Act act, bool masked, bool accumulate) {
    for (i64 smaller = 0; smaller < batch; ++smaller)
        check(conv_scratch<T>(s, smaller) <= conv_scratch<T>(s, batch), "scratch", s, smaller);
    Case<T> c(s, batch);
    c.forward(bias, act);
    c.gradients(masked, accumulate);
}

// Outputs and padding by side from the rest; 0 outputs where no window fits.
ConvShape shape(i64 H, i64 W, i64 C, i64 O, i64 kh, i64 kw, i64 sh = 1, i64 sw = 1, i64 top = 0, i64 bottom = 0,
                i64 left = 0, i64 right = 0, i64 dh = 1, i64 dw = 1, i64 groups = 1) {
    const auto along = [](i64 n, i64 k, i64 stride, i64 d, i64 pad) {
        const i64 room = n + pad - ((k - 1) * d + 1);
        return room < 0 ? 0 : room / stride + 1;
    };
    return {H, W, C, along(H, kh, sh, dh, top + bottom), along(W, kw, sw, dw, left + right), O, kh, kw, sh, sw, dh, dw, top, left, groups};
}

template <class T> void test_table() {
    const struct { ConvShape s; i64 batch; } table[] = {
        {shape(28, 28, 1, 6, 5, 5, 1, 1, 2, 2, 2, 2), 3},        // LeNet's
        {shape(14, 14, 6, 16, 5, 5), 5},
        {shape(28, 28, 1, 32, 3, 3), 2},
        {shape(28, 28, 1, 32, 3, 3, 1, 1, 1, 1, 1, 1), 2},
        {shape(13, 13, 32, 64, 3, 3), 2},
        {shape(26, 26, 8, 12, 3, 3), 17},
        {shape(1, 1, 1, 1, 1, 1), 1},
        {shape(5, 7, 3, 4, 1, 1), 4},                             // a matrix product
        {shape(6, 6, 40, 70, 1, 1, 2, 2), 2},
        {shape(6, 5, 7, 33, 6, 5), 3},                            // the whole image
        {shape(4, 4, 300, 40, 3, 3), 1},
        {shape(9, 33, 2, 9, 3, 7, 2, 3, 1, 2, 4, 0), 2},
        {shape(10, 11, 4, 4, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2), 2},   // dilated
        {shape(15, 15, 3, 5, 3, 2, 4, 6, 0, 0, 0, 0, 2, 4), 2},   // with common divisors
        {shape(12, 12, 16, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 16), 2},  // depthwise
        {shape(12, 12, 37, 37, 3, 3, 2, 2, 0, 1, 0, 1, 1, 1, 37), 3},
        {shape(9, 9, 8, 24, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 8), 2},
        {shape(9, 9, 40, 80, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2), 2},
        {shape(8, 8, 12, 18, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 6), 2},
        {shape(3, 40, 5, 3, 2, 2, 3, 3), 2},                      // strides beyond the kernel
        {shape(2, 2, 3, 4, 2, 2, 1, 1, 5, 5, 5, 5), 2},           // windows that see zeros alone
        {shape(1, 130, 3, 6, 1, 9, 1, 1, 0, 0, 4, 4), 2},
        {shape(130, 1, 3, 6, 9, 1, 1, 1, 4, 4, 0, 0), 2},
        {shape(64, 64, 24, 8, 3, 3, 1, 1, 1, 1, 1, 1), 1},        // some bands
        {shape(40, 40, 1, 2, 11, 11, 1, 1, 5, 5, 5, 5), 2},
    };
    int number = 0;
    for (const auto& row : table)
        for (int flags = 0; flags < 4; ++flags, ++number)
            test<T>(row.s, row.batch, flags & 1, static_cast<Act>(number % 3), flags & 2, flags == 1 || flags == 2);
}

template <class T> void test_random(int trials) {
    const i64 channels[] = {1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 24, 31, 32, 33, 48};
    while (trials > 0) {
        const i64 groups = whole(0, 3) ? 1 : whole(1, 5);
        const i64 C = groups * channels[whole(0, groups > 1 ? 9 : 17)], O = groups * channels[whole(0, groups > 1 ? 9 : 17)];
        const bool plain = whole(0, 1);
        const auto few = [&](i64 most) { return plain ? 1 : whole(1, most); };
        const i64 pad = whole(0, 2);
        const auto side = [&] { return whole(0, pad); };
        const ConvShape s = shape(whole(1, 20), whole(1, 40), C, O, whole(1, 5), whole(1, 5), few(3), few(3), side(), side(),
                                  side(), side(), few(3), few(3), groups);
        if (s.OH < 1 || s.OW < 1) continue;
        test<T>(s, whole(1, 4), whole(0, 1), static_cast<Act>(whole(0, 2)), whole(0, 1), whole(0, 1));
        --trials;
    }
}

// NaN and infinity where a window meets them, and nowhere else
template <class T> void test_not_finite() {
    for (const ConvShape& s : {shape(9, 9, 1, 6, 3, 3), shape(9, 9, 4, 16, 3, 3), shape(9, 9, 5, 5, 3, 3, 1, 1, 0, 0, 0, 0, 1, 1, 5)}) {
        Case<T> c(s, 1);
        c.X.data[(4 * s.W + 4) * s.C] = std::numeric_limits<T>::quiet_NaN();
        Guarded<T> out(c.ny);
        conv_forward<T>(s, 1, c.X.data, c.Wt.data, out.data, {nullptr, Act::relu, 0}, c.scratch.data);
        for (i64 i = 0; i < c.ny; ++i) {
            const i64 row = i / s.O / s.OW, column = i / s.O % s.OW, channel = i % s.O;
            const bool sees = row >= 2 && row <= 4 && column >= 2 && column <= 4 && channel < s.O / s.groups;
            check(std::isnan(out.data[i]) == sees, "NaN", s, 1);
        }
    }
}

}  // namespace

int main(int count, char** values) {
    const char* tiers[] = {"portable", "avx2", "avx512"};
    std::printf("tier: %s\n", tiers[static_cast<int>(simd())]);
    const int trials = count > 1 ? std::atoi(values[1]) : 150;
    test_table<float>();
    test_table<double>();
    test_random<float>(trials);
    test_random<double>(trials);
    test_not_finite<float>();
    test_not_finite<double>();
    std::printf("share of the bound: forward %.2f  dx %.2f  dW %.2f\nall good\n", worst[0], worst[1], worst[2]);
}
