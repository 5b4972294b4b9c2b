/* What was done to the digits of MNIST before anyone saw them, done to yours.

   Ink is a square of size x size numbers, from 0 (paper) to 255 (ink), line by line. */

(function () {
  "use strict";
  const book = (window.digitsBook = window.digitsBook || {});

  const SIDE = 28; // of the image that the network takes, in pixels
  const BOX = 20; // of the square into which MNIST's digits were scaled

  /* The smallest rectangle that holds all ink; null when there is none. */
  function boundingBox(ink, size) {
    let left = size, right = -1, top = size, bottom = -1;
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        if (ink[y * size + x] === 0) continue;
        if (x < left) left = x;
        if (x > right) right = x;
        if (y < top) top = y;
        if (y > bottom) bottom = y;
      }
    }
    if (right < 0) return null;
    return { left, top, width: right - left + 1, height: bottom - top + 1 };
  }

  /* Shrink a line of numbers: each new number is the mean over the stretch of the line it covers, and
     a number that the stretch covers in part counts for that part. Called along x, then along y. */
  function weightsOfStretches(length, newLength) {
    const step = length / newLength;
    return Array.from({ length: newLength }, (_, i) => {
      const from = i * step, to = (i + 1) * step;
      const first = Math.floor(from + 1e-9), last = Math.min(Math.ceil(to - 1e-9), length) - 1;
      const shares = [];
      for (let j = first; j <= last; j++) {
        shares.push((Math.min(to, j + 1) - Math.max(from, j)) / step);
      }
      return { first, shares };
    });
  }

  /* Scale a rectangle of ink to newWidth x newHeight by averaging areas, which leaves soft grey edges.
     Picking every tenth pixel instead would break thin lines. Returns numbers from 0 to 1. */
  function shrink(ink, size, box, newWidth, newHeight) {
    const across = weightsOfStretches(box.width, newWidth);
    const down = weightsOfStretches(box.height, newHeight);
    const narrow = new Float32Array(box.height * newWidth);
    for (let y = 0; y < box.height; y++) {
      const row = (box.top + y) * size + box.left;
      for (let x = 0; x < newWidth; x++) {
        const { first, shares } = across[x];
        let sum = 0;
        for (let k = 0; k < shares.length; k++) sum += shares[k] * ink[row + first + k];
        narrow[y * newWidth + x] = sum;
      }
    }
    const result = new Float32Array(newWidth * newHeight);
    for (let y = 0; y < newHeight; y++) {
      const { first, shares } = down[y];
      for (let k = 0; k < shares.length; k++) {
        for (let x = 0; x < newWidth; x++) {
          result[y * newWidth + x] += (shares[k] * narrow[(first + k) * newWidth + x]) / 255;
        }
      }
    }
    return result;
  }

  /* Where the ink would balance on a fingertip, from the top left corner. The first pixel reaches from 0 to 1,
     so its middle counts as 0.5. */
  function centreOfMass(image, width) {
    let mass = 0, sumX = 0, sumY = 0;
    image.forEach((value, index) => {
      mass += value;
      sumX += value * ((index % width) + 0.5);
      sumY += value * (Math.floor(index / width) + 0.5);
    });
    return { x: sumX / mass, y: sumY / mass };
  }

  /* MNIST's own procedure: scale the ink into a box of 20 x 20 with its proportions kept, then move it by whole
     pixels inside 28 x 28 until its centre of mass is in the middle. With an even number of pixels no pixel is
     the middle one; in every digit of MNIST the centre of mass lies between 14 and 15, and so it does here. */
  function prepare(ink, size) {
    const box = boundingBox(ink, size);
    if (!box) return null;
    const scale = BOX / Math.max(box.width, box.height);
    const width = Math.max(1, Math.round(box.width * scale));
    const height = Math.max(1, Math.round(box.height * scale));
    const small = shrink(ink, size, box, width, height);
    const centre = centreOfMass(small, width);
    const left = SIDE / 2 - Math.floor(centre.x);
    const top = SIDE / 2 - Math.floor(centre.y);
    const image = new Float32Array(SIDE * SIDE);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const toX = left + x, toY = top + y;
        if (toX < 0 || toX >= SIDE || toY < 0 || toY >= SIDE) continue;
        image[toY * SIDE + toX] = small[y * width + x];
      }
    }
    return image;
  }

  /* What most demos do instead: shrink the whole sheet, wherever on it the digit is. */
  function shrinkOnly(ink, size) {
    if (!boundingBox(ink, size)) return null;
    return shrink(ink, size, { left: 0, top: 0, width: size, height: size }, SIDE, SIDE);
  }

  Object.assign(book, { prepare, shrinkOnly });
})();
