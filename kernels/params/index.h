// index.cu: the entries of the code by latent.
#pragma once
#include "loss.h"

struct IndexParams {
    const int* index;               // [B, k]
    const float* value;             // [B, k]
    const int* row_count;           // [B]; null: entries whose value is not 0
    const int* aux_slot;            // [n] or -1; null without an auxiliary loss
    const LatentScalars* scalars;   // [n]; null where a latent has gradients of its rows only
    uint32_t* count;                // [n] entries; 0 between launches
    uint64_t* tile_sums;            // [tiles + 1] entries | parts << 32 before each tile of 2048 latents
    uint32_t* class_sums;           // [classes, tiles] latents of a class before each tile, and in all longer classes
    uint32_t* class_start;          // [classes] positions in `order`; see runs.cuh
    int* ticket;                    // [1] blocks that are done; 0 between launches
    uint64_t* start;                // [n + 1]
    int* order;                     // [n] latents, the class of the longest runs first
    uint32_t* unsorted;             // [B k]
    uint32_t* entry;                // [B k] row k + slot, by latent, ascending
    int rows, active, latents, tiles;
};
