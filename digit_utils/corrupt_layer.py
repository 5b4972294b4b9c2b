"""Random corruption of digits while a network trains, as photographs and scans corrupt them."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

SIDE, REACH = 28, 7  # pixels: of an image, and of half a blur's kernel


@keras.saving.register_keras_serializable(package="digit_utils")
class RandomCorruption(keras.layers.Layer):
    """Show a share of the images as they would look on paper: worn, crossed, blurred, grey, noisy.

    Input and output are float (n, 28, 28, 1) in [0, 1], bright ink on black. Of the ``share`` of
    images that are touched, each gets every part with its own chance and a strength of its own:
    another size and turn, a thicker or thinner pen, lines across it, blur, paper of uneven grey,
    noise. Acts only while training. ``seed`` seeds the layer's own random stream.
    """

    def __init__(self, share: float = 0.5, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share!r}; expected a share of the images, from 0 to 1")
        self.share, self.seed = share, seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.input_spec = keras.layers.InputSpec(shape=(None, SIDE, SIDE, 1))
        # XLA, which Keras turns on by itself on a GPU, cannot compile TensorFlow's resampling.
        self.supports_jit = keras.backend.backend() != "tensorflow"
        rows, columns = np.mgrid[:SIDE, :SIDE].astype("float32") - (SIDE - 1) / 2
        self._down, self._right = rows[None, ..., None], columns[None, ..., None]

    def call(self, images: Any, training: bool | None = False) -> Any:
        """Return images of the same shape, corrupted if ``training``."""
        if not training:
            return images
        self._n = ops.shape(images)[0]
        corrupted = images
        for change, chance in (
            (self._move, 0.35),
            (self._change_pen, 0.3),
            (self._cross, 0.2),
            (self._cross, 0.1),
            (self._blur, 0.3),
            (self._shuffle, 0.15),
            (self._lay_on_paper, 0.5),
            (self._add_noise, 0.3),
            (self._flip_pixels, 0.12),
        ):
            corrupted = self._with_chance(chance, change(corrupted), corrupted)
        return self._with_chance(self.share, ops.clip(corrupted, 0.0, 1.0), images)

    def _draw(self, low: float = 0.0, high: float = 1.0, shape: tuple = (1, 1, 1)) -> Any:
        return keras.random.uniform((self._n, *shape), low, high, seed=self.seed_generator)

    def _with_chance(self, chance: float, new: Any, old: Any) -> Any:
        return ops.where(self._draw() < chance, new, old)

    def _move(self, images: Any) -> Any:
        """Rotate up to 43 degrees, scale by 0.4 to 1.15, shear and shift."""
        angle, shear, down, right = (
            self._draw(-limit, limit, ()) for limit in (0.75, 0.6, 5.0, 5.0)
        )
        size = 1.0 / self._draw(0.4, 1.15, ())
        a0, b0 = ops.cos(angle) * size, ops.sin(angle) * size
        a1, b1 = a0 * shear - b0, b0 * shear + a0
        middle = (SIDE - 1) / 2
        zero = ops.zeros_like(a0)
        # What goes down to 0.4 of its size moves further in it: shifts are in output pixels.
        a2 = middle - a0 * (middle + right) - a1 * (middle + down)
        b2 = middle - b0 * (middle + right) - b1 * (middle + down)
        return ops.image.affine_transform(
            images,
            ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1),
            interpolation="bilinear",
            fill_mode="constant",
            data_format="channels_last",
        )

    def _change_pen(self, images: Any) -> Any:
        """Widen or narrow the strokes by up to a pixel on either side."""
        wide = ops.max_pool(images, 3, 1, "same")
        narrow = -ops.max_pool(-images, 2, 1, "same")
        return images + self._draw() * (self._with_chance(0.6, wide, narrow) - images)

    def _cross(self, images: Any) -> Any:
        """Draw a piece of a line, cut one out, or invert the image along it."""
        angle, offset = self._draw(0, math.pi), self._draw(-11, 11)
        half_width = self._draw(0.4, 1.2) + self._with_chance(0.4, self._draw(0, 4), 0.0)
        across = ops.abs(self._right * ops.cos(angle) + self._down * ops.sin(angle) - offset)
        along = self._down * ops.cos(angle) - self._right * ops.sin(angle)
        # In pieces or whole, as the wave's length and the bar for it fall out.
        whole = ops.cos(along * self._draw(0.3, 2.5)) > self._draw(-2.5, 0.3)
        on = ops.cast(ops.logical_and(across < half_width, whole), images.dtype)
        drawn = ops.maximum(images, on * self._draw(0.5, 1.0))
        kind = self._draw()
        cut, inverted = images * (1 - on), images * (1 - on) + on * (1 - images)
        # A wide line would hide what it is drawn over.
        inverts = ops.logical_or(kind > 0.8, ops.logical_and(kind > 0.2, half_width > 1.2))
        return ops.where(inverts, inverted, ops.where(kind < 0.2, cut, drawn))

    def _blur(self, images: Any) -> Any:
        """Blur with a Gaussian that may be long in one direction, as by a moving camera."""
        shape = (1, 1)  # of (n, rows, columns); the images become the channels of one
        angle = self._draw(0, math.pi, shape)
        long = self._draw(0.3, 1.0, shape) + self._draw(0.0, 1.0, shape) ** 2 * 2.8
        short = ops.minimum(long, self._draw(0.3, 1.3, shape))
        down, right = np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1].astype("float32")[:, None]
        along = right * ops.cos(angle) + down * ops.sin(angle)
        across = down * ops.cos(angle) - right * ops.sin(angle)
        kernel = ops.exp(-0.5 * ((along / long) ** 2 + (across / short) ** 2))
        kernel = kernel / ops.sum(kernel, axis=(1, 2), keepdims=True)
        kernel = ops.transpose(kernel, (1, 2, 0))[..., None]
        channels = ops.transpose(images, (3, 1, 2, 0))
        blurred = ops.depthwise_conv(channels, kernel, 1, "same", data_format="channels_last")
        return ops.transpose(blurred, (3, 1, 2, 0))

    def _shuffle(self, images: Any) -> Any:
        """Move each pixel a little at random, as through rough glass."""
        reach = self._draw(0.5, 3.0)
        shape = (SIDE, SIDE, 1)
        rows, columns = (
            ops.clip(ops.round(grid + reach * self._draw(-1, 1, shape)), 0, SIDE - 1)
            for grid in (self._down + (SIDE - 1) / 2, self._right + (SIDE - 1) / 2)
        )
        where = ops.cast(rows * SIDE + columns, "int32")
        flat = ops.take_along_axis(
            ops.reshape(images, (-1, SIDE * SIDE)), ops.reshape(where, (-1, SIDE * SIDE)), axis=1
        )
        shuffled = ops.reshape(flat, (-1, SIDE, SIDE, 1))
        smooth = ops.average_pool(shuffled, 3, 1, "same")
        return shuffled + self._draw() * (smooth - shuffled)

    def _lay_on_paper(self, images: Any) -> Any:
        """Fade the ink and put grey behind it: even, sloping, or in clouds."""
        slope = self._draw(-0.25, 0.25) * self._right + self._draw(-0.25, 0.25) * self._down
        coarse = self._draw(0, 1, (4, 4, 1))
        clouds = ops.image.resize(
            coarse, (SIDE, SIDE), interpolation="bicubic", data_format="channels_last"
        )
        clouds = self._with_chance(0.4, clouds * self._draw(0, 1.0), ops.zeros_like(images))
        paper = self._draw(0, 0.6) + slope / (SIDE / 2) + clouds
        contrast = self._draw(0.3, 1.0)
        over = images * ops.maximum(paper, contrast) + (1 - images) * paper
        laid = self._with_chance(0.5, paper + contrast * images, over)
        return self._with_chance(0.3, laid / (1 + 0.5 * clouds), laid)

    def _add_noise(self, images: Any) -> Any:
        noise = keras.random.normal(ops.shape(images), seed=self.seed_generator)
        strength = self._draw(0, 0.35)
        by_light = ops.sqrt(ops.maximum(images, 0.0) + 1e-6) * 1.8
        return images + strength * noise * self._with_chance(0.5, by_light, ops.ones_like(images))

    def _flip_pixels(self, images: Any) -> Any:
        """Make a share of up to 0.4 of the pixels black or white."""
        draws, share = self._draw(0, 1, (SIDE, SIDE, 1)), self._draw(0, 0.4)
        return ops.where(draws < share / 2, 0.0, ops.where(draws < share, 1.0, images))

    def get_config(self) -> dict[str, Any]:
        """Return what is needed to build the layer again."""
        return {**super().get_config(), "share": self.share, "seed": self.seed}
