"""The networks of the book, built but not compiled."""

from __future__ import annotations

import keras
from keras import layers


def build_base_cnn() -> keras.Sequential:
    """Build the post's base network: three times convolution and pooling, then a dense layer.

    Returns
    -------
    keras.Sequential
        Uncompiled. Input (n, 28, 28, 1) float in [0, 1]; output (n, 10) probabilities.

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

    Parameters
    ----------
    width : int
        Filters of the first block; the second has twice, the third four times as many.
        The post's is 32. Half of it has a quarter of the weights in most convolutions.
    dropout : tuple of four floats
        Fraction dropped after each of the three blocks and after the dense layer.
    dense_units : int
        Neurons of the dense layer.

    Returns
    -------
    keras.Sequential
        Uncompiled. Input (n, 28, 28, 1) float in [0, 1]; output (n, 10) probabilities.

    Raises
    ------
    ValueError
        If ``dropout`` does not hold four fractions in [0, 1).

    Taught in 04_augmentation.
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
