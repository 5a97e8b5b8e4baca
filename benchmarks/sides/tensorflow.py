"""TensorFlow 1's graphs and sessions, by `tf.compat.v1` and `make_callable`.

Inputs of training are fed in every call, as they are to minigrad. Large inputs are variables, so
that it need not copy them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from benchmarks.references import (
    ADAM_EPSILON,
    BETA1,
    BETA2,
    EPSILON,
    HEADS,
    LENGTH,
    RATE,
)
from benchmarks.sides.base import (
    ADDS_SIZE,
    ADDS_SUMMAND,
    Adds,
    Case,
    Options,
    Side,
    gradient_case,
    training_case,
)
from benchmarks.workloads import Array, Values

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tensorflow: Any = import_module("tensorflow")
tf: Any = tensorflow.compat.v1


class TensorFlow(Side):
    """TensorFlow in the style of version 1."""

    variants = ("session",)
    longest_chain: ClassVar = {"session": 10_000}

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        tf.disable_eager_execution()
        tf.logging.set_verbosity(tf.logging.ERROR)

    def version(self) -> str:
        return str(tensorflow.__version__)

    def session(self) -> Any:
        """A session of the default graph, with all variables initialized."""
        threads = self.options.threads
        config = tf.ConfigProto(
            intra_op_parallelism_threads=threads, inter_op_parallelism_threads=threads
        )
        session = tf.Session(config=config)
        session.run(tf.global_variables_initializer())
        return session

    # -- workloads -------------------------------------------------------------------------

    def elementwise_chain(self, values: Values, variant: str) -> Case:
        with tf.Graph().as_default():
            x = tf.placeholder(tf.float32, values.x.shape)
            a, b = [_held(p) for p in values.parameters]
            h = x
            for i in range(LENGTH):
                h = h * a if i % 3 == 0 else h + b if i % 3 == 1 else tf.tanh(h)
            total = tf.reduce_sum(h)
            fetches = [total, *tf.gradients(total, x)]
            run = self.session().make_callable(fetches, feed_list=[x])
        return _gradients(lambda: run(values.x))

    def gelu(self, values: Values, variant: str) -> Case:
        def loss(x: Any) -> Any:
            return tf.reduce_sum(tf.square(tensorflow.nn.gelu(x, approximate=True)))

        return self._held_gradients(loss, [values.x], 1)

    def cross_entropy(self, values: Values, variant: str) -> Case:
        labels = values.batch_labels().astype(np.int32)
        return self._held_gradients(_cross_entropy, [values.x, labels], 1)

    def classifier(self, values: Values, variant: str) -> Case:
        def scores(parameters: list[Any], x: Any) -> Any:
            *hidden, last = zip(parameters[::2], parameters[1::2], strict=True)
            for weight, bias in hidden:
                x = tf.nn.relu(_dense(x, weight, bias))
            return _dense(x, *last)

        return self._training(scores, values)

    def lenet(self, values: Values, variant: str) -> Case:
        def convolved(x: Any, kernel: Any, bias: Any) -> Any:
            y = tf.nn.bias_add(tf.nn.conv2d(x, kernel, strides=1, padding="SAME"), bias)
            return tf.nn.max_pool2d(tf.nn.relu(y), 2, 2, "VALID")

        def scores(parameters: list[Any], x: Any) -> Any:
            k1, b1, k2, b2, w3, b3, w4, b4 = parameters
            x = convolved(convolved(x, k1, b1), k2, b2)
            x = tf.nn.relu(_dense(tf.reshape(x, [x.shape[0], -1]), w3, b3))
            return _dense(x, w4, b4)

        return self._training(scores, values)

    def lstm(self, values: Values, variant: str) -> Case:
        def loss(weight: Any, recurrent: Any, bias: Any, x: Any) -> Any:
            steps, batch, inputs = x.shape
            units = recurrent.shape[0]
            rows = _dense(tf.reshape(x, [steps * batch, inputs]), weight, bias)
            h = c = tf.zeros([batch, units])
            for projected in tf.unstack(tf.reshape(rows, [steps, batch, 4 * units])):
                i, f, g, o = tf.split(projected + tf.matmul(h, recurrent), 4, axis=1)
                c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
                h = tf.sigmoid(o) * tf.tanh(c)
            return tf.reduce_mean(tf.square(h))

        return self._held_gradients(loss, [*values.parameters, values.x], 3)

    def transformer_block(self, values: Values, variant: str) -> Case:
        arrays = [*values.parameters, values.x]
        return self._held_gradients(_block, arrays, len(values.parameters))

    # -- ways to run -----------------------------------------------------------------------

    def _held_gradients(
        self, loss: Callable[..., Any], arrays: list[Array], differentiated: int
    ) -> Case:
        """The loss of variables, and its gradients for the first of them."""
        with tf.Graph().as_default():
            held = [_held(a) for a in arrays]
            value = loss(*held)
            fetches = [value, *tf.gradients(value, held[:differentiated])]
            run = self.session().make_callable(fetches)
        return _gradients(run)

    def _training(self, scores: Callable[..., Any], values: Values) -> Case:
        """Steps of Adam."""
        labels = values.batch_labels().astype(np.int32)
        batches = list(zip(values.x, labels, strict=True))
        with tf.Graph().as_default():
            parameters = [tf.Variable(p, use_resource=True) for p in values.parameters]
            fed = [tf.placeholder(v.dtype, v.shape[1:]) for v in (values.x, labels)]
            value = _cross_entropy(scores(parameters, fed[0]), fed[1])
            optimizer = tf.train.AdamOptimizer(RATE, BETA1, BETA2, ADAM_EPSILON)
            pairs = optimizer.compute_gradients(value, parameters)
            train = optimizer.apply_gradients(pairs)
            session = self.session()
            run = session.make_callable([value, train], feed_list=fed)

        def first_gradients() -> Any:
            return session.run([g for g, _ in pairs], dict(zip(fed, batches[0], strict=True)))

        return training_case(lambda i: run(*batches[i])[0], first_gradients, len(batches))

    # -- the chain of adds -----------------------------------------------------------------

    def warm_up(self) -> None:
        with tf.Graph().as_default():
            self.session().run(tf.constant(1))

    def adds(self, length: int, variant: str) -> Adds:
        with tf.Graph().as_default():
            x = tf.placeholder(tf.float32, [ADDS_SIZE])
            summand = _held(np.full(ADDS_SIZE, ADDS_SUMMAND, np.float32))
            h = x
            for _ in range(length):
                h = h + summand
            total = tf.reduce_sum(h)
            fetches = [total, *tf.gradients(total, x)]
            run = self.session().make_callable(fetches, feed_list=[x])
        ones = np.ones(ADDS_SIZE, np.float32)
        value, gradient = run(ones)
        return Adds(lambda: run(ones), float(value), gradient)


def _held(array: Array) -> Any:
    """The value of a variable, read once."""
    return tf.Variable(array, use_resource=True).read_value()


def _gradients(run: Callable[[], Any]) -> Case:
    """A case from a function that returns the loss and then the gradients."""

    def pair() -> Any:
        value, *gradients = run()
        return value, gradients

    return gradient_case(pair)._replace(step=run)


def _dense(x: Any, weight: Any, bias: Any) -> Any:
    return tf.nn.bias_add(tf.matmul(x, weight), bias)


def _cross_entropy(logits: Any, labels: Any) -> Any:
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.reduce_mean(losses)


def _normed(x: Any, scale: Any, shift: Any) -> Any:
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, shift, scale, EPSILON)


def _block(*arrays: Any) -> Any:
    """The mean square of a transformer block's output."""
    s1, t1, w_qkv, b_qkv, w_out, b_out, s2, t2, w_up, b_up, w_down, b_down, x = arrays
    batch, length, width = x.shape
    depth = width // HEADS
    x = tf.reshape(x, [batch * length, width])
    joined = tf.reshape(_dense(_normed(x, s1, t1), w_qkv, b_qkv), [batch, length, 3, HEADS, depth])
    q, k, v = tf.unstack(tf.transpose(joined, [2, 0, 3, 1, 4]))
    weights = tf.nn.softmax(tf.matmul(q, k, transpose_b=True) * int(depth) ** -0.5)
    mixed = tf.transpose(tf.matmul(weights, v), [0, 2, 1, 3])
    x = x + _dense(tf.reshape(mixed, [batch * length, width]), w_out, b_out)
    up = _dense(_normed(x, s2, t2), w_up, b_up)
    y = x + _dense(tensorflow.nn.gelu(up, approximate=True), w_down, b_down)
    return tf.reduce_mean(tf.square(y))


side = TensorFlow
