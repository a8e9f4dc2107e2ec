// The page: what the buttons do, and what is shown of an answer.

import { cut } from "./endpoint.js";
import { History, WORDS } from "./history.js";
import { Microphone } from "./listen.js";
import { Model } from "./model.js";
import { Picture } from "./draw.js";
import { Problem } from "./problem.js";
import { play, readFile } from "./sound.js";

const LIVE = 4; // s of sound that the picture shows while one speaks
const find = (id) => document.getElementById(id);
const [listenButton, openButton, fileInput, problemLine] = ["listen", "open", "file", "problem"].map(find);
const [numeral, statusLine, timing, canvas] = ["numeral", "status", "timing", "picture"].map(find);

/** @type {Model} */ let model;
/** @type {Picture} */ let picture;
/** @type {Microphone | null} */ let microphone = null;
let reading = Promise.resolve(); // files are read one after the other

const bars = WORDS.map((word, digit) => {
  const row = find("bars").tBodies[0].insertRow();
  row.innerHTML = '<th scope="row"></th><td class="bar" aria-hidden="true"><span></span></td><td class="percent">0 %</td>';
  row.cells[0].textContent = digit;
  return { row, bar: row.querySelector("span"), percent: row.cells[2] };
});

const history = new History(find("history"), async (samples) => {
  if (microphone) microphone.deaf = true; // or it would answer to itself
  try {
    await play(samples, model.facts.sample_rate);
  } finally {
    if (microphone) microphone.deaf = false;
  }
});

function say(text) {
  statusLine.textContent = text;
}

/** Show what went wrong, or with null that nothing is wrong any more. */
function complain(problem) {
  if (problem && !(problem instanceof Problem)) console.error(problem);
  problemLine.textContent = problem instanceof Problem ? problem.message : problem ? "Something went wrong. Try again." : "";
}

/** Ask the model about a word, and show its answer; gives what to write above the word's place in the picture. */
async function answer(word) {
  if (word.tooLong) {
    showNothing();
    say("That went on for more than two seconds. Leave a short pause after each digit.");
    history.add(word.samples, null);
    return "–";
  }
  const given = await model.recognise(word.samples);
  const sure = `${Math.round(100 * given.probability)} %`;
  numeral.textContent = given.isDigit ? given.digit : "–";
  numeral.classList.toggle("faint", !given.isDigit);
  say(given.isDigit ? `${capital(WORDS[given.digit])}, ${sure}` : "That was no digit, I think.");
  timing.textContent = `The model took ${given.ms.toFixed(1)}\u00a0ms.`;
  timing.dataset.ms = given.ms;
  bars.forEach(({ row, bar, percent }, digit) => {
    const probability = given.probabilities[digit];
    row.classList.toggle("best", given.isDigit && digit === given.digit);
    bar.style.setProperty("--part", probability.toFixed(4));
    percent.textContent = `${Math.round(100 * probability)} %`;
  });
  history.add(word.samples, given);
  return given.isDigit ? String(given.digit) : "–";
}

function showNothing() {
  numeral.textContent = "–";
  numeral.classList.add("faint");
  timing.textContent = "";
  for (const { row, bar, percent } of bars) {
    row.classList.remove("best");
    bar.style.setProperty("--part", "0");
    percent.textContent = "0 %";
  }
}

/** The picture in words, for whoever does not see it. */
function describe(what) {
  const words = picture.marks.map(({ label }) => (label === "–" ? "no digit" : label)).join(", ");
  canvas.setAttribute("aria-label", `Waveform and spectrogram of ${what}. Words in it: ${words || "none"}.`);
}

async function start() {
  complain(null);
  listenButton.disabled = true;
  try {
    microphone = await Microphone.open(model.facts.sample_rate, {
      sound: (samples) => picture.push(samples),
      speaking: (speaking) => {
        listenButton.classList.toggle("speaking", speaking);
        if (speaking) complain(null);
      },
      silence: () => complain(new Problem("I hear nothing: is the microphone muted?")),
      lost: (problem) => stop().then(() => complain(problem)),
      word: async (word) => {
        picture.mark({ ...word, label: await answer(word) });
        describe(`the last ${LIVE} seconds`);
      },
    });
    picture.live(LIVE);
    say("Listening. Say a digit.");
  } catch (problem) {
    complain(problem);
  }
  listenButton.disabled = false;
  showWhetherListening();
}

async function stop() {
  const open = microphone;
  microphone = null;
  showWhetherListening();
  await open?.close();
}

function showWhetherListening() {
  listenButton.classList.toggle("listening", microphone !== null);
  listenButton.classList.remove("speaking");
  find("listen-text").textContent = microphone ? "Stop listening" : "Start listening";
}

async function readOut(file) {
  await stop();
  complain(null);
  say(`Reading “${file.name}”…`);
  try {
    const samples = await readFile(file, model.facts.sample_rate);
    const words = cut(samples, model.facts.sample_rate);
    picture.whole(samples);
    const heard = [];
    for (const word of words) {
      const label = await answer(word);
      heard.push(label);
      picture.mark({ ...word, label });
    }
    describe(`“${file.name}”`);
    if (words.length === 0) say(`I hear no word in “${file.name}”.`);
    if (words.length > 1) say(`${words.length} words: ${heard.join(" ")}`);
  } catch (problem) {
    say("Ready.");
    complain(problem);
  }
}

const capital = (word) => word[0].toUpperCase() + word.slice(1);

listenButton.addEventListener("click", () => (microphone ? stop().then(() => say("Not listening.")) : start()));
openButton.addEventListener("click", () => fileInput.click());
fileInput.addEventListener("change", () => {
  open(fileInput.files);
  fileInput.value = ""; // so that the same file can be chosen again
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && microphone) listenButton.click();
});

// A file may be dropped anywhere; one that misses must not make the browser leave the page.
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.toggle("dropping", event.dataTransfer.types.includes("Files"));
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  open(event.dataTransfer.files);
});

function open(files) {
  if (!model || !files.length) return;
  for (const file of [...files]) reading = reading.then(() => readOut(file));
}

if (import.meta.env.PROD && "serviceWorker" in navigator) {
  // What it keeps is not worth a message where it cannot be kept, as in a private window.
  navigator.serviceWorker.register("./service-worker.js").catch(() => {});
}

try {
  model = await Model.load("./model");
  const { name, sample_rate: rate, parameters, threshold } = model.facts;
  picture = new Picture(canvas, rate);
  find("facts").textContent =
    `Model: ${name}, ${parameters.toLocaleString("en")} parameters, ${rate / 1000} kHz. ` +
    (threshold > 0 ? `When no digit reaches ${Math.round(100 * threshold)} %, it says that it heard none. ` : "") +
    "Once loaded, this page works without a network.";
  listenButton.disabled = openButton.disabled = false;
  say("Ready. Listen, or open a file.");
} catch (problem) {
  say("");
  complain(problem);
}
