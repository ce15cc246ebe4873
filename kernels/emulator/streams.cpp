#include "streams.h"

#include <algorithm>

#include "captures.h"

namespace emu {

uint64_t seed;
std::atomic<int> sticky_error;

namespace {

std::vector<Stream*> streams;
Stream default_stream;
uint64_t steps;

// One piece of the stream's work. False where the stream waits for another stream, or has no work.
bool advance(Stream& stream) {
    if (stream.queue.empty()) return false;
    auto work = std::move(stream.queue.front());
    stream.queue.pop_front();
    int result = work();
    if (result == NotYet) {
        stream.queue.push_front(std::move(work));
        return false;
    }
    if (result && !sticky_error) sticky_error = result;
    return true;
}

uint64_t next_random() {
    uint64_t z = seed + 0x9e3779b97f4a7c15ull * ++steps;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    return z ^ z >> 31;
}

}

bool advance_all() {
    bool moved = false;
    for (size_t s = 0; s <= streams.size(); ++s) moved |= advance(s == streams.size() ? default_stream : *streams[s]);
    return moved;
}

void run_ahead(Stream& stream) { while (!sticky_error && advance(stream)) {} }

uint64_t random_delay(uint64_t below) { return seed ? next_random() % below : 0; }

std::recursive_mutex& lock() { static std::recursive_mutex mutex; return mutex; }

int enqueue(Stream& stream, Work work) {
    stream.after_kernel = false;        // a launch sets it after this
    if (stream.capture) {
        add_node(stream, {std::move(work)});
        return 0;
    }
    if (sticky_error) return sticky_error;
    stream.queue.push_back(std::move(work));
    // Any stream may get ahead at any time.
    if (seed && !streams.empty())
        for (auto tries = next_random() % 4; tries > 0; --tries) advance(*streams[next_random() % streams.size()]);
    return 0;
}

int drain(Stream& stream) {
    while (!stream.queue.empty() && !sticky_error && (advance(stream) || advance_all() || wait_for_ranks())) {}
    return sticky_error;
}

int drain_all() {
    while (!sticky_error && (advance_all() || wait_for_ranks())) {}
    return sticky_error;
}

void forget_all() {
    default_stream.queue.clear();
    for (auto stream : streams) stream->queue.clear();
}

int drain_until(Event& event, uint64_t asked) {
    while (event.reached < asked && !sticky_error && (advance_all() || wait_for_ranks())) {}
    return sticky_error;
}

Stream* stream_of(void* handle) { return handle ? static_cast<Stream*>(handle) : &default_stream; }
void add_stream(Stream* stream) { streams.push_back(stream); }
void remove_stream(Stream* stream) { std::erase(streams, stream); }
size_t live_streams() { return std::ranges::count(streams, false, &Stream::internal); }
void leave(const Capture& capture) {
    auto end = [&](Stream& stream) {
        if (stream.capture.get() != &capture) return;
        stream.after_kernel = false;
        stream.capture.reset();
    };
    for (auto stream : streams) end(*stream);
    end(default_stream);
}

}
