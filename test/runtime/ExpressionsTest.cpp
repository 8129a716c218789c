// Claims about the arithmetic of shape expressions.
#include "runtime/core/Expressions.h"

#include <gtest/gtest.h>

using namespace tenon::rt;

static Evaluated apply(ExprOp op, int64_t a, int64_t b) {
  std::vector<Evaluated> operands = {{a, Fault::none}, {b, Fault::none}};
  return evaluate({op, 0, 1, 0}, operands, nullptr);
}

// Divisions round to the floor and the ceiling, and mod has the divisor's sign.
TEST(Expressions, DividesTowardsTheFloor) {
  for (int64_t a = -9; a <= 9; ++a)
    for (int64_t b : {-4, -3, -1, 1, 3, 4}) {
      int64_t floor = apply(ExprOp::floordiv, a, b).value;
      int64_t ceil = apply(ExprOp::ceildiv, a, b).value;
      int64_t mod = apply(ExprOp::mod, a, b).value;
      EXPECT_EQ(floor * b + mod, a);
      EXPECT_TRUE(mod == 0 || (mod < 0) == (b < 0)) << a << ' ' << b;
      EXPECT_LT(std::abs(mod), std::abs(b));
      EXPECT_EQ(ceil, floor + (mod != 0));
    }
}

// What has no value in 64 bits is a fault, not a number.
TEST(Expressions, KeepsFaults) {
  EXPECT_EQ(apply(ExprOp::add, INT64_MAX, 1).fault, Fault::overflow);
  EXPECT_EQ(apply(ExprOp::mul, INT64_MAX / 2, 3).fault, Fault::overflow);
  EXPECT_EQ(apply(ExprOp::floordiv, INT64_MIN, -1).fault, Fault::overflow);
  EXPECT_EQ(apply(ExprOp::floordiv, -1, 0).fault, Fault::divisionByZero);
  EXPECT_EQ(apply(ExprOp::ceildiv, 1, 0).fault, Fault::divisionByZero);
  EXPECT_EQ(apply(ExprOp::mod, 1, 0).fault, Fault::divisionByZero);
  EXPECT_EQ(apply(ExprOp::mod, INT64_MIN, -1).value, 0);
  std::vector<Evaluated> operands = {{0, Fault::unknownSymbol}, {1, Fault::none}};
  EXPECT_EQ(evaluate({ExprOp::mul, 1, 0, 0}, operands, nullptr).fault, Fault::unknownSymbol);
}

// No element in no parts: none in each.
TEST(Expressions, DividesNothingByNothing) {
  for (ExprOp op : {ExprOp::floordiv, ExprOp::ceildiv, ExprOp::mod}) {
    EXPECT_EQ(apply(op, 0, 0).fault, Fault::none);
    EXPECT_EQ(apply(op, 0, 0).value, 0);
  }
}

// Sizes that do not fit, and negative dimensions, are refused; zero wins.
TEST(Expressions, BoundsByteSizes) {
  int64_t bytes;
  EXPECT_TRUE(byteSize({3, 4}, 4, bytes));
  EXPECT_EQ(bytes, 48);
  EXPECT_TRUE(byteSize({}, 8, bytes));
  EXPECT_EQ(bytes, 8);
  EXPECT_TRUE(byteSize({1 << 20, 0, 1 << 20}, 4, bytes));
  EXPECT_EQ(bytes, 0);
  EXPECT_FALSE(byteSize({-1, 0}, 4, bytes));
  EXPECT_FALSE(byteSize({int64_t(1) << 31, int64_t(1) << 31}, 4, bytes));
}
