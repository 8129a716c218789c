// Encodings of weights: where each element goes, and which texts are none.
#include "runtime/format/Encoding.h"

#include "ArtifactBuilder.h"
#include "runtime/core/Artifact.h"

#include <gtest/gtest.h>

using namespace tenon;
using format::encodedSize;
using format::parseEncoding;

namespace {

using Dims = std::vector<int64_t>;
using Bytes = std::vector<uint8_t>;

Bytes encode(const char *text, const Dims &dims, unsigned bits, const Bytes &bytes) {
  auto encoding = parseEncoding(text, dims, bits);
  if (!encoding)
    return {};
  Bytes encoded(*encodedSize(*encoding, dims, bits), 0xFF);
  format::encode(*encoding, dims, bits, bytes.data(), encoded.data());
  return encoded;
}

} // namespace

TEST(Encoding, LinesAlongRowsAreFilledUp) {
  EXPECT_EQ(encode("lines:1:4", {2, 3}, 8, {1, 2, 3, 4, 5, 6}),
            (Bytes{1, 2, 3, 0, 4, 5, 6, 0}));
}

TEST(Encoding, LinesAlongColumnsAreTurned) {
  EXPECT_EQ(encode("lines:0:2", {2, 3}, 8, {1, 2, 3, 4, 5, 6}), (Bytes{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(encode("lines:0:2", {2, 2}, 16, {1, 10, 2, 20, 3, 30, 4, 40}),
            (Bytes{1, 10, 3, 30, 2, 20, 4, 40}));
}

TEST(Encoding, LinesOfMoreDimensionsAreThoseOfAMatrix) {
  EXPECT_EQ(encode("lines:0:2", {2, 1, 3}, 8, {1, 2, 3, 4, 5, 6}), (Bytes{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(encode("lines:1:4", {2, 3, 1}, 8, {1, 2, 3, 4, 5, 6}),
            (Bytes{1, 2, 3, 0, 4, 5, 6, 0}));
}

// Rows of three 4-bit elements share bytes in ONNX; a line has bytes of its own.
TEST(Encoding, LinesOfFewBitsBeginAtABytes) {
  Bytes stored = {0x21, 0x43, 0x65}; // 1 2 3, 4 5 6
  EXPECT_EQ(encode("lines:1:4", {2, 3}, 4, stored), (Bytes{0x21, 0x03, 0x54, 0x06}));
  EXPECT_EQ(encode("lines:0:2", {2, 3}, 4, stored), (Bytes{0x41, 0x52, 0x63}));
  EXPECT_EQ(encode("lines:1:2", {3}, 4, {0x21, 0x03}), (Bytes{1, 2, 3}));
  EXPECT_EQ(encode("lines:1:4", {3}, 2, {0b111001}), (Bytes{1, 2, 3}));
}

// Two filters of two channels and 2 x 2 taps; a row may have room for more.
TEST(Encoding, TapsHaveChannelsLast) {
  Bytes filters = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  EXPECT_EQ(encode("taps:2:4", {2, 2, 2, 2}, 8, filters),
            (Bytes{1, 5, 2, 6, 3, 7, 4, 8, 9, 13, 10, 14, 11, 15, 12, 16}));
  EXPECT_EQ(encode("taps:3:8", {1, 2, 2, 2}, 8, {1, 2, 3, 4, 5, 6, 7, 8}),
            (Bytes{1, 5, 0, 2, 6, 0, 0, 0, 3, 7, 0, 4, 8, 0, 0, 0}));
  EXPECT_EQ(encode("taps:2:2", {1, 2, 1}, 16, {1, 10, 2, 20}), (Bytes{1, 10, 2, 20}));
}

TEST(Encoding, NoEncodingKeepsTheBytes) {
  EXPECT_EQ(encode("", {3}, 4, {0x21, 0x03}), (Bytes{0x21, 0x03}));
}

TEST(Encoding, RefusesWhatIsNone) {
  for (const char *text :
       {"lines", "lines:0", "lines:0:", "lines:2:8", "lines:0:1", "lines:1:2", "lines:0:8x",
        "lines:-1:8", "lines:0:9999999999", "rows:0:8"})
    EXPECT_FALSE(parseEncoding(text, Dims{2, 3}, 4)) << text;
  for (const char *text : {"taps:2:8", "taps:3:11", "taps:3", "taps:3:", "taps:3:12x",
                           "taps:-3:12", "taps:99999999999999:99999999999999"})
    EXPECT_FALSE(parseEncoding(text, Dims{2, 3, 4}, 8)) << text;
  EXPECT_FALSE(parseEncoding("taps:3:12", Dims{2, 3}, 8)) << "of two dimensions";
  EXPECT_FALSE(parseEncoding("taps:3:12", Dims{2, 3, 4}, 4)) << "of 4 bits";
  EXPECT_FALSE(parseEncoding("lines:0:8", Dims{}, 8)) << "of a scalar";
  EXPECT_FALSE(parseEncoding("panels:32:1", Dims{2, 3}, 4)) << "of 4 bits";
}

TEST(Encoding, SizesThatOverflowAreNone) {
  Dims dims = {INT64_MAX / 2, 8};
  auto lines = parseEncoding("lines:1:64", dims, 8);
  ASSERT_TRUE(lines);
  EXPECT_FALSE(encodedSize(*lines, dims, 8));
  EXPECT_FALSE(encodedSize(format::Encoding(), dims, 8));
}

TEST(Encoding, TheLoaderWantsTheEncodedSize) {
  for (size_t bytes : {3, 4}) {
    test::Model model = test::makeScaleModel();
    uint32_t index = model.addWeight("q", format::ElementType::i4, {2, 3}, Bytes(bytes));
    model.manifest.weights[index]->encoding = "lines:1:4";
    std::string path = model.write();
    if (bytes == 4)
      EXPECT_NO_THROW(rt::Artifact(path, {}));
    else
      EXPECT_ANY_THROW(rt::Artifact(path, {}));
  }
}
