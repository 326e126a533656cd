// with nogil: …, for calls that go on for long, and within it `with gil:`, to ask Python something.
//
// Not nanobind's own: a daemon thread that asks for the GIL while Python shuts down is ended by
// Python in the middle of C++, and with it the process, by std::terminate. Here such a thread sleeps
// until the process is over. Python calls `at_exit` before it shuts down: it sets `leaving`, and lets
// those through who had looked at that before, so that none is ever caught between.
#pragma once

#include <Python.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace pellucid {

class AskingForGil {  // as long as it lives
    static inline std::atomic<int> asking{0};
    static inline std::atomic<bool> leaving{false};
    static inline std::thread::id last;  // the thread that ends the program

public:
    AskingForGil() {
        asking.fetch_add(1);
        if (!leaving.load() || std::this_thread::get_id() == last) return;
        asking.fetch_sub(1);
        for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
    AskingForGil(const AskingForGil&) = delete;
    AskingForGil& operator=(const AskingForGil&) = delete;
    ~AskingForGil() { asking.fetch_sub(1); }

    static void at_exit() {  // to be registered with Python's atexit
        last = std::this_thread::get_id();
        PyThreadState* state = PyEval_SaveThread();
        leaving.store(true);
        while (asking.load() > 0) std::this_thread::yield();
        PyEval_RestoreThread(state);
    }
};

class WithoutGil {
    PyThreadState* state_ = PyEval_SaveThread();

public:
    WithoutGil() = default;
    WithoutGil(const WithoutGil&) = delete;
    WithoutGil& operator=(const WithoutGil&) = delete;
    ~WithoutGil() {
        const AskingForGil asking;
        PyEval_RestoreThread(state_);
    }
};

class WithGil {
    PyGILState_STATE state_;

public:
    WithGil() {
        const AskingForGil asking;
        state_ = PyGILState_Ensure();
    }
    WithGil(const WithGil&) = delete;
    WithGil& operator=(const WithGil&) = delete;
    ~WithGil() { PyGILState_Release(state_); }
};

}  // namespace pellucid
