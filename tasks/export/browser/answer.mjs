#!/usr/bin/env node
// Answers rows: a JSON value a line on standard input, a JSON object a line on standard output.
//
//   echo '{"age": 39, "workclass": null}' | node answer.mjs
//
// A row that is refused answers {"error": ...}; then the exit code is 1. Nothing but this folder is needed.

import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";

import { Refusal, answerRow, openSession, readRow } from "./model.js";
import * as ort from "./ort.wasm.bundle.min.js";

const [facts, graph, wasm] = await Promise.all(
  ["model.json", "model.onnx", "ort-wasm-simd-threaded.wasm"].map((name) => readFile(new URL(name, import.meta.url))),
);
const known = JSON.parse(facts);
const session = await openSession(ort, known, graph, wasm).catch((error) => {
  process.stderr.write(`answer.mjs: ${error.message}\n`);
  process.exit(2);
});
for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  if (line.trim() === "") continue;
  let answered;
  try {
    answered = await answerRow(ort, session, known, readRow(JSON.parse(line), known));
  } catch (error) {
    if (!(error instanceof Refusal || error instanceof SyntaxError)) throw error;
    answered = { error: error instanceof SyntaxError ? `the line is not JSON: ${error.message}` : error.message };
    process.exitCode = 1;
  }
  process.stdout.write(`${JSON.stringify(answered)}\n`);
}
