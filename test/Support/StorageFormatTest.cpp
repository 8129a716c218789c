// Blocked integers: what is encoded comes back within the format's bound.
#include "tenon/Support/StorageFormat.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

using namespace tenon;
using llvm::APFloat;
using llvm::SmallVector;

namespace {

SmallVector<float> makeValues(unsigned seed, float mean) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(mean, 0.02f);
  SmallVector<float> values(32);
  for (float &value : values)
    value = normal(engine);
  return values;
}

SmallVector<float> roundTrip(const StorageFormat &format,
                             BlockParameters parameters,
                             llvm::ArrayRef<float> values) {
  SmallVector<uint8_t> codes(values.size());
  SmallVector<float> decoded(values.size());
  format.encode(values, parameters, codes);
  format.decode(codes, parameters, decoded);
  return decoded;
}

void expectWithinBound(const BlockedIntegers &format,
                       llvm::ArrayRef<float> values) {
  BlockParameters parameters = format.fit(values);
  ASSERT_TRUE(std::isfinite(parameters.scale) && parameters.scale != 0);
  ASSERT_GE(parameters.zero, format.getLeast());
  ASSERT_LE(parameters.zero, format.getLargest());
  SmallVector<float> decoded = roundTrip(format, parameters, values);
  float bound = format.getErrorBound(parameters);
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_LE(std::fabs(decoded[i] - values[i]), bound)
        << format.getBits() << " bits, element " << i << " of " << values[i];
}

} // namespace

TEST(StorageFormat, EveryElementComesBackWithinTheBound) {
  for (const auto *scales :
       {&APFloat::IEEEsingle(), &APFloat::IEEEhalf(), &APFloat::BFloat()})
    for (unsigned bits : {2, 4, 8})
      for (bool isSigned : {false, true})
        for (float mean : {0.0f, 0.05f, -0.05f})
          for (unsigned seed = 0; seed < 50; ++seed)
            expectWithinBound(BlockedIntegers(bits, 32, isSigned, *scales),
                              makeValues(seed, mean));
}

TEST(StorageFormat, BlocksAtTheEdgesComeBackWithinTheBound) {
  float huge = 1e38f;
  float tiny = std::numeric_limits<float>::denorm_min();
  for (bool isSigned : {false, true})
    for (SmallVector<float> values : {SmallVector<float>{0, 0, 0},
                                      {1, -1, 0},
                                      {5, 5, 5},
                                      {-5, -5, -5},
                                      {huge, -huge, huge},
                                      {tiny, -tiny, 0},
                                      {-3}})
      expectWithinBound(BlockedIntegers(4, 32, isSigned), values);
}

TEST(StorageFormat, ZeroStaysZero) {
  for (bool isSigned : {false, true}) {
    BlockedIntegers format(4, 32, isSigned);
    SmallVector<float> values = {-0.3f, 0, 0.7f};
    EXPECT_EQ(roundTrip(format, format.fit(values), values)[1], 0);
  }
}

// -0.8 is the extreme: it becomes -8, and 0.8 has no code but 7.
TEST(StorageFormat, SignedIntegersUseTheWholeRange) {
  BlockedIntegers format(4, 32, /*isSigned=*/true);
  SmallVector<float> values = {-0.8f, 0.8f};
  BlockParameters parameters = format.fit(values);
  EXPECT_FLOAT_EQ(parameters.scale, 0.1f);
  SmallVector<float> decoded = roundTrip(format, parameters, values);
  EXPECT_FLOAT_EQ(decoded[0], -0.8f);
  EXPECT_FLOAT_EQ(decoded[1], 0.7f);
}

// QuantizeLinear of ONNX: ties to even, then the zero point, then saturation.
TEST(StorageFormat, EncodesWithGivenParametersAsONNX) {
  BlockedIntegers format(8, 32);
  SmallVector<float> values = {0.5f, 1.5f, -1000, 1000};
  SmallVector<uint8_t> codes(4);
  format.encode(values, {1.0f, 10}, codes);
  EXPECT_EQ(codes, (SmallVector<uint8_t>{10, 12, 0, 255}));
}

TEST(StorageFormat, PacksTheFirstCodeIntoTheLowBits) {
  BlockedIntegers format(4, 32, /*isSigned=*/true);
  SmallVector<uint8_t> codes = {0x1, 0xF, 0x8};
  SmallVector<char> bytes = format.pack(codes);
  ASSERT_EQ(bytes.size(), 2u);
  EXPECT_EQ(uint8_t(bytes[0]), 0xF1);
  EXPECT_EQ(uint8_t(bytes[1]), 0x08);
  EXPECT_EQ(format.unpack(bytes, 3), codes);
  EXPECT_EQ(format.getInteger(0xF), -1);
  EXPECT_EQ(BlockedIntegers(4, 32).getInteger(0xF), 15);
}

TEST(StorageFormat, CountsBytes) {
  EXPECT_EQ(BlockedIntegers(2, 64).getBlockBytes(), 16);
  EXPECT_EQ(BlockedIntegers(4, 32).getBlockBytes(), 16);
  EXPECT_EQ(BlockedIntegers(8, 32).getBlockBytes(), 32);
}
