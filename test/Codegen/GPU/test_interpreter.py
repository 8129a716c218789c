# RUN: %python %s
# What the interpreter refuses, and semantics of instructions that are easily got wrong.
import numpy as np

import ptx

MODULE = """
.version 7.1
.target sm_80
.visible .entry k(.param .u64 k_param_0, .param .u64 k_param_1)
.maxntid 64
{
  .reg .pred %p<9>;
  .shared .align 16 .b8 room[64];
  ld.param.b64 %rd0, [k_param_0];
  ld.param.b64 %rd1, [k_param_1];
  mov.u32 %r0, %tid.x;
  mul.wide.u32 %rd2, %r0, 4;
  add.s64 %rd3, %rd0, %rd2;
  add.s64 %rd4, %rd1, %rd2;
  setp.lt.u32 %p1, %r0, 16;
  BODY
  ret;
}
"""


def run(body, x=None, parameters=None, blocks=1):
    """What the body stores at %rd4, a word for each of 64 threads; %rd3 has the inputs."""
    memory = ptx.Memory(1 << 40, kinds=2)
    source = memory.add("x", np.arange(64, dtype=np.uint32) if x is None else x, writable=False)
    target = memory.add_garbage("y", 4 * 64)
    function = ptx.parse(MODULE.replace("BODY", body))["k"]
    for block in range(blocks):
        ptx.Block(function, memory, parameters or [source, target], block, 0).run()
    return memory.contents(target).view(np.uint32)


def refuses(error, part, body, **options):
    try:
        run(body, **options)
    except error as found:
        assert part in str(found), f"expected '{part}' in '{found}'"
    else:
        raise AssertionError(f"expected {error.__name__} of '{body}', but got none")


def unary(code, x, dtype=np.uint32):
    """`code` makes %r2 of %r1."""
    x = np.resize(np.asarray(x, None if isinstance(x, np.ndarray) else np.uint32), 64)
    return run(f"ld.global.b32 %r1, [%rd3]; {code}; st.global.b32 [%rd4], %r2;", x).view(dtype)


def test_refusals():
    """Each is silent, or undefined, on a GPU."""
    unknown = ptx.UnknownInstruction
    refuses(unknown, "sin.approx.f32", "sin.approx.f32 %r1, %r0;")
    refuses(unknown, "add.sat.s32", "add.sat.s32 %r1, %r0, %r0;")
    refuses(unknown, "bar.sync", "bar.sync 1;")
    inside = ptx.AccessError
    refuses(inside, "of 'y', which has 256", "st.global.b32 [%rd4+4], %r0;")
    refuses(inside, "before all", "ld.global.b32 %r1, [%rd3+-4];")
    refuses(inside, "of 'x', which has 256", "ld.global.b32 %r1, [%rd3+4];")
    refuses(inside, "no operand written", "st.global.b32 [%rd3], %r0;")
    refuses(inside, "that 8 divides", "ld.global.v2.b32 {%r1, %r2}, [%rd3];")
    refuses(inside, "'room'", "mov.b64 %rd5, room; st.shared.b32 [%rd5+64], %r0;")
    broken = ptx.ExecutionError
    refuses(broken, "all threads of a warp", "@%p1 bar.sync 0;")
    refuses(broken, "all threads of a warp", "@%p1 shfl.sync.bfly.b32 %r1, %r0, 1, 31, -1;")
    refuses(broken, "one barrier", "setp.lt.u32 %p2, %r0, 32; @%p2 bra $L; bar.sync 0; ret; "
            "$L: bar.sync 0;")
    refuses(broken, "2 parameters", "ret;", parameters=[1])


def test_garbage():
    """Memory that nobody wrote is NaN; so are registers, and what other threads have."""
    assert np.isnan(run("").view(np.float32)).all()
    assert np.isnan(run("mov.b64 %rd5, room; ld.shared.b32 %r1, [%rd5]; "
                        "st.global.b32 [%rd4], %r1;").view(np.float32)).all()
    got = run("@%p1 st.global.b32 [%rd4], %r0;")
    assert (got[:16] == np.arange(16)).all() and (got[16:] == 0xFFFFFFFF).all()


def test_threads_meet_again():
    """Both sides of a branch run; then all threads pass a barrier and a shuffle."""
    got = run("mov.b32 %r1, 5; @%p1 bra $L; mov.b32 %r1, 7; $L: bar.sync 0; "
              "shfl.sync.bfly.b32 %r2, %r1, 16, 31, -1; st.global.b32 [%rd4], %r2;")
    want = np.where(np.arange(64) < 16, 5, 7)[np.arange(64) ^ 16]
    assert (got == want).all()


def test_integers():
    signed = np.array([7, -7, 6, -6], np.int32)
    assert (unary("div.s32 %r2, %r1, 2", signed, np.int32)[:4] == [3, -3, 3, -3]).all()
    assert (unary("rem.s32 %r2, %r1, 4", signed, np.int32)[:4] == [3, -3, 2, -2]).all()
    assert (unary("shl.b32 %r2, %r1, 32", signed) == 0).all()
    assert (unary("shr.s32 %r2, %r1, 40", signed, np.int32)[:2] == [0, -1]).all()
    assert (unary("mul.hi.u32 %r2, %r1, -1", [3, 0], np.uint32)[:2] == [2, 0]).all()
    assert (unary("bfe.u32 %r2, %r1, 4, 8", [0x12345]) == 0x34).all()
    assert (unary("bfe.s32 %r2, %r1, 4, 8", [0x12C45, 0x345], np.int32)[:2] == [-60, 52]).all()
    assert (unary("bfe.u32 %r2, %r1, 28, 8", [0xF0000000]) == 15).all()
    assert (unary("prmt.b32 %r2, %r1, 0, 0x7770U", [0x80]) == 0x80).all()
    assert (unary("cvt.s32.s8 %r2, %r1", [0x80], np.int32) == -128).all()


def test_floats():
    x = np.array([np.nan, 2.5, -3.5, 1e30], np.float32)
    assert np.isnan(unary("max.NaN.f32 %r2, %r1, 0f00000000", x, np.float32)[0])
    assert unary("max.f32 %r2, %r1, 0f00000000", x, np.float32)[0] == 0
    assert (unary("cvt.rni.s32.f32 %r2, %r1", x, np.int32)[:4] == [0, 2, -4, 2**31 - 1]).all()
    for relation, with_nan in (("lt", 0), ("ltu", 1), ("ne", 0), ("neu", 1), ("nan", 1)):
        code = f"setp.{relation}.f32 %p2, %r1, %r1; selp.b32 %r2, 1, 0, %p2"
        assert (unary(code, x)[0] == with_nan).all(), relation
    assert (unary("copysign.f32 %r2, %r1, 0f3F800000", x, np.float32)[1:3] == [1, -1]).all()
    two = np.array([2], np.float32)
    rounded = unary("cvt.rna.tf32.f32 %r2, %r1", np.array([1 + 2**-11, -1 - 2**-12], np.float32),
                    np.float32)
    assert (rounded[:2] == [1 + 2**-10, -1]).all()  # ties go away from zero
    halves = unary("cvt.rn.f16x2.f32 %r2, 0f3F800000, %r1", two).view(np.float16)
    assert halves[0] == 2 and halves[1] == 1


def test_copies_arrive_when_waited_for():
    copy = ("mov.b64 %rd5, room; cvt.u32.u64 %r5, %rd5; setp.ne.b32 %p2, %r0, 0; @%p2 bra $L; "
            "cp.async.cg.shared.global [%r5], [%rd0], 16, 8; cp.async.commit_group; WAIT "
            "$L: bar.sync 0; shr.u64 %rd6, %rd2, 4; ld.shared.v4.b32 {%r1, %r2, %r3, %r4}, [%rd5];"
            "st.global.b32 [%rd4], RESULT;")
    early = copy.replace("WAIT", "cp.async.wait_group 1;").replace("RESULT", "%r2")
    refuses(ptx.RaceError, "a copy is about to write", early)
    for register, want in (("%r2", 1), ("%r3", 0)):  # 8 bytes are read, the rest is zero
        waited = copy.replace("WAIT", "cp.async.wait_group 0;").replace("RESULT", register)
        assert (run(waited) == want).all()


def test_every_block_waits_for_the_launch_before():
    code = ("griddepcontrol.launch_dependents; setp.lt.u32 %p2, %r0, LEAST; @%p2 bra $L; "
            "griddepcontrol.wait; $L: ret;")
    run(code.replace("LEAST", "63"))  # one thread does: the block ends no sooner
    refuses(ptx.ExecutionError, "expected every block to wait", code.replace("LEAST", "64"))


def test_races():
    """Warps that share memory need a barrier between a write and all else; blocks have none."""
    store, load = "st.shared.b32 [%rd5], %r0;", "ld.shared.b32 %r1, [%rd5];"
    first = "mov.b64 %rd5, room; setp.ne.b32 %p2, %r0, 0; @!%p2 "
    last = "setp.ne.b32 %p3, %r0, 63; @!%p3 "
    assert (run(f"{first}{store} bar.sync 0; {load} st.global.b32 [%rd4], %r1;") == 0).all()
    race = ptx.RaceError
    refuses(race, "others have written", f"{first}{store} {last}{load}")
    refuses(race, "others have read", f"{first}{load} {last}{store}")
    refuses(race, "others have read", f"mov.b64 %rd5, room; {load} {last}{store}")
    refuses(race, "others write too", f"mov.b64 %rd5, room; {store}")
    refuses(race, "others have written", "st.global.b32 [%rd4], %r0;", blocks=2)
    refuses(race, "others have written", f"{first}st.global.b32 [%rd1], %r0;"
            "ld.global.b32 %r1, [%rd1];")


def main():
    tests = [test for name, test in globals().items() if name.startswith("test_")]
    for test in tests:
        test()
    print(f"{len(tests)} passed, 0 failed")


if __name__ == "__main__":
    main()
