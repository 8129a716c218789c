// The .tenon file: code, then weights, then the manifest that says where they
// are.

#include "tenon/Target/Artifact/WriteArtifact.h"
#include "tenon/Target/Format/KernelTable.h"

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
  ArtifactWriter(ArrayRef<DevicePart> parts, SectionFile &file)
      : parts(parts), file(file), weights(file, builder) {}

  LogicalResult write(const ArtifactOptions &options) {
    for (const DevicePart &part : parts)
      if (part.cpu)
        writeObjects(*part.cpu);
    for (const DevicePart &part : parts)
      if (failed(writePart(part)))
        return failure();
    writeEntries();
    if (entries.empty())
      return ModuleOp(parts[0].module)
          .emitError("expected a function to make an entry of, but got none");
    auto manifest = format::CreateManifestDirect(
        builder, version, options.producer.c_str(), &codes, &kernelEntries,
        &weights.getEntries(), &entries);
    format::FinishManifestBuffer(builder, manifest);
    ArrayRef<char> bytes(reinterpret_cast<char *>(builder.GetBufferPointer()),
                         builder.GetSize());
    if (llvm::Error error = file.finish(bytes, version))
      return ModuleOp(parts[0].module)
          .emitError(llvm::toString(std::move(error)));
    return success();
  }

private:
  Offset<format::Section> append(ArrayRef<char> bytes) {
    WrittenSection written = file.append(bytes, format::sectionAlignment);
    return format::CreateSection(builder, written.offset, written.size,
                                 written.hash);
  }

  void writeObjects(const CPUCode &code) {
    for (const CodeImage &image : code.images) {
      auto section = append(image.elf);
      std::vector<Offset<flatbuffers::String>> features;
      for (const std::string &feature : image.features)
        features.push_back(builder.CreateString(feature));
      std::string target = "cpu:" + image.target;
      codes.push_back(format::CreateCodeDirect(builder, target.c_str(),
                                               &features, section));
    }
  }

  LogicalResult writePart(const DevicePart &part) {
    KernelTable kernels;
    kernels.base = kernelEntries.size();
    kernels.device = part.gpu ? format::Device::cuda : format::Device::cpu;
    kernels.hasCode = [&](StringAttr name) {
      return part.gpu ? part.gpu->kernels.contains(name)
                      : part.cpu->kernels.contains(name.getValue());
    };
    for (auto function : ModuleOp(part.module).getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      auto program = ProgramWriter(function, weights, kernels, builder).write();
      if (failed(program))
        return failure();
      for (unsigned i = 0; i < function.getNumArguments(); ++i)
        if (function.getArgAttr(i, plan::kRecurrentAttr))
          version = format::fileVersion;
      auto entry = function->getAttrOfType<StringAttr>(plan::kEntryAttr);
      programs[entry ? entry : function.getSymNameAttr()].push_back(*program);
    }
    writeKernels(part, kernels);
    if (part.gpu)
      for (unsigned i = 0; i < part.gpu->targets.size(); ++i)
        writeImages(*part.gpu, i, kernels);
    return success();
  }

  void writeEntries() {
    for (auto &[name, variants] : programs)
      entries.push_back(
          format::CreateEntryDirect(builder, name.str().c_str(), &variants));
  }

  void writeKernels(const DevicePart &part, const KernelTable &kernels) {
    SymbolTable symbols(part.module);
    for (auto &[name, use] : kernels.uses) {
      format::KernelT table =
          part.gpu ? format::KernelT(part.gpu->kernels.find(name)->second.table)
                   : describe(symbols.lookup<kernel::FuncOp>(name), *part.cpu);
      table.name = name.str();
      table.uses = use.count;
      kernelEntries.push_back(format::CreateKernel(builder, &table));
    }
  }

  format::KernelT describe(kernel::FuncOp kernel, const CPUCode &code) {
    const CompiledKernel &compiled =
        code.kernels.find(kernel.getSymName())->second;
    format::KernelT table =
        describeKernel(kernel, compiled.grid, compiled.workspace);
    table.symbol = compiled.symbol;
    return table;
  }

  /// Target number `index` of the GPU's code.
  void writeImages(const GPUCode &code, unsigned index,
                   const KernelTable &kernels) {
    const GPUImages &images = code.targets[index];
    std::vector<Offset<format::Section>> sections;
    for (const std::string &image : images.images)
      sections.push_back(append(image));
    std::vector<Offset<format::StagedKernel>> staged;
    for (auto &[name, use] : kernels.uses) {
      format::StagedKernelT table =
          code.kernels.find(name)->second.codes[index];
      table.kernel = use.index;
      staged.push_back(format::CreateStagedKernel(builder, &table));
    }
    std::string target = "cuda:" + images.target.name;
    codes.push_back(format::CreateCodeDirect(
        builder, target.c_str(), nullptr, 0, images.form, &sections, &staged,
        images.target.capability, images.target.isExact, images.target.driver,
        images.assembler.c_str()));
  }

  ArrayRef<DevicePart> parts;
  SectionFile &file;
  uint32_t version = format::plainVersion; // the oldest that can say all of it
  flatbuffers::FlatBufferBuilder builder;
  WeightTable weights;
  llvm::MapVector<StringAttr, std::vector<Offset<format::Program>>> programs;
  std::vector<Offset<format::Code>> codes;
  std::vector<Offset<format::Kernel>> kernelEntries;
  std::vector<Offset<format::Entry>> entries;
};

} // namespace

LogicalResult tenon::writeArtifact(ArrayRef<DevicePart> parts, StringRef path,
                                   const ArtifactOptions &options) {
  llvm::Expected<SectionFile> file = SectionFile::create(path);
  if (!file)
    return ModuleOp(parts[0].module)
        .emitError(llvm::toString(file.takeError()));
  return ArtifactWriter(parts, *file).write(options);
}
