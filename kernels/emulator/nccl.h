// The emulated NCCL. Ranks are processes, or threads with copies of this library; they meet in POSIX shared memory.
// nccl.cpp has NCCL's functions, nccl_run.cpp the operations on the stream, nccl_shared.cpp what the ranks share.
#pragma once
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace emu {

using Clock = std::chrono::steady_clock;

// ncclResult_t
enum { NcclSuccess = 0, NcclCudaError = 1, NcclSystemError = 2, NcclInvalidArgument = 4, NcclInvalidUsage = 5,
       NcclRemoteError = 6 };

struct NcclId { unsigned char bytes[128]; };

enum class Operation : int { Send, Recv, AllGather, Broadcast, AllReduce };

// What a rank calls.
struct Record {
    Operation operation;
    int type, reduction;            // ncclDataType_t, ncclRedOp_t
    int peer;                       // the other rank of a Send or Recv, the root of a Broadcast
    uint64_t count;
    bool captured;                  // it is replayed from a graph
    uint64_t number;                // of the operation among those of the rank, from 1
};
size_t bytes_of(int type);          // 0: not a type
std::string described(const Record& record);
std::string called(int rank, const Record& record);         // "rank 1 calls ..."

// ---------------------------------------------------------------------------------------------------------------------
// shared memory

constexpr int MostRanks = 64;
constexpr size_t ChunkBytes = 64 << 10;

enum class Presence : uint32_t { Absent, Joined, Left, Aborted };

struct Member {
    Presence presence;
    bool waits;                     // in an operation; the rest is valid then
    Record record;
    uint64_t peers;                 // the ranks that it waits for, as bits
    uint32_t evaluated;             // value of Shared::changes when it found that it cannot continue
};

// Messages from one rank to another, one after another, in pieces of at most ChunkBytes.
struct Channel {
    uint64_t posted, finished;      // messages
    Record record;                  // of the message that is posted and not finished
    uint64_t bytes, written, read;
    unsigned char data[ChunkBytes];
};

struct Shared {
    std::atomic<uint32_t> ready;            // initialized
    std::atomic<uint32_t> ended;            // the group of this file has ended; ranks must not join it
    std::atomic<uint32_t> changes;          // counts changes of everything here; a futex
    pthread_mutex_t mutex;                  // robust
    int size, joined;
    bool failed;
    char failure[1024];                     // the rule that was broken first
    Member members[MostRanks];
    Channel channels[1];                    // [size, size]: from, to
};

// Holds the lock of the shared memory, also after the death of a rank that held it.
struct SharedLock {
    explicit SharedLock(Shared& shared);
    ~SharedLock();
    SharedLock(const SharedLock&) = delete;
    Shared& shared;
};

class Run;

struct Communicator {
    ~Communicator();
    Channel& channel(int from, int to) { return shared->channels[from * size + to]; }
    void changed();                         // wakes all ranks; with the lock
    void leave(Presence presence);          // Left or Aborted
    bool alive(int peer) const;             // its process and its communicator exist
    // The reason for which a peer cannot join an operation; empty if it can. The caller holds the lock.
    std::string gone(int peer) const;

    Shared* shared = nullptr;
    size_t mapped = 0;
    int file = -1, rank = 0, size = 0;
    std::atomic<bool> aborted = false, destroyed = false;
    std::atomic<int> error = 0;             // result of ncclCommGetAsyncError
    uint64_t number = 0;                    // operations begun
    uint64_t issued = 0, expected = 0;      // operations called outside a capture, and those of them that have begun
    uint64_t sent[MostRanks] = {}, received[MostRanks] = {};    // messages by peer
    void* stream = nullptr;                 // of the last call
    Run* running = nullptr;
};

// Joins a group, and returns when all ranks have joined; null, the reason and a result on failure.
std::shared_ptr<Communicator> join(const NcclId& id, int rank, int size, std::string& why, int& result);
// Removes what ended processes have left in /dev/shm.
void remove_old_files();
void wait_for_change(Shared& shared, uint32_t seen, int microseconds);
double peer_limit();                        // seconds that a rank waits for others
std::string after_limit();                  // "after 60 s"

// ---------------------------------------------------------------------------------------------------------------------
// operations

struct Call {
    Record record;
    const unsigned char* send;
    unsigned char* receive;
    size_t bytes;                           // of a rank's block

    size_t send_bytes(const Communicator& c) const;
    size_t receive_bytes(const Communicator& c) const;
};

// The calls of a group on one communicator; they are one operation.
struct Group {
    std::shared_ptr<Communicator> communicator;
    std::vector<Call> calls;
    void* stream = nullptr;
    bool captured = false;
    uint64_t issue = 0;
};

// Checks the buffers of a group: allocations, overlaps. Returns the broken rule, or "".
std::string broken_rule(const Group& group);
int queue_operation(std::shared_ptr<Group> group);      // a CUresult
std::atomic<size_t>& live_communicators();
void start_progress();

}
