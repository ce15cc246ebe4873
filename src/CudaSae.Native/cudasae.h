/* CudaSae: trains and runs sparse autoencoders (SAEs). The C ABI of libcudasae.so.
 *
 * Shapes. d: numbers of an input row; d_out: of a reconstructed row (d, except for transcoders); n: latents. Matrices are contiguous, row by row.
 * A call names the width of the rows it passes, and is refused when that is not the width that is needed.
 *
 * Errors. Every function that can fail returns 0, or a code from the list below and leaves one line for cudasae_last_error(). After a refused call
 * the object is as it was. Handles are looked up: NULL, a freed one, one of the other kind or an invented one is an error, never a crash. Pointers to
 * memory cannot be looked up: they must hold what the call says.
 *
 * Lifetimes. A handle lives until it is freed; nothing else has to be freed. No function keeps a pointer of the caller's after it has returned, but for
 * the device pointers of the two *_device functions, whose comments say how long.
 *
 * Threads. One thread at a time for each handle (another one is refused meanwhile); different handles in parallel. The cpu backend uses all cores for
 * one handle. A process must not fork after its first handle and use the library in the child. The cuda backend makes the primary context of device 0
 * current on the calling thread.
 *
 * Strings are UTF-8, zero-terminated. Needs a CPU with AVX2 and FMA.
 */
#ifndef CUDASAE_H
#define CUDASAE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows when a function or a record changes its meaning; compare it with cudasae_abi_version(). New functions, and fields at the end of records, leave it. */
#define CUDASAE_ABI_VERSION 1

enum {
    CUDASAE_OK = 0,
    CUDASAE_INVALID_ARGUMENT = 1,   /* an argument, a setting, a handle, or a call out of its order */
    CUDASAE_IO = 2,                 /* a file: missing, damaged, not writable, or of a format that cannot express what is asked */
    CUDASAE_DEVICE = 3,             /* no GPU, no driver, no kernels in this build, or a call to them failed */
    CUDASAE_OUT_OF_MEMORY = 4,      /* of the host or of the device */
    CUDASAE_NUMERICAL = 5,          /* NaN or infinity in rows, or a loss that became one */
    CUDASAE_INTERNAL = 6            /* a bug of this library */
};

/* Backends. auto: the GPU if its driver, a device and kernels are here, else the CPU. emulator: the kernels on an emulated driver, for tests; the
 * variable CUDASAE_EMULATOR names its library. */
enum { CUDASAE_AUTO = 0, CUDASAE_CUDA = 1, CUDASAE_CPU = 2, CUDASAE_EMULATOR = 3 };

/* Element types of a trainer's rows. */
enum { CUDASAE_FLOAT32 = 0, CUDASAE_FLOAT16 = 1, CUDASAE_BFLOAT16 = 2 };

typedef struct cudasae_sae cudasae_sae;             /* a finished SAE */
typedef struct cudasae_trainer cudasae_trainer;

const char *cudasae_version(void);
int32_t cudasae_abi_version(void);

/* The last error of the calling thread, valid until its next one; "" when it had none. Calls that succeed leave it. */
const char *cudasae_last_error(void);

/* ---- finished SAEs ---- */

typedef struct {
    int64_t input_width;        /* d */
    int64_t output_width;       /* d_out */
    int64_t latents;            /* n */
    int64_t batch_rows;         /* rows computed together */
    int32_t normalization;      /* of rows before encoding: 0 none, 1 layer norm, 2 constant norm */
    int32_t reserved;
    char description[256];      /* where it computes, for people */
} cudasae_sae_info;

/* Loads an SAE of any known format; docs/reference/formats.md lists them. path: a file or a folder. batch_rows: larger batches are cut to it and a smaller one costs
 * as much as a whole one; 0 for 256. *sae is NULL after an error. */
int32_t cudasae_sae_load(const char *path, int32_t backend, int64_t batch_rows, cudasae_sae **sae);

/* What a file is read as where its contents do not tell. unsaid: an SAE. The other two are refused where the
 * contents say the opposite. */
enum { CUDASAE_AS_UNSAID = 0, CUDASAE_AS_SAE = 1, CUDASAE_AS_TRANSCODER = 2 };

/* As cudasae_sae_load; read_as: CUDASAE_AS_*. */
int32_t cudasae_sae_load_as(const char *path, int32_t read_as, int32_t backend, int64_t batch_rows, cudasae_sae **sae);

/* size: sizeof(cudasae_sae_info). */
int32_t cudasae_sae_get_info(cudasae_sae *sae, cudasae_sae_info *info, size_t size);

/* Encodes x [rows, width = d] of raw activations. The codes stay in the handle until the next call of encode or reconstruct; *total (may be NULL) is their number of entries. */
int32_t cudasae_sae_encode(cudasae_sae *sae, const float *x, int64_t rows, int64_t width, int64_t *total);

/* The same of rows in device memory, of device 0's primary context. x is read after the work that stream (CUstream or cudaStream_t; NULL for the default
 * stream) holds now and before what it is given later; it must stay allocated until the call returns. NaN is not looked for. */
int32_t cudasae_sae_encode_device(cudasae_sae *sae, const float *x, int64_t rows, int64_t width, void *stream, int64_t *total);

/* Reconstructs x [rows, width = d] into [rows, into_width = d_out], and keeps the codes as encode does. */
int32_t cudasae_sae_reconstruct(cudasae_sae *sae, const float *x, int64_t rows, int64_t width, float *into, int64_t into_width, int64_t *total);

/* Copies the codes of the last encode or reconstruct, as CSR: row_starts [rows + 1]; indices, ascending in each row, and values, none of them 0, [total].
 * rows: as in that call. capacity: entries that both have room for. */
int32_t cudasae_sae_codes(cudasae_sae *sae, int64_t *row_starts, int64_t rows, int32_t *indices, float *values, int64_t capacity);

/* Decodes codes in the same form into [rows, into_width = d_out]. Of an SAE with a normalization the result is in normalized units; reconstruct
 * gives those of the input. Transcoders with a skip connection are refused: reconstruct. */
int32_t cudasae_sae_decode(cudasae_sae *sae, const int64_t *row_starts, const int32_t *indices, const float *values, int64_t rows, float *into, int64_t into_width);

/* format: NULL for SAELens' layout, or another name that docs/reference/formats.md lists. */
int32_t cudasae_sae_save(cudasae_sae *sae, const char *path, const char *format);

int32_t cudasae_sae_free(cudasae_sae *sae);

/* ---- training ---- */

typedef struct {
    int64_t row_width;          /* numbers in a row that steps are given: d, and behind it a transcoder's target */
    int64_t input_width;        /* d */
    int64_t output_width;       /* d_out */
    int64_t latents;            /* n */
    int64_t batch_rows;         /* B: rows of every step */
    int64_t total_steps;        /* that schedules are stretched over: vectors / batch_rows */
    int64_t steps;              /* done so far */
    int32_t input_type;
    int32_t reserved;
    char description[256];
} cudasae_trainer_info;

/* What one step measured, on its own batch and before its update. */
typedef struct {
    double step;                /* from 1 */
    double vectors;             /* rows seen so far */
    double loss;                /* everything below, weighted, and the reconstruction's error */
    double fvu;                 /* sum |x' - x|^2 / sum |x - mean x|^2 over the batch; NaN where all rows are equal */
    double l0;                  /* active latents a row */
    double dead_percent;
    double aux_loss;            /* of dead latents: AuxK or ghosts */
    double sparsity;            /* the penalty, times its coefficient */
    double gate_loss;           /* of Gated SAEs */
    double coefficient;         /* of the penalty, at this step */
    double shrinkage;           /* sum |x'|^2 / sum <x', x>; NaN where the latter is 0 */
    double gradient_norm;
    double learning_rate;
    double overflows;           /* rows that took the exact fallback of the GPU's encoder */
    double dense;               /* 1: the step took the dense path */
    double replaced_rows;       /* so far: rows with NaN or infinity, replaced as config.non_finite = replace says */
} cudasae_metrics;

/* json: {"preset": "topk", "input_width": 768, "latents": 16384, "k": 32, "backend": "auto", "input_type": "float32",
 *        "spec": {"aux.coefficient": 0.1}, "config": {"batch_rows": 1024, "vectors": 10000000, "learning_rate": 0.001}}
 * input_width and latents are required. Presets are those of `cudasae presets`; spec and config set any field of the
 * two records by its path, as `cudasae train --set` does and as train.json of a run shows them. vectors / batch_rows
 * is the number of steps that schedules are stretched over.
 * config.non_finite is "stop" (a row with NaN or infinity is CUDASAE_NUMERICAL, and the step is not done) or "replace"
 * (another row of the batch is trained on in its place); "skip" is for `cudasae train`, which reads data. */
int32_t cudasae_trainer_create(const char *json, cudasae_trainer **trainer);

/* size: sizeof(cudasae_trainer_info). */
int32_t cudasae_trainer_get_info(cudasae_trainer *trainer, cudasae_trainer_info *info, size_t size);

/* Draws the starting weights and measures the data on rows [count, width = row_width] of the trainer's element type: the more the better, at most 32,768
 * are looked at. Optional: without it the first step's batch is the sample. */
int32_t cudasae_trainer_start(cudasae_trainer *trainer, const void *rows, int64_t count, int64_t width);

/* One step on rows [count = batch_rows, width = row_width] in host memory. They may be changed when the call returns; the step itself may still run. */
int32_t cudasae_trainer_step(cudasae_trainer *trainer, const void *rows, int64_t count, int64_t width);

/* The same of rows in device memory, of device 0's primary context. They are read after the work that stream holds now and before what it is given later,
 * so no side waits: memory may be written again, or freed in the order of that stream, by later work of it. NaN is noticed by the loss alone. */
int32_t cudasae_trainer_step_device(cudasae_trainer *trainer, const void *rows, int64_t count, int64_t width, void *stream);

/* Waits for the last step. size: sizeof(cudasae_metrics). CUDASAE_NUMERICAL when the loss is no number. */
int32_t cudasae_trainer_get_metrics(cudasae_trainer *trainer, cudasae_metrics *metrics, size_t size);

/* Saves all state into folder/checkpoint, atomically; the last two are kept. */
int32_t cudasae_trainer_checkpoint(cudasae_trainer *trainer, const char *folder);

/* Into a trainer of the same settings that has done nothing yet: goes on bit for bit when the same batches follow. */
int32_t cudasae_trainer_restore(cudasae_trainer *trainer, const char *folder);

/* A copy of the SAE as it is now, on the trainer's backend; free it like a loaded one. average: not 0 for the moving average of the weights. */
int32_t cudasae_trainer_sae(cudasae_trainer *trainer, int32_t average, int64_t batch_rows, cudasae_sae **sae);

/* Saves the SAE as it is now. format: as in cudasae_sae_save. */
int32_t cudasae_trainer_save(cudasae_trainer *trainer, const char *path, const char *format);

int32_t cudasae_trainer_free(cudasae_trainer *trainer);

#ifdef __cplusplus
}
#endif
#endif
