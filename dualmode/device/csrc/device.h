/* A streaming speech recogniser from one file: see FORMAT.md for the file.
 *
 *     char error[256];
 *     dualmode_device *device = dualmode_open("model.dmdl", NULL, error, sizeof error);
 *     dualmode_accept_samples(device, samples, count, error, sizeof error);      any number of times
 *     dualmode_finish(device, error, sizeof error);
 *     puts(dualmode_text(device));
 *     dualmode_free(device);
 *
 * A device is one stream: use one a thread.  Functions that can fail return -1, or NULL, and write one sentence to
 * `error`.  Nothing is allocated after dualmode_open but room for what was heard and said.
 */
#ifndef DUALMODE_DEVICE_H_
#define DUALMODE_DEVICE_H_

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define DUALMODE_API __declspec(dllexport)
#else
#define DUALMODE_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dualmode_device dualmode_device;

typedef struct dualmode_info {
  int32_t int8;                       /* 1: int8 matrices, 0: float */
  int32_t bins, size, blocks, vocabulary;
  int32_t chunk, left, right;         /* encoder frames of 40 ms */
  int32_t block_rows;                 /* outputs of a pruned block; it has 4 inputs */
  float sparsity;
  int32_t transducer;                 /* 1: RNN-T, 0: CTC */
  int32_t outputs;                    /* of the head, see dualmode_encode */
} dualmode_info;

/* Opens a model.  `kernels` is "avx512vnni", "avx2", "dotprod" (ARM) or "portable", or NULL for the best that this
 * machine has. */
DUALMODE_API dualmode_device *dualmode_open(const char *path, const char *kernels, char *error, size_t error_size);
DUALMODE_API dualmode_device *dualmode_open_memory(const void *data, size_t size, const char *kernels, char *error,
                                                   size_t error_size);
DUALMODE_API void dualmode_free(dualmode_device *device);

DUALMODE_API dualmode_info dualmode_get_info(const dualmode_device *device);
DUALMODE_API const char *dualmode_get_kernels(const dualmode_device *device);

/* Forgets everything that was heard; a new utterance begins. */
DUALMODE_API void dualmode_reset(dualmode_device *device);

/* Takes more of the utterance: samples in [-1, 1] at 16 kHz, or fbank features (frames of 10 ms x bins); not both. */
DUALMODE_API int dualmode_accept_samples(dualmode_device *device, const float *samples, size_t count, char *error,
                                         size_t error_size);
DUALMODE_API int dualmode_accept_features(dualmode_device *device, const float *features, size_t frames, char *error,
                                          size_t error_size);
/* Decodes what is left at the utterance's end. */
DUALMODE_API int dualmode_finish(dualmode_device *device, char *error, size_t error_size);

/* What was recognised so far; the pointers are good until the next call. */
DUALMODE_API size_t dualmode_tokens(const dualmode_device *device, const int32_t **tokens);
DUALMODE_API const char *dualmode_text(dualmode_device *device);

/* One chunk by hand, for measurements: features (frames x bins), 7 to 4 * (chunk + right) + 3 frames.  Returns
 * the number of encoder frames and, where they are not NULL, writes the encoder's output (frames x size) and the head's
 * (frames x outputs): CTC scores of the vocabulary, or the RNN-T joiner's projections.  Tokens are not touched. */
DUALMODE_API int dualmode_encode(dualmode_device *device, const float *features, size_t frames, float *encoded,
                                 float *scores, char *error, size_t error_size);

/* Only the blocks' matrix products of a chunk of `frames` (1 to chunk) encoder frames, for measurements.  Reset before
 * the next utterance. */
DUALMODE_API void dualmode_run_products(dualmode_device *device, size_t frames);

/* Log-mel features of a whole utterance, ((count + 80) / 160, 80); returns the frames.  Writes at most `room` frames. */
DUALMODE_API size_t dualmode_fbank(const float *samples, size_t count, float *features, size_t room);

/* A block-sparse matrix by itself, for measurements: y (frames x outputs) = matrix x + bias.  Sections as in a file:
 * bitmask, values (kept, block_rows, 4) float or int8, scales (outputs padded to blocks; int8 only), bias (outputs). */
typedef struct dualmode_matrix dualmode_matrix;
DUALMODE_API dualmode_matrix *dualmode_matrix_new(int int8, size_t outputs, size_t inputs, size_t block_rows,
                                                  const uint8_t *bitmask, const void *values, const float *scales,
                                                  const float *bias, const char *kernels, char *error,
                                                  size_t error_size);
DUALMODE_API void dualmode_matrix_multiply(dualmode_matrix *matrix, const float *x, size_t frames, float *y);
DUALMODE_API void dualmode_matrix_free(dualmode_matrix *matrix);

#ifdef __cplusplus
}
#endif

#endif /* DUALMODE_DEVICE_H_ */
