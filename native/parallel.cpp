// for piece in range(pieces): f(piece)        -- the naive form is `inline_pieces` below
//
// One job at a time. `ticket` is odd while a job is open. A worker that sees it odd signs in
// (`inside` += 1), looks again, works and signs out; the caller closes the job (ticket even) when no
// piece is left to take and waits until nobody is inside. Both sides write one word and then read
// the other's, in sequentially consistent order, so either the worker sees the job closed or the
// caller sees the worker inside: the job's fields are never read after `run_pieces` has returned.
//
// Each thread starts with its own run of neighbouring pieces, the same in every call of the same
// size, so that what it wrote last time is still in its cache; who is done helps the others.
#include "parallel.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#ifdef __linux__
#include <sched.h>
#endif
#ifndef _WIN32
#include <pthread.h>
#include <signal.h>
#endif

namespace pellucid {
namespace {

constexpr int MOST = 64;
constexpr std::chrono::microseconds PATIENCE{40};  // before a worker sleeps

void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
    asm volatile("yield");
#endif
}

// Waits for done(): asks for PATIENCE, then sleeps until word, which it depends on, is notified.
template <class Done> void wait_until(std::atomic<std::uint32_t>& word, Done done) {
    const auto until = std::chrono::steady_clock::now() + PATIENCE;
    do {
        for (int i = 0; i < 32; ++i) {
            if (done(word.load())) return;
            relax();
        }
    } while (std::chrono::steady_clock::now() < until);
    for (std::uint32_t value = word.load(); !done(value); value = word.load()) word.wait(value);
}

struct alignas(64) Run {  // one thread's pieces
    std::atomic<int> next{0};
    int end = 0;
};

struct Pool {
    alignas(64) std::atomic<std::uint32_t> ticket{0};
    alignas(64) std::atomic<std::uint32_t> inside{0};  // workers signed in
    std::atomic<std::uint32_t> alive{0};               // workers there are
    std::atomic<bool> busy{false};                     // a caller has the pool
    std::atomic<bool> leave{false};                    // workers are to end
    void (*call)(const void*, int) noexcept = nullptr;
    const void* context = nullptr;
    std::uint64_t mode = 0;  // of the caller's floating-point numbers
    int share = 1;  // threads of the open job, the caller included
    Run runs[MOST];
};

// Never destroyed: at exit workers may still be asleep in it.
Pool& pool = *new Pool;
std::atomic<int> wanted{0};        // threads; 0 until somebody sets or asks for their number
thread_local bool within = false;  // this thread is running a piece

void inline_pieces(int pieces, void (*call)(const void*, int) noexcept, const void* context) {
    for (int piece = 0; piece < pieces; ++piece) call(context, piece);
}

void take_part(int self) {
    const int share = pool.share;
    if (self >= share) return;
    if (self > 0 && float_mode() != pool.mode) set_float_mode(pool.mode);
    within = true;
    for (int i = 0; i < share; ++i) {
        Run& run = pool.runs[(self + i) % share];
        while (run.next.load(std::memory_order_relaxed) < run.end) {
            const int piece = run.next.fetch_add(1, std::memory_order_relaxed);
            if (piece < run.end) pool.call(pool.context, piece);
        }
    }
    within = false;
}

void work(int self, std::uint32_t seen) {
    for (;;) {
        wait_until(pool.ticket, [&](std::uint32_t ticket) {
            return (ticket % 2 == 1 && ticket != seen) || pool.leave.load();
        });
        if (pool.leave.load()) break;
        pool.inside.fetch_add(1);
        seen = pool.ticket.load();
        if (seen % 2 == 1) take_part(self);
        if (pool.inside.fetch_sub(1) == 1) pool.inside.notify_one();
    }
    if (pool.alive.fetch_sub(1) == 1) pool.alive.notify_one();
}

void wait_for_none(std::atomic<std::uint32_t>& count) {
    wait_until(count, [](std::uint32_t n) { return n == 0; });
}

void send_workers_away() {  // by who holds `busy`
    pool.leave.store(true);
    pool.ticket.fetch_add(2);  // changed, and still even
    pool.ticket.notify_all();
    wait_for_none(pool.alive);
    pool.leave.store(false);
}

#ifndef _WIN32
// The child of a fork has one thread, whatever the others were doing.
void forget_workers() {
    pool.ticket.store(0);
    pool.inside.store(0);
    pool.alive.store(0);
    pool.leave.store(false);
    pool.busy.store(false);
}
#endif

// As many workers as `count`, or fewer where the system gives no more: the caller can do it all.
void make_workers(int count) {
#ifndef _WIN32
    static const int handler = pthread_atfork(nullptr, nullptr, forget_workers);
    static_cast<void>(handler);
    sigset_t all, before;  // signals are for the program's own threads
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
#endif
    try {
        for (int made = static_cast<int>(pool.alive.load()); made < count; ++made) {
            std::thread(work, made + 1, pool.ticket.load()).detach();
            pool.alive.fetch_add(1);
        }
    } catch (...) {
    }
#ifndef _WIN32
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
#endif
}

// Within the cores there are, what joblib, Dask and others announce in the workers they start.
int announced() {
    const int cores = usable_cores();
    const char* most = std::getenv("OMP_NUM_THREADS");
    const int n = most ? std::atoi(most) : 0;
    return std::clamp(n > 0 ? std::min(n, cores) : cores, 1, MOST);
}

}  // namespace

int usable_cores(const std::string& root) {
    int cores = static_cast<int>(std::thread::hardware_concurrency());
#ifdef __linux__
    cpu_set_t mask;
    if (sched_getaffinity(0, sizeof mask, &mask) == 0) cores = CPU_COUNT(&mask);
    // Microseconds of all cores together in a period, or no number where there is no limit.
    double quota = 0, period = 0;
    std::ifstream second(root + "/sys/fs/cgroup/cpu.max");
    if (!(second >> quota >> period)) {
        std::ifstream(root + "/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
        std::ifstream(root + "/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
    }
    if (quota > 0 && period > 0 && quota < cores * period)
        cores = static_cast<int>(std::ceil(quota / period));
#endif
    return std::max(cores, 1);
}

int threads() {
    const int n = wanted.load(std::memory_order_relaxed);
    if (n > 0) return n;
    int none = 0;
    wanted.compare_exchange_strong(none, announced());  // unless set_threads was quicker
    return wanted.load();
}

void set_threads(int n) {
    wanted.store(std::clamp(n, 1, MOST));
    if (within) return;
    while (pool.busy.exchange(true)) std::this_thread::yield();
    if (static_cast<int>(pool.alive.load()) >= wanted.load()) send_workers_away();
    pool.busy.store(false);
}

void run_pieces(int pieces, void (*call)(const void*, int) noexcept,
                const void* context) noexcept {
    const int share = std::min(threads(), pieces);
    if (share <= 1 || within || pool.busy.exchange(true, std::memory_order_acquire))
        return inline_pieces(pieces, call, context);
    if (static_cast<int>(pool.alive.load()) < share - 1) make_workers(share - 1);
    pool.call = call;
    pool.context = context;
    pool.share = share;
    pool.mode = float_mode();
    for (int i = 0; i < share; ++i) {
        pool.runs[i].end = static_cast<int>(static_cast<std::int64_t>(pieces) * (i + 1) / share);
        pool.runs[i].next.store(static_cast<int>(static_cast<std::int64_t>(pieces) * i / share),
                                std::memory_order_relaxed);
    }
    pool.ticket.fetch_add(1);
    pool.ticket.notify_all();
    take_part(0);
    pool.ticket.fetch_add(1);
    wait_for_none(pool.inside);
    pool.busy.store(false, std::memory_order_release);
}

}  // namespace pellucid
