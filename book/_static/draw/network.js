/* The network, in plain JavaScript: read its weights from a file, then carry an image through its layers.

   A map of numbers is { height, width, channels, values }. The values lie in one Float32Array: first
   the channels of the top left place, then those of the place to its right, and so on, line by line.
   Keras keeps its maps and weights in the same order, so nothing has to be rearranged.

     const network = digitsBook.readNetwork(buffer);   // the bytes of network.bin
     const { probabilities } = network.run(image);     // 784 numbers from 0 (paper) to 1 (ink) */

(function () {
  "use strict";
  const book = (window.digitsBook = window.digitsBook || {});

  // ---- The file ----------------------------------------------------------------------------------

  /* Four bytes say how long the header is. The header is JSON and tells which arrays follow, of what
     type and shape, and where each begins. */
  function readArrays(buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    const arrays = {};
    for (const { name, type, shape, offset } of header.arrays) {
      const count = shape.reduce((product, n) => product * n, 1);
      const start = 4 + length + offset;
      if (type === "float16") {
        arrays[name] = Float32Array.from(new Uint16Array(buffer, start, count), fromFloat16);
      } else if (type === "float32") {
        arrays[name] = new Float32Array(buffer, start, count);
      } else if (type === "int8") {
        arrays[name] = new Int8Array(buffer, start, count);
      } else if (type === "uint8") {
        arrays[name] = new Uint8Array(buffer, start, count);
      } else {
        throw new Error(`array ${name} is of type ${type}, which this page does not read`);
      }
    }
    return { header, arrays };
  }

  /* Half precision: one bit for the sign, five for the exponent, ten for the fraction. */
  function fromFloat16(bits) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0) return sign * fraction * 2 ** -24; // very small numbers, and zero
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }

  // ---- The layers --------------------------------------------------------------------------------

  /* Padding "same" makes the result as large as the input divided by the stride, rounded up. The rows of
     zeros this takes are shared out above and below; an odd one goes below, as TensorFlow has it.
     With a stride of 2 that is the usual case, and to put it above would move the whole map. */
  function outputSize(size, kernel, stride, padding) {
    if (padding === "valid") return { size: Math.floor((size - kernel) / stride) + 1, before: 0 };
    const out = Math.ceil(size / stride);
    const zeros = Math.max((out - 1) * stride + kernel - size, 0);
    return { size: out, before: Math.floor(zeros / 2) };
  }

  /* Slide the filters over the input. At each place, a filter's answer is the sum of what lies under it, each
     number times the weight above it.

     What lies under the filters is the same for all of them, so it is gathered once, without its zeros:
     paper, and what ReLU has silenced, would add nothing. Then four filters at a time sum it up; more
     sums at once than one keep the processor busy. */
  function convolve(input, { kernel_size, strides, padding, filters }, weights, bias) {
    const { height, width, channels, values } = input;
    const [kernelHeight, kernelWidth] = kernel_size;
    const down = outputSize(height, kernelHeight, strides[0], padding);
    const across = outputSize(width, kernelWidth, strides[1], padding);
    const result = new Float32Array(down.size * across.size * filters);
    const found = new Float64Array(kernelHeight * kernelWidth * channels); // numbers under the filters
    const firsts = new Int32Array(found.length); // for each, where its weights begin: one a filter
    for (let y = 0, at = 0; y < down.size; y++) {
      for (let x = 0; x < across.size; x++, at += filters) {
        let count = 0;
        for (let ky = 0; ky < kernelHeight; ky++) {
          const inputY = y * strides[0] + ky - down.before;
          if (inputY < 0 || inputY >= height) continue; // zeros around the map
          for (let kx = 0; kx < kernelWidth; kx++) {
            const inputX = x * strides[1] + kx - across.before;
            if (inputX < 0 || inputX >= width) continue;
            const from = (inputY * width + inputX) * channels;
            let first = (ky * kernelWidth + kx) * channels * filters;
            for (let channel = 0; channel < channels; channel++, first += filters) {
              const value = values[from + channel];
              if (value === 0) continue;
              found[count] = value;
              firsts[count] = first;
              count += 1;
            }
          }
        }
        for (let filter = 0; filter < filters; filter += 4) {
          let a = bias[filter], b = bias[filter + 1], c = bias[filter + 2], d = bias[filter + 3];
          for (let i = 0; i < count; i++) {
            const value = found[i];
            const weight = firsts[i] + filter;
            a += value * weights[weight];
            b += value * weights[weight + 1];
            c += value * weights[weight + 2];
            d += value * weights[weight + 3];
          }
          result[at + filter] = a;
          result[at + filter + 1] = b;
          result[at + filter + 2] = c;
          result[at + filter + 3] = d;
        }
      }
    }
    return { height: down.size, width: across.size, channels: filters, values: result };
  }

  /* Of each small square keep the largest number, for every channel by itself. */
  function maxPool(input, { pool_size, strides, padding }) {
    const { height, width, channels, values } = input;
    const down = outputSize(height, pool_size[0], strides[0], padding);
    const across = outputSize(width, pool_size[1], strides[1], padding);
    const result = new Float32Array(down.size * across.size * channels).fill(-Infinity);
    for (let y = 0, at = 0; y < down.size; y++) {
      for (let x = 0; x < across.size; x++, at += channels) {
        for (let py = 0; py < pool_size[0]; py++) {
          const inputY = y * strides[0] + py - down.before;
          if (inputY < 0 || inputY >= height) continue;
          for (let px = 0; px < pool_size[1]; px++) {
            const inputX = x * strides[1] + px - across.before;
            if (inputX < 0 || inputX >= width) continue;
            const from = (inputY * width + inputX) * channels;
            for (let channel = 0; channel < channels; channel++) {
              const value = values[from + channel];
              if (value > result[at + channel]) result[at + channel] = value;
            }
          }
        }
      }
    }
    return { height: down.size, width: across.size, channels, values: result };
  }

  /* Negative numbers become zero. */
  function relu(input) {
    return { ...input, values: input.values.map((value) => (value > 0 ? value : 0)) };
  }

  /* All numbers of the maps in one row. They are in one already; only their description changes. */
  function flatten(input) {
    return { height: 1, width: 1, channels: input.values.length, values: input.values };
  }

  /* Each unit sums all numbers, each times a weight of its own. */
  function dense(input, { units }, weights, bias) {
    const sums = Float32Array.from(bias);
    for (let i = 0, weight = 0; i < input.values.length; i++, weight += units) {
      const value = input.values[i];
      if (value === 0) continue;
      for (let unit = 0; unit < units; unit++) sums[unit] += value * weights[weight + unit];
    }
    return { height: 1, width: 1, channels: units, values: sums };
  }

  /* Positive numbers that sum to 1, in the ratios of the exponentials. Taking the largest off first changes
     no ratio, and keeps the exponentials from growing beyond what a number can hold. */
  function softmax(input) {
    const largest = Math.max(...input.values);
    const grown = input.values.map((value) => Math.exp(value - largest));
    const sum = grown.reduce((total, value) => total + value, 0);
    return { ...input, values: grown.map((value) => value / sum) };
  }

  const LAYERS = {
    Conv2D: convolve,
    MaxPooling2D: maxPool,
    ReLU: relu,
    Flatten: flatten,
    Dense: dense,
    Softmax: softmax,
  };

  // ---- The network -------------------------------------------------------------------------------

  /* Make a network of the bytes of network.bin. */
  function readNetwork(buffer) {
    const { header, arrays } = readArrays(buffer);
    const [height, width, channels] = header.input_shape;
    const layers = header.layers.map(([kind, options], index) => {
      if (!(kind in LAYERS)) throw new Error(`layer ${index} is a ${kind}, unknown to this page`);
      if (options.filters % 4) throw new Error(`layer ${index} has ${options.filters} filters, not fours`);
      return { kind, options, weights: arrays[`${index}.weights`], bias: arrays[`${index}.bias`] };
    });

    /* Carry one image through all layers. Return what each of them made of it, and the last two by name. */
    function run(image) {
      if (image.length !== height * width * channels) {
        throw new Error(`the image holds ${image.length} numbers, expected ${height * width * channels}`);
      }
      let map = { height, width, channels, values: Float32Array.from(image) };
      const maps = [];
      for (const { kind, options, weights, bias } of layers) {
        map = LAYERS[kind](map, options, weights, bias);
        maps.push({ kind, ...map });
      }
      const named = (kind) => maps.find((made) => made.kind === kind).values;
      return { maps, logits: named("Dense"), features: named("Flatten"), probabilities: named("Softmax") };
    }

    return { header, layers, run };
  }

  Object.assign(book, { readArrays, readNetwork });
})();
