# MLIR's headers, and after them the onnx dialect's two hundred operators, are most of a
# file's compile time: the compiler's libraries share them precompiled. Files still include
# what they use; -DTENON_PRECOMPILED_HEADERS=OFF builds without. CMake's own precompiled
# headers name the build folder, for which ccache keeps apart what two checkouts compile.
option(TENON_PRECOMPILED_HEADERS "Precompile the headers that most files include" ON)
if(NOT TENON_PRECOMPILED_HEADERS)
  return()
endif()
set(TENON_HEADERS
  mlir/Dialect/Affine/IR/AffineOps.h
  mlir/Dialect/Arith/IR/Arith.h
  mlir/Dialect/Func/IR/FuncOps.h
  mlir/Dialect/LLVMIR/LLVMDialect.h
  mlir/Dialect/Linalg/IR/Linalg.h
  mlir/Dialect/Math/IR/Math.h
  mlir/Dialect/MemRef/IR/MemRef.h
  mlir/Dialect/SCF/IR/SCF.h
  mlir/Dialect/Tensor/IR/Tensor.h
  mlir/Dialect/Vector/IR/VectorOps.h
  mlir/IR/PatternMatch.h
  mlir/IR/Remarks.h
  mlir/Pass/Pass.h
  mlir/Transforms/GreedyPatternRewriteDriver.h
  llvm/ADT/StringExtras.h
  llvm/ADT/StringMap.h
  llvm/ADT/StringSet.h
  llvm/ADT/TypeSwitch.h
  llvm/Support/FileSystem.h)

# A target whose one object is a precompiled header: `name`/Headers.h.o.
function(tenon_add_precompiled name)
  list(TRANSFORM ARGN REPLACE "(.+)" "#include \"\\1\"")
  list(JOIN ARGN "\n" content)
  set(header ${CMAKE_BINARY_DIR}/${name}/Headers.h)
  file(CONFIGURE OUTPUT ${header} CONTENT "${content}\n")
  # Its time is no reason for ccache to compile again.
  set_source_files_properties(${header} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS
    "-x;c++-header;-fpch-instantiate-templates;-Xclang;-fno-pch-timestamp")
  add_library(${name} OBJECT ${header})
  llvm_update_compile_flags(${name})
endfunction()
tenon_add_precompiled(TenonPrecompiledMLIR ${TENON_HEADERS})
tenon_add_precompiled(TenonPrecompiledONNX ${TENON_HEADERS}
  dialects/ONNX/ONNXDialect.h dialects/ONNX/StoredAttr.h)
add_dependencies(TenonPrecompiledONNX TenonONNXIncGen)

# Libraries most of whose files include the onnx dialect.
set(TENON_READERS_OF_ONNX TenonExportONNX TenonImportONNX TenonKVCache TenonONNXToKernel
  TenonQuantize TenonRaise TenonShapes TenonSimplify)

function(tenon_use_precompiled directory)
  get_property(parts DIRECTORY ${directory} PROPERTY SUBDIRECTORIES)
  foreach(part ${parts})
    tenon_use_precompiled(${part})
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
    # Compilers run in the build folder.
    set(precompiled CMakeFiles/${headers}.dir/${headers}/Headers.h.o)
    target_compile_options(${target} PRIVATE "SHELL:-include-pch ${precompiled}")
    get_target_property(sources ${target} SOURCES)
    list(FILTER sources INCLUDE REGEX "\\.cpp$")
    list(TRANSFORM sources PREPEND ${directory}/ REGEX "^[^/]")
    set_property(SOURCE ${sources} TARGET_DIRECTORY ${target}
      APPEND PROPERTY OBJECT_DEPENDS ${CMAKE_BINARY_DIR}/${precompiled})
  endforeach()
endfunction()
tenon_use_precompiled(${PROJECT_SOURCE_DIR}/dialects)
tenon_use_precompiled(${PROJECT_SOURCE_DIR}/lib)
