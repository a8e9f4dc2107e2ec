// The page: what the buttons do, and how predictions are shown.

import { cut } from "./endpoint.js";
import { History, WORDS, inPercent } from "./history.js";
import { Microphone, askForMicrophone, release } from "./listen.js";
import { Model } from "./model.js";
import { Picture } from "./draw.js";
import { Problem } from "./problem.js";
import { play, readFile } from "./sound.js";
import { StringListener, withSilence } from "./strings.js";

const SHOWN = 7; // digits of a string
const LIVE = 4; // s of sound that the picture shows while one speaks
const find = (id) => document.getElementById(id);
const [listenButton, openButton, fileInput, problemLine] = ["listen", "open", "file", "problem"].map(find);
const modes = [...document.querySelectorAll("[name=mode]")];
const [numeral, statusLine, timing, canvas] = ["numeral", "status", "timing", "picture"].map(find);

/** @type {Model} */ let model;
/** @type {Picture} */ let picture;
/** @type {Microphone | null} */ let microphone = null;
let starting = false; // listening has been asked for
/** @type {Promise<MediaStream> | null} */ let permission = null; // what the browser has been asked for
let playing = 0; // words being played at the moment
let jobs = Promise.resolve();
const inStrings = () => modes.some(({ value, checked }) => checked && value === "strings");

/** Files, words, and starting and stopping the microphone are processed one after the other. None waits for the user. */
function enqueue(job) {
  jobs = jobs.then(job).catch(complain);
}

const bars = WORDS.map((word, digit) => {
  const row = find("bars").tBodies[0].insertRow();
  row.innerHTML = '<th scope="row"></th><td class="bar" aria-hidden="true"><span></span></td><td class="percent">0&nbsp;%</td>';
  row.cells[0].textContent = digit;
  return { row, bar: row.querySelector("span"), percent: row.cells[2] };
});

const history = new History(find("history"), async (samples) => {
  playing += 1;
  if (microphone?.strings) enqueue(microphone.strings.interrupt);
  try {
    await play(samples, model.facts.sample_rate);
  } finally {
    playing -= 1;
  }
});

function say(text) {
  statusLine.textContent = text;
}

/** Show what went wrong; without problems, clear the message. */
function complain(...problems) {
  const messages = problems.map((problem) => {
    const known = problem instanceof Problem;
    if (!known || problem.cause) console.error(known ? problem.cause : problem);
    return known ? problem.message : "Something went wrong. Try again.";
  });
  problemLine.textContent = messages.join(" ");
}

/**
 * Recognise a word, and show the prediction.
 * @returns {Promise<{label: string, sentence: string}>} the label above the word in the picture, and the status text
 */
async function answer(word) {
  if (word.tooLong) {
    showNothing();
    history.add(word.samples, null);
    return { label: "–", sentence: "That lasted three seconds. Leave a short pause after each digit." };
  }
  const given = await model.recognise(word.samples);
  numeral.textContent = given.isDigit ? given.digit : "–";
  numeral.classList.toggle("faint", !given.isDigit);
  numeral.classList.remove("string");
  timing.textContent = `The model took ${given.ms.toFixed(1)}\u00a0ms.`;
  timing.dataset.ms = given.ms;
  showBars(given.probabilities, given.isDigit ? given.digit : null);
  history.add(word.samples, given);
  return given.isDigit
    ? { label: String(given.digit), sentence: `${capital(WORDS[given.digit])}, ${inPercent(given.probability)}` }
    : { label: "–", sentence: "That does not sound like a digit." };
}

function showBars(probabilities, best) {
  bars.forEach(({ row, bar, percent }, digit) => {
    const probability = probabilities[digit];
    row.classList.toggle("best", digit === best);
    bar.style.setProperty("--part", probability.toFixed(4));
    percent.textContent = inPercent(probability);
  });
}

function showNothing() {
  numeral.textContent = "–";
  numeral.classList.remove("string");
  numeral.classList.add("faint");
  timing.textContent = "";
  showBars(new Float32Array(WORDS.length), null);
}

/**
 * A new sound of strings of digits, which are shown as they are spoken. A screen reader reads them out as they end.
 * @param {number} offset s in the picture at which it begins
 * @param {(sentence: string) => void} ended with what can be said of a string
 */
function hearStrings(offset, ended) {
  return new StringListener(model.strings(), {
    digit({ digit, probabilities, start, end }, digits) {
      numeral.textContent = digits.length > SHOWN ? `…${digits.slice(-SHOWN)}` : digits;
      numeral.classList.remove("faint");
      numeral.classList.add("string");
      timing.textContent = "";
      showBars(probabilities, digit);
      picture.mark({ start: offset + start, end: offset + end, label: String(digit) });
    },
    string({ digits, probability, samples }) {
      history.add(samples, { digit: digits, probability, isDigit: true });
      ended(`${[...digits].join(" ")}, ${digits.length > 1 ? "each at least " : ""}${inPercent(probability)}`);
    },
  });
}

/** Strings of digits from the microphone: sound that arrives while the model is busy waits for the next turn. */
class LiveStrings {
  waiting = [];
  listener = null; // of the sound since the page last played something

  push(samples) {
    this.waiting.push(samples);
    if (this.waiting.length === 1) enqueue(this.hear);
  }

  hear = async () => {
    const samples = Float32Array.from(this.waiting.flatMap((each) => [...each]));
    this.waiting = [];
    this.listener ??= hearStrings((picture.received - samples.length) / picture.rate, (sentence) => {
      say(sentence);
      describe(`the last ${LIVE} seconds`);
    });
    await this.listener.push(samples);
  };

  /** What is said before and after does not belong together. */
  interrupt = async () => {
    await this.hear();
    await this.listener.flush();
    this.listener = null;
  };
}

/** Describe the picture for screen readers. */
function describe(what) {
  const words = picture.marks.map(({ label }) => (label === "–" ? "no digit" : label)).join(", ");
  canvas.setAttribute("aria-label", `Waveform and spectrogram of ${what}. Words in it: ${words || "none"}.`);
}

/** Ask for the microphone. Until the user has answered, a file, or another mode, takes the question back. */
function ask() {
  complain();
  const asked = (permission = askForMicrophone());
  const answered = () => enqueue(() => permission === asked && start());
  asked.then(answered, answered);
}

async function start() {
  const strings = inStrings() ? new LiveStrings() : null;
  try {
    microphone = await Microphone.open(await permission, model.facts.sample_rate, {
      sound: (samples) => {
        picture.push(samples);
        strings?.push(samples);
      },
      speaking: (speaking) => {
        listenButton.classList.toggle("speaking", speaking);
        if (speaking) complain();
      },
      silence: () => complain(new Problem("No sound is coming in. Is the microphone muted?")),
      muted: () => playing > 0, // the page must not recognise what it plays itself
      lost: (problem) =>
        enqueue(async () => {
          await stop();
          throw problem;
        }),
      word: (word) =>
        strings ||
        enqueue(async () => {
          const { label, sentence } = await answer(word);
          say(sentence);
          picture.mark({ ...word, label });
          describe(`the last ${LIVE} seconds`);
        }),
    });
    microphone.strings = strings;
    picture.live(LIVE);
    describe(`the last ${LIVE} seconds`);
    say(strings ? "Listening. Say a phone number." : "Listening. Say a digit.");
  } finally {
    permission = null;
    starting = false;
    showWhetherListening();
  }
}

async function stop() {
  const [open, asked] = [microphone, permission];
  if (!open && !asked) return;
  microphone = permission = null;
  if (asked) starting = false;
  showWhetherListening();
  say("Not listening.");
  asked?.then(release, () => {});
  await open?.close();
  await open?.strings?.interrupt();
}

function showWhetherListening() {
  listenButton.classList.toggle("listening", microphone !== null);
  listenButton.classList.remove("speaking");
  listenButton.setAttribute("aria-disabled", starting); // `disabled` would take the keyboard's focus away
  find("listen-text").textContent = microphone ? "Stop listening" : "Start listening";
}

async function readAll(files) {
  await stop();
  complain();
  const problems = [];
  for (const file of files) {
    say(`Reading “${file.name}”…`);
    showNothing(); // clears the previous prediction
    try {
      say(await readOut(file));
    } catch (problem) {
      say("Ready.");
      problems.push(problem);
    }
  }
  complain(...problems);
}

/** @returns {Promise<string>} one sentence for any number of words, since screen readers read it out */
async function readOut(file) {
  const samples = await readFile(file, model.facts.sample_rate);
  if (inStrings()) return readStrings(file.name, samples);
  const words = cut(samples, model.facts.sample_rate);
  picture.whole(samples);
  const answers = [];
  for (const word of words) {
    answers.push(await answer(word));
    picture.mark({ ...word, label: answers.at(-1).label });
  }
  describe(`“${file.name}”`);
  if (words.length === 0) return `No word was found in “${file.name}”.`;
  if (words.length === 1) return answers[0].sentence;
  return `${words.length} words: ${answers.map(({ label }) => label).join(" ")}`;
}

async function readStrings(name, samples) {
  picture.whole(samples);
  const sentences = [];
  const { padded, lead } = withSilence(samples, model.facts.sample_rate);
  const listener = hearStrings(-lead, (sentence) => sentences.push(sentence));
  await listener.push(padded);
  await listener.flush();
  describe(`“${name}”`);
  return sentences.join("; ") || `No digit was found in “${name}”.`;
}

const capital = (word) => word[0].toUpperCase() + word.slice(1);

listenButton.addEventListener("click", () => {
  if (starting) return;
  if (microphone) return enqueue(stop);
  starting = true;
  showWhetherListening();
  enqueue(ask);
});
for (const mode of modes) {
  mode.addEventListener("change", () => {
    if (!model) return;
    enqueue(stop); // a microphone that is still being asked for, too
    showNothing();
    say(inStrings() ? "Ready for phone numbers." : "Ready for single digits.");
  });
}
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
  const given = [...files]; // the list itself is emptied when the field is
  enqueue(() => readAll(given));
}

if (import.meta.env.PROD && "serviceWorker" in navigator) {
  // Not worth a message if it is not possible, for example in a private window.
  navigator.serviceWorker.register("./service-worker.js").catch(() => {});
}

try {
  model = await Model.load("./model");
  const { sample_rate: rate, threshold } = model.facts;
  picture = new Picture(canvas, rate);
  const many = ({ name, parameters }) => `${name}, ${parameters.toLocaleString("en")} parameters`;
  find("facts").textContent =
    `Models: ${many(model.facts)}; ${many(model.forStrings.facts)}; ${rate / 1000} kHz. ` +
    (threshold > 0 ? `With pauses, a word for which no digit reaches ${inPercent(threshold)} is rejected. ` : "") +
    "Once loaded, this page works without a network.";
  listenButton.disabled = openButton.disabled = false;
  say("Ready. Listen, or open a file.");
} catch (problem) {
  say("");
  complain(problem);
}
