// The driver's entry points for streams, events and graphs.
#include "driver.h"

using namespace emu;

API cuStreamCreate(void** stream, unsigned) {
    ENTER("cuStreamCreate");
    auto s = new Stream;
    add_stream(s);
    *stream = s;
    return Success;
}
API cuStreamDestroy_v2(void* stream) {
    LEAVE("cuStreamDestroy");
    auto s = stream_of(stream);
    drain(*s);
    remove_stream(s);
    delete s;
    return answer;
}
API cuStreamSynchronize(void* stream) {
    auto& s = *stream_of(stream);
    WAIT("cuStreamSynchronize", if (!s.capture) drain(s));
    if (int code = open_group("cuStreamSynchronize")) return code;
    if (s.capture) { s.capture_broken = true; return CaptureUnsupported; }
    return drain(s);
}
API cuEventCreate(void** event, unsigned) { ENTER("cuEventCreate"); *event = new Event; ++live_events; return Success; }
API cuEventDestroy_v2(void* event) {
    LEAVE("cuEventDestroy");
    drain_all();
    delete static_cast<Event*>(event);
    --live_events;
    return answer;
}
namespace {
int record(Event& e, Stream& stream) {
    return enqueue(stream, [&e, asked = ++e.asked] { e.reached = asked; return 0; });
}
}
API cuEventRecord(void* event, void* stream) {
    ENTER("cuEventRecord");
    return record(*static_cast<Event*>(event), *stream_of(stream));
}
API cuEventRecordWithFlags(void* event, void* stream, unsigned flags) {
    ENTER("cuEventRecordWithFlags");
    constexpr unsigned External = 1;
    auto& s = *stream_of(stream);
    if (flags == 0) return record(*static_cast<Event*>(event), s);
    if (flags != External || !s.capture) return InvalidValue;       // external: in a graph only
    s.capture->nodes.push_back({{}, static_cast<Event*>(event)});
    s.after_kernel = false;
    return Success;
}
API cuStreamWaitEvent(void* stream, void* event, unsigned) {
    ENTER("cuStreamWaitEvent");
    auto& e = *static_cast<Event*>(event);
    return enqueue(*stream_of(stream), [&e, asked = e.asked] { return e.reached < asked ? NotYet : 0; });
}
API cuEventSynchronize(void* event) {
    auto& e = *static_cast<Event*>(event);
    WAIT("cuEventSynchronize", drain_until(e, e.asked));
    if (int code = open_group("cuEventSynchronize")) return code;
    return drain_until(e, e.asked);
}
// an emulated time would have no meaning
API cuEventElapsedTime(float* ms, void*, void*) { ENTER("cuEventElapsedTime"); *ms = 0; return NotSupported; }

API cuStreamBeginCapture_v2(void* stream, int) {
    ENTER("cuStreamBeginCapture");
    auto& s = *stream_of(stream);
    if (s.capture) return CaptureUnsupported;
    s.capture = std::make_unique<Graph>();
    s.capture_broken = s.after_kernel = false;
    return Success;
}
API cuStreamEndCapture(void* stream, void** graph) {
    ENTER("cuStreamEndCapture");
    auto& s = *stream_of(stream);
    if (!s.capture) return CaptureInvalidated;
    if (open_group("cuStreamEndCapture")) s.capture_broken = true;
    auto captured = s.capture.release();
    s.after_kernel = false;
    if (s.capture_broken) { delete captured; *graph = nullptr; return CaptureInvalidated; }
    *graph = captured;
    ++live_graphs;
    return Success;
}
API cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long) {
    ENTER("cuGraphInstantiate");
    *executable = new Graph(*static_cast<Graph*>(graph));
    ++live_graphs;
    return Success;
}
API cuGraphLaunch(void* executable, void* stream) {
    ENTER("cuGraphLaunch");
    if (int code = open_group("cuGraphLaunch")) return code;
    auto graph = static_cast<Graph*>(executable);
    for (auto& node : graph->nodes)
        if (int code = node.event ? record(*node.event, *stream_of(stream)) : enqueue(*stream_of(stream), node.work))
            return code;
    return Success;
}
API cuGraphExecDestroy(void* graph) {
    LEAVE("cuGraphExecDestroy");
    drain_all();
    delete static_cast<Graph*>(graph);
    --live_graphs;
    return answer;
}
API cuGraphDestroy(void* graph) {
    LEAVE("cuGraphDestroy");
    delete static_cast<Graph*>(graph);
    --live_graphs;
    return answer;
}
