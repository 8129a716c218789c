// RUN: tenon-opt %s -pass-pipeline='builtin.module(choose-schedules{architectures=sm_80})' | FileCheck %s
// RUN: tenon-opt %s -pass-pipeline='builtin.module(choose-schedules{architectures=sm_80})' -remark-format=emitRemark -remarks-filter=choose-schedules 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK
// RUN: sed 's/4096x64/40x64/g; s/(4096, 64)/(40, 64)/g' %s | tenon-opt -pass-pipeline='builtin.module(choose-schedules{architectures=sm_80})' | FileCheck %s --check-prefix=FEW
// RUN: sed 's/x200/x60000/g; s/(s0, 200)/(s0, 60000)/g' %s | tenon-opt -pass-pipeline='builtin.module(choose-schedules{architectures=sm_80})' | FileCheck %s --check-prefix=LONG
// RUN: sed 's/x200/x6000/g; s/(s0, 200)/(s0, 6000)/g' %s | tenon-opt -pass-pipeline='builtin.module(choose-schedules{architectures=sm_80})' | FileCheck %s --check-prefix=BLOCK
// RUN: sed 's/x200/x16/g; s/(s0, 200)/(s0, 16)/g' %s | tenon-opt -pass-pipeline='builtin.module(choose-schedules{architectures=sm_80})' | FileCheck %s --check-prefix=OWN

// Where elements are enough for all threads, one takes 16 bytes of neighbours.
// CHECK-LABEL: kernel.func @exp
// CHECK-SAME:    schedule {sm_80 = [{form = "flat", threads = 256 : i64, width = 4 : i64}]}
// FEW-LABEL:   kernel.func @exp
// FEW-SAME:      schedule {sm_80 = [{form = "flat", threads = 256 : i64}]}
// REMARK:      sm_80: flat, 4 elements at once
kernel.func @exp inputs 1 dims [affine_map<() -> (4096, 64)>, affine_map<() -> (4096, 64)>] {
^bb0(%a: tensor<4096x64xf32>, %d: tensor<4096x64xf32>):
  %r = linalg.exp ins(%a : tensor<4096x64xf32>) outs(%d : tensor<4096x64xf32>) -> tensor<4096x64xf32>
  kernel.yield %r : tensor<4096x64xf32>
}

// A warp holds a short row and sums it; a block has a longer one, and one that no block's
// registers hold is read from memory again. Sums of few elements are a thread's own.
// CHECK-LABEL: kernel.func @share
// CHECK-SAME:    schedule {sm_80 = [{form = "held", rows = 4 : i64, threads = 128 : i64, together = array<i64: 0>, width = 4 : i64}]}
// BLOCK-LABEL: kernel.func @share
// BLOCK-SAME:    schedule {sm_80 = [{form = "held", threads = 768 : i64, together = array<i64: 0>, width = 4 : i64}]}
// LONG-LABEL:  kernel.func @share
// LONG-SAME:     schedule {sm_80 = [{form = "rows", threads = 512 : i64, together = array<i64: 0>}]}
// OWN-LABEL:   kernel.func @share
// OWN-SAME:      schedule {sm_80 = [{form = "flat", threads = 256 : i64}, {form = "flat", threads = 256 : i64, width = 4 : i64}]}
// REMARK:      sm_80: held by 32 threads, 4 elements at once
kernel.func @share inputs 1 dims [affine_map<()[s0] -> (s0, 200)>, affine_map<()[s0] -> (s0, 200)>] {
^bb0(%a: tensor<?x200xf32>, %d: tensor<?x200xf32>):
  %n = arith.constant 0 : index
  %r = tensor.dim %a, %n : tensor<?x200xf32>
  %e = tensor.empty(%r) : tensor<?xf32>
  %zero = arith.constant 0.0 : f32
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?xf32>) -> tensor<?xf32>
  %s = linalg.generic {indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (m)>],
                       iterator_types = ["parallel", "reduction"]}
      ins(%a : tensor<?x200xf32>) outs(%f : tensor<?xf32>) {
    ^bb0(%x: f32, %z: f32):
      %q = arith.addf %z, %x : f32
      linalg.yield %q : f32
  } -> tensor<?xf32>
  %y = linalg.generic {indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (m)>, affine_map<(m, n) -> (m, n)>],
                       iterator_types = ["parallel", "parallel"]}
      ins(%a, %s : tensor<?x200xf32>, tensor<?xf32>) outs(%d : tensor<?x200xf32>) {
    ^bb0(%x: f32, %t: f32, %o: f32):
      %q = arith.divf %x, %t : f32
      linalg.yield %q : f32
  } -> tensor<?x200xf32>
  kernel.yield %y : tensor<?x200xf32>
}
