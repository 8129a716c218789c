# Compiles kernels with tenon-kernel-test and calls them through ctypes, each
# result filled with a pattern beforehand and followed by a guard.
import ctypes, json, os, subprocess, tempfile

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
TOOL = os.environ.get("TENON_KERNEL_TEST") or os.path.join(ROOT, "build", "bin", "tenon-kernel-test")
GUARD = 256


def aligned(nbytes, fill=0xA5):
    raw = np.full(nbytes + GUARD + 64, fill, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start:start + nbytes + GUARD]


def native_targets():
    flags = open("/proc/cpuinfo").read()
    return ["x86-64-v3"] + (["x86-64-v4"] if "avx512vl" in flags else [])


class Size(int):
    """An integer for which a @ b is a / b rounded up."""
    def __matmul__(self, other):
        return Size(-(-int(self) // int(other)))


for _name in ("__add__", "__mul__", "__floordiv__", "__mod__", "__radd__", "__rmul__"):
    setattr(Size, _name, lambda self, other, _f=getattr(int, _name): Size(_f(int(self), int(other))))


class Kernels:
    def __init__(self, mlir, targets=None):
        self.folder = tempfile.TemporaryDirectory()
        source = os.path.join(self.folder.name, "in.mlir")
        open(source, "w").write(mlir)
        output = os.path.join(self.folder.name, "out")
        targets = targets or native_targets()
        arguments = targets if len(targets) == 1 else []
        done = subprocess.run([TOOL, source, output] + arguments, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr[:4000])
        self.log = done.stdout
        self.info = json.load(open(output + ".json"))
        self.libraries = {t: ctypes.CDLL(f"{output}.{t}.so") for t in targets}

    def size(self, expr, symbols):
        names = {f"s{i}": Size(s) for i, s in enumerate(symbols)}
        return int(eval(expr, {}, names))

    def bind(self, target, name, inputs, results, symbols=(), split=3):
        """A call that runs the kernel in `split` pieces, and its buffers."""
        info = self.info[name]
        function = getattr(self.libraries[target], info["symbol"])
        function.restype = None
        buffers = []
        for array in inputs:
            array = np.ascontiguousarray(array)
            buffer = aligned(array.nbytes)
            buffer[:array.nbytes] = array.reshape(-1).view(np.uint8)
            buffers.append(buffer)
        for shape, dtype in results:
            buffers.append(aligned(int(np.prod(shape)) * np.dtype(dtype).itemsize))
        pointers = (ctypes.c_void_p * max(1, len(buffers)))(*[b.ctypes.data for b in buffers])
        values = (ctypes.c_int64 * max(1, len(symbols)))(*symbols)
        grid = self.size(info["grid"], symbols)
        work = aligned(self.size(info["workspace"], symbols), 0xEE)
        split = max(1, min(split, grid))
        bounds = [grid * i // split for i in range(split + 1)]
        address = ctypes.c_void_p(work.ctypes.data)

        def call():
            for low, high in zip(bounds, bounds[1:]):
                function(pointers, values, ctypes.c_int64(low), ctypes.c_int64(high), address)
        return call, buffers, work

    def run(self, target, name, inputs, results, symbols=(), split=3):
        call, buffers, work = self.bind(target, name, inputs, results, symbols, split)
        call()
        assert (work[-GUARD:] == 0xEE).all(), f"{name}: wrote past its workspace"
        outputs = []
        for buffer, (shape, dtype) in zip(buffers[len(inputs):], results):
            assert (buffer[-GUARD:] == 0xA5).all(), f"{name}: wrote past a result"
            outputs.append(buffer[:-GUARD].view(dtype).reshape(shape).copy())
        return outputs


def ulps(got, want):
    """Largest distance in units of the last place; NaN must meet NaN."""
    got, want = np.asarray(got), np.asarray(want).astype(got.dtype)
    assert (np.isnan(got) == np.isnan(want)).all(), "NaN differs"
    ok = ~np.isnan(want)
    integer = {2: np.int16, 4: np.int32, 8: np.int64}[got.dtype.itemsize]

    def order(x):
        i = x[ok].view(integer).astype(np.float64) if got.dtype.itemsize < 8 else x[ok].view(integer).astype(np.longdouble)
        return np.where(i < 0, -(i + (np.longdouble(2) ** (8 * got.dtype.itemsize - 1))), i)
    return float(np.abs(order(got) - order(want)).max(initial=0))
