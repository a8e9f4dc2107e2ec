// Requests to the server, which is the program `sdr record` on this computer.

/** What is wrong, in words that can be shown. */
export class Problem extends Error {
  /**
   * @param {string} message
   * @param {number} status of the answer; 0 where there was none
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {"GET" | "POST"} method
 * @param {string} name of the action
 * @param {object} parameters
 * @param {Blob} [body] a recording
 * @returns {Promise<object>} the answer
 * @throws {Problem}
 */
export async function ask(method, name, parameters = {}, body = undefined) {
  let response, answer;
  try {
    response = await fetch(`/api/${name}?${new URLSearchParams(parameters)}`, { method, body: method === "POST" ? (body ?? "") : undefined });
    answer = await response.json();
  } catch {
    throw new Problem("The program on this computer does not answer. Start sdr record again, then try once more: nothing is lost.", 0);
  }
  if (!response.ok) throw new Problem(sentence(answer.error), response.status);
  return answer;
}

function sentence(text) {
  return text[0].toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");
}
