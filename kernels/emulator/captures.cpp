#include "captures.h"

#include <algorithm>

#include "driver.h"

namespace emu {

namespace {

std::vector<size_t>& covered(Stream& stream) { return stream.capture->covers[stream.lane]; }

void cover(std::vector<size_t>& more, const std::vector<size_t>& other) {
    more.resize(std::max(more.size(), other.size()));
    for (size_t lane = 0; lane < other.size(); ++lane) more[lane] = std::max(more[lane], other[lane]);
}

// Whether the first lane waits for the last node of each lane.
bool is_joined(Capture& capture) {
    auto all = capture.covers[0];
    all.resize(capture.covers.size());
    for (size_t lane = 0; lane < all.size(); ++lane)
        if (all[lane] < capture.covers[lane][lane]) return false;
    return true;
}

}

Executable::Executable(const Graph& graph) : Graph(graph) {
    for (int lane = 1; lane < lanes; ++lane) {
        streams.push_back(std::make_unique<Stream>());
        streams.back()->internal = true;
        add_stream(streams.back().get());
    }
}
Executable::~Executable() { for (auto& stream : streams) remove_stream(stream.get()); }

void begin_capture(Stream& stream) {
    stream.capture = std::make_shared<Capture>(Capture{{}, &stream});
    stream.capture->covers = {{0}};
    stream.lane = 0;
    stream.after_kernel = false;
}

int end_capture(Stream& stream, Graph*& graph) {
    graph = nullptr;
    if (stream.capture->origin != &stream) return CaptureUnmatched;
    auto capture = stream.capture;
    leave(*capture);
    if (capture->broken) return CaptureInvalidated;
    if (!is_joined(*capture)) return CaptureUnjoined;
    graph = new Graph(capture->graph);
    return Success;
}

void add_node(Stream& stream, Node node) {
    node.lane = stream.lane;
    stream.capture->graph.nodes.push_back(std::move(node));
    ++covered(stream)[stream.lane];
}

void mark(Stream& stream, Event& event) {
    Node node;
    node.sets = stream.capture->graph.marks++;
    event.mark = {stream.capture, node.sets, {}};
    add_node(stream, std::move(node));
    event.mark.covers = covered(stream);
}

bool is_captured_wait(const Stream& stream, const Event& event) { return stream.capture || event.mark.number >= 0; }

int await_mark(Stream& stream, const Event& event) {
    auto capture = event.mark.capture.lock();
    if (!stream.capture && !capture) return CapturedEvent;              // of a capture that has ended
    if (stream.capture && stream.capture != capture) {
        stream.capture->broken = true;
        return CaptureIsolation;
    }
    if (!stream.capture) {
        stream.capture = capture;
        stream.lane = capture->graph.lanes++;
        capture->covers.emplace_back(stream.lane + 1);
    }
    stream.after_kernel = false;
    cover(covered(stream), event.mark.covers);
    Node node;
    node.awaits = event.mark.number;
    add_node(stream, std::move(node));
    return Success;
}

int launch(Executable& graph, Stream& stream) {
    auto marks = std::make_shared<std::vector<char>>(graph.marks);
    for (auto& node : graph.nodes) {
        auto& queue = node.lane == 0 ? stream : *graph.streams[node.lane - 1];
        int code = node.event ? record(*node.event, queue)
            : node.sets >= 0 ? enqueue(queue, [marks, i = node.sets] { (*marks)[i] = 1; return 0; })
            : node.awaits >= 0 ? enqueue(queue, [marks, i = node.awaits] { return (*marks)[i] ? 0 : NotYet; })
            : enqueue(queue, node.work);
        if (code) return code;
    }
    return Success;
}

}
