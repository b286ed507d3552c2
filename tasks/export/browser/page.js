// The page: what a person draws, uploads, types or fills in becomes a row, and the graph answers it on this device.

import { Refusal, answerRow, fieldValue, openSession, readRow } from "./model.js";
import { pixelsOf } from "./pictures.js";
import * as ort from "./ort.wasm.bundle.min.js";

const BOARD = 280;
// Of the longer side, but never thinner than two of the model's pixels.
const LINE = 0.08;
const SHOWN_CLASSES = 10;
const place = (id) => document.getElementById(id);

let facts;
let session;
// Set while the row comes from a picture: {pixels, told}.
let picture = null;
let waiting = Promise.resolve();

export const started = start();

async function start() {
  try {
    const load = async (name) => {
      // Asked anew each time: a folder that was exported again must not meet the files that a browser kept.
      const answer = await fetch(name, { cache: "no-cache" });
      if (!answer.ok) throw new Error(`${name}: the server says ${answer.status}; the folder is not whole, export it again`);
      return answer;
    };
    facts = await (await load("model.json")).json();
    place("title").textContent = document.title = facts.title;
    const [graph, wasm] = await Promise.all(
      ["model.onnx", "ort-wasm-simd-threaded.wasm"].map(async (name) => (await load(name)).arrayBuffer()),
    );
    session = await openSession(ort, facts, graph, wasm);
    if (facts.image) drawBoard();
    else facts.inputs.forEach(addField);
    place("fields").classList.toggle("grid", !facts.image && facts.inputs.length > 1);
    place("form").hidden = false;
    place("form").addEventListener("submit", (event) => {
      event.preventDefault();
      ask();
    });
    place("state").textContent = "Answers are computed on this device; nothing that you enter leaves it.";
  } catch (error) {
    place("state").textContent = `The model could not be started: ${error.message}`;
    place("state").className = "refused";
    throw error;
  }
}

/** Answers what the form holds, shows the answer and returns it; one after another, since a session runs one row at a time. */
export function ask() {
  waiting = waiting.then(async () => {
    let answered;
    try {
      const row = facts.image ? pictureRow() : formRow();
      answered = await answerRow(ort, session, facts, readRow(row, facts));
      answered.notices.unshift(...(picture?.told ?? []));
    } catch (error) {
      answered = { error: error.message };
      if (!(error instanceof Refusal)) console.error(error);
    }
    show(answered);
    return answered;
  });
  return waiting;
}

function formRow() {
  return Object.fromEntries(facts.inputs.map((input, number) => [input.name, fieldValue(place(`field${number}`).value, input)]));
}

function pictureRow() {
  if (picture === null) throw new Refusal("there is no picture yet; draw one, or choose a file");
  return { [facts.inputs[0].name]: picture.pixels };
}

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function addField(input, number) {
  const id = `field${number}`;
  const usual = input.usual === null ? "" : `empty: missing, ${input.usual} stands for it`;
  const alone = facts.inputs.length === 1 || input.kind === "json";
  const field = element(alone && ["text", "json"].includes(input.kind) ? "textarea" : "input", { id, placeholder: usual });
  if (input.kind === "number") field.inputMode = "decimal";
  if (input.kind === "date") field.placeholder = `2026-01-31T12:00 (UTC)${usual ? `; ${usual}` : ""}`;
  const label = element("label", {}, element("span", { textContent: input.name }), field);
  if (input.kind === "category") {
    field.setAttribute("list", `${id}-known`);
    label.append(element("datalist", { id: `${id}-known` }, ...input.categories.map((value) => element("option", { value }))));
  }
  place("fields").append(label);
}

/** A board to draw on where images are grey, and a place for files. */
function drawBoard() {
  const [height, width, channels] = facts.inputs[0].shape;
  const file = element("input", { type: "file", id: "file", accept: "image/*" });
  file.addEventListener("change", () => file.files.length && takeFile(file.files[0]));
  const small = element("canvas", { id: "small", width, height, title: "what the model sees" });
  small.style.width = `${Math.min(4 * width, BOARD)}px`;
  if (channels === 1) {
    const scale = BOARD / Math.max(height, width);
    const board = element("canvas", { id: "board", width: Math.round(width * scale), height: Math.round(height * scale) });
    const dark = element("input", { type: "checkbox", id: "dark", checked: facts.image.dark_ink });
    const clear = element("button", { type: "button", textContent: "Clear" });
    for (const [target, event] of [[clear, "click"], [dark, "change"]]) target.addEventListener(event, () => clearBoard(board, dark.checked));
    drawOn(board, dark);
    clearBoard(board, dark.checked);
    place("fields").append(board, small, element("label", {}, dark, " dark ink on white"), clear);
  } else {
    place("fields").append(small);
  }
  place("fields").append(element("label", {}, element("span", { textContent: "or a picture file" }), file));
}

function clearBoard(board, dark) {
  const pen = board.getContext("2d", { willReadFrequently: true });
  pen.fillStyle = dark ? "#fff" : "#000";
  pen.fillRect(0, 0, board.width, board.height);
  takeBoard(board);
}

function drawOn(board, dark) {
  let last = null;
  const at = (event) => {
    const frame = board.getBoundingClientRect();
    return [((event.clientX - frame.left) * board.width) / frame.width, ((event.clientY - frame.top) * board.height) / frame.height];
  };
  board.addEventListener("pointerdown", (event) => {
    last = at(event);
  });
  board.addEventListener("pointermove", (event) => {
    if (last === null || event.buttons === 0) return;
    const pen = board.getContext("2d");
    pen.strokeStyle = dark.checked ? "#000" : "#fff";
    const [height, width] = facts.inputs[0].shape;
    pen.lineWidth = BOARD * Math.max(LINE, 2 / Math.max(height, width));
    pen.lineCap = "round";
    pen.beginPath();
    pen.moveTo(...last);
    last = at(event);
    pen.lineTo(...last);
    pen.stroke();
  });
  for (const end of ["pointerup", "pointerleave"]) {
    board.addEventListener(end, () => {
      if (last === null) return;
      last = null;
      takeBoard(board);
      ask();
    });
  }
}

function takeBoard(board) {
  const drawn = board.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, board.width, board.height);
  // A drawing has the model's proportions, so no rule about other sizes concerns it, and nothing is told of it.
  const made = pixelsOf(drawn, { ...facts, image: { ...facts.image, resize: "stretch" } });
  picture = { pixels: made.pixels, told: [] };
  showSmall();
}

/** A file's picture as the row, transparent pixels on the intake's background; then asks. */
export async function takeFile(file) {
  picture = null;
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", imageOrientation: "from-image" });
  } catch (error) {
    show({ error: `${file.name} cannot be read as an image (${error.message})` });
    return null;
  }
  const { width, height } = bitmap;
  const pen = element("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  pen.drawImage(bitmap, 0, 0);
  const seeThrough = pen.getImageData(0, 0, width, height).data.some((value, at) => at % 4 === 3 && value < 255);
  pen.globalCompositeOperation = "destination-over";
  pen.fillStyle = `rgb(${Array(3).fill(facts.image.background).join(" ")})`;
  pen.fillRect(0, 0, width, height);
  try {
    picture = pixelsOf(pen.getImageData(0, 0, width, height), facts);
  } catch (error) {
    show({ error: `${file.name} ${error.message}` });
    return null;
  }
  if (seeThrough) picture.told.unshift("the image is converted: transparent pixels on the background");
  showSmall();
  return ask();
}

function showSmall() {
  const [height, width, channels] = facts.inputs[0].shape;
  const seen = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      seen.data[4 * pixel + channel] = picture.pixels[channels * pixel + (channels === 3 ? channel : 0)];
    }
    seen.data[4 * pixel + 3] = 255;
  }
  place("small")?.getContext("2d").putImageData(seen, 0, 0);
}

function show(answered) {
  place("notices").replaceChildren(...(answered.notices ?? []).map((told) => element("li", { textContent: told })));
  if (answered.error) {
    place("result").replaceChildren(element("p", { className: "refused", textContent: answered.error }));
    return;
  }
  const shown = [element("h2", { textContent: answered.answer })];
  const rest = facts.outputs.slice(1).filter((name) => name !== "probability" || facts.classes === null);
  if (facts.classes !== null && Array.isArray(answered.probability)) shown.push(probabilities(answered.probability));
  for (const name of rest) shown.push(element("p", { textContent: `${name}: ${JSON.stringify(answered[name])}` }));
  place("result").replaceChildren(...shown);
}

function probabilities(values) {
  const order = values.map((value, number) => [value, facts.classes[number]]).sort((one, other) => other[0] - one[0]);
  const lines = order.slice(0, SHOWN_CLASSES).map(([value, name]) =>
    element("tr", {}, element("td", { textContent: name }), element("td", {}, element("meter", { value: value ?? 0 })),
      element("td", { textContent: value === null ? "?" : value.toFixed(3) })));
  return element("table", {}, element("tbody", {}, ...lines));
}
