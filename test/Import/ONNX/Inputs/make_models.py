"""Writes DIR/NAME.onnx for each model in ONNX's text form in a test file; a line
`// MODEL: NAME` begins one. Usage: make_models.py TEST.onnxtxt DIR"""
import os
import re
import sys

import onnx.parser

test, folder = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
with open(test) as file:
    sections = re.split(r"^// MODEL: (\S+)\n", file.read(), flags=re.M)[1:]
for name, text in zip(sections[::2], sections[1::2]):
    text = re.sub(r"^//.*\n", "", text, flags=re.M)
    with open(os.path.join(folder, name + ".onnx"), "wb") as out:
        out.write(onnx.parser.parse_model(text).SerializeToString())
