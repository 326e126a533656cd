// for piece in range(pieces): f(piece)
//
// A pool of threads of the library's own. The caller cuts its work in pieces by the work's size
// alone, so that the number of threads decides who computes a piece and never what it computes:
// results have the same bits for any number.
//
// The calling thread takes part. Nested calls, and calls that find the pool serving another thread,
// run their pieces themselves, in order. Workers are made when first needed, look for work for some
// tens of microseconds after a call and then sleep. After a fork the child makes its own.
#pragma once

#include <string>

namespace pellucid {

// 1 <= n <= 64, the caller included. Until it is called: OMP_NUM_THREADS, at most `usable_cores`.
void set_threads(int n);
int threads();

// The cores that this process may use: those of its affinity mask, and no more than its control
// group pays for (root: where the file system begins).
int usable_cores(const std::string& root = "");

// Runs call(context, piece) for 0 <= piece < pieces and returns when all are done.
void run_pieces(int pieces, void (*call)(const void*, int) noexcept, const void* context) noexcept;

// f must not throw: an exception ends the process.
template <class F> void parallel(int pieces, F&& f) noexcept {
    if (pieces == 1) return f(0);
    run_pieces(
        pieces,
        [](const void* context, int piece) noexcept { (*static_cast<const F*>(context))(piece); },
        &f);
}

}  // namespace pellucid
