// All structs that kernels take, one for each kernel, passed by value. Plain C++, compiled by nvcc, by g++ for the
// emulator, and by build/border.sh, which generates the structs in C#: src/CudaSae/Devices/Params, a file for each
// header; StepScalars, StepSums, LatentScalars and EntryGradient in Model. A struct that several kernels share is in
// the header of the kernel that writes it. Pointers are 64-bit on both sides.
// README.md explains the letters: B rows, d width, n latents, k active, ld = d rounded up to 64, lo = output width
// likewise. Every [., d] array on the device has rows of ld elements, and its padding is zero.
#pragma once
#include "params/codes.h"           // enums
#include "params/step.h"            // StepScalars, StepSums
#include "params/prepare.h"

#include "params/encode.h"          // encode.cu, encode_f32.cu; RowBuckets
#include "params/encode_columns.h"
#include "params/screen.h"          // quantize.cu, screen.cu, rescore.cu
#include "params/sm90.h"            // TensorMap, and the kernels that load by it
#include "params/select.h"          // select.cu, batch.cu, groups.cu, levels.cu

#include "params/decode.h"          // decode.cu, decode_ranks.cu
#include "params/sums.h"
#include "params/dense.h"
#include "params/hot.h"
#include "params/product.h"

#include "params/loss.h"            // LossParams, LatentScalars, EntryGradient
#include "params/entries.h"         // latent_scalars.cu, entries.cu
#include "params/index.h"
#include "params/update.h"          // update.cu, bias.cu, skip.cu
#include "params/latents.h"         // latents.cu, scan.cu
#include "params/aux_loss.h"
#include "params/shard.h"

#include "params/ladder.h"
