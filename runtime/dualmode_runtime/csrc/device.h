/* A streaming speech recogniser from one file: see dualmode/device/FORMAT.md of the repository for the file.
 *
 *     char error[256] = "";
 *     dualmode_model *model = dualmode_model_open("model.dmdl", NULL, error, sizeof error);
 *     dualmode_device *device = model ? dualmode_stream(model, error, sizeof error) : NULL;  one for each source of sound
 *     if (!device) return fprintf(stderr, "%s\n", error), 1;
 *     dualmode_accept_samples(device, samples, count, error, sizeof error);       any number of times; 0 or -1
 *     dualmode_finish(device, error, sizeof error);
 *     puts(dualmode_text(device));
 *     dualmode_free(device);
 *     dualmode_model_free(model);
 *
 * A model is only read once it is open: any number of threads may open streams of it and run them at the same time.  A
 * device is one stream, for one thread at a time.  Functions that can fail return -1, or NULL, and write one sentence to
 * `error`, or the end of it where there is no room for more; a handle that is NULL is such a failure, and all others but
 * dualmode_text, dualmode_words and those that free must not be given one.  Close each handle once.  Nothing is allocated
 * while a stream runs but room for what was heard and said.
 *
 * All times are ms from the beginning of the audio on.
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

typedef struct dualmode_model dualmode_model;
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

/* Opens a model.  `kernels` is "avx512vnni", "avx2", "dotprod" (ARM), "simd128" (WebAssembly) or "portable", or NULL for
 * the best that this machine has. */
DUALMODE_API dualmode_model *dualmode_model_open(const char *path, const char *kernels, char *error, size_t error_size);
DUALMODE_API dualmode_model *dualmode_model_open_memory(const void *data, size_t size, const char *kernels, char *error,
                                                        size_t error_size);
/* Streams that are open keep what they need, and go on. */
DUALMODE_API void dualmode_model_free(dualmode_model *model);
DUALMODE_API dualmode_info dualmode_model_get_info(const dualmode_model *model);
/* Opens a stream; all streams of a model share its weights. */
DUALMODE_API dualmode_device *dualmode_stream(const dualmode_model *model, char *error, size_t error_size);

/* A model and its only stream in one. */
DUALMODE_API dualmode_device *dualmode_open(const char *path, const char *kernels, char *error, size_t error_size);
DUALMODE_API dualmode_device *dualmode_open_memory(const void *data, size_t size, const char *kernels, char *error,
                                                   size_t error_size);
DUALMODE_API void dualmode_free(dualmode_device *device);

DUALMODE_API dualmode_info dualmode_get_info(const dualmode_device *device);
DUALMODE_API const char *dualmode_get_kernels(const dualmode_device *device);

/* Forgets everything that was heard; a new utterance begins.  Rate and endpointing stay. */
DUALMODE_API void dualmode_reset(dualmode_device *device);

/* Rate of the samples in Hz; what is not 16000 is resampled.  Before the first samples, or after dualmode_reset.
 * Where it is impossible (not 4000 to 384000 Hz, or without a common divisor of 25 or more with 16000), the rate before
 * stays. */
DUALMODE_API int dualmode_set_rate(dualmode_device *device, int32_t rate, char *error, size_t error_size);

/* Takes more of the utterance: samples in [-1, 1], at 16 kHz or the rate that was set, or
 * fbank features (frames of 10 ms x bins); not both.  Samples far outside of [-1, 1] are refused, as are integers that
 * nobody divided by their range. */
DUALMODE_API int dualmode_accept_samples(dualmode_device *device, const float *samples, size_t count, char *error,
                                         size_t error_size);
DUALMODE_API int dualmode_accept_features(dualmode_device *device, const float *features, size_t frames, char *error,
                                          size_t error_size);
/* Decodes what is left at the utterance's end. */
DUALMODE_API int dualmode_finish(dualmode_device *device, char *error, size_t error_size);

/* Endless streams: where an utterance ends by itself.  After each dualmode_accept_*:
 *
 *     while (dualmode_endpoint(device)) {
 *       ...                                                         dualmode_text is that of the utterance that ended
 *       dualmode_next_utterance(device, error, sizeof error);       what was heard behind it is decoded
 *     }
 *
 * Silence is what no token is put out for; the rules are asked after each chunk. */
typedef struct dualmode_endpointing {
  double silence_ms;                  /* silence after the last token, such as 1000 */
  double max_lead_ms;                 /* silence before the first token, such as 5000 */
  double max_utterance_ms;            /* longest utterance, such as 30000 */
} dualmode_endpointing;
enum { DUALMODE_NO_ENDPOINT = 0, DUALMODE_SILENCE = 1, DUALMODE_NOTHING_SAID = 2, DUALMODE_TOO_LONG = 3 };
/* Off at first; `rules` NULL: off.  Before anything was heard, or after dualmode_reset. */
DUALMODE_API int dualmode_set_endpointing(dualmode_device *device, const dualmode_endpointing *rules, char *error,
                                          size_t error_size);
DUALMODE_API int dualmode_endpoint(const dualmode_device *device);
DUALMODE_API int dualmode_next_utterance(dualmode_device *device, char *error, size_t error_size);

/* What was recognised so far of the utterance; the pointers are good until the next call.  Where there is not enough
 * memory for it, the text is empty and there are no words. */
DUALMODE_API size_t dualmode_tokens(const dualmode_device *device, const int32_t **tokens);
/* The beginning of the 40 ms frame in which each token was put out. */
DUALMODE_API size_t dualmode_token_times(const dualmode_device *device, const double **ms);
DUALMODE_API const char *dualmode_text(dualmode_device *device);

typedef struct dualmode_word {
  const char *text;
  double start_ms, end_ms;            /* of the 40 ms frames of its first and last token */
  double stable_ms;                   /* audio heard when it could not change any more; -1 while it still can */
} dualmode_word;
DUALMODE_API size_t dualmode_words(dualmode_device *device, const dualmode_word **words);

/* Where the utterance begins, and where it ended, or how far it was searched. */
DUALMODE_API double dualmode_start_ms(const dualmode_device *device);
DUALMODE_API double dualmode_end_ms(const dualmode_device *device);

/* One chunk by hand, for measurements: features (frames x bins), 7 to 4 * (chunk + right) + 3 frames.  Returns
 * the number of encoder frames and, where they are not NULL, writes the encoder's output (frames x size) and the head's
 * (frames x outputs): CTC scores of the vocabulary, or the RNN-T joiner's projections.  Tokens are not touched. */
DUALMODE_API int dualmode_encode(dualmode_device *device, const float *features, size_t frames, float *encoded,
                                 float *scores, char *error, size_t error_size);

/* Only the blocks' matrix products of a chunk of `frames` (1 to chunk) encoder frames, for measurements.  Reset before
 * the next utterance. */
DUALMODE_API void dualmode_run_products(dualmode_device *device, size_t frames);

/* Log-mel features of a whole utterance, ((count + 80) / 160, 80); returns its frames, and writes at most `room` of
 * them.  Returns 0 where there is not enough memory. */
DUALMODE_API size_t dualmode_fbank(const float *samples, size_t count, float *features, size_t room);

/* A whole recording of `rate` Hz at 16 kHz; returns its samples there, ceil(count * 16000 / rate), and writes at most
 * `room` of them; -1 if the rate is impossible, see dualmode_set_rate. */
DUALMODE_API int64_t dualmode_resample(const float *samples, size_t count, int32_t rate, float *resampled, size_t room,
                                       char *error, size_t error_size);

/* A block-sparse matrix by itself, for tests: y (frames x outputs) = matrix x + bias.  Sections as in a file:
 * bitmask, values (kept, block_rows, 4) float or int8, scales (outputs padded to blocks; int8 only), bias (outputs). */
typedef struct dualmode_matrix dualmode_matrix;
DUALMODE_API dualmode_matrix *dualmode_matrix_new(int int8, size_t outputs, size_t inputs, size_t block_rows,
                                                  const uint8_t *bitmask, const void *values, const float *scales,
                                                  const float *bias, const char *kernels, char *error,
                                                  size_t error_size);
/* Returns -1 where there is not enough memory. */
DUALMODE_API int dualmode_matrix_multiply(dualmode_matrix *matrix, const float *x, size_t frames, float *y);
DUALMODE_API void dualmode_matrix_free(dualmode_matrix *matrix);

#ifdef __cplusplus
}
#endif

#endif /* DUALMODE_DEVICE_H_ */
