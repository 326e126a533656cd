// Pooling, normalisation, softmax and lookups against their naive forms, in double: any sizes, any
// number of threads, guards behind every operand. Each call is spoiled at random, too.
#include "calling.hpp"

namespace {

using namespace pellucid;

// ---- pooling --------------------------------------------------------------------------------------

double squash(double x, i64 act, double slope) { return act == 0 || !(x < 0) ? x : act == 1 ? 0 : x * slope; }

template <class T> void test_pool() {
    const i64 kind = whole(0, 2), C = pick({1, 2, 3, 4, 6, 8, 10, 16, 17, 32, 40}), B = pick({1, 2, 5, 40});
    i64 size[2], number[2], kernel[2], stride[2], before[2];
    const bool plain = whole(0, 1);
    for (int a = 0; a < 2; a++) {
        kernel[a] = plain ? 2 : whole(1, 4), stride[a] = plain ? 2 : whole(1, 4);
        before[a] = plain ? 0 : whole(0, kernel[a] - 1), size[a] = whole(kernel[a], 9);
        number[a] = whole(1, 1 + (size[a] + before[a] - 1) / stride[a]);
        if (plain) number[a] = size[a] / 2;
    }
    const i64 H = size[0], W = size[1], OH = number[0], OW = number[1], act = kind ? 0 : whole(0, 2), add = whole(0, 1);
    const double slope = act == 2 ? 0.25 : 0;
    Numbers n = {double(kind), double(H), double(W), double(C), double(OH), double(OW), double(kernel[0]),
                 double(kernel[1]), double(stride[0]), double(stride[1]), double(before[0]), double(before[1]),
                 double(act), slope};
    Numbers x = random_numbers(B * H * W * C), y(B * OH * OW * C), dy = random_numbers(B * OH * OW * C);
    for (double& v : x) v = whole(0, 9) ? v : pick({0, 1});  // ties
    if (kind == 0 && whole(0, 3) == 0) x[whole(0, i64(x.size()) - 1)] = pick({0, 1}) ? kNaN : kInfinity;
    const Numbers start = random_numbers(i64(x.size()));
    Numbers sum(x.size());
    for (i64 b = 0; b < B; b++)
        for (i64 i = 0; i < OH; i++)
            for (i64 j = 0; j < OW; j++)
                for (i64 c = 0; c < C; c++) {
                    const i64 out = ((b * OH + i) * OW + j) * C + c;
                    Whole seen;
                    for (i64 u = 0; u < kernel[0]; u++)
                        for (i64 v = 0; v < kernel[1]; v++) {
                            const i64 row = i * stride[0] - before[0] + u, column = j * stride[1] - before[1] + v;
                            if (row >= 0 && row < H && column >= 0 && column < W)
                                seen.push_back(((b * H + row) * W + column) * C + c);
                        }
                    double top = x[seen[0]], total = 0;
                    const double count = kind == 1 ? double(kernel[0] * kernel[1]) : double(seen.size());
                    for (i64 at : seen) {
                        top = x[at] > top || std::isnan(x[at]) ? x[at] : top;
                        total += x[at];
                    }
                    y[out] = kind ? total / count : squash(top, act, slope);
                    bool taken = false;
                    for (i64 at : seen)
                        if (kind || (!taken && squash(x[at], act, slope) == y[out])) {
                            sum[at] += kind ? dy[out] / count : dy[out];
                            taken = true;
                        }
                }
    Numbers dx(x.size());
    for (std::size_t k = 0; k < x.size(); k++) {
        const double through = act == 0 || x[k] > 0 ? 1 : slope;
        dx[k] = (add ? start[k] : 0) + sum[k] * through;
    }
    Call<T> forward("pool", B, n);
    forward.rows(0, y).rows(1, x).run();
    forward.near(0, y);
    n.push_back(double(add));
    Call<T> back("pool_grad", B, n);
    back.rows(0, start).rows(1, dy);
    if (kind == 0) back.rows(2, x).rows(3, {}).before[3] = forward.after[0], back.i.at[3].elements = OH * OW * C;
    back.run();
    back.near(0, dx);
}

// ---- normalisation --------------------------------------------------------------------------------

template <class T> void test_normalize() {
    const i64 C = pick({1, 2, 3, 5, 6, 10, 16, 17, 32, 33, 48, 65, 128, 200}), B = pick({1, 2, 3, 64}), per = pick({1, 1, 7, 100});
    const i64 n = B * per, training = n > 1 ? whole(0, 1) : 0, add = whole(0, 1), added = whole(0, 1);
    const double momentum = 0.75, epsilon = 1e-3, shift = pick({0, 0, 30});
    Numbers x = random_numbers(n * C), gamma = random_numbers(C), beta = random_numbers(C), mean = random_numbers(C);
    Numbers variance = random_numbers(C), y(x.size()), saved(2 * C), dy = random_numbers(n * C), dx = random_numbers(n * C);
    const Numbers start = dx, dgamma = random_numbers(C), dbeta = random_numbers(C);
    Numbers moved = mean, spread = variance, want_dgamma(C), want_dbeta(C);
    for (double& v : x) v = static_cast<float>(v + shift);
    for (double& v : variance) v = static_cast<float>(std::fabs(v)) + 0.5;
    spread = variance;
    const bool scaled = whole(0, 1), centred = whole(0, 1);
    for (i64 c = 0; c < C; c++) {
        double mu = mean[c], var = variance[c];
        if (training) {
            mu = var = 0;
            for (i64 i = 0; i < n; i++) mu += x[i * C + c] / double(n);
            for (i64 i = 0; i < n; i++) var += (x[i * C + c] - mu) * (x[i * C + c] - mu) / double(n);
            moved[c] += (1 - momentum) * (mu - mean[c]);
            spread[c] += (1 - momentum) * (var * double(n) / double(n - 1) - variance[c]);
        }
        const double r = 1 / std::sqrt(var + epsilon), by = scaled ? gamma[c] : 1;
        saved[c] = mu, saved[C + c] = r;
        double db = 0, dg = 0;
        for (i64 i = 0; i < n; i++) {
            const double hat = (x[i * C + c] - mu) * r;
            y[i * C + c] = hat * by + (centred ? beta[c] : 0);
            db += dy[i * C + c], dg += dy[i * C + c] * hat;
        }
        want_dbeta[c] = db + (added ? dbeta[c] : 0), want_dgamma[c] = dg + (added ? dgamma[c] : 0);
        for (i64 i = 0; i < n; i++) {
            const double hat = (x[i * C + c] - mu) * r;
            dx[i * C + c] = (add ? dx[i * C + c] : 0) + by * r * (dy[i * C + c] - db / double(n) - hat * dg / double(n));
        }
    }
    const double scale = (1 + shift) * 40, sums = scale * std::sqrt(double(n));
    Call<T> forward("normalize", B, {double(C), momentum, epsilon, double(training)});
    forward.rows(0, y).rows(1, x).fixed(5, mean).fixed(6, variance);
    if (scaled) forward.fixed(2, gamma);
    if (centred) forward.fixed(3, beta);
    if (whole(0, 1)) forward.fixed(4, saved);
    forward.run();
    forward.near(0, y, scale), forward.near(5, moved, scale), forward.near(6, spread, scale);
    if (forward.i.at[4].region >= 0) forward.near(4, saved, scale);
    Call<T> back("normalize_grad", B, {double(C), double(add), double(added)});
    back.rows(1, dy).rows(2, x).fixed(4, saved);
    const bool wanted = whole(0, 3), slopes = whole(0, 3);
    if (wanted) back.rows(0, start);
    if (scaled) back.fixed(3, gamma);
    if (slopes) back.fixed(5, dgamma).fixed(6, dbeta);
    back.run();
    if (wanted) back.near(0, dx, scale);
    if (slopes) back.near(5, want_dgamma, sums), back.near(6, want_dbeta, sums);
}

// ---- softmax --------------------------------------------------------------------------------------

template <class T> void test_softmax() {
    const i64 K = pick({1, 2, 3, 10, 31, 32, 33, 64, 100, 300}), inner = pick({1, 1, 2, 7, 20}), B = pick({1, 2, 17, 64});
    const i64 n = B * K * inner, add = whole(0, 1);
    Numbers x = random_numbers(n, 10), y(x.size()), dy = random_numbers(n), dx = random_numbers(n);
    const Numbers start = dx;
    if (whole(0, 2) == 0) x[whole(0, n - 1)] = whole(0, 1) ? kInfinity : -kInfinity;
    if (whole(0, 9) == 0) x[whole(0, n - 1)] = kNaN;
    if (whole(0, 9) == 0)
        for (double& v : x) v = -kInfinity;
    for (i64 b = 0; b < B * inner; b++) {
        const i64 at = b / inner * K * inner + b % inner;
        double top = x[at], sum = 0, all = 0;
        for (i64 k = 0; k < K; k++) top = x[at + k * inner] > top || std::isnan(x[at + k * inner]) ? x[at + k * inner] : top;
        for (i64 k = 0; k < K; k++) {
            const double v = x[at + k * inner];
            sum += y[at + k * inner] = std::isinf(top) ? v == top : std::exp(v - top);
        }
        for (i64 k = 0; k < K; k++) y[at + k * inner] /= sum;
        for (i64 k = 0; k < K; k++) all += y[at + k * inner] * dy[at + k * inner];
        for (i64 k = 0; k < K; k++)
            dx[at + k * inner] = (add ? dx[at + k * inner] : 0) + y[at + k * inner] * (dy[at + k * inner] - all);
    }
    Call<T> forward("softmax", B, {double(K), double(inner)});
    forward.rows(0, y).rows(1, x).run();
    forward.near(0, y);
    Call<T> back("softmax_grad", B, {double(K), double(inner), double(add)});
    back.rows(0, start).rows(1, dy).rows(2, y).run();
    back.near(0, dx);
    if (inner > 1 || B < 3) return;
    Call<T> alone("softmax", 1, {double(K), 1.0});  // a row has the same bits in any company
    alone.rows(0, Numbers(K)).rows(1, Numbers(x.begin() + K, x.begin() + 2 * K)).run();
    check(alone.after[0] == forward.after[0].substr(std::size_t(K) * sizeof(T), std::size_t(K) * sizeof(T)), "a row alone");
}

// ---- rows of a table ------------------------------------------------------------------------------

template <class T> void test_lookup() {
    const i64 rows = pick({1, 3, 50}), D = pick({1, 3, 8, 16, 33, 150}), B = pick({1, 7, 400}), per = pick({1, 4});
    Whole x(B * per);
    Numbers W = random_numbers(rows * D), y(x.size() * D), dy = random_numbers(B * per * D), dW = random_numbers(rows * D);
    const Numbers start = dW;
    const i64 add = whole(0, 1);
    for (i64& i : x) i = whole(0, 19) ? whole(0, rows - 1) : pick({-1, rows, i64(1) << 62, -(i64(1) << 62)});
    if (!add) dW.assign(dW.size(), 0.0);
    for (std::size_t i = 0; i < x.size(); i++)
        for (i64 d = 0; d < D; d++) {
            const bool known = x[i] >= 0 && x[i] < rows;
            y[i * D + d] = known ? W[x[i] * D + d] : kNaN;
            if (known) dW[x[i] * D + d] += dy[i * D + d];
        }
    Call<T> forward("lookup", B, {double(rows), double(D)});
    forward.rows(0, Numbers(y.size())).fixed(1, W).indices(2, x).run();
    forward.near(0, y);
    Call<T> back("lookup_grad", B, {double(rows), double(D), double(add)});
    back.fixed(0, start).rows(1, dy).indices(2, x).run();
    back.near(0, dW, 30);
}

}  // namespace

int main(int count, char** arguments) {
    const int trials = begin(count, arguments, 400);
    for (int trial = 0; trial < trials; trial++) {
        test_pool<float>(), test_pool<double>();
        test_normalize<float>(), test_normalize<double>();
        test_softmax<float>(), test_softmax<double>();
        test_lookup<float>(), test_lookup<double>();
    }
    std::printf("spoiled calls that are sound: %ld\n", long(Call<float>::survived + Call<double>::survived));
    std::puts("all good");
}
