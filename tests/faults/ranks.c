/* A rank that is a process of its own, for tests of the emulated NCCL: ranks LIBRARY RANK SIZE ROUNDS [kill-join |
   kill-round]. The ranks gather their numbers ROUNDS times and compare. One with kill-join ends itself while it waits
   for the others, one with kill-round in the last round. NCCL_COMM_ID names the group. Prints "ok" or the error. */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { unsigned char bytes[128]; } Id;
static void* library;
static void* get(const char* name) {
    void* found = dlsym(library, name);
    if (!found) { printf("no %s\n", name); exit(1); }
    return found;
}
static void check(int code, const char* call) {
    if (!code) return;
    const char* (*report)(void) = (const char* (*)(void))get("emuReport");
    printf("%s: %d: %s\n", call, code, report());
    exit(3);
}
#define CALL(name, types, ...) check(((int (*) types)get(#name))(__VA_ARGS__), #name)

static void* end_soon(void* unused) {
    usleep(200000);
    raise(SIGKILL);
    return unused;
}

int main(int count, char** words) {
    enum { Numbers = 100001 };
    int rank = atoi(words[2]), size = atoi(words[3]), rounds = atoi(words[4]);
    const char* fault = count > 5 ? words[5] : "";
    library = dlopen(words[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) { printf("%s\n", dlerror()); return 1; }
    void *context, *stream, *communicator;
    uint64_t data;
    Id id;
    CALL(cuInit, (unsigned), 0);
    CALL(cuDevicePrimaryCtxRetain, (void**, int), &context, 0);
    CALL(cuCtxSetCurrent, (void*), context);
    CALL(cuStreamCreate, (void**, unsigned), &stream, 0);
    CALL(cuMemAlloc_v2, (uint64_t*, size_t), &data, (size_t)4 * Numbers * size);
    CALL(ncclGetUniqueId, (Id*), &id);
    pthread_t ends;
    if (!strcmp(fault, "kill-join")) pthread_create(&ends, NULL, end_soon, NULL);
    CALL(ncclCommInitRank, (void**, int, Id, int), &communicator, size, id, rank);
    uint32_t* numbers = malloc((size_t)4 * Numbers * size);
    for (int round = 0; round < rounds; ++round) {
        if (!strcmp(fault, "kill-round") && round == rounds - 1) raise(SIGKILL);
        uint64_t mine = data + (size_t)4 * Numbers * rank;
        for (int i = 0; i < Numbers; ++i) numbers[i] = (uint32_t)(i * 3 + rank * 1000 + round);
        CALL(cuMemcpyHtoDAsync_v2, (uint64_t, const void*, size_t, void*), mine, numbers, (size_t)4 * Numbers, stream);
        CALL(ncclAllGather, (uint64_t, uint64_t, size_t, int, void*, void*), mine, data, Numbers, 3, communicator,
             stream);
        CALL(cuStreamSynchronize, (void*), stream);
        CALL(cuMemcpyDtoHAsync_v2, (void*, uint64_t, size_t, void*), numbers, data, (size_t)4 * Numbers * size, stream);
        CALL(cuStreamSynchronize, (void*), stream);
        for (int r = 0; r < size; ++r)
            for (int i = 0; i < Numbers; ++i)
                if (numbers[r * Numbers + i] != (uint32_t)(i * 3 + r * 1000 + round)) {
                    printf("number %d of rank %d is wrong\n", i, r);
                    return 1;
                }
    }
    CALL(ncclCommDestroy, (void*), communicator);
    puts("ok");
    return 0;
}
