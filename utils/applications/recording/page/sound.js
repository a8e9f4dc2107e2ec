// Samples as a WAV file, as a picture, and as sound.

/**
 * A WAV file of 16 bits and one channel.
 * @param {Float32Array} samples
 * @param {number} rate in Hz
 * @returns {Blob}
 */
export function encodeWav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, letters) => [...letters].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channel
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, index) => view.setInt16(44 + 2 * index, Math.max(-32768, Math.min(32767, Math.round(32768 * sample))), true));
  return new Blob([view], { type: "audio/wav" });
}

/**
 * Draw a recording: the part that would be kept stands out, clipped samples even more.
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array} samples
 * @param {[number, number]} kept its first sample and its end
 */
export function drawWave(canvas, samples, [start, end]) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(`--${name}`);
  const column = (sample) => Math.round((sample / samples.length) * width);
  if (end > start) {
    pen.fillStyle = colour("word");
    pen.fillRect(column(start), 0, column(end) - column(start), height);
  }
  // The loudest sample fills the height, unless it is so faint that only noise would be enlarged.
  const loudest = Math.max(0.02, samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0));
  for (let x = 0; x < width; x += 1) {
    const [from, to] = [Math.floor((x / width) * samples.length), Math.ceil(((x + 1) / width) * samples.length)];
    let [low, high] = [0, 0];
    for (let at = from; at < to; at += 1) {
      low = Math.min(low, samples[at]);
      high = Math.max(high, samples[at]);
    }
    const clipped = Math.max(high, -low) >= 0.999;
    pen.fillStyle = colour(clipped ? "alarm" : from >= start && from < end ? "accent" : "faint");
    const half = (0.46 * height) / loudest;
    pen.fillRect(x, height / 2 - high * half, 1, Math.max(ratio, (high - low) * half));
  }
}

let playing = null; // {context, source}

/**
 * Play a WAV file.
 * @param {string} base64 its bytes
 */
export async function play(base64) {
  silence();
  const context = new AudioContext();
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const source = context.createBufferSource();
  playing = { context, source };
  source.buffer = await context.decodeAudioData(bytes.buffer);
  source.connect(context.destination);
  source.onended = () => context.close();
  if (playing?.source === source) source.start();
}

/** Stop what is being played. */
export function silence() {
  if (playing && playing.context.state !== "closed") playing.context.close();
  playing = null;
}
