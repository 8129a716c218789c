// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(convert-float{to=bf16})' | FileCheck %s
// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(convert-float{to=f16})' 2>/dev/null | FileCheck %s --check-prefix=F16
// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(convert-float{to=f16 interface=true keep=Softmax})' 2>/dev/null | FileCheck %s --check-prefix=BOTH
// RUN: tenon-opt %s -split-input-file -pass-pipeline='builtin.module(convert-float{to=f16 keep=Softmax})' -remark-format=emitRemark -remarks-filter=convert-float 2>&1 >/dev/null | FileCheck %s --check-prefix=REMARK
// RUN: not tenon-opt %s -pass-pipeline='builtin.module(convert-float{to=f8})' 2>&1 | FileCheck %s --check-prefix=TO
// RUN: not tenon-opt %s -pass-pipeline='builtin.module(convert-float{keep=Sofmax})' 2>&1 | FileCheck %s --check-prefix=KEEP

// TO: expected convert-float to f16 or bf16, but got 'f8'
// KEEP: expected convert-float to keep operators of ONNX, but got 'Sofmax'

// Inputs and outputs stay f32, or are converted too; the file becomes new enough.
// CHECK:       module attributes {onnx.ir_version = 7 : i64, onnx.opset = 13 : i64}
// CHECK-LABEL: func @product(%arg0: tensor<3x2xf32>) -> tensor<3x2xf32>
// CHECK:         %[[X:.*]] = onnx.Cast(%arg0) {{.*}}to = 16 : i64} : (tensor<3x2xf32>) -> tensor<3x2xbf16>
// CHECK:         %[[W:.*]] = onnx.Constant {value = dense<1.000000e+00> : tensor<2x2xbf16>} : tensor<2x2xbf16>
// CHECK:         %[[Y:.*]] = onnx.MatMul(%[[X]], %[[W]]) : (tensor<3x2xbf16>, tensor<2x2xbf16>) -> tensor<3x2xbf16>
// CHECK:         %[[WIDE:.*]] = onnx.Cast(%[[Y]]) {{.*}}to = 1 : i64}
// CHECK-NOT:     onnx.Constant
// CHECK:         return %[[WIDE]] : tensor<3x2xf32>
// BOTH-LABEL:  func @product(%arg0: tensor<3x2xf16>) -> tensor<3x2xf16>
// BOTH-NOT:      onnx.Cast
// BOTH:          return %{{.*}} : tensor<3x2xf16>
module attributes {onnx.opset = 12 : i64, onnx.ir_version = 6 : i64} {
  func.func @product(%x: tensor<3x2xf32>) -> tensor<3x2xf32> {
    %w = onnx.Constant {value = dense<1.0> : tensor<2x2xf32>} : tensor<2x2xf32>
    %y = onnx.MatMul(%x, %w) : (tensor<3x2xf32>, tensor<2x2xf32>) -> tensor<3x2xf32>
    return %y : tensor<3x2xf32>
  }
}

// -----

// Of f16, a finite number beyond the range becomes its end; infinities and NaN stay.
// In bf16 such a number is within the range. A constant of few bits rounds to even.
// F16-LABEL:   func @range
// F16:           onnx.Constant {value = dense<[6.550400e+04, -6.550400e+04, 0x7C00, 0x7E00, 1.000000e+00]> : tensor<5xf16>}
// CHECK-LABEL: func @range
// CHECK:         onnx.Constant {value = dense<[9.984000e+04, -9.984000e+04, 0x7F80, 0x7FC0, 1.000000e+00]> : tensor<5xbf16>}
// REMARK:      warning: {{.*}}'far': 2 of 5 elements beyond the range of f16 became its end, 6.550E+04
func.func @range(%x: tensor<5xf32>) -> tensor<5xf32> {
  %w = onnx.Constant {value = dense<[1.0e5, -1.0e5, 0x7F800000, 0x7FC00000, 1.0001]> : tensor<5xf32>} : tensor<5xf32> loc("far")
  %y = onnx.Add(%x, %w) : (tensor<5xf32>, tensor<5xf32>) -> tensor<5xf32>
  return %y : tensor<5xf32>
}

// -----

// The angles of positions are calculated in f32, their sines are rounded.
// CHECK-LABEL: func @positions
// CHECK:         %[[P:.*]] = onnx.Cast(%arg0) {{.*}}to = 1 : i64} : (tensor<4xi64>) -> tensor<4xf32>
// CHECK:         %[[ANGLE:.*]] = onnx.Mul(%[[P]], %{{.*}}) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
// CHECK:         %[[SINE:.*]] = onnx.Sin(%[[ANGLE]]) : (tensor<4xf32>) -> tensor<4xf32>
// CHECK:         %[[S:.*]] = onnx.Cast(%[[SINE]]) {{.*}}to = 16 : i64}
// CHECK:         onnx.Mul(%{{.*}}, %[[S]]) : (tensor<4xbf16>, tensor<4xbf16>) -> tensor<4xbf16>
func.func @positions(%p: tensor<4xi64>, %x: tensor<4xf32>) -> tensor<4xf32> {
  %f = onnx.Constant {value = dense<[1.0, 0.1, 0.01, 0.001]> : tensor<4xf32>} : tensor<4xf32>
  %0 = onnx.Cast(%p) {to = 1 : i64} : (tensor<4xi64>) -> tensor<4xf32>
  %1 = onnx.Mul(%0, %f) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %2 = onnx.Sin(%1) : (tensor<4xf32>) -> tensor<4xf32>
  %3 = onnx.Mul(%x, %2) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %3 : tensor<4xf32>
}

// -----

// Bytes of an image are no positions: what reads them is converted.
// CHECK-LABEL: func @image
// CHECK:         onnx.Cast(%arg0) {{.*}}to = 16 : i64} : (tensor<4xui8>) -> tensor<4xbf16>
// CHECK:         onnx.Mul({{.*}}) : (tensor<4xbf16>, tensor<bf16>) -> tensor<4xbf16>
func.func @image(%p: tensor<4xui8>) -> tensor<4xf32> {
  %f = onnx.Constant {value = dense<0.5> : tensor<f32>} : tensor<f32>
  %0 = onnx.Cast(%p) {to = 1 : i64} : (tensor<4xui8>) -> tensor<4xf32>
  %1 = onnx.Mul(%0, %f) : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// A mask stays f32 and is cut to the range where it meets the scores.
// CHECK-LABEL: func @mask
// CHECK:         %[[M:.*]] = onnx.Mul({{.*}}) : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
// CHECK:         %[[CUT:.*]] = onnx.Clip(%[[M]], %{{.*}}, %{{.*}})
// CHECK:         %[[HALF:.*]] = onnx.Cast(%[[CUT]]) {{.*}}to = 16 : i64}
// CHECK:         onnx.Add(%{{.*}}, %[[HALF]])
func.func @mask(%p: tensor<4xi1>, %x: tensor<4xf32>) -> tensor<4xf32> {
  %lowest = onnx.Constant {value = dense<0xFF7FFFFF> : tensor<f32>} : tensor<f32>
  %0 = onnx.Cast(%p) {to = 1 : i64} : (tensor<4xi1>) -> tensor<4xf32>
  %1 = onnx.Mul(%0, %lowest) : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %2 = onnx.Add(%x, %1) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %2 : tensor<4xf32>
}

// -----

// The statistics of a norm in primitives stay f32, its quotient does not.
// CHECK-LABEL: func @norm
// CHECK:         onnx.Pow(%arg0, %{{.*}}) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
// CHECK:         onnx.ReduceMean({{.*}}) {{.*}} -> tensor<2x1xf32>
// CHECK:         onnx.Add({{.*}}) : (tensor<2x1xf32>, tensor<f32>) -> tensor<2x1xf32>
// CHECK:         %[[ROOT:.*]] = onnx.Sqrt({{.*}}) : (tensor<2x1xf32>) -> tensor<2x1xf32>
// CHECK:         onnx.Cast(%[[ROOT]]) {{.*}}to = 16 : i64}
// CHECK:         onnx.Div({{.*}}) : (tensor<2x4xbf16>, tensor<2x1xbf16>) -> tensor<2x4xbf16>
func.func @norm(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %two = onnx.Constant {value = dense<2.0> : tensor<f32>} : tensor<f32>
  %epsilon = onnx.Constant {value = dense<1.0e-5> : tensor<f32>} : tensor<f32>
  %last = onnx.Constant {value = dense<-1> : tensor<1xi64>} : tensor<1xi64>
  %0 = onnx.Pow(%x, %two) : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  %1 = onnx.ReduceMean(%0, %last) {keepdims = 1 : i64} : (tensor<2x4xf32>, tensor<1xi64>) -> tensor<2x1xf32>
  %2 = onnx.Add(%1, %epsilon) : (tensor<2x1xf32>, tensor<f32>) -> tensor<2x1xf32>
  %3 = onnx.Sqrt(%2) : (tensor<2x1xf32>) -> tensor<2x1xf32>
  %4 = onnx.Div(%x, %3) : (tensor<2x4xf32>, tensor<2x1xf32>) -> tensor<2x4xf32>
  return %4 : tensor<2x4xf32>
}

// -----

// What reads a large constant is data, whatever else it reads.
// CHECK-LABEL: func @learnt_positions
// CHECK:         onnx.MatMul({{.*}}) : (tensor<1x64xbf16>, tensor<64x64xbf16>) -> tensor<1x64xbf16>
func.func @learnt_positions(%p: tensor<1x64xi64>) -> tensor<1x64xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<64x64xf32>} : tensor<64x64xf32>
  %0 = onnx.Cast(%p) {to = 1 : i64} : (tensor<1x64xi64>) -> tensor<1x64xf32>
  %1 = onnx.MatMul(%0, %w) : (tensor<1x64xf32>, tensor<64x64xf32>) -> tensor<1x64xf32>
  return %1 : tensor<1x64xf32>
}

// -----

// An operator without 16 bits is enclosed by casts.
// CHECK-LABEL: func @without
// CHECK:         %[[N:.*]] = onnx.Neg(%{{.*}}) : (tensor<2xbf16>) -> tensor<2xbf16>
// CHECK:         %[[WIDE:.*]] = onnx.Cast(%[[N]]) {{.*}}to = 1 : i64}
// CHECK:         %[[Y:.*]], %{{.*}}, %{{.*}} = onnx.DynamicQuantizeLinear(%[[WIDE]]) : (tensor<2xf32>) -> (tensor<2xui8>, tensor<f32>, tensor<ui8>)
// REMARK:      DynamicQuantizeLinear stays f32: its element types do not allow it
func.func @without(%x: tensor<2xf32>) -> (tensor<2xui8>, tensor<f32>) {
  %0 = onnx.Neg(%x) : (tensor<2xf32>) -> tensor<2xf32>
  %1:3 = onnx.DynamicQuantizeLinear(%0) : (tensor<2xf32>) -> (tensor<2xui8>, tensor<f32>, tensor<ui8>)
  return %1#0, %1#1 : tensor<2xui8>, tensor<f32>
}

// -----

// An operator that an option names stays; f16 alone suits Shrink.
// CHECK-LABEL: func @named
// CHECK:         onnx.Softmax({{.*}}) {{.*}} -> tensor<2xbf16>
// CHECK:         onnx.Shrink({{.*}}) {{.*}} -> tensor<2xf32>
// BOTH-LABEL:  func @named
// BOTH:          onnx.Softmax({{.*}}) {{.*}} -> tensor<2xf32>
// BOTH:          onnx.Shrink({{.*}}) {{.*}} -> tensor<2xf16>
// REMARK:      Softmax stays f32: an option names it
func.func @named(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = onnx.Softmax(%x) : (tensor<2xf32>) -> tensor<2xf32>
  %1 = onnx.Shrink(%0) : (tensor<2xf32>) -> tensor<2xf32>
  return %1 : tensor<2xf32>
}

// -----

// A weight that is turned is rounded before; its readers of f32 keep the old one.
// CHECK-LABEL: func @turned
// CHECK:         %[[W:.*]] = onnx.Constant {{.*}} : tensor<2x3xbf16>
// CHECK:         %[[T:.*]] = onnx.Transpose(%[[W]]) {{.*}} -> tensor<3x2xbf16>
// CHECK:         onnx.MatMul({{.*}}, %[[T]])
func.func @turned(%x: tensor<4x3xf32>) -> tensor<4x2xf32> {
  %w = onnx.Constant {value = dense<1.0> : tensor<2x3xf32>} : tensor<2x3xf32>
  %t = onnx.Transpose(%w) {perm = array<i64: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %y = onnx.MatMul(%x, %t) : (tensor<4x3xf32>, tensor<3x2xf32>) -> tensor<4x2xf32>
  return %y : tensor<4x2xf32>
}

// -----

// Branches are converted within, and yield f32.
// CHECK-LABEL: func @branches
// CHECK:         onnx.If(%arg0) : (tensor<i1>) -> tensor<2xf32>
// CHECK:         %[[A:.*]] = onnx.Abs(%{{.*}}) : (tensor<2xbf16>) -> tensor<2xbf16>
// CHECK:         %[[WIDE:.*]] = onnx.Cast(%[[A]]) {{.*}}to = 1 : i64}
// CHECK:         onnx.Yield %[[WIDE]] : tensor<2xf32>
func.func @branches(%c: tensor<i1>, %x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = onnx.If(%c) : (tensor<i1>) -> tensor<2xf32> {
    onnx.Yield %x : tensor<2xf32>
  }, {
    %1 = onnx.Abs(%x) : (tensor<2xf32>) -> tensor<2xf32>
    onnx.Yield %1 : tensor<2xf32>
  }
  return %0 : tensor<2xf32>
}

// -----

// Integers, and models of other floats, stay as they are.
// CHECK-LABEL: func @others
// CHECK-NOT:     onnx.Cast
// CHECK:         return
func.func @others(%n: tensor<2xi64>, %x: tensor<2xf64>) -> (tensor<2xi64>, tensor<2xf64>) {
  %0 = onnx.Add(%n, %n) : (tensor<2xi64>, tensor<2xi64>) -> tensor<2xi64>
  %1 = onnx.Add(%x, %x) : (tensor<2xf64>, tensor<2xf64>) -> tensor<2xf64>
  return %0, %1 : tensor<2xi64>, tensor<2xf64>
}
