// Maps, losses, metrics, updates and the gathering of rows against their naive forms, in double: any
// sizes, any number of threads, guards behind every operand. Each call is spoiled at random, too.
#include "calling.hpp"

namespace {

using namespace pellucid;

// ---- maps -----------------------------------------------------------------------------------------

template <class T> void test_maps() {
    const i64 kind = whole(0, 4), B = pick({1, 2, 17, 64}), n = B * pick({1, 3, 16, 40, 1000}), add = whole(0, 1);
    const double a = kind == 1 ? 0 : 0.25, b = 0.5;
    Numbers x = random_numbers(n, 3), y(n), dy = random_numbers(n), dx = random_numbers(n), mask(n);
    const Numbers start = dx;
    if (kind) x[whole(0, n - 1)] = pick({0, 1}) ? kNaN : -kInfinity;
    for (i64 i = 0; i < n; i++) {
        const double v = x[i];
        y[i] = kind == 0 ? a * v + b : kind == 1 ? (v < 0 ? 0 : v) : kind == 2 ? (v < 0 ? a * v : v)
               : kind == 3 ? 1 / (1 + std::exp(-v)) : std::tanh(v);
    }
    Call<T> forward("map", B, {double(kind), a, b});
    forward.rows(0, Numbers(n)).rows(1, x).run();
    forward.near(0, y);
    const std::vector<T> got = forward.result(0);
    for (i64 i = 0; i < n; i++) {
        const double v = got[i];
        const double slope = kind == 0 ? a : kind < 3 ? (v > 0 ? 1 : a) : kind == 3 ? v * (1 - v) : 1 - v * v;
        dx[i] = (add ? dx[i] : 0) + dy[i] * slope;
        mask[i] = (add ? start[i] : 0) + dy[i] * x[i];
    }
    Call<T> back("map_grad", B, {double(kind), a, double(add)});
    back.rows(0, start).rows(1, dy).rows(2, Numbers(got.begin(), got.end())).run();
    back.near(0, dx);
    Call<T> product("multiply", B, {double(add)});
    product.rows(0, start).rows(1, dy).rows(2, x).run();
    product.near(0, mask);
}

template <class T> void test_copy() {
    const i64 B = pick({1, 7, 200}), per = pick({1, 3}), width = pick({1, 2, 5, 16, 70}), yw = width + pick({0, 1, 9});
    const i64 xw = width + pick({0, 2, 16}), ys = whole(0, yw - width), xs = whole(0, xw - width), add = whole(0, 1);
    Numbers x = random_numbers(B * per * xw), y = random_numbers(B * per * yw);
    const Numbers start = y;
    for (i64 i = 0; i < B * per; i++)
        for (i64 j = 0; j < width; j++) {
            double& to = y[i * yw + ys + j];
            to = (add ? to : 0) + x[i * xw + xs + j];
        }
    Call<T> c("copy", B, {double(width), double(yw), double(ys), double(xw), double(xs), double(add)});
    c.rows(0, start).rows(1, x).run();
    c.near(0, y);
}

template <class T> void test_standardize() {
    const i64 B = pick({1, 7, 300}), C = pick({1, 3, 16, 70}), add = whole(0, 1);
    Numbers x = random_numbers(B * C), y(x.size()), dx = random_numbers(B * C), mean = random_numbers(C), variance(C, 0.0);
    const Numbers start = dx;
    for (double& v : variance) v = whole(0, 3) ? std::fabs(static_cast<float>(uniform())) : 0;
    for (i64 i = 0; i < B * C; i++) {
        const double by = variance[i % C] > 0 ? 1 / std::sqrt(variance[i % C]) : 1;
        y[i] = (x[i] - mean[i % C]) * by;
        dx[i] = (add ? dx[i] : 0) + x[i] * by;
    }
    Call<T> forward("standardize", B, {double(C)}), back("standardize_dx", B, {double(C), double(add)});
    forward.rows(0, y).rows(1, x).fixed(2, mean).fixed(3, variance).run();
    forward.near(0, y, 10);
    back.rows(0, start).rows(1, x).fixed(2, mean).fixed(3, variance).run();
    back.near(0, dx, 10);
}

template <class T> void test_dropout() {
    const i64 n = pick({1, 7, 8, 9, 100, 50000});
    const double rate = pick({0, 1, 3}) / 4.0;
    const Numbers x = random_numbers(n);
    Call<T> c("dropout", 1, {rate, 12345, 678, 2});
    c.rows(0, x).rows(1, x).rows(2, x).run();
    const std::vector<T> y = c.result(0), mask = c.result(2);
    double kept = 0;
    for (i64 i = 0; i < n; i++) {
        check(mask[i] == 0 || mask[i] == T(1 / (1 - rate)), "mask");
        check(y[i] == T(x[i]) * mask[i], "y = x * mask");
        kept += mask[i] != 0;
    }
    check(std::fabs(kept - double(n) * (1 - rate)) <= 5 * std::sqrt(double(n) * rate * (1 - rate)) + 1e-9, "rate");
}

// ---- losses and metrics ---------------------------------------------------------------------------

struct Rows {  // of a loss: predictions, weights, and what is wanted
    i64 B, N;
    double scale = 0.5;
    Numbers p, weight, dp, value;
    Rows(i64 B, i64 N) : B(B), N(N), p(random_numbers(B * N, 4)), weight(random_numbers(B)), dp(B * N), value(B) {
        for (double& w : weight) w = std::fabs(w);
    }
    // Weighted and not, with a place for dp and without; weights of 1 are as none.
    template <class T, class Targets> void test(const char* name, Numbers numbers, Targets targets) const {
        Call<T> plain(name, B, numbers);
        plain.rows(0, p).rows(1, p).rows(3, weight);
        targets(plain);
        plain.m.total = 3;
        plain.run();
        Numbers want = dp;
        double sum = 0;
        for (i64 i = 0; i < B; i++) sum += value[i] * scale;
        for (double& v : want) v *= scale / 3;
        plain.near(0, want), plain.near_sum(0, sum, 4);
        Call<T> ones = plain, weighted = plain, alone = plain;
        ones.m.weighted = weighted.m.weighted = 1;
        ones.rows(3, Numbers(std::size_t(B), 1.0)).run();
        check(ones.after[0] == plain.after[0] && ones.sums[0] == plain.sums[0], "weights of 1 are as none");
        for (i64 i = 0; i < B * N; i++) want[i] *= weight[i / N];
        sum = 0;
        for (i64 i = 0; i < B; i++) sum += value[i] * scale * weight[i];
        weighted.run();
        weighted.near(0, want), weighted.near_sum(0, sum, 4);
        alone.i.at[0].region = -1;
        alone.run();
        check(std::isnan(sum) || alone.sums[0] == plain.sums[0], "the same value without dp");
    }
};

template <class T> void test_distances() {
    Rows r(pick({1, 3, 64, 300}), pick({1, 2, 10, 255, 256, 257, 700}));
    Numbers y = random_numbers(r.B * r.N);
    const bool binary = whole(0, 1);
    for (i64 i = 0; i < r.B * r.N; i++) {
        const double p = r.p[i], N = double(r.N);
        if (binary) y[i] = whole(0, 1);
        const double error = p - y[i], e = std::exp(-std::fabs(p));
        r.value[i / r.N] += binary ? (std::fmax(p, 0) - p * y[i] + std::log1p(e)) / N : error * error / N;
        r.dp[i] = binary ? ((p >= 0 ? 1 : e) / (1 + e) - y[i]) / N : 2 * error / N;
    }
    r.test<T>(binary ? "binary_cross_entropy" : "mse", {double(r.N), r.scale}, [&](Call<T>& c) { c.rows(2, y); });
}

template <class T> void test_classes() {
    const i64 K = pick({1, 2, 3, 10, 16, 17, 31, 32, 33, 100, 1000}), P = pick({1, 1, 2, 5});  // classes, places
    Rows r(pick({1, 2, 5, 17, 64, 300}), P * K);
    const bool labels = whole(0, 1);
    const i64 n = r.B * P;
    Whole y(n);
    Numbers truth(n * K), share = random_numbers(n * K);
    double right = 0, counted = 0, all = 0;
    for (i64 i = 0; i < n; i++) {
        y[i] = whole(0, K - 1);
        if (whole(0, 9) == 0) r.p[i * K + whole(0, K - 1)] = r.p[i * K];  // a tie
        double top = -kInfinity, sum = 0, mass = 0;
        i64 best = 0;
        for (i64 k = 0; k < K; k++) {
            if (r.p[i * K + k] > top) top = r.p[i * K + k], best = k;
            truth[i * K + k] = labels ? k == y[i] : std::fabs(static_cast<float>(share[i * K + k] / double(K)));
            mass += truth[i * K + k];
        }
        for (i64 k = 0; k < K; k++) sum += std::exp(r.p[i * K + k] - top);
        double value = mass * std::log(sum);
        for (i64 k = 0; k < K; k++) {
            value -= truth[i * K + k] * (r.p[i * K + k] - top);
            r.dp[i * K + k] = (mass * std::exp(r.p[i * K + k] - top) / sum - truth[i * K + k]) / double(P);
        }
        const double weight = r.weight[i / P];
        r.value[i / P] += value / double(P);
        right += best == y[i], all += weight, counted += best == y[i] ? weight : 0;
    }
    const Numbers numbers = {double(K), r.scale, double(P)};
    if (labels) r.test<T>("cross_entropy", numbers, [&](Call<T>& c) { c.indices(2, y); });
    else r.test<T>("cross_entropy_rows", numbers, [&](Call<T>& c) { c.rows(2, truth); });
    Call<T> metric("accuracy", r.B, {double(K), double(P)});
    metric.rows(0, r.p).indices(1, y).rows(2, r.weight).run();
    check(metric.sums[0] == right && metric.sums[1] == double(n), "accuracy");
    metric.m.weighted = 1;
    metric.run();
    metric.near_sum(0, counted, 4), metric.near_sum(1, all, 4);
}

// A label outside the classes reads and writes nothing else; the greatest of a row is its first NaN.
template <class T> void test_labels() {
    const i64 B = 40, K = pick({10, 50});
    const Numbers p = random_numbers(B * K), weight(B, 1.0);
    for (i64 wrong : {i64(-1), K, i64(1) << 62, -(i64(1) << 62)}) {
        Call<T> c("cross_entropy", B, {double(K), 1, 1});
        c.rows(0, p).rows(1, p).indices(2, Whole(B, wrong)).rows(3, weight).run();
        check(std::isnan(c.sums[0]), "a label outside gives NaN");
        Call<T> metric("accuracy", B, {double(K), 1});
        metric.rows(0, p).indices(1, Whole(B, wrong)).rows(2, weight).run();
        check(metric.sums[0] == 0, "a label outside is wrong");
    }
    Numbers spoilt = p;
    for (i64 i = 0; i < B; i++) spoilt[i * K + 5] = spoilt[i * K + 7] = kNaN;
    for (i64 at : {4, 5, 7}) {
        Call<T> metric("accuracy", B, {double(K), 1});
        metric.rows(0, spoilt).indices(1, Whole(B, at)).rows(2, weight).run();
        check(metric.sums[0] == (at == 5 ? B : 0), "the first NaN is the greatest");
    }
}

// ---- updates --------------------------------------------------------------------------------------

template <class T> void test_updates() {
    const i64 n = pick({1, 2, 15, 16, 17, 100, 1000, 50000}), nesterov = whole(0, 1), decoupled = whole(0, 1);
    const bool moving = whole(0, 1);
    const double mu = 0.75, pull = pick({0, 1}) / 8.0, b1 = 0.875, b2 = 0.96875, eps = 1e-3, rate = 0.1;
    const Numbers theta = random_numbers(n);
    Numbers g = random_numbers(n), m = random_numbers(n), v = random_numbers(n);
    for (i64 i = 0; i < n; i++)  // an input that is always 0, or long has been
        if (whole(0, 7) == 0) g[i] = 0, m[i] = 0, v[i] = pick({0, 1}) * 1e-40;
    Numbers sgd = theta, velocity = m, adam = theta, first = m, second(n), decayed(n), clamped(n);
    for (double& x : v) x = std::fabs(x);
    const double c = std::sqrt(1 - b2 * b2), step = rate * c / (1 - b1 * b1);
    for (i64 i = 0; i < n; i++) {
        double slope = g[i] + pull * theta[i];
        velocity[i] = mu * m[i] + slope;
        sgd[i] -= rate * (!moving ? slope : nesterov ? slope + mu * velocity[i] : velocity[i]);
        if (decoupled) slope = g[i], adam[i] *= 1 - rate * pull;
        first[i] = b1 * m[i] + (1 - b1) * slope, second[i] = b2 * v[i] + (1 - b2) * slope * slope;
        adam[i] -= step * first[i] / (std::sqrt(second[i]) + c * eps);
        decayed[i] = g[i] + 0.25 * theta[i] + 0.5 * ((theta[i] > 0) - (theta[i] < 0));
        clamped[i] = std::fmax(-0.5, std::fmin(0.5, g[i]));
    }
    Call<T> one("sgd", 0, {mu, double(nesterov), pull}), two("adam", 0, {b1, b2, eps, pull, double(decoupled)});
    one.fixed(0, theta).fixed(1, g);
    if (moving) one.fixed(2, m);
    one.run();
    one.near(0, sgd);
    if (moving) one.near(2, velocity);
    two.fixed(0, theta).fixed(1, g).fixed(2, m).fixed(3, v).run();
    two.near(0, adam, 4), two.near(2, first), two.near(3, second);
    Call<T> penalize("penalize", 0, {0.5, 0.25}), clamp("clamp", 0, {0.5});
    penalize.fixed(0, g).fixed(1, theta).run();
    penalize.near(0, decayed);
    clamp.fixed(0, g).run();
    clamp.near(0, clamped);
}

template <class T> void test_norms() {
    const i64 n = pick({1, 7, 31, 33, 1000, 100000});
    const double size = whole(0, 2) ? 1 : double(std::numeric_limits<T>::max()) / 4;  // whose square is too large
    Numbers g = random_numbers(n);
    double sum = 0;
    for (double& x : g) sum += x * x, x = static_cast<T>(x * size);
    Call<T> total("square_sum", 0, {1});
    total.doubles(0, {5, 6}).fixed(1, g).run();
    const Numbers found = values<double>(total.after[0]);
    const double norm = found[1] / size * std::sqrt(found[0]);
    check(std::fabs(norm - std::sqrt(sum)) <= 1e-6 * std::sqrt(sum), "norm");
    if (size > 1) return;
    Call<T> again("square_sum", 0, {0}), shrink("shrink", 0, {0.5});
    again.doubles(0, found).fixed(1, g).run();
    check(std::fabs(values<double>(again.after[0])[0] - 2 * sum) <= 1e-6 * sum, "sums go on");
    shrink.fixed(0, g).doubles(1, found).run();
    const double by = std::fmin(1, 0.5 / (std::sqrt(sum) + 1e-6));
    for (double& x : g) x *= by;
    shrink.near(0, g);
}

template <class T> void test_finite() {
    const i64 n = pick({0, 1, 31, 32, 100, 50000});
    for (int count = 1; count <= 4; count++) {
        set_threads(count);
        Guarded<T> g(n);
        for (i64 i = 0; i < n; i++) g.data[i] = static_cast<T>(uniform());
        check(kernels<T>().finite(g.data, n), "all finite");
        if (n == 0) continue;
        g.data[whole(0, n - 1)] = static_cast<T>(pick({0, 1}) ? kNaN : whole(0, 1) ? kInfinity : -kInfinity);
        check(!kernels<T>().finite(g.data, n), "not all finite");
    }
}

// ---- rows of the caller's arrays --------------------------------------------------------------------

template <class T, class From> void test_gather(i64 kind) {
    const i64 rows = pick({1, 20, 300}), wanted = pick({1, 5, 100}), a = pick({1, 3}), b = pick({1, 2, 5, 16, 70});
    const i64 apart = pick({1, 1, 2}), integer = kind < 8 ? whole(0, 1) : 0, size = sizeof(From);
    Source s{};
    s.rows = rows, s.axes = int(whole(1, 2)), s.elements = s.axes == 2 ? a * b : b, s.kind = kind, s.integer = integer;
    s.shape[0] = s.axes == 2 ? a : b, s.shape[1] = b;
    s.stride[s.axes - 1] = size * apart;
    if (s.axes == 2) s.stride[0] = size * (apart * b + 3);
    s.row_bytes = size * (a * (apart * b + 3) + 1);
    Guarded<char> memory(rows * s.row_bytes);
    s.data = memory.data;
    Whole order(wanted);
    for (i64& i : order) i = whole(0, rows - 1);
    const bool ordered = whole(0, 1) || wanted > rows;
    const auto place = [&](i64 row, i64 i) {
        const i64 in_row = s.axes == 2 ? i / b * s.stride[0] + i % b * s.stride[1] : i * s.stride[0];
        return memory.data + row * s.row_bytes + in_row;
    };
    Numbers held(rows * s.elements), want;
    for (i64 k = 0; k < rows * s.elements; k++) {
        const auto value = static_cast<From>(whole(0, 100));
        std::memcpy(place(k / s.elements, k % s.elements), &value, sizeof value);
        held[k] = double(value);
    }
    for (i64 r = 0; r < wanted; r++)
        for (i64 i = 0; i < s.elements; i++) want.push_back(held[(ordered ? order[r] : r) * s.elements + i]);
    Guarded<char> out(wanted * s.elements * (integer ? 8 : i64(sizeof(T))));
    kernels<T>().gather(s, ordered ? order.data() : nullptr, 0, wanted, out.data);
    for (std::size_t i = 0; i < want.size(); i++) {
        const char* at = out.data + i * (integer ? 8 : sizeof(T));
        T real;
        i64 number;
        if (integer) std::memcpy(&number, at, 8);
        else std::memcpy(&real, at, sizeof real);
        check(integer ? double(number) == want[i] : real == T(want[i]), "gather");
    }
}

template <class T> void test_all(int trials) {
    for (int trial = 0; trial < trials; trial++) {
        test_maps<T>(), test_copy<T>(), test_standardize<T>(), test_dropout<T>();
        test_distances<T>(), test_classes<T>(), test_labels<T>();
        test_updates<T>(), test_norms<T>(), test_finite<T>();
        test_gather<T, std::uint8_t>(0), test_gather<T, std::int8_t>(1), test_gather<T, std::int16_t>(2);
        test_gather<T, std::uint16_t>(3), test_gather<T, std::int32_t>(4), test_gather<T, std::uint32_t>(5);
        test_gather<T, std::int64_t>(6), test_gather<T, std::uint64_t>(7), test_gather<T, float>(8);
        test_gather<T, double>(9);
    }
}

}  // namespace

int main(int count, char** arguments) {
    const int trials = begin(count, arguments, 200);
    test_all<float>(trials);
    test_all<double>(trials);
    std::printf("spoiled calls that are sound: %ld\n", long(Call<float>::survived + Call<double>::survived));
    std::puts("all good");
}
