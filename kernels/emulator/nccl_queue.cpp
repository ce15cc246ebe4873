// Operations of the emulated NCCL in the queue of a stream. A thread that waits for the stream executes them, or a
// thread of the emulator.
#include <thread>

#include "driver.h"
#include "nccl_run.h"

namespace emu {

int queue_operation(std::shared_ptr<Group> group) {
    auto& c = *group->communicator;
    auto& stream = *stream_of(group->stream);
    group->captured = stream.capture != nullptr;
    for (auto& call : group->calls) call.record.captured = group->captured;
    bool other = c.issued && c.stream != group->stream;
    if (!group->captured) {
        group->issue = ++c.issued;
        c.stream = group->stream;
    }
    // Each launch of a graph copies the work, which has not run.
    if (int code = enqueue(stream, [group, run = std::shared_ptr<Run>()]() mutable {
            if (!run) run = std::make_shared<Run>(*group);
            return run->step();
        }))
        return code;
    if (other && !group->captured) run_ahead(stream);       // an order that events do not state does not hold
    return Success;
}

bool wait_for_ranks() {
    if (runs.empty()) return false;
    auto communicator = runs[0]->group.communicator;
    auto& shared = *communicator->shared;
    bool delayed = runs[0]->delayed;
    uint32_t seen = delayed ? shared.changes.load() : runs[0]->seen;
    int limit = delayed || runs.size() > 1 ? 100 : 2000;
    Unlocked others_may_call;
    wait_for_change(shared, seen, limit);
    return true;
}

std::atomic<size_t>& live_communicators() { static std::atomic<size_t> count; return count; }

// A stream continues although no thread waits for it: other ranks may wait for its operations. This rank may wait for
// theirs outside the driver, so the work begins when its threads have made no call for a moment.
struct Progress {
    std::mutex mutex;
    bool running = false;
    std::atomic<bool> stop = false;
    ~Progress() {
        stop = true;
        for (int i = 0; i < 200 && runs(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    bool runs() {
        std::lock_guard<std::mutex> guard(mutex);
        return running;
    }
    bool ends() {
        std::lock_guard<std::mutex> guard(mutex);
        if (stop || live_communicators() == 0) running = false;
        return !running;
    }
    void start() {
        std::lock_guard<std::mutex> guard(mutex);
        if (!running) std::thread([this] { run(); }).detach();
        running = true;
    }
    void run() {
        for (auto calls = calls_so_far(); !ends();) {
            std::this_thread::sleep_for(std::chrono::milliseconds(3));
            auto now = calls_so_far();
            if (now != calls) { calls = now; continue; }
            std::unique_lock<std::recursive_mutex> guard(lock(), std::try_to_lock);
            while (guard && !sticky_error && calls_so_far() == calls && advance_all()) {}
        }
    }
};

void start_progress() {
    static Progress progress;
    progress.start();
}

}
