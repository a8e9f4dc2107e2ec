// Chromium, Firefox and WebKit as they are installed, all driven by W3C WebDriver's commands. Chromium and WebKit take them
// over HTTP from a driver, Firefox from its own socket (Marionette), as geckodriver would.

import { spawn } from "node:child_process";
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { within } from "../src/within.js";

const PATIENCE = 60; // s for a start, or for an answer
const ELEMENT = "element-6066-11e4-a52e-4f735466cecf"; // the standard's key of an element

/** What a command is called over HTTP, and by Firefox. */
const COMMANDS = {
  session: ["POST", "", "NewSession"],
  wait: ["POST", "/timeouts", "SetTimeouts"],
  open: ["POST", "/url", "Navigate"],
  run: ["POST", "/execute/async", "ExecuteAsyncScript"],
  find: ["POST", "/element", "FindElement"],
  click: ["POST", "/element/:id/click", "ElementClick"],
  act: ["POST", "/actions", "PerformActions"],
  resize: ["POST", "/window/rect", "SetWindowRect"],
  picture: ["GET", "/screenshot", "TakeScreenshot"],
  tab: ["GET", "/window", "GetWindowHandle"],
  newTab: ["POST", "/window/new", "NewWindow"],
  show: ["POST", "/window", "SwitchToWindow"],
  frame: ["POST", "/frame", "SwitchToFrame"],
};

/** How each browser is found and started: `dark`, or with a microphone that is refused. */
export const BROWSERS = {
  Chromium: {
    programs: [[process.env.CHROMIUM, "chromium", "chromium-browser", "google-chrome"], ["chromedriver"]],
    start: ([binary, driver], { dark, refuse }) =>
      overHttp(driver, {
        "goog:chromeOptions": {
          binary,
          args: [
            ...["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
            ...["--disable-component-update", "--disable-sync", "--mute-audio", "--use-fake-device-for-media-stream"],
            ...["--js-flags=--expose-gc", "--enable-precise-memory-info"],
            ...(dark ? ["--blink-settings=preferredColorScheme=0"] : []),
          ],
          prefs: { "profile.default_content_setting_values.media_stream_mic": refuse ? 2 : 1 },
        },
      }),
  },
  Firefox: {
    programs: [[process.env.FIREFOX, "firefox-esr", "firefox"]],
    start: ([binary], { dark, refuse }) =>
      overMarionette(binary, {
        "layout.css.prefers-color-scheme.content-override": dark ? 0 : 1,
        "permissions.default.microphone": refuse ? 2 : 1,
        "media.navigator.streams.fake": true,
        "services.settings.server": "data:,none", // nothing is fetched from elsewhere
        "app.normandy.enabled": false,
        "datareporting.policy.dataSubmissionEnabled": false,
      }),
  },
  WebKit: {
    programs: [["WebKitWebDriver"]],
    needs: process.env.DISPLAY || process.env.WAYLAND_DISPLAY ? null : "a display (xvfb-run gives one)",
    start: ([driver], { dark }) => overHttp(driver, {}, dark ? { GTK_THEME: "Adwaita:dark" } : {}),
  },
};

/** Why a browser cannot be tested here, or false. */
export function whyNot(name) {
  const { programs, needs } = BROWSERS[name];
  const missing = programs.find((names) => !find(names));
  return (missing && `there is no ${missing.at(-1)}`) || (needs ? `${name} needs ${needs}` : false);
}

/** A running browser with one page. */
export class Browser {
  /**
   * @param {string} name of one of `BROWSERS`
   * @param {{dark?: boolean, refuse?: boolean}} [options]
   * @returns {Promise<Browser>}
   */
  static async start(name, options = {}) {
    const { programs, start } = BROWSERS[name];
    const link = await start(programs.map(find), options);
    const browser = new Browser(link);
    try {
      const { capabilities } = await browser.#command("session", { capabilities: { alwaysMatch: link.capabilities } });
      browser.version = `${name} ${capabilities.browserVersion}`;
      await browser.#command("wait", { script: 1e6 });
      await browser.resize(1180, 900);
    } catch (error) {
      link.end();
      throw error;
    }
    return browser;
  }

  constructor(link) {
    this.link = link;
  }

  #command(name, parameters = {}) {
    const [method, path, native] = COMMANDS[name];
    return this.link.send(method, path.replace(":id", parameters.id), native, parameters);
  }

  async close() {
    await this.link.quit().catch(() => {});
    this.link.end();
  }

  open = (url) => this.#command("open", { url });
  resize = (width, height) => this.#command("resize", { x: 0, y: 0, width, height });
  tab = () => this.#command("tab");
  newTab = () => this.#command("newTab", { type: "tab" });
  show = (handle) => this.#command("show", { handle });
  frame = (id) => this.#command("frame", { id }); // null: the page itself
  picture = async () => Buffer.from(await this.#command("picture", { full: false }), "base64");

  /** Run a function in the page, or the body of one, and give what it gives; errors there are errors here. */
  async run(code, ...args) {
    const body = typeof code === "function" ? `return (${code})(...given);` : code;
    const script =
      "const given = [...arguments], done = given.pop(); " +
      `(async () => { ${body} })().then((value) => done({ value }), (error) => done({ error: String(error?.stack ?? error) }));`;
    const { value, error } = await this.#command("run", { script, args });
    if (error) throw new Error(error);
    return value;
  }

  /** Wait until a function in the page gives something true, and give that. */
  async until(code, args = [], seconds = 20) {
    const end = Date.now() + 1000 * seconds;
    for (;;) {
      const found = await this.run(code, ...args);
      if (found) return found;
      if (Date.now() > end) throw new Error(`not within ${seconds} s: ${code} ${JSON.stringify(args)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Click an element as a user does. */
  async click(selector) {
    const element = await this.#command("find", { using: "css selector", value: selector });
    await this.#command("click", { id: element[ELEMENT] });
  }

  /** Press and release keys, by WebDriver's code points. */
  async press(...keys) {
    const actions = keys.flatMap((value) => ["keyDown", "keyUp"].map((type) => ({ type, value })));
    await this.#command("act", { actions: [{ type: "key", id: "keyboard", actions }] });
  }
}

export const KEYS = { tab: "\uE004", enter: "\uE007", escape: "\uE00C", space: " " };

function find(names) {
  const folders = process.env.PATH.split(delimiter);
  const paths = names.filter(Boolean).flatMap((name) => (name.includes("/") ? [name] : folders.map((folder) => join(folder, name))));
  return paths.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((ready) => server.once("listening", ready));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/** Try again until it works, or for too long. */
async function eventually(action) {
  const end = Date.now() + 1000 * PATIENCE;
  for (;;) {
    try {
      return await action();
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

async function overHttp(driver, capabilities, variables = {}) {
  const port = await freePort();
  const process_ = spawn(driver, [`--port=${port}`], { env: { ...process.env, ...variables }, stdio: "ignore" });
  const address = `http://127.0.0.1:${port}`;
  let session = "";
  const send = async (method, path, _, parameters) => {
    const body = method === "POST" ? JSON.stringify(parameters) : undefined;
    const { value } = await (await fetch(`${address}/session${session}${path}`, { method, body })).json();
    if (value?.error) throw new Error(value.message || value.error);
    if (value?.sessionId) session = `/${value.sessionId}`;
    return value;
  };
  await eventually(() => fetch(`${address}/status`));
  return { capabilities, send, quit: () => within(PATIENCE, send("DELETE", "")), end: () => process_.kill() };
}

async function overMarionette(binary, preferences) {
  const port = await freePort();
  const profile = mkdtempSync(join(tmpdir(), "firefox-"));
  const lines = Object.entries({ ...preferences, "marionette.port": port });
  writeFileSync(join(profile, "user.js"), lines.map((pair) => `user_pref(${pair.map((each) => JSON.stringify(each))});\n`).join(""));
  const process_ = spawn(binary, ["--headless", "--marionette", "--profile", profile], { stdio: "ignore" });
  const exited = new Promise((done) => process_.once("exit", done));
  const socket = await eventually(
    () => new Promise((done, fail) => {
      const tried = connect(port, "127.0.0.1", () => done(tried)).once("error", fail);
    }),
  );
  const waiting = new Map(); // number of a command: its promise's functions
  let received = Buffer.alloc(0);
  socket.on("data", (piece) => {
    received = Buffer.concat([received, piece]);
    for (let colon; (colon = received.indexOf(":")) > 0; ) { // a message is its length, a colon, and JSON
      const end = colon + 1 + Number(received.subarray(0, colon));
      if (received.length < end) return;
      const message = JSON.parse(received.subarray(colon + 1, end));
      received = received.subarray(end);
      if (!Array.isArray(message)) continue; // the greeting
      const [, number, error, value] = message;
      const [done, fail] = waiting.get(number);
      waiting.delete(number);
      if (error) fail(new Error(error.message));
      else done(value && Object.keys(value).join() === "value" ? value.value : value);
    }
  });
  const command = (name, parameters) =>
    new Promise((done, fail) => {
      const number = waiting.size ? Math.max(...waiting.keys()) + 1 : 1;
      waiting.set(number, [done, fail]);
      const message = JSON.stringify([0, number, name, parameters]);
      socket.write(`${Buffer.byteLength(message)}:${message}`);
    });
  return {
    capabilities: {},
    send: (_, path, native, parameters) => command(`WebDriver:${native}`, parameters),
    quit: async () => {
      command("Marionette:Quit", { flags: ["eForceQuit"] }).catch(() => {});
      await within(PATIENCE, exited);
      rmSync(profile, { recursive: true, force: true });
    },
    end: () => process_.kill(),
  };
}
