// The session's half of tenon_rt.h.
#include "runtime/api/CApiSession.h"

#include "runtime/api/Devices.h"

#include <cstdlib>

using namespace tenon::rt;

using Described = tenon_session::Described;

static Described describe(const Program &program, const Signature &tensor) {
  Described result{std::string(tensor.name), toDLPack(tensor.type), {}, {}, {}};
  for (uint32_t dim : tensor.dims) {
    const Expr &expr = program.exprs[dim];
    result.dims.push_back(expr.op == ExprOp::constant ? expr.value : -1);
    result.dimNames.emplace_back(
        expr.op == ExprOp::symbol ? program.symbols[expr.value].name : "");
  }
  for (const std::string &name : result.dimNames)
    result.dimNamePointers.push_back(name.c_str());
  return result;
}

static std::vector<Described> describeAll(const Program &program,
                                          const std::vector<Signature> &tensors) {
  std::vector<Described> result;
  for (const Signature &tensor : tensors)
    result.push_back(describe(program, tensor));
  return result;
}

void tenon::rt::describeSession(tenon_session &session) {
  const Program &program = session.session->signature();
  session.inputs = describeAll(program, program.inputs);
  session.outputs = describeAll(program, program.outputs);
  session.outputShapes.resize(session.outputs.size());
  session.device = session.session->device->name();
}

tenon_status tenon_session_create(const tenon_weights *weights,
                                  const tenon_session_options *options,
                                  tenon_session **session, tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(weights, "weights");
    requirePointer(session, "session");
    tenon_session_options given = readOptions(options);
    auto made = std::make_unique<tenon_session>();
    made->options.capacity = given.capacity;
    made->options.keepsOutputs = given.keep_outputs_on_device != 0;
    made->options.refusesHostReads = given.refuse_host_reads != 0;
    SessionOptions chosen = made->options;
    chosen.entry = given.entry ? given.entry : "";
    if (given.shares_states_of)
      chosen.states = given.shares_states_of->session->sharedStates();
    std::shared_ptr<Device> device = openDevice(given.device ? given.device : "",
                                                weights->weights->artifact, given.threads);
    logMessage(0, concat("a session on ", device->name()));
    made->session = std::make_unique<Session>(weights->weights, std::move(device), chosen);
    describeSession(*made);
    *session = made.release();
  });
}

void tenon_session_close(tenon_session *session) { delete session; }

const char *tenon_session_device(const tenon_session *session) {
  return session ? session->device.c_str() : "";
}

size_t tenon_session_num_inputs(const tenon_session *session) {
  return session ? session->inputs.size() : 0;
}
size_t tenon_session_num_outputs(const tenon_session *session) {
  return session ? session->outputs.size() : 0;
}

static void fillInfo(const std::vector<Described> &tensors, size_t index,
                     tenon_tensor_info *info) {
  requirePointer(info, "info");
  if (index >= tensors.size())
    fail(Status::usage, "expected an index below ", tensors.size(), ", but got ", index);
  const Described &tensor = tensors[index];
  tenon_tensor_info full{info->size,
                         tensor.name.c_str(),
                         tensor.dtype,
                         int32_t(tensor.dims.size()),
                         tensor.dims.data(),
                         tensor.dimNamePointers.data()};
  std::memcpy(info, &full, std::min(info->size, sizeof(full)));
}

tenon_status tenon_session_input_info(const tenon_session *session, size_t index,
                                      tenon_tensor_info *info, tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    fillInfo(session->inputs, index, info);
  });
}

tenon_status tenon_session_output_info(const tenon_session *session, size_t index,
                                       tenon_tensor_info *info, tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    fillInfo(session->outputs, index, info);
  });
}

tenon_status tenon_session_find_input(const tenon_session *session, const char *name,
                                      size_t *index, tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    requirePointer(name, "name");
    requirePointer(index, "index");
    *index = session->session->findInput(name);
  });
}

tenon_status tenon_session_find_output(const tenon_session *session, const char *name,
                                       size_t *index, tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    requirePointer(name, "name");
    requirePointer(index, "index");
    *index = session->session->findOutput(name);
  });
}

static void requireIndex(size_t index, const std::vector<Described> &tensors,
                         const char *what) {
  if (index >= tensors.size())
    fail(Status::usage, "expected the index of an ", what, " below ", tensors.size(),
         ", but got ", index);
}

tenon_status tenon_session_set_input(tenon_session *session, size_t index,
                                     const DLTensor *tensor, tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    requireIndex(index, session->inputs, "input");
    session->session->setInput(index,
                               fromDLPack(tensor, "input", session->inputs[index].name));
  });
}

tenon_status tenon_session_bind_output(tenon_session *session, size_t index,
                                       const DLTensor *tensor, tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    requireIndex(index, session->outputs, "output");
    if (!tensor)
      return session->session->bindOutput(index, {}, 0);
    const std::string &name = session->outputs[index].name;
    TensorView view = fromDLPack(tensor, "output", name);
    int64_t bytes;
    if (!isContiguous(view) || !byteSize(view.dims, elementBytes(view.type), bytes))
      fail(Status::usage, "output '", name, "': expected contiguous memory of a known size");
    if (view.type != session->session->signature().outputs[index].type)
      fail(Status::usage, "output '", name, "': expected element type ",
           elementName(session->session->signature().outputs[index].type), ", but got ",
           elementName(view.type));
    session->session->bindOutput(index, view, bytes);
  });
}

tenon_status tenon_session_output_shape(tenon_session *session, size_t index, int64_t *dims,
                                        int32_t *ndim, tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    requirePointer(ndim, "ndim");
    std::vector<int64_t> shape = session->session->outputDims(index);
    int32_t room = *ndim;
    *ndim = shape.size();
    if (room < *ndim)
      fail(Status::usage, "expected room for ", *ndim, " dimensions, but got ", room);
    if (*ndim)
      requirePointer(dims, "dims");
    std::copy(shape.begin(), shape.end(), dims);
  });
}

tenon_status tenon_session_run(tenon_session *session, const tenon_run_options *options,
                               tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    tenon_run_options given = readOptions(options);
    session->session->device->useStream(given.stream);
    session->session->run(/*waits=*/given.returns_early == 0);
  });
}

tenon_status tenon_session_wait(tenon_session *session, tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    session->session->wait();
  });
}

void tenon_session_cancel(tenon_session *session) {
  if (session)
    session->session->cancel();
}

static DLDevice toDLPack(const TensorView &view) {
  bool isCuda = view.device == tenon::format::Device::cuda;
  return {isCuda ? kDLCUDA : kDLCPU, view.ordinal};
}

tenon_status tenon_session_output(tenon_session *session, size_t index, DLTensor *tensor,
                                  tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    requirePointer(tensor, "tensor");
    TensorView view = session->session->output(index);
    std::vector<int64_t> &shape = session->outputShapes[index];
    shape = view.dims;
    tensor->data = const_cast<uint8_t *>(view.data);
    tensor->device = toDLPack(view);
    tensor->ndim = shape.size();
    tensor->dtype = session->outputs[index].dtype;
    tensor->shape = shape.data();
    tensor->strides = nullptr;
    tensor->byte_offset = 0;
  });
}

/// A taken output, as its caller has it.
struct Given {
  DLManagedTensor tensor;
  TakenOutput taken;
  std::unique_ptr<uint8_t, void (*)(void *)> copy{nullptr, std::free}; // of a small one
};

static void takeBack(DLManagedTensor *tensor) {
  std::unique_ptr<Given> given(static_cast<Given *>(tensor->manager_ctx));
  if (given->taken.pool)
    given->taken.pool->giveBack(std::move(given->taken.memory));
}

/// The bytes of a small output in memory of their own; never null.
static uint8_t *copyBytes(Given &given) {
  constexpr size_t line = 64;
  size_t bytes = given.taken.bytes;
  size_t rounded = (std::max<size_t>(bytes, 1) + line - 1) / line * line;
  given.copy.reset(static_cast<uint8_t *>(std::aligned_alloc(line, rounded)));
  if (!given.copy)
    throw std::bad_alloc();
  if (bytes)
    std::memcpy(given.copy.get(), given.taken.view.data, bytes);
  return given.copy.get();
}

tenon_status tenon_session_take_output(tenon_session *session, size_t index,
                                       DLManagedTensor **tensor, tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    requirePointer(tensor, "tensor");
    auto given = std::make_unique<Given>();
    given->taken = session->session->takeOutput(index);
    TakenOutput &taken = given->taken;
    uint8_t *data = taken.pool ? taken.memory.data() : copyBytes(*given);
    given->tensor = {{data, toDLPack(taken.view), int32_t(taken.view.dims.size()),
                      session->outputs[index].dtype, taken.view.dims.data(), nullptr, 0},
                     given.get(), takeBack};
    *tensor = &given.release()->tensor;
  });
}

void tenon_session_set_trace(tenon_session *session, tenon_trace_callback callback,
                             void *user) {
  if (!session)
    return;
  session->session->observers.trace = nullptr;
  if (!callback)
    return;
  session->session->observers.trace = [=](const LaunchEvent &event) {
    session->traceNode = event.node;
    session->traceKernel = event.kernel;
    callback(user, session->traceNode.c_str(), session->traceKernel.c_str(), event.begin,
             event.end);
  };
}

void tenon_session_set_dump(tenon_session *session, tenon_dump_callback callback,
                            void *user) {
  if (!session)
    return;
  session->session->observers.dump = nullptr;
  if (!callback)
    return;
  session->session->observers.dump = [=](const LaunchResult &result) {
    session->traceNode = result.node;
    session->traceKernel = result.kernel;
    std::vector<int64_t> dims = result.dims;
    DLTensor tensor{result.data, {kDLCPU, 0}, int32_t(dims.size()), toDLPack(result.type),
                    dims.data(), nullptr, 0};
    callback(user, session->traceNode.c_str(), session->traceKernel.c_str(), result.index,
             &tensor);
  };
}

tenon_status tenon_session_get_statistics(const tenon_session *session,
                                          tenon_session_statistics *statistics,
                                          tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    requirePointer(statistics, "statistics");
    Session::Statistics known = session->session->statistics();
    session->variant = known.variant;
    tenon_session_statistics full{statistics->size, known.peakBytes, known.launches,
                                  session->session->device->threads(),
                                  session->variant.c_str(), known.transfers.toDevice,
                                  known.transfers.toHost, known.transfers.hostReads,
                                  known.isReplay};
    std::memcpy(statistics, &full, std::min(statistics->size, sizeof(full)));
  });
}
