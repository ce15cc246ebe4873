// Captures: the operations of a stream, and of streams that wait for its events, become a graph.
#pragma once
#include "streams.h"

namespace emu {

struct Capture {
    Graph graph;
    Stream* origin;
    bool broken = false;
    std::vector<std::vector<size_t>> covers;    // [lane][lane] nodes of a lane that are before the next one of a lane
};

// A graph that can be launched, with a stream for each lane after the first.
struct Executable : Graph {
    explicit Executable(const Graph& graph);
    ~Executable();
    Executable(const Executable&) = delete;
    std::vector<std::unique_ptr<Stream>> streams;
};

void begin_capture(Stream& stream);
// Ends the capture that began on the stream. The graph is null where the result is an error.
int end_capture(Stream& stream, Graph*& graph);
void add_node(Stream& stream, Node node);
// Records an event in the capture of the stream.
void mark(Stream& stream, Event& event);
// Whether a wait of the stream for the event belongs to a capture.
bool is_captured_wait(const Stream& stream, const Event& event);
// Makes the stream wait in the capture of the event, which the stream joins.
int await_mark(Stream& stream, const Event& event);
int launch(Executable& graph, Stream& stream);
void leave(const Capture& capture);             // all its streams: streams.cpp
int record(Event& event, Stream& stream);       // outside a capture: graphs.cpp

}
