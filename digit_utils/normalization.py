"""Batch normalisation at the speed of the hardware, and its removal once training is over."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


@keras.saving.register_keras_serializable(package="digit_utils")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalisation, trained through TensorFlow's fused kernel where there is one.

    Keras 3 computes mean, variance and scaled images as separate operations, each of which reads
    and writes all of the layer's maps; the fused kernel is one. Parameters, and what the trained
    layer computes, are the parent's. While training, the running variance is Bessel-corrected,
    which at thousands of values per channel is no visible difference. On other backends, for inputs
    that are not (n, height, width, channels), with a mask or without ``center``, in other
    precisions than float32, and when synchronised or renormalised, the layer is its parent. Ioffe
    and Szegedy (2015), arXiv:1502.03167. Taught in 07_how_fast_can_it_learn.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return the normalised maps, and while training update the running statistics."""
        if not (training and self.trainable and self._can_fuse(inputs, mask)):
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

    def _can_fuse(self, inputs: Any, mask: Any) -> bool:
        return (
            keras.backend.backend() == "tensorflow"
            and mask is None
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.center
            and self.compute_dtype == "float32"
            and not self.synchronized
            and not getattr(self, "renorm", False)
        )


def fold_batch_normalization(network: keras.Sequential) -> keras.Sequential:
    """Return a network that predicts the same without batch normalisation, and without dropout.

    Each normalisation is folded into kernel and bias of the convolution before it; the result is
    smaller and faster, uncompiled, with its own copy of the weights. Raises ValueError if the
    network is not a Sequential, or a normalisation works along another axis than the channels, does
    not follow a convolution without activation (max-pooling may lie between), or has a scale after
    max-pooling: a negative one would turn the largest value into the smallest. Used by
    experiments/train_final_model.py.
    """
    if not isinstance(network, keras.Sequential):
        raise ValueError(f"found a {type(network).__name__}; expected a Sequential to fold")
    folded, weights = [], []
    for layer in network.layers:
        if isinstance(layer, keras.layers.Dropout):
            continue  # it acts in training alone
        if isinstance(layer, keras.layers.BatchNormalization):
            place = _convolution_before(layer, folded)
            weights[place] = _fold(layer, weights[place])
        else:
            folded.append(layer)
            weights.append(layer.get_weights())
    copies = [keras.layers.Input(network.input_shape[1:])]
    for layer, values in zip(folded, weights, strict=True):
        config = layer.get_config()
        if isinstance(layer, keras.layers.Conv2D):
            config["use_bias"] = len(values) == 2
        copies.append(type(layer).from_config(config))
    result = keras.Sequential(copies, name=network.name)
    for layer, values in zip(result.layers, weights, strict=True):
        layer.set_weights(values)
    return result


def _convolution_before(layer: Any, layers: list) -> int:
    """Return the place of the convolution that a normalisation can be folded into."""
    place = len(layers) - 1
    while place >= 0 and isinstance(layers[place], keras.layers.MaxPooling2D):
        place -= 1
    convolution = layers[place] if place >= 0 else None
    if (
        not isinstance(convolution, keras.layers.Conv2D)
        or convolution.activation is not keras.activations.linear
    ):
        raise ValueError(
            f"{layer.name} does not follow a convolution without activation; only such a batch "
            "normalisation can be folded into the layer before it"
        )
    channels = 3 if convolution.data_format == "channels_last" else 1
    if layer.axis % 4 != channels:
        raise ValueError(
            f"{layer.name} normalises along axis {layer.axis}; expected {channels}, the channels "
            f"of {convolution.name}"
        )
    if place < len(layers) - 1 and layer.scale:
        raise ValueError(
            f"{layer.name} follows max-pooling and has a scale, which may be negative; build it "
            "with scale=False to fold it"
        )
    return place


def _fold(layer: Any, weights: list[np.ndarray]) -> list[np.ndarray]:
    """Return a convolution's kernel and bias with the normalisation in them."""
    kernel = weights[0]
    bias = weights[1] if len(weights) == 2 else np.zeros(kernel.shape[-1], kernel.dtype)
    mean, variance = (
        keras.ops.convert_to_numpy(value) for value in (layer.moving_mean, layer.moving_variance)
    )
    scale = 1.0 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        scale = scale * keras.ops.convert_to_numpy(layer.gamma)
    shift = keras.ops.convert_to_numpy(layer.beta) if layer.center else 0.0
    return [kernel * scale, (bias - mean) * scale + shift]
