"""What a program sends between devices, read from texts worked out by hand."""

import pytest

from jaxseg.benchmarks.collectives import find_collectives, moved_activations

KINDS = """HloModule step

ENTRY %main (a: f32[8,4]) -> f32[8,4] {
  %a = f32[8,4]{1,0} parameter(0)
  %b = bf16[2,16,16,8]{3,2,1,0} all-gather(%a), dimensions={0}
  %c = (f32[9,4]{1,0}, f32[]) all-reduce(%a, %a), to_apply=%sum
  %e = (f32[4,4]{1,0}, f32[8,4]{1,0}) all-gather-start(%a), dimensions={0}
  %h = (f32[2,1,8,4]{3,2,1,0}, f32[2,1,8,4]{3,2,1,0}, u32[]{:S(2)}, u32[]{:S(2)}) collective-permute-start(%a)
  %g = (f32[9,4,128]{2,1,0}, u32[], token[]) send(%a), frontend_attributes={_xla_megascale_transfer_type="ALL_REDUCE"}
}
"""
# A kernel [3, 3, 4, 8], biases of 8 and 6 elements: what XLA makes of the sums of their gradients on TPUs.
SUMS = """HloModule step

%main (x: f32[2,16,12,8]) -> f32[8] {
  %kernel = f32[3,3,4,8]{3,2,1,0} fusion(%x), metadata={op_name="jit(f)/transpose(jvp(M))/head/conv_general_dilated"}
  %sum.1 = bf16[1,16,12,6]{3,2,1,0:T(8,128)(2,1)} fusion(%x), metadata={op_name="jit(f)/transpose(jvp(M))/b/reduce_sum"}
  %sum.2 = bf16[16,12,6]{2,1,0} reshape(%sum.1)
  %scale = f32[8]{0} fusion(%x), metadata={op_name="jit(f)/transpose(jvp(M))/norm/reduce_sum"}
  %shift = f32[8]{0} fusion(%x), metadata={op_name="jit(f)/transpose(jvp(M))/norm/reduce_sum"}
  %packed = f32[1,2,128]{2,1,0:T(2,128)S(1)} fusion(%scale, %shift), kind=kLoop, calls=%fused
  %map = f32[2,16,12,8]{3,2,1,0} fusion(%kernel, %x), metadata={op_name="jit(f)/jvp(M)/head/conv_general_dilated"}
  %slope = f32[2,16,12,8]{3,2,1,0} fusion(%x), metadata={op_name="jit(f)/transpose(jvp(M))/head/conv_general_dilated"}
  %means = f32[2,16,12]{2,1,0} fusion(%x), metadata={op_name="jit(f)/jvp(M)/head/reduce_sum"}
  %odd = f32[2,16,12]{2,1,0} fusion(%x), metadata={op_name="jit(f)/transpose(jvp(M))/head/reduce_sum"}
  LINE
}
"""
KERNEL, BIAS, PACKED = "f32[3,3,4,8]{3,2,1,0:T(8,128)S(1)}", "bf16[16,12,6]{2,1,0}", "f32[1,2,128]{2,1,0:T(2,128)}"
SIZES = {3 * 3 * 4 * 8, 8, 6}


def moved_by(line):
    """Shapes and bytes of the feature maps that the only collective of a program moves."""
    (collective,) = find_collectives(SUMS.replace("LINE", line))
    moved = moved_activations(collective, SIZES)
    return moved and ([array.shape for array in moved.arrays], moved.size)


def test_a_program_names_its_collectives_and_their_bytes():
    found = find_collectives(KINDS)
    assert [(each.kind, each.size) for each in found] == [
        ("all-gather", 2 * 16 * 16 * 8 * 2),
        ("all-reduce", 9 * 4 * 4 + 4),
        ("all-gather", 8 * 4 * 4),  # an asynchronous one, without its operand
        ("collective-permute", 2 * 8 * 4 * 4),  # without its operand and the two numbers of a TPU
        ("all-reduce between slices", 9 * 4 * 128 * 4),
    ]
    assert [bool(moved_activations(each, {36})) for each in found] == [True, False, False, True, False]


@pytest.mark.parametrize("start", ["", "-start"])
def test_gradients_that_are_summed_together_are_no_feature_maps(start):
    """Neither packed vectors nor a bias's gradient that is summed over its positions afterwards is one."""
    operands = "%kernel, %sum.2, /*index=2*/%packed"
    assert moved_by(f"%r = ({KERNEL}, {BIAS}, {PACKED}) all-reduce{start}({operands}), to_apply=%add") is None


@pytest.mark.parametrize("name", ["map", "slope"])
def test_only_the_feature_map_of_a_combined_sum_counts(name):
    line = f"%r = ({KERNEL}, f32[2,16,12,8]{{3,2,1,0}}, {PACKED}) all-reduce(%kernel, %{name}, %packed), to_apply=%add"
    assert moved_by(line) == ([(2, 16, 12, 8)], 2 * 16 * 12 * 8 * 4)


@pytest.mark.parametrize(
    ("line", "shape"),
    [
        ("%r = f32[2,16,12,8]{3,2,1,0} all-gather(%slope), dimensions={0}", (2, 16, 12, 8)),
        ("%r = bf16[16,12,6]{2,1,0} all-gather(%sum.2), dimensions={0}", (16, 12, 6)),  # only a sum drops the images
        ("%r = f32[2,16,12]{2,1,0} all-reduce(%means), to_apply=%add", (2, 16, 12)),  # a sum over channels, forwards
        ("%r = f32[2,16,12]{2,1,0} all-reduce(%odd), to_apply=%add", (2, 16, 12)),  # no bias has 12 elements
        ("%r = f32[2,16,12,8]{3,2,1,0} all-reduce(%unknown), to_apply=%add", (2, 16, 12, 8)),
        ("%r = f32[1,16,12,8]{3,2,1,0} reduce-scatter(%slope), dimensions={0}", (1, 16, 12, 8)),
    ],
)
def test_gathers_and_sums_of_feature_maps_are_told(line, shape):
    shapes, size = moved_by(line)
    assert shapes == [shape]
    assert size > 0
