// The report as a page: made from the same JSON, so that both say the same.

#include "tenon/Report/Report.h"

#include "llvm/Support/FormatVariadic.h"

using namespace tenon;
using llvm::StringRef;
using llvm::json::Array;
using llvm::json::Object;
using llvm::json::Value;

static constexpr StringRef kStyle = R"(
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72em; margin: 2em auto;
       padding: 0 1em; color: #222; background: #fff; }
h1 { font-size: 1.5em; } h2 { font-size: 1.2em; margin-top: 2em; }
h3 { font-size: 1em; margin-bottom: .3em; }
table { border-collapse: collapse; margin: .5em 0 1em; }
th, td { text-align: left; vertical-align: top; padding: .2em .8em .2em 0;
         border-bottom: 1px solid #ddd; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
code { font: 13px/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
summary { cursor: pointer; } .missed { color: #8a4b00; } .fired { color: #1d6b2f; }
)";

static std::string escape(StringRef text) {
  std::string result;
  for (char c : text)
    switch (c) {
    case '&':
      result += "&amp;";
      break;
    case '<':
      result += "&lt;";
      break;
    case '>':
      result += "&gt;";
      break;
    case '"':
      result += "&quot;";
      break;
    default:
      result += c;
    }
  return result;
}

static std::string code(StringRef text) {
  return "<code>" + escape(text) + "</code>";
}

/// 1234567 -> "1 234 567", with spaces that do not break.
static std::string group(int64_t number) {
  std::string text = std::to_string(number);
  for (int64_t at = int64_t(text.size()) - 3; at > int64_t(number < 0); at -= 3)
    text.insert(at, "&#8239;");
  return text;
}

static std::string text(const Object &object, StringRef key) {
  return object.getString(key).value_or("").str();
}

static int64_t number(const Object &object, StringRef key) {
  return object.getInteger(key).value_or(0);
}

static std::string milliseconds(const Object &object) {
  return llvm::formatv("{0:f1}", number(object, "microseconds") / 1e3).str();
}

static const Array &list(const Object &object, StringRef key) {
  static const Array none;
  const Array *array = object.getArray(key);
  return array ? *array : none;
}

/// "a, b, c", each as code.
static std::string joinCode(const Array &values) {
  std::string joined;
  for (const Value &value : values)
    joined +=
        (joined.empty() ? "" : ", ") + code(value.getAsString().value_or(""));
  return joined;
}

namespace {
class Page {
public:
  explicit Page(llvm::raw_ostream &os) : os(os) {}

  void print(const Object &report) {
    std::string title = "tenon-compile " + text(report, "model");
    os << "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta "
          "charset=\"utf-8\">\n"
       << "<title>" << escape(title) << "</title>\n<style>" << kStyle
       << "</style>\n</head>\n<body>\n<h1>" << escape(title) << "</h1>\n<p>"
       << escape(text(report, "producer")) << ", target "
       << code(text(report, "target")) << "</p>\n";
    if (const Object *sizes = report.getObject("sizes"))
      printSizes(*sizes);
    for (const Value &entry : list(report, "entries"))
      printEntry(*entry.getAsObject());
    printKernels(list(report, "kernels"));
    printStages(list(report, "stages"));
    printPasses(list(report, "passes"));
    os << "</body>\n</html>\n";
  }

private:
  void row(llvm::ArrayRef<std::string> cells, StringRef tag = "td",
           unsigned firstNumber = 1) {
    os << "<tr>";
    for (auto [i, cell] : llvm::enumerate(cells))
      os << '<' << tag << (i >= firstNumber ? " class=\"n\">" : ">") << cell
         << "</" << tag << '>';
    os << "</tr>\n";
  }

  void printSizes(const Object &sizes) {
    os << "<h2>Sizes</h2>\n<table>\n";
    row({"", "bytes"}, "th");
    for (auto [key, name] :
         {std::pair("model_bytes", "the model and the files beside it"),
          std::pair("output_bytes", "what was written"),
          std::pair("weight_bytes_model", "weights, as the model has them"),
          std::pair("weight_bytes_stored", "weights, as they are stored")})
      if (std::optional<int64_t> bytes = sizes.getInteger(key))
        row({name, group(*bytes)});
    for (const Value &value : list(sizes, "codes")) {
      const Object &image = *value.getAsObject();
      row({"code for " + escape(text(image, "target")),
           group(number(image, "bytes"))});
    }
    os << "</table>\n";
  }

  void printEntry(const Object &entry) {
    for (const Value &value : list(entry, "programs")) {
      const Object &program = *value.getAsObject();
      std::string variant = text(program, "variant");
      os << "<h2>Entry " << code(text(entry, "name"))
         << (variant.empty() ? "" : ", variant " + code(variant)) << "</h2>\n";
      printFormulas(program);
      printSymbols(list(program, "symbols"));
      printTensors(program);
      printLaunches(list(program, "launches"));
    }
  }

  void printFormulas(const Object &program) {
    bool complete = program.getBoolean("complete").value_or(true);
    os << "<table>\n";
    row({"launches", std::to_string(list(program, "launches").size())}, "td",
        2);
    row({"bytes of weights", group(number(program, "weight_bytes"))}, "td", 2);
    for (auto [key, name] :
         {std::pair("arena_bytes", "bytes of memory"),
          std::pair("flops", "FLOPs"), std::pair("bytes_read", "bytes read"),
          std::pair("bytes_written", "bytes written")})
      row({name, code(text(program, key))}, "td", 2);
    os << "</table>\n";
    if (!complete)
      os << "<p>Steps that run an unknown number of times are counted "
            "once.</p>\n";
  }

  void printSymbols(const Array &symbols) {
    if (symbols.empty())
      return;
    os << "<h3>Symbols</h3>\n<table>\n";
    row({"name", "range", "is"}, "th", 3);
    for (const Value &value : symbols) {
      const Object &symbol = *value.getAsObject();
      std::string definition = text(symbol, "definition");
      std::optional<int64_t> high = symbol.getInteger("max");
      row({code(text(symbol, "name")),
           group(number(symbol, "min")) + ".." + (high ? group(*high) : ""),
           definition.empty() ? text(symbol, "kind") : code(definition)},
          "td", 3);
    }
    os << "</table>\n";
  }

  void printTensors(const Object &program) {
    os << "<h3>Inputs and outputs</h3>\n<table>\n";
    for (StringRef key : {"inputs", "outputs"})
      for (const Value &value : list(program, key)) {
        const Object &tensor = *value.getAsObject();
        row({key.drop_back().str(), code(text(tensor, "name")),
             code(text(tensor, "type")),
             "[" + joinCode(list(tensor, "dims")) + "]"},
            "td", 4);
      }
    os << "</table>\n";
  }

  void printLaunches(const Array &launches) {
    os << "<details>\n<summary>Launches</summary>\n<table>\n";
    row({"kernel", "nodes", "FLOPs", "bytes read", "bytes written"}, "th", 5);
    for (const Value &value : launches) {
      const Object &launch = *value.getAsObject();
      row({code(text(launch, "kernel")), joinCode(list(launch, "nodes")),
           code(text(launch, "flops")), code(text(launch, "bytes_read")),
           code(text(launch, "bytes_written"))},
          "td", 5);
    }
    os << "</table>\n</details>\n";
  }

  void printKernels(const Array &kernels) {
    if (kernels.empty())
      return;
    os << "<h2>Kernels</h2>\n<table>\n";
    row({"kernel", "uses"}, "th");
    for (const Value &value : kernels) {
      const Object &kernel = *value.getAsObject();
      row({code(text(kernel, "name")), group(number(kernel, "uses"))});
    }
    os << "</table>\n";
  }

  void printStages(const Array &stages) {
    os << "<h2>Time</h2>\n<table>\n";
    row({"stage", "ms"}, "th");
    for (const Value &value : stages) {
      const Object &stage = *value.getAsObject();
      row({escape(text(stage, "stage")), milliseconds(stage)});
    }
    os << "</table>\n";
  }

  /// "onnx 12, kernel 3"
  std::string levels(const Object &pass, StringRef when) {
    std::string joined;
    const Object *operations = pass.getObject("operations");
    const Object *counts = operations ? operations->getObject(when) : nullptr;
    if (!counts)
      return joined;
    std::map<std::string, int64_t> sorted;
    for (const auto &[name, count] : *counts)
      sorted[name.str()] = count.getAsInteger().value_or(0);
    for (const auto &[name, count] : sorted)
      joined +=
          (joined.empty() ? "" : ", ") + escape(name) + "&nbsp;" + group(count);
    return joined;
  }

  void printPasses(const Array &passes) {
    os << "<h2>Passes</h2>\n<table>\n";
    row({"stage", "pass", "ms", "operations before", "after", "what it did"},
        "th", 6);
    for (const Value &value : passes) {
      const Object &pass = *value.getAsObject();
      os << "<tr><td>" << escape(text(pass, "stage")) << "</td><td>"
         << code(text(pass, "pass")) << "</td><td class=\"n\">"
         << milliseconds(pass) << "</td><td>" << levels(pass, "before")
         << "</td><td>" << levels(pass, "after") << "</td><td>";
      printChanges(list(pass, "changes"));
      printRemarks(list(pass, "remarks"));
      os << "</td></tr>\n";
    }
    os << "</table>\n";
  }

  void printChanges(const Array &changes) {
    if (changes.empty())
      return;
    os << "<details><summary>" << changes.size()
       << " kinds of operations changed in number</summary>\n<table>\n";
    row({"operation", "before", "after"}, "th");
    for (const Value &value : changes) {
      const Object &change = *value.getAsObject();
      row({code(text(change, "operation")), group(number(change, "before")),
           group(number(change, "after"))});
    }
    os << "</table></details>\n";
  }

  void printRemarks(const Array &remarks) {
    for (const Value &value : remarks) {
      const Object &remark = *value.getAsObject();
      const Array &nodes = list(remark, "nodes");
      int64_t count = number(remark, "count");
      os << "<details><summary class=\"" << escape(text(remark, "kind"))
         << "\">" << escape(text(remark, "kind")) << " " << group(count)
         << "&times;: " << escape(text(remark, "message")) << "</summary>"
         << joinCode(nodes) << (count > int64_t(nodes.size()) ? ", ..." : "")
         << "</details>\n";
    }
  }

  llvm::raw_ostream &os;
};
} // namespace

void tenon::printReportAsHTML(const Value &report, llvm::raw_ostream &os) {
  if (const Object *object = report.getAsObject())
    Page(os).print(*object);
}
