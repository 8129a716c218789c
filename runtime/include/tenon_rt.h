/* The C API of the Tenon runtime: load a .tenon artifact, make sessions, run.

   - Handles: a tenon_artifact outlives nothing by itself: weights hold their
     artifact, sessions hold their weights; close them in any order.
   - Every function that can fail returns a tenon_status and, where `error` is
     not null, an error object that the caller frees with tenon_error_free.
   - Options structs begin with their size: zero them, set `size` to sizeof, set
     what you need. Null options are the defaults.
   - A session is for one thread at a time. Several sessions, each in its thread,
     may share one tenon_weights.
   - An artifact contains code and is trusted like a shared object. */
#ifndef TENON_RT_H
#define TENON_RT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TENON_RT_ABI_VERSION 3
#define TENON_RT_API __attribute__((visibility("default")))

/* DLPack's tensor, in its stable layout, unless dlpack.h came first. */
#ifndef DLPACK_DLPACK_H_
typedef enum { kDLCPU = 1, kDLCUDA = 2 } DLDeviceType;
typedef struct {
  DLDeviceType device_type;
  int32_t device_id;
} DLDevice;
typedef enum {
  kDLInt = 0U,
  kDLUInt = 1U,
  kDLFloat = 2U,
  kDLBfloat = 4U,
  kDLBool = 6U
} DLDataTypeCode;
typedef struct {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
} DLDataType;
typedef struct {
  void *data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape;
  int64_t *strides; /* in elements; null: contiguous, row-major */
  uint64_t byte_offset;
} DLTensor;
typedef struct DLManagedTensor {
  DLTensor dl_tensor;
  void *manager_ctx;
  void (*deleter)(struct DLManagedTensor *self);
} DLManagedTensor;
#endif

typedef enum {
  TENON_OK = 0,
  TENON_USAGE = 1,       /* the caller broke this API's rules */
  TENON_FILE = 2,        /* a file cannot be read */
  TENON_CORRUPT = 3,     /* the artifact's bytes are not what they should be */
  TENON_UNSUPPORTED = 4, /* this machine or runtime cannot run the artifact */
  TENON_INPUT = 5,       /* an input does not fit the entry's signature */
  TENON_MEMORY = 6,
  TENON_CANCELLED = 7,
  TENON_EXECUTION = 8, /* the program cannot go on with these data */
  TENON_DEVICE = 9     /* a GPU failed; make a new session, on it or on another device */
} tenon_status;

typedef struct tenon_error tenon_error;
typedef struct tenon_artifact tenon_artifact;
typedef struct tenon_weights tenon_weights;
typedef struct tenon_session tenon_session;

/* The library's TENON_RT_ABI_VERSION, and its version as text. */
TENON_RT_API uint32_t tenon_abi_version(void);
TENON_RT_API const char *tenon_version(void);

TENON_RT_API tenon_status tenon_error_code(const tenon_error *error);
TENON_RT_API const char *tenon_error_message(const tenon_error *error);
/* The ONNX node that is to blame, or "". */
TENON_RT_API const char *tenon_error_node(const tenon_error *error);
TENON_RT_API void tenon_error_free(tenon_error *error);

/* `level`: 0 information, 1 warning. Called from any thread; null turns it off. */
typedef void (*tenon_log_callback)(void *user, int level, const char *message);
TENON_RT_API void tenon_set_log_callback(tenon_log_callback callback, void *user);

/* --- artifact ------------------------------------------------------------ */

typedef struct {
  size_t size;
  int32_t verify_weights; /* 1: check the weights' hashes too; reads them all */
} tenon_artifact_options;

TENON_RT_API tenon_status tenon_artifact_open(const char *path,
                                              const tenon_artifact_options *options,
                                              tenon_artifact **artifact,
                                              tenon_error **error);
TENON_RT_API void tenon_artifact_close(tenon_artifact *artifact);
TENON_RT_API size_t tenon_artifact_num_entries(const tenon_artifact *artifact);
/* Null where `index` is too large. Lives as long as the artifact. */
TENON_RT_API const char *tenon_artifact_entry_name(const tenon_artifact *artifact,
                                                   size_t index);

/* --- weights ------------------------------------------------------------- */

TENON_RT_API tenon_status tenon_weights_create(const tenon_artifact *artifact,
                                               tenon_weights **weights,
                                               tenon_error **error);
/* Copies `tensor` in place of the weight's bytes; same type and shape. Only
   before the first session is made from these weights. */
TENON_RT_API tenon_status tenon_weights_replace(tenon_weights *weights, const char *name,
                                                const DLTensor *tensor,
                                                tenon_error **error);
TENON_RT_API void tenon_weights_close(tenon_weights *weights);

/* --- session ------------------------------------------------------------- */

typedef struct {
  size_t size;
  const char *entry; /* null: the only one, or "main" */
  uint32_t threads;  /* 0: share the process's pool, a thread per physical core */
  /* Of an artifact compiled with --kv=session: rows (tokens) of a sequence that each
     cache has room for; a run that needs more is an error. 0: room grows as needed. */
  int64_t capacity;
  /* A session whose caches this one uses too (another entry of the same model); null:
     caches of its own. Sessions that share caches run one at a time. */
  const tenon_session *shares_states_of;
  /* "cpu", "cuda" or "cuda:N". Null: cuda where the artifact has programs for it and a
     driver and a GPU are there, else cpu. A device that is asked for and is not there is
     TENON_UNSUPPORTED. */
  const char *device;
  /* 1: outputs that are bound to no memory stay on the device (kDLCUDA), uncopied. */
  int32_t keep_outputs_on_device;
  /* 1: a run fails that makes the host wait for bytes of the device before its outputs:
     sizes, conditions. Copies of inputs, outputs and shapes are none of these. */
  int32_t refuse_host_reads;
} tenon_session_options;

TENON_RT_API tenon_status tenon_session_create(const tenon_weights *weights,
                                               const tenon_session_options *options,
                                               tenon_session **session,
                                               tenon_error **error);
TENON_RT_API void tenon_session_close(tenon_session *session);
/* What the session runs on: "cpu", "cuda:0", ... Lives as long as the session. */
TENON_RT_API const char *tenon_session_device(const tenon_session *session);

/* Set `size` before the call. What it points to lives as long as the session. */
typedef struct {
  size_t size;
  const char *name;
  DLDataType dtype;
  int32_t ndim;
  const int64_t *dims;          /* -1: not a constant */
  const char *const *dim_names; /* of symbols; "" elsewhere */
} tenon_tensor_info;

TENON_RT_API size_t tenon_session_num_inputs(const tenon_session *session);
TENON_RT_API size_t tenon_session_num_outputs(const tenon_session *session);
TENON_RT_API tenon_status tenon_session_input_info(const tenon_session *session,
                                                   size_t index, tenon_tensor_info *info,
                                                   tenon_error **error);
TENON_RT_API tenon_status tenon_session_output_info(const tenon_session *session,
                                                    size_t index, tenon_tensor_info *info,
                                                    tenon_error **error);
/* Index of the input or output `name`. */
TENON_RT_API tenon_status tenon_session_find_input(const tenon_session *session,
                                                   const char *name, size_t *index,
                                                   tenon_error **error);
TENON_RT_API tenon_status tenon_session_find_output(const tenon_session *session,
                                                    const char *name, size_t *index,
                                                    tenon_error **error);

/* The bytes must stay in place until the run ends; a tensor that is not contiguous
   is copied at once. The input stays set for later runs. On a GPU each run copies what is
   in the host's memory; a contiguous kDLCUDA tensor of the session's GPU is used where it
   is, and what its producer has yet to do must be done, or be in the run's stream. */
TENON_RT_API tenon_status tenon_session_set_input(tenon_session *session, size_t index,
                                                  const DLTensor *tensor,
                                                  tenon_error **error);
/* Makes the runs write this output to the caller's memory, the host's or the device's;
   the tensor's size is the room there is. Null: memory of the session again. */
TENON_RT_API tenon_status tenon_session_bind_output(tenon_session *session, size_t index,
                                                    const DLTensor *tensor,
                                                    tenon_error **error);
/* Dimensions of an output for the inputs that are set; -1 where only the run can
   tell. `*ndim` is the room in `dims` before and the rank after. */
TENON_RT_API tenon_status tenon_session_output_shape(tenon_session *session, size_t index,
                                                     int64_t *dims, int32_t *ndim,
                                                     tenon_error **error);

typedef struct {
  size_t size;
  void *stream; /* a CUstream in which the run's work goes; the CPU ignores it */
  /* Not 0: on a GPU the run returns when its work is in the stream, or in the session's
     own, for which the default stream then waits. All outputs must be in the device's
     memory, and inputs of the host stay in place until tenon_session_wait. What goes wrong
     on the GPU is said by a later call. */
  int32_t returns_early;
} tenon_run_options;

TENON_RT_API tenon_status tenon_session_run(tenon_session *session,
                                            const tenon_run_options *options,
                                            tenon_error **error);
/* Waits for the runs that returned early. */
TENON_RT_API tenon_status tenon_session_wait(tenon_session *session, tenon_error **error);
/* Makes a running session stop between two launches, and the next run if none is
   running. May be called from any thread. */
TENON_RT_API void tenon_session_cancel(tenon_session *session);

/* An output of the last run, in the host's memory unless the session keeps outputs on
   the device. Shape and bytes are the session's until its next call of run, output_shape
   or, of this output, take_output; bound memory is the caller's. */
TENON_RT_API tenon_status tenon_session_output(tenon_session *session, size_t index,
                                               DLTensor *tensor, tenon_error **error);

/* Takes an output of the last run, as tenon_session_output has it, out of the session: it
   is the caller's, to read and to write, until its deleter is called, once, by any thread,
   also when the session is closed. No bytes are copied (but a small tensor's). After the
   deleter later runs use the memory again; the session keeps no more of it than one of its
   last two runs gave away. Until the next run this output has no more to give: then
   asking again is TENON_USAGE, as it is for an output that is bound to memory; on a
   GPU this is TENON_UNSUPPORTED. */
TENON_RT_API tenon_status tenon_session_take_output(tenon_session *session, size_t index,
                                                    DLManagedTensor **tensor,
                                                    tenon_error **error);

/* Called after each launch of a run; nanoseconds of the monotonic clock. */
typedef void (*tenon_trace_callback)(void *user, const char *node, const char *kernel,
                                     int64_t begin_ns, int64_t end_ns);
TENON_RT_API void tenon_session_set_trace(tenon_session *session,
                                          tenon_trace_callback callback, void *user);

/* Called after each launch of a run, once for each result, whose bytes are valid in
   the call alone. `node`: the ONNX nodes that the launch came from, joined by '+'; the
   results are the last one's. Also after an If or Loop, then without a kernel (""). */
typedef void (*tenon_dump_callback)(void *user, const char *node, const char *kernel,
                                    size_t result, const DLTensor *tensor);
TENON_RT_API void tenon_session_set_dump(tenon_session *session,
                                         tenon_dump_callback callback, void *user);

typedef struct {
  size_t size;
  int64_t peak_bytes; /* arena, outputs (also taken ones), scratch and copies of inputs */
  int64_t launches;   /* of the last run */
  uint32_t threads;
  const char *variant; /* of the last run */
  int64_t h2d_bytes;   /* copied to the device in the last run */
  int64_t d2h_bytes;   /* and back */
  int64_t host_reads;  /* how often the host waited for bytes before the outputs */
  int32_t is_replay;   /* 1: the last run was one CUDA graph, made before */
} tenon_session_statistics;

TENON_RT_API tenon_status tenon_session_get_statistics(const tenon_session *session,
                                                       tenon_session_statistics *statistics,
                                                       tenon_error **error);

/* --- states -------------------------------------------------------------- */

/* What a session of an artifact compiled with --kv=session keeps from run to run: the
   rows that each cache holds, and recurrent states, which have no rows. A run appends to
   caches; one that fails leaves them as they were. It replaces recurrent states; after one
   that fails they have to be reset, loaded or rewound. None of these may be called while the session runs. */

typedef struct {
  size_t size;
  const char *name;
  int64_t length;   /* rows of a sequence; -1: the inputs say how many, or it has none */
  int64_t capacity; /* rows that there is room for now; -1: the model says */
  int64_t bytes;
} tenon_cache_info;

/* Caches appear with the first run. */
TENON_RT_API size_t tenon_session_num_caches(const tenon_session *session);
TENON_RT_API tenon_status tenon_session_cache_info(const tenon_session *session, size_t index,
                                                   tenon_cache_info *info,
                                                   tenon_error **error);
/* The next run begins anew. */
TENON_RT_API tenon_status tenon_session_reset(tenon_session *session, tenon_error **error);
/* Keeps the first `length` rows of each cache. `row` is -1, all of the batch; one of a
   batch alone is TENON_UNSUPPORTED where its rows have one length. A recurrent state becomes
   what it was at that length (without any cache: after so many runs), if the artifact says
   that as many snapshots are kept; else that is TENON_UNSUPPORTED as well. */
TENON_RT_API tenon_status tenon_session_rewind(tenon_session *session, int64_t row,
                                               int64_t length, tenon_error **error);
/* A session of the same entry with a copy of the caches. */
TENON_RT_API tenon_status tenon_session_fork(const tenon_session *session,
                                             tenon_session **fork, tenon_error **error);
/* Sequence i of the batch becomes a copy of what sequence rows[i] was. */
TENON_RT_API tenon_status tenon_session_select_rows(tenon_session *session,
                                                    const int64_t *rows, size_t count,
                                                    tenon_error **error);
/* Writes the caches to a file, and takes them from one. */
TENON_RT_API tenon_status tenon_session_save(const tenon_session *session, const char *path,
                                             tenon_error **error);
TENON_RT_API tenon_status tenon_session_load(tenon_session *session, const char *path,
                                             tenon_error **error);

#ifdef __cplusplus
}
#endif

#endif /* TENON_RT_H */
