// The functions of NCCL that the engine uses, under their names in nccl.h. The meanings are those of NVIDIA's NCCL user
// guide. ncclAllReduce adds and compares integers only.
#include <sys/random.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <set>

#include "driver.h"
#include "fibers.h"
#include "memory.h"
#include "nccl.h"

namespace emu {

namespace {

constexpr int Version = 22203;
std::mutex communicators_mutex, error_mutex;
std::map<void*, std::shared_ptr<Communicator>> communicators;
std::string last_error;
std::set<std::string> used_addresses;       // of NCCL_COMM_ID

struct OpenGroup { int depth = 0; std::vector<std::shared_ptr<Group>> groups; };
thread_local OpenGroup group;

std::shared_ptr<Communicator> find(void* handle) {
    std::lock_guard<std::mutex> guard(communicators_mutex);
    auto found = communicators.find(handle);
    return found == communicators.end() ? nullptr : found->second;
}

std::shared_ptr<Communicator> take(void* handle) {
    std::lock_guard<std::mutex> guard(communicators_mutex);
    auto node = communicators.extract(handle);
    return node.empty() ? nullptr : node.mapped();
}

int refuse(int result, const std::string& text) {
    set_report(text.c_str());
    std::lock_guard<std::mutex> guard(error_mutex);
    last_error = text;
    return result;
}

int queued(std::shared_ptr<Group> whole) {
    return queue_operation(whole) ? refuse(NcclCudaError, report()) : NcclSuccess;
}

// Queues a call, or adds it to the group that is open on this thread.
int call(void* handle, Call made, void* stream) {
    auto c = find(handle);
    if (!c) return refuse(NcclInvalidArgument, described(made.record) + ": not a communicator");
    made.record.number = c->issued + 1;
    auto who = called(c->rank, made.record);
    if (bytes_of(made.record.type) == 0) return refuse(NcclInvalidArgument, who + ": not a type");
    if (made.record.peer < 0 || made.record.peer >= c->size)
        return refuse(NcclInvalidArgument, who + ": a communicator of " + std::to_string(c->size) + " ranks");
    made.bytes = made.record.count * bytes_of(made.record.type);
    if (made.send_bytes(*c) > 0 && !made.send) return refuse(NcclInvalidArgument, who + ": no send buffer");
    if (made.receive_bytes(*c) > 0 && !made.receive) return refuse(NcclInvalidArgument, who + ": no receive buffer");
    auto single = std::make_shared<Group>(Group{c, {made}, stream});
    if (auto rule = broken_rule(*single); !rule.empty()) return refuse(NcclInvalidArgument, rule);
    if (group.depth == 0) return queued(single);
    for (auto& open : group.groups) {
        if (open->communicator != c) continue;
        if (open->stream != stream) return refuse(NcclInvalidUsage, who + ": a group uses two streams");
        open->calls.push_back(made);
        return NcclSuccess;
    }
    group.groups.push_back(single);
    return NcclSuccess;
}

Record record(Operation operation, size_t count, int type, int reduction, int peer) {
    return {operation, type, reduction, peer, count, false, 0};
}

}

int open_group(const char* waits) {
    if (group.depth == 0) return 0;
    refuse(0, std::string(waits) + " inside ncclGroupStart: ncclGroupEnd is missing");
    return InvalidValue;
}

}

using namespace emu;

// A planted or a sticky error. ncclGetLastError then returns the report of the emulator, which may be empty.
static bool fails(const char* name) {
    bool planted = injected(name) != 0;
    if (!planted && !sticky_error) return false;
    std::lock_guard<std::mutex> guard(error_mutex);
    last_error = planted ? "" : report();
    return true;
}

#undef ENTER
#define ENTER(name) \
    std::lock_guard<std::recursive_mutex> guard(lock()); \
    if (fails(name)) return NcclCudaError; \
    if (!initialized || !has_context) return refuse(NcclCudaError, name " on a thread without a current context")
#define TEXT extern "C" __attribute__((visibility("default"))) const char*

API ncclGetVersion(int* version) {
    std::lock_guard<std::recursive_mutex> guard(lock());
    if (fails("ncclGetVersion")) return NcclCudaError;
    *version = Version;
    return NcclSuccess;
}

// With NCCL_COMM_ID all processes make the same id, which serves one communicator: its first rank listens at that
// address.
API ncclGetUniqueId(NcclId* id) {
    std::lock_guard<std::recursive_mutex> guard(lock());
    if (fails("ncclGetUniqueId")) return NcclCudaError;
    memset(id, 0, sizeof *id);
    remove_old_files();
    auto address = getenv("NCCL_COMM_ID");
    if (!address) return getrandom(id->bytes, 32, 0) == 32 ? NcclSuccess : NcclSystemError;
    auto port = strrchr(address, ':');
    if (!port || port == address || atoi(port + 1) <= 0 || strlen(address) > 100)
        return refuse(NcclInvalidArgument, std::string("NCCL_COMM_ID is ") + address + "; it must be HOST:PORT");
    memcpy(id->bytes, "address ", 8);
    memcpy(id->bytes + 8, address, strlen(address));
    return NcclSuccess;
}

API ncclCommInitRank(void** communicator, int size, NcclId id, int rank) {
    ENTER("ncclCommInitRank");
    auto who = "rank " + std::to_string(rank) + " of " + std::to_string(size) + " in ncclCommInitRank: ";
    if (group.depth) return refuse(NcclInvalidUsage, who + "inside ncclGroupStart, which is not emulated");
    if (size < 1 || size > MostRanks || rank < 0 || rank >= size)
        return refuse(NcclInvalidArgument, who + "1 to " + std::to_string(MostRanks) + " ranks are emulated");
    if (memcmp(id.bytes, "address ", 8) == 0) {
        std::string address(reinterpret_cast<char*>(id.bytes) + 8);
        if (!used_addresses.insert(address).second)
            return refuse(NcclInvalidUsage, who + "NCCL_COMM_ID=" + address + " serves one communicator");
    }
    std::string why;
    int result;
    auto joined = join(id, rank, size, why, result);
    if (!joined) return refuse(result, who + why);
    {
        std::lock_guard<std::mutex> registry(communicators_mutex);
        communicators[joined.get()] = joined;
    }
    *communicator = joined.get();
    ++live_communicators();
    start_progress();
    return NcclSuccess;
}

// Waits for the operations of this rank. Other ranks that wait for it fail.
API ncclCommDestroy(void* handle) {
    std::lock_guard<std::recursive_mutex> guard(lock());
    int answer = fails("ncclCommDestroy") ? NcclCudaError : NcclSuccess;
    if (open_group("ncclCommDestroy")) {
        group = {};
        answer = NcclInvalidUsage;
    }
    drain_all();
    auto c = take(handle);
    if (!c) return refuse(NcclInvalidArgument, "ncclCommDestroy: not a communicator");
    c->destroyed = true;
    c->leave(Presence::Left);
    --live_communicators();
    return answer;
}

// This function and the next do not take lock(): another thread may hold it in a kernel that does not end.
API ncclCommAbort(void* handle) {
    int answer = injected("ncclCommAbort") ? NcclCudaError : NcclSuccess;
    auto c = take(handle);
    if (!c) return NcclInvalidArgument;
    c->aborted = true;
    c->leave(Presence::Aborted);
    --live_communicators();
    return answer;
}

API ncclCommGetAsyncError(void* handle, int* error) {
    if (injected("ncclCommGetAsyncError")) return NcclCudaError;
    auto c = find(handle);
    if (!c) return NcclInvalidArgument;
    SharedLock guard(*c->shared);
    for (int r = 0; r < c->size && !c->error; ++r) {
        if (r == c->rank || c->shared->members[r].presence == Presence::Left) continue;
        auto why = c->gone(r);
        if (why.empty()) continue;
        c->error = NcclRemoteError;
        std::lock_guard<std::mutex> texts(error_mutex);
        last_error = "rank " + std::to_string(r) + " " + why;
    }
    if (c->shared->failed && !c->error) {
        c->error = NcclRemoteError;
        std::lock_guard<std::mutex> texts(error_mutex);
        last_error = c->shared->failure;
    }
    *error = c->error;
    return NcclSuccess;
}

TEXT ncclGetErrorString(int result) {
    switch (result) {
        case NcclSuccess: return "no error";
        case NcclCudaError: return "unhandled cuda error";
        case NcclSystemError: return "unhandled system error";
        case NcclInvalidArgument: return "invalid argument";
        case NcclInvalidUsage: return "invalid usage";
        case NcclRemoteError: return "remote process exited or there was a network error";
        default: return "unknown result code";
    }
}

TEXT ncclGetLastError(void*) {
    static thread_local std::string copy;
    std::lock_guard<std::mutex> guard(error_mutex);
    copy = last_error;
    return copy.c_str();
}

API ncclGroupStart() {
    ENTER("ncclGroupStart");
    ++group.depth;
    return NcclSuccess;
}

API ncclGroupEnd() {
    std::lock_guard<std::recursive_mutex> guard(lock());
    int answer = fails("ncclGroupEnd") ? NcclCudaError : NcclSuccess;
    if (group.depth == 0) return refuse(NcclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
    if (--group.depth > 0) return answer;
    auto groups = std::move(group.groups);
    group = {};
    if (answer) return answer;
    for (auto& one : groups) {
        if (one->communicator->aborted) return refuse(NcclInvalidUsage, "ncclGroupEnd after ncclCommAbort");
        if (auto rule = broken_rule(*one); !rule.empty()) return refuse(NcclInvalidUsage, rule);
        if (int result = queued(one)) return result;
    }
    return NcclSuccess;
}

API ncclSend(const void* data, size_t count, int type, int peer, void* communicator, void* stream) {
    ENTER("ncclSend");
    return call(communicator, {record(Operation::Send, count, type, 0, peer), static_cast<const unsigned char*>(data),
                               nullptr, 0}, stream);
}

API ncclRecv(void* data, size_t count, int type, int peer, void* communicator, void* stream) {
    ENTER("ncclRecv");
    return call(communicator, {record(Operation::Recv, count, type, 0, peer), nullptr,
                               static_cast<unsigned char*>(data), 0}, stream);
}

API ncclAllGather(const void* send, void* receive, size_t count, int type, void* communicator, void* stream) {
    ENTER("ncclAllGather");
    return call(communicator, {record(Operation::AllGather, count, type, 0, 0),
                               static_cast<const unsigned char*>(send), static_cast<unsigned char*>(receive), 0},
                stream);
}

API ncclBroadcast(const void* send, void* receive, size_t count, int type, int root, void* communicator,
                  void* stream) {
    ENTER("ncclBroadcast");
    return call(communicator, {record(Operation::Broadcast, count, type, 0, root),
                               static_cast<const unsigned char*>(send), static_cast<unsigned char*>(receive), 0},
                stream);
}

API ncclAllReduce(const void* send, void* receive, size_t count, int type, int reduction, void* communicator,
                  void* stream) {
    ENTER("ncclAllReduce");
    auto r = record(Operation::AllReduce, count, type, reduction, 0);
    if (type < 2 || type > 5)
        return refuse(NcclInvalidArgument, described(r) + ": only integers of 32 and 64 bits are emulated; the order "
                      "of a float sum is NCCL's, so the engine adds floats itself");
    if (reduction != 0 && reduction != 2 && reduction != 3)
        return refuse(NcclInvalidArgument, described(r) + ": only sum, maximum and minimum are emulated");
    return call(communicator, {r, static_cast<const unsigned char*>(send), static_cast<unsigned char*>(receive), 0},
                stream);
}
