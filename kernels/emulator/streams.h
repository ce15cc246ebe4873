// Streams, events and graphs. Work is queued, and is done at the latest when a thread waits for it, so a host that does
// not wait reads old data.
#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace emu {

using Work = std::function<int()>;      // a CUresult, or NotYet
constexpr int NotYet = -1;              // of a wait: the stream does not advance

struct Capture;

// The place of an event in the capture of its last recording.
struct Mark {
    std::weak_ptr<Capture> capture;
    int number = -1;                    // of the graph; -1 where the last recording was outside a capture
    std::vector<size_t> covers;         // for each lane, the number of nodes before the event
};

struct Event {
    uint64_t asked = 0, reached = 0;
    Mark mark;
};

// A node is a piece of work, the recording of an event, or a mark that is set or awaited. Each launch of the graph
// records the event and sets the marks anew.
struct Node {
    Work work;
    Event* event = nullptr;
    int lane = 0, sets = -1, awaits = -1;
};

// Nodes in the order of the capture. The nodes of a lane, which was a stream of the capture, are done in this order;
// lane 0 is that of the stream that launches the graph.
struct Graph {
    std::vector<Node> nodes;
    int lanes = 1, marks = 0;
};

struct Stream {
    std::deque<Work> queue;
    std::shared_ptr<Capture> capture;   // in progress on this stream
    int lane = 0;                       // its lane in the capture
    bool internal = false;              // a lane of a graph
    bool after_kernel = false;          // its last operation is a kernel, which a programmatic launch requires
};

std::recursive_mutex& lock();
// Gives the lock back during a wait in a call that holds it once.
struct Unlocked {
    Unlocked() { lock().unlock(); }
    ~Unlocked() { lock().lock(); }
};
extern uint64_t seed;
extern std::atomic<int> sticky_error;   // a broken kernel leaves the context unusable, as on a device

// records while capturing; otherwise may do some of the queued work, by the seed
int enqueue(Stream& stream, Work work);
int drain(Stream& stream);
int drain_all();
void forget_all();                          // discards the work that a broken kernel left undone
int drain_until(Event& event, uint64_t asked);
void run_ahead(Stream& stream);             // does the stream's work without that of other streams
bool advance_all();                         // one piece of each stream; false where nothing can continue
bool wait_for_ranks();                      // false where no work waits for another rank: nccl_run.cpp
uint64_t random_delay(uint64_t below);      // by the seed; 0 without one
Stream* stream_of(void* handle);            // null handle: the default stream
void add_stream(Stream* stream);
void remove_stream(Stream* stream);
size_t live_streams();
extern size_t live_handles;             // of cuBLAS

int capability_major();                 // of the emulated device: driver.cpp
int injected(const char* call);         // the error that this call is set to fail with: driver.cpp
uint64_t calls_so_far();                // of all functions: driver.cpp
int open_group(const char* call);       // the error of a wait inside ncclGroupStart: nccl.cpp

}
