// The work of tenon-run, one method a step.
#include "tools/tenon-run/Runner.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <stdexcept>

namespace tenon::run {

static void check(tenon_status status, tenon_error *error) {
  if (status == TENON_OK)
    return;
  std::string message = error ? tenon_error_message(error) : "out of memory";
  tenon_error_free(error);
  throw std::runtime_error(message);
}

static double since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin)
      .count();
}

static std::string fileName(const std::string &tensor) {
  std::string name;
  for (unsigned char c : tensor)
    name += std::isalnum(c) || c == '_' || c == '.' || c == '-' ? char(c) : '_';
  return name;
}

static void makeFolder(const std::string &path) {
  std::error_code failed;
  std::filesystem::create_directories(path, failed);
  if (failed)
    throw std::runtime_error("'" + path + "': cannot make it: " + failed.message());
}

static std::vector<std::string> split(const std::string &text, char at) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= text.size();) {
    size_t end = std::min(text.find(at, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

Runner::~Runner() {
  tenon_session_close(session);
  tenon_weights_close(weights);
  tenon_artifact_close(artifact);
}

void Runner::load() {
  auto begin = std::chrono::steady_clock::now();
  tenon_error *error = nullptr;
  check(tenon_artifact_open(options.artifact.c_str(), nullptr, &artifact, &error), error);
  check(tenon_weights_create(artifact, &weights, &error), error);
  tenon_session_options chosen{};
  chosen.size = sizeof(chosen);
  chosen.entry = options.entry.empty() ? nullptr : options.entry.c_str();
  chosen.threads = options.threads;
  chosen.device = options.device.empty() ? nullptr : options.device.c_str();
  chosen.refuse_host_reads = options.refuseHostReads;
  check(tenon_session_create(weights, &chosen, &session, &error), error);
  loadMilliseconds = since(begin);
  if (options.device.empty() && !options.json)
    std::fprintf(stderr, "device: %s\n", tenon_session_device(session));
}

void Runner::setInput(const std::string &argument) {
  // Names may contain '=': the longest input name that fits is meant.
  size_t index = 0, longest = 0;
  tenon_error *error = nullptr;
  tenon_tensor_info info{}, found{};
  for (size_t i = 0; i < tenon_session_num_inputs(session); ++i) {
    info.size = sizeof(info);
    check(tenon_session_input_info(session, i, &info, &error), error);
    std::string start = std::string(info.name) + "=";
    if (argument.rfind(start, 0) == 0 && start.size() > longest) {
      longest = start.size();
      index = i;
      found = info;
    }
  }
  if (!longest) // let the runtime say which names there are
    check(tenon_session_find_input(session, argument.substr(0, argument.find('=')).c_str(),
                                   &index, &error),
          error);
  arrays.push_back(readNpy(argument.substr(longest)));
  Array &array = arrays.back();
  // NumPy has no bfloat16: its bits come as uint16.
  if (found.dtype.code == kDLBfloat && array.dtype.code == kDLUInt && array.dtype.bits == 16)
    array.dtype.code = kDLBfloat;
  DLTensor tensor{array.bytes(), {kDLCPU, 0}, int32_t(array.shape.size()), array.dtype,
                  array.shape.data(), array.strides.data(), 0};
  check(tenon_session_set_input(session, index, &tensor, &error), error);
}

void Runner::readInputs() {
  arrays.reserve(options.inputs.size());
  for (const std::string &argument : options.inputs)
    setInput(argument);
}

void Runner::record(void *runner, const char *node, const char *kernel, int64_t begin,
                    int64_t end) {
  static_cast<Runner *>(runner)->events.push_back({node, kernel, begin, end});
}

void Runner::startDump() {
  if (options.outputDir.empty())
    throw std::runtime_error("expected --output-dir with --dump, but got none");
  makeFolder(options.outputDir + "/dump");
  for (const std::string &node : split(options.dump, ','))
    dumps[node];
  tenon_session_set_dump(session, dump, this);
}

/// A launch's results are its last node's; the others are within its kernel.
void Runner::dump(void *context, const char *node, const char *kernel, size_t result,
                  const DLTensor *tensor) {
  Runner &runner = *static_cast<Runner *>(context);
  std::vector<std::string> nodes = split(node, '+');
  for (const std::string &fused : nodes)
    if (auto asked = runner.dumps.find(fused);
        asked != runner.dumps.end() && asked->second != "written")
      asked->second = "it is fused into kernel '" + std::string(kernel) + "' of node '" +
                      nodes.back() + "'";
  auto asked = runner.dumps.find(nodes.back());
  if (asked == runner.dumps.end())
    return;
  asked->second = "written";
  std::string suffix = result ? "." + std::to_string(result) : "";
  writeNpy(runner.options.outputDir + "/dump/" + fileName(asked->first) + suffix + ".npy",
           *tensor);
}

void Runner::finishDump() {
  for (const auto &[node, found] : dumps)
    if (found != "written")
      throw std::runtime_error("--dump: expected node '" + node + "' to have a value, but " +
                               (found.empty() ? "none was computed: the model has no such node, or it was "
                                                "folded, or its branch was not taken"
                                              : found));
}

void Runner::run() {
  for (unsigned i = 0; i < options.repeat; ++i) {
    if (!options.profile.empty() && i + 1 == options.repeat)
      tenon_session_set_trace(session, record, this);
    if (!options.dump.empty() && i + 1 == options.repeat)
      startDump();
    tenon_error *error = nullptr;
    // Each run is the first of a sequence, where the session keeps caches.
    check(tenon_session_reset(session, &error), error);
    auto begin = std::chrono::steady_clock::now();
    tenon_status status = tenon_session_run(session, nullptr, &error);
    milliseconds.push_back(since(begin));
    check(status, error);
  }
  if (!options.profile.empty())
    writeTrace();
  if (!options.dump.empty())
    finishDump();
}

void Runner::writeOutputs() {
  if (options.outputDir.empty())
    return;
  makeFolder(options.outputDir);
  std::map<std::string, std::string> written; // file name -> tensor
  for (size_t i = 0; i < tenon_session_num_outputs(session); ++i) {
    tenon_error *error = nullptr;
    tenon_tensor_info info{};
    info.size = sizeof(info);
    check(tenon_session_output_info(session, i, &info, &error), error);
    DLTensor tensor;
    check(tenon_session_output(session, i, &tensor, &error), error);
    auto [place, isNew] = written.emplace(fileName(info.name), info.name);
    if (!isNew)
      throw std::runtime_error("expected outputs with different file names, but got '" +
                               place->second + "' and '" + info.name + "'");
    writeNpy(options.outputDir + "/" + place->first + ".npy", tensor);
  }
}

static std::string quote(const std::string &text) {
  std::string result = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\')
      result += '\\';
    char escaped[8];
    std::snprintf(escaped, sizeof(escaped), "\\u%04x", c);
    result += c < 0x20 ? std::string(escaped) : std::string(1, char(c));
  }
  return result + "\"";
}

void Runner::writeTrace() {
  std::string json = "{\"traceEvents\": [";
  for (size_t i = 0; i < events.size(); ++i) {
    const Event &event = events[i];
    char times[96];
    std::snprintf(times, sizeof(times), "\"ts\": %.3f, \"dur\": %.3f",
                  (event.begin - events[0].begin) / 1e3, (event.end - event.begin) / 1e3);
    json += std::string(i ? ",\n" : "\n") + "{\"name\": " +
            quote(event.node.empty() ? event.kernel : event.node) +
            ", \"cat\": \"launch\", \"ph\": \"X\", \"pid\": 1, \"tid\": 1, " + times +
            ", \"args\": {\"kernel\": " + quote(event.kernel) + "}}";
  }
  writeFile(options.profile, json + "\n], \"displayTimeUnit\": \"ns\"}\n");
}

void Runner::report() {
  tenon_error *error = nullptr;
  tenon_session_statistics known{};
  known.size = sizeof(known);
  check(tenon_session_get_statistics(session, &known, &error), error);
  std::string times;
  for (double time : milliseconds) {
    char text[32];
    std::snprintf(text, sizeof(text), "%s%.4f", times.empty() ? "" : ", ", time);
    times += text;
  }
  if (options.json)
    std::printf("{\"device\": %s, \"times_ms\": [%s], \"load_ms\": %.4f, "
                "\"peak_bytes\": %lld, \"h2d_bytes\": %lld, \"d2h_bytes\": %lld, "
                "\"host_reads\": %lld, \"graph\": %s, \"launches\": %lld, \"variant\": %s}\n",
                quote(tenon_session_device(session)).c_str(), times.c_str(), loadMilliseconds,
                (long long)known.peak_bytes, (long long)known.h2d_bytes,
                (long long)known.d2h_bytes, (long long)known.host_reads,
                known.is_replay ? "true" : "false", (long long)known.launches, quote(known.variant).c_str());
  else
    std::printf("load %.3f ms, run %s ms, %lld launches, %u threads, peak %lld bytes\n",
                loadMilliseconds, times.c_str(), (long long)known.launches, known.threads,
                (long long)known.peak_bytes);
}

} // namespace tenon::run
