// The calls of the emulated NCCL: how reports name them, and the rules of their buffers.
#include "memory.h"
#include "nccl.h"

namespace emu {

namespace {

constexpr const char* types[] = {"int8", "uint8", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64",
                                 "bfloat16"};
constexpr size_t sizes[] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2};
constexpr const char* operations[] = {"ncclSend", "ncclRecv", "ncclAllGather", "ncclBroadcast", "ncclAllReduce"};
constexpr const char* reductions[] = {"sum", "product", "maximum", "minimum", "average"};

bool overlap(const unsigned char* a, size_t as, const unsigned char* b, size_t bs) {
    return as && bs && a < b + bs && b < a + as;
}

}

size_t bytes_of(int type) { return type >= 0 && type < int(std::size(sizes)) ? sizes[type] : 0; }

std::string described(const Record& r) {
    bool known = bytes_of(r.type) != 0;
    std::string text = std::string(operations[int(r.operation)]) + " of " + std::to_string(r.count) + " "
        + (r.type == 0 ? "bytes" : known ? types[r.type] : "numbers of type " + std::to_string(r.type));
    if (r.operation == Operation::AllReduce)
        text += std::string(" (") + (r.reduction >= 0 && r.reduction < 5 ? reductions[r.reduction] : "unknown") + ")";
    if (r.operation == Operation::Broadcast) text += " of rank " + std::to_string(r.peer);
    if (r.operation == Operation::Send) text += " to rank " + std::to_string(r.peer);
    if (r.operation == Operation::Recv) text += " from rank " + std::to_string(r.peer);
    return text + " at " + std::to_string(r.number) + (r.captured ? " in a graph" : "");
}

std::string called(int rank, const Record& r) { return "rank " + std::to_string(rank) + " calls " + described(r); }

size_t Call::send_bytes(const Communicator& c) const {
    bool receives = record.operation == Operation::Recv
        || (record.operation == Operation::Broadcast && record.peer != c.rank);
    return receives ? 0 : bytes;
}

size_t Call::receive_bytes(const Communicator& c) const {
    return record.operation == Operation::Send ? 0 : record.operation == Operation::AllGather ? c.size * bytes : bytes;
}

std::string broken_rule(const Group& g) {
    auto& c = *g.communicator;
    for (auto& one : g.calls) {
        auto who = called(c.rank, one.record);
        auto sends = one.send_bytes(c), receives = one.receive_bytes(c);
        if (sends && !owned(one.send, sends)) return who + ": the send buffer leaves its allocation";
        if (receives && !owned(one.receive, receives)) return who + ": the receive buffer leaves its allocation";
        auto in_place = one.receive + (one.record.operation == Operation::AllGather ? c.rank * one.bytes : 0);
        if (one.send != in_place && overlap(one.send, sends, one.receive, receives))
            return who + ": the send buffer and the receive buffer overlap";
        for (auto& other : g.calls) {
            if (&other == &one) break;
            bool meet = overlap(one.receive, receives, other.receive, other.receive_bytes(c))
                || overlap(one.receive, receives, other.send, other.send_bytes(c))
                || overlap(one.send, sends, other.receive, other.receive_bytes(c));
            if (meet) return who + " and " + described(other.record) + " in one group: their buffers overlap";
        }
    }
    return "";
}

}
