// RUN: tenon-opt %s -pass-pipeline='builtin.module(choose-schedules{architectures=sm_80,sm_90a})' | FileCheck %s
// RUN: printf '{"products": [{"architecture": "sm_90a", "type": "bf16", "columns": 1024, "depth": 512, "first": 33, "last": 64, "splits": 2, "across": 64}]}' > %t.json
// RUN: tenon-opt %s -pass-pipeline='builtin.module(choose-schedules{architectures=sm_90a table=%t.json})' | FileCheck %s --check-prefix=TABLE
// RUN: tenon-opt %s -pass-pipeline='builtin.module(choose-schedules{architectures=sm_90a})' -remark-format=emitRemark -remarks-filter=choose-schedules 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK
// RUN: sed s/1024/28672/g %s | tenon-opt -pass-pipeline='builtin.module(choose-schedules{architectures=sm_90a})' | FileCheck %s --check-prefix=WIDE
// RUN: sed s/1024/14336/g %s | tenon-opt -pass-pipeline='builtin.module(choose-schedules{architectures=sm_90a})' | FileCheck %s --check-prefix=HALVES
// RUN: sed s/1024/4096/g %s | tenon-opt -pass-pipeline='builtin.module(choose-schedules{architectures=sm_90a})' | FileCheck %s --check-prefix=BOTH
// RUN: sed s/1024/2048/g %s | tenon-opt -pass-pipeline='builtin.module(choose-schedules{architectures=sm_90a})' | FileCheck %s --check-prefix=FOUR
// RUN: sed 's/512/8192/g; s/1024/2048/g' %s | tenon-opt -pass-pipeline='builtin.module(choose-schedules{architectures=sm_90a})' | FileCheck %s --check-prefix=DEEP
// RUN: sed 's/512/2048/g; s/1024/2048/g' %s | tenon-opt -pass-pipeline='builtin.module(choose-schedules{architectures=sm_90a})' | FileCheck %s --check-prefix=WHOLE
// RUN: sed 's/512/8192/g; s/1024/28672/g' %s | tenon-opt -pass-pipeline='builtin.module(choose-schedules{architectures=sm_90a})' | FileCheck %s --check-prefix=ENOUGH
// RUN: not tenon-opt %s -pass-pipeline='builtin.module(choose-schedules{architectures=sm_10})' 2>&1 | FileCheck %s --check-prefix=TARGET
// RUN: not tenon-opt %s -pass-pipeline='builtin.module(choose-schedules{table=%t.none})' 2>&1 | FileCheck %s --check-prefix=NONE
// RUN: printf '{"products": [{"architecture": "sm_90a", "type": "bf16", "columns": 1024, "depth": 512, "first": 33, "last": 64, "splits": 3}]}' > %t.wrong
// RUN: not tenon-opt %s -pass-pipeline='builtin.module(choose-schedules{table=%t.wrong})' 2>&1 | FileCheck %s --check-prefix=WRONG

// TARGET: expected choose-schedules with architectures of targets, but got 'sm_10'
// NONE: expected choose-schedules with a table: cannot read '{{.*}}none'
// RUN: printf '{"products": [{"architecture": "sm_90a", "type": "bf16", "columns": 1024, "depth": 512, "first": 33, "last": 64, "splits": 2, "across": 32}]}' > %t.narrow
// RUN: not tenon-opt %s -pass-pipeline='builtin.module(choose-schedules{table=%t.narrow})' 2>&1 | FileCheck %s --check-prefix=WRONG
// WRONG: expected product 0 to have {{.*}}splits of 1, 2, 4 or 8, across of 64 or 128, and together of 1, 2 or 4

// Few rows of a weight with k last are warps'; on Hopper more are turned tiles, whose depth
// four blocks share, and which are halves for so few columns; and from 65 on tiles by tensor
// maps, wide where there is one for each multiprocessor.
// CHECK-LABEL: kernel.func @product
// CHECK-SAME:    sm_80 = [{first = 1 : i64, form = "warps", last = 1 : i64},
// CHECK-SAME:      {first = 2 : i64, form = "warps", last = 8 : i64},
// CHECK-SAME:      {columns = 128 : i64, first = 9 : i64, form = "tiles"}]
// CHECK-SAME:    sm_90a = [{first = 1 : i64, form = "warps", last = 1 : i64},
// CHECK-SAME:      {across = 64 : i64, columns = 32 : i64, first = 2 : i64, form = "turned", last = 32 : i64, splits = 4 : i64},
// CHECK-SAME:      {across = 64 : i64, columns = 64 : i64, first = 33 : i64, form = "turned", last = 64 : i64, splits = 4 : i64},
// CHECK-SAME:      {columns = 256 : i64, first = 65 : i64, form = "mapped", least_tiles = 132 : i64},
// CHECK-SAME:      {columns = 128 : i64, first = 65 : i64, form = "mapped"}]
// Whole tiles where they are enough for the multiprocessors, then halves, then clusters;
// with four blocks in each half of the multiprocessors are enough. Up to 32 rows, without a
// cluster, a block asks for 256 or 512 bytes of each of the weight's rows at a time.
// WIDE-LABEL:  kernel.func @product
// WIDE-SAME:     {columns = 32 : i64, first = 2 : i64, form = "turned", last = 32 : i64, together = 2 : i64},
// WIDE-SAME:     {columns = 64 : i64, first = 33 : i64, form = "turned", last = 64 : i64},
// HALVES-LABEL: kernel.func @product
// HALVES-SAME:   {across = 64 : i64, columns = 32 : i64, first = 2 : i64, form = "turned", last = 32 : i64, together = 4 : i64},
// BOTH-LABEL:  kernel.func @product
// BOTH-SAME:     {across = 64 : i64, columns = 32 : i64, first = 2 : i64, form = "turned", last = 32 : i64, splits = 2 : i64},
// FOUR-LABEL:  kernel.func @product
// FOUR-SAME:     {columns = 32 : i64, first = 2 : i64, form = "turned", last = 32 : i64, splits = 4 : i64},
// A column of little depth is on its way as a whole, of more in rounds, which are longer where
// columns are few; two warps share one then.
// DEEP-LABEL:  kernel.func @product
// DEEP-SAME:     {ahead = 8 : i64, first = 1 : i64, form = "warps", last = 1 : i64, splits = 2 : i64},
// WHOLE-LABEL: kernel.func @product
// WHOLE-SAME:    {ahead = 8 : i64, first = 1 : i64, form = "warps", last = 1 : i64},
// ENOUGH-LABEL: kernel.func @product
// ENOUGH-SAME:   {first = 1 : i64, form = "warps", last = 1 : i64},
// What was measured comes before the model, for those rows alone.
// TABLE-LABEL: kernel.func @product
// TABLE-SAME:    last = 32 : i64, splits = 4 : i64}
// TABLE-SAME:    {across = 64 : i64, columns = 64 : i64, first = 33 : i64, form = "turned", last = 64 : i64, splits = 2 : i64}
// REMARK:      sm_90a: warps for one row; turned of 32 by 64 for 2 to 32 rows, depth in 4; turned of 64 by 64 for 33 to 64 rows, depth in 4; mapped of 256 from 65 rows, from 132 tiles; mapped of 128 from 65 rows
kernel.func @product inputs 2 dims [affine_map<()[s0] -> (s0, 512)>, affine_map<()[s0] -> (1024, 512)>, affine_map<()[s0] -> (s0, 1024)>] {
^bb0(%a: tensor<?x512xbf16>, %b: tensor<1024x512xbf16>, %d: tensor<?x1024xbf16>):
  %n = arith.constant 0 : index
  %r = tensor.dim %a, %n : tensor<?x512xbf16>
  %e = tensor.empty(%r) : tensor<?x1024xf32>
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x1024xf32>) -> tensor<?x1024xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>],
                       iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%a, %b : tensor<?x512xbf16>, tensor<1024x512xbf16>) outs(%f : tensor<?x1024xf32>) {
    ^bb0(%x: bf16, %y: bf16, %z: f32):
      %u = arith.extf %x : bf16 to f32
      %v = arith.extf %y : bf16 to f32
      %p = arith.mulf %u, %v : f32
      %q = arith.addf %z, %p : f32
      linalg.yield %q : f32
  } -> tensor<?x1024xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (m, n)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%s : tensor<?x1024xf32>) outs(%d : tensor<?x1024xbf16>) {
    ^bb0(%x: f32, %o: bf16):
      %t = arith.truncf %x : f32 to bf16
      linalg.yield %t : bf16
  } -> tensor<?x1024xbf16>
  kernel.yield %y : tensor<?x1024xbf16>
}

// Small sizes have small tiles, so that there are many.
// CHECK-LABEL: kernel.func @small
// CHECK-SAME:    sm_80 = [{columns = 64 : i64, form = "tiles"}]
// CHECK-SAME:    sm_90a = [{columns = 64 : i64, form = "tiles"}]
kernel.func @small inputs 2 dims [affine_map<() -> (100, 60)>, affine_map<() -> (60, 200)>, affine_map<() -> (100, 200)>] {
^bb0(%a: tensor<100x60xf32>, %b: tensor<60x200xf32>, %d: tensor<100x200xf32>):
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%d : tensor<100x200xf32>) -> tensor<100x200xf32>
  %y = linalg.matmul ins(%a, %b : tensor<100x60xf32>, tensor<60x200xf32>) outs(%f : tensor<100x200xf32>) -> tensor<100x200xf32>
  kernel.yield %y : tensor<100x200xf32>
}

// A list that is there stays.
// CHECK-LABEL: kernel.func @given
// CHECK-SAME:    schedule {sm_80 = [{form = "flat", threads = 64 : i64}], sm_90a = [{form = "flat", threads = 256 : i64}]}
kernel.func @given inputs 1 dims [affine_map<() -> (4)>, affine_map<() -> (4)>] schedule {sm_80 = [{form = "flat", threads = 64 : i64}]} {
^bb0(%a: tensor<4xf32>, %d: tensor<4xf32>):
  %r = linalg.exp ins(%a : tensor<4xf32>) outs(%d : tensor<4xf32>) -> tensor<4xf32>
  kernel.yield %r : tensor<4xf32>
}

// A product's loops merge where it is looked for; a sum that is none has its own, of which the
// last has no chunks of four.
// CHECK-LABEL: kernel.func @dot
// CHECK-SAME:    sm_90a = [{form = "rows", threads = 128 : i64, together = array<i64: 0>}]
kernel.func @dot inputs 2 dims [affine_map<() -> (3, 6, 6)>, affine_map<() -> (3, 6, 6)>, affine_map<() -> ()>] {
^bb0(%a: tensor<3x6x6xf32>, %b: tensor<3x6x6xf32>, %d: tensor<f32>):
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%d : tensor<f32>) -> tensor<f32>
  %y = linalg.generic {indexing_maps = [affine_map<(i, j, k) -> (i, j, k)>, affine_map<(i, j, k) -> (i, j, k)>, affine_map<(i, j, k) -> ()>],
                       iterator_types = ["reduction", "reduction", "reduction"]}
      ins(%a, %b : tensor<3x6x6xf32>, tensor<3x6x6xf32>) outs(%f : tensor<f32>) {
    ^bb0(%u: f32, %v: f32, %z: f32):
      %p = arith.mulf %u, %v : f32
      %q = arith.addf %z, %p : f32
      linalg.yield %q : f32
  } -> tensor<f32>
  kernel.yield %y : tensor<f32>
}
