// CTC prefix beam search: the labels of steps become digits, each final as soon as possible.
// utils/inference/prefix_beam.py is the same in Python, with the same constants; a test compares them.

const BEAM = 8; // prefixes kept
const UNLIKELY = 1e-4; // labels and prefixes below this share of the best are dropped
const LEAST = 0.22; // a digit less probable than this is not reported: in noise, all digits can be a little probable
const CERTAIN = 0.99; // a digit more probable than this is final
const PATIENCE = 2; // steps after which it is final in any case
const BLANK = 10;

/**
 * A step that names a digit: how probable it is there, and when the digit starts and ends, in s.
 * @typedef {{step: number, chance: number, start: number, end: number}} Named
 *
 * A digit, where it is named, and the probabilities of the ten digits there; what is missing to 1 is that of none.
 * @typedef {{label: number, named: Named, probabilities: Float64Array}} Digit
 */

export class PrefixBeam {
  constructor() {
    this.step = 0;
    this.last = null; // the last final digit
    this.reported = null;
    // a string that may have been said since then, to the probability of all paths that end with the blank (`blank`) and
    // with its last digit (`named`), and to its digits, each where it is the most probable
    this.prefixes = new Map([["", { blank: 1, named: 0, digits: [] }]]);
  }

  /** Whether a digit has probably been said that is not final yet. */
  get pending() {
    return this.#best()[0] !== "";
  }

  /**
   * One step further.
   * @param {ArrayLike<number>} row probabilities of the ten digits and the blank
   * @param {number} start of the digit that may be named here, in s
   * @param {number} end likewise
   * @returns {Digit[]} that are final now
   */
  push(row, start, end) {
    this.#extend(row, start, end);
    this.step += 1;
    return this.#finalDigits(CERTAIN, PATIENCE);
  }

  /** @returns {Digit[]} that remain at the end */
  flush() {
    return this.#finalDigits(0, 0);
  }

  /** Every prefix goes on with the blank, its own last digit, or another digit. */
  #extend(row, start, end) {
    const extended = new Map();
    const add = (prefix, digits, blank, named) => {
      const known = extended.get(prefix);
      if (!known) return extended.set(prefix, { blank, named, digits });
      if (blank + named > total(known)) known.digits = digits;
      known.blank += blank;
      known.named += named;
    };
    for (const [prefix, path] of this.#sorted(this.prefixes)) {
      const endsWith = prefix ? Number(prefix.at(-1)) : this.last;
      add(prefix, path.digits, total(path) * row[BLANK], 0);
      for (let label = 0; label < BLANK; label += 1) {
        const chance = row[label];
        if (chance < UNLIKELY) continue;
        const named = { step: this.step, chance, start, end };
        const longer = [...path.digits, named];
        if (label !== endsWith) {
          add(prefix + label, longer, 0, total(path) * chance);
          continue;
        }
        add(prefix + label, longer, 0, path.blank * chance);
        const clearer = prefix && chance > path.digits.at(-1).chance;
        add(prefix, clearer ? [...path.digits.slice(0, -1), named] : path.digits, 0, path.named * chance);
      }
    }
    const best = this.#sorted(extended).slice(0, BEAM);
    this.#keep(best.filter(([, path]) => total(path) >= UNLIKELY * total(best[0][1])));
  }

  /** All digits that are final now; one that is named twice for the same stretch of the sound is reported once. */
  #finalDigits(certain, patience) {
    const found = [];
    for (let digit; (digit = this.#final(certain, patience)) !== null; ) {
      const before = this.reported;
      const again = before !== null && before.label === digit.label && sameWord(digit.named, before.named);
      if (digit.probabilities[digit.label] < LEAST || again) continue;
      found.push(digit);
      this.reported = digit;
    }
    return found;
  }

  /** The next digit of the most probable string, if it is certain or old enough. */
  #final(certain, patience) {
    const [best, path] = this.#best();
    if (!best) return null;
    const named = path.digits[0];
    const label = Number(best[0]);
    const probabilities = new Float64Array(BLANK);
    for (const [prefix, each] of this.prefixes) if (prefix) probabilities[Number(prefix[0])] += total(each);
    if (probabilities[label] < certain && this.step - named.step <= patience) return null;
    this.last = label;
    const goingOn = [...this.prefixes].filter(([prefix]) => prefix[0] === best[0]);
    this.#keep(goingOn.map(([prefix, each]) => [prefix.slice(1), { ...each, digits: each.digits.slice(1) }]));
    return { label, named, probabilities };
  }

  #best() {
    return [...this.prefixes].reduce((best, each) => (total(each[1]) > total(best[1]) ? each : best));
  }

  #sorted(prefixes) {
    return [...prefixes].sort(([, a], [, b]) => total(b) - total(a));
  }

  #keep(prefixes) {
    const sum = prefixes.reduce((before, [, path]) => before + total(path), 0);
    for (const [, path] of prefixes) {
      path.blank /= sum;
      path.named /= sum;
    }
    this.prefixes = new Map(prefixes);
  }
}

const total = (path) => path.blank + path.named;

/** Whether both lie upon one another for more than half of the shorter. */
function sameWord(one, other) {
  const shared = Math.min(one.end, other.end) - Math.max(one.start, other.start);
  return shared > Math.min(one.end - one.start, other.end - other.start) / 2;
}
