/* Trains a small SAE on rows from memory, saves it, loads it and encodes rows with it.
 *
 *     gcc train.c -I artifacts/native -L artifacts/native -lcudasae -Wl,-rpath,$PWD/artifacts/native -lm -o train
 *     ./train sae
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "cudasae.h"

enum { WIDTH = 32, FEATURES = 64, ACTIVE = 3, ROWS = 256, STEPS = 400 };

static void check(int32_t code)
{
    if (code == CUDASAE_OK) return;
    fprintf(stderr, "train: %s (code %d)\n", cudasae_last_error(), code);
    exit(1);
}

static uint64_t state = 1;

static double uniform(void)             /* a number in [0, 1), by splitmix64 */
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) / 9007199254740992.0;
}

static float features[FEATURES][WIDTH];

/* Draws rows that are sums of a few unit features. */
static void draw(float *rows, int count)
{
    for (int b = 0; b < count; b++) {
        float *row = rows + b * WIDTH;
        for (int i = 0; i < WIDTH; i++) row[i] = 0;
        for (int j = 0; j < ACTIVE; j++) {
            const float *feature = features[(int)(uniform() * FEATURES)];
            float weight = (float)(0.5 + uniform());
            for (int i = 0; i < WIDTH; i++) row[i] += weight * feature[i];
        }
    }
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "sae";
    if (cudasae_abi_version() != CUDASAE_ABI_VERSION) return fprintf(stderr, "train: header and library differ\n"), 1;
    for (int f = 0; f < FEATURES; f++) {
        double norm = 0;
        for (int i = 0; i < WIDTH; i++) features[f][i] = (float)(uniform() + uniform() + uniform() - 1.5);
        for (int i = 0; i < WIDTH; i++) norm += features[f][i] * features[f][i];
        for (int i = 0; i < WIDTH; i++) features[f][i] /= (float)sqrt(norm);
    }

    cudasae_trainer *trainer;
    check(cudasae_trainer_create("{\"preset\": \"topk\", \"input_width\": 32, \"latents\": 128, \"k\": 3,"
                                 " \"backend\": \"cpu\","
                                 " \"config\": {\"batch_rows\": 256, \"vectors\": 102400}}", &trainer));
    static float rows[ROWS * WIDTH];
    cudasae_metrics metrics;
    for (int step = 0; step < STEPS; step++) {
        draw(rows, ROWS);
        check(cudasae_trainer_step(trainer, rows, ROWS, WIDTH));
        if (step % 100 != 99) continue;
        check(cudasae_trainer_get_metrics(trainer, &metrics, sizeof metrics));
        printf("step %.0f: FVU %.4f, L0 %.2f, dead %.1f %%\n", metrics.step, metrics.fvu, metrics.l0,
               metrics.dead_percent);
    }
    check(cudasae_trainer_save(trainer, path, NULL));
    check(cudasae_trainer_free(trainer));

    cudasae_sae *sae;
    cudasae_sae_info info;
    check(cudasae_sae_load(path, CUDASAE_CPU, 0, &sae));
    check(cudasae_sae_get_info(sae, &info, sizeof info));
    printf("loaded: d %lld, n %lld, on %s\n", (long long)info.input_width, (long long)info.latents, info.description);

    draw(rows, 4);
    int64_t total, row_starts[5];
    check(cudasae_sae_encode(sae, rows, 4, WIDTH, &total));
    int32_t *indices = malloc((size_t)total * sizeof *indices);
    float *values = malloc((size_t)total * sizeof *values);
    if (!indices || !values) return fprintf(stderr, "train: out of memory\n"), 1;
    check(cudasae_sae_codes(sae, row_starts, 4, indices, values, total));
    for (int b = 0; b < 4; b++) {
        printf("row %d:", b);
        for (int64_t e = row_starts[b]; e < row_starts[b + 1]; e++) printf("  %d %.3f", indices[e], values[e]);
        printf("\n");
    }
    free(indices);
    free(values);

    check(cudasae_sae_free(sae));
    if (cudasae_sae_free(sae) != CUDASAE_INVALID_ARGUMENT) {
        fprintf(stderr, "train: a freed handle was accepted\n");
        return 1;
    }
    printf("again: %s\n", cudasae_last_error());
    return metrics.fvu < 0.2 ? 0 : 1;
}
