// The words and strings recognised so far: a list with their recordings, and the digits in a row.

export const WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const MOST = 100; // words kept; their recordings are in memory

/** A share such as "97 %", which no line breaks apart. */
export const inPercent = (probability) => `${Math.round(100 * probability)}\u00a0%`;

export class History {
  /**
   * @param {HTMLElement} section with [data-digits], an ol, [data-empty] and [data-clear]
   * @param {(samples: Float32Array) => Promise<void>} play
   */
  constructor(section, play) {
    this.section = section;
    this.play = play;
    this.list = section.querySelector("ol");
    this.digits = section.querySelector("[data-digits]");
    this.clearButton = section.querySelector("[data-clear]");
    this.clearButton.addEventListener("click", () => this.clear());
    this.labels = [];
    this.#show();
  }

  /**
   * @param {Float32Array} samples of the word
   * @param {{digit: number | string, probability: number, isDigit: boolean} | null} answer one digit or several; null: it was too long for one digit, so the model was not run
   */
  add(samples, answer) {
    const now = new Date();
    const item = document.createElement("li");
    const digit = answer?.isDigit ? String(answer.digit) : "–";
    const name = answer?.isDigit ? [...digit].map((each) => WORDS[each]).join(" ") : "no digit";
    const sure = answer?.isDigit ? `${digit.length > 1 ? "each ≥ " : ""}${inPercent(answer.probability)}` : "no digit";
    const time = element("time", now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" }));
    time.dateTime = now.toISOString();
    const button = element("button", "Play", "quiet");
    button.type = "button";
    button.setAttribute("aria-label", `Play ${name}, recorded at ${time.textContent}`);
    button.addEventListener("click", async () => {
      if (button.hasAttribute("aria-disabled")) return;
      button.setAttribute("aria-disabled", "true"); // `disabled` would take the keyboard's focus away
      await this.play(samples).catch(console.error);
      button.removeAttribute("aria-disabled");
    });
    item.append(time, element("span", digit, "digit"), element("span", sure, "percent"), button);
    this.list.prepend(item);
    this.labels.push(digit);
    if (this.labels.length > MOST) {
      this.labels.shift();
      this.list.lastElementChild.remove();
    }
    this.#show();
  }

  clear() {
    this.labels = [];
    this.list.replaceChildren();
    this.#show();
    this.section.querySelector("h2").focus(); // the button that had the focus is gone
  }

  #show() {
    this.digits.textContent = this.labels.filter((digit) => digit !== "–").join(" ");
    this.section.querySelector("[data-empty]").hidden = this.labels.length > 0;
    this.clearButton.hidden = this.labels.length === 0;
  }
}

function element(kind, text, name) {
  const made = document.createElement(kind);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}
