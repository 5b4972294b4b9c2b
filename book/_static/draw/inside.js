/* Show what the network saw, what its layers made of it, and which training digits are nearest to it. */

(function () {
  "use strict";
  const book = (window.digitsBook = window.digitsBook || {});

  const SIDE = 28; // of the image that the network sees, and of a training digit
  const N_NEAREST = 8;
  const MAPS_IN_A_ROW = { wide: [16, 32, 32, 32, 32], narrow: [8, 16, 16, 16, 16] };
  const narrow = matchMedia("(max-width: 600px)");

  /* Take over those parts of the page; `find` returns an element of it by name. */
  function showInside(find) {
    function show({ image, run }) {
      showImage(image);
      showMaps(run);
      showNearest(run);
    }

    function showImage(image) {
      const context = find("seen").getContext("2d");
      const pixels = context.createImageData(SIDE, SIDE);
      for (let i = 0; i < SIDE * SIDE; i++) {
        const grey = image ? Math.round(255 * image[i]) : 0;
        pixels.data.set([grey, grey, grey, 255], 4 * i);
      }
      context.putImageData(pixels, 0, 0);
    }

    /* From dark to bright, readable for the colour-blind: night blue, blue, orange, pale yellow. */
    const STOPS = [[13, 17, 33], [38, 72, 140], [217, 122, 0], [255, 240, 190]];
    const COLOURS = Array.from({ length: 256 }, (_, i) => {
      const at = (i / 255) * (STOPS.length - 1);
      const left = Math.min(Math.floor(at), STOPS.length - 2);
      return STOPS[left].map((value, channel) => value + (STOPS[left + 1][channel] - value) * (at - left));
    });
    let stages = []; // for each ReLU: where its maps are shown

    /* Make room for the maps of a network; what they are is seen from a run on blank paper. */
    function prepareMaps(network) {
      const blank = network.run(new Float32Array(SIDE * SIDE));
      find("maps").replaceChildren();
      stages = blank.maps.flatMap((map, index) => (map.kind === "ReLU" ? [index] : [])).map((index, number) => {
        const { channels, height, width } = blank.maps[index];
        const columns = Math.min(MAPS_IN_A_ROW[narrow.matches ? "narrow" : "wide"][number] || 32, channels);
        const figure = document.createElement("figure");
        figure.innerHTML = `<figcaption>Convolution ${number + 1}: ${channels} maps of ${height} × ${width}</figcaption>`;
        const canvas = document.createElement("canvas");
        canvas.width = columns * (width + 1) - 1;
        canvas.height = Math.ceil(channels / columns) * (height + 1) - 1;
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", `What the ${channels} filters of convolution ${number + 1} found in your drawing`);
        figure.append(canvas);
        find("maps").append(figure);
        return { index, columns, canvas };
      });
    }

    /* The brightest number of a stage is its brightest colour. The square root lifts the weak ones out of the
       dark; without it one strong answer would hide all others. */
    function showMaps(run) {
      for (const { index, columns, canvas } of stages) {
        const context = canvas.getContext("2d");
        const picture = context.createImageData(canvas.width, canvas.height);
        if (run) {
          const { values, height, width, channels } = run.maps[index];
          const largest = values.reduce((most, value) => (value > most ? value : most), 1e-9);
          for (let place = 0, i = 0; place < height * width; place++) {
            const y = Math.floor(place / width), x = place % width;
            for (let channel = 0; channel < channels; channel++, i++) {
              const toX = (channel % columns) * (width + 1) + x;
              const toY = Math.floor(channel / columns) * (height + 1) + y;
              const colour = COLOURS[Math.round(255 * Math.sqrt(values[i] / largest))];
              const to = 4 * (toY * canvas.width + toX);
              picture.data[to] = colour[0];
              picture.data[to + 1] = colour[1];
              picture.data[to + 2] = colour[2];
              picture.data[to + 3] = 255;
            }
          }
        }
        context.putImageData(picture, 0, 0);
      }
    }

    // ---- The nearest digits ------------------------------------------------------------------------

    let neighbours = null; // null: not asked for; a promise: on the way; an object: here

    /* Load them, once; they are large and of no use before someone draws. */
    function loadNeighbours(whenHere) {
      if (neighbours) return neighbours;
      neighbours = Promise.all([book.loadBytes("neighbours.bin"), book.loadPicture("neighbours.png")])
        .then(([buffer, picture]) => {
          neighbours = { ...book.readArrays(buffer), picture };
          whenHere();
        })
        .catch((error) => {
          find("nearest-missing").hidden = false;
          console.error(error);
        });
      return neighbours;
    }

    /* The last maps, 1,152 numbers, boiled down to 32: the principal components. Digits are close to each other
       when those numbers are. */
    function nearest(features, count = N_NEAREST) {
      const { header, arrays } = neighbours;
      const { components, offset, points, labels } = arrays;
      const length = offset.length;
      const own = Float32Array.from(offset, (value) => -value);
      for (let i = 0; i < features.length; i++) {
        if (features[i] === 0) continue;
        for (let j = 0; j < length; j++) own[j] += features[i] * components[i * length + j];
      }
      const found = Array.from(labels, (label, index) => {
        let sum = 0;
        for (let j = 0; j < length; j++) {
          const difference = own[j] - header.scale * points[index * length + j];
          sum += difference * difference;
        }
        return { index, label, distance: Math.sqrt(sum) };
      });
      return found.sort((a, b) => a.distance - b.distance).slice(0, count);
    }

    const tiles = Array.from({ length: N_NEAREST }, () => {
      const item = document.createElement("li");
      item.innerHTML = `<canvas width="${SIDE}" height="${SIDE}" aria-hidden="true"></canvas><span></span>`;
      find("nearest").append(item);
      return { context: item.firstChild.getContext("2d"), label: item.lastChild };
    });

    function showNearest(run) {
      const here = run && neighbours && neighbours.arrays;
      const found = here ? nearest(run.features) : [];
      tiles.forEach(({ context, label }, i) => {
        context.clearRect(0, 0, SIDE, SIDE);
        label.textContent = found[i] ? found[i].label : "";
        if (!found[i]) return;
        const { columns } = neighbours.header;
        const x = (found[i].index % columns) * SIDE, y = Math.floor(found[i].index / columns) * SIDE;
        context.drawImage(neighbours.picture, x, y, SIDE, SIDE, 0, 0, SIDE, SIDE);
      });
    }

    return { show, prepareMaps, loadNeighbours, nearest, narrow };
  }

  book.showInside = showInside;
})();
