#include "ExprText.h"

#include "dialects/Plan/PlanDialect.h"

using namespace mlir;
using namespace tenon;

namespace {
enum Precedence { OfSum = 1, OfProduct, OfAtom };

class Printer {
public:
  explicit Printer(func::FuncOp function) : function(function) {}

  std::string print(AffineExpr expr, int outer = 0) {
    if (auto constant = dyn_cast<AffineConstantExpr>(expr))
      return std::to_string(constant.getValue());
    if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
      return plan::getSymbolName(function, symbol.getPosition());
    auto binary = cast<AffineBinaryOpExpr>(expr);
    int own = expr.getKind() == AffineExprKind::Add ? OfSum : OfProduct;
    AffineExpr a = binary.getLHS(), b = binary.getRHS();
    // A constant factor comes first, as people write it.
    if (expr.getKind() == AffineExprKind::Mul && isa<AffineConstantExpr>(b))
      std::swap(a, b);
    // Sums and products need no parentheses among themselves.
    bool regroups =
        b.getKind() == expr.getKind() && (b.getKind() == AffineExprKind::Add ||
                                          b.getKind() == AffineExprKind::Mul);
    std::string text =
        print(a, own) + getOperator(expr) + print(b, regroups ? own : own + 1);
    return own < outer ? "(" + text + ")" : text;
  }

private:
  static const char *getOperator(AffineExpr expr) {
    switch (expr.getKind()) {
    case AffineExprKind::Add:
      return " + ";
    case AffineExprKind::Mul:
      return " * ";
    case AffineExprKind::FloorDiv:
      return " floordiv ";
    case AffineExprKind::CeilDiv:
      return " ceildiv ";
    default:
      return " mod ";
    }
  }

  func::FuncOp function;
};
} // namespace

std::string tenon::printExpr(AffineExpr expr, func::FuncOp function) {
  return Printer(function).print(expr);
}

std::string tenon::printExpr(const Polynomial &polynomial,
                             func::FuncOp function) {
  AffineExpr expr = polynomial.toExpr();
  return expr ? printExpr(expr, function) : "?";
}
