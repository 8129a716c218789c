// The .tenon file: code, then weights, then the manifest that says where they are.

#include "tenon/Target/Format/KernelTable.h"
#include "tenon/Target/Artifact/WriteArtifact.h"

#include "ProgramWriter.h"
#include "SectionFile.h"

#include "dialects/Kernel/KernelDialect.h"
#include "runtime/format/FileHeader.h"

using namespace mlir;
using namespace tenon;

using flatbuffers::Offset;

namespace {

class ArtifactWriter {
public:
  ArtifactWriter(ModuleOp module, const CPUCode &code, SectionFile &file)
      : module(module), code(code), file(file), weights(file, builder) {}

  LogicalResult write(const ArtifactOptions &options) {
    writeCodes();
    if (failed(writeEntries()))
      return failure();
    writeKernels();
    auto manifest = format::CreateManifestDirect(
        builder, format::fileVersion, options.producer.c_str(), &codes,
        &kernelEntries, &weights.getEntries(), &entries);
    format::FinishManifestBuffer(builder, manifest);
    ArrayRef<char> bytes(reinterpret_cast<char *>(builder.GetBufferPointer()),
                         builder.GetSize());
    if (llvm::Error error = file.finish(bytes))
      return module.emitError(llvm::toString(std::move(error)));
    return success();
  }

private:
  void writeCodes() {
    for (const CodeImage &image : code.images) {
      WrittenSection written = file.append(image.elf, format::sectionAlignment);
      auto section = format::CreateSection(builder, written.offset,
                                           written.size, written.hash);
      std::vector<Offset<flatbuffers::String>> features;
      for (const std::string &feature : image.features)
        features.push_back(builder.CreateString(feature));
      std::string target = "cpu:" + image.target;
      codes.push_back(format::CreateCodeDirect(builder, target.c_str(),
                                               &features, section));
    }
  }

  LogicalResult writeEntries() {
    llvm::MapVector<StringRef, std::vector<Offset<format::Program>>> programs;
    for (auto function : module.getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      auto program =
          ProgramWriter(function, code, weights, kernels, builder).write();
      if (failed(program))
        return failure();
      auto entry = function->getAttrOfType<StringAttr>(plan::kEntryAttr);
      programs[entry ? entry.getValue() : function.getSymName()].push_back(
          *program);
    }
    for (auto &[name, variants] : programs)
      entries.push_back(format::CreateEntryDirect(builder, name.str().c_str(),
                                                  &variants));
    if (entries.empty())
      return module.emitError("expected a function to make an entry of, but got "
                              "none");
    return success();
  }

  void writeKernels() {
    SymbolTable symbols(module);
    for (auto &[name, use] : kernels.uses)
      kernelEntries.push_back(
          writeKernel(symbols.lookup<kernel::FuncOp>(name), use.count));
  }

  Offset<format::Kernel> writeKernel(kernel::FuncOp kernel, uint32_t uses) {
    std::string name = kernel.getSymName().str();
    const CompiledKernel &compiled = code.kernels.find(name)->second;
    format::KernelT table =
        describeKernel(kernel, compiled.grid, compiled.workspace);
    table.name = name;
    table.symbol = compiled.symbol;
    table.uses = uses;
    return format::CreateKernel(builder, &table);
  }

  ModuleOp module;
  const CPUCode &code;
  SectionFile &file;
  flatbuffers::FlatBufferBuilder builder;
  WeightTable weights;
  KernelTable kernels;
  std::vector<Offset<format::Code>> codes;
  std::vector<Offset<format::Kernel>> kernelEntries;
  std::vector<Offset<format::Entry>> entries;
};

} // namespace

LogicalResult tenon::writeArtifact(ModuleOp module, const CPUCode &code,
                                   StringRef path,
                                   const ArtifactOptions &options) {
  llvm::Expected<SectionFile> file = SectionFile::create(path);
  if (!file)
    return module.emitError(llvm::toString(file.takeError()));
  return ArtifactWriter(module, code, *file).write(options);
}
