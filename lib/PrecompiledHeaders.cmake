# MLIR's headers, and after them the onnx dialect's two hundred operators, are most of a
# file's compile time: the compiler's libraries share them precompiled. Files still include
# what they use; -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON builds without.
set(TENON_PRECOMPILED_HEADERS
  <mlir/Dialect/Affine/IR/AffineOps.h>
  <mlir/Dialect/Arith/IR/Arith.h>
  <mlir/Dialect/Func/IR/FuncOps.h>
  <mlir/Dialect/LLVMIR/LLVMDialect.h>
  <mlir/Dialect/Linalg/IR/Linalg.h>
  <mlir/Dialect/Math/IR/Math.h>
  <mlir/Dialect/MemRef/IR/MemRef.h>
  <mlir/Dialect/SCF/IR/SCF.h>
  <mlir/Dialect/Tensor/IR/Tensor.h>
  <mlir/Dialect/Vector/IR/VectorOps.h>
  <mlir/IR/PatternMatch.h>
  <mlir/IR/Remarks.h>
  <mlir/Pass/Pass.h>
  <mlir/Transforms/GreedyPatternRewriteDriver.h>
  <llvm/ADT/StringExtras.h>
  <llvm/ADT/StringMap.h>
  <llvm/ADT/StringSet.h>
  <llvm/ADT/TypeSwitch.h>
  <llvm/Support/FileSystem.h>)
# Its time is no reason for ccache to compile again.
set(TENON_PRECOMPILE_OPTIONS "SHELL:-Xclang -fno-pch-timestamp")

function(tenon_add_precompiled name)
  set(source ${PROJECT_BINARY_DIR}/lib/${name}.cpp)
  file(CONFIGURE OUTPUT ${source} CONTENT "")
  add_library(${name} OBJECT ${source})
  llvm_update_compile_flags(${name})
  target_compile_options(${name} PRIVATE ${TENON_PRECOMPILE_OPTIONS})
  target_precompile_headers(${name} PRIVATE ${TENON_PRECOMPILED_HEADERS} ${ARGN})
endfunction()
tenon_add_precompiled(TenonPrecompiledMLIR)
tenon_add_precompiled(TenonPrecompiledONNX
  ${PROJECT_SOURCE_DIR}/dialects/ONNX/ONNXDialect.h
  ${PROJECT_SOURCE_DIR}/dialects/ONNX/StoredAttr.h)
add_dependencies(TenonPrecompiledONNX TenonONNXIncGen)

# Libraries most of whose files include the onnx dialect.
set(TENON_READERS_OF_ONNX TenonExportONNX TenonImportONNX
  TenonKVCache TenonONNXToKernel TenonQuantize TenonRaise TenonShapes TenonSimplify)

function(tenon_precompile_headers directory)
  get_property(parts DIRECTORY ${directory} PROPERTY SUBDIRECTORIES)
  foreach(part ${parts})
    tenon_precompile_headers(${part})
  endforeach()
  get_property(targets DIRECTORY ${directory} PROPERTY BUILDSYSTEM_TARGETS)
  list(FILTER targets INCLUDE REGEX "^obj\\.")
  # The adaptor's files have exceptions, which others have not.
  list(REMOVE_ITEM targets obj.TenonOnnxAdaptor)
  foreach(target ${targets})
    string(REPLACE "obj." "" library ${target})
    set(headers TenonPrecompiledMLIR)
    if(library IN_LIST TENON_READERS_OF_ONNX)
      set(headers TenonPrecompiledONNX)
    endif()
    target_compile_options(${target} PRIVATE ${TENON_PRECOMPILE_OPTIONS})
    target_precompile_headers(${target} REUSE_FROM ${headers})
  endforeach()
endfunction()
tenon_precompile_headers(${PROJECT_SOURCE_DIR}/dialects)
tenon_precompile_headers(${PROJECT_SOURCE_DIR}/lib)
