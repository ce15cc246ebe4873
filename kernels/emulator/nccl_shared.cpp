// How ranks meet in shared memory, and how a rank finds that another has ended. A rank holds a lock of the file at the
// byte of its number; the system releases it when the process ends. The file is unlinked when all ranks have joined.
#include <dirent.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "nccl.h"
#include "streams.h"

namespace emu {

namespace {

constexpr int Gate = MostRanks;             // byte of the file that a rank locks to unlink a file of ended ranks
constexpr const char* Prefix = "cudasae-nccl-";
std::atomic<double> forced_limit;

size_t bytes_for(int size) { return sizeof(Shared) + sizeof(Channel) * (size_t(size) * size - 1); }

struct flock range(short type, int first, int count) {
    struct flock lock{};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = first;
    lock.l_len = count;
    return lock;
}

bool take_byte(int file, int byte) {
    auto lock = range(F_WRLCK, byte, 1);
    return fcntl(file, F_OFD_SETLK, &lock) == 0;
}

// Whether a file that others opened has a lock in the range.
bool others_hold(int file, int first, int count) {
    auto lock = range(F_WRLCK, first, count);
    return fcntl(file, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

bool still_named(int file, const char* name) {
    int other = shm_open(name, O_RDWR, 0);
    if (other < 0) return false;
    struct stat mine, theirs;
    bool same = fstat(file, &mine) == 0 && fstat(other, &theirs) == 0 && mine.st_ino == theirs.st_ino;
    close(other);
    return same;
}

void unlink_file(int file, const char* name) {
    if (take_byte(file, Gate) && still_named(file, name)) shm_unlink(name);
}

std::string name_of(const NcclId& id) {
    uint64_t hash[2] = {0xcbf29ce484222325ull, 0x84222325cbf29ce4ull};
    for (auto& h : hash) for (auto byte : id.bytes) h = (h ^ byte) * 0x100000001b3ull;
    char name[96];
    snprintf(name, sizeof name, "/%s%u-%016llx%016llx", Prefix, getuid(), (unsigned long long)hash[0],
             (unsigned long long)hash[1]);
    return name;
}

void initialize(Shared& shared, int size) {
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&shared.mutex, &kind);
    pthread_mutexattr_destroy(&kind);
    shared.size = size;
}

// One attempt to open the file and to join. Sets `again` if the file belongs to a group that has ended.
void try_to_join(Communicator& c, const char* name, std::string& why, int& result, bool& again) {
    auto refuse = [&](int code, std::string text) { result = code; why = std::move(text); };
    again = false;
    c.mapped = bytes_for(c.size);
    c.file = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    bool creates = c.file >= 0;
    if (!creates && errno == EEXIST) c.file = shm_open(name, O_RDWR, 0);
    if (c.file < 0) {
        if (errno == ENOENT) { again = true; return; }
        return refuse(NcclSystemError, std::string("/dev/shm") + name + ": " + strerror(errno));
    }
    if (!take_byte(c.file, c.rank))
        return refuse(NcclInvalidUsage, "rank " + std::to_string(c.rank) + " of one id joins twice");
    if (creates) {
        if (int code = posix_fallocate(c.file, 0, off_t(c.mapped))) {
            unlink_file(c.file, name);
            return refuse(NcclSystemError, "/dev/shm has no room for " + std::to_string(c.mapped) + " bytes: "
                          + strerror(code));
        }
    } else {
        struct stat info{};
        for (int tries = 0; fstat(c.file, &info) == 0 && info.st_size == 0 && tries < 1000; ++tries) usleep(1000);
        if (!still_named(c.file, name)) { again = true; return; }
        if (info.st_size == 0) { unlink_file(c.file, name); again = true; return; }
        if (size_t(info.st_size) != c.mapped) {
            int theirs = 1;
            while (theirs < MostRanks && bytes_for(theirs) != size_t(info.st_size)) ++theirs;
            return refuse(NcclInvalidArgument, "rank " + std::to_string(c.rank) + " joins " + std::to_string(c.size)
                          + " ranks, another rank " + std::to_string(theirs));
        }
    }
    auto memory = mmap(nullptr, c.mapped, PROT_READ | PROT_WRITE, MAP_SHARED, c.file, 0);
    if (memory == MAP_FAILED) return refuse(NcclSystemError, std::string("mmap: ") + strerror(errno));
    c.shared = static_cast<Shared*>(memory);
    if (creates) {
        initialize(*c.shared, c.size);
        c.shared->ready = 1;
    }
    for (int tries = 0; !c.shared->ready && tries < 2000; ++tries) usleep(1000);
    bool ended = !c.shared->ready;          // its creator has ended early
    for (int r = 0; r < c.size && !ended; ++r)
        ended = c.shared->members[r].presence != Presence::Absent && !c.alive(r);
    if (ended) {
        c.shared->ended = 1;
        unlink_file(c.file, name);
        again = true;
    }
}

// Waits until all ranks have joined. Returns the reason if they do not join. Sets `again` as above.
std::string wait_for_all(Communicator& c, const char* name, bool& again) {
    auto& shared = *c.shared;
    auto start = Clock::now();
    {
        SharedLock guard(shared);
        shared.members[c.rank].presence = Presence::Joined;
        if (++shared.joined == c.size) unlink_file(c.file, name);
        c.changed();
    }
    while (true) {
        uint32_t seen;
        {
            SharedLock guard(shared);
            seen = shared.changes;
            if ((again = shared.ended != 0) || shared.joined == c.size) return "";
            for (int r = 0; r < c.size; ++r) {
                if (r == c.rank || shared.members[r].presence == Presence::Absent) continue;
                if (auto why = c.gone(r); !why.empty()) return "rank " + std::to_string(r) + " " + why;
            }
            if (std::chrono::duration<double>(Clock::now() - start).count() > peer_limit())
                return std::to_string(shared.joined) + " of " + std::to_string(c.size) + " ranks have joined "
                    + after_limit();
        }
        Unlocked others_may_call;
        wait_for_change(shared, seen, 20000);
    }
}

}

SharedLock::SharedLock(Shared& s) : shared(s) {
    // The rank that held it has ended. Counters follow the data that they count, so the data are whole.
    if (pthread_mutex_lock(&shared.mutex) == EOWNERDEAD) pthread_mutex_consistent(&shared.mutex);
}
SharedLock::~SharedLock() { pthread_mutex_unlock(&shared.mutex); }

Communicator::~Communicator() {
    if (shared) munmap(shared, mapped);
    if (file >= 0) close(file);
}

void Communicator::changed() {
    ++shared->changes;
    syscall(SYS_futex, &shared->changes, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void Communicator::leave(Presence presence) {
    SharedLock guard(*shared);
    shared->members[rank].presence = presence;
    shared->members[rank].waits = false;
    changed();
}

bool Communicator::alive(int peer) const {
    auto presence = shared->members[peer].presence;
    return presence == Presence::Left || (presence == Presence::Joined && peer != rank && others_hold(file, peer, 1));
}

std::string Communicator::gone(int peer) const {
    switch (shared->members[peer].presence) {
        case Presence::Aborted: return "has aborted its communicator";
        case Presence::Left: return "has destroyed its communicator";
        case Presence::Joined: return peer == rank || others_hold(file, peer, 1) ? "" : "has ended";
        default: return "";
    }
}

void wait_for_change(Shared& shared, uint32_t seen, int microseconds) {
    timespec limit{microseconds / 1000000, microseconds % 1000000 * 1000};
    syscall(SYS_futex, &shared.changes, FUTEX_WAIT, seen, &limit, nullptr, 0);
}

std::shared_ptr<Communicator> join(const NcclId& id, int rank, int size, std::string& why, int& result) {
    auto name = name_of(id);
    for (int tries = 0; tries < 1000; ++tries, usleep(1000)) {
        auto c = std::make_shared<Communicator>();
        c->rank = rank;
        c->size = size;
        bool again;
        result = NcclSuccess;
        try_to_join(*c, name.c_str(), why, result, again);
        if (result) return nullptr;
        if (again) continue;
        why = wait_for_all(*c, name.c_str(), again);
        if (again) continue;
        if (why.empty()) return c;
        c->leave(Presence::Aborted);
        unlink_file(c->file, name.c_str());
        result = NcclRemoteError;
        return nullptr;
    }
    why = "/dev/shm" + name + " cannot be removed";
    result = NcclSystemError;
    return nullptr;
}

void remove_old_files() {
    auto folder = opendir("/dev/shm");
    if (!folder) return;
    auto prefix = Prefix + std::to_string(getuid()) + "-";
    while (auto entry = readdir(folder)) {
        if (strncmp(entry->d_name, prefix.c_str(), prefix.size())) continue;
        auto name = std::string("/") + entry->d_name;
        int file = shm_open(name.c_str(), O_RDWR, 0);
        if (file < 0) continue;
        struct stat info;       // a new file may not be locked yet
        if (fstat(file, &info) == 0 && time(nullptr) - info.st_ctime > 10 && !others_hold(file, 0, MostRanks))
            unlink_file(file, name.c_str());
        close(file);
    }
    closedir(folder);
}

std::string after_limit() {
    char text[32];
    snprintf(text, sizeof text, "after %g s", peer_limit());
    return text;
}

double peer_limit() {
    if (forced_limit > 0) return forced_limit;
    auto named = getenv("CUDASAE_EMULATOR_NCCL_TIMEOUT");
    auto seconds = named ? atof(named) : 0;
    return seconds > 0 ? seconds : 60;
}

}

extern "C" __attribute__((visibility("default"))) void emuSetPeerLimit(double seconds) { emu::forced_limit = seconds; }
