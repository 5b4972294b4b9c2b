"""The networks of the book, built but not compiled."""

from typing import Any

import keras
from keras import layers


def build_base_cnn() -> keras.Sequential:
    """Build the post's base network: three times convolution and pooling, then a dense layer.

    Uncompiled; input float (n, 28, 28, 1) in [0, 1], output probabilities (n, 10).
    Taught in 03_base_cnn.
    """
    return keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(padding="same"),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(padding="same"),
            layers.Conv2D(128, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(padding="same"),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ],
        name="base_cnn",
    )


def build_double_conv_cnn(
    width: int = 32,
    dropout: tuple[float, float, float, float] = (0.3, 0.3, 0.3, 0.3),
    dense_units: int = 256,
) -> keras.Sequential:
    """Build the post's second network: two convolutions before each pooling, and dropout.

    ``width`` is the first block's number of filters, in the post 32; the second has twice, the
    third four times as many. ``dropout`` is the fraction dropped after each of the three blocks and
    after the dense layer; raises ValueError unless it holds four fractions in [0, 1). Uncompiled;
    input float (n, 28, 28, 1) in [0, 1], output probabilities (n, 10). Taught in 04_augmentation.
    """
    if len(dropout) != 4 or not all(0 <= rate < 1 for rate in dropout):
        raise ValueError(f"dropout is {dropout!r}; expected four fractions from 0 to below 1")
    network = keras.Sequential([layers.Input((28, 28, 1))], name="double_conv_cnn")
    for block, rate in enumerate(dropout[:3]):
        for _ in range(2):
            network.add(layers.Conv2D(width * 2**block, 3, padding="same", activation="relu"))
        network.add(layers.MaxPooling2D(padding="same"))
        network.add(layers.Dropout(rate))
    network.add(layers.Flatten())
    network.add(layers.Dense(dense_units, activation="relu"))
    network.add(layers.Dropout(dropout[3]))
    network.add(layers.Dense(10, activation="softmax"))
    return network


# The convolutions of `build_fast_cnn`: filters in widths, kernel, stride, pooled after it.
ARCHITECTURES: dict[str, tuple[tuple[int, int, int, bool], ...]] = {
    # Stride 2 first: all others work on a quarter of the positions or fewer.
    "lean": (
        (1, 5, 2, False),
        (2, 3, 1, True),
        (4, 3, 1, False),
        (4, 3, 1, True),
        (8, 3, 1, False),
    ),
    "lean_deep": (
        *((1, 5, 2, False), (2, 3, 1, True), (4, 3, 1, False), (4, 3, 1, True)),
        *((8, 3, 1, False), (8, 3, 1, False)),
    ),
    # The post's second network, normalised and without its dense layer.
    "full": (
        *((1, 3, 1, False), (1, 3, 1, True), (2, 3, 1, False)),
        *((2, 3, 1, True), (4, 3, 1, False), (4, 3, 1, True)),
    ),
    # After Deotte: strides that are learned in place of pooling.
    "strided": (
        *((1, 3, 1, False), (1, 3, 1, False), (1, 5, 2, False), (2, 3, 1, False)),
        *((2, 3, 1, False), (2, 5, 2, False), (4, 4, 2, False)),
    ),
}


def build_fast_cnn(
    width: int = 16,
    normalization: str = "fused",
    dropout: float = 0.0,
    architecture: str = "lean",
) -> keras.Sequential:
    """Build a network of the fast recipe: convolutions, and no hidden dense layer.

    ``architecture`` is one of `ARCHITECTURES`; the lean one has five convolutions of 1, 2, 4, 4 and
    8 times ``width`` filters, whose last maps, 3 by 3 values each, go straight to the ten outputs.
    ``normalization`` is ``"fused"`` or ``"keras"`` batch normalisation, which compute the same at
    different speed, or ``"none"``. Raises ValueError for another of either. ``dropout`` is the
    fraction of the last maps' values dropped; 0 leaves the layer out.
    Uncompiled; input float (n, 28, 28, 1) in [0, 1], output logits (n, 10).
    Taught in 07_how_fast_can_it_learn.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"architecture is {architecture!r}; expected one of {sorted(ARCHITECTURES)}"
        )
    known = {"fused": FusedBatchNormalization, "keras": layers.BatchNormalization, "none": None}
    if normalization not in known:
        raise ValueError(f"normalization is {normalization!r}; expected one of {sorted(known)}")
    normalize = known[normalization]
    network = keras.Sequential([layers.Input((28, 28, 1))], name="fast_cnn")
    for widths, kernel, stride, pool in ARCHITECTURES[architecture]:
        network.add(
            layers.Conv2D(
                widths * width, kernel, stride, padding="same", use_bias=normalize is None
            )
        )
        if pool:
            # Before normalisation and activation: they then work on a quarter of the values.
            network.add(layers.MaxPooling2D())
        if normalize is not None:
            # No scale of its own: the next layer's kernel can do that. And a short training needs
            # the statistics of its last few steps, not of hundreds.
            network.add(normalize(momentum=0.9, scale=False))
        network.add(layers.ReLU())
    network.add(layers.Flatten())
    if dropout:
        network.add(layers.Dropout(dropout))
    network.add(layers.Dense(10))
    return network


def build_shipped_cnn(width: int = 16, architecture: str = "lean") -> keras.Sequential:
    """Build a network that ships: `build_fast_cnn` with its normalisation folded in.

    Output probabilities (n, 10). Taught in 06_final_model.
    """
    network = build_fast_cnn(width, normalization="none", architecture=architecture)
    network.add(layers.Softmax())
    return network


@keras.saving.register_keras_serializable(package="digit_utils")
class FusedBatchNormalization(layers.BatchNormalization):
    """Keras's batch normalisation, trained through TensorFlow's fused kernel where there is one.

    Keras 3 computes mean, variance and scaled images as separate operations, each of which reads
    and writes all of the layer's maps; the fused kernel is one. The running variance it updates is
    Bessel-corrected, which at thousands of values per channel is no visible difference. On other
    backends, for inputs that are not float32 (n, height, width, channels), with a mask or without
    ``center``, the layer is its parent. Ioffe and Szegedy (2015), arXiv:1502.03167.
    Taught in 07_how_fast_can_it_learn.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return the normalised maps, and while training update the running statistics."""
        fuses = (
            keras.backend.backend() == "tensorflow"
            and self.compute_dtype == "float32"
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.center
            and mask is None
        )
        if not (training and self.trainable and fuses):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        scale = self.gamma.value if self.scale else tf.ones_like(self.beta.value)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=scale,
            offset=self.beta.value,
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            is_training=True,
        )
        keep = self.momentum
        self.moving_mean.assign(self.moving_mean * keep + mean * (1.0 - keep))
        self.moving_variance.assign(self.moving_variance * keep + variance * (1.0 - keep))
        return outputs
