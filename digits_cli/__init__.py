"""What `digits` does: run, pair, render and publish the chapters.

Nothing here imports TensorFlow or Keras: a chapter runs in a kernel of its own, and this
package only starts it, watches it and keeps what it printed.
"""
