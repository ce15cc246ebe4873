/* CudaSae: trains and runs sparse autoencoders (SAEs). The C ABI of libcudasae.so.
 *
 * Shapes. d is the width of an input row, d_out that of a reconstructed row (d, except for transcoders), and n the
 * number of latents. Matrices are contiguous and row-major. A call passes the width of its rows and is refused if that
 * width does not fit.
 *
 * Errors. Every function that can fail returns 0, or a code from the list below; then cudasae_last_error() returns one
 * line. A refused call does not change the object. Handles are checked: NULL, a freed handle, a handle of the other
 * kind or an invalid number is an error, never a crash. Pointers to memory cannot be checked: they must point to what
 * the call describes.
 *
 * Lifetimes. A handle is valid until it is freed; nothing else has to be freed. Functions do not keep the caller's
 * pointers after they return, except the device pointers of the two *_device functions, whose comments describe how
 * long they are read.
 *
 * Threads. A handle is for one thread at a time; a call from another thread meanwhile is refused. Different handles may
 * be used in parallel. The cpu backend uses all cores for one handle. A process must not fork after its first handle
 * and use the library in the child. The cuda backend makes the primary context of device 0 current on the calling
 * thread.
 *
 * Strings are UTF-8 and zero-terminated. The library needs a CPU with AVX2 and FMA.
 */
#ifndef CUDASAE_H
#define CUDASAE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version increases when the meaning of a function or a record changes; compare it with cudasae_abi_version().
 * New functions, and new fields at the end of records, do not change it. */
#define CUDASAE_ABI_VERSION 1

/* Error codes, which every function that can fail returns. */
enum {
    CUDASAE_OK = 0,
    CUDASAE_INVALID_ARGUMENT = 1,   /* an argument, a setting, a handle, or a call in the wrong order */
    CUDASAE_IO = 2,                 /* a file is missing, damaged or not writable, or cannot express the SAE */
    CUDASAE_DEVICE = 3,             /* no GPU, no driver, no kernels in this build, or a call to them failed */
    CUDASAE_OUT_OF_MEMORY = 4,      /* on the host or on the device */
    CUDASAE_NUMERICAL = 5,          /* NaN or infinity in rows, or a loss that became one */
    CUDASAE_INTERNAL = 6            /* a bug of this library */
};

/* Backends. auto: the GPU if a driver, a device and kernels are available, otherwise the CPU. emulator: the kernels on
 * an emulated driver, for tests; the environment variable CUDASAE_EMULATOR names its library. */
enum { CUDASAE_AUTO = 0, CUDASAE_CUDA = 1, CUDASAE_CPU = 2, CUDASAE_EMULATOR = 3 };

/* Element types of a trainer's rows. */
enum { CUDASAE_FLOAT32 = 0, CUDASAE_FLOAT16 = 1, CUDASAE_BFLOAT16 = 2 };

typedef struct cudasae_sae cudasae_sae;             /* A finished SAE. */
typedef struct cudasae_trainer cudasae_trainer;     /* An SAE in training. */

/* ---- versions and errors ---- */

/* The version of the library, such as 0.1.0. */
const char *cudasae_version(void);

/* The value of CUDASAE_ABI_VERSION with which the library was built. */
int32_t cudasae_abi_version(void);

/* The last error of the calling thread, valid until its next error; "" if there was none. Success does not clear it. */
const char *cudasae_last_error(void);

/* ---- finished SAEs ---- */

/* The sizes of a finished SAE and its backend. */
typedef struct {
    int64_t input_width;        /* d */
    int64_t output_width;       /* d_out */
    int64_t latents;            /* n */
    int64_t batch_rows;         /* rows computed together */
    int32_t normalization;      /* of rows before the encoder: 0 none, 1 layer norm, 2 constant norm */
    int32_t reserved;
    char description[256];      /* the backend and its device, for readers */
} cudasae_sae_info;

/* Loads an SAE of any known format; docs/reference/formats.md lists them. path: a file or a folder. batch_rows: larger
 * batches are split into batches of this size, and a smaller batch costs as much as a full one; 0 for 256. *sae is NULL
 * after an error. */
int32_t cudasae_sae_load(const char *path, int32_t backend, int64_t batch_rows, cudasae_sae **sae);

/* What a file is read as if its contents do not determine it. unsaid: an SAE. The other two are refused if the contents
 * contradict them. */
enum { CUDASAE_AS_UNSAID = 0, CUDASAE_AS_SAE = 1, CUDASAE_AS_TRANSCODER = 2 };

/* Loads an SAE as cudasae_sae_load does. read_as: CUDASAE_AS_*. */
int32_t cudasae_sae_load_as(const char *path, int32_t read_as, int32_t backend, int64_t batch_rows, cudasae_sae **sae);

/* Fills info with the SAE's sizes and its backend. size: sizeof(cudasae_sae_info). */
int32_t cudasae_sae_get_info(cudasae_sae *sae, cudasae_sae_info *info, size_t size);

/* Encodes raw activations x [rows, width = d]. The codes stay in the handle until the next encode or reconstruct.
 * *total is their number of entries; total may be NULL. */
int32_t cudasae_sae_encode(cudasae_sae *sae, const float *x, int64_t rows, int64_t width, int64_t *total);

/* Encodes rows in device memory of device 0's primary context. The read of x is ordered after the work already queued
 * on stream (CUstream or cudaStream_t; NULL for the default stream) and before work queued later. x must stay allocated
 * until the call returns. Rows are not checked for NaN. */
int32_t cudasae_sae_encode_device(cudasae_sae *sae, const float *x, int64_t rows, int64_t width, void *stream,
                                  int64_t *total);

/* Reconstructs x [rows, width = d] into [rows, into_width = d_out], and keeps the codes as encode does. */
int32_t cudasae_sae_reconstruct(cudasae_sae *sae, const float *x, int64_t rows, int64_t width, float *into,
                                int64_t into_width, int64_t *total);

/* Copies the codes of the last encode or reconstruct as CSR: row_starts [rows + 1], indices [total], ascending in each
 * row, and values [total], which are not 0. rows: that of the call. capacity: number of entries that fit into indices
 * and values. */
int32_t cudasae_sae_codes(cudasae_sae *sae, int64_t *row_starts, int64_t rows, int32_t *indices, float *values,
                          int64_t capacity);

/* Decodes codes in the same form into [rows, into_width = d_out]. If the SAE has a normalization, the result is in
 * normalized units, while reconstruct gives units of the input. Transcoders with a skip connection are refused; use
 * reconstruct. */
int32_t cudasae_sae_decode(cudasae_sae *sae, const int64_t *row_starts, const int32_t *indices, const float *values,
                           int64_t rows, float *into, int64_t into_width);

/* Saves the SAE. format: NULL for SAELens' layout, or another name that docs/reference/formats.md lists. */
int32_t cudasae_sae_save(cudasae_sae *sae, const char *path, const char *format);

/* Frees the SAE; its handle is invalid afterwards. */
int32_t cudasae_sae_free(cudasae_sae *sae);

/* ---- training ---- */

/* The sizes of a trainer, its completed steps and its backend. */
typedef struct {
    int64_t row_width;          /* width of the rows of a step: d, plus d_out for a transcoder's target */
    int64_t input_width;        /* d */
    int64_t output_width;       /* d_out */
    int64_t latents;            /* n */
    int64_t batch_rows;         /* B: rows of every step */
    int64_t total_steps;        /* length of the schedules: vectors / batch_rows */
    int64_t steps;              /* completed so far */
    int32_t input_type;
    int32_t reserved;
    char description[256];
} cudasae_trainer_info;

/* The metrics of one step, measured on its batch before the update. */
typedef struct {
    double step;                /* from 1 */
    double vectors;             /* rows so far */
    double loss;                /* reconstruction error plus the weighted losses below */
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
    double replaced_rows;       /* rows with NaN or infinity replaced so far (config.non_finite = replace) */
} cudasae_metrics;

/* Creates a trainer. Its settings are the object json, such as:
 *
 *     {"preset": "topk", "input_width": 768, "latents": 16384, "k": 32, "backend": "auto", "input_type": "float32",
 *      "spec": {"aux.coefficient": 0.1}, "config": {"batch_rows": 1024, "vectors": 10000000, "learning_rate": 0.001}}
 *
 * input_width and latents are required. `cudasae presets` lists the presets. spec and config set any field of the two
 * records by its path, as `cudasae train --set` does; train.json of a run shows them. The length of the schedules is
 * vectors / batch_rows steps.
 *
 * config.non_finite is "stop" (a row with NaN or infinity is CUDASAE_NUMERICAL, and the step does not run) or "replace"
 * (another row of the batch replaces it); "skip" is for `cudasae train`, which reads data. */
int32_t cudasae_trainer_create(const char *json, cudasae_trainer **trainer);

/* Fills info with the trainer's sizes, its steps and its backend. size: sizeof(cudasae_trainer_info). */
int32_t cudasae_trainer_get_info(cudasae_trainer *trainer, cudasae_trainer_info *info, size_t size);

/* Draws the initial weights and measures the data on rows [count, width = row_width] of the trainer's element type.
 * More rows give better estimates; at most 32,768 are used. The call is optional: without it the sample is the batch of
 * the first step. */
int32_t cudasae_trainer_start(cudasae_trainer *trainer, const void *rows, int64_t count, int64_t width);

/* Runs one step on rows [count = batch_rows, width = row_width] in host memory. The rows may be changed when the call
 * returns; the step may still be running. */
int32_t cudasae_trainer_step(cudasae_trainer *trainer, const void *rows, int64_t count, int64_t width);

/* Runs one step on rows in device memory of device 0's primary context. The read is ordered after the work already
 * queued on stream and before work queued later, so that the host does not wait. Later work of the stream may overwrite
 * the memory, or free it in stream order. Only the loss detects NaN. */
int32_t cudasae_trainer_step_device(cudasae_trainer *trainer, const void *rows, int64_t count, int64_t width,
                                    void *stream);

/* Waits for the last step, and fills metrics. size: sizeof(cudasae_metrics). Returns CUDASAE_NUMERICAL if the loss is
 * not finite. */
int32_t cudasae_trainer_get_metrics(cudasae_trainer *trainer, cudasae_metrics *metrics, size_t size);

/* Saves all state in folder/checkpoint, atomically, and keeps the last two checkpoints. */
int32_t cudasae_trainer_checkpoint(cudasae_trainer *trainer, const char *folder);

/* Restores state into a new trainer with the same settings. It resumes bit for bit if the same batches follow. */
int32_t cudasae_trainer_restore(cudasae_trainer *trainer, const char *folder);

/* Makes a copy of the current SAE on the trainer's backend, which must be freed like a loaded one. average: not 0 for
 * the moving average of the weights. */
int32_t cudasae_trainer_sae(cudasae_trainer *trainer, int32_t average, int64_t batch_rows, cudasae_sae **sae);

/* Saves the current SAE. format: as in cudasae_sae_save. */
int32_t cudasae_trainer_save(cudasae_trainer *trainer, const char *path, const char *format);

/* Frees the trainer; its handle is invalid afterwards. */
int32_t cudasae_trainer_free(cudasae_trainer *trainer);

#ifdef __cplusplus
}
#endif
#endif
