// One execution of a group of calls of the emulated NCCL.
#pragma once
#include "nccl.h"

namespace emu {

// Bytes between two ranks.
struct Message {
    bool sends;
    int peer;
    Record record;
    unsigned char* data;
    size_t bytes;
    uint64_t number = 0;            // on its channel; 0: not begun
    bool compared = false, done = false;
};

class Run {
public:
    explicit Run(const Group& g) : group(g), c(*g.communicator) {}
    ~Run();
    int step();                     // 0, NotYet or a CUresult

    const Group& group;
    Communicator& c;
    uint32_t seen = 0;              // Shared::changes at the last evaluation
    bool delayed = false;

private:
    int begin();
    void begin(const Call& call);
    void finish();
    void end();
    bool move(Message& message);
    bool move_all();                // false where nothing moved
    int judge();                    // of a rank that cannot continue
    void publish(const std::string& text);
    int broken(int code, const std::string& text);
    int failed(int code, int error, const std::string& text);

    std::vector<Message> messages;
    std::vector<std::vector<unsigned char>> own, others;    // of AllReduce: this rank's numbers, and those of all
    bool begun = false;
    Clock::time_point ready, moved, looked;
    std::string rule;               // that a message breaks
};

extern std::vector<Run*> runs;      // begun and not complete

}
