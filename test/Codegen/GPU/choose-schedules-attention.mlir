// RUN: tenon-opt %s -pass-pipeline='builtin.module(choose-schedules{architectures=sm_80,sm_90a})' | FileCheck %s
// RUN: tenon-opt %s -pass-pipeline='builtin.module(choose-schedules{architectures=sm_90a})' -remark-format=emitRemark -remarks-filter=choose-schedules 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK
// RUN: sed 's/128/256/g' %s | tenon-opt -pass-pipeline='builtin.module(choose-schedules{architectures=sm_90a})' | FileCheck %s --check-prefix=WIDE
// RUN: sed 's/bf16/f32/g' %s | tenon-opt -pass-pipeline='builtin.module(choose-schedules{architectures=sm_90a})' | FileCheck %s --check-prefix=FLOAT

// Tiles of 64 rows, and of 16 where rows are few, whose keys are in parts. On Hopper tensor
// maps bring keys for 128 rows and more, and for few, where one block has a multiprocessor:
// parts are as many as make a block for each, or eight where items are more than 33.
// CHECK-LABEL: kernel.func @decode
// CHECK-SAME:    sm_80 = [{form = "tiles", keys = 64 : i64, last = 16 : i64, parts = [{blocks = 396 : i64}], rows = 16 : i64},
// CHECK-SAME:      {first = 17 : i64, form = "tiles", keys = 64 : i64, parts = [{blocks = 396 : i64}], rows = 64 : i64}]
// CHECK-SAME:    sm_90a = [{blocks = 132 : i64, first = 128 : i64, form = "mapped", keys = 128 : i64, residents = 1 : i64, rows = 128 : i64},
// CHECK-SAME:      {blocks = 132 : i64, form = "mapped", keys = 128 : i64, last = 16 : i64, parts = [{blocks = 132 : i64}, {blocks = 1056 : i64, items = 34 : i64}, {blocks = 4224 : i64, items = 100 : i64, least_keys = 896 : i64}, {blocks = 1056 : i64, items = 133 : i64}, {items = 529 : i64}], residents = 1 : i64, rows = 16 : i64},
// CHECK-SAME:      {first = 17 : i64, form = "tiles", keys = 64 : i64, last = 127 : i64, parts = [{blocks = 396 : i64}], rows = 64 : i64}]
// Sums of more features leave registers for fewer keys.
// WIDE-LABEL:  kernel.func @decode
// WIDE-SAME:     first = 128 : i64, form = "mapped", keys = 48 : i64
// WIDE-SAME:     form = "mapped", keys = 64 : i64, last = 16 : i64
// WIDE-SAME:     first = 17 : i64, form = "tiles", keys = 32 : i64, last = 127 : i64, parts = [{blocks = 396 : i64}], residents = 1 : i64, rows = 64 : i64
// Matrix instructions have no f32.
// FLOAT-LABEL: kernel.func @decode
// FLOAT-SAME:    sm_90a = [{form = "threads", parts = [{blocks = 396 : i64}], residents = 1 : i64}]
// REMARK:      sm_90a: mapped of 128 by 128 from 128 rows; mapped of 16 by 128 for up to 16 rows, keys in parts for 132 blocks, 1056 blocks from 34 heads, 4224 blocks from 100 heads where each has over 896 keys, 1056 blocks from 133 heads, no more from 529 heads; tiles of 64 by 64 for 17 to 127 rows, keys in parts for 396 blocks
kernel.func @decode inputs 3 dims [affine_map<()[s0, s1] -> (1, 32, s0, 128)>, affine_map<()[s0, s1] -> (1, 8, s1, 128)>, affine_map<()[s0, s1] -> (1, 8, s1, 128)>, affine_map<()[s0, s1] -> (1, 32, s0, 128)>] {
^bb0(%q: tensor<1x32x?x128xbf16>, %k: tensor<1x8x?x128xbf16>, %v: tensor<1x8x?x128xbf16>, %d: tensor<1x32x?x128xbf16>):
  %y = kernel.attention ins(%q, %k, %v) outs(%d) maps [affine_map<(b, h, s, e) -> (b, h, s, e)>, affine_map<(b, h, s, e) -> (b, h, s, e)>, affine_map<(b, h, s, e) -> (b, h, s, e)>, affine_map<(b, h, s, e) -> (b, h, s, e)>] {causal, zero_empty} : (tensor<1x32x?x128xbf16>, tensor<1x8x?x128xbf16>, tensor<1x8x?x128xbf16>, tensor<1x32x?x128xbf16>) -> tensor<1x32x?x128xbf16>
  kernel.yield %y : tensor<1x32x?x128xbf16>
}

// Where rows are known only what can run is there, for all of them; as many queries as keys
// keep the multiprocessors busy without parts.
// CHECK-LABEL: kernel.func @known
// CHECK-SAME:    sm_80 = [{form = "tiles", keys = 64 : i64, residents = 3 : i64, rows = 64 : i64}]
// CHECK-SAME:    sm_90a = [{blocks = 132 : i64, form = "mapped", keys = 128 : i64, residents = 1 : i64, rows = 128 : i64}]
kernel.func @known inputs 3 dims [affine_map<() -> (2, 4, 300, 64)>, affine_map<() -> (2, 4, 300, 64)>, affine_map<() -> (2, 4, 300, 64)>, affine_map<() -> (2, 4, 300, 64)>] {
^bb0(%q: tensor<2x4x300x64xf16>, %k: tensor<2x4x300x64xf16>, %v: tensor<2x4x300x64xf16>, %d: tensor<2x4x300x64xf16>):
  %y = kernel.attention ins(%q, %k, %v) outs(%d) maps [affine_map<(b, h, s, e) -> (b, h, s, e)>, affine_map<(b, h, s, e) -> (b, h, s, e)>, affine_map<(b, h, s, e) -> (b, h, s, e)>, affine_map<(b, h, s, e) -> (b, h, s, e)>] : (tensor<2x4x300x64xf16>, tensor<2x4x300x64xf16>, tensor<2x4x300x64xf16>, tensor<2x4x300x64xf16>) -> tensor<2x4x300x64xf16>
  kernel.yield %y : tensor<2x4x300x64xf16>
}
