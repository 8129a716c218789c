// A sum of products within a kernel, found by its index maps: matrix products
// of any batch and broadcast form, convolutions.

#ifndef TENON_CODEGEN_PROGRAM_CONTRACTION_H
#define TENON_CODEGEN_PROGRAM_CONTRACTION_H

#include "tenon/Codegen/Program/KernelProgram.h"

namespace tenon {

/// c(.., m, n) += a(.., m, k) * b(.., k, n), where n is the last index of c.
/// Other parallel loops are batches.
struct Contraction {
  /// Rows and columns of c that one item computes, the same on all targets.
  static constexpr int64_t kMostBlockRows = 168, kBlockColumns = 64;
  /// Bytes of a panel's row: columns of b that lie together in memory.
  static constexpr int64_t kPanelBytes = 128;

  unsigned step; // its number in the program
  unsigned a, b; // its reads
  unsigned n, k; // its loops
  int m;         // -1: c has one row
  /// b lies in memory as b(n / panel, k, n % panel).
  bool isPacked;
  int64_t blockRows = kMostBlockRows;

  /// Columns of a panel.
  int64_t getPanel(const KernelProgram &program) const;

  /// The contraction of a program whose other steps run over the same elements.
  /// Neighbouring loops of the program become one where that changes nothing.
  static std::optional<Contraction> find(KernelProgram &program);
};

/// An access as a sum: what each loop adds to the offset of the element.
class LinearAccess {
public:
  /// Nothing if some index is not a sum of functions of single loops.
  static std::optional<LinearAccess> get(const KernelProgram &program,
                                         const Access &access);

  /// One summand: `expr`, over one loop or none, times `stride`.
  struct Term {
    int loop; // -1: none
    mlir::AffineExpr expr, stride;
  };
  llvm::SmallVector<Term> terms;

  /// How far the next element along the loop is, or null if that varies.
  mlir::AffineExpr getStride(unsigned loop) const;
};

} // namespace tenon

#endif // TENON_CODEGEN_PROGRAM_CONTRACTION_H
