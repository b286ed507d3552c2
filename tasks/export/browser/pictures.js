// Pictures as rows: resized and made grey as Pillow does it for training rows. It goes along rows or along columns first,
// whichever is cheaper to it; here rows come first, so a resized picture may be one grey level beside.

import { Refusal } from "./model.js";

const COLOURED = 24;
const COLOURED_SHARE = 0.001;
const BITS = 22;

/**
 * The pixels of a picture as the model takes them, height x width x channels bytes, and what was changed on the way.
 * picture: {width, height, data: RGBA bytes}, without transparency. Throws Refusal.
 */
export function pixelsOf(picture, facts) {
  const [height, width, channels] = facts.inputs[0].shape;
  const told = [];
  let rgb = { width: picture.width, height: picture.height, data: withoutAlpha(picture.data) };
  if (rgb.width !== width || rgb.height !== height) {
    const size = `${width} x ${height}`;
    const rule = facts.image.resize;
    if (rule === "error") {
      throw new Refusal(`is ${rgb.width} x ${rgb.height}; want ${size} (intake.resize: error)`);
    }
    told.push(`the image is ${rgb.width} x ${rgb.height} pixels, made ${size} (intake.resize: ${rule})`);
    rgb = fitted(rgb, width, height, rule, facts.image.background);
  }
  if (channels === 3) return { pixels: Array.from(rgb.data), told };
  if (hasColour(rgb.data)) told.push("the image has colours, made grey (intake.channels: 1)");
  return { pixels: Array.from(grey(rgb.data)), told };
}

function withoutAlpha(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let at = 0, to = 0; at < rgba.length; at += 4) {
    rgb[to++] = rgba[at];
    rgb[to++] = rgba[at + 1];
    rgb[to++] = rgba[at + 2];
  }
  return rgb;
}

/** ITU-R 601 in fixed point. */
function grey(rgb) {
  const levels = new Uint8Array(rgb.length / 3);
  for (let pixel = 0; pixel < levels.length; pixel++) {
    const at = 3 * pixel;
    levels[pixel] = (rgb[at] * 19595 + rgb[at + 1] * 38470 + rgb[at + 2] * 7471 + 0x8000) >>> 16;
  }
  return levels;
}

function hasColour(rgb) {
  let coloured = 0;
  for (let at = 0; at < rgb.length; at += 3) {
    const [red, green, blue] = [rgb[at], rgb[at + 1], rgb[at + 2]];
    coloured += Math.max(red, green, blue) - Math.min(red, green, blue) > COLOURED;
  }
  return coloured / (rgb.length / 3) > COLOURED_SHARE;
}

function fitted(rgb, width, height, rule, background) {
  const [ratio, wanted] = [rgb.width / rgb.height, width / height];
  if (rule === "pad") {
    let [inner, tall] = [width, height];
    if (ratio > wanted) tall = roundHalfEven((rgb.height / rgb.width) * width);
    if (ratio < wanted) inner = roundHalfEven((rgb.width / rgb.height) * height);
    const content = resized(rgb, inner, tall, [0, 0, rgb.width, rgb.height]);
    return padded(content, width, height, background);
  }
  let box = [0, 0, rgb.width, rgb.height];
  if (rule === "crop" && ratio > wanted) {
    const kept = wanted * rgb.height;
    box = [(rgb.width - kept) / 2, 0, (rgb.width - kept) / 2 + kept, rgb.height];
  } else if (rule === "crop" && ratio < wanted) {
    const kept = rgb.width / wanted;
    box = [0, (rgb.height - kept) / 2, rgb.width, (rgb.height - kept) / 2 + kept];
  }
  return resized(rgb, width, height, box);
}

function padded(content, width, height, background) {
  const data = new Uint8Array(3 * width * height).fill(background);
  const left = content.width === width ? 0 : roundHalfEven((width - content.width) / 2);
  const top = content.width === width ? roundHalfEven((height - content.height) / 2) : 0;
  for (let line = 0; line < content.height; line++) {
    const row = content.data.subarray(3 * content.width * line, 3 * content.width * (line + 1));
    data.set(row, 3 * ((top + line) * width + left));
  }
  return { width, height, data };
}

function roundHalfEven(value) {
  const low = Math.floor(value);
  return value - low === 0.5 ? low + (low % 2) : Math.round(value);
}

/** Pillow's bilinear filter with antialiasing: first along rows, then along columns, in fixed point. */
function resized({ width, height, data }, toWidth, toHeight, [left, top, right, bottom]) {
  let [pixels, wide] = [data, width];
  if (toWidth !== width || left !== 0 || right !== toWidth) {
    pixels = filtered(pixels, weightsOf(width, left, right, toWidth), height, (line, x) => 3 * (line * width + x), (line, x) => 3 * (line * toWidth + x));
    wide = toWidth;
  }
  if (toHeight !== height || top !== 0 || bottom !== toHeight) {
    pixels = filtered(pixels, weightsOf(height, top, bottom, toHeight), wide, (column, y) => 3 * (y * wide + column), (column, y) => 3 * (y * wide + column));
  }
  return { width: toWidth, height: toHeight, data: pixels };
}

function weightsOf(size, from, to, wanted) {
  const scale = (to - from) / wanted;
  const support = Math.max(scale, 1);
  return Array.from({ length: wanted }, (_, place) => {
    const centre = from + (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(size, Math.trunc(centre + support + 0.5));
    const weights = [];
    for (let at = first; at < end; at++) weights.push(Math.max(0, 1 - Math.abs((at - centre + 0.5) * (1 / support))));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => Math.trunc(0.5 + (weight / sum) * 2 ** BITS)) };
  });
}

function filtered(data, weights, lines, source, target) {
  const made = new Uint8Array(3 * lines * weights.length);
  for (let line = 0; line < lines; line++) {
    weights.forEach(({ first, weights: factors }, place) => {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 2 ** (BITS - 1);
        for (let at = 0; at < factors.length; at++) sum += data[source(line, first + at) + channel] * factors[at];
        made[target(line, place) + channel] = Math.min(255, sum >> BITS);
      }
    });
  }
  return made;
}
