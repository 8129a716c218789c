// The symbols of one function, what is known of their values, and arithmetic on
// expressions over them.

#ifndef TENON_LIB_ANALYSIS_SHAPES_SYMBOLTABLE_H
#define TENON_LIB_ANALYSIS_SHAPES_SYMBOLTABLE_H

#include "tenon/Analysis/Shapes/Polynomial.h"

#include "tenon/Analysis/Shapes/Symbol.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"

#include <map>

namespace tenon {

/// Null expressions are unknown, and so is what is made of them.
class SymbolTable {
public:
  explicit SymbolTable(mlir::MLIRContext *context) : context(context) {}

  llvm::ArrayRef<Symbol> getSymbols() const { return symbols; }
  /// The symbol of an argument's dimension; an empty name is a fresh one.
  mlir::AffineExpr getInput(llvm::StringRef name);
  /// The same of a dimension that has no name.
  mlir::AffineExpr getUnnamed(mlir::Value argument, unsigned index);
  void reserveName(llvm::StringRef name) { names.insert(name); }
  void setRange(llvm::StringRef name, SymbolRange range) {
    ranges[name] = range;
  }
  /// The symbol that stands for an element or dimension of `value`.
  mlir::AffineExpr getData(mlir::Value value, unsigned index, bool isDimension,
                           mlir::AffineExpr bound = {});

  mlir::AffineExpr constant(int64_t value) const {
    return mlir::getAffineConstantExpr(value, context);
  }
  mlir::AffineExpr add(mlir::AffineExpr a, mlir::AffineExpr b) const;
  mlir::AffineExpr sub(mlir::AffineExpr a, mlir::AffineExpr b) const;
  mlir::AffineExpr mul(mlir::AffineExpr a, mlir::AffineExpr b) const;
  mlir::AffineExpr floorDiv(mlir::AffineExpr a, mlir::AffineExpr b) const;
  mlir::AffineExpr ceilDiv(mlir::AffineExpr a, mlir::AffineExpr b) const;
  mlir::AffineExpr mod(mlir::AffineExpr a, mlir::AffineExpr b) const;
  mlir::AffineExpr product(llvm::ArrayRef<mlir::AffineExpr> factors) const;
  /// The quotient if there is provably no remainder.
  mlir::AffineExpr divideExactly(mlir::AffineExpr a, mlir::AffineExpr b) const;
  mlir::AffineExpr min(mlir::AffineExpr a, mlir::AffineExpr b) {
    return getExtreme(Symbol::Op::Min, a, b);
  }
  mlir::AffineExpr max(mlir::AffineExpr a, mlir::AffineExpr b) {
    return getExtreme(Symbol::Op::Max, a, b);
  }
  /// The common size of two dimensions that broadcast.
  mlir::AffineExpr broadcast(mlir::AffineExpr a, mlir::AffineExpr b);

  /// Bounds of an expression; none where nothing is known.
  std::optional<int64_t> getLow(mlir::AffineExpr expr) const;
  std::optional<int64_t> getHigh(mlir::AffineExpr expr) const;
  /// Whether expr >= 0 holds for all values of the symbols.
  bool isNonNegative(mlir::AffineExpr expr) const;
  /// `a` >= `b` in every run that is no error, as `op` asks. Returns whether
  /// that was news. What a region's values need is not kept.
  bool assumeAtLeast(mlir::AffineExpr a, mlir::AffineExpr b,
                     mlir::Operation *op);
  llvm::ArrayRef<SizeFact> getAssumptions() const { return assumptions; }
  bool isLessEqual(mlir::AffineExpr a, mlir::AffineExpr b) const;
  /// Whether a = b always (true), never (false), or it depends.
  std::optional<bool> isEqual(mlir::AffineExpr a, mlir::AffineExpr b) const;
  std::optional<bool> isLess(mlir::AffineExpr a, mlir::AffineExpr b) const;

  /// Facts found from here on hold where `region` runs; null: the whole
  /// function.
  void setScope(mlir::Region *region) { scope = region; }
  mlir::Region *getScope() const { return scope; }
  /// Whether `expr` has symbols whose values are made within `region`.
  bool isLocalTo(mlir::AffineExpr expr, mlir::Region &region) const;
  /// `a` and `b` are equal in every run of the scope that is no error: from now
  /// on, one is written as the other, or the fact is kept. Returns whether that
  /// was news.
  bool unify(mlir::AffineExpr a, mlir::AffineExpr b, mlir::Operation *op);
  /// `expr` in normal form, after all equalities.
  mlir::AffineExpr normalize(mlir::AffineExpr expr) const;
  /// Equalities that a run has to check: those that no substitution expresses,
  /// and those that it does for a symbol which no input's dimension gives.
  llvm::ArrayRef<SizeFact> getEqualities() const { return equalities; }
  bool isSubstituted(unsigned symbol) const {
    return substitutions.count(symbol) != 0;
  }

private:
  mlir::AffineExpr addSymbol(Symbol symbol);
  mlir::AffineExpr define(Symbol::Op op, mlir::AffineExpr a,
                          mlir::AffineExpr b);
  std::string getFreshName();
  mlir::AffineExpr getExtreme(Symbol::Op op, mlir::AffineExpr a,
                              mlir::AffineExpr b);
  std::optional<int64_t> getBound(const Polynomial &sum, bool low) const;
  std::optional<int64_t> getAtomBound(mlir::AffineExpr atom, bool low) const;
  /// How many atoms are replaced in a row, and about how many sums are tried:
  /// each may be any of a sum's terms, which can be hundreds.
  struct Search {
    int depth;
    int64_t tries = 4096;
  };
  bool isNonNegative(const Polynomial &sum, Search search) const;
  bool isAssumed(const Polynomial &sum) const;
  const Symbol *getSymbol(mlir::AffineExpr expr) const;
  bool substitute(mlir::AffineExpr symbol, mlir::AffineExpr by,
                  mlir::Operation *op);
  bool isInScope(const Symbol &symbol, mlir::AffineExpr by) const;
  bool anyOf(mlir::AffineExpr expr,
             llvm::function_ref<bool(const Symbol &)> holds) const;

  mlir::MLIRContext *context;
  mlir::Region *scope = nullptr;
  llvm::SmallVector<Symbol> symbols;
  llvm::StringMap<unsigned> inputs;
  llvm::DenseMap<std::pair<mlir::Value, unsigned>, unsigned> unnamed;
  llvm::StringSet<> names;
  llvm::StringMap<SymbolRange> ranges;
  unsigned numFresh = 0;
  /// By value, and twice the index plus whether it is a dimension's.
  llvm::DenseMap<std::pair<mlir::Value, unsigned>, unsigned> data;
  llvm::DenseMap<std::tuple<int, mlir::AffineExpr, mlir::AffineExpr>, unsigned>
      defined;
  std::map<unsigned, mlir::AffineExpr> substitutions;
  llvm::SmallVector<SizeFact> assumptions; // of AtLeast
  llvm::SmallVector<SizeFact> equalities;
};

} // namespace tenon

#endif // TENON_LIB_ANALYSIS_SHAPES_SYMBOLTABLE_H
