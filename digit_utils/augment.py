"""Random geometric changes that keep a digit's label."""

import math
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="digit_utils")
class RandomAffine(keras.layers.Layer):
    """Rotate, zoom, shift and shear each image at random, in one bilinear resampling.

    Chaining Keras's ``RandomRotation``, ``RandomZoom`` and ``RandomTranslation`` would resample,
    and so blur, three times. Every value is drawn uniformly from ``[-range, +range]``, height and
    width are zoomed independently, as in the deprecated ``ImageDataGenerator`` (which gave its
    shear in degrees). The layer acts only while training; in ``predict`` and ``evaluate`` it passes
    images on.

    ``rotation`` is in degrees, up to 180 for every angle; ``zoom`` and ``shift`` are fractions of
    the image's size, below 1; ``shear`` is in pixels sideways per pixel of height, 0 for none.
    Raises ValueError for a range outside these limits. ``seed`` seeds the layer's own random
    stream. Taught in 04_augmentation.
    """

    def __init__(
        self,
        rotation: float = 10.0,
        zoom: float = 0.1,
        shift: float = 0.1,
        seed: int | None = None,
        shear: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= rotation <= 180:
            raise ValueError(f"rotation is {rotation!r}; expected degrees from 0 to 180")
        for name, value in (("zoom", zoom), ("shift", shift)):
            if not 0 <= value < 1:
                raise ValueError(
                    f"{name} is {value!r}; expected a fraction of the image's size, "
                    "from 0 to below 1"
                )
        if not 0 <= shear < math.inf:
            raise ValueError(
                f"shear is {shear!r}; expected pixels sideways per pixel of height, >= 0"
            )
        self.rotation, self.zoom, self.shift, self.shear = rotation, zoom, shift, shear
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.input_spec = keras.layers.InputSpec(ndim=4)  # (n, height, width, channels)
        # XLA, which Keras turns on by itself on a GPU, cannot compile TensorFlow's resampling.
        self.supports_jit = keras.backend.backend() != "tensorflow"

    def call(self, images: Any, training: bool | None = False) -> Any:
        """Return images of the same shape, changed if ``training``."""
        if not training:
            return images
        batch, height, width = ops.shape(images)[0], images.shape[1], images.shape[2]
        # Drawn last, and only if wanted: without shear the other draws stay as they are.
        n_draws = 6 if self.shear else 5
        draws = keras.random.uniform((n_draws, batch), -1.0, 1.0, seed=self.seed_generator)
        return ops.image.affine_transform(
            images,
            self._matrices(draws, height, width),
            interpolation="bilinear",
            fill_mode="constant",
            data_format="channels_last",
        )

    def _matrices(self, draws: Any, height: int, width: int) -> Any:
        """Map output pixels to input pixels: (batch, 8) rows ``a0 a1 a2 b0 b1 b2 c0 c1``."""
        angle = draws[0] * (self.rotation * math.pi / 180.0)
        zoom_x, zoom_y = 1.0 + draws[1] * self.zoom, 1.0 + draws[2] * self.zoom
        shift_x, shift_y = draws[3] * (self.shift * width), draws[4] * (self.shift * height)
        cos, sin = ops.cos(angle), ops.sin(angle)
        a0, a1, b0, b1 = cos * zoom_x, -sin * zoom_y, sin * zoom_x, cos * zoom_y
        if self.shear:  # first: columns of the product with ((1, s), (0, 1))
            shear = draws[5] * self.shear
            a1, b1 = a1 + a0 * shear, b1 + b0 * shear
        # All about the image's centre, not its top left corner.
        centre_x, centre_y = (width - 1) / 2.0, (height - 1) / 2.0
        a2 = centre_x - a0 * centre_x - a1 * centre_y + shift_x
        b2 = centre_y - b0 * centre_x - b1 * centre_y + shift_y
        zero = ops.zeros_like(a0)
        return ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)

    def get_config(self) -> dict[str, Any]:
        """Return what is needed to build the layer again."""
        names = ("rotation", "zoom", "shift", "seed", "shear")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
