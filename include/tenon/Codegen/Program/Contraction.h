// A sum of products within a kernel, found by its index maps: matrix products
// of any batch and broadcast form, convolutions.

#ifndef TENON_CODEGEN_PROGRAM_CONTRACTION_H
#define TENON_CODEGEN_PROGRAM_CONTRACTION_H

#include "tenon/Codegen/Program/KernelProgram.h"

namespace tenon {

/// Rows of a contraction that are windows of an image with channels last: row
/// (image, outputs...) and k (kernel..., channel) are element
/// (image, output * step + kernel * dilation - before..., channel).
struct ImageWindows {
  struct Axis {
    mlir::AffineExpr size;   // of the image
    mlir::AffineExpr stride; // elements from one position to the next
    mlir::AffineExpr outputs, kernel;
    int64_t step = 1, dilation = 1;
    /// Positions before the image and after it that windows reach, all zero.
    mlir::AffineExpr before, after;
  };
  llvm::SmallVector<Axis> axes; // the outermost first
  mlir::AffineExpr images, imageStride, channels;
  /// Rows run over all images; else an image is a batch, that of a loop.
  bool hasAllImages = false;
  int imageLoop = -1;
  /// The loop whose iterations have channels of their own, one after the other,
  /// or -1.
  int groupLoop = -1;
};

/// c(.., m, n) += a(.., m, k) * b(.., k, n), where n is the last index of c.
/// Other parallel loops are batches.
struct Contraction {
  /// Rows and columns of c that one item computes, the same on all targets.
  static constexpr int64_t kMostBlockRows = 168, kBlockColumns = 64;
  /// Bytes of a panel's row: columns of b that lie together in memory.
  static constexpr int64_t kPanelBytes = 128;

  unsigned step; // its number in the program
  /// Another step that sums the same rows of a times columns of its own: its
  /// loops and reads have the same numbers.
  std::optional<unsigned> twin = std::nullopt;
  unsigned a, b; // its reads
  unsigned n, k; // its loops
  int m;         // -1: c has one row
  /// b lies in memory as b(n / panel, k, n % panel).
  bool isPacked;
  /// What the rows of a are, if they are windows.
  std::optional<ImageWindows> windows = {};
  int64_t blockRows = kMostBlockRows;

  /// The steps that sum products: this one and its twin.
  llvm::SmallVector<unsigned, 2> getSums() const;
  /// The same about the product of step `number`, one of the two.
  Contraction of(unsigned number) const {
    Contraction own = *this;
    own.step = number;
    return own;
  }
  /// Columns of a panel.
  int64_t getPanel(const KernelProgram &program) const;

  /// The contraction of a program whose other steps run over the same elements,
  /// or two of them that are twins.
  /// Neighbouring loops of the program become one where that changes nothing.
  /// Rows of a lie at equal distances, and their elements too, unless
  /// `takesWindows`.
  static std::optional<Contraction> find(KernelProgram &program,
                                         bool takesWindows = false);
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
    unsigned dim; // of the storage, that `expr` is a part of the index of
  };
  llvm::SmallVector<Term> terms;

  /// How far the next element along the loop is, or null if that varies.
  mlir::AffineExpr getStride(unsigned loop) const;
};

} // namespace tenon

#endif // TENON_CODEGEN_PROGRAM_CONTRACTION_H
