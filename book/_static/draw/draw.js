/* The page: collect strokes, ask the network, show what it made of them. */

(function () {
  "use strict";
  const book = (window.digitsBook = window.digitsBook || {});
  const page = document.getElementById("draw");
  if (!page) return;
  const find = (name) => page.querySelector(`[data-draw="${name}"]`);
  const folder = new URL(".", document.currentScript.src);

  const SIZE = 280; // the sheet, in its own pixels; on the screen it may be larger or smaller
  const PEN = 18; // the pen's width, in the same pixels
  const SIDE = 28;
  const N_NEAREST = 8;
  const PAUSE = 600; // milliseconds without a stroke until the answer is spoken
  const MAPS_IN_A_ROW = { wide: [16, 32, 32, 32, 32], narrow: [8, 16, 16, 16, 16] };

  // ---- Files -------------------------------------------------------------------------------------

  /* A page opened from a folder (file://) may run scripts but not fetch data. For it, the same bytes lie in
     a script, as text; the site's build writes it. */
  async function loadBytes(name) {
    if (location.protocol.startsWith("http")) {
      const answer = await fetch(new URL(name, folder));
      if (!answer.ok) throw new Error(`${name}: the server answered ${answer.status}`);
      return answer.arrayBuffer();
    }
    await new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = new URL(`${name}.js`, folder);
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${name}.js is missing`));
      document.head.append(script);
    });
    return Uint8Array.from(atob(book.offlineData[name]), (letter) => letter.charCodeAt(0)).buffer;
  }

  function loadPicture(name) {
    return new Promise((resolve, reject) => {
      const picture = new Image();
      picture.onload = () => resolve(picture);
      picture.onerror = () => reject(new Error(`${name} is missing`));
      picture.src = new URL(name, folder);
    });
  }

  // ---- The sheet ---------------------------------------------------------------------------------

  const sheet = find("sheet"); // what the reader sees, as sharp as the screen allows
  const view = sheet.getContext("2d");
  const inkSheet = Object.assign(document.createElement("canvas"), { width: SIZE, height: SIZE });
  const inkView = inkSheet.getContext("2d", { willReadFrequently: true }); // what is read
  let inkColour = "#000"; // on the screen; it depends on light and dark
  let strokes = []; // each a list of points [x, y], from 0 to SIZE

  /* Draw a stroke from one of its points on; a stroke of one point is a dot. */
  function drawStroke(context, scale, stroke, from) {
    context.strokeStyle = context.fillStyle = context === view ? inkColour : "#000";
    if (stroke.length === 1) {
      context.beginPath();
      context.arc(stroke[0][0] * scale, stroke[0][1] * scale, (PEN / 2) * scale, 0, 2 * Math.PI);
      context.fill();
      return;
    }
    context.lineWidth = PEN * scale;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(stroke[from][0] * scale, stroke[from][1] * scale);
    for (const [x, y] of stroke.slice(from)) context.lineTo(x * scale, y * scale);
    context.stroke();
  }

  function drawLatest(stroke, from) {
    drawStroke(view, sheet.width / SIZE, stroke, from);
    drawStroke(inkView, 1, stroke, from);
  }

  function redraw() {
    view.clearRect(0, 0, sheet.width, sheet.height);
    inkView.clearRect(0, 0, SIZE, SIZE);
    inkColour = getComputedStyle(sheet).color;
    for (const stroke of strokes) drawLatest(stroke, 0);
    sheet.parentElement.classList.toggle("empty", strokes.length === 0);
  }

  function fitToScreen() {
    const pixels = Math.round(sheet.clientWidth * (window.devicePixelRatio || 1));
    if (pixels && pixels !== sheet.width) {
      sheet.width = sheet.height = pixels;
      redraw();
    }
  }

  /* The ink on the sheet: how much of each pixel the pen has covered, from 0 to 255. */
  function readInk() {
    const { data } = inkView.getImageData(0, 0, SIZE, SIZE);
    const ink = new Uint8Array(SIZE * SIZE);
    for (let i = 0; i < ink.length; i++) ink[i] = data[4 * i + 3];
    return ink;
  }

  // ---- Pen, finger, mouse and keys ---------------------------------------------------------------

  let pointer = null; // the one that is drawing

  function pointOf(event) {
    const frame = sheet.getBoundingClientRect();
    return [
      ((event.clientX - frame.left - sheet.clientLeft) / sheet.clientWidth) * SIZE,
      ((event.clientY - frame.top - sheet.clientTop) / sheet.clientHeight) * SIZE,
    ];
  }

  sheet.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button !== 0) return; // a second finger, or another button
    event.preventDefault();
    stopExample();
    clearTimeout(speaking);
    pointer = event.pointerId;
    sheet.setPointerCapture(pointer);
    sheet.classList.add("by-pointer"); // no ring around the sheet while a pen is at work
    sheet.focus({ preventScroll: true }); // so that Undo and Clear work by key at once
    strokes.push([pointOf(event)]);
    sheet.parentElement.classList.remove("empty");
    drawLatest(strokes.at(-1), 0);
    loadNeighbours();
    look();
  });

  sheet.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    const stroke = strokes.at(-1);
    const from = stroke.length - 1;
    const passed = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const each of passed.length ? passed : [event]) stroke.push(pointOf(each));
    drawLatest(stroke, from);
    look();
  });

  function lift(event) {
    if (event.pointerId !== pointer) return;
    pointer = null;
    answer(event.timeStamp);
  }
  sheet.addEventListener("pointerup", lift);
  sheet.addEventListener("pointercancel", lift);

  function undo() {
    if (pointer !== null) return;
    stopExample();
    strokes.pop();
    redraw();
    answer(performance.now());
  }

  function clear() {
    if (pointer !== null) return;
    stopExample();
    strokes = [];
    redraw();
    answer(performance.now());
  }

  for (const name of ["keydown", "blur"]) {
    sheet.addEventListener(name, () => sheet.classList.remove("by-pointer"));
  }
  find("undo").addEventListener("click", undo);
  find("clear").addEventListener("click", clear);
  page.addEventListener("keydown", (event) => {
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (((event.ctrlKey || event.metaKey) && event.key === "z") || (plain && event.key === "Backspace")) undo();
    else if (plain && (event.key === "Delete" || event.key === "Escape")) clear();
    else return;
    event.preventDefault();
  });

  // ---- Examples, for those who cannot or will not draw -------------------------------------------

  const EXAMPLES = [
    [[[150, 60], [112, 72], [92, 110], [88, 155], [100, 200], [136, 222], [172, 210], [192, 170], [190, 120], [176, 80], [150, 60]]],
    [[[112, 96], [146, 58], [146, 222]]],
    [[[92, 92], [112, 64], [150, 58], [178, 82], [172, 120], [140, 160], [92, 218], [194, 216]]],
    [[[96, 72], [130, 56], [168, 68], [174, 100], [154, 126], [124, 134], [160, 140], [184, 170], [174, 208], [132, 224], [92, 208]]],
    [[[112, 58], [92, 150], [190, 150]], [[170, 92], [164, 224]]],
    [[[104, 62], [98, 130], [136, 118], [174, 134], [186, 172], [168, 210], [128, 222], [92, 208]], [[104, 62], [182, 60]]],
    [[[166, 56], [124, 92], [98, 146], [98, 194], [126, 222], [164, 214], [178, 180], [160, 152], [124, 156], [100, 184]]],
    [[[88, 66], [190, 64], [156, 130], [128, 224]]],
    [[[172, 84], [142, 58], [108, 74], [108, 106], [142, 134], [176, 168], [170, 206], [138, 222], [104, 206], [102, 172], [136, 140], [170, 112], [172, 84]]],
    [[[178, 98], [152, 62], [112, 66], [94, 102], [112, 134], [152, 132], [176, 100], [174, 160], [160, 222]]],
    [[[140, 222], [84, 150], [76, 104], [104, 76], [140, 108], [176, 76], [204, 104], [196, 150], [140, 222]]], // a heart
  ];
  let nextExample = Math.floor(Math.random() * 10);
  let running = null;

  function stopExample() {
    if (running !== null) cancelAnimationFrame(running);
    running = null;
  }

  /* Let the page draw. The lines bend between the points, as a hand's would. */
  function drawExample() {
    if (pointer !== null) return;
    clear();
    loadNeighbours();
    const lines = EXAMPLES[nextExample].map(bend);
    nextExample = (nextExample + 1) % EXAMPLES.length;
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      strokes = lines;
      redraw();
      answer(performance.now());
      return;
    }
    const left = lines.flatMap((line) => line.map((point, i) => ({ point, begins: i === 0 })));
    const grow = () => {
      for (const { point, begins } of left.splice(0, 4)) {
        if (begins) strokes.push([]);
        strokes.at(-1).push(point);
      }
      redraw();
      if (left.length) {
        look();
        running = requestAnimationFrame(grow);
      } else {
        running = null;
        answer(performance.now());
      }
    };
    running = requestAnimationFrame(grow);
  }

  function bend(points) {
    const line = [points[0]];
    for (let i = 0; i + 1 < points.length; i++) {
      const [a, b, c, d] = [points[i - 1] || points[i], points[i], points[i + 1], points[i + 2] || points[i + 1]];
      for (let step = 1; step <= 6; step++) {
        const t = step / 6; // Catmull and Rom's curve, which passes through all points
        line.push([0, 1].map((axis) => {
          const [p, q, r, s] = [a[axis], b[axis], c[axis], d[axis]];
          return 0.5 * (2 * q + (r - p) * t + (2 * p - 5 * q + 4 * r - s) * t * t + (3 * q - p - 3 * r + s) * t ** 3);
        }));
      }
    }
    return line;
  }

  find("example").addEventListener("click", drawExample);

  // ---- The answer --------------------------------------------------------------------------------

  let network = null;
  let frame = null; // a look that has been asked for and not yet taken
  let speaking = null; // what is about to be said
  const bars = Array.from({ length: 10 }, (_, digit) => {
    const row = document.createElement("li");
    row.innerHTML = `<span class="digit">${digit}</span><span class="bar"><i></i></span><span class="share"></span>`;
    find("bars").append(row);
    return { row, bar: row.querySelector("i"), share: row.querySelector(".share") };
  });
  const percent = (share) => (share > 0 && share < 0.005 ? "<1" : Math.round(100 * share)) + "%";

  /* While the pen is down: look once a frame, the first time at what counts, the next time at the rest. */
  function look() {
    if (frame !== null) return;
    frame = requestAnimationFrame(() => {
      frame = null;
      const seen = recognise();
      frame = requestAnimationFrame(() => {
        frame = null;
        showDetails(seen);
        if (pointer !== null && seen.points !== countPoints()) look();
      });
    });
  }

  const countPoints = () => strokes.reduce((sum, stroke) => sum + stroke.length, 0);

  /* When the pen is lifted: the answer at once; everything else when the answer is on the screen, which
     takes a frame. */
  function answer(since) {
    if (frame !== null) cancelAnimationFrame(frame);
    clearTimeout(speaking);
    const seen = recognise();
    if (seen.run) {
      const milliseconds = Math.max(1, Math.round(performance.now() - since));
      find("time").textContent = `Answered in ${milliseconds} ms.`;
    }
    frame = requestAnimationFrame(() => {
      frame = requestAnimationFrame(() => {
        frame = null;
        showDetails(seen);
        if (pointer === null) speaking = setTimeout(() => announce(seen), seen.run ? PAUSE : 0);
      });
    });
  }

  function recognise() {
    const points = countPoints();
    if (!network) return { points };
    const asMnist = find("switch").checked;
    const image = points ? (asMnist ? book.prepare : book.shrinkOnly)(readInk(), SIZE) : null;
    const run = image && network.run(image);
    const seen = { points, image, run, asMnist };
    if (run) {
      seen.digit = run.probabilities.indexOf(Math.max(...run.probabilities));
      seen.share = run.probabilities[seen.digit];
      seen.unsure = seen.share < network.header.hint_below;
    }
    showAnswer(seen);
    return seen;
  }

  function showAnswer({ run, digit, share, unsure, asMnist }) {
    page.classList.toggle("answered", Boolean(run));
    page.classList.toggle("unsure", Boolean(run && unsure));
    // Without the preparation, the doubt may come from that, and not from the drawing.
    const doubt = asMnist ? "Not a digit?" : "Unsure.";
    find("digit").textContent = run ? digit : "";
    find("verdict").textContent = !run
      ? "Draw a digit, large or small, anywhere on the sheet."
      : unsure
        ? `${doubt} Nothing gets more than ${percent(share)}.`
        : `The network gives it ${percent(share)}.`;
    if (!run) find("time").textContent = "";
    bars.forEach(({ row, bar, share: number }, i) => {
      const value = run ? run.probabilities[i] : 0;
      row.classList.toggle("first", Boolean(run) && i === digit);
      bar.style.transform = `scaleX(${value})`;
      number.textContent = run ? percent(value) : "";
    });
  }

  /* For screen readers, when the pen has rested for a moment; a 4 may have a second stroke to come. */
  function announce({ run, digit, share, unsure, asMnist }) {
    find("spoken").textContent = !run
      ? ""
      : unsure
        ? `${asMnist ? "Perhaps not a digit" : "Unsure"}. The best guess is ${digit}, with ${percent(share)}.`
        : `${digit}, with ${percent(share)}.`;
  }

  // ---- What the network saw ----------------------------------------------------------------------

  function showDetails({ image, run }) {
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
  const narrow = matchMedia("(max-width: 600px)");
  let stages = []; // for each ReLU: where its maps are shown

  function prepareStages() {
    const blank = network.run(new Float32Array(SIDE * SIDE));
    network.run(new Float32Array(SIDE * SIDE).fill(0.5)); // the browser compiles what it sees often
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

  function loadNeighbours() {
    if (neighbours) return;
    neighbours = Promise.all([loadBytes("neighbours.bin"), loadPicture("neighbours.png")])
      .then(([buffer, picture]) => {
        neighbours = { ...book.readArrays(buffer), picture };
        if (pointer === null && frame === null && running === null && strokes.length) showDetails(recognise());
      })
      .catch((error) => {
        find("nearest-missing").hidden = false;
        console.error(error);
      });
  }

  /* The last maps, 1,152 numbers, boiled down to 32: the principal components. Digits are close to each other
     when those numbers are. */
  function nearest(features, count) {
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
    const found = here ? nearest(run.features, N_NEAREST) : [];
    tiles.forEach(({ context, label }, i) => {
      context.clearRect(0, 0, SIDE, SIDE);
      label.textContent = found[i] ? found[i].label : "";
      if (!found[i]) return;
      const { columns } = neighbours.header;
      const x = (found[i].index % columns) * SIDE, y = Math.floor(found[i].index / columns) * SIDE;
      context.drawImage(neighbours.picture, x, y, SIDE, SIDE, 0, 0, SIDE, SIDE);
    });
  }

  // ---- Begin -------------------------------------------------------------------------------------

  function again() {
    showDetails(recognise());
  }
  find("switch").addEventListener("change", () => answer(performance.now()));
  narrow.addEventListener("change", () => network && (prepareStages(), again()));
  new ResizeObserver(fitToScreen).observe(sheet);
  new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  page.hidden = false;
  fitToScreen();
  redraw();

  book.ready = loadBytes("network.bin")
    .then((buffer) => {
      network = book.network = book.readNetwork(buffer);
      prepareStages();
      again();
      page.classList.add("ready");
    })
    .catch((error) => {
      find("verdict").textContent = "The network could not be loaded; please reload the page.";
      throw error;
    });

  Object.assign(book, {
    /* Read strokes without a pointer: lists of points [x, y] on a sheet of 280 x 280. */
    read(lines) {
      stopExample();
      strokes = lines.map((line) => line.map((point) => [...point]));
      redraw();
      const seen = recognise();
      showDetails(seen);
      return seen;
    },
    readInk,
    nearest: (features, count = N_NEAREST) => nearest(features, count),
    loadNeighbours: () => (loadNeighbours(), Promise.resolve(neighbours)),
  });
})();
