// The driver's entry points for streams, events and graphs.
#include "captures.h"
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
    if (s.capture) { s.capture->broken = true; return CaptureUnsupported; }
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
int emu::record(Event& e, Stream& stream) {
    e.mark = {};
    return enqueue(stream, [&e, asked = ++e.asked] { e.reached = asked; return 0; });
}
namespace {
int record_or_mark(Event& e, Stream& stream) {
    if (!stream.capture) return record(e, stream);
    stream.after_kernel = false;
    mark(stream, e);
    return Success;
}
}
API cuEventRecord(void* event, void* stream) {
    ENTER("cuEventRecord");
    return record_or_mark(*static_cast<Event*>(event), *stream_of(stream));
}
API cuEventRecordWithFlags(void* event, void* stream, unsigned flags) {
    ENTER("cuEventRecordWithFlags");
    constexpr unsigned External = 1;
    auto& s = *stream_of(stream);
    if (flags == 0) return record_or_mark(*static_cast<Event*>(event), s);
    if (flags != External || !s.capture) return InvalidValue;       // external: in a graph only
    add_node(s, {{}, static_cast<Event*>(event)});
    s.after_kernel = false;
    return Success;
}
API cuStreamWaitEvent(void* stream, void* event, unsigned) {
    ENTER("cuStreamWaitEvent");
    auto& e = *static_cast<Event*>(event);
    if (is_captured_wait(*stream_of(stream), e)) return await_mark(*stream_of(stream), e);
    return enqueue(*stream_of(stream), [&e, asked = e.asked] { return e.reached < asked ? NotYet : 0; });
}
API cuEventSynchronize(void* event) {
    auto& e = *static_cast<Event*>(event);
    WAIT("cuEventSynchronize", drain_until(e, e.asked));
    if (int code = open_group("cuEventSynchronize")) return code;
    if (e.mark.number >= 0) return CapturedEvent;
    return drain_until(e, e.asked);
}
// an emulated time would have no meaning
API cuEventElapsedTime(float* ms, void*, void*) { ENTER("cuEventElapsedTime"); *ms = 0; return NotSupported; }

API cuStreamBeginCapture_v2(void* stream, int) {
    ENTER("cuStreamBeginCapture");
    auto& s = *stream_of(stream);
    if (s.capture) return CaptureUnsupported;
    begin_capture(s);
    return Success;
}
API cuStreamEndCapture(void* stream, void** graph) {
    ENTER("cuStreamEndCapture");
    auto& s = *stream_of(stream);
    if (!s.capture) return CaptureInvalidated;
    if (open_group("cuStreamEndCapture")) s.capture->broken = true;
    Graph* captured;
    int code = end_capture(s, captured);
    *graph = captured;
    if (captured) ++live_graphs;
    return code;
}
API cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long) {
    ENTER("cuGraphInstantiate");
    *executable = new Executable(*static_cast<Graph*>(graph));
    ++live_graphs;
    return Success;
}
API cuGraphLaunch(void* executable, void* stream) {
    ENTER("cuGraphLaunch");
    if (int code = open_group("cuGraphLaunch")) return code;
    return launch(*static_cast<Executable*>(executable), *stream_of(stream));
}
API cuGraphExecDestroy(void* graph) {
    LEAVE("cuGraphExecDestroy");
    drain_all();
    delete static_cast<Executable*>(graph);
    --live_graphs;
    return answer;
}
API cuGraphDestroy(void* graph) {
    LEAVE("cuGraphDestroy");
    delete static_cast<Graph*>(graph);
    --live_graphs;
    return answer;
}
