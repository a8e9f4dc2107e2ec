// What the speaker sees and does: the welcome, the studio with one prompt after another, and the thanks.

import { Problem, ask } from "./api.js";
import { Microphone } from "./microphone.js";
import { drawWave, encodeWav, play, silence } from "./sound.js";

const SECONDS_PER_CLIP = 6; // roughly, with the waiting
const LOWEST = -60; // dB, where the meter begins
const LAMP = 1.5; // s that the lamp stays on after clipping

const at = (id) => document.getElementById(id);
const microphone = new Microphone();
let session = null; // what the server says about the folder
let speaker = null; // {name, done, total, consent, prompts}
let phase = "ready"; // then recording, checking, review (may be kept), refused (may not), saving
let recording = null; // {samples, rate, report}

// The welcome

async function welcome() {
  try {
    session = await ask("GET", "session");
  } catch (problem) {
    return tell(problem.message); // in the studio, the speaker may go on
  }
  microphone.close();
  silence();
  speaker = recording = null;
  tell("");
  at("clips").textContent = session.clips;
  const minutes = Math.round((session.clips * SECONDS_PER_CLIP) / 60);
  at("minutes").textContent = minutes > 1 ? `${minutes} minutes` : "a minute";
  at("folder").textContent = session.folder;
  at("consent").replaceChildren(...Object.entries(session.consent).map(([value, text]) => consentChoice(value, text)));
  at("speakers").replaceChildren(...session.speakers.map(earlierSpeaker));
  at("earlier").hidden = !session.speakers.length;
  at("form").reset();
  if (!session.speakers.some(({ name }) => name === session.suggested)) at("name").value = session.suggested;
  show("welcome");
}

function consentChoice(value, text) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "radio", name: "consent", value, required: true });
  label.className = "choice";
  label.append(input, text);
  return label;
}

function earlierSpeaker({ name, done, total }) {
  const item = document.createElement("li");
  const button = Object.assign(document.createElement("button"), { type: "button", className: "quiet" });
  const count = document.createElement("span");
  count.className = "aside";
  count.textContent = done < total ? `${done} of ${total}` : `complete, ${done} clips`;
  button.append(name, " ", count);
  button.onclick = () => begin(name);
  item.append(button);
  return item;
}

at("form").onsubmit = (event) => {
  event.preventDefault();
  const given = new FormData(at("form"));
  const name = given.get("name").trim();
  if (session.speakers.some((other) => other.name === name)) {
    return tell(`There is already a speaker ${name}. If that is you, go on below; otherwise choose another name.`);
  }
  begin(name, given.get("consent"));
};

/** Begin with a speaker, or go on. */
async function begin(name, consent = "") {
  try {
    const found = await ask("GET", "prompts", { speaker: name });
    if (consent && found.done) throw new Problem(`There is already a speaker ${name}. Choose another name.`, 409);
    speaker = { ...found, consent: found.consent || consent };
    if (!speaker.prompts.length) return finish();
    if (!(await openMicrophone())) return; // the button was pressed twice
  } catch (problem) {
    return tell(problem.message);
  }
  tell("");
  show("studio");
  nextPrompt();
}

/** @returns {Promise<boolean>} false if the microphone was closed, or opened once more, in the meantime */
async function openMicrophone(device) {
  try {
    if (!(await microphone.open(device))) return false;
  } catch (error) {
    throw new Problem(whyRefused(error), 0);
  }
  const inputs = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === "audioinput");
  at("device").replaceChildren(...inputs.map(({ label, deviceId }) => new Option(label || "Microphone", deviceId, false, deviceId === microphone.device)));
  at("choice").hidden = inputs.length < 2;
  return true;
}

function whyRefused(error) {
  switch (error.name) {
    case "NotAllowedError":
      return "The browser does not let this page use the microphone. Allow it beside the address, then try again.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "No microphone was found. Plug one in, then try again.";
    default:
      console.error(error);
      return "The microphone cannot be used; perhaps another program is using it. Close that, then try again.";
  }
}

// The studio

function nextPrompt() {
  if (!speaker.prompts.length) return finish();
  const { word, digit } = speaker.prompts[0];
  at("prompt").textContent = word;
  at("prompt").style.setProperty("--letters", Math.max(4, ...word.split(" ").map((part) => [...part].length)));
  at("digit").textContent = word === String(digit) ? "" : digit;
  at("speaker").textContent = speaker.name;
  at("count").textContent = `${speaker.done + 1} of ${speaker.total}`;
  Object.assign(at("progress"), { max: speaker.total, value: speaker.done });
  recording = null;
  enter("ready", speaker.done ? "" : "Press Record, then read the word aloud.");
  at("prompt").focus({ preventScroll: true });
}

/** Change the phase: which buttons there are, and what the status says. */
function enter(next, status = "") {
  phase = next;
  const reviewed = ["review", "refused", "saving"].includes(phase);
  document.body.dataset.phase = phase;
  at("record").hidden = reviewed;
  at("record").disabled = phase === "checking";
  at("record-text").textContent = phase === "recording" ? "Stop" : "Record";
  at("keep").hidden = phase !== "review" && phase !== "saving";
  at("repeat").hidden = !reviewed;
  at("repeat").classList.toggle("main", phase === "refused");
  at("repeat").classList.toggle("quiet", phase !== "refused");
  at("hear").hidden = !reviewed || !recording?.report?.clip;
  for (const id of ["keep", "repeat", "undo", "leave"]) at(id).disabled = phase === "saving" || phase === "checking";
  at("undo").hidden = !speaker.done;
  at("instruction").textContent = { recording: "Speak now", checking: "One moment" }[phase] ?? "Read aloud";
  at("take").hidden = !recording;
  at("status").textContent = status;
  at("status").classList.remove("bad");
}

async function record() {
  silence();
  recording = null;
  tell("");
  if (!microphone.live) {
    enter("checking");
    try {
      if (!(await openMicrophone(at("device").value))) return enter("ready"); // another was chosen
    } catch (problem) {
      enter("ready");
      return tell(problem.message);
    }
  }
  microphone.start();
  enter("recording", "Recording. It stops by itself after the word.");
}

microphone.addEventListener("recorded", async ({ detail: samples }) => {
  recording = { samples, rate: microphone.rate, report: null };
  enter("checking");
  await check();
});

async function check() {
  const checked = recording;
  draw();
  try {
    checked.report = await ask("POST", "check", {}, encodeWav(checked.samples, checked.rate));
  } catch (problem) {
    if (checked !== recording) return;
    recording.report = { problem: problem.message, start: 0, end: 0, clip: "" };
  }
  if (checked !== recording) return; // the speaker has left
  draw();
  const { problem, advice, clip } = recording.report;
  enter(problem ? "refused" : "review", problem || advice || "Good.");
  at("status").classList.toggle("bad", Boolean(problem || advice));
  if (clip && !problem) play(clip);
}

function draw() {
  if (!recording) return;
  at("take").hidden = false;
  const { samples, rate, report } = recording;
  drawWave(at("wave"), samples, report ? [report.start * rate, report.end * rate] : [0, 0]);
  const decibels = (level) => `${Math.round(level)} dB`.replace("-", "\u2212");
  const facts = report?.clip ? `${(report.end - report.start).toFixed(2)} s, peak ${decibels(report.peak)}, background ${decibels(report.noise)}` : "";
  at("facts").textContent = facts + (report?.clipped ? `, ${report.clipped} samples clipped` : "");
  at("wave").setAttribute("aria-label", `Waveform of the last recording. ${at("facts").textContent}`);
}

async function keep() {
  silence();
  enter("saving", "Saving");
  await change("clips", { consent: speaker.consent, digit: speaker.prompts[0].digit }, encodeWav(recording.samples, recording.rate));
}

async function undo() {
  silence();
  enter("saving");
  await change("undo");
}

/** Change the corpus, and go on with what is then to be read. If it fails, a recording can be kept again. */
async function change(action, parameters = {}, body = undefined) {
  const before = { ...speaker };
  const again = () => enter(recording?.report && !recording.report.problem ? "review" : "ready");
  try {
    speaker = await ask("POST", action, { speaker: speaker.name, done: speaker.done, ...parameters }, body);
    speaker.consent ||= before.consent; // of a speaker whose only clip has been taken back
    tell("");
  } catch (problem) {
    tell(problem.message);
    if (problem.status !== 409) return again();
    try {
      speaker = { ...before, ...(await ask("GET", "prompts", { speaker: before.name })) }; // another tab has gone on
      speaker.consent ||= before.consent;
    } catch {
      return again();
    }
  }
  nextPrompt();
}

microphone.addEventListener("lost", () => {
  if (!speaker) return;
  microphone.cancel();
  tell("The microphone is gone. Plug it in again, and go on.");
  if (phase === "recording") enter("ready");
});

// The level

let [peak, held, lampUntil] = [LOWEST, LOWEST, 0];
microphone.addEventListener("level", ({ detail }) => {
  peak = Math.max(detail.peak, peak - 1.2);
  held = Math.max(detail.peak, held - 0.3);
  if (detail.clipped) lampUntil = performance.now() + 1000 * LAMP;
});

function meter() {
  if (!at("studio").hidden) {
    const share = (level) => Math.max(0, Math.min(1, 1 - level / LOWEST));
    at("level").style.setProperty("--share", share(peak));
    at("hold").style.setProperty("--share", share(held));
    at("meter").setAttribute("aria-valuenow", Math.round(Math.max(LOWEST, peak)));
    at("clip-lamp").classList.toggle("on", performance.now() < lampUntil);
  }
  requestAnimationFrame(meter);
}

// The end

async function finish() {
  microphone.close();
  at("summary").textContent = `${speaker.name}, all ${speaker.done} clips are recorded.`;
  tell("");
  show("done");
}

// Common

function show(view) {
  for (const id of ["welcome", "studio", "done"]) at(id).hidden = id !== view;
  window.scrollTo(0, 0);
  if (view !== "studio") at(`${view}-title`).focus({ preventScroll: true });
}

function tell(text) {
  at("alert").textContent = text;
  if (text) at("alert").scrollIntoView({ block: "nearest" });
}

const actions = {
  record: () => (phase === "recording" ? microphone.stop() : phase === "ready" && record()),
  keep: () => phase === "review" && keep(),
  repeat: () => ["review", "refused"].includes(phase) && record(),
  hear: () => ["review", "refused"].includes(phase) && recording.report.clip && play(recording.report.clip),
};

for (const [id, action] of Object.entries(actions)) {
  at(id).onclick = () => {
    action();
    if (speaker) at("prompt").focus({ preventScroll: true }); // so that the next key is not for this button
  };
}
at("leave").onclick = welcome;
at("next").onclick = welcome;
at("undo").onclick = () => ["ready", "review", "refused"].includes(phase) && speaker.done && undo();
at("device").onchange = () => {
  if (phase === "recording") enter("ready"); // the other microphone has heard half of it
  openMicrophone(at("device").value).then(() => tell(""), (problem) => tell(problem.message));
};

document.addEventListener("keydown", (event) => {
  if (at("studio").hidden || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("button, input, select")) return; // there, keys mean what they always do
  const action = { " ": phase === "refused" ? actions.repeat : actions.record, enter: actions.keep, r: actions.repeat, l: actions.hear }[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  if (!event.repeat) action();
});

new ResizeObserver(draw).observe(at("wave").parentElement);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
requestAnimationFrame(meter);
welcome();
