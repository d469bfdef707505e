"""U-Net: an encoder that halves the resolution, a decoder that doubles it, and a skip between them at each level.

Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015, section 2, and its
common form today, with "same" padding and batch norm.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.typing import Dtype

from jaxseg.models.layers import Conv
from jaxseg.models.resampling import UpConv2x2, center_crop, max_pool_2x2, pad_to_multiple
from jaxseg.ops.padding import padded_to_stride, valid_mask, zero_padding

INITIALIZERS = {
    "glorot_uniform": nn.initializers.glorot_uniform(),
    "he_normal": nn.initializers.variance_scaling(2.0, "fan_in", "normal"),  # the paper, section 3
}
PADDINGS = ("same", "valid")
FITS = ("pad", "crop")
NORMS = ("batch", "none")


class DoubleConv(nn.Module):
    """Two 3x3 convolutions, each followed by a norm and a ReLU: ``[b, h, w, c] -> [b, h, w, features]``.

    Attributes:
      features: channels of the output.
      conv: makes a convolution from a number of features.
      norm: makes a norm.
    """

    features: int
    conv: callable
    norm: callable

    @nn.compact
    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """Applies the block; positions where ``mask`` is False do not leak into the others."""
        for i in (1, 2):
            x = self.conv(self.features, name=f"conv_{i}")(zero_padding(x, mask))
            x = nn.relu(self.norm(name=f"norm_{i}")(x))
        return x


class UNet(nn.Module):
    """A U-Net of any depth.

    Attributes:
      classes: number of classes, k.
      features: channels at full resolution; they double at each halving.
      depth: how many times the image is halved.
      padding: padding of the 3x3 convolutions: "same", or "valid" as in the paper, where the output is smaller: the
        center of the image.
      fit: how "same" padding treats an image with sides that are no multiples of ``2 ** depth``. "pad" adds zeros at
        the bottom and the right, and crops the logits back. "crop" rounds halves down and crops the skips, so the
        output is smaller.
      norm: norm after each 3x3 convolution, "batch" or "none"; with "none" the convolutions have a bias.
      norm_momentum: share of the old running statistics that a step keeps.
      norm_epsilon: number that is added to the variance.
      dropout: share of activations dropped at the end of the bottleneck, as in the paper; 0 disables it.
      initializer: initializer of all kernels, "glorot_uniform" or "he_normal".
      remat: whether the backward pass computes the activations of blocks again instead of storing them.
      dtype: type of the computation; parameters, statistics and logits are float32.
      axis_name: the axis over which pmap's devices share batch statistics; jit needs none.
      cpu_kernels: whether to use the forms of operations that are fast on one CPU device.

    Example:
      >>> model, image = UNet(classes=4, features=8, depth=2), jnp.zeros((1, 30, 46, 3))
      >>> outputs, variables = jax.eval_shape(partial(model.init_with_output, train=False), jax.random.key(0), image)
      >>> {name: logits.shape for name, logits in outputs.items()}
      {'logits': (1, 30, 46, 4)}
    """

    classes: int
    features: int = 64
    depth: int = 3
    padding: str = "same"
    fit: str = "pad"
    norm: str = "batch"
    norm_momentum: float = 0.99
    norm_epsilon: float = 1e-3
    dropout: float = 0.0
    initializer: str = "glorot_uniform"
    remat: bool = False
    dtype: Dtype = jnp.float32
    axis_name: str | None = None
    cpu_kernels: bool = False

    def __post_init__(self):
        choices = {"padding": PADDINGS, "fit": FITS, "norm": NORMS, "initializer": tuple(INITIALIZERS)}
        for field, expected in choices.items():
            if vars(self)[field] not in expected:
                raise ValueError(f"U-Net has no {field} '{vars(self)[field]}'; expected one of {', '.join(expected)}.")
        super().__post_init__()

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool, extents: jax.Array | None = None) -> dict[str, jax.Array]:
        """Computes the logits of each pixel's class.

        Args:
          image: float ``[b, h, w, c]``.
          train: whether norms use and update the statistics of this batch, and dropout is active.
          extents: int32 ``[b, 2]``, the size of each image if the batch pads it, see ``ops/padding.py``. It needs a
            U-Net with logits of the size of the image.

        Returns:
          ``{"logits": float32 [b, h', w', k]}``, where ``h', w' = output_size(h, w)``.
        """
        out_height, out_width = self.output_size(*image.shape[1:3])
        kernel_init = INITIALIZERS[self.initializer]
        up = partial(UpConv2x2, kernel_init=kernel_init, dtype=self.dtype, cpu_kernels=self.cpu_kernels)
        block = self._blocks(train)

        x = self._padded(image.astype(self.dtype))
        extents = None if extents is None else padded_to_stride(extents, 1 << self.depth)
        skips = []
        for level in range(self.depth):
            mask = valid_mask(extents, x.shape[1:3], 1 << level)
            x = block(self.features << level, name=f"encoder_{level}")(x, mask)
            skips.append(x)
            x = max_pool_2x2(x)

        mask = valid_mask(extents, x.shape[1:3], 1 << self.depth)
        x = block(self.features << self.depth, name="bottleneck")(x, mask)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)

        for level in reversed(range(self.depth)):
            x = up(self.features << level, name=f"up_{level}")(x)
            skip = center_crop(skips[level], *x.shape[1:3])
            x = jnp.concatenate([skip, x], axis=-1)
            mask = valid_mask(extents, x.shape[1:3], 1 << level)
            x = block(self.features << level, name=f"decoder_{level}")(x, mask)

        head = nn.Dense(self.classes, kernel_init=kernel_init, dtype=self.dtype, name="head")  # a 1x1 convolution
        logits = head(x).astype(jnp.float32)
        return {"logits": logits[:, :out_height, :out_width]}

    def _blocks(self, train: bool):
        """Returns a function that makes a ``DoubleConv`` of this network."""
        norms = {
            "batch": partial(
                nn.BatchNorm,
                use_running_average=not train,
                momentum=self.norm_momentum,
                epsilon=self.norm_epsilon,
                dtype=self.dtype,
                axis_name=self.axis_name,
            ),
            "none": lambda name: lambda x: x,
        }
        conv = partial(
            Conv,
            kernel_size=3,
            padding=1 if self.padding == "same" else 0,
            use_bias=self.norm == "none",  # A norm would subtract it.
            kernel_init=INITIALIZERS[self.initializer],
            dtype=self.dtype,
            cpu_kernels=self.cpu_kernels,
        )
        block = nn.remat(DoubleConv) if self.remat else DoubleConv
        return partial(block, conv=conv, norm=norms[self.norm])

    def _padded(self, image: jax.Array) -> jax.Array:
        """Pads the image until every halving is even, where ``fit`` is "pad"."""
        if self.padding == "valid" or self.fit == "crop":
            return image
        return pad_to_multiple(image, 1 << self.depth)

    @property
    def coarsest_stride(self) -> int:
        """Returns the number of pixels from one position of the coarsest map to the next."""
        return 1 << self.depth

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Returns height and width of the logits of an image of this size; ``center_crop`` crops labels to it.

        Raises:
          ValueError: the network cannot process this size. The message names the next larger size that it can.

        Example:
          >>> UNet(classes=2, depth=4, padding="valid").output_size(572, 572)  # figure 1 of the paper
          (388, 388)
        """
        sizes = {"height": height, "width": width}
        outputs = {name: self._output_length(size) for name, size in sizes.items()}
        for name, size in sizes.items():
            if outputs[name] is None:
                fitting = next(n for n in range(size + 1, size + (512 << self.depth)) if self._output_length(n))
                raise ValueError(
                    f"An image of {name} {size} does not go through a U-Net of depth {self.depth} with "
                    f"padding '{self.padding}'; the next larger {name} that does is {fitting}."
                )
        return outputs["height"], outputs["width"]

    def _output_length(self, size: int) -> int | None:
        """Returns the length of the output along an axis; None if it is empty or an odd length must be halved."""
        if self.padding == "same":
            return size if self.fit == "pad" else (size >> self.depth << self.depth) or None
        for _ in range(self.depth):
            size -= 4
            if size < 2 or size % 2:
                return None
            size //= 2
        size -= 4
        for _ in range(self.depth):
            size = 2 * size - 4
        return size if size > 0 else None
