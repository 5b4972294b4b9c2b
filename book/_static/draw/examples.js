/* Digits that the page can draw by itself, for those who cannot or will not draw. Each is a list of strokes, a
   stroke a list of corners [x, y] on a sheet of 280 x 280. The last one is no digit. */

(function () {
  "use strict";
  const book = (window.digitsBook = window.digitsBook || {});

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

  /* Lines bend between the corners, as a hand's would: Catmull and Rom's curve, which passes through all points. */
  function bend(points) {
    const line = [points[0]];
    for (let i = 0; i + 1 < points.length; i++) {
      const [a, b, c, d] = [points[i - 1] || points[i], points[i], points[i + 1], points[i + 2] || points[i + 1]];
      for (let step = 1; step <= 6; step++) {
        const t = step / 6;
        line.push([0, 1].map((axis) => {
          const [p, q, r, s] = [a[axis], b[axis], c[axis], d[axis]];
          return 0.5 * (2 * q + (r - p) * t + (2 * p - 5 * q + 4 * r - s) * t * t + (3 * q - p - 3 * r + s) * t ** 3);
        }));
      }
    }
    return line;
  }

  book.examples = EXAMPLES.map((strokes) => strokes.map(bend));
})();
