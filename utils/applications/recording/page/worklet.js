// Runs on the browser's audio thread and passes the microphone's samples to the page, 20 ms at a time.

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(Math.ceil(sampleRate / 50));
    this.filled = 0;
  }

  process([channels]) {
    const samples = channels[0];
    for (let at = 0; samples && at < samples.length; ) {
      const count = Math.min(samples.length - at, this.block.length - this.filled);
      this.block.set(samples.subarray(at, at + count), this.filled);
      at += count;
      this.filled += count;
      if (this.filled === this.block.length) {
        this.port.postMessage(this.block.slice());
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
