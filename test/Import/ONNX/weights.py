# Large tensors stay in their files, and a model can name no file outside its folder.
# RUN: rm -rf %t && mkdir -p %t/model %t/outside && %python %s %t
# RUN: tenon-import-test %t/model/inside.onnx | FileCheck %s --check-prefix=INSIDE
# RUN: tenon-import-test %t/model/external.onnx | FileCheck %s --check-prefix=EXTERNAL
# RUN: not tenon-import-test %t/model/parent.onnx 2>&1 | FileCheck %s --check-prefix=PARENT
# RUN: not tenon-import-test %t/model/absolute.onnx 2>&1 | FileCheck %s --check-prefix=ABSOLUTE
# RUN: not tenon-import-test %t/model/link.onnx 2>&1 | FileCheck %s --check-prefix=LINK
# RUN: not tenon-import-test %t/model/short.onnx 2>&1 | FileCheck %s --check-prefix=SHORT
# RUN: not tenon-import-test %t/model/size.onnx 2>&1 | FileCheck %s --check-prefix=SIZE
# RUN: not tenon-import-test %t/model/absent.onnx 2>&1 | FileCheck %s --check-prefix=ABSENT
# RUN: not tenon-import-test %t/model/truncated.onnx 2>&1 | FileCheck %s --check-prefix=TRUNCATED
# RUN: tenon-import-test %t/links/model.onnx | FileCheck %s --check-prefix=EXTERNAL
# RUN: tenon-import-test %t/model/typed.onnx | FileCheck %s --check-prefix=TYPED

# INSIDE: #onnx.stored<"w", "{{.*}}/inside.onnx", [[#]], 4096> : tensor<1024xf32>
# EXTERNAL: #onnx.stored<"w", "{{.*}}/data.bin", 4096, 4096> : tensor<1024xf32>
# PARENT: error: tensor 'w': expected external data in the model's folder, but got location '../outside/data.bin', which contains '..'
# ABSOLUTE: error: tensor 'w': expected external data in the model's folder, but got location '/{{.*}}/data.bin', which is absolute
# LINK: error: tensor 'w': expected external data in the model's folder, but got location 'link.bin', which is a link out of it
# SHORT: error: tensor 'w': expected '{{.*}}data.bin' to have 4096 bytes at offset 8192, but got a file of 8192 bytes
# SIZE: error: tensor 'w': expected 4096 bytes for 'tensor<1024xf32>', but got 100
# ABSENT: error: tensor 'w': cannot open external data '{{.*}}nowhere.bin': No such file or directory
# TRUNCATED: truncated.onnx{{.*}}error: expected a protobuf message, but its bytes are truncated or malformed
# TYPED-DAG: dense<[-8, 7, 1]> : tensor<3xi4>
# TYPED-DAG: dense<[1.000000e+00, -2.000000e+00]> : tensor<2xbf16>
# TYPED-DAG: dense<[true, false]> : tensor<2xi1>
# TYPED-DAG: dense<[200, 3]> : tensor<2xui8>
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

root = sys.argv[1]
folder = os.path.join(root, "model")
for place in ("model", "outside"):
    with open(os.path.join(root, place, "data.bin"), "wb") as file:
        file.write(np.arange(2048, dtype=np.float32).tobytes())
os.symlink("../outside/data.bin", os.path.join(folder, "link.bin"))


def value(name, kind=TensorProto.FLOAT, shape=(1024,)):
    return helper.make_tensor_value_info(name, kind, shape)


def save(name, tensor):
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g",
                              [value("x")], [value("y")], [tensor])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)],
                              ir_version=8)
    with open(os.path.join(folder, name + ".onnx"), "wb") as file:
        file.write(model.SerializeToString())
    return model


def external(name, location, offset=4096, length=4096):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1024],
                         data_location=TensorProto.EXTERNAL)
    for key, text in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(text))
    return save(name, tensor)


# The quantizer of ONNX Runtime writes the default location out.
inside = numpy_helper.from_array(np.ones(1024, np.float32), "w")
inside.data_location = TensorProto.DEFAULT
whole = save("inside", inside).SerializeToString()
with open(os.path.join(folder, "truncated.onnx"), "wb") as file:
    file.write(whole[:-100])
external("external", "data.bin")
external("parent", "../outside/data.bin")
external("absolute", os.path.join(root, "outside/data.bin"))
external("link", "link.bin")
external("short", "data.bin", offset=8192)
external("size", "data.bin", length=100)
external("absent", "nowhere.bin")

# A cache of models keeps links to files in another folder, side by side there.
os.makedirs(os.path.join(root, "links"))
os.symlink("../model/external.onnx", os.path.join(root, "links/model.onnx"))
os.symlink("../model/data.bin", os.path.join(root, "links/data.bin"))

# Values in typed fields, where small elements share an int32.
tensors = [
    TensorProto(name="a", data_type=TensorProto.INT4, dims=[3], int32_data=[0x78, 0x01]),
    TensorProto(name="b", data_type=TensorProto.BFLOAT16, dims=[2],
                int32_data=[0x3f80, 0xc000]),
    TensorProto(name="c", data_type=TensorProto.BOOL, dims=[2], int32_data=[1, 0]),
    TensorProto(name="d", data_type=TensorProto.UINT8, dims=[2], int32_data=[200, 3]),
]
nodes = [helper.make_node("Identity", [t.name], [t.name + "2"]) for t in tensors]
outputs = [value(t.name + "2", t.data_type, list(t.dims)) for t in tensors]
graph = helper.make_graph(nodes, "g", [], outputs, tensors)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
with open(os.path.join(folder, "typed.onnx"), "wb") as file:
    file.write(model.SerializeToString())
