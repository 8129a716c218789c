// Matrix products: MatMul, Gemm, Einsum and their quantized kin.

#include "Inference.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace tenon {

/// The shape of numpy's matmul of two shapes.
static FailureOr<Dims> multiply(Node &node, Dims a, Dims b) {
  if (a.empty() || b.empty())
    return node.error() << "expected operands of rank 1 or more, but got rank "
                           "0";
  bool isRow = a.size() == 1, isColumn = b.size() == 1;
  if (isRow)
    a.insert(a.begin(), node.constant(1));
  if (isColumn)
    b.push_back(node.constant(1));
  if (failed(node.merge(a.back(), b[b.size() - 2], "inner dimensions")))
    return failure();
  FailureOr<Dims> result = node.broadcast(ArrayRef(a).drop_back(2),
                                          ArrayRef(b).drop_back(2));
  if (failed(result))
    return failure();
  if (!isRow)
    result->push_back(a[a.size() - 2]);
  if (!isColumn)
    result->push_back(b.back());
  return result;
}

static LogicalResult inferProduct(Node &node, unsigned left, unsigned right) {
  const Dims *a = node.getDims(left), *b = node.getDims(right);
  if (!a || !b)
    return success();
  FailureOr<Dims> result = multiply(node, *a, *b);
  if (failed(result))
    return failure();
  node.setDims(0, std::move(*result));
  return success();
}

static LogicalResult inferMatMul(Node &node) {
  return inferProduct(node, 0, 1);
}

static LogicalResult inferQLinearMatMul(Node &node) {
  return inferProduct(node, 0, 3);
}

static LogicalResult inferGemm(Node &node) {
  const Dims *a = node.getDims(0), *b = node.getDims(1);
  if (!a || !b)
    return success();
  if (failed(node.expectRank(0, 2)) || failed(node.expectRank(1, 2)))
    return failure();
  bool transA = node.getInt("transA", 0) != 0;
  bool transB = node.getInt("transB", 0) != 0;
  if (failed(node.merge((*a)[transA ? 0 : 1], (*b)[transB ? 1 : 0],
                        "inner dimensions")))
    return failure();
  Dims result{(*a)[transA ? 1 : 0], (*b)[transB ? 0 : 1]};
  if (const Dims *c = node.getDims(2))
    if (failed(node.broadcastTo(result, *c)))
      return failure();
  node.setDims(0, std::move(result));
  return success();
}

static LogicalResult inferMatMulNBits(Node &node) {
  const Dims *a = node.getDims(0);
  if (!a || a->empty())
    return success();
  if (failed(node.merge(a->back(), node.constant(node.getInt("K", 0)),
                        "inner dimensions")))
    return failure();
  Dims result = *a;
  result.back() = node.constant(node.getInt("N", 0));
  node.setDims(0, std::move(result));
  return success();
}

namespace {
/// The dimensions of one Einsum, by letter.
struct EinsumLabels {
  llvm::MapVector<char, AffineExpr> dims;
  llvm::MapVector<char, unsigned> uses;
  Dims ellipsis;
};
} // namespace

/// Reads one operand's labels; `...` stands for the axes that have none.
static LogicalResult readTerm(Node &node, StringRef term, const Dims &dims,
                              EinsumLabels &labels) {
  size_t letters = llvm::count_if(term, [](char c) { return llvm::isAlpha(c); });
  bool hasEllipsis = term.contains("...");
  if (letters > dims.size() || (!hasEllipsis && letters != dims.size()))
    return node.error() << "expected an operand of rank " << letters << " for '"
                        << term << "', but got rank " << dims.size();
  const auto *next = dims.begin();
  while (!term.empty()) {
    if (term.consume_front("...")) {
      size_t rank = dims.size() - letters;
      FailureOr<Dims> both =
          node.broadcast(labels.ellipsis, ArrayRef(next, next + rank));
      if (failed(both))
        return failure();
      labels.ellipsis = *both;
      next += rank;
      continue;
    }
    char letter = term.front();
    term = term.drop_front();
    if (!llvm::isAlpha(letter))
      return node.error() << "expected letters in the equation, but got '"
                          << std::string(1, letter) << "'";
    auto [known, isNew] = labels.dims.insert({letter, *next});
    ++labels.uses[letter];
    if (!isNew) {
      FailureOr<AffineExpr> both = node.broadcast(known->second, *next);
      if (failed(both))
        return failure();
      known->second = *both;
    }
    ++next;
  }
  return success();
}

/// The result's labels where the equation has no arrow.
static std::string getImplicitOutput(const EinsumLabels &labels) {
  std::string letters;
  for (auto [letter, uses] : labels.uses)
    if (uses == 1)
      letters.push_back(letter);
  llvm::sort(letters);
  return "..." + letters;
}

static LogicalResult inferEinsum(Node &node) {
  std::string equation;
  for (char c : node.getString("equation", ""))
    if (c != ' ')
      equation.push_back(c);
  auto [left, right] = StringRef(equation).split("->");
  SmallVector<StringRef> terms;
  left.split(terms, ',');
  if (terms.size() != node.inputs.size())
    return node.error() << "expected " << node.inputs.size()
                        << " terms in the equation, but got " << terms.size();
  EinsumLabels labels;
  for (auto [index, term] : llvm::enumerate(terms)) {
    const Dims *dims = node.getDims(index);
    if (!dims)
      return success();
    if (failed(readTerm(node, term, *dims, labels)))
      return failure();
  }
  std::string output = StringRef(equation).contains("->")
                           ? right.str()
                           : getImplicitOutput(labels);
  Dims result;
  for (StringRef rest = output; !rest.empty();) {
    if (rest.consume_front("...")) {
      result.append(labels.ellipsis);
      continue;
    }
    auto *known = labels.dims.find(rest.front());
    if (known == labels.dims.end())
      return node.error() << "expected the result's labels among the "
                             "operands', but got '"
                          << rest.take_front() << "'";
    result.push_back(known->second);
    rest = rest.drop_front();
  }
  node.setDims(0, std::move(result));
  return success();
}

/// A square matrix's determinant.
static LogicalResult inferDet(Node &node) {
  const Dims *data = node.getDims(0);
  if (!data || data->size() < 2)
    return success();
  node.setDims(0, Dims(ArrayRef(*data).drop_back(2)));
  return success();
}

void addContractions(ShapeTable &table) {
  table["MatMul"] = inferMatMul;
  table["MatMulInteger"] = inferMatMul;
  table["QLinearMatMul"] = inferQLinearMatMul;
  table["Gemm"] = inferGemm;
  table["Einsum"] = inferEinsum;
  table["Det"] = inferDet;
  table["ms.MatMulNBits"] = inferMatMulNBits;
}

} // namespace tenon
