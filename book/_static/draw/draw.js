/* The page: collect strokes, ask the network, show what it made of them. */

(function () {
  "use strict";
  const book = (window.digitsBook = window.digitsBook || {});
  const page = document.getElementById("draw");
  if (!page) return;
  const find = (name) => page.querySelector(`[data-draw="${name}"]`);
  const inside = book.showInside(find);

  const SIZE = 280; // the sheet, in its own pixels; on the screen it may be larger or smaller
  const PEN = 18; // the pen's width, in the same pixels
  const PAUSE = 600; // milliseconds without a stroke until the answer is spoken

  // ---- The sheet ---------------------------------------------------------------------------------

  const sheet = find("sheet"); // what the reader sees, as sharp as the screen allows
  const view = sheet.getContext("2d");
  /* What is read: how much of each pixel the pen has covered, from 0 to 255. It is worked out from the strokes,
     for browsers that guard their readers' privacy give noise or white when a canvas is read. */
  const ink = new Uint8Array(SIZE * SIZE);
  let inkColour = "#000"; // on the screen; it depends on light and dark
  let strokes = []; // each a list of points [x, y], from 0 to SIZE

  /* Draw a stroke from one of its points on; a stroke of one point is a dot. */
  function drawStroke(stroke, from) {
    for (let i = from; i < stroke.length; i++) addInk(stroke[Math.max(i - 1, from)], stroke[i]);
    const scale = sheet.width / SIZE;
    view.strokeStyle = view.fillStyle = inkColour;
    if (stroke.length === 1) {
      view.beginPath();
      view.arc(stroke[0][0] * scale, stroke[0][1] * scale, (PEN / 2) * scale, 0, 2 * Math.PI);
      view.fill();
      return;
    }
    view.lineWidth = PEN * scale;
    view.lineCap = view.lineJoin = "round";
    view.beginPath();
    view.moveTo(stroke[from][0] * scale, stroke[from][1] * scale);
    for (const [x, y] of stroke.slice(from)) view.lineTo(x * scale, y * scale);
    view.stroke();
  }

  /* Ink each pixel by its middle's distance from the line: full up to the pen's edge, which is one pixel soft. */
  function addInk([fromX, fromY], [toX, toY]) {
    const alongX = toX - fromX, alongY = toY - fromY, length2 = alongX ** 2 + alongY ** 2 || 1;
    const first = (a, b) => Math.max(0, Math.floor(Math.min(a, b) - PEN / 2 - 1));
    const last = (a, b) => Math.min(SIZE - 1, Math.ceil(Math.max(a, b) + PEN / 2));
    for (let y = first(fromY, toY); y <= last(fromY, toY); y++) {
      for (let x = first(fromX, toX); x <= last(fromX, toX); x++) {
        const awayX = x + 0.5 - fromX, awayY = y + 0.5 - fromY;
        const share = Math.min(1, Math.max(0, (awayX * alongX + awayY * alongY) / length2));
        const away = Math.sqrt((awayX - share * alongX) ** 2 + (awayY - share * alongY) ** 2);
        const covered = Math.round(255 * Math.min(1, PEN / 2 + 0.5 - away));
        if (covered > ink[y * SIZE + x]) ink[y * SIZE + x] = covered;
      }
    }
  }

  function redraw() {
    view.clearRect(0, 0, sheet.width, sheet.height);
    ink.fill(0);
    inkColour = getComputedStyle(sheet).color;
    for (const stroke of strokes) drawStroke(stroke, 0);
    sheet.parentElement.classList.toggle("empty", strokes.length === 0);
  }

  function fitToScreen() {
    const pixels = Math.round(sheet.clientWidth * (window.devicePixelRatio || 1));
    if (pixels && pixels !== sheet.width) {
      sheet.width = sheet.height = pixels;
      redraw();
    }
  }

  // ---- Pen, finger, mouse and keys ---------------------------------------------------------------

  let pointer = null; // the one that is drawing
  let penDrew = false; // on this sheet; what else touches it is the hand that holds the pen
  let palms = []; // strokes by touch that are unfinished, broken off by the system, or a mere dot

  function pointOf(event) {
    const frame = sheet.getBoundingClientRect();
    return [
      ((event.clientX - frame.left - sheet.clientLeft) / sheet.clientWidth) * SIZE,
      ((event.clientY - frame.top - sheet.clientTop) / sheet.clientHeight) * SIZE,
    ];
  }

  sheet.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const atWork = pointer !== null && sheet.hasPointerCapture(pointer);
    if (atWork && event.pointerType !== "pen" && event.pointerId !== pointer) return; // a second finger
    if (penDrew && event.pointerType === "touch") return;
    event.preventDefault();
    if (event.pointerType === "pen" && !penDrew) {
      penDrew = true;
      strokes = strokes.filter((stroke) => !palms.includes(stroke));
      redraw();
    }
    stopExample();
    clearTimeout(speaking);
    pointer = event.pointerId;
    try {
      sheet.setPointerCapture(pointer);
    } catch {
      // It has been lifted already: what comes next takes over from it.
    }
    sheet.classList.add("by-pointer"); // no ring around the sheet while a pen is at work
    sheet.focus({ preventScroll: true }); // so that Undo and Clear work by key at once
    strokes.push([pointOf(event)]);
    if (event.pointerType === "touch") palms.push(strokes.at(-1));
    sheet.parentElement.classList.remove("empty");
    drawStroke(strokes.at(-1), 0);
    inside.loadNeighbours(neighboursAreHere);
    look();
  });

  sheet.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    const stroke = strokes.at(-1);
    const from = stroke.length - 1;
    const passed = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const each of passed.length ? passed : [event]) stroke.push(pointOf(each));
    drawStroke(stroke, from);
    look();
  });

  function lift(event) {
    if (pointer === null || (event.type !== "blur" && event.pointerId !== pointer)) return;
    const [x, y] = strokes.at(-1)[0];
    const isDot = strokes.at(-1).every((point) => Math.hypot(point[0] - x, point[1] - y) < PEN);
    if (event.type === "pointerup" && !isDot) palms = palms.filter((stroke) => stroke !== strokes.at(-1));
    pointer = null;
    answer(event.timeStamp);
  }
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) sheet.addEventListener(name, lift);
  window.addEventListener("blur", lift);

  /* Both end a stroke that is going on, or a resting hand would lock the page. */
  function undo() {
    pointer = null;
    stopExample();
    strokes.pop();
    redraw();
    answer(performance.now());
  }

  function clear() {
    pointer = null;
    penDrew = false;
    palms = [];
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

  let nextExample = Math.floor(Math.random() * 10);
  let running = null;

  function stopExample() {
    if (running !== null) cancelAnimationFrame(running);
    running = null;
  }

  /* Let the page draw one of its examples. */
  function drawExample() {
    clear();
    inside.loadNeighbours(neighboursAreHere);
    const lines = book.examples[nextExample].map((line) => [...line]);
    nextExample = (nextExample + 1) % book.examples.length;
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
        inside.show(seen);
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
      const took = performance.now() - since; // 0 where the browser keeps its clock coarse
      find("time").textContent = took > 0 ? `Answered in ${Math.max(1, Math.round(took))} ms.` : "";
    }
    frame = requestAnimationFrame(() => {
      frame = requestAnimationFrame(() => {
        frame = null;
        inside.show(seen);
        if (pointer === null) speaking = setTimeout(() => announce(seen), seen.run ? PAUSE : 0);
      });
    });
  }

  function recognise() {
    const points = countPoints();
    if (!network) return { points };
    const asMnist = find("switch").checked;
    const image = points ? (asMnist ? book.prepare : book.shrinkOnly)(ink, SIZE) : null;
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

  // ---- Begin -------------------------------------------------------------------------------------

  function again() {
    inside.show(recognise());
  }

  function neighboursAreHere() {
    const atRest = pointer === null && frame === null && running === null;
    if (atRest && strokes.length) again(); // else they are shown with the next look
  }
  find("switch").addEventListener("change", () => answer(performance.now()));
  inside.narrow.addEventListener("change", () => {
    if (!network) return;
    inside.prepareMaps(network);
    again();
  });
  new ResizeObserver(fitToScreen).observe(sheet);
  new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(forced-colors: active)").addEventListener("change", redraw);
  page.hidden = false;
  fitToScreen();
  redraw();

  book.ready = book.loadBytes("network.bin")
    .then((buffer) => {
      network = book.network = book.readNetwork(buffer);
      inside.prepareMaps(network);
      for (let i = 0; i < 10; i++) network.run(new Float32Array(784).fill(0.5)); // what has run often runs faster
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
      inside.show(seen);
      return seen;
    },
    readInk: () => ink,
    nearest: inside.nearest,
    loadNeighbours: async () => inside.loadNeighbours(neighboursAreHere),
  });
})();
