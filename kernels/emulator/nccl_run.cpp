// Executes an operation of the emulated NCCL. It is cut into messages between two ranks. Each message names the call
// that it belongs to, and the receiver compares it with its own call. A rank that cannot continue returns NotYet, and
// notes for which ranks it waits; a circle of such ranks is a deadlock.
#include "nccl_run.h"

#include <cstring>

#include "driver.h"
#include "fibers.h"
#include "memory.h"

namespace emu {

namespace {

template <typename T> void combine(int reduction, unsigned char* to, const unsigned char* from, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        T a, b;
        memcpy(&a, to + i * sizeof(T), sizeof(T));
        memcpy(&b, from + i * sizeof(T), sizeof(T));
        using U = std::make_unsigned_t<T>;      // a sum wraps
        a = reduction == 0 ? T(U(a) + U(b)) : reduction == 2 ? std::max(a, b) : std::min(a, b);
        memcpy(to + i * sizeof(T), &a, sizeof(T));
    }
}

void combine(const Record& record, unsigned char* to, const unsigned char* from) {
    switch (record.type) {
        case 2: return combine<int32_t>(record.reduction, to, from, record.count);
        case 3: return combine<uint32_t>(record.reduction, to, from, record.count);
        case 4: return combine<int64_t>(record.reduction, to, from, record.count);
        default: return combine<uint64_t>(record.reduction, to, from, record.count);
    }
}

bool match(const Record& mine, const Record& theirs) {
    bool same = mine.operation == Operation::Recv ? theirs.operation == Operation::Send
        : mine.operation == theirs.operation && mine.reduction == theirs.reduction
            && (mine.operation != Operation::Broadcast || mine.peer == theirs.peer);
    return same && mine.type == theirs.type && mine.count == theirs.count && mine.captured == theirs.captured;
}

}

std::vector<Run*> runs;

Run::~Run() { end(); }

void Run::end() {
    if (c.running == this) c.running = nullptr;
    std::erase(runs, this);
}

int Run::failed(int code, int error, const std::string& text) {
    c.error = error;
    set_report(text.c_str());
    end();
    return code;
}

// Makes the other ranks return the same report; with the lock.
void Run::publish(const std::string& text) {
    if (!c.shared->failed) snprintf(c.shared->failure, sizeof c.shared->failure, "%s", text.c_str());
    c.shared->failed = true;
    c.changed();
}

int Run::broken(int code, const std::string& text) {
    {
        SharedLock guard(*c.shared);
        publish(text);
    }
    return failed(code, NcclInvalidUsage, text);
}

int Run::begin() {
    auto first = group.calls[0].record;
    first.number = ++c.number;
    auto who = called(c.rank, first);
    if (c.destroyed) return failed(LaunchFailed, NcclInvalidUsage, who + " after ncclCommDestroy");
    if (c.running || (!group.captured && group.issue != c.expected + 1))
        return broken(LaunchFailed, who + " on a stream, and an earlier operation of the communicator on another "
                      "stream is not complete: nothing orders them");
    if (!group.captured) c.expected = group.issue;
    auto numbered = group;
    for (auto& call : numbered.calls) call.record.number = c.number;
    if (auto text = broken_rule(numbered); !text.empty()) return broken(IllegalAddress, text);
    begun = true;
    c.running = this;
    runs.push_back(this);
    own.reserve(group.calls.size());
    for (auto& call : group.calls) begin(call);
    moved = looked = Clock::now();
    ready = moved + std::chrono::microseconds(random_delay(300));
    return 0;
}

void Run::begin(const Call& call) {
    auto record = call.record;
    record.number = c.number;
    record.captured = group.captured;
    auto sends = [&](int peer, const unsigned char* data, size_t bytes) {
        messages.push_back({true, peer, record, const_cast<unsigned char*>(data), bytes});
    };
    auto receives = [&](int peer, unsigned char* data, size_t bytes) {
        messages.push_back({false, peer, record, data, bytes});
    };
    auto poison = [&](unsigned char* p, size_t bytes) { if (bytes) memset(p, PoisonByte, bytes); };
    own.emplace_back();
    switch (record.operation) {
        case Operation::Send: return sends(record.peer, call.send, call.bytes);
        case Operation::Recv: poison(call.receive, call.bytes); return receives(record.peer, call.receive, call.bytes);
        case Operation::AllGather: {
            auto mine = call.receive + c.rank * call.bytes;
            if (call.send != mine) memcpy(mine, call.send, call.bytes);
            for (int r = 0; r < c.size; ++r) {
                if (r == c.rank) continue;
                poison(call.receive + r * call.bytes, call.bytes);
                sends(r, call.send, call.bytes);
                receives(r, call.receive + r * call.bytes, call.bytes);
            }
            return;
        }
        case Operation::Broadcast:
            if (c.rank != record.peer) poison(call.receive, call.bytes);
            else if (call.receive != call.send) memcpy(call.receive, call.send, call.bytes);
            for (int r = 0; r < c.size; ++r) {
                if (r == c.rank) continue;
                sends(r, call.send, c.rank == record.peer ? call.bytes : 0);
                receives(r, call.receive, r == record.peer ? call.bytes : 0);
            }
            return;
        case Operation::AllReduce:
            own.back().assign(call.send, call.send + call.bytes);
            poison(call.receive, call.bytes);
            others.resize(own.size() * c.size);
            for (int r = 0; r < c.size; ++r) {
                if (r == c.rank) continue;
                auto& theirs = others[(own.size() - 1) * c.size + r];
                theirs.resize(call.bytes);
                sends(r, own.back().data(), call.bytes);
                receives(r, theirs.data(), call.bytes);
            }
    }
}

void Run::finish() {
    for (size_t i = 0; i < group.calls.size(); ++i) {
        auto& call = group.calls[i];
        if (call.record.operation != Operation::AllReduce) continue;
        for (int r = 0; r < c.size; ++r) {
            auto& numbers = r == c.rank ? own[i] : others[i * c.size + r];
            if (r == 0) memcpy(call.receive, numbers.data(), call.bytes);
            else combine(call.record, call.receive, numbers.data());
        }
    }
    end();
}

// Moves a piece of a message. True if something changed.
bool Run::move(Message& m) {
    auto& channel = m.sends ? c.channel(c.rank, m.peer) : c.channel(m.peer, c.rank);
    bool changed = false;
    if (!m.number) {
        m.number = m.sends ? ++c.sent[m.peer] : ++c.received[m.peer];
        if (m.sends) {
            channel.record = m.record;
            channel.bytes = m.bytes;
            channel.written = channel.read = 0;
            channel.posted = m.number;
            changed = true;
        }
    }
    if (m.sends) {
        if (channel.read == channel.written && channel.written < m.bytes) {
            auto piece = std::min(ChunkBytes, m.bytes - channel.written);
            memcpy(channel.data, m.data + channel.written, piece);
            channel.written += piece;
            changed = true;
        }
        m.done = channel.finished == m.number;
        return changed || m.done;
    }
    if (channel.posted < m.number) return changed;
    if (!m.compared && !match(m.record, channel.record)) {
        rule = called(c.rank, m.record) + ", rank " + std::to_string(m.peer) + " " + described(channel.record);
        if (m.record.captured != channel.record.captured) rule += "; a capture must be the same on both ranks";
        return false;
    }
    m.compared = true;
    if (auto piece = channel.written - channel.read) {
        memcpy(m.data + channel.read, channel.data, piece);
        channel.read = channel.written;
        changed = true;
    }
    if (channel.read < m.bytes) return changed;
    channel.finished = m.number;
    return m.done = true;
}

bool Run::move_all() {
    uint64_t busy[2] = {0, 0};      // channels in each direction, as bits
    bool changed = false;
    for (auto& m : messages) {
        auto bit = uint64_t(1) << m.peer;
        if (m.done || busy[m.sends] & bit) continue;
        changed |= move(m);
        if (!rule.empty()) return changed;
        if (!m.done) busy[m.sends] |= bit;
    }
    return changed;
}

int Run::step() {
    if (c.aborted) return failed(ExternalDevice, NcclRemoteError, "rank " + std::to_string(c.rank)
                                 + " has aborted its communicator");
    if (!begun)
        if (int code = begin()) return code;
    if ((delayed = Clock::now() < ready)) return NotYet;
    bool complete = true;
    {
        SharedLock guard(*c.shared);
        if (c.shared->failed) return failed(LaunchFailed, NcclRemoteError, c.shared->failure);
        bool changed = false;
        while (move_all()) changed = true;
        if (!rule.empty()) {
            publish(rule);
            return failed(LaunchFailed, NcclInvalidUsage, rule);
        }
        auto& me = c.shared->members[c.rank];
        me.waits = false;
        me.peers = 0;
        for (auto& m : messages) {
            if (m.done) continue;
            complete = false;
            if (!me.waits) me.record = m.record;
            me.waits = true;
            me.peers |= uint64_t(1) << m.peer;
        }
        if (changed) {
            moved = Clock::now();
            c.changed();
        }
        me.evaluated = seen = c.shared->changes;
    }
    if (!complete) return judge();
    finish();
    return 0;
}

int Run::judge() {
    auto now = Clock::now();
    std::string circle, waits;
    {
        SharedLock guard(*c.shared);
        auto members = c.shared->members;
        uint32_t changes = c.shared->changes;
        auto& me = members[c.rank];
        auto stuck = [&](int r) { return members[r].waits && members[r].evaluated == changes; };
        auto waiting = [&](int r) {
            return "rank " + std::to_string(r) + " waits in " + described(members[r].record);
        };
        uint64_t reached = stuck(c.rank) ? me.peers : 0, before = 0;
        while (reached != before) {
            before = reached;
            for (int r = 0; r < c.size; ++r)
                if (reached >> r & 1 && stuck(r)) reached |= members[r].peers;
        }
        if (reached >> c.rank & 1) {
            circle = waiting(c.rank);
            for (int r = 0; r < c.size; ++r)
                if (r != c.rank && reached >> r & 1 && stuck(r)) circle += ", " + waiting(r);
            circle += ": none can continue";
            publish(circle);
        } else if (now - looked > std::chrono::milliseconds(50)) {
            looked = now;
            bool late = std::chrono::duration<double>(now - moved).count() > peer_limit();
            for (int r = 0; r < c.size && waits.empty(); ++r) {
                if (!(me.peers >> r & 1)) continue;
                auto why = c.gone(r);
                if (why.empty() && late)
                    why = (members[r].waits ? "waits in " + described(members[r].record) : "makes no call")
                        + ", " + after_limit();
                if (!why.empty()) waits = waiting(c.rank) + " for rank " + std::to_string(r) + ", which " + why;
            }
        }
    }
    if (!circle.empty()) return failed(LaunchFailed, NcclInvalidUsage, circle);
    if (!waits.empty()) return failed(ExternalDevice, NcclRemoteError, waits);
    return NotYet;
}

}
