// A plain host of static pages, for the tests in browsers: it serves the built page, counts what it sends, and may fail.

import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

export const DIST = fileURLToPath(new URL("../dist", import.meta.url));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json" };

export class Host {
  sent = 0;
  gone = new Set(); // paths that it has lost
  replaced = new Map(); // paths whose content is another

  async start() {
    this.server = createServer((request, response) => {
      const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname).replace(/^\/(some\/folder|copy)\//, "/");
      const file = join(DIST, normalize(path.endsWith("/") ? `${path}index.html` : path));
      const other = this.replaced.get(path);
      if (this.gone.has(path) || (!other && !existsSync(file))) return response.writeHead(404).end();
      const modified = (other ? new Date(0) : statSync(file).mtime).toUTCString();
      if (request.headers["if-modified-since"] === modified) return response.writeHead(304).end();
      const content = other ?? readFileSync(file);
      this.sent += content.length;
      const type = TYPES[extname(file)] ?? "application/octet-stream";
      response.writeHead(200, { "Content-Type": type, "Content-Length": content.length, "Last-Modified": modified, "Cache-Control": "max-age=600" }).end(content);
    });
    await new Promise((ready) => this.server.listen(0, "127.0.0.1", ready));
    this.address = `http://localhost:${this.server.address().port}/some/folder/`;
  }

  async stop() {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }
}
