// Speaks one word with Gnuspeech: reads {package, text, files} as JSON from its standard input, writes the WAV file that
// is its only argument. `files` replaces configuration files of the engine, by name.
import fs from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const { package: folder, text, files } = JSON.parse(fs.readFileSync(0, "utf8"));
const load = async (path) => import(pathToFileURL(path));
const { default: start } = await load(`${folder}/wasm/gnuspeech.js`);
const { wrapEmscriptenModuleHeap } = await load(createRequire(`${folder}/package.json`).resolve("wasm-heap-manager"));

const module = await start();
for (const [name, content] of Object.entries(files)) module.FS.writeFile(`/data/en/${name}`, content);
const heap = wrapEmscriptenModuleHeap(module);
const [word, wave, data, parameters] = [text, "./word.wav", "/data/en", "./word.txt"].map(
  (value) => heap.allocNullTerminatedUtf8String(value).address,
);
module._GnuSpeech_synthesizeToFile(word, wave, data, parameters, false);
fs.writeFileSync(process.argv[2], module.FS.readFile("./word.wav"));
