// Rows as the model server takes them, and what the graph answers: the same for the page and for answer.mjs.

export class Refusal extends Error {}

const ARRAYS = {
  float32: Float32Array, float64: Float64Array, bool: Uint8Array,
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array,
  int8: Int8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array,
};
const LARGEST = { float32: "3.4e+38", float64: "1.8e+308" };
const NAMES = { float32: "FP32", float64: "FP64", str: "BYTES" };
// Of whole numbers; JSON's numbers are exact up to 2^53 only.
const RANGES = {
  uint8: [0, 255], uint16: [0, 65535], uint32: [0, 4294967295], uint64: [0, Number.MAX_SAFE_INTEGER],
  int8: [-128, 127], int16: [-32768, 32767], int32: [-2147483648, 2147483647],
  int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
};
const SHOWN = 60;
const NOTICES = 20;

/** A session of the runtime with the graph, which must be the one that model.json describes. */
export async function openSession(ort, facts, graph, wasm) {
  // Browsers give this only to pages from https:// or this machine.
  if (globalThis.crypto?.subtle) {
    const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", graph));
    const digest = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (digest !== facts.graph_digest) {
      throw new Error(`model.onnx: digest ${digest.slice(0, 12)} instead of ${facts.graph_digest.slice(0, 12)}; export it again`);
    }
  }
  // More threads need headers that static file servers do not send.
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = wasm;
  return ort.InferenceSession.create(new Uint8Array(graph), { executionProviders: ["wasm"] });
}

/** The typed values of one row: an object by input, or of a model with one input its value alone. Throws Refusal. */
export function readRow(given, facts) {
  const names = facts.inputs.map((input) => input.name);
  const row = isObject(given) ? given : names.length === 1 ? { [names[0]]: given } : null;
  if (row === null) throw new Refusal(`is ${shorten(given)}; want an object with ${names.join(", ")}`);
  for (const name of Object.keys(row)) {
    if (!names.includes(name)) {
      const meant = nearest(name, names);
      throw new Refusal(`${shorten(name)} is no input; want ${names.slice(0, 20).map(repr).join(" or ")}` +
        (meant === null ? "" : `; did you mean ${repr(meant)}?`));
    }
  }
  const missing = names.find((name) => !Object.hasOwn(row, name));
  if (missing !== undefined) {
    throw new Refusal(`has no ${repr(missing)}; want ${names.join(", ")} (null stands for a missing value)`);
  }
  return new Map(facts.inputs.map((input) => [input.name, typedValues(row[input.name], input, facts)]));
}

/** The value of a form's field, as readRow takes it: null where it is empty. Throws Refusal. */
export function fieldValue(text, input) {
  if (input.kind === "text") return text;
  const plain = text.trim();
  if (plain === "") return null;
  switch (input.kind) {
    case "category":
      return input.categories.includes(text) ? text : plain;
    case "number":
      if (!/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(plain)) {
        const example = input.usual ?? "0";
        throw new Refusal(`${input.name} is ${repr(plain.slice(0, SHOWN))}; want a number such as ${example}, ` +
          "without separators or units, or nothing");
      }
      return Number(plain);
    case "date": {
      // A moment without a zone is UTC, as in training rows.
      const seconds = Date.parse(/([zZ]|[+-]\d\d:?\d\d)$/.test(plain) ? plain : isoDay(plain)) / 1000;
      if (!Number.isFinite(seconds)) {
        throw new Refusal(`${input.name} is ${repr(plain.slice(0, SHOWN))}; want a date in ISO 8601 such as 2026-01-31T12:00, or nothing`);
      }
      return seconds;
    }
    default:
      try {
        return JSON.parse(plain);
      } catch {
        throw new Refusal(`${input.name} is ${shorten(plain)}; want JSON: ${wantedValues(input.dtype)}`);
      }
  }
}

function isoDay(text) {
  return /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00Z` : /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/.test(text) ? `${text}Z` : "";
}

function typedValues(given, input, facts) {
  const where = `input ${repr(input.name)}`;
  const values = flatten(given, input.shape, where, input.dtype);
  const wrong = values.find((value) => !fits(value, input.dtype));
  if (wrong !== undefined) throw new Refusal(`${where}: is ${shorten(wrong)}; want ${wantedValues(input.dtype)}`);
  if (input.dtype === "str") return values.map((text) => lowered(checkedText(text ?? "", where, facts), input));
  if (input.dtype.endsWith("int64")) return ARRAYS[input.dtype].from(values, BigInt);
  return ARRAYS[input.dtype].from(values, (value) => value ?? NaN);
}

function flatten(given, shape, where, dtype) {
  if (shape.length === 0) return [given];
  const want = `shape [${shape.join(", ")}] wants`;
  if (!Array.isArray(given)) throw new Refusal(`${where}: is ${shorten(given)}; want a list of ${wantedValues(dtype)}`);
  const count = shape.reduce((product, size) => product * size, 1);
  if (!Array.isArray(given[0])) {
    if (given.length !== count) throw new Refusal(`${where}: has ${given.length} values; ${want} ${count}`);
    return given;
  }
  let parts = [given];
  for (const size of shape) {
    for (const part of parts) {
      if (!Array.isArray(part)) throw new Refusal(`${where}: holds ${shorten(part)}; ${want} a list of ${size} there`);
      if (part.length !== size) throw new Refusal(`${where}: has ${part.length} values; ${want} ${size} there`);
    }
    parts = parts.flat(1);
  }
  return parts;
}

function fits(value, dtype) {
  if (dtype === "str") return value === null || typeof value === "string";
  if (dtype === "bool") return typeof value === "boolean";
  if (dtype in RANGES) return Number.isInteger(value) && value >= RANGES[dtype][0] && value <= RANGES[dtype][1];
  if (value === null) return true;
  return typeof value === "number" && Number.isFinite(dtype === "float32" ? Math.fround(value) : value);
}

function wantedValues(dtype) {
  if (dtype === "str") return "texts or null (BYTES)";
  if (dtype === "bool") return "true or false";
  if (dtype in RANGES) return `whole numbers from ${RANGES[dtype][0]} to ${RANGES[dtype][1]} (${dtype.toUpperCase()})`;
  return `numbers or null (${NAMES[dtype]}, at most ${LARGEST[dtype]})`;
}

function checkedText(text, where, facts) {
  const characters = text.length > facts.longest_text ? Array.from(text).length : 0;
  if (characters > facts.longest_text) {
    throw new Refusal(`${where}: has ${characters} characters; want at most ${facts.longest_text}`);
  }
  if (text.includes("\0")) throw new Refusal(`${where}: holds the character NUL, where this runtime would cut the text off; remove it`);
  if (/\p{Surrogate}/u.test(text)) throw new Refusal(`${where}: holds half of a character (a lone surrogate); remove it`);
  return text;
}

/** A to Z as small letters, where the graph leaves that to the program: it would lower other letters too. */
function lowered(text, input) {
  return input.lowered ? text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : text;
}

/** What an answer has to say of its row: values that are missing, and categories that training rows did not have. */
export function notices(values, facts) {
  const told = [];
  let found = 0;
  let empty = 0;
  for (const input of facts.inputs) {
    if (input.shape.length > 0) continue;
    const [value] = values.get(input.name);
    const missing = input.dtype === "str" ? value === "" : Number.isNaN(value);
    const unseen = !missing && input.categories !== null && !input.categories.includes(value);
    empty += missing;
    if (!missing && !unseen) continue;
    found += 1;
    if (found > NOTICES) continue;
    if (missing) {
      const standIn = input.usual === null ? "" : `; the training rows' median ${input.usual} stands for it`;
      told.push(`input ${repr(input.name)}: the row has no value${standIn}`);
    } else {
      told.push(unseenNotice(input, value));
    }
  }
  if (found > NOTICES) told.push(`${found - NOTICES} more inputs have missing or unseen values`);
  if (empty === facts.inputs.length) {
    told.unshift("the row has no value in any input: the answer is what the model says of a row that it knows nothing of");
  }
  return told;
}

function unseenNotice(input, value) {
  const meant = nearest(value, input.categories);
  const hint = meant === null ? "" : ` (did you mean ${shorten(meant)}?)`;
  const known = [...input.categories].sort(byCodePoint);
  const few = known.slice(0, 5).map(shorten).join(", ") || "none";
  const found = `the row has a category that counts as missing, such as ${shorten(value)}${hint}`;
  return `input ${repr(input.name)}: ${found}; training rows have ${few}${known.length > 5 ? ", ..." : ""}`;
}

/** The graph's outputs for one row, by name, with `answer` in words first and `notices` last. */
export async function answerRow(ort, session, facts, values) {
  const feeds = {};
  for (const { name, dtype, shape } of facts.inputs) {
    feeds[name] = new ort.Tensor(dtype === "str" ? "string" : dtype, values.get(name), [1, ...shape]);
  }
  const outputs = await session.run(feeds);
  const answered = { answer: "" };
  const told = notices(values, facts);
  for (const name of facts.outputs) {
    const plain = Array.from(outputs[name].data, (value) => (typeof value === "bigint" ? Number(value) : value));
    if (plain.some((value) => typeof value === "number" && !Number.isFinite(value))) {
      told.push(`output ${repr(name)}: the graph's answer is not finite; null stands for it`);
    }
    const written = plain.map((value) => (typeof value === "number" ? shortest(value, outputs[name].type) : value));
    answered[name] = outputs[name].dims.length > 1 ? written : written[0];
  }
  const first = answered[facts.outputs[0]];
  answered.answer = facts.classes === null ? String(first) : facts.classes[first];
  return { ...answered, notices: told };
}

/** A float32 in the fewest digits that give it back, null where it is not finite. */
function shortest(value, type) {
  if (!Number.isFinite(value)) return null;
  if (type !== "float32") return value;
  for (let digits = 6; digits < 9; digits++) {
    const made = Number(value.toPrecision(digits));
    if (Math.fround(made) === value) return made;
  }
  return Number(value.toPrecision(9));
}

/** The text that is most like another, as Python's difflib finds it, but for case and blanks; null where none is. */
export function nearest(text, texts) {
  const plain = new Map([...texts].sort(byCodePoint).map((each) => [each.trim().toLowerCase(), each]));
  const sought = Array.from(text.trim().toLowerCase()).slice(0, SHOWN);
  let best = null;
  for (const each of plain.keys()) {
    const score = similarity(Array.from(each), sought);
    if (score >= 0.6 && (best === null || score > best.score || (score === best.score && byCodePoint(each, best.each) > 0))) {
      best = { score, each };
    }
  }
  return best && plain.get(best.each);
}

/** Ratcliff and Obershelp's: twice the characters in common runs over all characters. */
function similarity(one, other) {
  const total = one.length + other.length;
  return total === 0 ? 1 : (2 * common(one, 0, one.length, other, 0, other.length)) / total;
}

function common(one, from, to, other, otherFrom, otherTo) {
  let size = 0;
  let at = from;
  let otherAt = otherFrom;
  let runs = new Map();
  for (let i = from; i < to; i++) {
    const longer = new Map();
    for (let j = otherFrom; j < otherTo; j++) {
      if (one[i] !== other[j]) continue;
      const run = (runs.get(j - 1) ?? 0) + 1;
      longer.set(j, run);
      if (run > size) [size, at, otherAt] = [run, i - run + 1, j - run + 1];
    }
    runs = longer;
  }
  if (size === 0) return 0;
  return size + common(one, from, at, other, otherFrom, otherAt) + common(one, at + size, to, other, otherAt + size, otherTo);
}

/** A text as Python writes it: quoted, with what cannot be printed escaped. */
export function repr(text) {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const named = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", [quote]: `\\${quote}` };
  const written = Array.from(text, (sign) => {
    if (sign in named) return named[sign];
    if (sign === " " || !/[\p{C}\p{Z}]/u.test(sign)) return sign;
    const code = sign.codePointAt(0);
    const [mark, width] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
    return `\\${mark}${code.toString(16).padStart(width, "0")}`;
  });
  return quote + written.join("") + quote;
}

function shorten(value) {
  if (value === null || value === undefined) return "missing";
  const text = typeof value === "string" ? repr(value) : JSON.stringify(value);
  const signs = Array.from(text);
  if (signs.length <= SHOWN) return text;
  if (typeof value !== "string") return `${signs.slice(0, SHOWN - 3).join("")}...`;
  // The middle is left out.
  return `${signs.slice(0, 28).join("")}...${signs.slice(-29).join("")}`;
}

function byCodePoint(one, other) {
  const [left, right] = [Array.from(one), Array.from(other)];
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    if (left[at] !== right[at]) return left[at].codePointAt(0) - right[at].codePointAt(0);
  }
  return left.length - right.length;
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
