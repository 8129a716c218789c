// RUN: tenon-opt %s -split-input-file -verify-diagnostics -pass-pipeline='builtin.module(func.func(onnx-infer-shapes,convert-onnx-to-kernel))' | FileCheck %s

// A tree is walked by a loop that ends at a leaf; leaves are added up by another launch.
// CHECK-LABEL: func @tree
// CHECK:         kernel.launch
// CHECK:           scf.while
// CHECK:         kernel.launch
// CHECK-NOT:       scf.while
// CHECK:           scf.for
func.func @tree(%x: tensor<?x2xf32> {onnx.dims = ["n", ""], onnx.name = "x"}) -> tensor<?x1xf32> {
  %0 = onnx.ml.TreeEnsembleRegressor(%x) {n_targets = 1 : i64, nodes_treeids = array<i64: 0, 0, 0>, nodes_nodeids = array<i64: 0, 1, 2>, nodes_featureids = array<i64: 1, 0, 0>, nodes_modes = ["BRANCH_LEQ", "LEAF", "LEAF"], nodes_values = array<f32: 0.5, 0.0, 0.0>, nodes_truenodeids = array<i64: 1, 0, 0>, nodes_falsenodeids = array<i64: 2, 0, 0>, target_ids = array<i64: 0, 0>, target_nodeids = array<i64: 1, 2>, target_treeids = array<i64: 0, 0>, target_weights = array<f32: 1.0, 2.0>} : (tensor<?x2xf32>) -> tensor<?x1xf32>
  return %0 : tensor<?x1xf32>
}

// -----

// Nodes that are no tree could be walked for ever.
func.func @no_tree(%x: tensor<4x2xf32> {onnx.name = "x"}) -> tensor<4x1xf32> {
  // expected-error @below {{expected trees, but node 1 has 2 parents}}
  %0 = onnx.ml.TreeEnsembleRegressor(%x) {n_targets = 1 : i64, nodes_treeids = array<i64: 0, 0>, nodes_nodeids = array<i64: 0, 1>, nodes_featureids = array<i64: 1, 0>, nodes_modes = ["BRANCH_LEQ", "LEAF"], nodes_values = array<f32: 0.5, 0.0>, nodes_truenodeids = array<i64: 1, 0>, nodes_falsenodeids = array<i64: 1, 0>, target_ids = array<i64: 0>, target_nodeids = array<i64: 1>, target_treeids = array<i64: 0>, target_weights = array<f32: 1.0>} : (tensor<4x2xf32>) -> tensor<4x1xf32>
  return %0 : tensor<4x1xf32>
}

// -----

// Coefficients must be as many as features.
func.func @too_few(%x: tensor<4x3xf32> {onnx.name = "x"}) -> tensor<4x1xf32> {
  // expected-error @below {{expected 1 rows of coefficients as wide as the input, but got 2 coefficients}}
  %0 = onnx.ml.LinearRegressor(%x) {targets = 1 : i64, coefficients = array<f32: 1.0, 2.0>} : (tensor<4x3xf32>) -> tensor<4x1xf32>
  return %0 : tensor<4x1xf32>
}

// -----

// A node that is reached twice could be walked for ever.
func.func @tensor_trees(%x: tensor<4x2xf32> {onnx.name = "x"}) -> tensor<4x1xf32> {
  // expected-error @below {{expected trees, but node 0 is reached in 2 ways}}
  %0 = onnx.ml.TreeEnsemble(%x) {n_targets = 1 : i64, tree_roots = array<i64: 0>, nodes_featureids = array<i64: 0>, nodes_modes = dense<0> : tensor<1xui8>, nodes_splits = dense<0.5> : tensor<1xf32>, nodes_truenodeids = array<i64: 0>, nodes_trueleafs = array<i64: 0>, nodes_falsenodeids = array<i64: 0>, nodes_falseleafs = array<i64: 1>, leaf_targetids = array<i64: 0>, leaf_weights = dense<1.0> : tensor<1xf32>} : (tensor<4x2xf32>) -> tensor<4x1xf32>
  return %0 : tensor<4x1xf32>
}

// -----

// Each node that looks for a value in a set has one.
func.func @tensor_tree_without_members(%x: tensor<4x2xf32> {onnx.name = "x"}) -> tensor<4x1xf32> {
  // expected-error @below {{expected a set, ended by NaN, in 'membership_values' for each of 1 nodes, but got 0}}
  %0 = onnx.ml.TreeEnsemble(%x) {n_targets = 1 : i64, tree_roots = array<i64: 0>, nodes_featureids = array<i64: 0>, nodes_modes = dense<6> : tensor<1xui8>, nodes_splits = dense<0.5> : tensor<1xf32>, nodes_truenodeids = array<i64: 0>, nodes_trueleafs = array<i64: 1>, nodes_falsenodeids = array<i64: 0>, nodes_falseleafs = array<i64: 1>, leaf_targetids = array<i64: 0>, leaf_weights = dense<1.0> : tensor<1xf32>} : (tensor<4x2xf32>) -> tensor<4x1xf32>
  return %0 : tensor<4x1xf32>
}

// -----

// N-grams are counted by loops over skips and places; each has its column.
// CHECK-LABEL: func @grams
// CHECK:         kernel.launch
// CHECK:           arith.cmpi eq
func.func @grams(%x: tensor<?x6xi32> {onnx.dims = ["n", ""], onnx.name = "x"}) -> tensor<?x2xf32> {
  %0 = onnx.TfIdfVectorizer(%x) {mode = "TF", min_gram_length = 1 : i64, max_gram_length = 2 : i64, max_skip_count = 1 : i64, ngram_counts = array<i64: 0, 1>, ngram_indexes = array<i64: 1, 0>, pool_int64s = array<i64: 7, 8, 9>} : (tensor<?x6xi32>) -> tensor<?x2xf32>
  return %0 : tensor<?x2xf32>
}

// -----

// Where n-grams of a length begin must lie within the pool.
func.func @grams_beyond(%x: tensor<6xi32> {onnx.name = "x"}) -> tensor<2xf32> {
  // expected-error @below {{expected 'ngram_counts' that rise from 0 to 3, but got 0 and 4}}
  %0 = onnx.TfIdfVectorizer(%x) {mode = "TF", min_gram_length = 1 : i64, max_gram_length = 2 : i64, max_skip_count = 0 : i64, ngram_counts = array<i64: 0, 4>, ngram_indexes = array<i64: 1, 0>, pool_int64s = array<i64: 7, 8, 9>} : (tensor<6xi32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}

// -----

// Keys are looked through; those of floats may be no numbers.
// CHECK-LABEL: func @labels
// CHECK:         kernel.launch
// CHECK:           scf.for
// CHECK:             arith.cmpf oeq
// CHECK:             arith.cmpf une
// CHECK:             arith.select
func.func @labels(%x: tensor<?xf32> {onnx.dims = ["n"], onnx.name = "x"}) -> tensor<?xi64> {
  %0 = onnx.ml.LabelEncoder(%x) {keys_floats = array<f32: 0.5, 1.5>, values_int64s = array<i64: 7, 9>, default_int64 = -1 : i64, default_float = -0.0 : f32, default_string = "_Unused"} : (tensor<?xf32>) -> tensor<?xi64>
  return %0 : tensor<?xi64>
}

// -----

// Keys of another kind are refused.
func.func @words(%x: tensor<?xi64> {onnx.dims = ["n"], onnx.name = "x"}) -> tensor<?xi64> {
  // expected-error @below {{expected keys and values in lists of floats or integers, but got others}}
  %0 = onnx.ml.LabelEncoder(%x) {keys_strings = ["a"], values_int64s = array<i64: 7>, default_int64 = -1 : i64, default_float = -0.0 : f32, default_string = "_Unused"} : (tensor<?xi64>) -> tensor<?xi64>
  return %0 : tensor<?xi64>
}

// -----

// A key for each value.
func.func @missing_value(%x: tensor<?xi64> {onnx.dims = ["n"], onnx.name = "x"}) -> tensor<?xi64> {
  // expected-error @below {{expected keys of the input's type, and as many values, but got others}}
  %0 = onnx.ml.LabelEncoder(%x) {keys_int64s = array<i64: 1, 2>, values_int64s = array<i64: 7>, default_int64 = -1 : i64, default_float = -0.0 : f32, default_string = "_Unused"} : (tensor<?xi64>) -> tensor<?xi64>
  return %0 : tensor<?xi64>
}

// -----

// Categories get a last axis.
// CHECK-LABEL: func @one_hot
// CHECK:         kernel.launch
// CHECK-SAME:    -> tensor<?x2x3xf32>
func.func @one_hot(%x: tensor<?x2xf32> {onnx.dims = ["n", ""], onnx.name = "x"}) -> tensor<?x2x3xf32> {
  %0 = onnx.ml.OneHotEncoder(%x) {cats_int64s = array<i64: 4, 5, 6>, zeros = 1 : i64} : (tensor<?x2xf32>) -> tensor<?x2x3xf32>
  return %0 : tensor<?x2x3xf32>
}

// -----

// With zeros = 0 what has no category is an error, which a kernel cannot tell.
func.func @no_zeros(%x: tensor<?x2xf32> {onnx.dims = ["n", ""], onnx.name = "x"}) -> tensor<?x2x3xf32> {
  // expected-error @below {{expected 'zeros' of 1, but got 0}}
  %0 = onnx.ml.OneHotEncoder(%x) {cats_int64s = array<i64: 4, 5, 6>, zeros = 0 : i64} : (tensor<?x2xf32>) -> tensor<?x2x3xf32>
  return %0 : tensor<?x2x3xf32>
}
