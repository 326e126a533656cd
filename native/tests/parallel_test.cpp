// The pool under stress: jobs of all sizes, many callers, numbers of threads that change, forks.
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "../parallel.hpp"
#include "testing.hpp"

namespace {

using namespace pellucid;

void run_jobs(int jobs) {
    std::vector<int> times(100);
    for (int job = 0; job < jobs; ++job) {
        const int pieces = 1 + job % 40;
        parallel(pieces, [&](int piece) {
            parallel(2, [&](int inner) {
                if (inner == 1) ++times[static_cast<std::size_t>(piece)];
            });
        });
        for (int i = 0; i < 100; ++i) {
            check(times[static_cast<std::size_t>(i)] == (i < pieces), "each piece once");
            times[static_cast<std::size_t>(i)] = 0;
        }
    }
}

void test_pool(int trials) {
    for (int count : {1, 2, 4, 3, 1, 7, 2}) {
        set_threads(count);
        check(threads() == count, "threads()");
        run_jobs(trials);
    }
    for (int i = 0; i < 30; ++i) {  // workers asleep
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        run_jobs(1);
    }
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i)
        callers.emplace_back([i, trials] {
            for (int j = 0; j < 20; ++j) {
                run_jobs(trials / 15);
                if (i == 0) set_threads(1 + j % 4);
            }
        });
    for (auto& caller : callers) caller.join();
#ifndef __SANITIZE_THREAD__  // which knows no threads after a fork
    set_threads(3);
    run_jobs(10);
    std::atomic<bool> stop{false};
    std::thread other([&] { while (!stop) run_jobs(50); });
    for (int i = 0; i < 20; ++i) {
        const pid_t child = fork();
        if (child == 0) {
            alarm(60);
            run_jobs(trials / 6);
            set_threads(2);
            run_jobs(trials / 6);
            _exit(0);
        }
        int status = 1;
        check(waitpid(child, &status, 0) == child && status == 0, "the child of a fork");
    }
    stop = true;
    other.join();
#endif
}

// The control group's quota, of both versions of the system, in a file system of our own.
void test_cores() {
    namespace fs = std::filesystem;
    char name[] = "/tmp/coresXXXXXX";
    check(mkdtemp(name) != nullptr, "a temporary directory");
    const std::string root = name;
    const int all = usable_cores(root);
    check(all >= 1 && all <= static_cast<int>(std::thread::hardware_concurrency()), "cores");
    const auto write = [&](const char* file, const char* text) {
        fs::create_directories(fs::path(root + file).parent_path());
        std::ofstream(root + file) << text;
    };
    write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    check(usable_cores(root) == all, "no quota, version 1");
    write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "20000\n");
    check(usable_cores(root) == 1, "a fifth of a core");
    write("/sys/fs/cgroup/cpu.max", "max 100000\n");
    write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    check(usable_cores(root) == all, "no quota, version 2");
    write("/sys/fs/cgroup/cpu.max", "100000000 100000\n");
    check(usable_cores(root) == all, "more than there are");
    write("/sys/fs/cgroup/cpu.max", "110000 100000\n");
    check(usable_cores(root) == (all > 1 ? 2 : 1), "one core and a tenth");
    fs::remove_all(root);
}

}  // namespace

int main(int count, char** values) {
    test_pool(begin(count, values, 3000));
    test_cores();
    std::puts("all good");
}
