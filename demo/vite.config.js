import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { gzipSync } from "node:zlib";

export default {
  base: "./", // it may be published in any folder
  appType: "mpa", // what is missing is missing: a model that is not there must not be answered by the page itself
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // the content security policy allows no data: addresses
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        assetFileNames: ({ names }) => `assets/[name]-[hash]${names[0].endsWith(".wasm") ? ".bin" : "[extname]"}`,
      },
    },
  },
  plugins: [packRuntime(), keepOffline()],
};

/** onnxruntime's WebAssembly is 14 MB, packed not quite 4; the plainest host of static pages does not pack it. */
function packRuntime() {
  return {
    name: "pack-runtime",
    apply: "build",
    generateBundle(_, bundle) {
      for (const file of Object.values(bundle)) {
        if (file.fileName.endsWith(".bin")) file.source = gzipSync(file.source, { level: 9 });
      }
    },
  };
}

/** Tell the service worker which files there are, those of the model too. */
function keepOffline() {
  let folder;
  return {
    name: "keep-offline",
    apply: "build",
    configResolved: (config) => (folder = join(config.root, config.build.outDir)),
    closeBundle() {
      const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
      const paths = entries.map((entry) => join(entry.parentPath, entry.name)).sort();
      const hash = createHash("sha256");
      for (const path of paths) hash.update(readFileSync(path));
      const files = ["./", ...paths.map((path) => "./" + relative(folder, path).split(sep).join("/"))];
      const template = readFileSync(new URL("./src/service-worker.js", import.meta.url), "utf8");
      const worker = template
        .replace("__FILES__", JSON.stringify(files))
        .replace("__VERSION__", JSON.stringify(hash.digest("hex").slice(0, 12)));
      writeFileSync(join(folder, "service-worker.js"), worker);
    },
  };
}
